/** Work queues are counted under client-go's names. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silent } from '../../lib/log.ts'
import { settle, SimClock } from '../../testing/sim-clock.ts'
import { QueueMetrics } from './queue-metrics.ts'
import { createWorkQueue } from './work-queue.ts'

test('what is added, worked on and tried again is counted; a waiting key counts once', async () => {
  const clock = new SimClock()
  const metrics = new QueueMetrics()
  await using queue = createWorkQueue({
    clock,
    log: silent,
    name: 'things',
    metrics,
    work: async () => {},
  })
  queue.add('a')
  queue.add('a')
  queue.add('b')
  const line = (name: string) => {
    const found = metrics
      .text()
      .split('\n')
      .find((each) => each.startsWith(`${name}{`))
    return found?.split(' ')[1]
  }
  assert.equal(line('workqueue_depth'), '2')
  await queue.idle()
  queue.retry('a')
  await clock.advance(10)
  await settle()
  assert.deepEqual(
    ['depth', 'adds_total', 'retries_total', 'work_duration_seconds_count'].map((name) =>
      line(`workqueue_${name}`),
    ),
    ['0', '3', '1', '3'],
  )
})
