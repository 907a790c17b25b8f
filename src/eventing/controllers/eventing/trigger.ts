/**
 * Trigger: whom its events go to, and whether its Broker's log has a place for it (knative.dev/eventing
 * `pkg/reconciler/broker/trigger`). It is Ready when events that come from then on are its own.
 */
import { ConfigMap } from '../../../kube/api/config-map.ts'
import { keyOf, type KubeObject } from '../../../kube/api/meta.ts'
import type { Reconciler } from '../../../kube/controller/reconciler.ts'
import { conditionOf, finish, isObserved } from '../../../knative/conditions.ts'
import { createTracker } from '../../../knative/tracker.ts'
import { Broker, classOf } from '../../api/eventing/broker.ts'
import { annotation, brokerClass } from '../../api/names.ts'
import {
  brokerNamespaceOf,
  brokerOf,
  Trigger,
  triggerConditions as conditions,
  type TriggerStatus,
} from '../../api/eventing/trigger.ts'
import { withDeadLetter } from '../destination/dead-letter.ts'
import type { EngineLink } from '../engine/engine-link.ts'
import { hasPlace } from '../engine/log-place.ts'
import { createServedKeys, engineNotReady } from '../engine/served-keys.ts'
import { complaint } from '../complaint.ts'
import {
  identityFor,
  identityWatches,
  identityWrites,
  withIdentity,
  type Identity,
} from '../identity/identity.ts'
import { followedKinds } from '../destination/followed-kinds.ts'
import { isResolved, resolve, targetOf, type Resolution } from '../destination/resolver.ts'
import { dependencyOf, dependencyState, dependencyTarget, type Dependency } from './dependency.ts'

export interface World {
  readonly trigger: Trigger
  readonly broker: Broker | undefined
  readonly subscriber: Resolution
  readonly deadLetterSink?: Resolution
  readonly served: boolean
  readonly dependency: Dependency
  readonly identity: Identity
}

export const triggerReconciler = (link: EngineLink): Reconciler<Trigger, World> => {
  const tracker = createTracker()
  const keys = createServedKeys(link)
  return {
    name: 'trigger-controller',
    kind: Trigger,
    watches: [
      ...[...followedKinds, ConfigMap].map((kind) => ({
        kind,
        wake: (changed: KubeObject) => tracker.observers(changed),
      })),
      ...identityWatches(Trigger),
    ],
    customKinds: (changed) => tracker.observers(changed),

    observe(trigger, read) {
      const key = keyOf(trigger)
      const { namespace } = key
      const { spec, metadata } = trigger
      const { uid = '' } = metadata
      const served = link.serves(uid)
      const brokerKey = { namespace: brokerNamespaceOf(trigger), name: brokerOf(trigger) }
      const broker = read.get(Broker, brokerKey)
      const sink = spec.delivery?.deadLetterSink
      const dependency = dependencyOf(metadata.annotations?.[annotation.dependency])
      tracker.track(key, [
        ...dependencyTarget(dependency, namespace),
        { kind: Broker.kind, ...brokerKey },
        ...targetOf(spec.subscriber, namespace),
        ...targetOf(sink, namespace),
      ])
      keys.seen(key, [uid])
      const deadLetterSink = sink ? resolve(sink, namespace, read) : inherited(broker)
      return {
        trigger,
        broker,
        served,
        subscriber: resolve(spec.subscriber ?? {}, namespace, read),
        ...(deadLetterSink && { deadLetterSink }),
        dependency: dependencyState(dependency, namespace, read),
        identity: identityFor(Trigger, trigger, read),
      }
    },

    plan(world, nowMs) {
      const { trigger, broker } = world
      const { generation = 0 } = trigger.metadata
      // Triggers of other classes of Brokers are somebody else's.
      if (broker && classOf(broker) !== brokerClass.multiTenant) return {}
      const begun = conditions.begin(trigger.status ?? {}, generation, nowMs)
      const status = decide(world, begun, nowMs)
      return {
        ...identityWrites(world.identity),
        status: finish(status, trigger.status, generation, nowMs),
        events: ['SubscriberResolved', 'DeadLetterSinkResolved'].flatMap((type) =>
          complaint(trigger.status, status, type, 'InternalError'),
        ),
        ...againIn(status, nowMs),
      }
    },

    gone(key) {
      tracker.forget(key)
      keys.forget(key)
      return {}
    },

    connect: (wake) => keys.connect(wake),
  }
}

/** The Broker's own sink is its Triggers' too. */
function inherited(broker: Broker | undefined): Resolution | undefined {
  if (!broker?.spec.delivery?.deadLetterSink) return undefined
  const { deadLetterSinkUri, deadLetterSinkCACerts, deadLetterSinkAudience } = broker.status ?? {}
  if (!deadLetterSinkUri)
    return {
      reason: `Broker ${broker.metadata.name} didn't set status.deadLetterSinkURI`,
      problem: conditionOf(broker.status, 'DeadLetterSinkResolved')?.message ?? '',
    }
  return {
    url: deadLetterSinkUri,
    ...(deadLetterSinkCACerts && { caCerts: deadLetterSinkCACerts }),
    ...(deadLetterSinkAudience && { audience: deadLetterSinkAudience }),
  }
}

function decide(world: World, begun: TriggerStatus, nowMs: number): TriggerStatus {
  const { trigger, broker, subscriber, deadLetterSink, served, dependency } = world
  let status = begun
  if (!broker)
    return conditions.markFalse(
      status,
      'BrokerReady',
      'BrokerDoesNotExist',
      `Broker "${brokerOf(trigger)}" does not exist`,
      nowMs,
    )
  const ready = conditionOf(broker.status, 'Ready')
  if (!ready || !isObserved(broker))
    return conditions.markUnknown(
      status,
      'BrokerReady',
      'BrokerNotConfigured',
      'Broker has not yet been reconciled.',
      nowMs,
    )
  status = conditions.mirror(status, 'BrokerReady', ready, nowMs)
  if (ready.status !== 'True') return status
  status = withSubscriber(status, subscriber, nowMs)
  status = withDeadLetter(status, deadLetterSink, conditions, nowMs)
  status = withIdentity(status, world.identity, conditions, nowMs)
  const others = withDependency(status, dependency, nowMs)
  const waits = !isResolved(subscriber) && leftMs(status, nowMs) > 0
  const isTold = isComplete(others) || (waits && hasPlace(trigger))
  const why: readonly [string, string] = isTold ? engineNotReady : notSubscribed
  status =
    served && (waits || isResolved(subscriber))
      ? conditions.markTrue(status, 'SubscriptionReady', nowMs)
      : conditions.markUnknown(status, 'SubscriptionReady', ...why, nowMs)
  return withDependency(status, dependency, nowMs)
}

/** A place that nobody comes back to must not keep a Broker's events for ever: from then on there are none for it. */
const patienceMs = 7 * 24 * 3_600_000

/** How long the place is still kept for a subscriber that is gone; 0 or less = no longer. */
function leftMs(status: TriggerStatus, nowMs: number): number {
  const { lastTransitionTime = '' } = conditionOf(status, 'SubscriberResolved') ?? {}
  const sinceMs = Date.parse(lastTransitionTime)
  return Number.isNaN(sinceMs) ? patienceMs : sinceMs + patienceMs - nowMs
}

/** When the place is to be given up. */
function againIn(status: TriggerStatus, nowMs: number): { readonly requeueAfterMs?: number } {
  const isAway = conditionOf(status, 'SubscriberResolved')?.status === 'False'
  const left = leftMs(status, nowMs)
  return isAway && hasPlace({ status }) && left > 0 ? { requeueAfterMs: left } : {}
}

/** True when nothing but the engine is waited for: it is told of the Trigger. */
const isComplete = (status: TriggerStatus): boolean =>
  ['SubscriberResolved', 'DeadLetterSinkResolved', 'OIDCIdentityCreated', 'DependencyReady'].every(
    (type) => conditionOf(status, type)?.status === 'True',
  )

function withDependency(
  status: TriggerStatus,
  dependency: Dependency,
  nowMs: number,
): TriggerStatus {
  const type = 'DependencyReady'
  const { reason, message } = dependency
  if (dependency.status === 'True') return conditions.markTrue(status, type, nowMs)
  return dependency.status === 'False'
    ? conditions.markFalse(status, type, reason, message, nowMs)
    : conditions.markUnknown(status, type, reason, message, nowMs)
}

function withSubscriber(
  status: TriggerStatus,
  subscriber: Resolution,
  nowMs: number,
): TriggerStatus {
  const {
    subscriberUri: _uri,
    subscriberCACerts: _certificates,
    subscriberAudience: _audience,
    ...bare
  } = status
  if (!isResolved(subscriber))
    return conditions.markFalse(
      bare,
      'SubscriberResolved',
      "Unable to get the Subscriber's URI",
      subscriber.problem,
      nowMs,
    )
  return conditions.markTrue(
    {
      ...bare,
      subscriberUri: subscriber.url,
      ...(subscriber.caCerts !== undefined && { subscriberCACerts: subscriber.caCerts }),
      ...(subscriber.audience !== undefined && { subscriberAudience: subscriber.audience }),
    },
    'SubscriberResolved',
    nowMs,
  )
}

/** Why something has no subscription yet, and needs none. */
const notSubscribed = [
  'NotSubscribed',
  'it is subscribed once the other conditions are True',
] as const
