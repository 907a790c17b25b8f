/**
 * Request metrics as Prometheus text, under the names that Knative's queue-proxy and activator give them through
 * OpenTelemetry (contracts/serving.md 4.10). Labels come from the feed, never from requests, and status codes
 * are three digits, so a client cannot make them grow.
 */
import type { RevisionTarget } from './feed.ts'

/** Upper bounds in seconds, as in the contract. */
const bounds = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]

class Histogram {
  readonly buckets = new Float64Array(bounds.length + 1)
  sum = 0

  observe(seconds: number): void {
    let at = 0
    while (at < bounds.length && seconds > bounds[at]!) at++
    this.buckets[at]!++
    this.sum += seconds
  }
}

/** Counters of one revision. */
export class RevisionMetrics {
  readonly labels: string
  readonly byStatus = new Map<number, Histogram>()

  constructor(target: RevisionTarget) {
    const [namespace = '', name = ''] = target.key.split('/')
    this.labels = [
      ['k8s_namespace_name', namespace],
      ['kn_service_name', target.service],
      ['kn_configuration_name', target.configuration],
      ['kn_revision_name', name],
    ]
      .map(([label = '', value = '']) => `${label}="${escape(value)}"`)
      .join(',')
  }

  /** A finished request: status sent to the client, seconds since it arrived. */
  finished(status: number, seconds: number): void {
    let histogram = this.byStatus.get(status)
    if (!histogram) {
      // A pod could answer with 900 different codes; real ones are few.
      if (this.byStatus.size >= 32) status = Math.floor(status / 100) * 100
      histogram = this.byStatus.get(status) ?? new Histogram()
      this.byStatus.set(status, histogram)
    }
    histogram.observe(seconds)
  }
}

/** What is true of the whole gateway at this moment. */
export interface GatewayGauges {
  readonly connections: number
  readonly waiting: number
  readonly rejected: number
}

/** What is true of one revision at this moment. */
export interface RevisionGauges {
  readonly metrics: RevisionMetrics
  readonly inFlight: number
  readonly waiting: number
}

/** The `/metrics` document. */
export function metricsText(gateway: GatewayGauges, revisions: Iterable<RevisionGauges>): string {
  const lines: string[] = []
  const durations: string[] = []
  const concurrency: string[] = []
  const queued: string[] = []
  const depth: string[] = []
  for (const { metrics, inFlight, waiting } of revisions) {
    if (metrics.byStatus.size === 0 && inFlight === 0) continue
    const { labels } = metrics
    concurrency.push(`kn_revision_request_concurrency{${labels}} ${inFlight}`)
    queued.push(`kn_revision_request_queued{${labels}} ${waiting}`)
    depth.push(`kn_serving_queue_depth{${labels}} ${inFlight}`)
    for (const [status, histogram] of metrics.byStatus) {
      const all = `${labels},http_response_status_code="${status}"`
      let count = 0
      for (const [at, bound] of [...bounds, '+Inf'].entries()) {
        count += histogram.buckets[at] ?? 0
        durations.push(
          `kn_serving_invocation_duration_seconds_bucket{${all},le="${bound}"} ${count}`,
        )
      }
      durations.push(`kn_serving_invocation_duration_seconds_sum{${all}} ${histogram.sum}`)
      durations.push(`kn_serving_invocation_duration_seconds_count{${all}} ${count}`)
    }
  }
  const family = (name: string, type: string, help: string, samples: readonly string[]) => {
    if (samples.length > 0)
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...samples)
  }
  family(
    'kn_serving_invocation_duration_seconds',
    'histogram',
    'Time from the arrival of a request to the end of its response.',
    durations,
  )
  family(
    'kn_revision_request_concurrency',
    'gauge',
    'Requests in flight, waiting ones included.',
    concurrency,
  )
  family('kn_revision_request_queued', 'gauge', 'Requests waiting for a pod.', queued)
  family('kn_serving_queue_depth', 'gauge', 'Requests in flight and waiting.', depth)
  family('ebb_gateway_connections', 'gauge', 'Open client connections.', [
    `ebb_gateway_connections ${gateway.connections}`,
  ])
  family('ebb_gateway_waiting', 'gauge', 'Requests waiting for a pod, all revisions.', [
    `ebb_gateway_waiting ${gateway.waiting}`,
  ])
  family('ebb_gateway_rejected_total', 'counter', 'Requests refused because a queue was full.', [
    `ebb_gateway_rejected_total ${gateway.rejected}`,
  ])
  return `${lines.join('\n')}\n`
}

const escape = (value: string): string =>
  value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
