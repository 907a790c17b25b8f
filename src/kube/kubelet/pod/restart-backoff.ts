/** When a container may start again, and how Kubernetes writes the waiting time. Pure. */

const firstDelayMs = 10_000
const longestDelayMs = 300_000
/** A container that ran this long starts with a clean slate. */
export const resetAfterMs = 600_000

/** Delay before the next start after `failures` ends in a row: none after the first, then 10 s, 20 s … 300 s. */
export const restartDelayMs = (failures: number): number =>
  failures <= 1 ? 0 : Math.min(firstDelayMs * 2 ** Math.min(failures - 2, 10), longestDelayMs)

/** Delay before the next attempt to get an image, after `failures` attempts: 10 s, 20 s … 300 s. */
export const imageDelayMs = (failures: number): number => restartDelayMs(failures + 1)

/** How many ends in a row this one makes. */
export const countFailure = (failures: number, ranMs: number): number =>
  ranMs >= resetAfterMs ? 1 : failures + 1

/** `10s`, `1m20s`, `5m0s`: durations as Go prints them. */
export function durationText(ms: number): string {
  const seconds = Math.round(ms / 1000)
  const minutes = Math.floor(seconds / 60)
  const hours = Math.floor(minutes / 60)
  if (hours > 0) return `${hours}h${minutes % 60}m${seconds % 60}s`
  return minutes > 0 ? `${minutes}m${seconds % 60}s` : `${seconds}s`
}
