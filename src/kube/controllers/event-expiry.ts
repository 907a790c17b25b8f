/**
 * Forgets Events an hour after they were last seen, and the oldest when there are too many (upstream: the API server's
 * --event-ttl). One alarm for the oldest; a change costs nothing but a place in a line.
 */
import { keyOf, type ObjectKey } from '../api/meta.ts'
import { Event } from '../api/event.ts'
import { hasReason } from '../api/status-error.ts'
import type { ControllerDeps } from '../controller/loop.ts'

const lifetimeMs = 3_600_000
/** Kept at most, whatever their age. */
const maxEvents = 10_000
/** Looks at the line so often; expiry to the second is nobody's wish. */
const intervalMs = 60_000
/** Deleted in one go at most, so that a flood is cleared away beside the work that made it. */
const maxBatch = 500

export function startEventExpiry(
  { client, informers, clock, log }: ControllerDeps,
  capacity = maxEvents,
): AsyncDisposable {
  /** In the order in which they were last seen; the first goes first. */
  const line = new Map<string, { key: ObjectKey; seenMs: number }>()
  const subscriptions = new DisposableStack()
  let sweeping: Promise<void> | undefined
  let cancel = () => {}

  const sweep = async () => {
    let count = 0
    for (const [uid, { key, seenMs }] of line) {
      if (seenMs + lifetimeMs > clock.now() && line.size <= capacity) return
      if (++count > maxBatch || subscriptions.disposed) return
      line.delete(uid)
      try {
        await client.delete(Event, key, { preconditions: { uid } })
      } catch (error) {
        if (!hasReason(error, 'NotFound', 'Conflict')) throw error
      }
    }
  }

  const startSweep = () => {
    sweeping ??= sweep()
      .catch((error: unknown) => log.info('old events were not deleted', { error }))
      .finally(() => (sweeping = undefined))
  }

  const again = () => {
    cancel = clock.after(intervalMs, () => {
      startSweep()
      again()
    })
  }

  void informers.synced([Event]).then(() => {
    if (subscriptions.disposed) return
    subscriptions.use(
      informers.for(Event).subscribe((type, event) => {
        const { uid = '' } = event.metadata
        line.delete(uid)
        if (type === 'DELETED') return
        line.set(uid, { key: keyOf(event), seenMs: Math.min(lastSeenMs(event), clock.now()) })
        if (line.size > capacity * 1.1) startSweep()
      }),
    )
    // What is there at the start comes in no order.
    const sorted = [...line].toSorted(([, a], [, b]) => a.seenMs - b.seenMs)
    line.clear()
    for (const [uid, entry] of sorted) line.set(uid, entry)
    startSweep()
    again()
  })

  return {
    async [Symbol.asyncDispose]() {
      cancel()
      subscriptions.dispose()
      await sweeping
    },
  }
}

function lastSeenMs({ lastTimestamp, eventTime, series, metadata }: Event): number {
  const text =
    series?.lastObservedTime ?? lastTimestamp ?? eventTime ?? metadata.creationTimestamp ?? ''
  return Date.parse(text) || 0
}
