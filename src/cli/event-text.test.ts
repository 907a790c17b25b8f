import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Fate, Way } from '../eventing/broker/following.ts'
import { traceText } from './event-text.ts'

const step = { channel: 'b', subscription: 't', atMs: 0 }
const fate = (name: string, more: Partial<Fate>): Fate => ({
  uid: name,
  namespace: 'default',
  name,
  span: `span-${name}`,
  state: 'done',
  steps: [],
  ...more,
})
const way = (sequence: number, id: string, fates: readonly Fate[], parent?: string): Way => ({
  sequence,
  atMs: sequence,
  event: { id, type: 't', source: '/s' },
  channel: { uid: 'b', kind: 'Broker', namespace: 'default', name: 'b' },
  trace: { id: 'trace', ...(parent !== undefined && { parent }) },
  fates,
})

/** Without times, which are of the local clock. */
const shown = (ways: readonly Way[]) =>
  traceText(ways).map((line) => line.replace(/ at [\d -]*\d\d:\d\d:\d\d\.\d+$/, ''))

test('a trace is a tree: what refused it, attempts, and what came of it', () => {
  const attempt = { ...step, sequence: 1, kind: 'attempt', phase: 'subscriber', tookMs: 5 } as const
  const first = way(1, 'a', [
    fate('work', {
      subscriber: 'http://work/',
      steps: [
        { ...attempt, error: 'connection refused by work' },
        { ...attempt, status: 200 },
      ],
    }),
    fate('no', {
      state: 'refused',
      refusal: { term: 'filters[0].exact.type', wanted: 'x', found: 't' },
    }),
    fate('any', { state: 'refused', refusal: { term: 'filters[0].any', wanted: 'one' } }),
  ])
  const answer = way(2, 'b', [fate('last', { state: 'parked' })], 'span-work')
  assert.deepEqual(
    shown([first, answer]),
    [
      'a  t  from /s',
      'came to Broker default/b as #1',
      '├─ Trigger work: done → http://work/',
      '│  ├─ attempt 1: connection refused by work, took 5 ms,'.slice(0, -1),
      '│  ├─ attempt 2: 200, took 5 ms,'.slice(0, -1),
      '│  └─ b  t  from /s',
      '│     came to Broker default/b as #2',
      '│     └─ Trigger last: given up, kept as a dead letter',
      '├─ Trigger no: refused, filters[0].exact.type wants "x", the event has "t"',
      '└─ Trigger any: refused, none of filters[0].any holds',
    ].map((line) => line.replace(/ms$/, 'ms,')),
  )
})
