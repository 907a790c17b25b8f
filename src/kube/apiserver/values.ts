/** Small tools over JSON values. Values are never changed in place; unchanged parts are shared with the input. */
import type { KubeObject, UnknownObject } from '../api/meta.ts'

export type Fields = Readonly<Record<string, unknown>>

export const isRecord = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The value as a map, or an empty one. */
export const fieldsOf = (value: unknown): Fields => (isRecord(value) ? value : {})

/** An object whose fields beyond metadata are read with care. */
export const open = (object: KubeObject): UnknownObject => object as UnknownObject

/** `object` without one field; the same object when it has none. */
export function without<T extends object>(object: T, ...fields: string[]): T {
  if (!fields.some((field) => field in object)) return object
  return Object.fromEntries(Object.entries(object).filter(([key]) => !fields.includes(key))) as T
}

/** Deep equality of JSON values; an absent field equals an undefined one. Shared parts cost nothing. */
export function equal(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false
    return a.every((item, index) => equal(item, b[index]))
  }
  if (!isRecord(a) || !isRecord(b)) return false
  for (const key of Object.keys(a)) if (!equal(a[key], b[key])) return false
  for (const key of Object.keys(b)) if (b[key] !== undefined && !Object.hasOwn(a, key)) return false
  return true
}
