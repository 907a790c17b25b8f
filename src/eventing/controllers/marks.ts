/** Conditions about features that are off, the same for many kinds. */
import { conditionOf, type ConditionSet, type ConditionsStatus } from '../../knative/conditions.ts'
import type { PlannedEvent } from '../../kube/controller/reconciler.ts'
import type { Trigger } from '../api/eventing/trigger.ts'

export const withoutPolicies = <S extends ConditionsStatus>(
  status: S,
  conditions: ConditionSet,
  nowMs: number,
): S =>
  conditions.markTrueWithReason(
    status,
    'EventPoliciesReady',
    'OIDCDisabled',
    'Feature "authentication-oidc" must be enabled to support Authorization',
    nowMs,
  )

export const withoutIdentity = <S extends ConditionsStatus>(
  status: S,
  conditions: ConditionSet,
  nowMs: number,
): S =>
  conditions.markTrueWithReason(
    status,
    'OIDCIdentityCreated',
    'authentication-oidc feature disabled',
    '',
    nowMs,
  )

/**
 * A Warning when a condition has come to say that something is wrong, or something else than before: told once, not with
 * every look. `reason`: of the Event; default the condition's own.
 */
export function complaint(
  before: ConditionsStatus | undefined,
  after: ConditionsStatus,
  type: string,
  reason?: string,
): readonly PlannedEvent[] {
  const now = conditionOf(after, type)
  const then = conditionOf(before, type)
  if (!now?.message || now.status === 'True') return []
  if (then?.status === now.status && then.reason === now.reason && then.message === now.message)
    return []
  return [
    { type: 'Warning', reason: reason ?? now.reason ?? 'InternalError', message: now.message },
  ]
}

/** Why something waits for the engine. */
export const engineNotReady = [
  'EngineNotReady',
  'the event engine has not taken it yet; it is told again until it has',
] as const

/** Why something has no subscription yet, and needs none. */
export const notSubscribed = [
  'NotSubscribed',
  'it is subscribed once the other conditions are True',
] as const

/**
 * A Trigger that has a place in its Broker's log keeps it while its subscriber is away: events wait there for the
 * subscriber, as the place would be lost with what has not been delivered yet.
 */
export function hasPlace({ status }: Pick<Trigger, 'status'>): boolean {
  const subscribed = conditionOf(status, 'SubscriptionReady')
  return subscribed?.status === 'True' || subscribed?.reason === engineNotReady[0]
}
