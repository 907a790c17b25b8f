/** Flags that say which events are meant. */
import type { Selection } from '../../eventing/broker/following/selection.ts'
import type { FilterSpec } from '../../eventing/broker/delivery/filters.ts'
import { compileCesql } from '../../eventing/cesql/cesql.ts'
import { CesqlSyntaxError } from '../../eventing/cesql/syntax.ts'
import { UsageError, type Arguments } from '../command.ts'

/** Throws UsageError. */
export function selectionOf(args: Arguments, nowMs: number): Selection {
  const filters: FilterSpec[] = []
  for (const name of ['type', 'source']) {
    const value = args.string(name)
    if (value !== undefined) filters.push({ exact: { [name]: value } })
  }
  const cesql = args.string('filter')
  if (cesql !== undefined) filters.push({ cesql: readable(cesql) })
  const id = args.string('id')
  const sinceMs = momentOf(args, 'since', nowMs)
  const untilMs = momentOf(args, 'until', nowMs)
  if (sinceMs !== undefined && untilMs !== undefined && sinceMs > untilMs)
    throw new UsageError(
      `--since ${args.string('since')} is later than --until ${args.string('until')}: nothing lies between them`,
    )
  return {
    ...(id !== undefined && { id }),
    ...(sinceMs !== undefined && { sinceMs }),
    ...(untilMs !== undefined && { untilMs }),
    ...(filters.length > 0 && { filter: { filters } }),
  }
}

function readable(cesql: string): string {
  try {
    compileCesql(cesql)
    return cesql
  } catch (error) {
    if (error instanceof CesqlSyntaxError) throw new UsageError(`--filter: ${error.message}`)
    throw error
  }
}

const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

function momentOf(args: Arguments, flag: string, nowMs: number): number | undefined {
  const text = args.string(flag)
  if (text === undefined) return undefined
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text) ?? []
  if (number !== undefined) return Math.round(nowMs - Number(number) * (unitMs[unit] ?? 0))
  const moment = momentIn(text)
  if (!Number.isNaN(moment)) return moment
  throw new UsageError(
    `--${flag}: expected how long ago, as 15m, or a moment, as 2026-11-21T10:00:00Z, with Z or an offset as +02:00, or by the clock of this machine without; found "${text}"`,
  )
}

/** As RFC 3339 has it, or as `ebb event` prints it; a day alone begins here, not in Greenwich. NaN = it is none. */
function momentIn(text: string): number {
  const [, day = '', time = '00:00', zone = ''] =
    /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(Z|[+-]\d\d:\d\d)?)?$/.exec(text) ?? []
  const midnight = Date.parse(`${day}T00:00Z`)
  // Of the 31st of February the parser makes one of March.
  const isDay = !Number.isNaN(midnight) && new Date(midnight).toISOString().startsWith(day)
  return isDay ? Date.parse(`${day}T${time}${zone}`) : Number.NaN
}

export function countOf(args: Arguments, flag: string, fallback: number): number {
  const text = args.string(flag)
  if (text === undefined) return fallback
  if (!/^[1-9]\d{0,8}$/.test(text))
    throw new UsageError(`--${flag}: expected a number of 1 or more, found "${text}"`)
  return Number(text)
}
