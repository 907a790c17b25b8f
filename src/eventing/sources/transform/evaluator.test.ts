import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SimClock } from '../../../testing/sim-clock.ts'
import { Evaluator } from './evaluator.ts'

test('what waits for a transform has a bound in all, however few events it is', async () => {
  const evaluator = new Evaluator({ clock: new SimClock() })
  const all = [
    evaluator.evaluate('1', '1'), // at once
    evaluator.evaluate('1', '1'.repeat((32 << 20) + 1)),
    evaluator.evaluate('1', '1'),
  ]
  const settled = Promise.allSettled(all)
  await assert.rejects(all[2] ?? Promise.resolve(), {
    name: 'EvaluationError',
    message: '1 events wait for this transform already: try again later',
  })
  await evaluator[Symbol.asyncDispose]()
  for (const each of await settled) assert.equal(each.status, 'rejected')
})
