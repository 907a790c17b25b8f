import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { SimClock } from '../../../testing/sim-clock.ts'
import { Deadline, Deadlines } from './deadlines.ts'

class Ring extends Deadline {
  rangMs: number[] = []
  onRing: (() => void) | undefined
  override expire(nowMs: number): void {
    this.rangMs.push(nowMs)
    this.onRing?.()
  }
}

test('a deadline rings once, not early, at most one tick late, however far away', async () => {
  const clock = new SimClock()
  const deadlines = new Deadlines(clock, 50)
  const rings = [0, 1, 50, 51, 999, 51_200, 51_201, 300_000].map((dueMs) => {
    const ring = new Ring()
    deadlines.set(ring, dueMs)
    return { dueMs, ring }
  })
  await clock.advance(301_000)
  for (const { dueMs, ring } of rings) {
    assert.equal(ring.rangMs.length, 1)
    const lateMs = (ring.rangMs[0] ?? 0) - dueMs
    assert.ok(lateMs >= 0 && lateMs <= 100, `${dueMs}: ${lateMs} late`)
  }
  assert.equal(deadlines.size, 0)
  assert.equal(clock.nextInMs, undefined, 'the timer sleeps when nothing is set')
})

test('one that rings may set itself again and cancel another that is due at the same moment', async () => {
  const clock = new SimClock()
  const deadlines = new Deadlines(clock, 10)
  const [first, second] = [new Ring(), new Ring()]
  deadlines.set(first, 20)
  deadlines.set(second, 20)
  // Both try: only the one that comes first can.
  first.onRing = () => {
    deadlines.cancel(second)
    if (first.rangMs.length === 1) deadlines.set(first, 100)
  }
  second.onRing = () => {
    deadlines.cancel(first)
    if (second.rangMs.length === 1) deadlines.set(second, 100)
  }
  await clock.advance(200)
  assert.deepEqual(
    [first.rangMs.length, second.rangMs.length].toSorted((a, b) => a - b),
    [0, 2],
  )
  assert.equal(deadlines.size, 0)
})

test('any sequence of set and cancel rings exactly what is left', async () => {
  const step = fc.record({
    who: fc.integer({ min: 0, max: 4 }),
    dueMs: fc.option(fc.integer({ min: 0, max: 3000 }), { nil: undefined }),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
      const clock = new SimClock()
      const deadlines = new Deadlines(clock, 50)
      const rings = Array.from({ length: 5 }, () => new Ring())
      const expected = new Map<Ring, number>()
      for (const { who, dueMs } of steps) {
        const ring = rings[who]!
        if (dueMs === undefined) {
          deadlines.cancel(ring)
          expected.delete(ring)
        } else {
          deadlines.set(ring, dueMs)
          expected.set(ring, dueMs)
        }
      }
      assert.equal(deadlines.size, expected.size)
      // A long stall: everything rings at the next tick.
      await clock.advance(4000)
      for (const ring of rings) {
        const dueMs = expected.get(ring)
        assert.equal(ring.rangMs.length, dueMs === undefined ? 0 : 1)
        if (dueMs !== undefined) assert.ok((ring.rangMs[0] ?? -1) >= dueMs)
      }
    }),
    { numRuns: 25 },
  )
})
