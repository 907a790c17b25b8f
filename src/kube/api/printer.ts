/** How values are shown in tables: ages, names and lists, spelt as `kubectl get` users know them. */
import type { KubeObject } from './meta.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const YEAR = 365 * DAY

/** A duration for people: `45s`, `3m20s`, `17m`, `2h5m`, `30h`, `3d4h`, `400d`, `2y20d`. */
export function humanDuration(durationMs: number): string {
  if (durationMs < -2 * SECOND) return '<invalid>'
  if (durationMs < 0) return '0s'
  const two = (big: number, bigUnit: string, small: number, smallUnit: string) => {
    const rest = Math.floor((durationMs % big) / small)
    return `${Math.floor(durationMs / big)}${bigUnit}${rest ? `${rest}${smallUnit}` : ''}`
  }
  if (durationMs < 2 * MINUTE) return `${Math.floor(durationMs / SECOND)}s`
  if (durationMs < 10 * MINUTE) return two(MINUTE, 'm', SECOND, 's')
  if (durationMs < 3 * HOUR) return `${Math.floor(durationMs / MINUTE)}m`
  if (durationMs < 8 * HOUR) return two(HOUR, 'h', MINUTE, 'm')
  if (durationMs < 2 * DAY) return `${Math.floor(durationMs / HOUR)}h`
  if (durationMs < 8 * DAY) return two(DAY, 'd', HOUR, 'h')
  if (durationMs < 2 * YEAR) return `${Math.floor(durationMs / DAY)}d`
  if (durationMs < 8 * YEAR) return two(YEAR, 'y', DAY, 'd')
  return `${Math.floor(durationMs / YEAR)}y`
}

/** How long ago an RFC 3339 time was; `<unknown>` without one. */
export function humanAge(time: string | null | undefined, nowMs: number): string {
  if (!time) return '<unknown>'
  const at = Date.parse(time)
  return Number.isNaN(at) ? '<invalid>' : humanDuration(nowMs - at)
}

/** The age of an object, for `Age` columns. */
export const age = (object: KubeObject, nowMs: number): string =>
  humanAge(object.metadata.creationTimestamp, nowMs)

/** `a,b,c`, or `<none>`. */
export const commaList = (items: readonly string[]): string => items.join(',') || '<none>'

/** A map of labels as a selector: `a=b,c=d`, keys sorted, or `<none>`. */
export const labelList = (labels: Readonly<Record<string, string>> | undefined): string =>
  commaList(
    Object.entries(labels ?? {})
      .map(([key, value]) => `${key}=${value}`)
      .toSorted((a, b) => (a < b ? -1 : 1)),
  )

/** The first `limit` items, and how many there are beyond: `a,b,c + 2 more...`; `empty` without any. */
export function shortList(items: readonly string[], limit = 3, empty = '<none>'): string {
  if (items.length === 0) return empty
  const shown = items.slice(0, limit).join(',')
  return items.length > limit ? `${shown} + ${items.length - limit} more...` : shown
}
