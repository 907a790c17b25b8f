/**
 * What the gateway tells about requests besides counting them: the request log, spans, and `Server-Timing` of cold
 * ones. Each is a setting of the cluster; what is off is absent, so that the hot path looks once and goes on.
 */
import type { Clock } from '../../../lib/clock.ts'
import { Field } from '../../../lib/http1/fields.ts'
import type { RequestHead } from '../../../lib/http1/head.ts'
import type { Log } from '../../../lib/log.ts'
import { SpanExporter } from '../../../lib/otlp/span-exporter.ts'
import type { Random } from '../../../lib/random.ts'
import type { ExchangeRecord } from '../exchange/exchange.ts'
import type { GatewaySettings, RevisionTarget } from '../feed.ts'
import { headerEdit, type HeaderEdit } from '../exchange/header-edit.ts'
import type { ClientIdentity } from '../exchange/outgoing-head.ts'
import { RequestLog } from './request-log.ts'
import { fieldValue } from '../routing/route-table.ts'
import { resourceOf, spansOf } from './span.ts'
import { newSpanId, traceOf, traceparent, type TraceContext } from './trace-context.ts'

export interface ObserverOptions {
  readonly clock: Clock
  readonly log: Log
  readonly random: Random
  /** Lines of the request log and of spans for `stdout`. */
  readonly write: (line: string) => void
}

/** A trace that goes through a request. */
interface Traced {
  readonly trace: TraceContext
  readonly proxySpanId: string
  readonly edit: HeaderEdit | undefined
}

/** The members are those of ExchangeContext; undefined while there is nothing to do. */
export class Observer implements AsyncDisposable {
  finished: ((record: ExchangeRecord) => void) | undefined
  probed:
    | ((client: ClientIdentity, head: RequestHead, target: RevisionTarget, status: number) => void)
    | undefined
  requestEdit: ((record: ExchangeRecord) => HeaderEdit | undefined) | undefined
  responseEdit: ((record: ExchangeRecord, status: number) => HeaderEdit | undefined) | undefined =
    serverTiming
  readonly #options: ObserverOptions
  readonly #traced = new WeakMap<ExchangeRecord, Traced>()
  #log: RequestLog | undefined
  #exporter: SpanExporter | undefined
  #samplingRate = 0

  constructor(options: ObserverOptions) {
    this.#options = options
  }

  /** Takes new settings; requests in flight are told of by the new ones. A template that is none turns the log off. */
  configure(settings: GatewaySettings): void {
    const { log, write } = this.#options
    this.#log = undefined
    if (settings.requestLogTemplate !== undefined)
      try {
        this.#log = new RequestLog(settings.requestLogTemplate, write)
      } catch (error) {
        log.error('the request log is off: its template is bad', { error })
      }
    void this.#exporter?.flush()
    const { tracing } = settings
    this.#exporter = tracing && new SpanExporter({ ...this.#options, settings: tracing })
    this.#samplingRate = tracing?.samplingRate ?? 0
    this.requestEdit = tracing && ((record) => this.#trace(record).edit)
    this.responseEdit = (settings.serverTiming ?? true) ? serverTiming : undefined
    const requestLog = settings.logProbes ? this.#log : undefined
    this.probed =
      requestLog &&
      ((client, head, target, status) => logProbe(requestLog, client, head, target, status))
    this.finished = this.#log || this.#exporter ? (record) => this.#finished(record) : undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#exporter?.flush()
  }

  /** Asked again at each retry: the same trace goes on. */
  #trace(record: ExchangeRecord): Traced {
    const known = this.#traced.get(record)
    if (known) return known
    const given = record.head.names.findIndex((name) => name.toLowerCase() === 'traceparent')
    const trace = traceOf(record.head.values[given], this.#samplingRate, this.#options.random)
    const proxySpanId = newSpanId()
    const parent = traceparent(trace.traceId, proxySpanId, trace.sampled)
    // A trace that begins here has no state of its sender's.
    const drops = trace.parentId === '' ? ['traceparent', 'tracestate'] : ['traceparent']
    const traced: Traced = {
      trace,
      proxySpanId,
      edit: headerEdit([['traceparent', parent]], drops),
    }
    this.#traced.set(record, traced)
    return traced
  }

  #finished(record: ExchangeRecord): void {
    const traced = this.#exporter ? this.#trace(record) : undefined
    if (this.#log) this.#logRequest(this.#log, record, traced)
    if (this.#exporter && traced?.trace.sampled) this.#export(this.#exporter, record, traced)
  }

  #logRequest(log: RequestLog, record: ExchangeRecord, traced: Traced | undefined): void {
    const { head, client, pod, revision } = record
    const given = head.names.findIndex((name) => name.toLowerCase() === 'traceparent')
    log.log({
      head,
      version: versionOf(record),
      secure: client.scheme === 'https',
      remoteAddress: client.address,
      status: record.status,
      responseBytes: record.responseBytes,
      seconds: (record.endedMs - record.arrivedMs) / 1000,
      target: revision.target,
      podName: pod?.podName ?? '',
      podIP: pod?.host ?? '',
      traceparent: traced
        ? traceparent(traced.trace.traceId, traced.proxySpanId, traced.trace.sampled)
        : (head.values[given] ?? ''),
    })
  }

  #export(exporter: SpanExporter, record: ExchangeRecord, traced: Traced): void {
    const { head, client, pod, revision } = record
    const { target } = revision
    const [namespace = '', name = ''] = target.key.split('/')
    const [path = '', query = ''] = head.target.split('?')
    const { clock } = this.#options
    const wallMs = clock.now() - clock.monotonic()
    const granted = record.grantedMs >= 0
    exporter.add(
      resourceOf({
        namespace,
        service: target.service,
        configuration: target.configuration,
        revision: name,
        pod: pod?.podName ?? '',
      }),
      spansOf({
        trace: traced.trace,
        proxySpanId: traced.proxySpanId,
        method: head.method,
        path,
        query,
        host: head.host,
        scheme: client.scheme,
        version: versionOf(record),
        userAgent: fieldValue(head, Field.userAgent) ?? '',
        clientAddress: client.address,
        status: record.status,
        cold: record.cold,
        arrivedMs: wallMs + record.arrivedMs,
        grantedMs: granted ? wallMs + record.grantedMs : undefined,
        endedMs: wallMs + record.endedMs,
        podAddress: pod?.host ?? '',
        podPort: pod?.port ?? 0,
      }),
    )
  }
}

function logProbe(
  log: RequestLog,
  client: ClientIdentity,
  head: RequestHead,
  target: RevisionTarget,
  status: number,
): void {
  log.log({
    head,
    version: head.minor === 0 ? '1.0' : '1.1',
    secure: client.scheme === 'https',
    remoteAddress: client.address,
    status,
    responseBytes: 0,
    seconds: 0,
    target,
    podName: '',
    podIP: '',
    traceparent: '',
  })
}

const versionOf = ({ clientProtocol, head }: ExchangeRecord): string =>
  clientProtocol === 'h2' ? '2' : head.minor === 0 ? '1.0' : '1.1'

/**
 * Server-Timing of a request that found no pod (W3C Server Timing, milliseconds): `start` until there was one, `queue`
 * until it had a slot there, `app` until the pod's answer began.
 */
function serverTiming(record: ExchangeRecord): HeaderEdit | undefined {
  if (!record.cold) return undefined
  const { arrivedMs, grantedMs, forwardedMs, answeredMs, revision } = record
  const readyMs = Math.min(Math.max(revision.readySinceMs, arrivedMs), grantedMs)
  const entry = (name: string, description: string, ms: number): string =>
    `${name};desc="${description}";dur=${Math.max(0, ms).toFixed(1)}`
  const value = [
    entry('start', 'waiting for a pod to start', readyMs - arrivedMs),
    entry('queue', 'waiting for a slot', grantedMs - readyMs),
    entry('app', 'the app until its answer began', answeredMs - forwardedMs),
  ].join(', ')
  return headerEdit([['Server-Timing', value]])
}
