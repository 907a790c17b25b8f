import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseArguments, UsageError } from '../command.ts'
import { selectionOf } from './selection.ts'
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

test('moments are of the clock of this machine unless they say otherwise', () => {
  const sinceOf = (text: string) => selection('--since', text).sinceMs
  const local = new Date(2026, 10, 21, 9, 5, 7, 250).getTime()
  assert.equal(sinceOf('2026-11-21 09:05:07.250'), local)
  assert.equal(sinceOf('2026-11-21T09:05:07.250'), local)
  assert.equal(sinceOf('2026-11-21'), new Date(2026, 10, 21).getTime())
  assert.equal(sinceOf('2026-11-21T09:05:07+02:00'), Date.parse('2026-11-21T07:05:07Z'))
  assert.equal(sinceOf('2026-11-21T09:05Z'), Date.parse('2026-11-21T09:05:00Z'))
})

test('flags that make no sense are named before anybody is asked', () => {
  const refused: readonly (readonly [readonly string[], RegExp])[] = [
    [['--since', 'yesterday'], /--since: expected how long ago.*found "yesterday"/],
    [['--since', '5m', '--until', '10m'], /--since 5m is later than --until 10m/],
    [['--since', '2026-02-31T10:00:00Z'], /--since: expected how long ago/],
    [
      ['--since', '2026-11-21T10:00:00+25:00'],
      /an offset as \+02:00.*found "2026-11-21T10:00:00\+25/,
    ],
    [['--since', '2026-11-21T10:00:00 CET'], /by the clock of this machine without; found/],
    [['--since', '2026-11-21T25:00'], /--since: expected how long ago/],
    [['--filter', 'type LIKE'], /--filter: found the end at 9, expected a pattern/],
  ]
  for (const [flags, message] of refused)
    assert.throws(
      () => selection(...flags),
      (error) => error instanceof UsageError && message.test(error.message),
      flags.join(' '),
    )
})
