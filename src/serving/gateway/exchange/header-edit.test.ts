import assert from 'node:assert/strict'
import { test } from 'node:test'
import { headerEdit, joinEdits } from './header-edit.ts'

test('an edit names what it drops in lower case and adds lines in the order given', () => {
  const edit = headerEdit(
    [
      ['X-One', '1'],
      ['x-two', '2'],
    ],
    ['X-Old', 'Host'],
  )
  assert.deepEqual([...(edit?.drops ?? [])], ['x-old'])
  assert.equal(edit?.lines, 'X-One: 1\r\nx-two: 2\r\n')
  assert.equal(headerEdit([]), undefined)
})

test('what would break a message, or is the framing of it, is left out', () => {
  assert.equal(
    headerEdit(
      [
        ['X-Bad', 'a\r\nX-More: b'],
        ['Bad Name', 'x'],
        ['', 'x'],
        ['Content-Length', '3'],
        ['Transfer-Encoding', 'chunked'],
        ['Connection', 'close'],
        ['Host', 'other'],
      ],
      ['Transfer-Encoding'],
    ),
    undefined,
  )
})

test('of two edits the second sees what the first has added', () => {
  const joined = joinEdits(
    headerEdit(
      [
        ['X-A', '1'],
        ['X-B', '2'],
      ],
      ['x-a'],
    ),
    headerEdit([['X-C', '3']], ['x-b']),
  )
  assert.equal(joined?.lines.toLowerCase(), 'x-a: 1\r\nx-c: 3\r\n')
  assert.deepEqual([...(joined?.drops ?? [])].toSorted(), ['x-a', 'x-b'])
  const one = headerEdit([['X-A', '1']])
  assert.equal(joinEdits(one, undefined), one)
  assert.equal(joinEdits(undefined, one), one)
})
