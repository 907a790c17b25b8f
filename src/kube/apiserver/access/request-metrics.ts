/**
 * What the API server counts, in Prometheus' text format under kube-apiserver's names, at `/metrics`. Labels come from
 * what is served, never from what a client writes, so that their number is bounded.
 */
import type { KindDefinition } from '../../api/kind.ts'
import type { RequestInfo } from './request-info.ts'

/** Kubernetes' bounds of request durations, in seconds. */
const bounds = [
  0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45,
  60,
]

export interface Gauges {
  readonly readOnly: number
  readonly mutating: number
  readonly waiting: number
  readonly streams: number
}

interface Durations {
  readonly buckets: number[]
  sum: number
  count: number
}

const verbs = new Set([
  'get',
  'list',
  'watch',
  'create',
  'update',
  'patch',
  'delete',
  'deletecollection',
])

export class RequestMetrics {
  readonly #totals = new Map<string, number>()
  readonly #durations = new Map<string, Durations>()
  readonly #authentication = { success: 0, failure: 0 }
  #refused = 0

  /** `kind`: of what was asked for; undefined where nothing is served. */
  note(
    info: RequestInfo,
    kind: KindDefinition | undefined,
    code: number,
    seconds: number,
    dryRun: boolean,
  ): void {
    const labels = labelsOf(info, kind)
    const total = `${labels},code="${code}",dry_run="${dryRun ? 'All' : ''}"`
    this.#totals.set(total, (this.#totals.get(total) ?? 0) + 1)
    if (code === 429) this.#refused++
    if (info.longRunning) return
    const known = this.#durations.get(labels)
    const durations = known ?? { buckets: bounds.map(() => 0), sum: 0, count: 0 }
    if (!known) this.#durations.set(labels, durations)
    const at = bounds.findIndex((bound) => seconds <= bound)
    if (at >= 0) durations.buckets[at] = (durations.buckets[at] ?? 0) + 1
    durations.sum += seconds
    durations.count++
  }

  authenticated(success: boolean): void {
    this.#authentication[success ? 'success' : 'failure']++
  }

  /** The document. `objects`: how many there are of each resource. */
  text(gauges: Gauges, objects: Iterable<readonly [string, number]>): string {
    const lines: string[] = []
    const family = (name: string, type: string, help: string, samples: Iterable<string>): void => {
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...samples)
    }
    family(
      'apiserver_request_total',
      'counter',
      'Requests by verb, resource and code of the answer.',
      [...this.#totals].map(([labels, count]) => `apiserver_request_total{${labels}} ${count}`),
    )
    family(
      'apiserver_request_duration_seconds',
      'histogram',
      'Time from the arrival of a request to the end of its answer, without watches.',
      this.#histograms(),
    )
    family('apiserver_current_inflight_requests', 'gauge', 'Requests being answered.', [
      `apiserver_current_inflight_requests{request_kind="mutating"} ${gauges.mutating}`,
      `apiserver_current_inflight_requests{request_kind="readOnly"} ${gauges.readOnly}`,
    ])
    family('apiserver_current_inqueue_requests', 'gauge', 'Requests waiting for their turn.', [
      `apiserver_current_inqueue_requests ${gauges.waiting}`,
    ])
    family(
      'apiserver_flowcontrol_rejected_requests_total',
      'counter',
      'Requests refused because too many came.',
      [`apiserver_flowcontrol_rejected_requests_total ${this.#refused}`],
    )
    family('apiserver_longrunning_requests', 'gauge', 'Watches, followed logs and their like.', [
      `apiserver_longrunning_requests ${gauges.streams}`,
    ])
    family(
      'authentication_attempts',
      'counter',
      'Credentials that were believed, and that were not.',
      Object.entries(this.#authentication).map(
        ([result, count]) => `authentication_attempts{result="${result}"} ${count}`,
      ),
    )
    family(
      'apiserver_storage_objects',
      'gauge',
      'Stored objects by resource.',
      [...objects].map(
        ([resource, count]) => `apiserver_storage_objects{resource="${resource}"} ${count}`,
      ),
    )
    const { rss } = process.memoryUsage()
    const { user, system } = process.cpuUsage()
    family('process_resident_memory_bytes', 'gauge', 'Memory of the process.', [
      `process_resident_memory_bytes ${rss}`,
    ])
    family('process_cpu_seconds_total', 'counter', 'Time on processors.', [
      `process_cpu_seconds_total ${(user + system) / 1e6}`,
    ])
    return `${lines.join('\n')}\n`
  }

  *#histograms(): Generator<string> {
    const name = 'apiserver_request_duration_seconds'
    for (const [labels, { buckets, sum, count }] of this.#durations) {
      let below = 0
      for (const [at, bound] of bounds.entries()) {
        below += buckets[at] ?? 0
        yield `${name}_bucket{${labels},le="${bound}"} ${below}`
      }
      yield `${name}_bucket{${labels},le="+Inf"} ${count}`
      yield `${name}_sum{${labels}} ${sum}`
      yield `${name}_count{${labels}} ${count}`
    }
  }
}

const subresources = new Set([
  'status',
  'scale',
  'log',
  'exec',
  'attach',
  'portforward',
  'proxy',
  'eviction',
  'binding',
  'token',
  'finalize',
  'approval',
  'ephemeralcontainers',
  'resize',
])

function labelsOf({ verb, path }: RequestInfo, kind: KindDefinition | undefined): string {
  const method = verbs.has(verb) ? verb.toUpperCase() : 'OTHER'
  if (!path || !kind)
    return `verb="${method}",group="",version="",resource="",subresource="",scope="",component="apiserver"`
  const { subresource, name, namespace } = path
  const scope = name ? 'resource' : namespace ? 'namespace' : 'cluster'
  const sub = subresources.has(subresource) ? subresource : ''
  return `verb="${method}",group="${kind.group}",version="${path.version}",resource="${kind.plural}",subresource="${sub}",scope="${scope}",component="apiserver"`
}
