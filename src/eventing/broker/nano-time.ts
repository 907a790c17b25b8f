/** Moments as Go writes them into events: RFC 3339 with nanoseconds, UTC. */
import type { Clock } from '../../lib/clock.ts'

/** The clock has milliseconds; what is finer comes from the monotonic one, so that two events differ. */
export function nanoTime(clock: Clock): string {
  const nowMs = clock.now()
  const fine = Math.floor((clock.monotonic() % 1) * 1_000_000)
  return `${new Date(nowMs).toISOString().slice(0, -1)}${String(fine).padStart(6, '0')}Z`
}
