import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { QueueBudget, WaitQueue, type Waiter } from './breaker.ts'

const waiter = (): Waiter => ({ queue: undefined, ahead: undefined, behind: undefined })

test('a queue has a capacity, and all queues together have one', () => {
  const budget = new QueueBudget(6)
  const [first, second, third] = [0, 1, 2].map(() => new WaitQueue(2, budget)) as [
    WaitQueue,
    WaitQueue,
    WaitQueue,
  ]
  const push = (queue: WaitQueue) => queue.push(waiter())
  assert.deepEqual([push(first), push(first), push(first)], [true, true, false])
  assert.deepEqual([push(second), push(second), push(second)], [true, true, false])
  assert.deepEqual([push(third), push(third)], [true, false], 'one place is left for others')
  first.shift()
  assert.equal(push(third), true)
  assert.equal(budget.used, 5)
})

test('whoever bursts, there is room for those who have not waited yet', () => {
  fc.assert(
    fc.property(fc.integer({ min: 8, max: 2000 }), fc.nat({ max: 4 }), (room, bursting) => {
      const budget = new QueueBudget(room)
      for (let i = 0; i <= bursting; i++) {
        const queue = new WaitQueue(10_000, budget)
        let waiting = 0
        while (queue.push(waiter())) waiting++
        // Alone half of what was left.
        assert.equal(waiting, Math.ceil((budget.room + waiting) / 2))
      }
      if (budget.room > 0) assert.equal(new WaitQueue(10_000, budget).push(waiter()), true)
    }),
  )
})

test('any use keeps order and counts, as a plain array would', () => {
  const step = fc.oneof(
    fc.constant('push' as const),
    fc.constant('unshift' as const),
    fc.constant('shift' as const),
    fc.nat({ max: 10 }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const budget = new QueueBudget(1000)
      const queue = new WaitQueue(5, budget)
      let model: Waiter[] = []
      for (const action of steps) {
        const one = waiter()
        if (action === 'push') {
          if (queue.push(one)) model.push(one)
          else assert.ok(model.length >= 5)
        } else if (action === 'unshift') {
          queue.unshift(one)
          model.unshift(one)
        } else if (action === 'shift') assert.equal(queue.shift(), model.shift())
        else {
          const gone = model[action % (model.length || 1)] ?? one
          queue.remove(gone)
          model = model.filter((other) => other !== gone)
        }
        assert.equal(queue.size, model.length)
        assert.equal(budget.used, model.length)
      }
      for (const expected of model) assert.equal(queue.shift(), expected)
      assert.equal(queue.shift(), undefined)
    }),
  )
})
