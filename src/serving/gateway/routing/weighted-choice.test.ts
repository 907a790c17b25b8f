import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { LocalShareCounters, type ShareCounter } from './share-counter.ts'
import { WeightedChoice } from './weighted-choice.ts'

const newCounter = (): ShareCounter => new LocalShareCounters().counter('any')
const choiceOf = (
  weights: readonly number[],
  counter: ShareCounter = newCounter(),
  before?: WeightedChoice<number>,
): WeightedChoice<number> =>
  new WeightedChoice(
    weights.map((weight, value) => ({ key: `${value}`, value, weight })),
    () => counter,
    before,
  )

test('at every point each has had its share to within one; any run as long as the sum is exact', () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat({ max: 60 }), { minLength: 2, maxLength: 5 }),
      fc.nat({ max: 500 }),
      (weights, skip) => {
        const total = weights.reduce((sum, weight) => sum + weight, 0)
        if (total === 0) return
        const choice = choiceOf(weights)
        const had = weights.map(() => 0)
        for (let n = 1; n <= total; n++) {
          had[choice.next()!]!++
          for (const [i, weight] of weights.entries())
            assert.ok(Math.abs(had[i]! - (n * weight) / total) < 1, `${weights} at ${n}`)
        }
        assert.deepEqual(had, weights)
        for (let i = 0; i < skip; i++) choice.next()
        const counts = weights.map(() => 0)
        for (let i = 0; i < total; i++) counts[choice.next()!]!++
        assert.deepEqual(counts, weights)
      },
    ),
  )
})

test('weights of any sum: exact without a table too', () => {
  const weights = [1, 99_999, 12_345, 0]
  const choice = choiceOf(weights)
  const counts = weights.map(() => 0)
  for (let i = 0; i < 112_345; i++) counts[choice.next()!]!++
  assert.deepEqual(counts, weights)
})

test('nothing has a weight, or one alone: no counter is asked for', () => {
  const none = new WeightedChoice([{ key: 'a', value: 'a', weight: 0 }], () => assert.fail('asked'))
  assert.equal(none.next(), undefined)
  const one = new WeightedChoice(
    [
      { key: 'a', value: 'a', weight: 0 },
      { key: 'b', value: 'b', weight: 7 },
    ],
    () => assert.fail('asked'),
  )
  assert.equal(one.next(), 'b')
})

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b))

test('a gradual rollout starves nobody, however small and frequent its steps', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({ percent: fc.integer({ min: 1, max: 99 }), requests: fc.nat({ max: 12 }) }),
        {
          minLength: 10,
          maxLength: 200,
        },
      ),
      (steps) => {
        const counter = newCounter()
        let choice: WeightedChoice<number> | undefined
        let due = 0
        let had = 0
        let changes = 0
        let lost = 0
        let last = -1
        for (const { percent, requests } of steps) {
          choice = choiceOf([100 - percent, percent], counter, choice)
          if (percent !== last) {
            changes++
            lost += gcd(percent, 100) / 100
          }
          last = percent
          for (let i = 0; i < requests; i++) {
            due += percent / 100
            had += choice.next()!
          }
        }
        // A change goes on at the place whose due shares are nearest: short sequences have few to choose from.
        assert.ok(Math.abs(had - due) <= 1 + lost, `${had} of ${due} in ${changes} changes`)
      },
    ),
  )
})

test('a new revision that gets one percent more every ten requests', () => {
  const counter = newCounter()
  let choice = choiceOf([99, 1], counter)
  let due = 0
  let had = 0
  for (let percent = 1; percent < 100; percent++) {
    choice = choiceOf([100 - percent, percent], counter, choice)
    for (let i = 0; i < 10; i++) had += choice.next()!
    due += percent / 10
    assert.ok(Math.abs(had - due) < 1.2, `${had} of ${due} at ${percent} %`)
  }
})

test('workers that count on one number send exact shares together, and change weights once', () => {
  const counter = newCounter()
  const workers = [
    choiceOf([90, 10], counter),
    choiceOf([90, 10], counter),
    choiceOf([90, 10], counter),
  ]
  const counts = [0, 0]
  const run = (): void => {
    counts.fill(0)
    for (let i = 0; i < 100; i++) counts[workers[(i * i + (i >> 2)) % 3]!.next()!]!++
  }
  run()
  assert.deepEqual(counts, [90, 10])
  for (let i = 0; i < 37; i++) workers[0]!.next()
  // Each hears of the change at another moment.
  for (let worker = 0; worker < 3; worker++) {
    workers[worker] = choiceOf([70, 30], counter, workers[worker])
    workers[worker]!.next()
  }
  run()
  assert.deepEqual(counts, [70, 30])
})
