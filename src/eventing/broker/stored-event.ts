/**
 * An event as the log keeps it: a version, flags, the length of what follows as text, a line for each attribute and for
 * what goes along, then the data as it came. Lines need no escapes, as neither attributes nor headers can have a line
 * feed; JSON took three times as long on the way in.
 */
import type { AttributeValue, CloudEvent } from '../cloudevents/cloud-event.ts'
import type { Trace } from './trace.ts'

export interface StoredEvent {
  readonly event: CloudEvent
  /** Headers of the sender that go on to subscribers (`x-request-id`, `knative-*`, `x-b3-*` …). */
  readonly passed: readonly (readonly [name: string, value: string])[]
  /** What its sender said of the trace it belongs to, or the delivery that it answers. */
  readonly trace?: Trace
}

/** First byte of this form. */
const version = 0xeb
const headBytes = 6
/** In the second byte: there are data, perhaps of no bytes. */
const withData = 1

/** What a line is about: its first letter. */
const Line = {
  string: 's',
  number: 'n',
  boolean: 'b',
  headerText: 't',
  passed: 'p',
  traceParent: 'w',
  traceState: 'x',
} as const

const none = Buffer.alloc(0)

export function encodeStored({ event, passed, trace }: StoredEvent): Buffer {
  const { attributes, headerText, data } = event
  let text = ''
  for (const name of Object.keys(attributes)) {
    const value = attributes[name]
    if (typeof value === 'string') text += `s${name}=${value}\n`
    else text += `${typeof value === 'number' ? Line.number : Line.boolean}${name}=${value}\n`
  }
  if (headerText)
    for (const [name, value] of Object.entries(headerText)) text += `t${name}=${value}\n`
  for (const [name, value] of passed) text += `p${name}=${value}\n`
  if (trace) text += `w=${trace.parent}\n`
  if (trace?.state !== undefined) text += `x=${trace.state}\n`
  const length = Buffer.byteLength(text)
  const bytes = Buffer.allocUnsafe(headBytes + length + (data?.length ?? 0))
  bytes[0] = version
  bytes[1] = data ? withData : 0
  bytes.writeUInt32BE(length, 2)
  bytes.write(text, headBytes)
  data?.copy(bytes, headBytes + length)
  return bytes
}

/** What stands in every stored event with this id, and hardly in others: for a quick look before it is decoded. */
export const bytesOfId = (id: string): Buffer => Buffer.from(`sid=${id}\n`)

/** Data is a view of `payload`. Throws when it is none of `encodeStored`. */
export function decodeStored(payload: Uint8Array): StoredEvent {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
  if (bytes[0] !== version)
    throw new Error(`a stored event begins with ${version}, this with ${bytes[0]}`)
  const end = headBytes + bytes.readUInt32BE(2)
  const attributes: Record<string, AttributeValue> = {}
  let headerText: Record<string, string> | undefined
  const passed: [string, string][] = []
  let parent: string | undefined
  let state: string | undefined
  const text = bytes.toString('utf8', headBytes, end)
  for (let at = 0; at < text.length;) {
    const lineEnd = text.indexOf('\n', at)
    const equals = text.indexOf('=', at)
    if (equals < 0 || equals > lineEnd) throw new Error('a line of a stored event is cut short')
    const name = text.slice(at + 1, equals)
    const value = text.slice(equals + 1, lineEnd)
    switch (text[at]) {
      case Line.string:
        attributes[name] = value
        break
      case Line.number:
        attributes[name] = Number(value)
        break
      case Line.boolean:
        attributes[name] = value === 'true'
        break
      case Line.headerText:
        ;(headerText ??= {})[name] = value
        break
      case Line.passed:
        passed.push([name, value])
        break
      case Line.traceParent:
        parent = value
        break
      case Line.traceState:
        state = value
        break
      default:
        throw new Error(`a stored event has a line of kind ${JSON.stringify(text[at])}`)
    }
    at = lineEnd + 1
  }
  const data =
    bytes[1] === withData ? { data: end < bytes.length ? bytes.subarray(end) : none } : {}
  return {
    event: { attributes, ...(headerText && { headerText }), ...data },
    passed,
    ...(parent !== undefined && { trace: { parent, ...(state !== undefined && { state }) } }),
  }
}
