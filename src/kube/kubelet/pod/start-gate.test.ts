import assert from 'node:assert/strict'
import { test } from 'node:test'
import { settle, SimClock } from '../../../testing/sim-clock.ts'
import { createStartGate } from './start-gate.ts'

test('so many at once, the others in their order as those come up, or take too long', async () => {
  const clock = new SimClock()
  const gate = createStartGate(clock, 2)
  const leave: (() => void)[] = []
  const { signal } = new AbortController()
  const order: number[] = []
  for (let i = 0; i < 5; i++)
    void gate.enter(signal).then((left) => {
      order.push(i)
      leave[i] = left
    })
  await settle()
  assert.deepEqual(order, [0, 1])
  leave[1]?.()
  leave[1]?.()
  await settle()
  assert.deepEqual(order, [0, 1, 2])
  assert.equal(gate.starting, 2)
  await clock.advance(1_000)
  assert.deepEqual(order, [0, 1, 2, 3, 4])
  leave[0]?.() // it comes up after its time, and lets nobody in twice
  assert.equal(gate.starting, 2)
})

test('whoever wants to know is told how many are coming up', async () => {
  const clock = new SimClock()
  const told: number[] = []
  const gate = createStartGate(clock, 1, (starting) => told.push(starting))
  const { signal } = new AbortController()
  const leave = await gate.enter(signal)
  const next = gate.enter(signal)
  leave()
  await next
  await clock.advance(1_000)
  assert.deepEqual(told, [1, 0, 1, 0])
})

test('who gives up waiting takes nobody’s place', async () => {
  const gate = createStartGate(new SimClock(), 1)
  const leave = await gate.enter(new AbortController().signal)
  const abort = new AbortController()
  const given = gate.enter(abort.signal)
  let entered = false
  const next = gate.enter(new AbortController().signal).then(() => (entered = true))
  abort.abort()
  ;(await given)()
  assert.ok(!entered)
  leave()
  await next
  assert.equal(gate.starting, 1)
})
