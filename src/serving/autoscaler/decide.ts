/**
 * The decision: from two averages and the number of ready pods to the number of pods wanted. Pure; the rules and their
 * order are those of Knative's `autoscaler/scaling/autoscaler.go`.
 */
import type { DelayWindow } from './delay-window.ts'

/** How a revision scales. Derived by `deciderSpec` (decider-spec.ts). */
export interface DeciderSpec {
  readonly metric: 'concurrency' | 'rps'
  readonly aggregation: 'linear' | 'weightedExponential'
  readonly stableWindowMs: number
  readonly panicWindowMs: number
  /** Average a pod should carry: capacity times utilisation. */
  readonly targetValue: number
  /** Capacity of a pod. */
  readonly totalValue: number
  /** -1 = the activator stays in the path always, 0 = only at zero. */
  readonly targetBurstCapacity: number
  /** Ratio of pods needed to pods ready at which a panic starts. */
  readonly panicThreshold: number
  readonly maxScaleUpRate: number
  readonly maxScaleDownRate: number
  /** 0 = none. */
  readonly scaleDownDelayMs: number
  /** Smallest scale above zero; 0 = no such rule. */
  readonly activationScale: number
  readonly initialScale: number
  /** False = no Route leads here: scale down as fast as the averages allow. */
  readonly reachable: boolean
}

export interface DeciderState {
  /** Monotonic milliseconds of the last moment over the panic threshold; undefined = no panic. */
  readonly panicSinceMs: number | undefined
  /** Highest scale wanted in this panic. */
  readonly maxPanicPods: number
}

export interface Observation {
  readonly readyPods: number
  readonly stableValue: number
  readonly panicValue: number
}

export interface Decision {
  readonly desiredPods: number
  /** What the ready pods could take beyond the load and the target burst; negative = keep the activator in the path. */
  readonly excessBurstCapacity: number
  readonly state: DeciderState
}

export const calm: DeciderState = { panicSinceMs: undefined, maxPanicPods: 0 }

/** A decider that starts while pods are running holds their number for one stable window. */
export const initialState = (readyPods: number, nowMs: number): DeciderState =>
  readyPods > 1 ? { panicSinceMs: nowMs, maxPanicPods: readyPods } : calm

/** Before anything was measured. */
export function initialExcessBurstCapacity(spec: DeciderSpec): number {
  if (spec.targetBurstCapacity <= 0) return spec.targetBurstCapacity
  return Math.trunc(spec.initialScale * spec.totalValue - spec.targetBurstCapacity)
}

/** `delay` carries the scale-down delay from call to call and is the one thing changed. */
export function decide(
  spec: DeciderSpec,
  state: DeciderState,
  { readyPods, stableValue, panicValue }: Observation,
  nowMs: number,
  delay?: DelayWindow,
): Decision {
  const pods = Math.max(1, readyPods)
  const maxUp = Math.ceil(spec.maxScaleUpRate * pods)
  const maxDown = spec.reachable ? Math.floor(pods / spec.maxScaleDownRate) : 0
  const stableNeed = Math.ceil(stableValue / spec.targetValue)
  const panicNeed = Math.ceil(panicValue / spec.targetValue)
  const within = (need: number): number => {
    const count = Math.min(Math.max(need, maxDown), maxUp)
    return need > 0 && spec.activationScale > 1 ? Math.max(count, spec.activationScale) : count
  }
  const stablePods = within(stableNeed)

  const next = nextState(spec, state, panicNeed / pods >= spec.panicThreshold, nowMs)
  let desiredPods = stablePods
  let { maxPanicPods } = next
  if (next.panicSinceMs !== undefined) {
    maxPanicPods = Math.max(maxPanicPods, stablePods, within(panicNeed))
    desiredPods = maxPanicPods
  }
  if (delay && spec.reachable) desiredPods = delay.max(nowMs, desiredPods)
  return {
    desiredPods,
    excessBurstCapacity:
      spec.targetBurstCapacity <= 0
        ? spec.targetBurstCapacity
        : Math.floor(readyPods * spec.totalValue - spec.targetBurstCapacity - panicValue),
    state: { panicSinceMs: next.panicSinceMs, maxPanicPods },
  }
}

function nextState(
  spec: DeciderSpec,
  state: DeciderState,
  over: boolean,
  nowMs: number,
): DeciderState {
  if (over) return { ...state, panicSinceMs: nowMs }
  const ended = state.panicSinceMs !== undefined && state.panicSinceMs + spec.stableWindowMs < nowMs
  return ended ? calm : state
}
