/** Moments as Go writes them into events: RFC 3339 with nanoseconds, UTC. */
import type { Clock } from '../../lib/clock.ts'

let lastMs = Number.NaN
let lastText = ''

/** The clock has milliseconds; what is finer comes from the monotonic one, so that two events differ. */
export function nanoTime(clock: Clock): string {
  const nowMs = clock.now()
  const fine = Math.floor((clock.monotonic() % 1) * 1_000_000)
  // Many events come in one millisecond, and its text costs more than all the rest.
  if (nowMs !== lastMs) {
    lastMs = nowMs
    lastText = new Date(nowMs).toISOString().slice(0, -1)
  }
  return `${lastText}${String(1_000_000 + fine).slice(1)}Z`
}
