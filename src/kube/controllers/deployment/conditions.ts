/**
 * Conditions of a Deployment: type, reason and message word for word, because Knative copies them into Revisions and
 * kubectl decides by them.
 */
import { rfc3339 } from '../../../lib/clock.ts'
import type { Deployment } from '../../api/deployment.ts'

export type Conditions = NonNullable<NonNullable<Deployment['status']>['conditions']>
export type Condition = Conditions[number]

export interface Outcome {
  readonly type: 'Progressing' | 'Available' | 'ReplicaFailure'
  readonly status: 'True' | 'False' | 'Unknown'
  readonly reason: string
  readonly message: string
}

export const find = (conditions: Conditions, type: Outcome['type']): Condition | undefined =>
  conditions.find((condition) => condition.type === type)

export const without = (conditions: Conditions, type: Outcome['type']): Conditions =>
  conditions.filter((condition) => condition.type !== type)

/**
 * `conditions` with `outcome` in place. Nothing changes when status and reason are the same, unless it is `news`
 * (progress: then lastUpdateTime moves). lastTransitionTime moves with the status only.
 */
export function withCondition(
  conditions: Conditions,
  outcome: Outcome,
  nowMs: number,
  news = false,
): Conditions {
  const before = find(conditions, outcome.type)
  if (!news && before?.status === outcome.status && before.reason === outcome.reason)
    return conditions
  const now = rfc3339(nowMs)
  const same = before?.status === outcome.status
  const next: Condition = {
    ...outcome,
    lastUpdateTime: now,
    lastTransitionTime: (same && before.lastTransitionTime) || now,
  }
  return [...without(conditions, outcome.type), next]
}

export const available: Outcome = {
  type: 'Available',
  status: 'True',
  reason: 'MinimumReplicasAvailable',
  message: 'Deployment has minimum availability.',
}

export const unavailable: Outcome = {
  type: 'Available',
  status: 'False',
  reason: 'MinimumReplicasUnavailable',
  message: 'Deployment does not have minimum availability.',
}

const progressing = (status: Outcome['status'], reason: string, message: string): Outcome => ({
  type: 'Progressing',
  status,
  reason,
  message,
})

export const created = (name: string): Outcome =>
  progressing('True', 'NewReplicaSetCreated', `Created new replica set "${name}"`)

export const foundNew = (name: string): Outcome =>
  progressing('True', 'FoundNewReplicaSet', `Found new replica set "${name}"`)

export const updated = (subject: string): Outcome =>
  progressing('True', 'ReplicaSetUpdated', `${subject} is progressing.`)

export const complete = (subject: string): Outcome =>
  progressing('True', 'NewReplicaSetAvailable', `${subject} has successfully progressed.`)

export const timedOut = (subject: string): Outcome =>
  progressing('False', 'ProgressDeadlineExceeded', `${subject} has timed out progressing.`)

export const createFailed = (message: string): Outcome =>
  progressing('False', 'ReplicaSetCreateError', message)

export const paused = progressing('Unknown', 'DeploymentPaused', 'Deployment is paused')
export const resumed = progressing('Unknown', 'DeploymentResumed', 'Deployment is resumed')
