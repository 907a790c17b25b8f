/**
 * A CloudEvent as it travels through us: its attributes, and its data as the very bytes that came. Data is never parsed
 * on the way, so numbers, duplicate keys and white space arrive as they were sent. Rules: CloudEvents 1.0.2, sections
 * "Context Attributes" and "Type System"; what is refused is what Knative's ingress refuses.
 */

/** Boolean and Integer keep their type where the sender stated it (JSON); everything else is text. */
export type AttributeValue = string | number | boolean

export interface CloudEvent {
  /** By name, `specversion`, `id`, `source` and `type` among them. */
  readonly attributes: Readonly<Record<string, AttributeValue>>
  /** Absent = no data, which is not the same as none of it. */
  readonly data?: Buffer
  /**
   * Header text of attributes, where a sender wrote it otherwise than we would. It goes on untouched: receivers that
   * don't decode headers, and there are many, see what they would see without us.
   */
  readonly headerText?: Readonly<Record<string, string>>
}

/** Why something is no CloudEvent; the message names the attribute. */
export class CloudEventError extends Error {
  override readonly name = 'CloudEventError'
}

/** Attributes that are never numbers or booleans. */
const strings: ReadonlySet<string> = new Set([
  'specversion',
  'id',
  'source',
  'type',
  'dataschema',
  'schemaurl',
  'time',
  'datacontenttype',
  'subject',
])

/** The canonical text of a value (CloudEvents 1.0.2, "Type System"). */
export const textOf = (value: AttributeValue | undefined): string =>
  value === undefined ? '' : String(value)

/** Largest magnitude of an Integer: 32 bits, signed. */
export const isInteger = (value: number): boolean =>
  Number.isInteger(value) && value >= -2_147_483_648 && value <= 2_147_483_647

/** Throws CloudEventError for the first rule that does not hold. */
export function checkEvent({ attributes }: CloudEvent): void {
  checkRequired(attributes)
  for (const [name, value] of Object.entries(attributes)) {
    checkName(name)
    if (typeof value === 'number' && !isInteger(value))
      throw new CloudEventError(
        `${name}: ${value} is not an Integer of 32 bits; send it as a string`,
      )
    if (typeof value === 'string') checkText(name, value)
    else if (strings.has(name))
      throw new CloudEventError(`${name}: must be a string, not ${typeof value}`)
  }
  checkFormats(attributes)
}

/** The version, and what every event has. */
export function checkRequired(attributes: CloudEvent['attributes']): void {
  const { specversion, id, source, type } = attributes
  if (specversion !== '1.0' && specversion !== '0.3')
    throw new CloudEventError(
      specversion === undefined || specversion === ''
        ? 'specversion: missing; every CloudEvent states its version, as "1.0"'
        : `specversion: ${quoted(specversion)} is not known; 1.0 and 0.3 are, 0.2 and 0.1 are converted`,
    )
  if (id === undefined || id === '') throw missing('id')
  if (source === undefined || source === '') throw missing('source')
  if (type === undefined || type === '') throw missing('type')
}

const missing = (name: string): CloudEventError =>
  new CloudEventError(`${name}: missing; every CloudEvent has one, which is not empty`)

/** Throws CloudEventError when no attribute may have this name. */
export function checkName(name: string): void {
  for (let i = 0; i < name.length; i++) {
    const code = name.charCodeAt(i)
    if (!((code >= 97 && code <= 122) || (code >= 48 && code <= 57))) throw badName(name)
  }
  if (name === '') throw badName(name)
  if (name === 'data') throw new CloudEventError('data: reserved; no attribute may have this name')
}

const badName = (name: string): CloudEventError =>
  new CloudEventError(
    `${quoted(name)}: not a name of an attribute; those consist of the letters a to z and of digits`,
  )

/** Throws CloudEventError when the text has characters that a String must not have. */
export function checkText(name: string, value: string): void {
  if (hasControls(value))
    throw new CloudEventError(`${name}: has a control character or half of a surrogate pair`)
}

/** What the attributes of the specification look like; all are strings by now. */
export function checkFormats(attributes: CloudEvent['attributes']): void {
  const { source, dataschema, schemaurl, time, datacontenttype, subject } = attributes
  if (typeof source === 'string') uriReference('source', source)
  if (typeof dataschema === 'string') uriReference('dataschema', dataschema)
  if (typeof schemaurl === 'string') uriReference('schemaurl', schemaurl)
  if (typeof time === 'string') timestamp('time', time)
  if (typeof datacontenttype === 'string') mediaType('datacontenttype', datacontenttype)
  if (typeof subject === 'string') notBlank('subject', subject)
}

/** Paths and names, as most are. */
const plainReference = /^[\w/.~-]*$/

/**
 * As lenient as what senders use, about letters and about `%` in a query; what a parser takes apart must be there: a
 * scheme before the first colon, a host that is closed, a port that is a number.
 */
const reference =
  /^(?:[a-z][a-z0-9+.-]*:|(?![^/?#]*:))(?:\/\/(?:[^/?#@\s]*@)?(?:\[[0-9a-f:.]+(?:%25[^\]\s]+)?\]|[^/?#:@[\]\s]*)(?::\d*)?(?=[/?#]|$)|(?!\/\/))(?:[^%?#]|%[0-9a-f]{2})*(?:\?[^#]*)?(?:#(?:[^%]|%[0-9a-f]{2})*)?$/i

function uriReference(name: string, value: string): void {
  if (!plainReference.test(value) && !reference.test(value))
    throw new CloudEventError(`${name}: ${quoted(value)} is not a URI reference (RFC 3986)`)
}

const rfc3339 =
  /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])[Tt]([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$/

function notBlank(name: string, value: string): void {
  if (value.trim() === '')
    throw new CloudEventError(`${name}: blank; leave it out or say something`)
}

/** Whether the month has the day that the text begins with: `2026-02-30` is no date. */
function isDay(text: string): boolean {
  // Before the 20th.
  if (text.charCodeAt(8) < 50) return true
  const day = Number(text.slice(8, 10))
  if (day <= 28) return true
  return (
    day <= new Date(Date.UTC(Number(text.slice(0, 4)), Number(text.slice(5, 7)), 0)).getUTCDate()
  )
}

function timestamp(name: string, value: string): void {
  if (!rfc3339.test(value) || !isDay(value))
    throw new CloudEventError(
      `${name}: ${quoted(value)} is not a timestamp (RFC 3339, as 2026-11-21T10:15:14Z)`,
    )
}

function mediaType(name: string, value: string): void {
  if (!/^\s*[\w!#$%&'*+.^`|~-]+(\/[\w!#$%&'*+.^`|~-]+)?\s*(;|$)/.test(value))
    throw new CloudEventError(`${name}: ${quoted(value)} is not a media type (RFC 2046)`)
}

/** Characters that a String must not have (CloudEvents 1.0.2, "Type System"). */
function hasControls(text: string): boolean {
  // Nearly every attribute is plain ASCII.
  if (/^[\x20-\x7E]*$/.test(text)) return false
  return /[\p{Cc}\p{Cs}\uFDD0-\uFDEF]|[\uFFFE\uFFFF]/u.test(text)
}

const quoted = (value: AttributeValue): string => JSON.stringify(String(value).slice(0, 80))
