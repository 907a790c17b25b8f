import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { seededRandom } from '../../../lib/random.ts'
import { choose } from './balancer.ts'

const pods = (...inFlight: number[]) =>
  inFlight.map((count) => ({ inFlight: count, usable: true, place: -1 }))
const random = seededRandom(1)

test('1 to 3 slots: the first pod that has one free', () => {
  assert.equal(choose(pods(1, 0, 0), 1, 2, random), 1)
  assert.equal(choose(pods(2, 3), 3, 1, random), 0)
  assert.equal(choose(pods(1, 1), 1, 0, random), -1)
})

test('from 4 slots on: in turn, over those that have one free', () => {
  assert.equal(choose(pods(0, 0, 0), 4, 1, random), 1)
  assert.equal(choose(pods(0, 4, 0), 4, 1, random), 2)
  assert.equal(choose(pods(0, 0, 0), 4, 3, random), 0)
})

test('no limit: the emptier of two, and everybody gets some', () => {
  assert.equal(choose(pods(5, 4), 0, 0, random), 1)
  assert.equal(choose([], 0, 0, random), -1)
  const counts = [0, 0, 0]
  const all = pods(0, 0, 0)
  for (let i = 0; i < 300; i++) {
    const at = choose(all, 0, 0, random)
    counts[at]!++
  }
  for (const count of counts) assert.ok(count > 60, counts.join())
})

test('never a pod that is unusable or full, and never none when there is one', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({ inFlight: fc.nat({ max: 6 }), usable: fc.boolean(), place: fc.constant(-1) }),
        { maxLength: 6 },
      ),
      fc.nat({ max: 6 }),
      fc.nat({ max: 6 }),
      fc.integer(),
      (all, limit, cursor, seed) => {
        const good = (pod: { inFlight: number; usable: boolean }) =>
          pod.usable && (limit === 0 || pod.inFlight < limit)
        const at = choose(all, limit, cursor, seededRandom(seed))
        const chosen = all[at]
        assert.equal(chosen !== undefined, all.some(good))
        if (chosen) assert.ok(good(chosen))
      },
    ),
  )
})
