/**
 * EventPolicies that objects make of others, so that events still pass between the channels behind them: what holds for
 * a Channel or a flow is copied to the channel in front, and each further channel of a flow lets in the Subscription
 * that leads to it. All gone with the feature.
 */
import { childName } from '../../../knative/child-name.ts'
import { apiVersionOf, type Kind } from '../../../kube/api/kind.ts'
import { controllerRef, keyOf, type KubeObject } from '../../../kube/api/meta.ts'
import type { Apply, Delete, Reader } from '../../../kube/controller/reconciler.ts'
import { featuresIn } from '../../api/config/read.ts'
import { EventPolicy } from '../../api/eventing/event-policy.ts'
import { Subscription } from '../../api/messaging/subscription.ts'
import { policiesFor } from './policies.ts'

/** What `observe` sees. */
export interface DerivedWorld {
  readonly isOn: boolean
  /** Hold for the object. */
  readonly holding: readonly EventPolicy[]
  /** Made of them before. */
  readonly existing: readonly EventPolicy[]
}

export function derivedWorld(kind: Kind, owner: KubeObject, read: Reader): DerivedWorld {
  const namespace = owner.metadata.namespace ?? ''
  const found = policiesFor(kind, owner, read)
  return {
    isOn: featuresIn(read).authenticationOidc,
    holding: [...(found?.ready ?? []), ...(found?.notReady ?? [])].flatMap(
      (name) => read.get(EventPolicy, { namespace, name }) ?? [],
    ),
    existing: read.owned(EventPolicy, owner),
  }
}

/** A channel behind an object, and who leads to it: undefined = whoever may send to the object. */
export interface Behind {
  readonly kind: Kind
  readonly name: string
  readonly from?: readonly string[]
}

export function derivedPolicies(
  owner: KubeObject,
  labels: Readonly<Record<string, string>>,
  behind: readonly Behind[],
  { isOn, holding, existing }: DerivedWorld,
): { readonly apply: readonly Apply[]; readonly delete: readonly Delete[] } {
  const { name, namespace = '' } = owner.metadata
  const policy = (
    suffix: string,
    { kind, name: channel }: Behind,
    rest: Omit<EventPolicy['spec'], 'to'>,
  ): EventPolicy => ({
    apiVersion: apiVersionOf(EventPolicy),
    kind: EventPolicy.kind,
    metadata: {
      name: childName(name, `-ep-${suffix}`),
      namespace,
      labels,
      ownerReferences: [controllerRef(owner)],
    },
    spec: {
      ...rest,
      to: [{ ref: { apiVersion: apiVersionOf(kind), kind: kind.kind, name: channel } }],
    },
  })
  const wanted = !isOn
    ? []
    : behind.flatMap((each): readonly EventPolicy[] => {
        const { from } = each
        if (from)
          return [
            policy(each.name, each, {
              from: from.map((subscription) => ({
                ref: {
                  apiVersion: apiVersionOf(Subscription),
                  kind: Subscription.kind,
                  name: subscription,
                  namespace,
                },
              })),
            }),
          ]
        // One without `to` holds for the channel by itself.
        return holding
          .filter(({ spec }) => (spec.to ?? []).length > 0)
          .map(({ metadata, spec: { from: senders, filters } }) =>
            policy(metadata.name, each, {
              ...(senders && { from: senders }),
              ...(filters && { filters }),
            }),
          )
      })
  const names = new Set(wanted.map(({ metadata }) => metadata.name))
  return {
    apply: wanted.map((desired) => ({ kind: EventPolicy, desired })),
    delete: existing
      .filter(({ metadata }) => !names.has(metadata.name) && !metadata.deletionTimestamp)
      .map((each) => ({
        kind: EventPolicy,
        key: keyOf(each),
        ...(each.metadata.uid !== undefined && { uid: each.metadata.uid }),
      })),
  }
}

interface AuthFields {
  readonly auth?: { readonly serviceAccountNames?: readonly string[] }
}

/** `status` of a flow with the accounts of its Subscriptions, which send its events. */
export function withAccounts<S extends AuthFields>(
  status: S,
  subscriptions: readonly (Subscription | undefined)[],
): S {
  const names = subscriptions.flatMap((each) => each?.status?.auth?.serviceAccountName ?? [])
  const { auth: _, ...rest } = status
  const bare = rest as unknown as S
  return names.length > 0 ? { ...bare, auth: { serviceAccountNames: names } } : bare
}
