/** Sequence: a channel and a Subscription for each step, one leading into the next (contract eventing §2.10). */
import type { Reconciler } from '../../../kube/controller/reconciler.ts'
import type { Kind } from '../../../kube/api/kind.ts'
import { childName } from '../../../knative/child-name.ts'
import { finish } from '../../../knative/conditions.ts'
import {
  Sequence,
  sequenceConditions as conditions,
  type SequenceStatus,
} from '../../api/sequence.ts'
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
  readonly sequence: Sequence
  /** Of the template; undefined = nobody serves it. */
  readonly kind: Kind | undefined
  readonly channels: readonly { readonly kind: Kind; readonly object: FlowChannel }[]
  readonly subscriptions: readonly Subscription[]
  readonly policies: Policies | undefined
  readonly derived: DerivedWorld
}

/** Of the channel and of the Subscription of a step. */
export const stepName = (sequence: string, index: number): string =>
  childName(sequence, `-kn-sequence-${index}`)

export const sequenceReconciler: Reconciler<Sequence, World> = {
  name: 'sequence-controller',
  kind: Sequence,
  watches: [
    ...[Subscription, ...channelKinds].map((kind) => ({ kind, wake: 'owner' as const })),
    ...policyWatches(Sequence),
  ],

  observe: (sequence, read) => ({
    sequence,
    kind: templateKind(sequence.spec.channelTemplate),
    channels: channelKinds.flatMap((kind) =>
      read.owned(kind, sequence).map((object) => ({ kind, object })),
    ),
    subscriptions: read.owned(Subscription, sequence),
    policies: policiesFor(Sequence, sequence, read),
    derived: derivedWorld(Sequence, sequence, read),
  }),

  plan(world, nowMs) {
    const { sequence, kind, channels, subscriptions } = world
    const { spec, metadata } = sequence
    const { generation = 0, name } = metadata
    const begun = conditions.begin(sequence.status ?? {}, generation, nowMs)
    const done = (status: SequenceStatus) => finish(status, sequence.status, generation, nowMs)
    const { channelTemplate, steps = [], reply } = spec
    if (!kind || !channelTemplate)
      return {
        status: done(
          conditions.markUnknown(
            begun,
            'ChannelsReady',
            'ChannelsNotReady',
            noChannelKind(channelTemplate),
            nowMs,
          ),
        ),
      }
    const owner = { kind: Sequence, object: sequence }
    const names = steps.map((_, i) => stepName(name, i))
    const wanted = steps.map(({ delivery, ...subscriber }, i): WantedSubscription => {
      const next = names[i + 1]
      return {
        name: stepName(name, i),
        channel: channelReference(kind, stepName(name, i)),
        subscriber,
        delivery,
        reply: next === undefined ? reply : { ref: channelReference(kind, next) },
      }
    })
    const derived = derivedPolicies(
      sequence,
      { 'flows.knative.dev/sequence-name': name },
      behind(sequence, kind),
      world.derived,
    )
    const writes = subscriptionWrites(owner, wanted, subscriptions)
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

/** Events come into the first channel from whoever may send to the Sequence, into the others from the step before. */
const behind = ({ spec, metadata: { name } }: Sequence, kind: Kind): readonly Behind[] =>
  (spec.steps ?? []).map((_, i) => ({
    kind,
    name: stepName(name, i),
    ...(i > 0 && { from: [stepName(name, i - 1)] }),
  }))

function decide(
  { sequence, channels, subscriptions, policies }: World,
  kind: Kind,
  begun: SequenceStatus,
  nowMs: number,
): SequenceStatus {
  const { metadata, spec } = sequence
  const { name, namespace = '' } = metadata
  const names = (spec.steps ?? []).map((_, i) => stepName(name, i))
  const channel = (each: string) =>
    channels.find(({ object }) => object.metadata.name === each)?.object
  const channelStatuses = names.map((each) => channelItem(kind, each, namespace, channel(each)))
  const subscriptionStatuses = names.map((each) =>
    subscriptionItem(
      each,
      namespace,
      subscriptions.find((one) => one.metadata.name === each),
    ),
  )
  const inOrder = names.map((each) => subscriptions.find((one) => one.metadata.name === each))
  let status: SequenceStatus = withAccounts(
    { ...begun, channelStatuses, subscriptionStatuses },
    inOrder,
  )
  const mark = (type: string, isTrue: boolean, reason: string, message: string) => {
    status = isTrue
      ? conditions.markTrue(status, type, nowMs)
      : conditions.markUnknown(status, type, reason, message, nowMs)
  }
  mark(
    'ChannelsReady',
    channelStatuses.length > 0 && channelStatuses.every(isReady),
    'ChannelsNotReady',
    'Channels are not ready yet, or there are none',
  )
  mark(
    'SubscriptionsReady',
    subscriptionStatuses.length > 0 && subscriptionStatuses.every(isReady),
    'SubscriptionsNotReady',
    'Subscriptions are not ready yet, or there are none',
  )
  const { url, CACerts, audience } = channel(names[0] ?? '')?.status?.address ?? {}
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
