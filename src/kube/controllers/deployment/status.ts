/** The status of a Deployment, from its ReplicaSets as they will be after the plan. */
import type { Deployment } from '../../api/deployment.ts'
import type { ReplicaSet } from '../../api/replica-set.ts'
import {
  available,
  complete,
  find,
  timedOut,
  unavailable,
  updated,
  withCondition,
  without,
  type Conditions,
} from './conditions.ts'

export type Status = NonNullable<Deployment['status']>

export interface StatusInput {
  readonly deployment: Deployment
  readonly newest: ReplicaSet | undefined
  readonly old: readonly ReplicaSet[]
  /** Conditions as far as this plan has changed them already. */
  readonly conditions: Conditions
  readonly maxUnavailable: number
  /** True during a rollout step; false when the Deployment is only being scaled or is paused. */
  readonly judgeProgress: boolean
  readonly nowMs: number
}

const sum = (sets: readonly ReplicaSet[], of: (set: ReplicaSet) => number | undefined) =>
  sets.reduce((total, set) => total + (of(set) ?? 0), 0)

export function deploymentStatus(input: StatusInput): Status {
  const { deployment, newest, old, maxUnavailable, judgeProgress, nowMs } = input
  const { generation } = deployment.metadata
  const { replicas = 1 } = deployment.spec
  const all = newest ? [...old, newest] : old
  const numbers = {
    replicas: sum(all, (set) => set.status?.replicas),
    updatedReplicas: newest?.status?.replicas ?? 0,
    readyReplicas: sum(all, (set) => set.status?.readyReplicas),
    availableReplicas: sum(all, (set) => set.status?.availableReplicas),
  }
  const missing = sum(all, (set) => set.spec.replicas) - numbers.availableReplicas
  const enough = numbers.availableReplicas >= replicas - maxUnavailable
  let conditions = withCondition(input.conditions, enough ? available : unavailable, nowMs)
  if (judgeProgress) conditions = progress({ ...input, conditions }, numbers)
  conditions = failure(conditions, newest, old)
  const { collisionCount } = deployment.status ?? {}
  return {
    ...(generation !== undefined && { observedGeneration: generation }),
    ...Object.fromEntries(Object.entries(numbers).filter(([, count]) => count > 0)),
    ...(missing > 0 && { unavailableReplicas: missing }),
    ...(collisionCount !== undefined && { collisionCount }),
    conditions,
  }
}

interface Numbers {
  readonly replicas: number
  readonly updatedReplicas: number
  readonly readyReplicas: number
  readonly availableReplicas: number
}

function progress(
  { deployment, newest, conditions, nowMs }: StatusInput,
  now: Numbers,
): Conditions {
  if (!hasDeadline(deployment)) return without(conditions, 'Progressing')
  const current = find(conditions, 'Progressing')
  // A finished rollout stays finished while it is only scaled: it can't time out any more.
  if (now.replicas === now.updatedReplicas && current?.reason === 'NewReplicaSetAvailable')
    return conditions
  const subject = newest
    ? `ReplicaSet "${newest.metadata.name}"`
    : `Deployment "${deployment.metadata.name}"`
  if (isComplete(deployment, now)) return withCondition(conditions, complete(subject), nowMs)
  const before = deployment.status ?? {}
  const progressed =
    now.updatedReplicas > (before.updatedReplicas ?? 0) ||
    now.replicas - now.updatedReplicas < (before.replicas ?? 0) - (before.updatedReplicas ?? 0) ||
    now.readyReplicas > (before.readyReplicas ?? 0) ||
    now.availableReplicas > (before.availableReplicas ?? 0)
  if (progressed) return withCondition(conditions, updated(subject), nowMs, true)
  const deadlineMs = deadlineOf(deployment, conditions)
  const late = current?.reason === 'ProgressDeadlineExceeded'
  if (late || (deadlineMs !== undefined && deadlineMs < nowMs))
    return withCondition(conditions, timedOut(subject), nowMs)
  return conditions
}

/** Every pod is of the newest template and available. */
const isComplete = ({ spec: { replicas = 1 } }: Deployment, now: Numbers): boolean =>
  now.updatedReplicas === replicas &&
  now.replicas === replicas &&
  now.availableReplicas === replicas

/** No deadline is written as the greatest 32-bit number, too. */
export const hasDeadline = ({ spec: { progressDeadlineSeconds } }: Deployment): boolean =>
  progressDeadlineSeconds !== undefined && progressDeadlineSeconds !== 2_147_483_647

/** When the rollout times out unless it gets on; undefined when it can't. */
export function deadlineOf(deployment: Deployment, conditions: Conditions): number | undefined {
  const current = find(conditions, 'Progressing')
  if (!hasDeadline(deployment) || !current?.lastUpdateTime) return undefined
  if (current.reason === 'NewReplicaSetAvailable') return undefined
  if (current.reason === 'ProgressDeadlineExceeded') return undefined
  return Date.parse(current.lastUpdateTime) + (deployment.spec.progressDeadlineSeconds ?? 0) * 1_000
}

/** A ReplicaSet that can't create pods fails its Deployment; the newest one speaks first. */
function failure(
  conditions: Conditions,
  newest: ReplicaSet | undefined,
  old: readonly ReplicaSet[],
): Conditions {
  const others = without(conditions, 'ReplicaFailure')
  const failed = (newest ? [newest, ...old] : old)
    .flatMap((set) => set.status?.conditions ?? [])
    .find(({ type, status }) => type === 'ReplicaFailure' && status === 'True')
  if (!failed) return others
  const { type, status, reason = '', message = '', lastTransitionTime = '' } = failed
  const times = { lastUpdateTime: lastTransitionTime, lastTransitionTime }
  return [...others, { type, status, reason, message, ...times }]
}

/** True when a finished rollout needs nothing more but tidying. */
export function isFinished(deployment: Deployment, status: Status): boolean {
  const { replicas = 0, updatedReplicas = 0, readyReplicas = 0, availableReplicas = 0 } = status
  return isComplete(deployment, { replicas, updatedReplicas, readyReplicas, availableReplicas })
}
