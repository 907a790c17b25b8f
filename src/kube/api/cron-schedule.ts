/**
 * The five fields of a cron schedule as CronJob takes them (robfig/cron's standard parser): names, ranges, steps, lists
 * and `@hourly`. Only says what is wrong; when it is time is computed by the library that the controller loads.
 */
interface Field {
  readonly min: number
  readonly max: number
  readonly names?: readonly string[]
}

const months = 'jan feb mar apr may jun jul aug sep oct nov dec'.split(' ')
const days = 'sun mon tue wed thu fri sat'.split(' ')
const fields: readonly Field[] = [
  { min: 0, max: 59 },
  { min: 0, max: 23 },
  { min: 1, max: 31 },
  { min: 1, max: 12, names: months },
  { min: 0, max: 6, names: days },
]

const descriptors: Readonly<Record<string, string>> = {
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@hourly': '0 * * * *',
}

/** The schedule with its descriptor, if it is one, spelled out in five fields. */
export const spelledOut = (schedule: string): string => descriptors[schedule] ?? schedule

/** `@every 1h30m` as milliseconds; undefined when it is no such schedule. At least a second, as upstream rounds up. */
export function everyMs(schedule: string): number | undefined {
  const text = /^@every (.+)$/.exec(schedule)?.[1]
  if (text === undefined || !/^(\d+(\.\d+)?(h|m|s|ms))+$/.test(text)) return undefined
  let ms = 0
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|h|m|s)/g))
    ms += Number(amount) * ({ h: 3_600_000, m: 60_000, s: 1_000, ms: 1 }[unit ?? 's'] ?? 0)
  return Math.max(1_000, Math.floor(ms / 1_000) * 1_000)
}

/** What is wrong with a schedule, or undefined. */
export function scheduleProblem(schedule: string): string | undefined {
  if (schedule.startsWith('@')) {
    if (schedule in descriptors || everyMs(schedule) !== undefined) return undefined
    return `unrecognized descriptor: ${schedule}`
  }
  const parts = schedule.trim().split(/\s+/).filter(Boolean)
  if (parts.length === 0) return 'empty spec string'
  if (parts.length !== 5)
    return `expected exactly 5 fields, found ${parts.length}: [${parts.join(' ')}]`
  for (const [i, part] of parts.entries()) {
    const field = fields[i]
    for (const range of field ? part.split(',') : []) {
      const problem = field && rangeProblem(range, field)
      if (problem) return problem
    }
  }
  return undefined
}

/**
 * Five fields, or six with leading seconds, as lists of plain numbers: `5/20,mon` is read everywhere in its own way,
 * `5,25,45` in one. A field that is any value stays `*`, as days of month and of week then both have to match. What can't
 * be read is left as it is.
 */
export function listedFields(schedule: string): string {
  const parts = spelledOut(schedule.trim()).split(/\s+/)
  const [anyMinute] = fields
  const described = parts.length === 6 && anyMinute ? [anyMinute, ...fields] : fields
  if (parts.length !== described.length) return schedule
  return parts
    .map((part, i) => {
      const field = described[i]
      return field ? listed(part, field) : part
    })
    .join(' ')
}

function listed(part: string, field: Field): string {
  const values = new Set<number>()
  for (const text of part.split(',')) {
    if (/^[*?](\/1)?$/.test(text)) return '*'
    if (rangeProblem(text, field)) return part
    const [range = '', step] = text.split('/')
    const [low = '', high] = range.split('-')
    const any = low === '*' || low === '?'
    const first = any ? field.min : (numberIn(low, field) ?? field.min)
    const last =
      any || (high === undefined && step !== undefined)
        ? field.max
        : (numberIn(high ?? low, field) ?? first)
    for (let value = first; value <= last; value += Number(step ?? 1)) values.add(value)
  }
  return [...values].toSorted((a, b) => a - b).join(',')
}

function numberIn(word: string, { min, names = [] }: Field): number | undefined {
  const named = names.indexOf(word.toLowerCase())
  if (named >= 0) return named + min
  return /^\d{1,4}$/.test(word) ? Number(word) : undefined
}

function rangeProblem(text: string, field: Field): string | undefined {
  const { min, max } = field
  const number = (word: string) => numberIn(word, field)
  const [range = '', step, ...more] = text.split('/')
  if (more.length > 0) return `too many slashes: ${text}`
  const [low = '', high, ...rest] = range.split('-')
  if (rest.length > 0) return `too many hyphens: ${text}`
  let start = min
  let end = max
  if (low !== '*' && low !== '?') {
    const first = number(low)
    if (first === undefined)
      return `failed to parse int from ${low}: strconv.Atoi: parsing "${low}": invalid syntax`
    const last = high === undefined ? first : number(high)
    if (last === undefined)
      return `failed to parse int from ${high}: strconv.Atoi: parsing "${high}": invalid syntax`
    start = first
    end = high === undefined && step !== undefined ? max : last
  }
  if (start < min) return `beginning of range (${start}) below minimum (${min}): ${text}`
  if (end > max) return `end of range (${end}) above maximum (${max}): ${text}`
  if (start > end) return `beginning of range (${start}) beyond end of range (${end}): ${text}`
  if (step === undefined) return undefined
  const every = /^\d{1,4}$/.test(step) ? Number(step) : undefined
  if (every === undefined)
    return `failed to parse int from ${step}: strconv.Atoi: parsing "${step}": invalid syntax`
  return every === 0 ? `step of range should be a positive number: ${text}` : undefined
}
