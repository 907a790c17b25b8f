import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SimClock } from '../../testing/sim-clock.ts'
import { createAutoscaler } from './autoscaler.ts'
import type { DeciderSpec } from './decide.ts'

const spec: DeciderSpec = {
  metric: 'concurrency',
  aggregation: 'linear',
  stableWindowMs: 60_000,
  panicWindowMs: 6_000,
  targetValue: 7,
  totalValue: 10,
  targetBurstCapacity: 20,
  panicThreshold: 2,
  maxScaleUpRate: 1000,
  maxScaleDownRate: 2,
  scaleDownDelayMs: 0,
  activationScale: 0,
  initialScale: 1,
  reachable: true,
}
const key = 'default/hello'
const stat = (concurrency: number, requestCount = concurrency, seconds = 1, revision = key) => ({
  revision,
  concurrency,
  requestCount,
  seconds,
})

function started(changes: Partial<DeciderSpec> = {}) {
  const clock = new SimClock()
  const decided: string[] = []
  const autoscaler = createAutoscaler({ clock, onDecision: (revision) => decided.push(revision) })
  autoscaler.set(key, { ...spec, ...changes })
  autoscaler.setConnected(true)
  const running = autoscaler.start()
  return { clock, decided, autoscaler, [Symbol.dispose]: () => running[Symbol.dispose]() }
}

test('nothing is decided before anything is known', async () => {
  using t = started()
  await t.clock.advance(60_000)
  assert.deepEqual(t.autoscaler.decision(key), {
    key,
    desiredScale: -1,
    excessBurstCapacity: -10,
    panic: false,
    readyPods: 0,
    metric: 'concurrency',
    stableValue: 0,
    panicValue: 0,
    targetValue: 7,
  })
  assert.equal(t.autoscaler.decision('default/other'), undefined)
  assert.deepEqual(t.decided, [])
})

test('the request that woke a revision is counted once', async () => {
  using t = started()
  await t.clock.advance(100)
  t.autoscaler.wake(key)
  assert.equal(t.autoscaler.decision(key)?.desiredScale, 1)
  assert.deepEqual(t.decided, [key])
  await t.clock.advance(900)
  t.autoscaler.record([stat(0.9, 1)])
  await t.clock.advance(1_000)
  assert.equal(t.autoscaler.decision(key)?.stableValue, 0.5, '1 and 0 in two seconds')
  t.autoscaler.record([stat(1, 0)])
  await t.clock.advance(2_000)
  assert.equal(t.autoscaler.decision(key)?.stableValue, 0.5, '1, 0, 1 and a second of silence')
})

test('a wake-up before the revision is known is remembered', () => {
  using t = started()
  t.autoscaler.wake('default/late')
  t.autoscaler.set('default/late', spec)
  assert.equal(t.autoscaler.decision('default/late')?.desiredScale, 1)
  assert.deepEqual(t.decided, ['default/late'])
})

test('traffic at zero is decided on without waiting for the tick', async () => {
  using t = started()
  t.autoscaler.setReadyPods(key, 1)
  await t.clock.advance(4_000)
  t.autoscaler.setReadyPods(key, 0)
  assert.equal(t.autoscaler.decision(key)?.desiredScale, 0)
  await t.clock.advance(60_500)
  t.decided.length = 0
  t.autoscaler.record([stat(0, 0), stat(30)])
  assert.equal(t.autoscaler.decision(key)?.desiredScale, 5)
  assert.deepEqual(t.decided, [key])
})

test('a late report stands for all its seconds', async () => {
  using t = started()
  await t.clock.advance(9_000)
  t.autoscaler.record([stat(12, 60, 3)])
  await t.clock.advance(1_000)
  assert.equal(t.autoscaler.decision(key)?.stableValue, 12)
  using rps = started({ metric: 'rps' })
  await rps.clock.advance(9_000)
  rps.autoscaler.record([stat(12, 60, 3)])
  await rps.clock.advance(1_000)
  assert.equal(rps.autoscaler.decision(key)?.stableValue, 20)
})

test('reports that make no sense are left out', async () => {
  using t = started()
  t.autoscaler.record([
    stat(Number.NaN),
    stat(1, Infinity),
    stat(7, 7, Number.NaN),
    stat(1, 1, 1, 'default/unknown'),
  ])
  t.autoscaler.record([stat(-5, 0, 1e12)])
  await t.clock.advance(2_000)
  assert.equal(t.autoscaler.decision(key)?.stableValue, 3.5, '7 and a second of silence')
})

test('silence of a connected gateway is zero', async () => {
  using t = started()
  t.autoscaler.setReadyPods(key, 1)
  for (let s = 0; s < 10; s++) {
    t.autoscaler.record([stat(6)])
    await t.clock.advance(1_000)
  }
  assert.equal(t.autoscaler.decision(key)?.stableValue, 6)
  t.autoscaler.record([stat(0)])
  await t.clock.advance(10_000)
  assert.equal(t.autoscaler.decision(key)?.stableValue, 3, '60 in 20 seconds')
  await t.clock.advance(60_000)
  assert.equal(t.autoscaler.decision(key)?.stableValue, 0)
  assert.equal(t.autoscaler.decision(key)?.desiredScale, 0)
})

test('the listener hears of changed wishes and of burst capacity that runs out or returns', async () => {
  using t = started({ targetBurstCapacity: 4 })
  t.autoscaler.setReadyPods(key, 1)
  const load = async (concurrency: number) => {
    t.decided.length = 0
    for (let s = 0; s < 8; s++) {
      t.autoscaler.record([stat(concurrency)])
      await t.clock.advance(1_000)
    }
    const { desiredScale, excessBurstCapacity } = t.autoscaler.decision(key) ?? {}
    return [t.decided.length > 0, desiredScale, excessBurstCapacity]
  }
  assert.deepEqual(await load(1), [true, 1, 5])
  assert.deepEqual(await load(2), [false, 1, 4])
  assert.deepEqual(await load(6.5), [true, 1, -1])
  assert.deepEqual(await load(6.6), [false, 1, -1])
  assert.deepEqual(await load(5), [true, 1, 1])
})

test('another spec counts at once, also at zero', async () => {
  using t = started()
  t.autoscaler.setReadyPods(key, 1)
  await t.clock.advance(4_000)
  t.autoscaler.setReadyPods(key, 0)
  await t.clock.advance(120_000)
  t.autoscaler.set(key, { ...spec, targetBurstCapacity: -1 })
  assert.equal(t.autoscaler.decision(key)?.excessBurstCapacity, -1)
  t.autoscaler.set(key, { ...spec, targetBurstCapacity: 5, targetValue: 0.5 })
  assert.equal(t.autoscaler.decision(key)?.excessBurstCapacity, -5)
  t.autoscaler.wake(key)
  assert.equal(t.autoscaler.decision(key)?.desiredScale, 2)
})

test('a removed revision is forgotten', async () => {
  using t = started()
  t.autoscaler.setReadyPods(key, 1)
  t.autoscaler.remove(key)
  t.autoscaler.remove(key)
  t.autoscaler.setReadyPods(key, 2)
  t.autoscaler.record([stat(50)])
  await t.clock.advance(10_000)
  assert.deepEqual([t.autoscaler.snapshot(), t.decided], [[], []])
})

test('one timer for all, and none once disposed', async () => {
  const t = started()
  for (let i = 0; i < 100; i++) t.autoscaler.set(`default/${i}`, spec)
  let alarms = 0
  const clock = {
    now: () => 0,
    monotonic: () => 0,
    after: () => {
      alarms++
      return () => alarms--
    },
  }
  const counted = createAutoscaler({ clock, onDecision: () => {} })
  for (let i = 0; i < 100; i++) counted.set(`default/${i}`, spec)
  const running = counted.start()
  assert.equal(alarms, 1)
  running[Symbol.dispose]()
  assert.equal(alarms, 0)
  assert.equal(t.autoscaler.snapshot().length, 101)
  t[Symbol.dispose]()
  assert.equal(t.clock.nextInMs, undefined)
})

test('ten thousand revisions at zero cost nothing that can be felt', async () => {
  using t = started()
  for (let i = 0; i < 10_000; i++) {
    t.autoscaler.set(`default/${i}`, spec)
    t.autoscaler.setReadyPods(`default/${i}`, 1)
  }
  await t.clock.advance(4_000)
  for (let i = 0; i < 10_000; i++) t.autoscaler.setReadyPods(`default/${i}`, 0)
  await t.clock.advance(120_000)
  const startMs = performance.now()
  await t.clock.advance(100 * 2_000)
  const tickMs = (performance.now() - startMs) / 100
  assert(tickMs < 20, `${tickMs} ms a tick; 5 % of a core would be 100 ms`)
})
