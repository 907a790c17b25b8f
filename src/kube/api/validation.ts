/**
 * Complaints about fields in Kubernetes' words (its `field.Error`), and the name formats that many kinds share.
 * Validators are generators: they yield all complaints, callers throw them together by `refuseInvalid`.
 */
import type { KubeObject } from './meta.ts'
import { invalid, type FieldCause } from './status-error.ts'
import { printed, unsupported } from './type-errors.ts'

export type Complaints = Generator<FieldCause, void, undefined>

export const required = (field: string, why?: string): FieldCause => ({
  reason: 'FieldValueRequired',
  field,
  detail: why ? `Required value: ${why}` : 'Required value',
})

export const wrong = (field: string, value: unknown, why: string): FieldCause => ({
  reason: 'FieldValueInvalid',
  field,
  detail: `Invalid value: ${printed(value)}: ${why}`,
})

export const notSupported = (
  field: string,
  value: unknown,
  supported: readonly string[],
): FieldCause => ({
  reason: 'FieldValueNotSupported',
  field,
  detail: unsupported(value, supported),
})

export const notAllowed = (field: string, why: string): FieldCause => ({
  reason: 'FieldValueForbidden',
  field,
  detail: `Forbidden: ${why}`,
})

export const duplicate = (field: string, value: unknown): FieldCause => ({
  reason: 'FieldValueDuplicate',
  field,
  detail: `Duplicate value: ${printed(value)}`,
})

export const absent = (field: string, value: unknown): FieldCause => ({
  reason: 'FieldValueNotFound',
  field,
  detail: `Not found: ${printed(value)}`,
})

export const tooLong = (field: string, bytes: number): FieldCause => ({
  reason: 'FieldValueTooLong',
  field,
  detail: `Too long: may not be more than ${bytes} bytes`,
})

/** `complaints` of a part of an object, as complaints of the whole: `at` comes before their paths. */
export function* fieldPrefix(at: string, complaints: Iterable<FieldCause>): Complaints {
  for (const each of complaints) yield { ...each, field: `${at}.${each.field}` }
}

/** Throws 422 with all complaints, or answers the object when there are none. */
export function refuseInvalid<T extends KubeObject>(
  kind: { readonly group: string; readonly plural: string; readonly kind: string },
  object: T,
  complaints: Iterable<FieldCause>,
): T {
  const causes = [...complaints]
  if (causes.length > 0) throw invalid(kind, object.metadata.name, causes)
  return object
}

const label = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/
const label1035 = /^[a-z]([-a-z0-9]*[a-z0-9])?$/
const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/

/** What is wrong with a DNS-1123 label (container and volume names, namespaces). */
export const labelProblem = (value: string): string | undefined =>
  value.length > 63
    ? 'must be no more than 63 characters'
    : label.test(value)
      ? undefined
      : "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"

/** What is wrong with a DNS-1035 label (Service names). */
export const label1035Problem = (value: string): string | undefined =>
  value.length > 63
    ? 'must be no more than 63 characters'
    : label1035.test(value)
      ? undefined
      : "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"

/** What is wrong with a DNS-1123 subdomain (names of most objects). */
export const subdomainProblem = (value: string): string | undefined =>
  value.length > 253
    ? 'must be no more than 253 characters'
    : subdomain.test(value)
      ? undefined
      : "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"

/** What is wrong with the name of a port (IANA service name). */
export function portNameProblem(value: string): string | undefined {
  if (value.length > 15) return 'must be no more than 15 characters'
  if (!/^[-a-z0-9]+$/.test(value))
    return 'must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)'
  if (!/[a-z]/.test(value)) return 'must contain at least one letter (a-z)'
  if (value.includes('--')) return 'must not contain consecutive hyphens'
  if (value.startsWith('-') || value.endsWith('-')) return 'must not begin or end with a hyphen'
  return undefined
}

export const portNumberProblem = (value: number): string | undefined =>
  Number.isInteger(value) && value >= 1 && value <= 65_535
    ? undefined
    : 'must be between 1 and 65535, inclusive'

/** What is wrong with a port that may be a number or a name. */
export const portProblem = (value: number | string): string | undefined =>
  typeof value === 'number' ? portNumberProblem(value) : portNameProblem(value)

/** What is wrong with a key of a ConfigMap or Secret. */
export function configKeyProblem(value: string): string | undefined {
  if (value.length > 253) return 'must be no more than 253 characters'
  if (!/^[-._a-zA-Z0-9]+$/.test(value))
    return "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
  if (value === '.') return "must not be '.'"
  if (value === '..') return "must not be '..'"
  if (value.startsWith('..')) return "must not start with '..'"
  return undefined
}

const ipv4 = /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}$/

/** True for a dotted IPv4 address or something in the form of an IPv6 address. */
export const isIp = (value: string): boolean =>
  ipv4.test(value) || (value.includes(':') && /^[0-9a-fA-F:.]{2,45}$/.test(value))

/** `must be greater than or equal to 0`, where a number that is there must be. */
export function* notNegative(field: string, value: number | undefined): Complaints {
  if (value !== undefined && value < 0)
    yield wrong(field, value, 'must be greater than or equal to 0')
}

/** JSON with sorted keys: equal texts are equal values. */
export const canonicalJson = (value: unknown): string =>
  JSON.stringify(value, (_, each: unknown) =>
    typeof each === 'object' && each !== null && !Array.isArray(each)
      ? Object.fromEntries(Object.entries(each).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : each,
  )

/** True when two values are the same JSON, in whatever order of keys. */
export const sameJson = (a: unknown, b: unknown): boolean =>
  a === b || canonicalJson(a) === canonicalJson(b)

/**
 * `object` with `fallbacks` for what is absent or an empty string (which Go cannot tell from absent). The same
 * reference when nothing was missing.
 */
export function fill<T extends object>(object: T, fallbacks: Partial<T>): T {
  let answer: T | undefined
  for (const key in fallbacks) {
    const value = object[key]
    if (value !== undefined && value !== '' && value !== null) continue
    answer ??= { ...object }
    Object.assign(answer, { [key]: fallbacks[key] })
  }
  return answer ?? object
}

/** `list` with `change` applied to its items; the same reference when no item changed. */
export function mapSame<T>(list: readonly T[], change: (item: T) => T): readonly T[] {
  let answer: T[] | undefined
  for (const [i, item] of list.entries()) {
    const changed = change(item)
    if (changed !== item) (answer ??= [...list])[i] = changed
  }
  return answer ?? list
}
