/** An event as the log keeps it: attributes and what goes along as JSON, behind its length; then the data as it came. */
import type { CloudEvent } from '../cloudevents/cloud-event.ts'
import type { Trace } from './trace.ts'

export interface StoredEvent {
  readonly event: CloudEvent
  /** Headers of the sender that go on to subscribers (contract: `x-request-id`, `knative-*`, `x-b3-*` …). */
  readonly passed: readonly (readonly [name: string, value: string])[]
  /** What its sender said of the trace it belongs to, or the delivery that it answers. */
  readonly trace?: Trace
}

interface Meta {
  readonly a: CloudEvent['attributes']
  readonly t?: CloudEvent['headerText']
  readonly p?: StoredEvent['passed']
  /** traceparent and tracestate. */
  readonly w?: readonly [parent: string, state?: string]
  /** There are data, perhaps of no bytes. */
  readonly d?: 1
}

const none = Buffer.alloc(0)

export function encodeStored({ event, passed, trace }: StoredEvent): Buffer {
  const { attributes, headerText, data } = event
  const meta: Meta = {
    a: attributes,
    ...(headerText && { t: headerText }),
    ...(passed.length > 0 && { p: passed }),
    ...(trace && { w: trace.state === undefined ? [trace.parent] : [trace.parent, trace.state] }),
    ...(data && { d: 1 }),
  }
  const text = JSON.stringify(meta)
  const length = Buffer.byteLength(text)
  const bytes = Buffer.allocUnsafe(4 + length + (data?.length ?? 0))
  bytes.writeUInt32BE(length)
  bytes.write(text, 4)
  data?.copy(bytes, 4 + length)
  return bytes
}

/** Data is a view of `payload`. Throws when it is none of `encodeStored`. */
export function decodeStored(payload: Uint8Array): StoredEvent {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
  const end = 4 + bytes.readUInt32BE()
  const { a, t, p, w, d } = JSON.parse(bytes.toString('utf8', 4, end)) as Meta
  return {
    event: {
      attributes: a,
      ...(t && { headerText: t }),
      ...(d && { data: end < bytes.length ? bytes.subarray(end) : none }),
    },
    passed: p ?? [],
    ...(w && { trace: { parent: w[0], ...(w[1] !== undefined && { state: w[1] }) } }),
  }
}
