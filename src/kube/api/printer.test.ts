import assert from 'node:assert/strict'
import { test } from 'node:test'
import { humanAge, humanDuration, shortList } from './printer.ts'

test('ages are as short as kubectl users know them', () => {
  const [s, m, h, d] = [1000, 60_000, 3_600_000, 86_400_000]
  const cases: readonly (readonly [number, string])[] = [
    [-3 * s, '<invalid>'],
    [-1 * s, '0s'],
    [0, '0s'],
    [119 * s, '119s'],
    [2 * m, '2m'],
    [3 * m + 20 * s, '3m20s'],
    [10 * m, '10m'],
    [179 * m, '179m'],
    [3 * h, '3h'],
    [5 * h + 7 * m, '5h7m'],
    [8 * h, '8h'],
    [47 * h, '47h'],
    [2 * d, '2d'],
    [3 * d + 4 * h, '3d4h'],
    [8 * d, '8d'],
    [729 * d, '729d'],
    [730 * d, '2y'],
    [800 * d, '2y70d'],
    [3000 * d, '8y'],
  ]
  for (const [duration, text] of cases) assert.equal(humanDuration(duration), text)
})

test('an age without a time is unknown', () => {
  assert.equal(humanAge(undefined, 0), '<unknown>')
  assert.equal(humanAge('1970-01-01T00:00:00Z', 13_000), '13s')
})

test('long lists are cut', () => {
  assert.equal(shortList([]), '<none>')
  assert.equal(shortList(['a', 'b', 'c']), 'a,b,c')
  assert.equal(shortList(['a', 'b', 'c', 'd', 'e']), 'a,b,c + 2 more...')
})
