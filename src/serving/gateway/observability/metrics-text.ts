/**
 * The `/metrics` document in Prometheus' text format, under the names that OpenTelemetry's Prometheus exporter makes
 * of Knative's (dots become underscores, units are appended).
 */
import {
  bytesBounds,
  type GatewayGauges,
  type Histogram,
  merge,
  type RevisionSnapshot,
  secondsBounds,
  type Series,
} from './metrics.ts'

/** The document. Revisions that never had a request are left out. */
export function metricsText(gateway: GatewayGauges, all: Iterable<RevisionSnapshot>): string {
  const revisions = merge(all).filter(({ series, inFlight }) => series.length > 0 || inFlight > 0)
  const text = new Text()
  text.family(
    'kn_serving_invocation_duration_seconds',
    'histogram',
    'Time from the arrival of a request to the end of its response.',
    function* () {
      for (const revision of revisions)
        for (const [status, seconds] of byStatus(revision.series))
          yield* histogram(
            'kn_serving_invocation_duration_seconds',
            `${labels(revision)},http_response_status_code="${status}"`,
            seconds,
            secondsBounds,
          )
    },
  )
  for (const [name, help, bounds, of] of [
    [
      'http_server_request_duration_seconds',
      'Duration of HTTP server requests.',
      secondsBounds,
      (series: Series) => series.seconds,
    ],
    [
      'http_server_request_body_size_bytes',
      'Size of HTTP server request bodies.',
      bytesBounds,
      (series: Series) => series.requestBytes,
    ],
    [
      'http_server_response_body_size_bytes',
      'Size of HTTP server response bodies.',
      bytesBounds,
      (series: Series) => series.responseBytes,
    ],
  ] as const)
    text.family(name, 'histogram', help, function* () {
      for (const revision of revisions)
        for (const series of revision.series)
          yield* histogram(name, `${labels(revision)},${requestLabels(series)}`, of(series), bounds)
    })
  for (const [name, help, of] of [
    [
      'kn_revision_request_concurrency',
      'Requests in flight, waiting ones included.',
      (revision: RevisionSnapshot) => revision.inFlight,
    ],
    [
      'kn_revision_request_queued',
      'Requests waiting for a pod.',
      (revision: RevisionSnapshot) => revision.waiting,
    ],
    [
      'kn_revision_request_active',
      'Requests that a pod is working on.',
      (revision: RevisionSnapshot) => revision.inFlight - revision.waiting,
    ],
    [
      'kn_serving_queue_depth',
      'Requests in flight and waiting.',
      (revision: RevisionSnapshot) => revision.inFlight,
    ],
  ] as const)
    text.family(name, 'gauge', help, function* () {
      for (const revision of revisions) yield `${name}{${labels(revision)}} ${of(revision)}`
    })
  const { connections, waiting, rejected } = gateway
  for (const [name, type, help, value] of [
    ['ebb_gateway_connections', 'gauge', 'Open client connections.', connections],
    ['ebb_gateway_waiting', 'gauge', 'Requests waiting for a pod, all revisions.', waiting],
    [
      'ebb_gateway_rejected_total',
      'counter',
      'Requests refused because a queue was full.',
      rejected,
    ],
  ] as const)
    text.family(name, type, help, () => [`${name} ${value}`])
  return text.toString()
}

class Text {
  readonly #lines: string[] = []

  family(name: string, type: string, help: string, samples: () => Iterable<string>): void {
    const lines = [...samples()]
    if (lines.length > 0)
      this.#lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines)
  }

  toString(): string {
    return `${this.#lines.join('\n')}\n`
  }
}

/** Durations by status alone, as Knative counts them. */
function byStatus(all: readonly Series[]): ReadonlyMap<number, Histogram> {
  const found = new Map<number, Histogram>()
  for (const { status, seconds } of all) {
    const before = found.get(status)
    found.set(
      status,
      before
        ? {
            buckets: before.buckets.map((count, at) => count + (seconds.buckets[at] ?? 0)),
            sum: before.sum + seconds.sum,
          }
        : seconds,
    )
  }
  return found
}

function* histogram(
  name: string,
  all: string,
  { buckets, sum }: Histogram,
  bounds: readonly number[],
): Iterable<string> {
  let count = 0
  for (const [at, bound] of [...bounds, '+Inf'].entries()) {
    count += buckets[at] ?? 0
    yield `${name}_bucket{${all},le="${bound}"} ${count}`
  }
  yield `${name}_sum{${all}} ${sum}`
  yield `${name}_count{${all}} ${count}`
}

const labels = ({ namespace, service, configuration, name }: RevisionSnapshot): string =>
  `k8s_namespace_name="${escape(namespace)}",kn_service_name="${escape(service)}",` +
  `kn_configuration_name="${escape(configuration)}",kn_revision_name="${escape(name)}"`

const requestLabels = ({ method, status, version, tag }: Series): string =>
  `http_request_method="${method}",http_response_status_code="${status}",` +
  `network_protocol_version="${version}",kn_route_tag="${escape(tag)}"`

const escape = (value: string): string =>
  value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
