/**
 * A work queue with the manners of a controller, for those that are no reconcilers of one kind (garbage collection,
 * scheduling): failures are retried with back-off, conflicts silently.
 */
import { hasReason } from '../api/status-error.ts'
import type { ControllerDeps } from '../controller/loop.ts'
import { createWorkQueue, type WorkQueue } from '../controller/work-queue.ts'

/** `work` answers after how many milliseconds it wants to look again, if at all. */
export function startWorker(
  name: string,
  { clock, log: parent, config, queueMetrics }: ControllerDeps,
  work: (key: string) => Promise<number | void>,
  all?: () => Iterable<string>,
): WorkQueue {
  const log = parent.child({ controller: name })
  const queue = createWorkQueue({
    clock,
    log,
    name,
    metrics: queueMetrics,
    ...config,
    ...(all && { all }),
    async work(key) {
      try {
        const againMs = await work(key)
        queue.forget(key)
        if (typeof againMs === 'number') queue.addAfter(key, againMs)
      } catch (error) {
        if (!hasReason(error, 'Conflict'))
          log.info('work failed and is tried again', { key, error })
        queue.retry(key)
      }
    },
  })
  return queue
}
