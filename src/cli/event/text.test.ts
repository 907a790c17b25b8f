import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Fate, Way } from '../../eventing/broker/following/way.ts'
import { eventRow, jsonText, tableText, traceText } from './text.ts'

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
    fate('sql', {
      state: 'refused',
      refusal: { term: 'filters[0].cesql', wanted: 'a = 1', problem: 'attribute a is not set' },
    }),
    fate('any', {
      state: 'refused',
      refusal: {
        term: 'filters[0].any',
        wanted: 'one',
        terms: [
          { term: 'filters[0].any[0].exact.source', wanted: '/x', found: '/s' },
          { term: 'filters[0].any[1].exact.subject', wanted: 'y' },
        ],
      },
    }),
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
      '├─ Trigger sql: refused, filters[0].cesql can not be evaluated, attribute a is not set: a = 1',
      '└─ Trigger any: refused, none of filters[0].any holds: filters[0].any[0].exact.source wants "/x", the event has "/s"; filters[0].any[1].exact.subject wants "y", the event has none',
    ].map((line) => line.replace(/ms$/, 'ms,')),
  )
})

test('what a sender wrote does not steer the terminal, and columns stand below one another', () => {
  const event = { id: 'a\u001b[2J\u202e', type: 't\nTrigger x: done', source: '/s' }
  const [, place, id, type] = eventRow({ sequence: 7, atMs: 0, event }, 'default')
  assert.deepEqual([place, id, type], ['default#7', 'a\\x1b[2J\\x202e', 't\\x0aTrigger x: done'])
  assert.deepEqual(
    tableText(
      [
        ['A', 'B'],
        ['long', 'b'],
      ],
      [2, 9],
    ),
    ['A      B', 'long   b'],
  )
})

test('dead letters in a sink and by hand, who came later, who is gone, who was never told', () => {
  const attempt = { ...step, sequence: 1, kind: 'attempt', tookMs: 1 } as const
  const failed = { ...attempt, phase: 'subscriber', status: 500 } as const
  const done = { ...step, sequence: 1, kind: 'done' } as const
  const sink = { ...attempt, phase: 'deadLetter', url: 'http://dls/', status: 202 } as const
  const replay = { ...attempt, phase: 'replay', url: 'http://work/', status: 200 } as const
  const fates = [
    fate('sink', { steps: [failed, sink, done] }),
    fate('redriven', { steps: [failed, { ...done, kind: 'parked' }, replay, done] }),
    fate('let-go', { state: 'discarded' }),
    fate('later', { state: 'before' }),
    fate('old', { state: 'done' }),
    fate('', { gone: true, uid: 'u1', steps: [done] }),
    fate('replay', { uid: 'replay', steps: [replay] }),
  ]
  const absent = [{ name: 'broken', why: 'the subscriber does not resolve' }]
  const lines = traceText([way(1, 'a', fates)], () => absent).join('\n')
  for (const wanted of [
    /Trigger sink: given up, is in the dead-letter sink\n│ {2}├─ attempt 1: 500.*\n│ {2}└─ dead-letter attempt 1 to http:\/\/dls\/: 202/,
    /Trigger redriven: done\n│ {2}├─ attempt 1: 500.*\n│ {2}└─ sent again 1 to http:\/\/work\/: 200/,
    /Trigger let-go: given up, the dead letter was let go/,
    /Trigger later: not for it, the event came before it was made/,
    /Trigger old: too early for it, or its notes are gone/,
    /a Trigger that is gone \(uid u1\): done/,
    /sent again by hand\n│ {2}└─ sent again 1 to http:\/\/work\/: 200/,
    /Trigger broken: did not get it, as it is not ready: the subscriber does not resolve/,
  ])
    assert.match(lines, wanted)
})

test('who wanted an event comes before who did not', () => {
  const refused = fate('no', { state: 'refused', refusal: { term: 'a', wanted: 'x' } })
  const absent = [{ name: 'broken', why: 'x' }]
  const lines = traceText([way(1, 'a', [refused, fate('yes', {})])], () => absent)
  assert.deepEqual(
    lines.slice(2).map((line) => / Trigger (\w+):/.exec(line)?.[1]),
    ['yes', 'broken', 'no'],
  )
})

test('each event of a trace is shown once, whatever senders wrote into their traces, and deep ones below', () => {
  // Each claims to have come of the other, and the last one of itself.
  const first = way(1, 'first', [fate('x', { span: 'one' })], 'two')
  const second = way(2, 'second', [fate('x', { span: 'two' })], 'one')
  const third = way(3, 'third', [fate('x', { span: 'three' })], 'three')
  const heads = (ways: readonly Way[]) =>
    traceText(ways).flatMap((line) => / ?(\S+) {2}t {2}from/.exec(line)?.[1] ?? [])
  assert.deepEqual(heads([first, second, third]), ['first', 'second', 'third'])
  const rounds = Array.from({ length: 255 }, (_, i) =>
    way(i + 1, `e${i}`, [fate('loop', { span: `s${i}` })], i === 0 ? undefined : `s${i - 1}`),
  )
  const lines = traceText(rounds)
  assert.deepEqual(
    heads(rounds),
    rounds.map((_, i) => `e${i}`),
  )
  assert.ok(Math.max(...lines.map((line) => line.length)) < 160)
  assert.ok(lines.some((line) => line.endsWith('e8  goes on below')))
})

test('an event as JSON does not steer the terminal, and stays JSON', () => {
  const event = { id: 'a\u009b2J\u202e', data: 'x\n' }
  const text = jsonText(event).join('\n')
  assert.doesNotMatch(text, /[\u009b\u202e]/)
  assert.deepEqual(JSON.parse(text), event)
})

test('columns stand below one another with wide signs too', () => {
  const [first = '', second = ''] = tableText([
    ['日本😀', 'b'],
    ['ä', 'b'],
  ])
  assert.deepEqual([first, second], ['日本😀   b', 'ä        b'])
})
