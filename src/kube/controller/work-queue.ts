/**
 * The queue of keys in front of a reconciler, after client-go's util/workqueue: a key waits at most once, is never
 * worked on twice at the same time, and comes back later when it failed. Nothing polls: urgent work begins in the
 * microtask after a key was added, other work in the next turn of the event loop, so that a chain of urgent steps (a
 * request waits for its pod) runs to its end before those who only keep books have their say. After a burst the event
 * loop may breathe.
 */
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import { noteWork, type QueueMetrics } from './queue-metrics.ts'

export interface WorkQueue extends AsyncDisposable {
  /** Keys waiting now, without those that are being worked on or wait for their time. */
  readonly length: number
  /** `urgent`: a request waits for this; it does not wait for a turn of the event loop. */
  add(key: string, urgent?: boolean): void
  /** True for a key that is being worked on and was added again meanwhile: it is worked on once more right afterwards. */
  isAgain(key: string): boolean
  /** Adds the key after a delay; an earlier alarm for the same key stands. */
  addAfter(key: string, delayMs: number): void
  /** Adds the key after its back-off: 5 ms, doubling each time, at most 1,000 s. */
  retry(key: string): void
  /** Ends the back-off of a key: it succeeded, or is gone. */
  forget(key: string): void
  /** Resolves when nothing waits and nothing is worked on; alarms do not count. */
  idle(): Promise<void>
}

export interface WorkQueueOptions {
  readonly clock: Clock
  readonly log: Log
  /** What to do with a key. A rejection is logged and retried; expected failures are handled inside. */
  readonly work: (key: string) => Promise<void>
  /** Keys worked on at once; default 16. */
  readonly concurrency?: number
  /** Keys waiting at most; default 100,000. Beyond it keys are dropped and later made up for by `all`. */
  readonly capacity?: number
  /** Every key there is, asked for after keys had to be dropped. */
  readonly all?: () => Iterable<string>
  /** Where the queue is counted, and by which name. */
  readonly metrics?: QueueMetrics | undefined
  readonly name?: string
}

const firstDelayMs = 5
const maxDelayMs = 1_000_000
/** Keys started before the event loop gets a turn. */
const burst = 64

export function createWorkQueue(options: WorkQueueOptions): WorkQueue {
  const { clock, log, work, concurrency = 16, capacity = 100_000, all } = options
  const waiting = new Set<string>()
  const counts = options.metrics?.queue(options.name ?? '', () => waiting.size)
  /** Those of the waiting keys, and of the dirty ones, that are urgent. */
  const urgentKeys = new Set<string>()
  const active = new Set<string>()
  /** Added again while being worked on. */
  const dirty = new Set<string>()
  const alarms = new Map<string, { atMs: number; cancel: () => void }>()
  const failures = new Map<string, number>()
  let idlers: (() => void)[] = []
  let scheduled = false
  let hurrying = false
  let startedThisTurn = 0
  let overflowed = false
  let refill: Iterator<string> | undefined
  let disposed = false

  const add = (key: string, urgent = false) => {
    if (disposed) return
    if (urgent) urgentKeys.add(key)
    if (active.has(key)) return void dirty.add(key)
    if (waiting.size >= capacity && !waiting.has(key)) {
      if (!overflowed) log.error('work queue is full, keys will be made up for later', { capacity })
      overflowed = true
      urgentKeys.delete(key)
      return
    }
    if (counts && !waiting.has(key)) counts.adds++
    waiting.add(key)
    if (urgent) hurry()
    else schedule()
  }

  const addAfter = (key: string, delayMs: number) => {
    if (disposed) return
    const atMs = clock.monotonic() + delayMs
    const earlier = alarms.get(key)
    if (earlier && earlier.atMs <= atMs) return
    earlier?.cancel()
    const cancel = clock.after(delayMs, () => {
      alarms.delete(key)
      add(key)
    })
    alarms.set(key, { atMs, cancel })
  }

  const retry = (key: string) => {
    const count = failures.get(key) ?? 0
    failures.set(key, count + 1)
    if (counts) counts.retries++
    addAfter(key, Math.min(firstDelayMs * 2 ** count, maxDelayMs))
  }

  const schedule = () => {
    if (scheduled || active.size >= concurrency) return
    scheduled = true
    setImmediate(() => {
      scheduled = false
      startedThisTurn = 0
      if (waiting.size < capacity / 2) makeUp()
      pump(waiting)
    })
  }

  const hurry = () => {
    if (hurrying || active.size >= concurrency) return
    if (startedThisTurn >= burst) return schedule()
    hurrying = true
    queueMicrotask(() => {
      hurrying = false
      pump(urgentKeys)
    })
  }

  const pump = (keys: Iterable<string>) => {
    for (const key of keys) {
      if (!waiting.has(key)) continue // of an urgent one that is being worked on
      if (disposed || active.size >= concurrency) return
      if (startedThisTurn >= burst) return schedule()
      if (startedThisTurn++ === 0) setImmediate(() => (startedThisTurn = 0))
      waiting.delete(key)
      urgentKeys.delete(key)
      active.add(key)
      void run(key)
    }
    if (waiting.size === 0 && active.size === 0) {
      for (const resolve of idlers) resolve()
      idlers = []
    }
  }

  /** After an overflow: goes through all keys in portions, so that none is lost and none is starved. */
  const makeUp = () => {
    if (overflowed && !refill && all) refill = all()[Symbol.iterator]()
    overflowed = false
    while (refill && waiting.size < capacity) {
      const next = refill.next()
      if (next.done) refill = undefined
      else add(next.value)
    }
  }

  const run = async (key: string) => {
    const startedMs = counts ? clock.monotonic() : 0
    try {
      await work(key)
    } catch (error) {
      log.error('work on a key failed unexpectedly', { error, key })
      retry(key)
    }
    if (counts) noteWork(counts, (clock.monotonic() - startedMs) / 1000)
    active.delete(key)
    if (dirty.delete(key)) add(key, urgentKeys.has(key))
    if (!disposed && urgentKeys.size > 0) hurry()
    if (!disposed) schedule()
    else if (active.size === 0) for (const resolve of idlers) resolve()
  }

  const idle = () =>
    waiting.size === 0 && active.size === 0
      ? Promise.resolve()
      : new Promise<void>((resolve) => idlers.push(resolve))

  return {
    get length() {
      return waiting.size
    },
    add,
    isAgain: (key) => dirty.has(key),
    addAfter,
    retry,
    forget: (key) => void failures.delete(key),
    idle,
    async [Symbol.asyncDispose]() {
      disposed = true
      waiting.clear()
      urgentKeys.clear()
      for (const { cancel } of alarms.values()) cancel()
      alarms.clear()
      await idle()
    },
  }
}
