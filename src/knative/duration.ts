/** Go durations (`1m30s`, `500ms`), which Knative uses everywhere, as milliseconds. Follows Go's time.ParseDuration and Duration.String. */

const unitsNs: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  µs: 1_000n,
  μs: 1_000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
}

/** Go's largest duration, about 292 years. */
const maxNs = 2n ** 63n - 1n
const longestText = 100

/** Milliseconds (with a fraction), or undefined when `text` is not a Go duration. */
export function parseDuration(text: string): number | undefined {
  const match = text.length > longestText ? null : /^([+-]?)(.+)$/s.exec(text)
  if (!match) return undefined
  const [, sign, rest = ''] = match
  if (rest === '0') return 0
  const part = /(\d*)(?:\.(\d*))?(ns|us|µs|μs|ms|s|m|h)/y
  // In whole nanoseconds: sums of floats would drift.
  let totalNs = 0n
  while (part.lastIndex < rest.length) {
    const found = part.exec(rest)
    if (!found) return undefined
    const [, whole = '', fraction = '', unit = ''] = found
    if (whole === '' && fraction === '') return undefined
    const digits = BigInt(whole + fraction)
    totalNs += (digits * (unitsNs[unit] ?? 0n)) / 10n ** BigInt(fraction.length)
  }
  if (totalNs > maxNs) return undefined
  const ms = Number(totalNs / 1_000_000n) + Number(totalNs % 1_000_000n) / 1e6
  return sign === '-' && ms !== 0 ? -ms : ms
}

/** Go's error text for what `parseDuration` refuses: `time: invalid duration "5x"`. */
export function durationError(text: string): string {
  const quoted = JSON.stringify(text)
  if (/^[+-]?(\d+(?:\.\d*)?|\.\d+)$/.test(text)) return `time: missing unit in duration ${quoted}`
  const unknown =
    /^[+-]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))*(?:\d+(?:\.\d*)?|\.\d+)([^\d.]+)/.exec(
      text,
    )
  if (unknown && !Object.hasOwn(unitsNs, unknown[1] ?? ''))
    return `time: unknown unit ${JSON.stringify(unknown[1])} in duration ${quoted}`
  return `time: invalid duration ${quoted}`
}

/** As Go prints durations: `1h0m0s`, `1.5s`, `300ms`, `0s`. */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0s'
  const sign = ms < 0 ? '-' : ''
  // In whole nanoseconds from here: fractions of floats would show.
  const whole = Math.trunc(Math.abs(ms))
  const ns = BigInt(whole) * 1_000_000n + BigInt(Math.round((Math.abs(ms) - whole) * 1e6))
  if (ns < 1_000n) return `${sign}${ns}ns`
  if (ns < 1_000_000n) return `${sign}${decimal(ns, 3)}µs`
  if (ns < 1_000_000_000n) return `${sign}${decimal(ns, 6)}ms`
  const seconds = decimal(ns % 60_000_000_000n, 9)
  const minutes = ns / 60_000_000_000n
  if (minutes === 0n) return `${sign}${seconds}s`
  if (minutes < 60n) return `${sign}${minutes}m${seconds}s`
  return `${sign}${minutes / 60n}h${minutes % 60n}m${seconds}s`
}

/** `value` / 10^digits without trailing zeros. */
function decimal(value: bigint, digits: number): string {
  const text = value.toString().padStart(digits + 1, '0')
  const fraction = text.slice(-digits).replace(/0+$/, '')
  const whole = text.slice(0, -digits)
  return fraction ? `${whole}.${fraction}` : whole
}
