/** What was measured of one revision: concurrency and requests a second, each over the stable and the panic window. */
import { Window, type Aggregation } from './window.ts'

export type ScalingMetric = 'concurrency' | 'rps'

/** One report about a revision, as the gateway measures it. */
export interface Stat {
  /** `namespace/name`. */
  readonly revision: string
  /** Time-weighted average of requests in flight. */
  readonly concurrency: number
  /** Requests that arrived in the period; may be negative, to take back what was reported early. */
  readonly requestCount: number
  /** Length of the period in seconds. */
  readonly seconds: number
}

export interface WindowSpec {
  readonly stableWindowMs: number
  readonly panicWindowMs: number
  /** Fixed when the collection is made; changing it later has no effect. */
  readonly aggregation: Aggregation
}

/** Averages of one metric. */
export interface Averages {
  readonly stable: number
  readonly panic: number
}

export class RevisionMetrics {
  readonly #stable: Readonly<Record<ScalingMetric, Window>>
  readonly #panic: Readonly<Record<ScalingMetric, Window>>

  constructor({ stableWindowMs, panicWindowMs, aggregation }: WindowSpec) {
    const pair = (windowMs: number) => ({
      concurrency: new Window(windowMs, aggregation),
      rps: new Window(windowMs, aggregation),
    })
    this.#stable = pair(stableWindowMs)
    this.#panic = pair(panicWindowMs)
  }

  /** Adds one second's measurement. Several in the same second add up. */
  record(nowMs: number, concurrency: number, requestsPerSecond: number): void {
    this.#stable.concurrency.record(nowMs, concurrency)
    this.#panic.concurrency.record(nowMs, concurrency)
    this.#stable.rps.record(nowMs, requestsPerSecond)
    this.#panic.rps.record(nowMs, requestsPerSecond)
  }

  /** The averages of `metric`, or undefined when nothing was recorded within the windows. */
  averages(metric: ScalingMetric, nowMs: number): Averages | undefined {
    const stable = this.#stable[metric]
    const panic = this.#panic[metric]
    if (stable.isEmpty(nowMs) || panic.isEmpty(nowMs)) return undefined
    return { stable: stable.average(nowMs), panic: panic.average(nowMs) }
  }

  resize({ stableWindowMs, panicWindowMs }: WindowSpec): void {
    for (const window of Object.values(this.#stable)) window.resize(stableWindowMs)
    for (const window of Object.values(this.#panic)) window.resize(panicWindowMs)
  }
}
