/**
 * One event on its way to one subscriber: what to send, what its answer means, and what the dead-letter sink is told
 * (knative.dev/eventing `pkg/broker/filter`, `pkg/kncloudevents/event_dispatcher.go`). Pure; `dispatcher.ts` sends and
 * waits.
 */
import type { CloudEvent } from '../../cloudevents/cloud-event.ts'
import { CloudEventError, isInteger } from '../../cloudevents/cloud-event.ts'
import {
  decodeMessage,
  encodeBinary,
  encodeStructured,
  modeOf,
  type Headers,
  type Message,
} from '../../cloudevents/http-binding.ts'
import type { SubscriptionConfig } from '../feed.ts'
import { codingOf, passThrough } from '../headers.ts'
import type { AttemptResult } from './retry.ts'
import { retryAfterMs } from './retry.ts'
import { tooLongAnswer, type Answer } from './sender.ts'
import type { StoredEvent } from '../stored-event.ts'

export const ttlExtension = 'knativebrokerttl'
const arrivalExtension = 'knativearrivaltime'

/** The request to the subscriber. A Broker's time to live is its own, not the subscriber's; a channel has none. */
export function toSubscriber(
  { event, passed }: StoredEvent,
  subscription: SubscriptionConfig,
  trace: Headers = [],
): Message {
  const sent = subscription.kind === 'Trigger' ? withoutTtl(event) : event
  return message(sent, subscription, [
    ...passed,
    ['prefer', 'reply'],
    ['kn-namespace', subscription.namespace],
    ...trace,
  ])
}

function withoutTtl(event: CloudEvent): CloudEvent {
  const { [ttlExtension]: _, ...attributes } = event.attributes
  return { ...event, attributes }
}

/** The request with an answer that is an event. */
export function toReply(
  reply: CloudEvent,
  answered: Headers,
  subscription: SubscriptionConfig,
  trace: Headers = [],
): Message {
  return message(reply, subscription, [
    ...passThrough(answered),
    ['kn-namespace', subscription.namespace],
    ...trace,
  ])
}

/** Why a delivery failed: what was called, and how it answered. */
export interface Failure {
  readonly url: string
  readonly result: AttemptResult
  readonly body?: Buffer
}

/** The request to the dead-letter sink: the event as it was stored, with the reason in extensions. */
export function toDeadLetter(
  { event, passed }: StoredEvent,
  failure: Failure,
  subscription: SubscriptionConfig,
  trace: Headers = [],
): Message {
  const knativeerrorcode = failure.result.status ?? 500
  const attributes = { ...event.attributes, ...errorExtensions(failure), knativeerrorcode }
  // What the answer of a Trigger's subscriber could not be used for is nobody's status: Knative adds nothing then.
  const said = failure.result.unusable === undefined ? attributes : event.attributes
  return message({ ...event, attributes: said }, subscription, [
    ...passed,
    ['kn-namespace', subscription.namespace],
    ...trace,
  ])
}

/** Characters of base64 that an extension may have. */
const maxErrorData = 1024

export function errorExtensions({ url, result, body }: Failure): Readonly<Record<string, string>> {
  const problem =
    result.unusable ?? (result.status === undefined ? (result.error ?? 'unknown') : '')
  const text = problem === '' ? body : Buffer.from(`dispatch error: ${problem}`)
  return {
    knativeerrordest: url,
    knativeerrorcode: String(result.status ?? 500),
    knativeerrordata: (text ?? Buffer.alloc(0)).toString('base64').slice(0, maxErrorData),
  }
}

/** Bytes of an answer that are looked at, and characters that are shown of them. */
const lookedAt = 1024
const shown = 150

/** What the body of an answer says of its failure, for who follows the event: its first line, if it is text. */
export function complaintOf(body: Buffer): string | undefined {
  const text = body.toString('utf8', 0, lookedAt).trimStart()
  const [line = ''] = text.split(/[\r\n]/, 1)
  // Of a page the first line says nothing, and what is no text even less.
  if (line.startsWith('<') || /^[^\uFFFD]{0,100}\uFFFD/.test(line)) return undefined
  // The status stands beside it.
  const plain = line
    .replaceAll(/\p{Cc}+/gu, ' ')
    .replace(/^\d{3}:? /, '')
    .trim()
  if (plain === '') return undefined
  return plain.length > shown ? `${plain.slice(0, shown)}…` : plain
}

function message(event: CloudEvent, { delivery }: SubscriptionConfig, more: Headers): Message {
  const { headers, body } =
    delivery.format === 'json' ? encodeStructured(event) : encodeBinary(event)
  // None of `more` is an attribute or the content type.
  return { headers: headers.concat(more), body }
}

export interface Understood {
  readonly result: AttemptResult
  /** The event in the answer. */
  readonly reply?: CloudEvent
}

/**
 * What a subscriber's answer means. For a Trigger an answer with a body that is no event is a failure; a Subscription
 * does not mind.
 */
export function understand(
  answer: Answer,
  { kind }: SubscriptionConfig,
  nowMs: number,
): Understood {
  const { status, headers, body } = answer
  const asked = retryAfterMs(headers.find(([name]) => name === 'retry-after')?.[1], nowMs)
  const result = { status, ...(asked !== undefined && { retryAfterMs: asked }) }
  if (status < 200 || status >= 300) return { result }
  const mode = modeOf(headers)
  if (mode === undefined || mode === 'batched') {
    if (body.length === 0 || kind === 'Subscription') return { result }
    return {
      result: { status: 502, unusable: 'the answer has a body that is no CloudEvent' },
    }
  }
  // It may be an event that somebody waits for: not lost without a word.
  if (answer.cut) return { result: { status: 502, unusable: tooLongAnswer } }
  try {
    const coding = codingOf(headers)
    if (coding !== undefined) throw new CloudEventError(`content-encoding ${coding}`)
    const [reply] = decodeMessage({ headers, body })
    return reply ? { result, reply } : { result }
  } catch (error) {
    if (!(error instanceof CloudEventError)) throw error
    if (kind === 'Subscription') return { result }
    return { result: { status: 502, unusable: `the answer is a bad CloudEvent: ${error.message}` } }
  }
}

/** The answer of a Trigger's subscriber carries on what is left of the event's time to live. */
export function inheritTtl(reply: CloudEvent, { event }: StoredEvent): CloudEvent {
  const ttl = event.attributes[ttlExtension]
  if (ttl === undefined) return reply
  return { ...reply, attributes: { ...reply.attributes, [ttlExtension]: ttl } }
}

/** Rounds that an event may go through a Broker when nobody says otherwise. */
const defaultTtl = 255

/**
 * What a Broker adds to an event that comes in. Undefined = it has come round too often.
 */
export function enterBroker(event: CloudEvent, nowNanos: string): CloudEvent | undefined {
  const stated = event.attributes[ttlExtension]
  const number = typeof stated === 'boolean' ? Number.NaN : Number(stated)
  const valid = stated !== undefined && stated !== '' && isInteger(number)
  const ttl = valid ? Math.max(number - 1, 0) : defaultTtl
  if (ttl <= 0) return undefined
  return {
    ...event,
    attributes: { ...event.attributes, [arrivalExtension]: nowNanos, [ttlExtension]: ttl },
  }
}
