/** What work queues count, in Prometheus' text format under the names of client-go's `workqueue` metrics. */

/** One queue's numbers; the queue itself keeps them. */
export interface QueueCounts {
  adds: number
  retries: number
  /** Keys worked on so far, by seconds (`bounds`), and all their seconds. */
  readonly buckets: number[]
  works: number
  seconds: number
  /** Keys waiting now. */
  readonly depth: () => number
}

/** client-go's bounds of work durations, in seconds. */
const bounds = [1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1, 10]

/** Notes one work of so many seconds. */
export function noteWork(counts: QueueCounts, seconds: number): void {
  const at = bounds.findIndex((bound) => seconds <= bound)
  if (at >= 0) counts.buckets[at] = (counts.buckets[at] ?? 0) + 1
  counts.works++
  counts.seconds += seconds
}

export class QueueMetrics {
  readonly #queues = new Map<string, QueueCounts>()

  /** The numbers of a queue; another one of the same name takes its place. */
  queue(name: string, depth: () => number): QueueCounts {
    const buckets = bounds.map(() => 0)
    const counts: QueueCounts = { adds: 0, retries: 0, buckets, works: 0, seconds: 0, depth }
    this.#queues.set(name, counts)
    return counts
  }

  text(): string {
    const lines: string[] = []
    const family = (
      name: string,
      type: string,
      help: string,
      of: (label: string, counts: QueueCounts) => readonly string[],
    ): void => {
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`)
      for (const [queue, counts] of this.#queues) lines.push(...of(`name="${queue}"`, counts))
    }
    family('workqueue_depth', 'gauge', 'Keys waiting.', (label, { depth }) => [
      `workqueue_depth{${label}} ${depth()}`,
    ])
    family('workqueue_adds_total', 'counter', 'Keys that began to wait.', (label, { adds }) => [
      `workqueue_adds_total{${label}} ${adds}`,
    ])
    family('workqueue_retries_total', 'counter', 'Keys tried again.', (label, { retries }) => [
      `workqueue_retries_total{${label}} ${retries}`,
    ])
    const name = 'workqueue_work_duration_seconds'
    family(name, 'histogram', 'Time that the work on a key took.', (label, counts) => {
      let below = 0
      return [
        ...bounds.map((bound, at) => {
          below += counts.buckets[at] ?? 0
          return `${name}_bucket{${label},le="${bound}"} ${below}`
        }),
        `${name}_bucket{${label},le="+Inf"} ${counts.works}`,
        `${name}_sum{${label}} ${counts.seconds}`,
        `${name}_count{${label}} ${counts.works}`,
      ]
    })
    return `${lines.join('\n')}\n`
  }
}
