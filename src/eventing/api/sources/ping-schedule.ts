/**
 * Schedules of PingSources: five fields or six with leading seconds, descriptors, a time zone (robfig/cron with
 * `SecondOptional | Descriptor`). Says what is wrong; when it is time is the engine's business.
 */
import { listedFields, scheduleProblem, spelledOut } from '../../../kube/api/cron-schedule.ts'

export interface ScheduleProblem {
  readonly field: 'schedule' | 'timezone'
  readonly text: string
}

/** Longer ones are nobody's. */
const maxLength = 1_000

/** `CRON_TZ=Europe/Berlin 0 7 * * *` says its zone itself. */
const zonePrefix = /^\s*(?:CRON_)?TZ=(\S*)\s+/

/** What is wrong with a schedule in a zone ('' = none), or undefined. */
export function pingScheduleProblem(
  schedule: string,
  timezone: string,
): ScheduleProblem | undefined {
  if (schedule.length > maxLength)
    return { field: 'schedule', text: `longer than ${maxLength} characters` }
  const { zone = '', fields } = separated(schedule, timezone)
  if (!isTimeZone(zone))
    return { field: 'timezone', text: `provided bad location ${zone}: unknown time zone ${zone}` }
  const text = fieldsProblem(fields)
  return text === undefined ? undefined : { field: 'schedule', text }
}

const longestMonths = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

/** Whether a schedule that is taken names only days that no month has: February 30th. */
export function neverComes(schedule: string): boolean {
  const [day = '', month = '', weekday = ''] = listedFields(separated(schedule, '').fields)
    .split(' ')
    .slice(-3)
  if (day === '*' || weekday !== '*') return false
  const months = month === '*' ? longestMonths.map((_, i) => i + 1) : month.split(',').map(Number)
  const first = Math.min(...day.split(',').map(Number))
  return months.every((each) => first > (longestMonths[each - 1] ?? 31))
}

function fieldsProblem(fields: string): string | undefined {
  if (fields.startsWith('@every')) return 'unsupported descriptor @every'
  if (fields.startsWith('@')) return scheduleProblem(fields)
  const parts = fields.split(/\s+/).filter(Boolean)
  if (parts.length === 0) return 'empty spec string'
  if (parts.length !== 5 && parts.length !== 6)
    return `expected 5 to 6 fields, found ${parts.length}: [${parts.join(' ')}]`
  const [seconds = '0'] = parts
  if (parts.length === 5) return scheduleProblem(fields)
  // Seconds have the range of minutes.
  return scheduleProblem(`${seconds} * * * *`) ?? scheduleProblem(parts.slice(1).join(' '))
}

/** The fields alone, descriptors spelled out and `?` said as `*`, and the zone they are meant in. */
export function separated(
  schedule: string,
  timezone: string,
): { readonly fields: string; readonly zone: string | undefined } {
  const [prefix = '', own] = zonePrefix.exec(schedule) ?? []
  const fields = spelledOut(schedule.slice(prefix.length).trim()).replaceAll('?', '*')
  const zone = own ?? timezone
  return { fields, zone: zone === '' || zone === 'Local' ? undefined : zone }
}

/** By its name in the IANA database. */
function isTimeZone(zone: string): boolean {
  if (zone === '') return true
  if (!/^[A-Za-z][\w+/-]*$/.test(zone)) return false
  try {
    new Intl.DateTimeFormat('en-US', { timeZone: zone })
    return true
  } catch {
    return false
  }
}
