import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseIsoDuration } from './iso-duration.ts'

test('ISO 8601 durations are milliseconds', () => {
  const known = {
    PT0S: 0,
    'PT0.2S': 200,
    PT1M30S: 90_000,
    P1D: 86_400_000,
    P1DT2H: 93_600_000,
    P2W: 14 * 86_400_000,
    'PT1.5H': 5_400_000,
    P1Y: 365.25 * 86_400_000,
  }
  for (const [text, ms] of Object.entries(known)) assert.equal(parseIsoDuration(text), ms, text)
})

test('what is none is refused', () => {
  for (const text of ['', 'P', 'PT', '1s', 'PT1', 'P1S', 'PT1.5M3S', '-PT1S', 'pt1s', 'P1DT'])
    assert.equal(parseIsoDuration(text), undefined, text)
})
