/**
 * Hot path. What the autoscaler is told: for each revision, each second, the time-weighted
 * average of requests in flight and how many arrived. A revision that fell silent is reported once more with zeros.
 */
import type { RevisionStat } from '../feed.ts'

/** Concurrency over time of one revision. */
export class Meter {
  readonly revision: string
  inFlight = 0
  /** Requests that ever arrived. */
  total = 0
  #arrived = 0
  /** Sum of concurrency × milliseconds since the last report. */
  #area = 0
  #changedMs: number
  #reportedMs: number
  readonly #stats: Stats

  constructor(revision: string, stats: Stats, nowMs: number) {
    this.revision = revision
    this.#stats = stats
    this.#changedMs = nowMs
    this.#reportedMs = nowMs
  }

  start(nowMs: number): void {
    if (this.inFlight === 0 && this.#stats.activate(this)) {
      this.#reportedMs = nowMs
      this.#area = 0
    } else this.#area += this.inFlight * (nowMs - this.#changedMs)
    this.#changedMs = nowMs
    this.inFlight++
    this.#arrived++
    this.total++
  }

  stop(nowMs: number): void {
    this.#area += this.inFlight * (nowMs - this.#changedMs)
    this.#changedMs = nowMs
    this.inFlight--
  }

  /** The period since the last report. */
  report(nowMs: number): RevisionStat {
    this.#area += this.inFlight * (nowMs - this.#changedMs)
    this.#changedMs = nowMs
    const elapsedMs = nowMs - this.#reportedMs
    const stat = {
      revision: this.revision,
      concurrency: elapsedMs > 0 ? this.#area / elapsedMs : this.inFlight,
      requestCount: this.#arrived,
      seconds: elapsedMs / 1000,
    }
    this.#area = 0
    this.#arrived = 0
    this.#reportedMs = nowMs
    return stat
  }
}

/** The meters that have something to say. */
export class Stats {
  readonly #active = new Set<Meter>()

  /** True when the meter was silent until now. */
  activate(meter: Meter): boolean {
    if (this.#active.has(meter)) return false
    this.#active.add(meter)
    return true
  }

  forget(meter: Meter): void {
    this.#active.delete(meter)
  }

  /** Reports of all active revisions; those that were silent for the whole period report zero and drop out. */
  report(nowMs: number): RevisionStat[] {
    const stats: RevisionStat[] = []
    for (const meter of this.#active) {
      const stat = meter.report(nowMs)
      stats.push(stat)
      if (stat.requestCount === 0 && stat.concurrency === 0 && meter.inFlight === 0)
        this.#active.delete(meter)
    }
    return stats
  }
}
