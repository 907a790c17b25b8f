/**
 * The trace context of events (W3C Trace Context, level 1): what a sender said goes on with the event, and each delivery
 * is a span of its own, whose id is computed of where it stands. So an event that came of another, as its answer or sent
 * by a program that passes the context on, names its cause, and nothing has to be written down for it.
 */
import { hash } from 'node:crypto'
import type { Headers } from '../cloudevents/http-binding.ts'

export interface Trace {
  /** A valid `traceparent`. */
  readonly parent: string
  readonly state?: string
}

/** A place in a channel's log. */
export interface Place {
  /** Of the Broker or Channel. */
  readonly channel: string
  readonly sequence: number
}

const traceparent =
  /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?$/

/** No longer than a log line should be; the specification asks for 512. */
const maxState = 1024

/** Undefined = the sender said nothing that holds. */
export function traceOf(parent: string | undefined, state: string | undefined): Trace | undefined {
  if (parent === undefined || parent.length > 256 || !traceparent.test(parent)) return undefined
  const said = state !== undefined && state !== '' && state.length <= maxState ? state : undefined
  return { parent: parent.slice(0, 55), ...(said !== undefined && { state: said }) }
}

/** The same of B3's headers (openzipkin/b3-propagation, one a value): ids of 64 bits are the end of longer ones. */
export function traceOfB3(headers: Headers): Trace | undefined {
  const said = new Map(headers)
  const id = said.get('x-b3-traceid')?.toLowerCase() ?? ''
  const span = said.get('x-b3-spanid')?.toLowerCase() ?? ''
  if (id.length !== 16 && id.length !== 32) return undefined
  const sampled = !/^(0|false)$/i.test(said.get('x-b3-sampled') ?? '')
  return traceOf(`00-${id.padStart(32, '0')}-${span}-${sampled ? '01' : '00'}`, undefined)
}

/** 32 hexadecimal digits; an event that came without a trace begins one. */
export const traceIdOf = (place: Place, trace: Trace | undefined): string =>
  trace?.parent.slice(3, 35) ?? digest(place).slice(0, 32)

/** The span that an event came from, 16 hexadecimal digits. */
export const parentOf = (trace: Trace | undefined): string | undefined =>
  trace?.parent.slice(36, 52)

/** The span of an event's way to one subscription. */
export const spanOf = (place: Place, subscription: string): string =>
  digest(place, subscription).slice(0, 16)

/** What a delivery says of its trace. */
export function traceOfDelivery(
  place: Place,
  subscription: string,
  trace: Trace | undefined,
  sampled = true,
): Trace {
  const flags = trace?.parent.slice(53, 55) ?? (sampled ? '01' : '00')
  return {
    parent: `00-${traceIdOf(place, trace)}-${spanOf(place, subscription)}-${flags}`,
    ...(trace?.state !== undefined && { state: trace.state }),
  }
}

export const traceHeaders = ({ parent, state }: Trace): Headers => [
  ['traceparent', parent],
  ...(state === undefined ? [] : ([['tracestate', state]] as const)),
]

const digest = ({ channel, sequence }: Place, subscription = ''): string =>
  hash('sha256', `${channel}/${sequence}/${subscription}`)
