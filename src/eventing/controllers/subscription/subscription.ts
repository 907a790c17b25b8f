/**
 * Subscription: resolves whom a channel's events go to and enters that into the channel; Ready when the channel says so
 * (contract eventing §2.9).
 */
import { keyOf, type KubeObject } from '../../../kube/api/meta.ts'
import { semanticallyEqual } from '../../../kube/controller/difference.ts'
import type { Patch, Plan, PlannedEvent, Reconciler } from '../../../kube/controller/reconciler.ts'
import { conditionOf, finish } from '../../../knative/conditions.ts'
import { createTracker } from '../../../knative/tracker.ts'
import { Channel } from '../../api/channel.ts'
import type { SubscriberSpec } from '../../api/channelable.ts'
import type { DeliverySpec } from '../../api/delivery-spec.ts'
import { InMemoryChannel } from '../../api/in-memory-channel.ts'
import {
  Subscription,
  subscriptionConditions as conditions,
  type SubscriptionStatus,
} from '../../api/subscription.ts'
import { withoutIdentity } from '../marks.ts'
import { addressableKinds, isResolved, resolve, targetOf, type Resolution } from '../resolver.ts'

export interface World {
  readonly subscription: Subscription
  /** The channel with the subscribers, behind whatever `spec.channel` names. */
  readonly channel: InMemoryChannel | undefined
  /** Why there is none. */
  readonly channelProblem?: string
  readonly subscriber: Resolution
  readonly reply?: Resolution
  readonly deadLetterSink?: Resolution
}

export const subscriptionReconciler = (): Reconciler<Subscription, World> => {
  const tracker = createTracker()
  return {
    name: 'subscription-controller',
    kind: Subscription,
    finalizer: 'subscriptions.messaging.knative.dev',
    watches: addressableKinds.map((kind) => ({
      kind,
      wake: (changed: KubeObject) => tracker.observers(changed),
    })),
    customKinds: (changed) => tracker.observers(changed),

    observe(subscription, read) {
      const key = keyOf(subscription)
      const { namespace } = key
      const { channel: ref, subscriber, reply, delivery } = subscription.spec
      const name = ref?.name ?? ''
      const at = ref?.namespace || namespace
      const sink = delivery?.deadLetterSink
      tracker.track(key, [
        { kind: Channel.kind, namespace: at, name },
        { kind: InMemoryChannel.kind, namespace: at, name },
        ...targetOf(subscriber, namespace),
        ...targetOf(reply, namespace),
        ...targetOf(sink, namespace),
      ])
      const outer =
        ref?.kind === Channel.kind ? read.get(Channel, { namespace: at, name }) : undefined
      const backing = outer ? (outer.status?.channel?.name ?? '') : name
      const channel =
        ref?.kind === Channel.kind || ref?.kind === InMemoryChannel.kind
          ? read.get(InMemoryChannel, { namespace: at, name: backing })
          : undefined
      const deadLetterSink = sink ? resolve(sink, namespace, read) : channel && inherited(channel)
      return {
        subscription,
        channel,
        ...(!channel && {
          channelProblem: `Failed to get Spec.Channel or backing channel: ${ref?.kind ?? ''} "${name}" not found`,
        }),
        subscriber: resolve(subscriber ?? {}, namespace, read),
        ...(reply && Object.keys(reply).length > 0 && { reply: resolve(reply, namespace, read) }),
        ...(deadLetterSink && { deadLetterSink }),
      }
    },

    plan(world, nowMs) {
      const { subscription } = world
      const { generation = 0 } = subscription.metadata
      const begun = conditions.begin(subscription.status ?? {}, generation, nowMs)
      const { status, ...plan } = decide(world, begun, nowMs)
      return { ...plan, status: finish(status, subscription.status, generation, nowMs) }
    },

    finalize({ subscription, channel }) {
      const { uid } = subscription.metadata
      const others = channel?.spec.subscribers?.filter((each) => each.uid !== uid)
      const entered = others && others.length !== channel?.spec.subscribers?.length
      return {
        ...(channel && entered && { patch: [subscribersPatch(channel, others)] }),
        ...(entered && { events: [removed] }),
        done: true,
      }
    },

    gone(key) {
      tracker.forget(key)
      return {}
    },
  }
}

/** A channel's own sink is its Subscriptions' too. */
function inherited({ spec, status, metadata }: InMemoryChannel): Resolution | undefined {
  const { deadLetterSinkUri: url, deadLetterSinkCACerts, deadLetterSinkAudience } = status ?? {}
  if (!url)
    return spec.delivery?.deadLetterSink
      ? { problem: `channel ${metadata.name} didn't set status.deadLetterSinkUri` }
      : undefined
  return {
    url,
    ...(deadLetterSinkCACerts && { caCerts: deadLetterSinkCACerts }),
    ...(deadLetterSinkAudience && { audience: deadLetterSinkAudience }),
  }
}

const removed: PlannedEvent = {
  type: 'Normal',
  reason: 'SubscriberRemoved',
  message: 'Subscription was removed from its channel',
}

type Decision = Plan & { readonly status: SubscriptionStatus }

function decide(world: World, begun: SubscriptionStatus, nowMs: number): Decision {
  const { subscription, channel, channelProblem, subscriber, reply, deadLetterSink } = world
  let status = withoutIdentity(begun, conditions, nowMs)
  const unresolved = (reason: string, message: string): Decision => ({
    status: conditions.markFalse(status, 'ReferencesResolved', reason, message, nowMs),
  })
  if (!channel)
    return {
      status: conditions.markUnknown(
        status,
        'ReferencesResolved',
        'ChannelReferenceFailed',
        channelProblem ?? '',
        nowMs,
      ),
    }
  if (!isResolved(subscriber))
    return unresolved(
      'SubscriberResolveFailed',
      `Failed to resolve spec.subscriber: ${subscriber.problem}`,
    )
  if (reply && !isResolved(reply))
    return unresolved('ReplyResolveFailed', `Failed to resolve spec.reply: ${reply.problem}`)
  if (deadLetterSink && !isResolved(deadLetterSink))
    return unresolved(
      'DeadLetterSinkResolveFailed',
      `Failed to resolve spec.delivery.deadLetterSink: ${deadLetterSink.problem}`,
    )
  status = conditions.markTrue(status, 'ReferencesResolved', nowMs)
  status = {
    ...status,
    physicalSubscription: {
      subscriberUri: subscriber.url,
      ...(subscriber.caCerts && { subscriberCACerts: subscriber.caCerts }),
      ...(subscriber.audience && { subscriberAudience: subscriber.audience }),
      ...(reply && { replyUri: reply.url }),
      ...(reply?.caCerts && { replyCACerts: reply.caCerts }),
      ...(reply?.audience && { replyAudience: reply.audience }),
      ...(deadLetterSink && { deadLetterSinkUri: deadLetterSink.url }),
      ...(deadLetterSink?.caCerts && { deadLetterSinkCACerts: deadLetterSink.caCerts }),
      ...(deadLetterSink?.audience && { deadLetterSinkAudience: deadLetterSink.audience }),
    },
  }
  const entry = entryOf(world)
  const { uid, generation, name } = subscription.metadata
  const subscribers = channel.spec.subscribers ?? []
  const entered = subscribers.find((each) => each.uid === uid)
  const upToDate = entered && semanticallyEqual(entered, entry)
  status = conditions.markTrue(status, 'AddedToChannel', nowMs)
  const said = channel.status?.subscribers?.find((each) => each.uid === uid)
  status =
    upToDate && said?.ready === 'True' && said.observedGeneration === generation
      ? conditions.markTrue(status, 'ChannelReady', nowMs)
      : conditions.markUnknown(
          status,
          'ChannelReady',
          'SubscriptionNotMarkedReadyByChannel',
          `Subscription not marked by Channel as Ready: ${said?.message ?? conditionOf(channel.status, 'Ready')?.message ?? ''}`,
          nowMs,
        )
  if (upToDate) return { status }
  const next = entered
    ? subscribers.map((each) => (each === entered ? entry : each))
    : [...subscribers, entry]
  return {
    status,
    patch: [subscribersPatch(channel, next)],
    events: [
      {
        type: 'Normal',
        reason: 'SubscriberSync',
        message: `Subscription was synchronized to channel "${channel.metadata.name}" as "${name}"`,
      },
    ],
  }
}

const subscribersPatch = (
  channel: InMemoryChannel,
  subscribers: readonly SubscriberSpec[],
): Patch => ({
  kind: InMemoryChannel,
  key: keyOf(channel),
  // With the version it was read in: two Subscriptions may want the list at once.
  body: {
    metadata: { resourceVersion: channel.metadata.resourceVersion },
    spec: { subscribers },
  },
})

/** What the channel is told, everything resolved. */
function entryOf({
  subscription,
  channel,
  subscriber,
  reply,
  deadLetterSink,
}: World): SubscriberSpec {
  const { uid = '', name, generation = 1 } = subscription.metadata
  const { deadLetterSink: _, ...own } = subscription.spec.delivery ?? channel?.spec.delivery ?? {}
  const delivery: DeliverySpec = {
    ...own,
    ...(deadLetterSink &&
      isResolved(deadLetterSink) && {
        deadLetterSink: {
          uri: deadLetterSink.url,
          ...(deadLetterSink.caCerts && { CACerts: deadLetterSink.caCerts }),
          ...(deadLetterSink.audience && { audience: deadLetterSink.audience }),
        },
      }),
  }
  return {
    name,
    uid,
    generation,
    ...(isResolved(subscriber) && {
      subscriberUri: subscriber.url,
      ...(subscriber.caCerts && { subscriberCACerts: subscriber.caCerts }),
      ...(subscriber.audience && { subscriberAudience: subscriber.audience }),
    }),
    ...(reply &&
      isResolved(reply) && {
        replyUri: reply.url,
        ...(reply.caCerts && { replyCACerts: reply.caCerts }),
        ...(reply.audience && { replyAudience: reply.audience }),
      }),
    ...(Object.keys(delivery).length > 0 && { delivery }),
  }
}
