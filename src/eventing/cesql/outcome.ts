/** What an expression comes to: a value, and what went wrong first if anything did (CESQL 1.0, section 3.1). */
import type { Value } from './syntax.ts'

export type ErrorKind =
  | 'math'
  | 'cast'
  | 'missingAttribute'
  | 'missingFunction'
  | 'functionEvaluation'

export interface Problem {
  readonly kind: ErrorKind
  readonly message: string
}

export interface Outcome<T extends Value = Value> {
  readonly value: T
  readonly problem?: Problem
}

export const ok = <T extends Value>(value: T): Outcome<T> => ({ value })

export const failed = <T extends Value>(
  value: T,
  kind: ErrorKind,
  message: string,
): Outcome<T> => ({ value, problem: { kind, message } })

const integer = /^[+-]?\d+$/

export function toInteger(value: Value): Outcome<number> {
  if (typeof value === 'number') return ok(value)
  if (typeof value === 'boolean') return ok(value ? 1 : 0)
  const number = Number(value)
  return integer.test(value) && fits(number)
    ? ok(number)
    : failed(0, 'cast', `${JSON.stringify(value)} is not an Integer of 32 bits`)
}

export function toBoolean(value: Value): Outcome<boolean> {
  if (typeof value === 'boolean') return ok(value)
  if (typeof value === 'number') return ok(value !== 0)
  const lower = value.toLowerCase()
  return lower === 'true' || lower === 'false'
    ? ok(lower === 'true')
    : failed(false, 'cast', `${JSON.stringify(value)} is not a Boolean`)
}

export const toText = (value: Value): string => String(value)

/** Casts to the type of `like`. */
export function toTypeOf(like: Value, value: Value): Outcome {
  if (typeof like === 'number') return toInteger(value)
  if (typeof like === 'boolean') return toBoolean(value)
  return ok(toText(value))
}

export const fits = (number: number): boolean => number >= -2_147_483_648 && number <= 2_147_483_647
