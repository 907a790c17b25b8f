/**
 * `format` of strings as apiextensions checks it (kube-openapi `strfmt`). Formats that are not known constrain nothing.
 * Each test is linear in the text.
 */
import { isIPv4, isIPv6 } from 'node:net'

type Test = (text: string) => boolean

const matching =
  (pattern: RegExp, maxLength = 10_000): Test =>
  (text) =>
    text.length <= maxLength && pattern.test(text)

const hex = (digits: number) => `[0-9a-fA-F]{${digits}}`
const uuid = (version: string, variant = '[0-9a-fA-F]') =>
  matching(
    new RegExp(`^${hex(8)}-?${hex(4)}-?${version}${hex(3)}-?${variant}${hex(3)}-?${hex(12)}$`),
  )

const tests: Readonly<Record<string, Test>> = {
  'date-time': isDateTime,
  datetime: isDateTime,
  date: isDate,
  duration: isDuration,
  email: isEmail,
  hostname: isHostname,
  ipv4: isIPv4,
  ipv6: (text) => isIPv6(text) && !text.includes('%'),
  ip: (text) => isIPv4(text) || isIPv6(text),
  cidr: isCidr,
  mac: matching(/^(?:[0-9a-fA-F]{2}[:-]){5}(?:(?:[0-9a-fA-F]{2}[:-]){2})?[0-9a-fA-F]{2}$/),
  uri: isUri,
  uuid: uuid('[0-9a-fA-F]'),
  uuid3: uuid('3'),
  uuid4: uuid('4', '[89abAB]'),
  uuid5: uuid('5', '[89abAB]'),
  byte: matching(/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/, Infinity),
  bsonobjectid: matching(/^[0-9a-fA-F]{24}$/),
  hexcolor: matching(/^#?(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})$/),
  rgbcolor: matching(/^rgb\( *\d{1,3} *, *\d{1,3} *, *\d{1,3} *\)$/),
  isbn10: matching(/^\d{9}[\dX]$/),
  isbn13: matching(/^97[89]\d{10}$/),
  isbn: matching(/^(?:\d{9}[\dX]|97[89]\d{10})$/),
  ssn: matching(/^\d{3}[- ]?\d{2}[- ]?\d{4}$/),
  creditcard: matching(/^\d{13,19}$/),
  'k8s-short-name': matching(/^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?$/, 63),
  'k8s-long-name': matching(
    /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/,
    253,
  ),
}

/** False when `text` is not of the format; true for formats that nobody knows. */
export const isOfFormat = (format: string, text: string): boolean =>
  !Object.hasOwn(tests, format) || (tests[format]?.(text) ?? true)

function isDateTime(text: string): boolean {
  const match =
    /^(\d{4}-\d\d-\d\d)[Tt ]([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?([Zz]|[+-]\d\d:\d\d)?$/.exec(
      text,
    )
  return match !== null && isDate(match[1] ?? '')
}

function isDate(text: string): boolean {
  const match = /^(\d{4})-(\d\d)-(\d\d)$/.exec(text)
  if (!match) return false
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])]
  return (
    month >= 1 && month <= 12 && day >= 1 && day <= new Date(Date.UTC(year, month, 0)).getUTCDate()
  )
}

/** Go's durations (`1h30m`), and words as in `3 days`. */
function isDuration(text: string): boolean {
  if (text.length > 100) return false
  return (
    /^[+-]?(?:0|(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)$/.test(text) ||
    /^\d+(?:\.\d+)? *(?:ns|nanos?|nanoseconds?|us|µs|micros?|microseconds?|ms|millis?|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|wks?|weeks?)$/.test(
      text,
    )
  )
}

function isEmail(text: string): boolean {
  const at = text.lastIndexOf('@')
  return (
    text.length <= 320 &&
    at > 0 &&
    /^(?:"[^"]*"|[^\s"(),:;<>@[\]\\]+)$/.test(text.slice(0, at)) &&
    /^[^\s@]+$/.test(text.slice(at + 1))
  )
}

function isHostname(text: string): boolean {
  const name = text.endsWith('.') ? text.slice(0, -1) : text
  if (name === '' || name.length > 253) return false
  return name
    .split('.')
    .every((label) =>
      /^[A-Za-z0-9_\u00a1-\uffff](?:[-\w\u00a1-\uffff]{0,61}[\w\u00a1-\uffff])?$/.test(label),
    )
}

export function isCidr(text: string): boolean {
  const slash = text.indexOf('/')
  const bits = text.slice(slash + 1)
  if (slash < 0 || !/^(?:0|[1-9]\d{0,2})$/.test(bits)) return false
  const address = text.slice(0, slash)
  return isIPv4(address) ? Number(bits) <= 32 : isIPv6(address) && Number(bits) <= 128
}

/** What Go's `url.ParseRequestURI` takes: absolute, or a path. */
function isUri(text: string): boolean {
  if (text.startsWith('/')) return !/[\s\u007f]/.test(text)
  return /^[A-Za-z][A-Za-z0-9+.-]*:[^\s\u007f]+$/.test(text)
}
