/**
 * Time as an argument. Everything that waits or reads the hour is handed a `Clock`, so tests move time
 * themselves (`testing/sim-clock.ts`) and hours of autoscaling take milliseconds.
 */
export interface Clock {
  /** Wall-clock milliseconds since the epoch, for people and timestamps. */
  now(): number
  /** Monotonic milliseconds with a fraction, for measuring; on Linux the same in every process of the machine. */
  monotonic(): number
  /** Calls `fn` once, `delayMs` from now. Returns the function that cancels it; cancelling twice is harmless. */
  after(delayMs: number, fn: () => void): () => void
}

/**
 * What to add to `performance.now()`, which begins with each process, to get CLOCK_MONOTONIC, which all processes of a
 * machine share: both tick alike, so steps that several processes note down can be put in one order.
 */
const processStartMs =
  typeof process === 'undefined' ? 0 : Number(process.hrtime.bigint()) / 1e6 - performance.now()

/** The machine's own clock. Its alarms do not keep the process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => processStartMs + performance.now(),
  after: (delayMs, fn) => {
    // Node fires at once, with a warning, when a delay exceeds 2^31-1 ms.
    const timer = setTimeout(fn, Math.min(Math.max(delayMs, 0), 2_147_483_647))
    timer.unref()
    return () => clearTimeout(timer)
  },
}

/** Resolves after `delayMs`; resolves early, without error, when `signal` aborts. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve()
    const done = () => {
      cancel()
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const cancel = clock.after(delayMs, done)
    signal?.addEventListener('abort', done, { once: true })
  })
}

/** `nowMs` as Kubernetes writes times: RFC 3339, UTC, whole seconds (`2026-11-21T10:15:14Z`). */
export function rfc3339(nowMs: number): string {
  const second = Math.floor(nowMs / 1000)
  if (last?.second !== second)
    last = { second, text: `${new Date(nowMs).toISOString().slice(0, 19)}Z` }
  return last.text
}

/** Most stamps are of the same second as the one before. */
let last: { readonly second: number; readonly text: string } | undefined
