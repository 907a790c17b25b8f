/**
 * CloudEvents in HTTP messages, requests and answers alike (CloudEvents 1.0.2, HTTP binding): binary, structured and
 * batched in, binary and structured out. Names of headers are lower case here, values have a character a byte.
 */
import {
  checkEvent,
  checkFormats,
  checkName,
  checkRequired,
  checkText,
  CloudEventError,
  textOf,
} from './cloud-event.ts'
import type { AttributeValue, CloudEvent } from './cloud-event.ts'
import {
  decodeContentType,
  decodeHeader,
  encodeContentType,
  encodeHeader,
  isPlain,
  isPrintable,
} from './header-value.ts'
import { decodeBase64, takeCoding } from './data-coding.ts'
import { formatJsonEvent, inBatch, parseJsonBatch, parseJsonEvent } from './json-format.ts'
import { fromOldHeaders } from './old-versions.ts'

export type Headers = readonly (readonly [name: string, value: string])[]

export interface Message {
  readonly headers: Headers
  readonly body: Buffer
}

export type Mode = 'binary' | 'structured' | 'batched'

/** How a message carries events; undefined = it carries none. */
export function modeOf(headers: Headers): Mode | undefined {
  let binary = false
  for (const [name, value] of headers) {
    if (name === 'content-type' && /^\s*application\/cloudevents/i.test(value))
      return /^\s*application\/cloudevents-batch/i.test(value) ? 'batched' : 'structured'
    if (name === 'ce-specversion' || name === 'ce-cloudeventsversion') binary = true
  }
  return binary ? 'binary' : undefined
}

const maxBatch = 10_000

/** The events in a message, each of them valid. Throws CloudEventError, whose message names the attribute. */
export function decodeMessage(message: Message): readonly CloudEvent[] {
  const mode = modeOf(message.headers)
  if (mode === undefined)
    throw new CloudEventError(
      'not a CloudEvent: there is neither a header ce-specversion nor a content type application/cloudevents+json',
    )
  if (mode === 'binary') return [decodeBinary(message)]
  const events = decodeJson(mode, message)
  for (const [i, event] of events.entries())
    if (mode === 'batched') inBatch(i, () => checkEvent(event))
    else checkEvent(event)
  return events
}

function decodeJson(mode: Mode, { headers, body }: Message): readonly CloudEvent[] {
  const type = valueOf(headers, 'content-type') ?? ''
  if (!/^\s*application\/cloudevents(-batch)?\+json\s*(;|$)/i.test(type))
    throw new CloudEventError(
      `content type ${JSON.stringify(type)}: of formats, JSON alone is read`,
    )
  const charset = /;\s*charset\s*=\s*"?([^";\s]+)/i.exec(type)?.[1]
  if (charset !== undefined && !/^utf-?8$/i.test(charset))
    throw new CloudEventError(`charset ${JSON.stringify(charset)}: JSON events are UTF-8`)
  return mode === 'batched' ? parseJsonBatch(body, maxBatch) : [parseJsonEvent(body)]
}

/** Checks as it goes: nearly every value is of characters that mean themselves, and is looked at once. */
function decodeBinary({ headers, body }: Message): CloudEvent {
  const old = fromOldHeaders(headers)
  if (old) {
    const event = withData(old, body)
    checkEvent(event)
    return event
  }
  const attributes: Record<string, AttributeValue> = {}
  let headerText: Record<string, string> | undefined
  let unusual: [name: string, value: string][] | undefined
  for (const [name, text] of headers) {
    if (!name.startsWith('ce-')) {
      if (name !== 'content-type' || text === '') continue
      if (attributes['datacontenttype'] !== undefined) throw twice('datacontenttype')
      const type = decodeContentType(text)
      attributes['datacontenttype'] = type
      if (!isPrintable(type)) (unusual ??= []).push(['datacontenttype', type])
      continue
    }
    if (name === 'ce-datacontenttype') continue
    const attribute = name.slice(3)
    checkName(attribute)
    const plain = isPlain(text)
    const value = plain ? text : decodeHeader(attribute, text)
    if (attributes[attribute] !== undefined && Object.hasOwn(attributes, attribute))
      throw twice(attribute)
    // An optional attribute that is empty is one that is not set.
    if (value === '') continue
    attributes[attribute] = value
    if (plain) continue
    ;(unusual ??= []).push([attribute, value])
    if (text !== encodeHeader(value)) (headerText ??= {})[attribute] = text
  }
  checkRequired(attributes)
  if (unusual) for (const [name, value] of unusual) checkText(name, value)
  checkFormats(attributes)
  const data = takeCoding(attributes) ? decodeBase64('data', body.toString('latin1')) : body
  const event = withData(attributes, data)
  return headerText ? { ...event, headerText } : event
}

const twice = (name: string): CloudEventError =>
  new CloudEventError(`${name}: there are two headers of this name`)

const withData = (attributes: CloudEvent['attributes'], body: Buffer): CloudEvent =>
  body.length === 0 && attributes['datacontenttype'] === undefined
    ? { attributes }
    : { attributes, data: body }

const none = Buffer.alloc(0)

/** Attributes as headers, data as body. */
export function encodeBinary({ attributes, data, headerText }: CloudEvent): Message {
  const headers: [string, string][] = []
  for (const [name, value] of Object.entries(attributes)) {
    if (name === 'datacontenttype') headers.push(['content-type', encodeContentType(textOf(value))])
    else {
      // Attributes may have names that all objects have.
      const text = headerText && Object.hasOwn(headerText, name) ? headerText[name] : undefined
      headers.push([`ce-${name}`, text ?? encodeHeader(textOf(value))])
    }
  }
  return { headers, body: data ?? none }
}

/** All in one JSON object. */
export const encodeStructured = (event: CloudEvent): Message => ({
  headers: [['content-type', 'application/cloudevents+json']],
  body: formatJsonEvent(event),
})

const valueOf = (headers: Headers, wanted: string): string | undefined =>
  headers.find(([name]) => name === wanted)?.[1]
