/**
 * EventPolicy: the subjects it lets in, where authentication is switched on (knative.dev/eventing
 * `pkg/reconciler/eventpolicy`).
 */
import { keyOf, type KubeObject } from '../../../kube/api/meta.ts'
import { ConfigMap } from '../../../kube/api/config-map.ts'
import type { Kind } from '../../../kube/api/kind.ts'
import type { Reconciler } from '../../../kube/controller/reconciler.ts'
import { finish } from '../../../knative/conditions.ts'
import { createTracker } from '../../../knative/tracker.ts'
import { featuresIn } from '../../api/config/read.ts'
import {
  EventPolicy,
  eventPolicyConditions as conditions,
  type EventPolicyStatus,
} from '../../api/eventing/event-policy.ts'
import { Subscription } from '../../api/messaging/subscription.ts'
import type { Source } from '../../api/duck/source-spec.ts'
import { Trigger } from '../../api/eventing/trigger.ts'
import { followedKinds } from '../destination/followed-kinds.ts'
import { referredKind } from '../destination/resolver.ts'
import { isFeatures } from '../feature-watch.ts'

export interface World {
  readonly policy: EventPolicy
  readonly authentication: boolean
  /** One for each `from`: subjects, or why there are none. */
  readonly subjects: readonly (readonly string[] | { readonly problem: string })[]
}

/** What may send: sources, and what sends on. */
const kinds: readonly Kind[] = [...followedKinds, Trigger, Subscription]

export const eventPolicyReconciler = (): Reconciler<EventPolicy, World> => {
  const tracker = createTracker()
  return {
    name: 'eventpolicy-controller',
    kind: EventPolicy,
    watches: [
      ...kinds.map((kind) => ({
        kind,
        wake: (changed: KubeObject) => tracker.observers(changed),
      })),
      {
        kind: ConfigMap,
        wake: (changed, read) =>
          isFeatures(changed) ? read.list(EventPolicy, '').map((each) => keyOf(each)) : [],
      },
    ],

    observe(policy, read) {
      const key = keyOf(policy)
      const { from = [] } = policy.spec
      tracker.track(
        key,
        from.flatMap(({ ref }) =>
          ref?.kind && ref.name
            ? [{ kind: ref.kind, namespace: ref.namespace || key.namespace, name: ref.name }]
            : [],
        ),
      )
      return {
        policy,
        authentication: featuresIn(read).authenticationOidc,
        subjects: from.map(({ ref, sub }) => {
          if (!ref) return [sub ?? '']
          const { name = '', kind: kindName = '' } = ref
          const namespace = ref.namespace || key.namespace
          const kind = referredKind(ref, kinds)
          if (!kind) return { problem: `objects of kind ${kindName} are not followed here` }
          const found = read.get(kind as Kind<Source>, { namespace, name })
          if (!found) return { problem: `${kindName} ${namespace}/${name} not found` }
          const { serviceAccountName, serviceAccountNames = [] } = found.status?.auth ?? {}
          const accounts = serviceAccountName ? [serviceAccountName] : serviceAccountNames
          if (accounts.length === 0)
            return {
              problem: `${kindName} ${namespace}/${name} has no status.auth.serviceAccountName`,
            }
          return accounts.map((account) => `system:serviceaccount:${namespace}:${account}`)
        }),
      }
    },

    plan(world, nowMs) {
      const { status, metadata } = world.policy
      const { generation = 0 } = metadata
      const begun = conditions.begin(status ?? {}, generation, nowMs)
      return { status: finish(decide(world, begun, nowMs), status, generation, nowMs) }
    },

    gone(key) {
      tracker.forget(key)
      return {}
    },
  }
}

function decide(
  { authentication, subjects }: World,
  begun: EventPolicyStatus,
  nowMs: number,
): EventPolicyStatus {
  if (!authentication)
    return conditions.markFalse(
      begun,
      'AuthenticationEnabled',
      'OIDCAuthenticationDisabled',
      'Feature "authentication-oidc" must be enabled to support Authorization',
      nowMs,
    )
  const enabled = conditions.markTrue(begun, 'AuthenticationEnabled', nowMs)
  const problems = subjects.flatMap((each) => ('problem' in each ? [each.problem] : []))
  const { from: _, ...bare } = enabled
  if (problems.length > 0)
    return conditions.markFalse(
      bare,
      'SubjectsResolved',
      'SubjectsNotResolved',
      problems.join('; '),
      nowMs,
    )
  const from = subjects.flatMap((each) => ('problem' in each ? [] : each))
  return conditions.markTrue(
    { ...bare, ...(from.length > 0 && { from }) },
    'SubjectsResolved',
    nowMs,
  )
}
