/** CloudEvents as JSON objects (CloudEvents 1.0.2, JSON format). Data goes in and out as the text it stands in. */
import { isAscii, isUtf8 } from 'node:buffer'
import { checkName, CloudEventError } from './cloud-event.ts'
import type { AttributeValue, CloudEvent } from './cloud-event.ts'
import { decodeBase64, takeCoding } from './data-coding.ts'
import { jsonElements, jsonMembers } from './json-members.ts'
import { fromOldMembers } from './old-versions.ts'

/** Deeper data is refused: nobody means it. */
const maxDepth = 512
/** Attributes of one event, and the characters of all their values: senders of headers have far fewer. */
const maxAttributes = 1_000
const maxAttributeChars = 1 << 20

/** The event in one JSON object, not checked yet. Throws CloudEventError. */
export function parseJsonEvent(body: Buffer): CloudEvent {
  const { text, value } = parsed(body, 1)
  return eventOf(text, value)
}

/** The events of a batch. */
export function parseJsonBatch(body: Buffer, maxEvents: number): readonly CloudEvent[] {
  const { text, value } = parsed(body, 2)
  if (!Array.isArray(value))
    throw new CloudEventError('a batch of events is a JSON array; this is none')
  if (value.length > maxEvents)
    throw new CloudEventError(
      `a batch of ${value.length} events is too large: at most ${maxEvents}`,
    )
  return jsonElements(text).map((each, i) => inBatch(i, () => eventOf(each, value[i])))
}

/** What is wrong with one of many says with which, from 0. */
export function inBatch<T>(index: number, make: () => T): T {
  try {
    return make()
  } catch (error) {
    if (!(error instanceof CloudEventError)) throw error
    throw new CloudEventError(`event ${index}: ${error.message}`)
  }
}

/** `level` = how deep the members of an event stand in it. */
function parsed(body: Buffer, level: number): { readonly text: string; readonly value: unknown } {
  checkShape(body, level)
  if (!isUtf8(body)) throw new CloudEventError('not UTF-8, which JSON events are')
  const text = body.toString('utf8')
  try {
    return { text, value: JSON.parse(text) as unknown }
  } catch (error) {
    throw new CloudEventError(`not JSON: ${error instanceof Error ? error.message : ''}`)
  }
}

/** Less can have neither that many members nor that many levels. */
const smallBody = maxDepth * 2

/**
 * A parser takes seconds for millions of levels or members, in which nobody else is served: they are counted first. Which
 * bytes are structure is the same whether the rest is JSON or not, as long as it is some.
 */
function checkShape(body: Buffer, level: number): void {
  if (body.length <= smallBody) return
  let depth = 0
  let members = 0
  for (let at = 0; at < body.length; at++) {
    const byte = body[at]
    if (byte === 0x22) at = stringEnd(body, at)
    else if (byte === 0x7b || byte === 0x5b) {
      if (++depth > maxDepth + level) throw tooDeep()
      if (depth === level) members = 0
    } else if (byte === 0x7d || byte === 0x5d) depth--
    else if (byte === 0x2c && depth === level && ++members > maxAttributes + 1) throw tooMany()
  }
}

/** Where the string ends that begins there. */
function stringEnd(body: Buffer, from: number): number {
  let at = from + 1
  while (at < body.length && body[at] !== 0x22) at += body[at] === 0x5c ? 2 : 1
  return at
}

const tooDeep = () => new CloudEventError(`data: nested deeper than ${maxDepth} levels`)
const tooMany = () =>
  new CloudEventError(
    `more than ${maxAttributes} attributes; what an event is about goes into data`,
  )

function eventOf(text: string, value: unknown): CloudEvent {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new CloudEventError('a CloudEvent is a JSON object; this is none')
  const members = Object.entries(value) as [string, unknown][]
  const old = fromOldMembers(Object.fromEntries(members))
  const attributes: Record<string, AttributeValue> = {}
  let chars = 0
  for (const [name, each] of Object.entries(old?.attributes ?? value) as [string, unknown][]) {
    if (name === 'data' || name === 'data_base64' || each === null || each === '') continue
    checkName(name)
    attributes[name] = attributeOf(name, each)
    chars += name.length + String(attributes[name]).length
    if (chars > maxAttributeChars)
      throw new CloudEventError(
        `${name}: attributes have more than ${maxAttributeChars} characters together; what is long goes into data`,
      )
  }
  const data = dataOf(text, Object.fromEntries(members), attributes)
  // An event with JSON data is one of JSON, whether it says so or not.
  if (data?.json && attributes['datacontenttype'] === undefined)
    attributes['datacontenttype'] = 'application/json'
  return data ? { attributes, data: data.bytes } : { attributes }
}

function attributeOf(name: string, value: unknown): AttributeValue {
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
    return value
  throw new CloudEventError(
    `${name}: ${Array.isArray(value) ? 'a list' : 'an object'} is no value of an attribute; those are strings, whole numbers and booleans`,
  )
}

function dataOf(
  text: string,
  members: Readonly<Record<string, unknown>>,
  attributes: Record<string, AttributeValue>,
): { readonly bytes: Buffer; readonly json: boolean } | undefined {
  const { data, data_base64: base64 } = members
  if (base64 !== undefined && base64 !== null) {
    if (data !== undefined)
      throw new CloudEventError('data: there are both data and data_base64; send one of them')
    return { bytes: decodeBase64('data_base64', base64), json: false }
  }
  if (data === undefined) return undefined
  if (typeof data === 'string' && takeCoding(attributes))
    return { bytes: decodeBase64('data', data), json: false }
  if (!isJson(attributes['datacontenttype'])) {
    if (typeof data === 'string') return { bytes: Buffer.from(data), json: false }
    if (data === null) return undefined
    throw new CloudEventError(
      `data: of content type ${JSON.stringify(attributes['datacontenttype'])} it is a string; write other bytes as data_base64`,
    )
  }
  const raw = jsonMembers(text).get('data') ?? 'null'
  if (depthOf(raw) > maxDepth) throw tooDeep()
  return { bytes: Buffer.from(raw), json: true }
}

function depthOf(text: string): number {
  let depth = 0
  let deepest = 0
  let inString = false
  for (let at = 0; at < text.length; at++) {
    const character = text[at]
    if (inString) {
      if (character === '\\') at++
      else if (character === '"') inString = false
    } else if (character === '"') inString = true
    else if (character === '{' || character === '[') deepest = Math.max(deepest, ++depth)
    else if (character === '}' || character === ']') depth--
  }
  return deepest
}

/** Whether data of this content type is a JSON value; without one it is. */
export function isJson(contentType: AttributeValue | undefined): boolean {
  if (contentType === undefined) return true
  return /^[^/;]*\/([^;]*\+)?json\s*(;|$)/i.test(String(contentType).trim())
}

const isText = (contentType: string): boolean =>
  /^\s*(text\/|application\/(xml|.*\+xml)\s*(;|$))/i.test(contentType)

/** Bytes of another charset can't become text that is read as the same bytes again, but for those that all share. */
function isTextOf(contentType: string, data: Buffer): boolean {
  if (!isText(contentType)) return false
  const charset = /;\s*charset\s*=\s*"?([^";\s]+)/i.exec(contentType)?.[1]
  return charset === undefined || /^utf-?8$/i.test(charset) ? isUtf8(data) : isAscii(data)
}

/** The event as a JSON object. */
export function formatJsonEvent({ attributes, data }: CloudEvent): Buffer {
  const head = JSON.stringify(attributes)
  if (!data) return Buffer.from(head)
  const open = `${head.slice(0, -1)},`
  if (isJson(attributes['datacontenttype']) && isValidJson(data))
    return Buffer.concat([Buffer.from(`${open}"data":`), data, Buffer.from('}')])
  // 0.3 has no data_base64.
  const old = attributes['specversion'] === '0.3'
  if (isTextOf(String(attributes['datacontenttype'] ?? ''), data))
    return Buffer.from(`${open}"data":${JSON.stringify(data.toString('utf8'))}}`)
  const base64 = JSON.stringify(data.toString('base64'))
  return Buffer.from(
    old
      ? `${open}"datacontentencoding":"base64","data":${base64}}`
      : `${open}"data_base64":${base64}}`,
  )
}

function isValidJson(data: Buffer): boolean {
  if (!isUtf8(data)) return false
  try {
    JSON.parse(data.toString('utf8'))
    return true
  } catch {
    return false
  }
}
