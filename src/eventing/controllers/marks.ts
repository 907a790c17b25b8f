/** Conditions about features that are off, the same for many kinds. */
import type { ConditionSet, ConditionsStatus } from '../../knative/conditions.ts'

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

/** Why something waits for the engine. */
export const engineNotReady = [
  'EngineNotReady',
  'the event engine has not taken it yet; it is told again until it has',
] as const
