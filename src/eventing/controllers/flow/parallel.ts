/**
 * Parallel: a channel that all events come into, and for each branch a filter that answers the events it lets pass into a
 * channel of the branch's own (contract eventing §2.11).
 */
import type { Reconciler } from '../../../kube/controller/reconciler.ts'
import type { Kind } from '../../../kube/api/kind.ts'
import { childName } from '../../../knative/child-name.ts'
import { finish, type Condition } from '../../../knative/conditions.ts'
import {
  Parallel,
  parallelConditions as conditions,
  type ParallelStatus,
} from '../../api/parallel.ts'
import { Subscription } from '../../api/subscription.ts'
import { channelKinds, noChannelKind, templateKind } from '../channel-kinds.ts'
import {
  derivedPolicies,
  derivedWorld,
  withAccounts,
  type Behind,
  type DerivedWorld,
} from '../identity/derived-policies.ts'
import { policiesFor, policyWatches, withPolicies, type Policies } from '../policies.ts'
import {
  channelApply,
  channelItem,
  channelReference,
  deletion,
  isReady,
  subscriptionItem,
  subscriptionWrites,
  type FlowChannel,
  type WantedSubscription,
} from './flow-objects.ts'

export interface World {
  readonly parallel: Parallel
  readonly kind: Kind | undefined
  readonly channels: readonly { readonly kind: Kind; readonly object: FlowChannel }[]
  readonly subscriptions: readonly Subscription[]
  readonly policies: Policies | undefined
  readonly derived: DerivedWorld
}

export const ingressName = (parallel: string): string => childName(parallel, '-kn-parallel')
/** Of a branch's channel and of the Subscription from there to its subscriber. */
export const branchName = (parallel: string, index: number): string =>
  childName(parallel, `-kn-parallel-${index}`)
export const filterName = (parallel: string, index: number): string =>
  childName(parallel, `-kn-parallel-filter-${index}`)

export const parallelReconciler: Reconciler<Parallel, World> = {
  name: 'parallel-controller',
  kind: Parallel,
  watches: [
    ...[Subscription, ...channelKinds].map((kind) => ({ kind, wake: 'owner' as const })),
    ...policyWatches(Parallel),
  ],

  observe: (parallel, read) => ({
    parallel,
    kind: templateKind(parallel.spec.channelTemplate),
    channels: channelKinds.flatMap((kind) =>
      read.owned(kind, parallel).map((object) => ({ kind, object })),
    ),
    subscriptions: read.owned(Subscription, parallel),
    policies: policiesFor(Parallel, parallel, read),
    derived: derivedWorld(Parallel, parallel, read),
  }),

  plan(world, nowMs) {
    const { parallel, kind, channels, subscriptions } = world
    const { spec, metadata } = parallel
    const { generation = 0, name } = metadata
    const begun = conditions.begin(parallel.status ?? {}, generation, nowMs)
    const done = (status: ParallelStatus) => finish(status, parallel.status, generation, nowMs)
    const { channelTemplate, branches = [] } = spec
    if (!kind || !channelTemplate)
      return {
        status: done(
          conditions.markFalse(
            begun,
            'ChannelsReady',
            'ChannelsNotReady',
            noChannelKind(channelTemplate),
            nowMs,
          ),
        ),
      }
    const owner = { kind: Parallel, object: parallel }
    const names = [ingressName(name), ...branches.map((_, i) => branchName(name, i))]
    const derived = derivedPolicies(
      parallel,
      { 'flows.knative.dev/parallel-name': name },
      behind(parallel, kind),
      world.derived,
    )
    const writes = subscriptionWrites(owner, wantedSubscriptions(parallel, kind), subscriptions)
    const left = channels.filter(
      (each) => each.kind !== kind || !names.includes(each.object.metadata.name),
    )
    return {
      apply: [
        ...names.map((each) => channelApply(owner, each, kind, channelTemplate)),
        ...writes.apply,
        ...derived.apply,
      ],
      delete: [
        ...writes.delete,
        ...derived.delete,
        ...left
          .filter(({ object }) => !object.metadata.deletionTimestamp)
          .map((each) => deletion(each.kind, each.object)),
      ],
      status: done(decide(world, kind, begun, nowMs)),
    }
  },
}

function wantedSubscriptions(
  { metadata, spec }: Parallel,
  kind: Kind,
): readonly WantedSubscription[] {
  const { name } = metadata
  const ingress = channelReference(kind, ingressName(name))
  return (spec.branches ?? []).flatMap(({ filter, subscriber = {}, reply, delivery }, i) => {
    const own = { ref: channelReference(kind, branchName(name, i)) }
    const hasFilter = filter && Object.keys(filter).length > 0
    return [
      {
        name: filterName(name, i),
        channel: ingress,
        subscriber: hasFilter ? filter : own,
        ...(hasFilter && { reply: own }),
      },
      {
        name: branchName(name, i),
        channel: own.ref,
        subscriber,
        delivery,
        reply: reply ?? spec.reply,
      },
    ]
  })
}

/** Events come into the first channel from whoever may send to the Parallel, into a branch's from its filter. */
const behind = ({ spec, metadata: { name } }: Parallel, kind: Kind): readonly Behind[] => [
  { kind, name: ingressName(name) },
  ...(spec.branches ?? []).map((_, i) => ({
    kind,
    name: branchName(name, i),
    from: [filterName(name, i)],
  })),
]

function decide(
  { parallel, channels, subscriptions, policies }: World,
  kind: Kind,
  begun: ParallelStatus,
  nowMs: number,
): ParallelStatus {
  const { metadata, spec } = parallel
  const { name, namespace = '' } = metadata
  const channel = (each: string) =>
    channels.find(({ object }) => object.metadata.name === each)?.object
  const channelStatus = (each: string) => {
    const found = channel(each)
    const item = channelItem(kind, each, namespace, found)
    // Here a channel is ready that has an address.
    const unaddressed: Condition = {
      type: 'Ready',
      status: 'False',
      reason: 'NotAddressable',
      message: 'Channel is not addressable',
    }
    return found?.status?.address?.url
      ? { ...item, ready: addressed }
      : { ...item, ready: unaddressed }
  }
  const subscriptionStatus = (each: string) =>
    subscriptionItem(
      each,
      namespace,
      subscriptions.find((one) => one.metadata.name === each),
    )
  const ingressChannelStatus = channelStatus(ingressName(name))
  const branchStatuses = (spec.branches ?? []).map((_, i) => ({
    filterSubscriptionStatus: subscriptionStatus(filterName(name, i)),
    filterChannelStatus: channelStatus(branchName(name, i)),
    subscriberSubscriptionStatus: subscriptionStatus(branchName(name, i)),
  }))
  const inOrder = (spec.branches ?? [])
    .flatMap((_, i) => [filterName(name, i), branchName(name, i)])
    .map((each) => subscriptions.find((one) => one.metadata.name === each))
  let status: ParallelStatus = withAccounts(
    { ...begun, ingressChannelStatus, branchStatuses },
    inOrder,
  )
  const mark = (type: string, isTrue: boolean, reason: string, message: string) => {
    status = isTrue
      ? conditions.markTrue(status, type, nowMs)
      : conditions.markFalse(status, type, reason, message, nowMs)
  }
  mark(
    'ChannelsReady',
    isReady(ingressChannelStatus) &&
      branchStatuses.every(({ filterChannelStatus }) => isReady(filterChannelStatus)),
    'ChannelsNotReady',
    'Channels are not ready yet, or there are none',
  )
  mark(
    'SubscriptionsReady',
    branchStatuses.length > 0 &&
      branchStatuses.every(
        ({ filterSubscriptionStatus, subscriberSubscriptionStatus }) =>
          isReady(filterSubscriptionStatus) && isReady(subscriberSubscriptionStatus),
      ),
    'SubscriptionsNotReady',
    'Subscriptions are not ready yet, or there are none',
  )
  const { url, CACerts, audience } = channel(ingressName(name))?.status?.address ?? {}
  mark('Addressable', url !== undefined, 'emptyAddress', 'addressable is nil')
  const { address: _, ...bare } = status
  status = {
    ...bare,
    ...(url !== undefined && {
      address: { url, ...(CACerts && { CACerts }), ...(audience && { audience }) },
    }),
  }
  return withPolicies(status, conditions, policies, nowMs)
}

const addressed: Condition = { type: 'Ready', status: 'True' }
