/**
 * Counters of requests, by revision: what Knative's queue-proxy and activator count, and OpenTelemetry's `http.server.*`.
 * Labels come from the feed, methods from a list and codes are three digits, so a client
 * cannot make them grow. `metrics-text.ts` writes them down; workers add theirs up by `merge`.
 */
import type { RevisionTarget } from '../feed.ts'

/** Upper bounds in seconds, as in OpenTelemetry's HTTP conventions. */
export const secondsBounds = [
  0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
] as const
/** Upper bounds in bytes: OpenTelemetry's default buckets. */
export const bytesBounds = [
  0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10_000,
] as const

/** Counts by upper bound, the last one without; plain, so that it can be sent to another thread. */
export interface Histogram {
  readonly buckets: Float64Array
  sum: number
}

/** Requests of one revision that are alike in method, status, protocol version and route tag. */
export interface Series {
  readonly method: string
  readonly status: number
  /** `1.0`, `1.1`, `2`. */
  readonly version: string
  /** `kn.route.tag`. */
  readonly tag: string
  readonly seconds: Histogram
  readonly requestBytes: Histogram
  readonly responseBytes: Histogram
}

/** Everything counted of one revision, and its gauges at this moment. */
export interface RevisionSnapshot {
  readonly namespace: string
  readonly name: string
  readonly service: string
  readonly configuration: string
  readonly series: readonly Series[]
  readonly inFlight: number
  readonly waiting: number
}

/** What is true of the whole gateway at this moment. */
export interface GatewayGauges {
  readonly connections: number
  readonly waiting: number
  readonly rejected: number
}

/** A request whose response has gone out. */
export interface FinishedRequest {
  readonly method: string
  /** As the client saw it. */
  readonly status: number
  readonly version: string
  readonly tag: string
  /** Since it arrived. */
  readonly seconds: number
  /** Payload, without framing. */
  readonly requestBytes: number
  readonly responseBytes: number
}

/** Methods with a label of their own (OpenTelemetry's HTTP conventions); others are `_OTHER`. */
const methods = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH']
const methodNumbers = new Map(methods.map((method, at) => [method, at]))
const versionNumbers = new Map([
  ['1.0', 0],
  ['1.1', 1],
  ['2', 2],
])
/** Beyond it, codes count as the first of their class: a pod could answer with 900 different ones. */
const maxSeries = 256

/** Counters of one revision. */
export class RevisionMetrics {
  readonly #target: RevisionTarget
  /** Tag -> number made of method, status and version -> series. */
  readonly #tags = new Map<string, Map<number, Series>>()
  #size = 0
  /** Most requests are like the one before. */
  #last: Series | undefined
  /** Its method as the client said it. */
  #lastMethod = ''

  constructor(target: RevisionTarget) {
    this.#target = target
  }

  finished(request: FinishedRequest): void {
    const series = this.#series(request)
    observe(series.seconds, secondsBounds, request.seconds)
    observe(series.requestBytes, bytesBounds, request.requestBytes)
    observe(series.responseBytes, bytesBounds, request.responseBytes)
  }

  /** Plain values; the histograms are live, so send or merge them at once. */
  snapshot(inFlight: number, waiting: number): RevisionSnapshot {
    const [namespace = '', name = ''] = this.#target.key.split('/')
    const { service, configuration } = this.#target
    const series = [...this.#tags.values()].flatMap((of) => [...of.values()])
    return { namespace, name, service, configuration, series, inFlight, waiting }
  }

  #series(request: FinishedRequest): Series {
    const { method, status, version, tag } = request
    let last = this.#last
    if (
      last === undefined ||
      last.status !== status ||
      this.#lastMethod !== method ||
      last.version !== version ||
      last.tag !== tag
    ) {
      last = this.#find(method, status, version, tag)
      this.#last = last
      this.#lastMethod = method
    }
    return last
  }

  #find(method: string, status: number, version: string, tag: string): Series {
    let of = this.#tags.get(tag)
    if (!of) this.#tags.set(tag, (of = new Map()))
    const methodNumber = methodNumbers.get(method) ?? methods.length
    const rest = (versionNumbers.get(version) ?? 1) * 16 + methodNumber
    const known = of.get(status * 64 + rest)
    if (known) return known
    if (this.#size >= maxSeries) {
      status = Math.floor(status / 100) * 100
      const folded = of.get(status * 64 + rest)
      if (folded) return folded
    }
    const made: Series = {
      method: methods[methodNumber] ?? '_OTHER',
      status,
      version,
      tag,
      seconds: histogram(secondsBounds),
      requestBytes: histogram(bytesBounds),
      responseBytes: histogram(bytesBounds),
    }
    this.#size++
    of.set(status * 64 + rest, made)
    return made
  }
}

/** The snapshots of several workers as one: counters and gauges of the same revision are added up. */
export function merge(snapshots: Iterable<RevisionSnapshot>): readonly RevisionSnapshot[] {
  const merged = new Map<string, RevisionSnapshot>()
  for (const snapshot of snapshots) {
    const key = `${snapshot.namespace}/${snapshot.name}`
    const before = merged.get(key)
    merged.set(key, before ? added(before, snapshot) : snapshot)
  }
  return [...merged.values()]
}

function added(a: RevisionSnapshot, b: RevisionSnapshot): RevisionSnapshot {
  const all = new Map<string, Series>()
  for (const series of [...a.series, ...b.series]) {
    const key = `${series.tag}\n${series.method}\n${series.status}\n${series.version}`
    const before = all.get(key)
    all.set(
      key,
      before
        ? {
            ...before,
            seconds: sum(before.seconds, series.seconds),
            requestBytes: sum(before.requestBytes, series.requestBytes),
            responseBytes: sum(before.responseBytes, series.responseBytes),
          }
        : series,
    )
  }
  return {
    ...b,
    series: [...all.values()],
    inFlight: a.inFlight + b.inFlight,
    waiting: a.waiting + b.waiting,
  }
}

const histogram = (bounds: readonly number[]): Histogram => ({
  buckets: new Float64Array(bounds.length + 1),
  sum: 0,
})

function observe(into: Histogram, bounds: readonly number[], value: number): void {
  let at = 0
  while (at < bounds.length && value > bounds[at]!) at++
  into.buckets[at]!++
  into.sum += value
}

const sum = (a: Histogram, b: Histogram): Histogram => ({
  buckets: a.buckets.map((count, at) => count + (b.buckets[at] ?? 0)),
  sum: a.sum + b.sum,
})
