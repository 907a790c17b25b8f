import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SimClock } from '../testing/sim-clock.ts'
import { Deadline } from './deadline.ts'

test('a deadline that is moved rings once, at its last moment, whether it went out or in', async () => {
  const clock = new SimClock()
  const rung: number[] = []
  const startMs = clock.monotonic()
  const deadline = new Deadline(clock, () => rung.push(clock.monotonic() - startMs))
  deadline.set(100)
  await clock.advance(60)
  deadline.set(100)
  await clock.advance(60)
  assert.deepEqual(rung, [])
  await clock.advance(40)
  assert.deepEqual(rung, [160])
  deadline.set(1000)
  deadline.set(10)
  await clock.advance(10)
  assert.deepEqual(rung, [160, 170])
  await clock.advance(5000)
  assert.equal(rung.length, 2)
})

test('a deadline that is cleared, or whose owner has gone, is silent', async () => {
  const clock = new SimClock()
  const deadline = new Deadline(clock, () => assert.fail('it rang'))
  deadline.set(10)
  deadline.clear()
  await clock.advance(100)
  deadline.set(10)
  deadline[Symbol.dispose]()
  await clock.advance(100)
})
