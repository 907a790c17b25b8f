import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseArguments, UsageError } from './command.ts'
import { selectionOf } from './event-selection.ts'
import { event } from './event.ts'

const nowMs = Date.parse('2026-11-21T10:00:00Z')
const selection = (...flags: readonly string[]) =>
  selectionOf(parseArguments(event, ['list', ...flags]), nowMs)

test('flags say which events are meant', () => {
  assert.deepEqual(selection(), {})
  assert.deepEqual(selection('--since', '1h', '--until', '2026-11-21T09:30:00Z', '--type', 't'), {
    sinceMs: nowMs - 3_600_000,
    untilMs: nowMs - 1_800_000,
    filter: { filters: [{ exact: { type: 't' } }] },
  })
})

test('flags that make no sense are named before anybody is asked', () => {
  const refused: readonly (readonly [readonly string[], RegExp])[] = [
    [['--since', 'yesterday'], /--since: expected how long ago.*found "yesterday"/],
    [['--since', '5m', '--until', '10m'], /--since 5m is later than --until 10m/],
    [['--filter', 'type LIKE'], /--filter: found the end at 9, expected a pattern/],
  ]
  for (const [flags, message] of refused)
    assert.throws(
      () => selection(...flags),
      (error) => error instanceof UsageError && message.test(error.message),
      flags.join(' '),
    )
})
