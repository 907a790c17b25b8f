/**
 * Where events come in: `/namespace/broker` on the host of all Brokers, `/` on a Channel's own host. The checks and
 * their order are Knative's (knative.dev/eventing `pkg/broker/ingress`, `pkg/channel/event_receiver.go`); 202 means
 * that the event is on disk.
 */
import { CloudEventError } from '../../cloudevents/cloud-event.ts'
import type { CloudEvent } from '../../cloudevents/cloud-event.ts'
import { decodeMessage, type Headers } from '../../cloudevents/http-binding.ts'
import type { BufferedAnswer, BufferedRequest } from '../../../lib/http1/buffered-server.ts'
import { Field } from '../../../lib/http1/fields.ts'
import { headersOf, hostNameOf, type RequestHead } from '../../../lib/http1/head.ts'
import { LogFullError } from '../../log/event-log.ts'
import type { Guard } from '../authorization/guard.ts'
import { enterBroker } from '../delivery/delivery.ts'
import { codingOf, passThrough } from '../headers.ts'
import { hopsOf, mostHops } from '../hops.ts'
import type { StoredEvent } from '../stored-event.ts'
import { traceOf, traceOfB3 } from '../trace.ts'

/** What an address stands for. */
export interface Inlet {
  readonly kind: 'Broker' | 'Channel'
  /** Resolves when the event is durable. */
  readonly append: (event: StoredEvent) => Promise<unknown>
  /** Who may send; absent = everybody. */
  readonly guard?: Guard | undefined
}

export interface IngressWorld {
  readonly isBrokerHost: (host: string) => boolean
  /** By `namespace/name`. */
  readonly broker: (key: string) => Inlet | undefined
  readonly channel: (host: string) => Inlet | undefined
  /** Now, RFC 3339 with nanoseconds. */
  readonly now: () => string
  /** Prometheus' text. */
  readonly metrics: () => string
  readonly draining: () => boolean
}

const allow: readonly [string, string] = ['Allow', 'POST, OPTIONS']
const prometheus: readonly [string, string] = ['Content-Type', 'text/plain; version=0.0.4']
const preflight: BufferedAnswer = {
  status: 200,
  headers: [allow, ['WebHook-Allowed-Origin', '*'], ['WebHook-Allowed-Rate', '*']],
}
const accepted: BufferedAnswer = { status: 202, headers: [allow] }

/** A word for whoever looks; clients go by the status. */
const refuse = (status: number, reason: string): BufferedAnswer => ({
  status,
  headers: [allow, ['Content-Type', 'text/plain; charset=utf-8']],
  body: `${reason}\n`,
})

export function receive(
  { head, body }: BufferedRequest,
  world: IngressWorld,
): BufferedAnswer | Promise<BufferedAnswer> {
  if (isProbe(head)) return world.draining() ? refuse(503, 'it is being stopped') : { status: 200 }
  if (head.method !== 'POST') return otherMethod(head, world)
  const place = placeOf(head, world)
  if ('status' in place) return place
  const headers = headersOf(head)
  const coding = codingOf(headers)
  if (coding !== undefined) return uncoded(coding)
  let events: readonly CloudEvent[]
  try {
    events = decodeMessage({ headers, body })
  } catch (error) {
    if (error instanceof CloudEventError) return refuse(400, error.message)
    throw error
  }
  if ('missing' in place) return refuse(404, place.missing)
  const { guard } = place
  if (!guard) return take(place, headers, events, world)
  return guard(headers, events).then((refusal) =>
    refusal
      ? { ...refusal, headers: [allow, ...(refusal.headers ?? [])] }
      : take(place, headers, events, world),
  )
}

function take(
  inlet: Inlet,
  headers: Headers,
  events: readonly CloudEvent[],
  world: IngressWorld,
): BufferedAnswer | Promise<BufferedAnswer> {
  const passed = passThrough(headers)
  if (passed.length > 0 && hopsOf(passed) > mostHops)
    return refuse(400, `the event has come round ${mostHops} times: its channels are a circle`)
  const trace =
    traceOf(valueOf(headers, 'traceparent'), valueOf(headers, 'tracestate')) ??
    (passed.length > 0 ? traceOfB3(passed) : undefined)
  const entered: StoredEvent[] = []
  for (const event of events) {
    const next = inlet.kind === 'Broker' ? enterBroker(event, world.now()) : event
    if (!next)
      return refuse(
        400,
        'knativebrokerttl: used up; the event has gone round in a loop of Triggers',
      )
    entered.push(trace ? { event: next, passed, trace } : { event: next, passed })
  }
  const [first] = entered
  const stored =
    entered.length === 1 && first
      ? inlet.append(first)
      : Promise.all(entered.map((each) => inlet.append(each)))
  return stored.then(accept, (error: unknown) => notStored(error, world))
}

const uncoded = (coding: string): BufferedAnswer => ({
  ...refuse(415, `content-encoding ${coding}: events are taken as they are, not coded`),
  headers: [allow, ['Accept-Encoding', 'identity']],
})

const accept = () => accepted

function notStored(error: unknown, world: IngressWorld): BufferedAnswer {
  const reason = error instanceof Error ? error.message : 'unknown'
  if (error instanceof LogFullError || isOfDisk(error) || world.draining())
    return { ...refuse(503, reason), headers: [allow, ['Retry-After', '1']] }
  return refuse(500, `the event could not be stored: ${reason}`)
}

function otherMethod(head: RequestHead, world: IngressWorld): BufferedAnswer {
  if (head.method === 'OPTIONS') return preflight
  if (head.method === 'GET' && head.target === '/metrics' && world.isBrokerHost(hostNameOf(head)))
    return { status: 200, headers: [prometheus], body: world.metrics() }
  return refuse(405, `${head.method} is not possible here: events are sent by POST`)
}

/** The disk, full, read-only or gone: it may do again in a moment, so senders are to try again. */
const isOfDisk = (error: unknown): boolean =>
  error instanceof Error && ('syscall' in error || isOfDisk(error.cause))

/** What is at an address: an inlet, nothing (told once the event is known to be one), or a refusal. */
type Place = Inlet | { readonly missing: string } | BufferedAnswer

function placeOf(head: RequestHead, world: IngressWorld): Place {
  const { target } = head
  // As nearly every request is: nothing has to be taken apart.
  const broker = world.isBrokerHost(head.host) ? world.broker(target.slice(1)) : undefined
  if (broker) return broker
  const host = hostNameOf(head)
  if (!world.isBrokerHost(host)) {
    const channel = world.channel(host)
    const byPath = channel ? undefined : world.channel(host + target.replace(/\/$/, ''))
    if (byPath) return byPath
    // A route of the user's own may lead here by a host of its own: a broker is known by its path alone.
    const byRoute = channel ? undefined : world.broker(target.slice(1).replace(/\/$/, ''))
    if (byRoute) return byRoute
    if (!channel) return refuse(404, `there is no channel at ${host}`)
    return target === '/' ? channel : refuse(400, `path ${target}: a channel is at /`)
  }
  if (target === '/') return refuse(404, 'a broker is at /NAMESPACE/NAME')
  const [, namespace = '', name = '', ...rest] = target.split('/')
  if (namespace === '' || name === '' || rest.length > 1 || (rest[0] ?? '') !== '')
    return refuse(400, `path ${target}: a broker is at /NAMESPACE/NAME`)
  const missing = `there is no broker ${name} in namespace ${namespace}`
  return world.broker(`${namespace}/${name}`) ?? { missing }
}

function isProbe({ ids, values }: RequestHead): boolean {
  for (let i = 0; i < ids.length; i++) {
    if (ids[i] === Field.kKubeletProbe) return true
    if (ids[i] === Field.userAgent && values[i]?.startsWith('kube-probe/')) return true
  }
  return false
}

function valueOf(headers: Headers, wanted: string): string | undefined {
  for (const [name, value] of headers) if (name === wanted) return value
  return undefined
}
