/**
 * What Sequences and Parallels are made of: channels of a template and Subscriptions between them, with names of their
 * own, and what a flow's status repeats of them.
 */
import { apiVersionOf, type Kind } from '../../../kube/api/kind.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import type { Apply, Delete } from '../../../kube/controller/reconciler.ts'
import { semanticallyEqual } from '../../../kube/controller/difference.ts'
import { conditionOf, type Condition, type ConditionedObject } from '../../../knative/conditions.ts'
import type { ChannelTemplate } from '../../api/duck/channelable.ts'
import type { DeliverySpec } from '../../api/duck/delivery-spec.ts'
import type { Destination, KReference } from '../../api/duck/destination.ts'
import { annotation } from '../../api/names.ts'
import { Subscription, type SubscriptionSpec } from '../../api/messaging/subscription.ts'

/** `kind` and the object that owns all of it. */
export interface Owner {
  readonly kind: Kind
  readonly object: KubeObject
}

export const ownedMetadata = ({ kind, object }: Owner, name: string) => ({
  name,
  ...(object.metadata.namespace !== undefined && { namespace: object.metadata.namespace }),
  ownerReferences: [
    {
      apiVersion: apiVersionOf(kind),
      kind: kind.kind,
      name: object.metadata.name,
      uid: object.metadata.uid ?? '',
      controller: true,
      blockOwnerDeletion: true,
    },
  ],
})

export const channelReference = (kind: Kind, name: string): KReference => ({
  apiVersion: apiVersionOf(kind),
  kind: kind.kind,
  name,
})

/** One that is there stays as it is. */
export function channelApply(
  owner: Owner,
  name: string,
  kind: Kind,
  template: ChannelTemplate,
): Apply {
  const desired = {
    apiVersion: apiVersionOf(kind),
    kind: kind.kind,
    metadata: {
      ...ownedMetadata(owner, name),
      annotations: { [annotation.subscribable]: 'v1' },
    },
    spec: { ...template.spec },
  }
  return { kind, desired: desired as KubeObject, merge: (existing) => existing }
}

export interface WantedSubscription {
  readonly name: string
  readonly channel: KReference
  readonly subscriber: Destination
  readonly reply?: Destination | undefined
  readonly delivery?: DeliverySpec | undefined
}

/** What to write so that these Subscriptions are there and no others of the owner. */
export function subscriptionWrites(
  owner: Owner,
  wanted: readonly WantedSubscription[],
  existing: readonly Subscription[],
): { readonly apply: readonly Apply[]; readonly delete: readonly Delete[] } {
  const names = new Set(wanted.map(({ name }) => name))
  const byName = new Map(existing.map((each) => [each.metadata.name, each]))
  // The channel of a Subscription can not be changed: it is made anew once the old one is gone.
  const moved = wanted.filter(({ name, channel }) => {
    const now = byName.get(name)?.spec.channel
    return now && !semanticallyEqual({ ...now, namespace: undefined }, channel)
  })
  const gone = [
    ...existing.filter(({ metadata }) => !names.has(metadata.name)),
    ...moved.flatMap(({ name }) => byName.get(name) ?? []),
  ]
  return {
    apply: wanted
      .filter((each) => !moved.includes(each))
      .map((each) => ({ kind: Subscription, desired: subscription(owner, each) })),
    delete: gone
      .filter(({ metadata }) => !metadata.deletionTimestamp)
      .map((each) => deletion(Subscription, each)),
  }
}

function subscription(
  owner: Owner,
  { name, channel, subscriber, reply, delivery }: WantedSubscription,
): Subscription {
  const spec: SubscriptionSpec = {
    channel,
    subscriber,
    ...(reply && Object.keys(reply).length > 0 && { reply }),
    ...(delivery && { delivery }),
  }
  return {
    apiVersion: apiVersionOf(Subscription),
    kind: Subscription.kind,
    metadata: ownedMetadata(owner, name),
    spec,
  }
}

export const deletion = (kind: Kind, { metadata }: KubeObject): Delete => ({
  kind,
  key: { namespace: metadata.namespace ?? '', name: metadata.name },
  ...(metadata.uid !== undefined && { uid: metadata.uid }),
})

/** A channel as a flow's status speaks of it. */
export interface FlowChannel extends ConditionedObject {
  readonly status?: ConditionedObject['status'] & {
    readonly address?: {
      readonly url?: string
      readonly CACerts?: string
      readonly audience?: string
    }
  }
}

const reference = (kind: Kind, name: string, namespace: string) => ({
  apiVersion: apiVersionOf(kind),
  kind: kind.kind,
  name,
  namespace,
})

/** `Ready` of an object, or that it says nothing yet. */
function readyOf(object: ConditionedObject | undefined, what: string): Condition {
  const ready = conditionOf(object?.status, 'Ready')
  return (
    ready ?? {
      type: 'Ready',
      status: 'Unknown',
      reason: 'NoReady',
      message: `${what} does not have Ready condition`,
    }
  )
}

export const channelItem = (
  kind: Kind,
  name: string,
  namespace: string,
  channel: FlowChannel | undefined,
) => ({ channel: reference(kind, name, namespace), ready: readyOf(channel, 'Channel') })

export const subscriptionItem = (
  name: string,
  namespace: string,
  found: Subscription | undefined,
) => ({
  subscription: reference(Subscription, name, namespace),
  ready: readyOf(found, 'Subscription'),
})

/** Of a channel that counts as ready once it has an address. */
export const addressedItem = (
  kind: Kind,
  name: string,
  namespace: string,
  channel: FlowChannel | undefined,
) => ({
  channel: reference(kind, name, namespace),
  ready: channel?.status?.address?.url ? addressed : unaddressed,
})

const addressed: Condition = { type: 'Ready', status: 'True' }
const unaddressed: Condition = {
  type: 'Ready',
  status: 'False',
  reason: 'NotAddressable',
  message: 'Channel is not addressable',
}

/** A part of a flow in its status. */
export interface Item {
  readonly ready: Condition
}

export const isReady = ({ ready }: Item): boolean => ready.status === 'True'
