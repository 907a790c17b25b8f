/**
 * Subscription: resolves whom a channel's events go to and enters that into the channel; Ready when the channel says so
 * (knative.dev/eventing `pkg/reconciler/subscription`).
 */
import { keyOf, type KubeObject } from '../../../kube/api/meta.ts'
import { semanticallyEqual } from '../../../kube/controller/difference.ts'
import type {
  Patch,
  Plan,
  PlannedEvent,
  Reader,
  Reconciler,
} from '../../../kube/controller/reconciler.ts'
import { conditionOf, finish, isReady } from '../../../knative/conditions.ts'
import { createTracker } from '../../../knative/tracker.ts'
import { Channel } from '../../api/messaging/channel.ts'
import type { SubscriberSpec } from '../../api/duck/channelable.ts'
import type { DeliverySpec } from '../../api/duck/delivery-spec.ts'
import type { KReference } from '../../api/duck/destination.ts'
import { InMemoryChannel } from '../../api/messaging/in-memory-channel.ts'
import {
  Subscription,
  subscriptionConditions as conditions,
  type SubscriptionStatus,
} from '../../api/messaging/subscription.ts'
import {
  identityFor,
  identityWatches,
  identityWrites,
  withIdentity,
  type Identity,
} from '../identity/identity.ts'
import { noChannelKind } from './channel-kinds.ts'
import { complaint } from '../complaint.ts'
import {
  destinationKinds,
  isResolved,
  referredKind,
  resolve,
  targetOf,
  type Resolution,
} from '../destination/resolver.ts'

export interface World {
  readonly subscription: Subscription
  /** The channel with the subscribers, behind whatever `spec.channel` names. */
  readonly channel: InMemoryChannel | undefined
  /** Why it can not be subscribed to. */
  readonly channelProblem?: string
  readonly subscriber: Resolution
  readonly reply?: Resolution
  readonly deadLetterSink?: Resolution
  readonly identity: Identity
}

export const subscriptionReconciler = (): Reconciler<Subscription, World> => {
  const tracker = createTracker()
  return {
    name: 'subscription-controller',
    kind: Subscription,
    finalizer: 'subscriptions.messaging.knative.dev',
    watches: [
      ...destinationKinds.map((kind) => ({
        kind,
        wake: (changed: KubeObject) => tracker.observers(changed),
      })),
      ...identityWatches(Subscription),
    ],
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
      const { channel, channelProblem } = channelOf(ref ?? {}, at, read)
      const deadLetterSink = sink ? resolve(sink, namespace, read) : channel && inherited(channel)
      return {
        subscription,
        channel,
        ...(channelProblem !== undefined && { channelProblem }),
        subscriber: resolve(subscriber ?? {}, namespace, read),
        ...(reply && Object.keys(reply).length > 0 && { reply: resolve(reply, namespace, read) }),
        ...(deadLetterSink && { deadLetterSink }),
        identity: identityFor(Subscription, subscription, read),
      }
    },

    plan(world, nowMs) {
      const { subscription } = world
      const { generation = 0 } = subscription.metadata
      const begun = conditions.begin(subscription.status ?? {}, generation, nowMs)
      const { status, events = [], ...plan } = decide(world, begun, nowMs)
      return {
        ...plan,
        events: [...events, ...complaint(subscription.status, status, 'ReferencesResolved')],
        ...identityWrites(world.identity),
        status: finish(status, subscription.status, generation, nowMs),
      }
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

/** The channel behind a reference, and what is wrong with it. */
function channelOf(
  ref: KReference,
  namespace: string,
  read: Pick<Reader, 'get'>,
): Pick<World, 'channel' | 'channelProblem'> {
  const { kind = '', apiVersion = '', name = '' } = ref
  const problem = (why: string) => `Failed to get Spec.Channel or backing channel: ${why}`
  const missing = { channel: undefined, channelProblem: problem(`${kind} "${name}" not found`) }
  if (referredKind(ref, [InMemoryChannel])) {
    const channel = read.get(InMemoryChannel, { namespace, name })
    return channel ? { channel } : missing
  }
  if (!referredKind(ref, [Channel]))
    return { channel: undefined, channelProblem: problem(noChannelKind({ kind, apiVersion })) }
  const outer = read.get(Channel, { namespace, name })
  if (!outer) return missing
  const behind = outer.status?.channel?.name
  const channel = behind ? read.get(InMemoryChannel, { namespace, name: behind }) : undefined
  if (channel && isReady(outer)) return { channel }
  const { message = '' } = conditionOf(outer.status, 'Ready') ?? {}
  const why = problem(`Channel "${name}" is not ready${message && `: ${message}`}`)
  return { channel, channelProblem: why }
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
  let status = withIdentity(begun, world.identity, conditions, nowMs)
  const unresolved = (reason: string, message: string): Decision => ({
    status: conditions.markFalse(status, 'ReferencesResolved', reason, message, nowMs),
  })
  if (!channel || channelProblem !== undefined)
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
  const entry = entryOf(world, status.auth)
  const { uid, generation, name } = subscription.metadata
  const subscribers = channel.spec.subscribers ?? []
  const entered = subscribers.find((each) => each.uid === uid)
  const upToDate = entered && semanticallyEqual(entered, entry)
  status = conditions.markTrue(status, 'AddedToChannel', nowMs)
  const said = channel.status?.subscribers?.find((each) => each.uid === uid)
  const current = upToDate && said?.observedGeneration === generation ? said?.ready : undefined
  const unready = [
    'ChannelReady',
    'SubscriptionNotMarkedReadyByChannel',
    `Subscription not marked by Channel as Ready: ${said?.message ?? conditionOf(channel.status, 'Ready')?.message ?? ''}`,
    nowMs,
  ] as const
  if (current === 'True') status = conditions.markTrue(status, 'ChannelReady', nowMs)
  else if (current === 'False') status = conditions.markFalse(status, ...unready)
  else status = conditions.markUnknown(status, ...unready)
  if (upToDate) return { status }
  const next = entered
    ? subscribers.map((each) => (each === entered ? entry : each))
    : [...subscribers, entry]
  return {
    status,
    statusOnFailure: ({ message }) =>
      finish(
        conditions.markFalse(
          status,
          'AddedToChannel',
          'PhysicalChannelSyncFailed',
          `Failed to sync physical Channel: ${message}`,
          nowMs,
        ),
        subscription.status,
        subscription.metadata.generation ?? 0,
        nowMs,
      ),
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
function entryOf(
  { subscription, channel, subscriber, reply, deadLetterSink }: World,
  auth: SubscriptionStatus['auth'],
): SubscriberSpec {
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
    ...(auth && { auth }),
  }
}
