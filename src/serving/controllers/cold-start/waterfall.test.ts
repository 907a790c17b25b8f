import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { ColdRequest } from '../../gateway/feed.ts'
import { createWaterfall, type PodStep } from './waterfall.ts'

const key = 'default/hello-00001'
const request = (firstMs: number, more: Partial<ColdRequest['steps']> = {}): ColdRequest => ({
  revision: key,
  pod: 'uid',
  atMs: 1_000_000 + firstMs,
  monotonicMs: firstMs,
  steps: { routed: 0.25, granted: 80, forwarded: 80.5, answered: 83, ...more },
})
const start: readonly (readonly [PodStep, number])[] = [
  ['created', 103],
  ['bound', 104],
  ['spawn', 106],
  ['started', 110],
  ['probe', 110.5],
  ['alive', 175],
  ['ready', 177],
]

function started() {
  const waterfall = createWaterfall()
  waterfall.revision(key, 'wake', 101)
  waterfall.revision(key, 'decision', 101.5)
  waterfall.revision(key, 'scaled', 102)
  for (const [step, at] of start) waterfall.pod('uid', 'hello-pod', step, at)
  waterfall.revision(key, 'endpoints', 178)
  return waterfall
}

test('the steps of three processes come in one order, and the parts of the wait add up', () => {
  const { spans, steps, ...rest } = started().join(request(100), 0, 0)
  assert.deepEqual(
    steps.map(({ name }) => name),
    [
      'routed',
      'wake',
      'decision',
      'scaled',
      'created',
      'bound',
      'spawn',
      'started',
      'probe',
      'alive',
      'ready',
      'endpoints',
      'granted',
      'forwarded',
      'answered',
    ],
  )
  assert.deepEqual(spans, {
    totalMs: 83,
    queueMs: 1,
    decideMs: 5,
    spawnMs: 4,
    probeMs: 65,
    forwardMs: 5.5,
    answerMs: 2.5,
  })
  assert.deepEqual(rest, {
    revision: 'hello-00001',
    pod: 'hello-pod',
    kind: 'Started',
    at: '1970-01-01T00:16:40.100Z',
  })
})

test('a request that finds the pod starting has only the rest of the way', () => {
  const later = { granted: 30, forwarded: 30.5, answered: 33 }
  const { kind, spans, steps } = started().join(request(150, later), 0, 0)
  assert.equal(kind, 'Running')
  assert.deepEqual(
    [spans.queueMs, spans.decideMs, spans.spawnMs, spans.probeMs, spans.forwardMs],
    [0, 0, 0, 25, 5.5],
  )
  assert.deepEqual(
    steps.map(({ name }) => name),
    ['routed', 'alive', 'ready', 'endpoints', 'granted', 'forwarded', 'answered'],
  )
})

test('a thaw has neither spawn nor probe, whatever is known of the start', () => {
  const waterfall = started()
  waterfall.revision(key, 'wake', 1_001)
  waterfall.pod('uid', 'hello-pod', 'thaw', 1_002)
  waterfall.pod('uid', 'hello-pod', 'resumed', 1_002.5)
  waterfall.pod('uid', 'hello-pod', 'ready', 1_003)
  waterfall.revision(key, 'endpoints', 1_003.5)
  const quick = { granted: 4, forwarded: 4.25, answered: 5 }
  const { kind, spans, steps } = waterfall.join(request(1_000, quick), 0, 0)
  assert.equal(kind, 'Thawed')
  assert.deepEqual(spans, {
    totalMs: 5,
    queueMs: 1,
    decideMs: 1,
    spawnMs: 0.5,
    probeMs: 0,
    forwardMs: 1.75,
    answerMs: 0.75,
  })
  assert.ok(!steps.some(({ name }) => name === 'alive' || name === 'spawn'))
})

test('woken again while it takes long, the first time counts', () => {
  const waterfall = createWaterfall()
  waterfall.revision(key, 'wake', 101)
  waterfall.revision(key, 'wake', 1_101)
  const long = { granted: 1_200, forwarded: 1_201, answered: 1_202 }
  assert.equal(waterfall.join(request(100, long), 0, 0).spans.queueMs, 1)
})

test('without a shared clock the wall clock has to do', () => {
  const { monotonicMs: _, ...other } = request(100)
  // The wall clock is a million ahead of the monotonic one.
  assert.equal(started().join(other, 500, 1_000_500).spans.queueMs, 1)
})

test('whatever is noted, parts are never negative and never more than the whole', () => {
  const time = fc.double({ min: -100, max: 300, noNaN: true })
  const steps = fc.array(fc.tuple(fc.constantFrom(...start.map(([name]) => name)), time))
  fc.assert(
    fc.property(steps, time, fc.tuple(time, time, time), (noted, wakeMs, more) => {
      const waterfall = createWaterfall()
      waterfall.revision(key, 'wake', wakeMs)
      for (const [step, at] of noted) waterfall.pod('uid', 'p', step, at)
      const [granted = 0, forwarded = 0, answered = 0] = more
        .map((ms) => Math.abs(ms))
        .toSorted((a, b) => a - b)
      const { spans } = waterfall.join(request(0, { granted, forwarded, answered }), 0, 0)
      const { totalMs, ...parts } = spans
      const values = Object.values(parts)
      assert.ok(values.every((ms) => ms >= 0))
      const sum = values.reduce((all, ms) => all + ms, 0)
      assert.ok(Math.abs(sum - totalMs) < 0.01, `${sum} of ${totalMs}`)
    }),
  )
})
