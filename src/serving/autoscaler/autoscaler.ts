/**
 * The loop around the decision: takes in the gateway's reports, decides for every revision that has pods or traffic
 * every two seconds, and at once when a request finds a revision at zero. The gateway is the only source: it measures at
 * the pods and holds what waits, so nothing is counted twice and nothing needs scraping. What it does not mention while
 * it is connected is zero; while it is not connected nothing is known, and decisions stand.
 */
import type { Clock } from '../../lib/clock.ts'
import type { DeciderSpec } from './decide.ts'
import { Decider, type ScaleDecision } from './decider.ts'
import type { Stat } from './metrics.ts'

export interface Autoscaler {
  /** Begins to scale a revision (`namespace/name`), or changes how. Window lengths and targets follow at once. */
  set(key: string, spec: DeciderSpec): void
  remove(key: string): void
  /** Pods that are running, ready and not being deleted. Call it right after the first `set`: see Decider. */
  setReadyPods(key: string, readyPods: number): void
  /** The gateway's reports of about one second. */
  record(stats: readonly Stat[]): void
  /** A request arrived for a revision without a ready pod: decides at once. */
  wake(key: string): void
  /** What is wanted now; undefined for a key that is not set. */
  decision(key: string): ScaleDecision | undefined
  /** Whether the gateway's reports reach us. Starts as false. */
  setConnected(connected: boolean): void
  /** Everything that is scaled, for metrics and pages. */
  snapshot(): readonly ScaleDecision[]
  /** Decides every two seconds until disposed. */
  start(): Disposable
}

export interface AutoscalerOptions {
  readonly clock: Clock
  /** The desired scale of a revision has changed, or the sign of its excess burst capacity. Must not throw. */
  readonly onDecision: (key: string) => void
}

const tickMs = 2_000
/** Wake-ups remembered for revisions that nobody has set yet. */
const earlyCapacity = 1_000

export function createAutoscaler({ clock, onDecision }: AutoscalerOptions): Autoscaler {
  const deciders = new Map<string, Decider>()
  /** Those that the tick looks at. */
  const hot = new Set<Decider>()
  const early = new Set<string>()
  let heardSinceMs: number | undefined

  const run = (decider: Decider, nowMs: number): void => {
    const { desiredScale, excessBurstCapacity } = decider.decision
    const decided = decider.decide(nowMs, heardSinceMs ?? Infinity)
    if (decider.isHot) hot.add(decider)
    else hot.delete(decider)
    if (!decided) return
    const now = decider.decision
    const turned = now.excessBurstCapacity < 0 !== excessBurstCapacity < 0
    if (now.desiredScale !== desiredScale || turned) onDecision(decider.key)
  }

  const wake = (decider: Decider): void => {
    const nowMs = clock.monotonic()
    decider.wake(nowMs)
    run(decider, nowMs)
  }

  const tick = (): void => {
    if (heardSinceMs === undefined) return
    const nowMs = clock.monotonic()
    for (const decider of hot) run(decider, nowMs)
  }

  return {
    set(key, spec) {
      const existing = deciders.get(key)
      if (existing) return existing.update(spec)
      const decider = new Decider(key, spec)
      deciders.set(key, decider)
      if (early.delete(key)) wake(decider)
    },
    remove(key) {
      const decider = deciders.get(key)
      if (!decider) return
      deciders.delete(key)
      hot.delete(decider)
    },
    setReadyPods(key, readyPods) {
      const decider = deciders.get(key)
      if (!decider) return
      decider.setReadyPods(readyPods, clock.monotonic())
      if (decider.isHot) hot.add(decider)
    },
    record(stats) {
      const nowMs = clock.monotonic()
      for (const { revision, concurrency, requestCount, seconds } of stats) {
        const decider = deciders.get(revision)
        if (!decider || !(Number.isFinite(concurrency) && Number.isFinite(requestCount))) continue
        decider.record(nowMs, concurrency, requestCount, Number.isFinite(seconds) ? seconds : 1)
        hot.add(decider)
        if (concurrency > 0 && decider.desiredScale === 0) run(decider, nowMs)
      }
    },
    wake(key) {
      const decider = deciders.get(key)
      if (decider) wake(decider)
      else if (early.size < earlyCapacity) early.add(key)
    },
    decision: (key) => deciders.get(key)?.decision,
    setConnected(connected) {
      if (!connected) heardSinceMs = undefined
      else heardSinceMs ??= clock.monotonic()
    },
    snapshot: () => [...deciders.values()].map(({ decision }) => decision),
    start() {
      const again = (): void => {
        cancel = clock.after(tickMs, again)
        tick()
      }
      let cancel = clock.after(tickMs, again)
      return { [Symbol.dispose]: () => cancel() }
    },
  }
}
