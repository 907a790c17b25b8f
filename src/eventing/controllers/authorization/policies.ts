/**
 * Which EventPolicies hold for an object that takes events, and what its status says of them (knative.dev/eventing
 * `pkg/auth/event_policy.go`): the condition EventPoliciesReady and `status.policies`.
 */
import { apiVersionOf, type Kind } from '../../../kube/api/kind.ts'
import { ConfigMap } from '../../../kube/api/config-map.ts'
import { keyOf, type KubeObject } from '../../../kube/api/meta.ts'
import { selectorMatcher } from '../../../kube/api/selectors.ts'
import type { Reader, Reconciler } from '../../../kube/controller/reconciler.ts'
import {
  conditionOf,
  type ConditionSet,
  type ConditionsStatus,
} from '../../../knative/conditions.ts'
import { featuresIn } from '../../api/config/read.ts'
import type { AuthorizationMode } from '../../api/config/features.ts'
import { EventPolicy } from '../../api/eventing/event-policy.ts'
import { isFeatures } from '../feature-watch.ts'
import { referredKind } from '../destination/resolver.ts'

/** Undefined = authentication is off. */
export interface Policies {
  readonly mode: AuthorizationMode
  readonly ready: readonly string[]
  readonly notReady: readonly string[]
}

function holdsFor({ spec }: EventPolicy, kind: Kind, object: KubeObject): boolean {
  const { to = [] } = spec
  if (to.length === 0) return true
  return to.some(({ ref, selector }) => {
    if (ref) return ref.name === object.metadata.name && referredKind(ref, [kind]) !== undefined
    if (!selector || !referredKind(selector, [kind])) return false
    const { matchLabels, matchExpressions = [] } = selector
    const expressions = matchExpressions.map(({ key = '', operator = '', values }) => ({
      key,
      operator,
      ...(values && { values }),
    }))
    return selectorMatcher({
      ...(matchLabels && { matchLabels }),
      matchExpressions: expressions,
    })(object.metadata.labels)
  })
}

export function policiesFor(kind: Kind, object: KubeObject, read: Reader): Policies | undefined {
  const { authenticationOidc, defaultAuthorizationMode: mode } = featuresIn(read)
  if (!authenticationOidc) return undefined
  const all = read
    .list(EventPolicy, object.metadata.namespace ?? '')
    .filter((policy) => holdsFor(policy, kind, object))
  const isReady = ({ status }: EventPolicy) => conditionOf(status, 'Ready')?.status === 'True'
  const names = (policies: readonly EventPolicy[]) =>
    policies.map(({ metadata }) => metadata.name).sort()
  return {
    mode,
    ready: names(all.filter(isReady)),
    notReady: names(all.filter((policy) => !isReady(policy))),
  }
}

interface PolicyFields extends ConditionsStatus {
  readonly policies?: readonly { readonly apiVersion?: string; readonly name?: string }[]
}

export function withPolicies<S extends PolicyFields>(
  status: S,
  conditions: ConditionSet,
  found: Policies | undefined,
  nowMs: number,
): S {
  const type = 'EventPoliciesReady'
  const { policies: _, ...rest } = status
  const bare = rest as unknown as S
  if (!found) return withoutPolicies(bare, conditions, nowMs)
  const { mode, ready, notReady } = found
  const policies = ready.map((name) => ({ apiVersion: apiVersionOf(EventPolicy), name }))
  const listed: S = policies.length > 0 ? { ...bare, policies } : bare
  if (notReady.length > 0)
    return conditions.markFalse(
      listed,
      type,
      'EventPoliciesNotReady',
      `event policies ${notReady.join(', ')} are not ready`,
      nowMs,
    )
  if (ready.length === 0)
    return conditions.markTrueWithReason(
      listed,
      type,
      'DefaultAuthorizationMode',
      `Default authz mode is "${mode}"`,
      nowMs,
    )
  return conditions.markTrue(listed, type, nowMs)
}

/** What a reconciler of `kind` watches for it. */
export const policyWatches = (kind: Kind): Reconciler<KubeObject, unknown>['watches'] => [
  {
    kind: EventPolicy,
    wake: (changed, read) =>
      read.list(kind, changed.metadata.namespace ?? '').map((each) => keyOf(each)),
  },
  {
    kind: ConfigMap,
    wake: (changed, read) =>
      isFeatures(changed) ? read.list(kind, '').map((each) => keyOf(each)) : [],
  },
]

const withoutPolicies = <S extends ConditionsStatus>(
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
