/** What several gateway workers report, added up: statistics of the same second, and metrics. */
import type { GatewayView } from '../admin.ts'
import type { RevisionStat } from '../feed.ts'
import { merge } from '../observability/metrics.ts'

export class ReportSum {
  readonly #done: (stats: readonly RevisionStat[]) => void
  #sums = new Map<string, RevisionStat>()
  #missing = new Set<number>()

  /** `done` gets each sum that is not empty. */
  constructor(done: (stats: readonly RevisionStat[]) => void) {
    this.#done = done
  }

  /** These workers are asked for a report. Who has not answered the last time is left out. */
  ask(workers: readonly number[]): void {
    this.#finish()
    this.#missing = new Set(workers)
  }

  /** An answer; empty from a worker that has none or is gone. */
  add(worker: number, stats: readonly RevisionStat[]): void {
    if (!this.#missing.delete(worker)) return
    for (const stat of stats) {
      const before = this.#sums.get(stat.revision)
      this.#sums.set(
        stat.revision,
        before
          ? {
              revision: stat.revision,
              concurrency: before.concurrency + stat.concurrency,
              requestCount: before.requestCount + stat.requestCount,
              seconds: Math.max(before.seconds, stat.seconds),
            }
          : stat,
      )
    }
    if (this.#missing.size === 0) this.#finish()
  }

  #finish(): void {
    if (this.#sums.size === 0) return
    const stats = [...this.#sums.values()]
    this.#sums = new Map()
    this.#done(stats)
  }
}

/** What several workers show, as one. */
export function sumOf(views: readonly GatewayView[]): GatewayView {
  const sum = (of: (view: GatewayView) => number): number =>
    views.reduce((total, view) => total + of(view), 0)
  return {
    gateway: {
      connections: sum(({ gateway }) => gateway.connections),
      waiting: sum(({ gateway }) => gateway.waiting),
      rejected: sum(({ gateway }) => gateway.rejected),
    },
    revisions: merge(views.flatMap(({ revisions }) => [...revisions])),
  }
}
