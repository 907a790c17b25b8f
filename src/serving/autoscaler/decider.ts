/**
 * One revision's part of the autoscaler: its windows, its ready pods and what was decided last. A decider of a revision
 * at zero without traffic holds no windows and is not looked at, so that ten thousand of them cost nothing.
 */
import {
  calm,
  decide,
  initialExcessBurstCapacity,
  initialState,
  type DeciderSpec,
  type DeciderState,
} from './decide.ts'
import { DelayWindow } from './delay-window.ts'
import { RevisionMetrics } from './metrics.ts'

/** What the autoscaler wants for one revision, and why. */
export interface ScaleDecision {
  /** `namespace/name` of the revision. */
  readonly key: string
  /** Pods wanted; -1 = nothing measured yet. */
  readonly desiredScale: number
  readonly excessBurstCapacity: number
  readonly panic: boolean
  readonly readyPods: number
  readonly metric: DeciderSpec['metric']
  /** Averages the decision rests on, in requests in flight or requests a second. */
  readonly stableValue: number
  readonly panicValue: number
  /** Average a pod should carry. */
  readonly targetValue: number
}

/** A gateway that does not mention a revision for this long has nothing to say about it: that counts as zero. */
const silenceMs = 2_000

export class Decider {
  readonly key: string
  #spec: DeciderSpec
  #metrics: RevisionMetrics | undefined
  readonly #delay: DelayWindow | undefined
  readonly #aggregation: DeciderSpec['aggregation']
  /** Undefined until it is known with how many pods this begins. */
  #state: DeciderState | undefined
  #readyPods = 0
  #lastReportMs = -Infinity
  /** A request was counted ahead of the report that will contain it. */
  #early = false
  #desiredScale = -1
  #excessBurstCapacity: number
  #stableValue = 0
  #panicValue = 0

  constructor(key: string, spec: DeciderSpec) {
    this.key = key
    this.#spec = spec
    this.#aggregation = spec.aggregation
    this.#delay = spec.scaleDownDelayMs > 0 ? new DelayWindow(spec.scaleDownDelayMs) : undefined
    this.#excessBurstCapacity = initialExcessBurstCapacity(spec)
  }

  /** Something to decide may come up without anyone calling. */
  get isHot(): boolean {
    return this.#readyPods > 0 || this.#metrics !== undefined
  }

  get desiredScale(): number {
    return this.#desiredScale
  }

  get decision(): ScaleDecision {
    return {
      key: this.key,
      desiredScale: this.#desiredScale,
      excessBurstCapacity: this.#excessBurstCapacity,
      panic: this.#state?.panicSinceMs !== undefined,
      readyPods: this.#readyPods,
      metric: this.#spec.metric,
      stableValue: this.#stableValue,
      panicValue: this.#panicValue,
      targetValue: this.#spec.targetValue,
    }
  }

  /** The first number given decides whether this begins in a panic that holds the pods already running. */
  setReadyPods(readyPods: number, nowMs: number): void {
    this.#readyPods = readyPods
    this.#state ??= initialState(readyPods, nowMs)
  }

  update(spec: DeciderSpec): void {
    this.#spec = spec
    this.#metrics?.resize(this.#windows())
    if (this.#desiredScale < 0) this.#excessBurstCapacity = initialExcessBurstCapacity(spec)
    else if (!this.#metrics) {
      const { targetBurstCapacity: burst } = spec
      this.#excessBurstCapacity =
        burst <= 0 ? burst : Math.floor(this.#readyPods * spec.totalValue - burst)
    }
  }

  /** A request came while there was no pod: counts at once, and not again in the next report. */
  wake(nowMs: number): void {
    this.#lastReportMs = nowMs
    this.#collect().record(nowMs, 1, 1)
    this.#early = true
  }

  /** A report that covers the `seconds` before `nowMs`. */
  record(nowMs: number, concurrency: number, requestCount: number, seconds: number): void {
    this.#lastReportMs = nowMs
    const early = this.#early ? 1 : 0
    this.#early = false
    const inFlight = Math.max(0, concurrency - early)
    // A report that comes late stands for several seconds: each of them had these averages.
    const count = Math.min(Math.max(1, Math.round(seconds)), this.#spec.stableWindowMs / 1000)
    const perSecond = (requestCount - early) / count
    const metrics = this.#collect()
    for (let ago = Math.min(count - 1, Math.floor(nowMs / 1000)); ago >= 0; ago--)
      metrics.record(nowMs - ago * 1000, inFlight, perSecond)
  }

  /**
   * Decides on what is known at `nowMs`. False = there are no data, and what was decided before stands.
   * `heardSinceMs`: since when every report has reached us.
   */
  decide(nowMs: number, heardSinceMs: number): boolean {
    if (nowMs - Math.max(this.#lastReportMs, heardSinceMs) >= silenceMs && this.isHot)
      this.#collect().record(Math.max(0, nowMs - 1000), 0, 0)
    const averages = this.#metrics?.averages(this.#spec.metric, nowMs)
    if (!averages) {
      if (this.#readyPods === 0) this.#metrics = undefined
      return false
    }
    const { stable, panic } = averages
    const seen = { readyPods: this.#readyPods, stableValue: stable, panicValue: panic }
    const decision = decide(this.#spec, this.#state ?? calm, seen, nowMs, this.#delay)
    this.#state = decision.state
    this.#stableValue = stable
    this.#panicValue = panic
    this.#desiredScale = decision.desiredPods
    this.#excessBurstCapacity = decision.excessBurstCapacity
    const asleep = this.#readyPods === 0 && decision.desiredPods === 0
    if (asleep && stable === 0 && panic === 0 && decision.state.panicSinceMs === undefined)
      this.#metrics = undefined
    return true
  }

  #collect(): RevisionMetrics {
    return (this.#metrics ??= new RevisionMetrics(this.#windows()))
  }

  #windows() {
    const { stableWindowMs, panicWindowMs } = this.#spec
    return { stableWindowMs, panicWindowMs, aggregation: this.#aggregation }
  }
}
