/**
 * Reads typed values out of a ConfigMap's data. A value that is not of its type is refused with the words Knative's
 * webhook uses, which are Go's (knative.dev/pkg `configmap.Parse`, `strconv`).
 */
import { quantityProblem } from '../kube/api/quantity.ts'
import { durationError, parseDuration } from './duration.ts'

export type ConfigData = Readonly<Record<string, string>>

/** The value of the last of `keys` that is present: old spellings are given first, so the new one wins. */
export function raw(data: ConfigData, ...keys: readonly string[]): string | undefined {
  return data[keyOf(data, keys)]
}

const keyOf = (data: ConfigData, keys: readonly string[]): string =>
  keys.findLast((key) => Object.hasOwn(data, key)) ?? ''

const refuse = (key: string, error: string): never => {
  throw new Error(`failed to parse ${JSON.stringify(key)}: ${error}`)
}

/** Text as it is. */
export const asString = (data: ConfigData, fallback: string, ...keys: string[]): string =>
  raw(data, ...keys) ?? fallback

/** What Go's ParseBool takes for true is true; anything else that is present is false, never an error. */
export function asBoolean(data: ConfigData, fallback: boolean, ...keys: string[]): boolean {
  const text = raw(data, ...keys)
  return text === undefined ? fallback : isTrue(text)
}

/** Go's ParseBool without its error: 1, t, T, TRUE, true, True. */
const isTrue = (text: string): boolean => /^(1|t|T|TRUE|true|True)$/.test(text)

/** True for `Enabled` in any case. */
export function asEnabled(data: ConfigData, fallback: boolean, ...keys: string[]): boolean {
  const text = raw(data, ...keys)
  return text === undefined ? fallback : text.toLowerCase() === 'enabled'
}

/** A whole number of `bits` bits. */
export function asInteger(
  data: ConfigData,
  fallback: number,
  keys: string | readonly string[],
  { bits = 64, call = 'ParseInt' }: { readonly bits?: 32 | 64; readonly call?: string } = {},
): number {
  const all = typeof keys === 'string' ? [keys] : keys
  const text = raw(data, ...all)
  if (text === undefined) return fallback
  const value = parseInteger(text, bits)
  return typeof value === 'number'
    ? value
    : refuse(keyOf(data, all), `strconv.${call}: parsing ${JSON.stringify(text)}: ${value}`)
}

/** The number, or Go's complaint: `invalid syntax`, `value out of range`. */
export function parseInteger(text: string, bits: 32 | 64 = 64): number | string {
  if (!/^[+-]?\d+$/.test(text)) return 'invalid syntax'
  const value = Number(text)
  const limit = bits === 32 ? 2 ** 31 : 2 ** 63
  return value < -limit || value >= limit ? 'value out of range' : value === 0 ? 0 : value
}

/** The number, or undefined, as Go's ParseFloat reads decimal numbers. */
export function parseFloat64(text: string): number | undefined {
  if (/^[+-]?(\d+(?:\.\d*)?|\.\d+)([eE][+-]?\d+)?$/.test(text)) {
    const value = Number(text)
    return Number.isFinite(value) ? value : undefined
  }
  return undefined
}

export function asFloat(data: ConfigData, fallback: number, ...keys: string[]): number {
  const text = raw(data, ...keys)
  if (text === undefined) return fallback
  return (
    parseFloat64(text) ??
    refuse(keyOf(data, keys), `strconv.ParseFloat: parsing ${JSON.stringify(text)}: invalid syntax`)
  )
}

/** Milliseconds of a Go duration. */
export function asDurationMs(data: ConfigData, fallbackMs: number, ...keys: string[]): number {
  const text = raw(data, ...keys)
  if (text === undefined) return fallbackMs
  return parseDuration(text) ?? refuse(keyOf(data, keys), durationError(text))
}

/** Comma-separated words. */
export function asList(
  data: ConfigData,
  fallback: readonly string[],
  ...keys: string[]
): readonly string[] {
  const text = raw(data, ...keys)
  if (text === undefined) return fallback
  const words = text.split(',').map((word) => word.trim())
  return words.filter((word) => word !== '')
}

/** A quantity in its text form; '' and an absent key are undefined. */
export function asQuantity(
  data: ConfigData,
  fallback: string | undefined,
  ...keys: string[]
): string | undefined {
  const text = raw(data, ...keys)
  if (text === undefined) return fallback
  if (text === '') return undefined
  const problem = quantityProblem(text)
  return problem === undefined ? text : refuse(keyOf(data, keys), problem)
}

/** A number as Go's `%v` prints float64: shortest form, exponents of two digits (`1e-05`, `1e+21`). */
export function goFloat(value: number): string {
  const magnitude = Math.abs(value)
  if (magnitude !== 0 && (magnitude < 1e-4 || magnitude >= 1e21)) {
    return value.toExponential().replace(/e([+-])(\d)$/, 'e$10$2')
  }
  return String(value)
}
