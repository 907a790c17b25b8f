import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  calm,
  decide,
  initialExcessBurstCapacity,
  initialState,
  type DeciderSpec,
  type Observation,
} from './decide.ts'
import { DelayWindow } from './delay-window.ts'

const spec: DeciderSpec = {
  metric: 'concurrency',
  aggregation: 'linear',
  stableWindowMs: 60_000,
  panicWindowMs: 6_000,
  targetValue: 70,
  totalValue: 100,
  targetBurstCapacity: 211,
  panicThreshold: 2,
  maxScaleUpRate: 1000,
  maxScaleDownRate: 2,
  scaleDownDelayMs: 0,
  activationScale: 0,
  initialScale: 1,
  reachable: true,
}

const seen = (readyPods: number, stableValue: number, panicValue = stableValue): Observation => ({
  readyPods,
  stableValue,
  panicValue,
})
const pods = (changes: Partial<DeciderSpec>, observation: Observation) =>
  decide({ ...spec, ...changes }, calm, observation, 0).desiredPods

test('desired pods of a calm revision', () => {
  const table: [string, Partial<DeciderSpec>, Observation, number][] = [
    ['two for twice the target', {}, seen(2, 140), 2],
    ['a little more than one pod can carry', {}, seen(2, 70.000001), 2],
    ['exactly what one pod can carry', {}, seen(1, 70), 1],
    ['nothing, from one pod', {}, seen(1, 0), 0],
    ['nothing, from ten', {}, seen(10, 0), 5],
    ['nothing, from five', {}, seen(5, 0), 2],
    ['nothing, from two', {}, seen(2, 0), 1],
    ['nothing, where no Route leads', { reachable: false }, seen(10, 0), 0],
    ['less, where no Route leads', { reachable: false }, seen(10, 100), 2],
    ['no more than the rate allows', { maxScaleUpRate: 1.1, panicThreshold: 99 }, seen(2, 7000), 3],
    ['a thousandfold', { panicThreshold: 1e9 }, seen(1, 1e9), 1000],
    ['activation scale', { activationScale: 5 }, seen(0, 1), 5],
    ['activation scale does not keep anything alive', { activationScale: 5 }, seen(1, 0), 0],
    ['activation scale is a minimum only', { activationScale: 2 }, seen(4, 250), 4],
  ]
  for (const [what, changes, observation, wanted] of table)
    assert.equal(pods(changes, observation), wanted, what)
})

test('a burst starts a panic, which never scales down and ends one stable window after the burst', () => {
  let { desiredPods, state } = decide(spec, calm, seen(1, 70, 140), 0)
  assert.equal(desiredPods, 2)
  assert.deepEqual(state, { panicSinceMs: 0, maxPanicPods: 2 })
  ;({ desiredPods, state } = decide(spec, state, seen(2, 100, 700), 2_000))
  assert.equal(desiredPods, 10)
  ;({ desiredPods, state } = decide(spec, state, seen(10, 100, 0), 4_000))
  assert.equal(desiredPods, 10, 'not lower while panicking')
  ;({ desiredPods, state } = decide(spec, state, seen(10, 0, 0), 62_000))
  assert.deepEqual([desiredPods, state.panicSinceMs], [10, 2_000], 'exactly one window is not over')
  ;({ desiredPods, state } = decide(spec, state, seen(10, 0, 0), 62_001))
  assert.equal(desiredPods, 5)
  assert.deepEqual(state, calm)
})

test('the panic threshold compares with ready pods and is not clamped', () => {
  assert.equal(decide(spec, calm, seen(2, 0, 210), 0).state.panicSinceMs, undefined)
  assert.equal(decide(spec, calm, seen(2, 0, 211), 7).state.panicSinceMs, 7)
  const slow = { ...spec, maxScaleUpRate: 1.5 }
  assert.equal(decide(slow, calm, seen(2, 0, 211), 7).state.panicSinceMs, 7)
  assert.equal(decide(slow, calm, seen(2, 0, 211), 7).desiredPods, 3)
})

test('a decider that finds pods running keeps them for one stable window', () => {
  assert.deepEqual(initialState(1, 5), calm)
  const state = initialState(4, 5)
  assert.equal(decide(spec, state, seen(4, 0), 60_005).desiredPods, 4)
  assert.equal(decide(spec, state, seen(4, 0), 60_006).desiredPods, 2)
})

test('excess burst capacity', () => {
  const ebc = (readyPods: number, total: number, burst: number, panic: number) =>
    decide(
      { ...spec, totalValue: total, targetBurstCapacity: burst },
      calm,
      seen(readyPods, 0, panic),
      0,
    ).excessBurstCapacity
  assert.deepEqual(
    [
      ebc(1, 100, 211, 5),
      ebc(3, 100, 211, 0),
      ebc(3, 100, 211, 89),
      ebc(3, 100, 211, 90),
      ebc(5, 10, 7, 43.5),
      ebc(5, 10, 0, 43.5),
      ebc(5, 10, -1, 43.5),
    ],
    [-116, 89, 0, -1, -1, 0, -1],
  )
  const initial = (changes: Partial<DeciderSpec>) =>
    initialExcessBurstCapacity({ ...spec, ...changes })
  assert.deepEqual(
    [{ initialScale: 3 }, {}, { targetBurstCapacity: 0 }, { targetBurstCapacity: -1 }].map(initial),
    [89, -111, 0, -1],
  )
})

test('a scale-down delay holds the highest wish of its window, unless nothing can reach the pods', () => {
  const delay = new DelayWindow(6_000)
  const at = (nowMs: number, stable: number, reachable = true) =>
    decide({ ...spec, reachable }, calm, seen(4, stable, 0), nowMs, delay).desiredPods
  assert.equal(at(0, 280), 4)
  assert.deepEqual(
    [at(2_000, 0), at(4_000, 0), at(6_000, 0)],
    [4, 4, 2],
    'three slots of two seconds',
  )
  assert.equal(at(8_000, 280), 4)
  assert.equal(at(8_500, 0, false), 0)
})

test('a delay window is the maximum of its slots', () => {
  const values = fc.array(fc.tuple(fc.nat(5_000), fc.nat(9)), { maxLength: 50 })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 30_000 }), values, (delayMs, all) => {
      const delay = new DelayWindow(delayMs)
      const slots = Math.ceil(delayMs / 2_000)
      const past: { slot: number; value: number }[] = []
      let nowMs = 0
      for (const [gap, value] of all) {
        nowMs += gap
        const slot = Math.floor(nowMs / 2_000)
        past.push({ slot, value })
        const within = past.filter((entry) => entry.slot > slot - slots)
        assert.equal(delay.max(nowMs, value), Math.max(...within.map((entry) => entry.value)))
      }
    }),
  )
})

test('whatever is seen, the wish is a whole number within the rates', () => {
  const value = fc.double({ min: 0, max: 1e6, noNaN: true })
  fc.assert(
    fc.property(fc.nat(500), value, value, fc.boolean(), (readyPods, stable, panic, reachable) => {
      const { desiredPods } = decide(
        { ...spec, reachable },
        calm,
        seen(readyPods, stable, panic),
        0,
      )
      const base = Math.max(1, readyPods)
      assert(Number.isSafeInteger(desiredPods))
      assert(desiredPods <= 1000 * base)
      if (reachable) assert(desiredPods >= Math.floor(base / 2))
    }),
  )
})
