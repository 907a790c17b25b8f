/**
 * The engine's spans, where config-observability asks for them: one when an event comes in, one for its way to each
 * subscription from then until nothing is left to do, and below that one for each attempt. Ids are those of `trace.ts`,
 * computed of where the event stands, so what its sender said and what its subscriber hears are parents and children
 * of them. Names are those that Knative's broker gives.
 */
import type { Clock } from '../../../lib/clock.ts'
import type { Log } from '../../../lib/log.ts'
import { SpanExporter, type TracingSettings } from '../../../lib/otlp/span-exporter.ts'
import type { Span } from '../../../lib/otlp/span.ts'
import { textOf, type CloudEvent } from '../../cloudevents/cloud-event.ts'
import type { LoggedEvent } from '../../log/event-log.ts'
import type { ChannelConfig, SubscriptionConfig } from '../feed.ts'
import type { Step } from './journal.ts'
import type { StoredEvent } from '../stored-event.ts'
import { parentOf, spanOf, traceIdOf, type Place, type Trace } from '../trace.ts'

export interface EventSpansOptions {
  readonly clock: Clock
  readonly log: Log
  /** Where `stdout` goes. */
  readonly write: (line: string) => void
}

type Attributes = Span['attributes']

export class EventSpans implements AsyncDisposable {
  readonly #options: EventSpansOptions
  #settings: TracingSettings | undefined
  #exporter: SpanExporter | undefined

  constructor(options: EventSpansOptions) {
    this.#options = options
  }

  /** Undefined = there are none. */
  configure(settings: TracingSettings | undefined): void {
    if (JSON.stringify(settings) === JSON.stringify(this.#settings)) return
    this.#settings = settings
    void this.#exporter?.flush()
    this.#exporter = settings && new SpanExporter({ ...this.#options, settings })
  }

  get on(): boolean {
    return this.#exporter !== undefined
  }

  /** Whether its trace is recorded: what its sender decided, else by chance, the same for all that belongs to it. */
  sampled(place: Place, trace: Trace | undefined): boolean {
    if (trace) return (Number.parseInt(trace.parent.slice(53, 55), 16) & 1) === 1
    const { samplingRate = 1 } = this.#settings ?? {}
    return Number.parseInt(traceIdOf(place, trace).slice(0, 8), 16) < samplingRate * 2 ** 32
  }

  /** An event has come in and is on disk. */
  received(channel: ChannelConfig, sequence: number, stored: StoredEvent, startMs: number): void {
    const place = { channel: channel.uid, sequence }
    if (!this.#exporter || !this.sampled(place, stored.trace)) return
    const span = this.#span(place, stored, {
      spanId: spanOf(place, receiving),
      parentId: parentOf(stored.trace) ?? '',
      name: nameOf(channel),
      kind: 'server',
      startMs,
      endMs: this.#options.clock.now(),
      attributes: { 'messaging.operation.type': 'receive', ...ofChannel(channel) },
    })
    this.#add(channel, 'ingress', span)
  }

  /** One step on the way of an event to a subscription. */
  step(
    channel: ChannelConfig,
    subscription: SubscriptionConfig,
    { timeMs }: LoggedEvent,
    stored: StoredEvent,
    step: Omit<Step, 'channel' | 'sequence' | 'subscription'> & { readonly sequence: number },
  ): void {
    const place = { channel: channel.uid, sequence: step.sequence }
    if (!this.#exporter || step.kind === 'waits' || !this.sampled(place, stored.trace)) return
    const own = spanOf(place, subscription.uid)
    const attributes = { ...ofChannel(channel), ...ofSubscription(subscription) }
    const { url, status, error, atMs, tookMs = 0, phase = 'subscriber' } = step
    const span =
      step.kind === 'attempt'
        ? this.#span(place, stored, {
            spanId: spanOf(place, `${subscription.uid} ${phase} ${atMs} ${tookMs}`),
            parentId: own,
            name: 'POST',
            kind: 'client',
            startMs: atMs - tookMs,
            endMs: atMs,
            attributes: {
              ...attributes,
              'messaging.operation.type': phase === 'subscriber' ? 'process' : 'send',
              'http.request.method': 'POST',
              ...(url !== undefined && { 'url.full': url }),
              ...(status !== undefined && { 'http.response.status_code': status }),
              'kn.delivery.phase': phase,
            },
            ...failure(status, error),
          })
        : this.#span(place, stored, {
            spanId: own,
            parentId: spanOf(place, receiving),
            name: nameOf(subscription),
            kind: 'consumer',
            startMs: timeMs,
            endMs: atMs,
            attributes: { ...attributes, 'messaging.operation.type': 'process' },
            ...(step.kind === 'parked' && { error: 'nobody took it: it is kept as a dead letter' }),
          })
    this.#add(channel, 'filter', span)
  }

  #span(place: Place, { event, trace }: StoredEvent, span: Omit<Span, 'traceId'>): Span {
    const traceId = traceIdOf(place, trace)
    return { ...span, traceId, attributes: { ...span.attributes, ...ofEvent(event) } }
  }

  #add({ kind, namespace }: ChannelConfig, part: 'ingress' | 'filter', span: Span): void {
    const service = kind === 'Broker' ? `mt-broker-${part}` : 'imc-dispatcher'
    const attributes = { 'service.name': service, 'k8s.namespace.name': namespace }
    this.#exporter?.add({ scope: 'ebb/events', attributes }, [span])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#exporter?.flush()
  }
}

/** Stands for the ingress where a subscription's uid would stand. */
const receiving = 'ingress'

const nameOf = ({ kind, namespace, name }: ChannelConfig | SubscriptionConfig): string =>
  `${kind.toLowerCase()}:${name}.${namespace}`

const ofChannel = (channel: ChannelConfig): Attributes => ({
  'messaging.system': 'knative',
  'messaging.destination.name': nameOf(channel),
  [`kn.${channel.kind.toLowerCase()}.name`]: channel.name,
  [`kn.${channel.kind.toLowerCase()}.namespace`]: channel.namespace,
})

const ofSubscription = ({ kind, namespace, name }: SubscriptionConfig): Attributes => ({
  [`kn.${kind.toLowerCase()}.name`]: name,
  [`kn.${kind.toLowerCase()}.namespace`]: namespace,
})

/** OpenTelemetry's names for attributes of CloudEvents. */
function ofEvent({ attributes }: CloudEvent): Attributes {
  const { id, source, specversion, type, subject } = attributes
  return {
    'messaging.message.id': textOf(id),
    'cloudevents.event_id': textOf(id),
    'cloudevents.event_source': textOf(source),
    'cloudevents.event_spec_version': textOf(specversion),
    'cloudevents.event_type': textOf(type),
    ...(subject !== undefined && { 'cloudevents.event_subject': textOf(subject) }),
  }
}

function failure(status: number | undefined, error: string | undefined): { error?: string } {
  if (error !== undefined) return { error }
  if (status === undefined || status < 300) return {}
  return { error: String(status) }
}
