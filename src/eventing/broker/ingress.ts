/**
 * Where events come in: `/namespace/broker` on the host of all Brokers, `/` on a Channel's own host. The checks and
 * their order are Knative's (contract: broker ingress, channel receiver); 202 means that the event is on disk.
 */
import { CloudEventError } from '../cloudevents/cloud-event.ts'
import type { CloudEvent } from '../cloudevents/cloud-event.ts'
import { decodeMessage, type Headers } from '../cloudevents/http-binding.ts'
import type { BufferedAnswer, BufferedRequest } from '../../lib/http1/buffered-server.ts'
import type { RequestHead } from '../../lib/http1/head.ts'
import { LogFullError } from '../log/event-log.ts'
import { enterBroker } from './delivery.ts'
import { passThrough } from './headers.ts'
import type { StoredEvent } from './stored-event.ts'
import { traceOf } from './trace.ts'

/** What an address stands for. */
export interface Inlet {
  readonly kind: 'Broker' | 'Channel'
  /** Resolves when the event is durable. */
  readonly append: (event: StoredEvent) => Promise<unknown>
}

export interface IngressWorld {
  readonly isBrokerHost: (host: string) => boolean
  readonly broker: (namespace: string, name: string) => Inlet | undefined
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
  const host = hostOf(head)
  const headers = headersOf(head)
  if (isProbe(headers))
    return world.draining() ? refuse(503, 'it is being stopped') : { status: 200 }
  if (head.method === 'OPTIONS') return preflight
  if (head.method === 'GET' && head.target === '/metrics' && world.isBrokerHost(host))
    return { status: 200, headers: [prometheus], body: world.metrics() }
  if (head.method !== 'POST')
    return refuse(405, `${head.method} is not possible here: events are sent by POST`)
  const place = placeOf(host, head.target, world)
  if ('status' in place) return place
  let events: readonly CloudEvent[]
  try {
    events = decodeMessage({ headers, body })
  } catch (error) {
    if (error instanceof CloudEventError) return refuse(400, error.message)
    throw error
  }
  const inlet = place.find()
  if (!inlet) return refuse(404, place.missing)
  const passed = passThrough(headers)
  const trace = traceOf(valueOf(headers, 'traceparent'), valueOf(headers, 'tracestate'))
  const entered: CloudEvent[] = []
  for (const event of events) {
    const next = inlet.kind === 'Broker' ? enterBroker(event, world.now()) : event
    if (!next)
      return refuse(
        400,
        'knativebrokerttl: used up; the event has gone round in a loop of Triggers',
      )
    entered.push(next)
  }
  return store(
    inlet,
    entered.map((event) => ({ event, passed, ...(trace && { trace }) })),
  )
}

async function store(inlet: Inlet, events: readonly StoredEvent[]): Promise<BufferedAnswer> {
  try {
    if (events.length === 1 && events[0]) await inlet.append(events[0])
    else await Promise.all(events.map((event) => inlet.append(event)))
    return accepted
  } catch (error) {
    const reason = error instanceof Error ? error.message : 'unknown'
    if (error instanceof LogFullError || isFull(error))
      return { ...refuse(503, reason), headers: [allow, ['Retry-After', '1']] }
    return refuse(500, `the event could not be stored: ${reason}`)
  }
}

/** The disk: there may be room again in a moment, so senders are to try again. */
const isFull = (error: unknown): boolean =>
  error instanceof Error &&
  'code' in error &&
  (error.code === 'ENOSPC' || error.code === 'EDQUOT' || error.code === 'EFBIG')

interface Place {
  readonly find: () => Inlet | undefined
  readonly missing: string
}

function placeOf(host: string, target: string, world: IngressWorld): Place | BufferedAnswer {
  if (!world.isBrokerHost(host)) {
    const channel = world.channel(host)
    if (!channel) return refuse(404, `there is no channel at ${host}`)
    if (target !== '/') return refuse(400, `path ${target}: a channel is at /`)
    return { find: () => channel, missing: '' }
  }
  if (target === '/') return refuse(404, 'a broker is at /NAMESPACE/NAME')
  const [, namespace = '', name = '', ...rest] = target.split('/')
  if (namespace === '' || name === '' || rest.length > 1 || (rest[0] ?? '') !== '')
    return refuse(400, `path ${target}: a broker is at /NAMESPACE/NAME`)
  return {
    find: () => world.broker(namespace, name),
    missing: `there is no broker ${name} in namespace ${namespace}`,
  }
}

const isProbe = (headers: Headers): boolean =>
  headers.some(
    ([name, value]) =>
      name === 'k-kubelet-probe' || (name === 'user-agent' && value.startsWith('kube-probe/')),
  )

const valueOf = (headers: Headers, wanted: string): string | undefined =>
  headers.find(([name]) => name === wanted)?.[1]

/** Without port, lower case. */
const hostOf = ({ host }: RequestHead): string => host.replace(/:\d+$/, '').toLowerCase()

function headersOf({ names, values }: RequestHead): Headers {
  return names.map((name, i) => [name.toLowerCase(), values[i] ?? ''])
}
