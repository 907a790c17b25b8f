import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { QueueBudget, WaitQueue, type Waiter } from './breaker.ts'

const waiter = (): Waiter => ({ queue: undefined, ahead: undefined, behind: undefined })

test('a queue has a capacity, and all queues together have one', () => {
  const budget = new QueueBudget(3)
  const first = new WaitQueue(2, budget)
  const second = new WaitQueue(2, budget)
  assert.deepEqual(
    [first.push(waiter()), first.push(waiter()), first.push(waiter())],
    [true, true, false],
  )
  assert.deepEqual([second.push(waiter()), second.push(waiter())], [true, false])
  first.shift()
  assert.equal(second.push(waiter()), true)
  assert.equal(budget.used, 3)
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
