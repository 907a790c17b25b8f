/**
 * RequestReplies as they run (knative.dev/eventing `pkg/requestreply`): `POST /namespace/name` marks an event, sends it
 * into the Broker and is answered with the event that carries the mark back; a Trigger brings that to
 * `/namespace/name/reply`. Only who waits is in memory: after a restart of the engine callers ask again, and answers to
 * those of before are let go.
 */
import type { Clock } from '../../../lib/clock.ts'
import type { BufferedAnswer, BufferedRequest, Caller } from '../../../lib/http1/buffered-server.ts'
import { headersOf, hostNameOf } from '../../../lib/http1/head.ts'
import {
  isMark,
  keysOf,
  markOf,
  nonceBytes,
  type CorrelationKey,
} from '../../broker/delivery/correlation.ts'
import type { Destination, RequestReplyConfig } from '../../broker/feed.ts'
import { passThrough } from '../../broker/headers.ts'
import { SendError, type Sender } from '../../broker/delivery/sender.ts'
import { CloudEventError, textOf, type CloudEvent } from '../../cloudevents/cloud-event.ts'
import {
  decodeMessage,
  encodeBinary,
  modeOf,
  type Headers,
} from '../../cloudevents/http-binding.ts'
import { Waiting, type Outcome } from './waiting.ts'

export interface RequestRepliesOptions {
  readonly clock: Clock
  readonly sender: Sender
  /** So many that nobody can foretell. */
  readonly randomBytes: (count: number) => Buffer
  /** Requests of one RequestReply that may wait at a time. */
  readonly mostWaiting?: number
}

/** A connection of a caller each, so far fewer than what memory would allow. */
const defaultMostWaiting = 5_000

interface Served {
  readonly config: RequestReplyConfig
  /** The first marks. */
  readonly keys: readonly CorrelationKey[]
  readonly waiting: Waiting
}

export class RequestReplies implements Disposable {
  readonly #options: RequestRepliesOptions
  #hosts = new Set<string>()
  /** By uid. */
  #served = new Map<string, Served>()
  /** By `namespace/name`. */
  #places = new Map<string, Served>()

  constructor(options: RequestRepliesOptions) {
    this.#options = options
  }

  /** From now on exactly these, at these hosts. */
  apply(configs: readonly RequestReplyConfig[], hosts: readonly string[]): void {
    const { clock, mostWaiting = defaultMostWaiting } = this.#options
    const next = new Map<string, Served>()
    for (const config of configs) {
      const waiting = this.#served.get(config.uid)?.waiting ?? new Waiting(clock, mostWaiting)
      next.set(config.uid, { config, keys: keysOf(config.keys), waiting })
    }
    for (const [uid, { waiting }] of this.#served)
      if (!next.has(uid)) waiting.settleAll(failed(503, 'the RequestReply was removed'))
    this.#served = next
    this.#places = new Map(
      [...next.values()].map((each) => [`${each.config.namespace}/${each.config.name}`, each]),
    )
    this.#hosts = new Set(hosts)
  }

  /** The answer, or undefined when the request is for somebody else. */
  handle({
    head,
    body,
    caller,
  }: BufferedRequest): Promise<BufferedAnswer> | BufferedAnswer | undefined {
    if (!this.#hosts.has(hostNameOf(head))) return undefined
    const headers = headersOf(head)
    if (isProbe(headers)) return { status: 200 }
    if (head.method === 'OPTIONS') return preflight
    if (head.method !== 'POST')
      return refuse(405, `${head.method} is not possible here: events are sent by POST`)
    const place = placeOf(head.target)
    if (typeof place === 'number')
      return refuse(place, `path ${head.target}: a RequestReply is at /NAMESPACE/NAME`)
    try {
      const event = eventIn(headers, body)
      const served = this.#places.get(`${place.namespace}/${place.name}`)
      if (!served)
        return refuse(404, `there is no RequestReply ${place.name} in namespace ${place.namespace}`)
      return place.isReply ? take(event, served) : this.#ask(event, headers, served, caller)
    } catch (error) {
      if (error instanceof CloudEventError) return refuse(400, error.message)
      throw error
    }
  }

  /** What waits holds no event: there may be thousands of them, and large ones. */
  #ask(
    event: CloudEvent,
    headers: Headers,
    served: Served,
    caller: Caller | undefined,
  ): BufferedAnswer | Promise<BufferedAnswer> {
    const { config, keys, waiting } = served
    const [key] = keys
    if (!config.broker) return refuse(500, 'the Broker has no address: see the conditions of both')
    if (!key)
      return refuse(500, 'there is no key of 32 bytes for it in the Secret request-reply-keys')
    const id = textOf(event.attributes['id'])
    const mark = markOf(id, key, this.#options.randomBytes(nonceBytes))
    const waits = waiting.wait(mark, config.timeoutMs)
    if (!waits)
      return {
        ...refuse(503, `${waiting.size} requests wait for their answers already: try again later`),
        headers: [allow, plain, ['Retry-After', '1']],
      }
    // Its place is for others; the event goes its way all the same.
    const leaving = caller?.onGone(() => waiting.settle(mark, failed(499, 'the caller has gone')))
    const attributes = { ...event.attributes, [config.correlationAttribute]: mark }
    void publish(
      { ...event, attributes },
      headers,
      config,
      config.broker,
      this.#options.sender,
    ).then((problem) => problem && waiting.settle(mark, problem))
    return waits.then((outcome) => {
      leaving?.[Symbol.dispose]()
      return answerOf(outcome, config)
    })
  }

  /** Nobody waits any longer. */
  [Symbol.dispose](): void {
    const stopped = failed(503, 'the event engine is being stopped: ask again')
    for (const { waiting } of this.#served.values()) waiting.settleAll(stopped)
  }
}

/** Resolves when the Broker has it, or with why not; never rejects. */
async function publish(
  event: CloudEvent,
  headers: Headers,
  { namespace, timeoutMs }: RequestReplyConfig,
  broker: Destination,
  sender: Sender,
): Promise<Outcome | undefined> {
  const message = encodeBinary(event)
  const traces = headers.filter(([name]) => name === 'traceparent' || name === 'tracestate')
  const more = [...passThrough(headers), ...traces, ['kn-namespace', namespace] as const]
  try {
    const { status } = await sender.send(
      broker,
      { ...message, headers: [...message.headers, ...more] },
      { timeoutMs },
    )
    const isTaken = status >= 200 && status < 300
    return isTaken ? undefined : failed(500, `the Broker answered ${status}: ${broker.url}`)
  } catch (error) {
    const reason = error instanceof SendError ? error.message : 'unknown'
    return failed(500, `the Broker did not take the event: ${reason}`)
  }
}

/** What a Trigger brings. One that nobody waits for is done with, too. */
function take(event: CloudEvent, { config, keys, waiting }: Served): BufferedAnswer {
  const { replyAttribute } = config
  const mark = event.attributes[replyAttribute]
  if (mark === undefined) return refuse(400, `${replyAttribute}: missing; it says what is answered`)
  if (!isMark(textOf(mark), keys))
    return refuse(400, `${replyAttribute}: no key of this RequestReply has made it`)
  waiting.settle(textOf(mark), { kind: 'answered', event })
  return { status: 202, headers: [allow] }
}

function answerOf(outcome: Outcome, { timeoutMs, replyAttribute }: RequestReplyConfig) {
  switch (outcome.kind) {
    case 'answered': {
      const { headers, body } = encodeBinary(outcome.event)
      return { status: 200, headers: [allow, ...headers], body }
    }
    case 'late':
      return refuse(
        504,
        `within ${timeoutMs / 1000} s the Broker got no event whose ${replyAttribute} is the mark of this request`,
      )
    case 'failed':
      return refuse(outcome.status, outcome.reason)
  }
}

/** Throws CloudEventError. */
function eventIn(headers: Headers, body: Buffer): CloudEvent {
  if (modeOf(headers) === 'batched')
    throw new CloudEventError('a batch of events has no answer: send them one by one')
  const [event] = decodeMessage({ headers, body })
  if (!event) throw new CloudEventError('there is no event in the request')
  return event
}

interface Place {
  readonly namespace: string
  readonly name: string
  readonly isReply: boolean
}

/** A number = the status of a path that is none. */
function placeOf(target: string): Place | number {
  if (target === '/') return 404
  const match = /^\/([^/]+)\/([^/]+)(\/reply)?\/?$/.exec(target)
  if (!match) return 400
  const [, namespace = '', name = '', reply] = match
  return { namespace, name, isReply: reply !== undefined }
}

const isProbe = (headers: Headers): boolean =>
  headers.some(
    ([name, value]) =>
      name === 'k-kubelet-probe' || (name === 'user-agent' && value.startsWith('kube-probe/')),
  )

const failed = (status: number, reason: string): Outcome => ({ kind: 'failed', status, reason })

const allow: readonly [string, string] = ['Allow', 'POST, OPTIONS']
const plain: readonly [string, string] = ['Content-Type', 'text/plain; charset=utf-8']
const preflight: BufferedAnswer = {
  status: 200,
  headers: [allow, ['WebHook-Allowed-Origin', '*'], ['WebHook-Allowed-Rate', '*']],
}

const refuse = (status: number, reason: string): BufferedAnswer => ({
  status,
  headers: [allow, plain],
  body: `${reason}\n`,
})
