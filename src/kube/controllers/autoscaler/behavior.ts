/**
 * From what the metrics ask for to what is done: not down before the wishes of the last minutes agree, not faster than
 * the policies allow, within the bounds (upstream: pkg/controller/podautoscaler/horizontal.go). Pure: the state goes in
 * and comes out.
 */
import {
  defaultScaleDown,
  defaultScaleUp,
  type AutoscalerSpec,
  type ScalingRules,
} from '../../api/horizontal-pod-autoscaler.ts'

export interface ScalingState {
  /** What was asked for, and when; the oldest first. */
  readonly wishes: readonly { readonly atMs: number; readonly replicas: number }[]
  /** What was done, positive up and negative down; the oldest first. */
  readonly changes: readonly { readonly atMs: number; readonly by: number }[]
}

export interface Outcome {
  readonly replicas: number
  readonly able: { readonly reason: string; readonly message: string }
  readonly limited: {
    readonly status: 'True' | 'False'
    readonly reason: string
    readonly message: string
  }
  readonly state: ScalingState
}

export const freshState: ScalingState = { wishes: [], changes: [] }

/** Seconds that a wish to go down waits for others, unless the rules say otherwise. */
const downWindow = 300
const longestMs = 3_600_000

export function decide(
  spec: AutoscalerSpec,
  current: number,
  wish: number,
  state: ScalingState,
  nowMs: number,
): Outcome {
  const up = { ...defaultScaleUp, ...spec.behavior?.scaleUp }
  const down = { ...defaultScaleDown, ...spec.behavior?.scaleDown }
  const { minReplicas = 1, maxReplicas } = spec
  const wishes = [...state.wishes, { atMs: nowMs, replicas: wish }].filter(
    ({ atMs }) => nowMs - atMs <= longestMs,
  )
  const within = (seconds: number) =>
    wishes
      .filter(({ atMs }) => atMs > nowMs - seconds * 1_000 || atMs === nowMs)
      .map(({ replicas }) => replicas)
  const highest = Math.max(...within(down.stabilizationWindowSeconds ?? downWindow))
  const lowest = Math.min(...within(up.stabilizationWindowSeconds ?? 0))
  let able = { reason: 'ReadyForNewScale', message: 'recommended size matches current size' }
  let replicas = wish
  if (current < lowest) replicas = lowest
  else if (current > highest) replicas = highest
  else replicas = current
  // A wish that is not followed to its full extent is held by those of the last minutes.
  if (wish < current && replicas > wish)
    able = {
      reason: 'ScaleDownStabilized',
      message:
        'recent recommendations were higher than current one, applying the highest recent recommendation',
    }
  else if (wish > current && replicas < wish)
    able = {
      reason: 'ScaleUpStabilized',
      message:
        'recent recommendations were lower than current one, applying the lowest recent recommendation',
    }
  let limited: Outcome['limited'] = {
    status: 'False',
    reason: 'DesiredWithinRange',
    message: 'the desired count is within the acceptable range',
  }
  const limit = (to: number, reason: string, message: string) => {
    replicas = to
    limited = { status: 'True', reason, message }
  }
  const changes = state.changes.filter(({ atMs }) => nowMs - atMs <= longestMs)
  if (replicas > current) {
    const most = fastestUp(up, current, changes, nowMs)
    if (replicas > maxReplicas && most >= maxReplicas)
      limit(
        maxReplicas,
        'TooManyReplicas',
        'the desired replica count is more than the maximum replica count',
      )
    else if (replicas > most)
      limit(
        Math.max(most, current),
        'ScaleUpLimit',
        'the desired replica count is increasing faster than the maximum scale rate',
      )
  } else if (replicas < current) {
    const least = fastestDown(down, current, changes, nowMs)
    if (replicas < minReplicas && least <= minReplicas)
      limit(
        minReplicas,
        'TooFewReplicas',
        'the desired replica count is less than the minimum replica count',
      )
    else if (replicas < least)
      limit(
        Math.min(least, current),
        'ScaleDownLimit',
        'the desired replica count is decreasing faster than the maximum scale rate',
      )
  }
  if (replicas > maxReplicas || (wish > maxReplicas && replicas === maxReplicas))
    limit(
      maxReplicas,
      'TooManyReplicas',
      'the desired replica count is more than the maximum replica count',
    )
  else if (replicas < minReplicas || (wish < minReplicas && replicas === minReplicas))
    limit(
      minReplicas,
      'TooFewReplicas',
      'the desired replica count is less than the minimum replica count',
    )
  return {
    replicas,
    able,
    limited,
    state: {
      wishes,
      changes:
        replicas === current ? changes : [...changes, { atMs: nowMs, by: replicas - current }],
    },
  }
}

type Changes = ScalingState['changes']

const changed = (changes: Changes, sinceMs: number, sign: 1 | -1): number =>
  changes
    .filter(({ atMs, by }) => atMs > sinceMs && Math.sign(by) === sign)
    .reduce((sum, { by }) => sum + by, 0)

function fastestUp(
  { policies = [], selectPolicy }: ScalingRules,
  current: number,
  changes: Changes,
  nowMs: number,
) {
  if (selectPolicy === 'Disabled') return current
  const limits = policies.map(({ type, value, periodSeconds }) => {
    const start = current - changed(changes, nowMs - periodSeconds * 1_000, 1)
    return type === 'Pods' ? start + value : Math.ceil(start * (1 + value / 100))
  })
  return selectPolicy === 'Min' ? Math.min(...limits) : Math.max(...limits)
}

function fastestDown(
  { policies = [], selectPolicy }: ScalingRules,
  current: number,
  changes: Changes,
  nowMs: number,
) {
  if (selectPolicy === 'Disabled') return current
  const limits = policies.map(({ type, value, periodSeconds }) => {
    const start = current - changed(changes, nowMs - periodSeconds * 1_000, -1)
    return type === 'Pods' ? start - value : Math.floor(start * (1 - value / 100))
  })
  return selectPolicy === 'Min' ? Math.max(...limits) : Math.min(...limits)
}
