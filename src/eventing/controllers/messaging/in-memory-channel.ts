/**
 * InMemoryChannel: a Service with its address, and how each subscriber stands with the engine (knative.dev/eventing
 * `pkg/reconciler/inmemorychannel`).
 */
import { controllerOf, controllerRef, keyOf, type KubeObject } from '../../../kube/api/meta.ts'
import { Service as CoreService } from '../../../kube/api/service.ts'
import type { Reconciler } from '../../../kube/controller/reconciler.ts'
import { finish } from '../../../knative/conditions.ts'
import { createTracker } from '../../../knative/tracker.ts'
import type { SubscriberSpec } from '../../api/duck/channelable.ts'
import {
  channelHost,
  channelServiceName,
  InMemoryChannel,
  inMemoryChannelConditions as conditions,
  type InMemoryChannelStatus,
} from '../../api/messaging/in-memory-channel.ts'
import { label } from '../../api/names.ts'
import { withDeadLetter } from '../destination/dead-letter.ts'
import type { EngineLink } from '../engine/engine-link.ts'
import { createServedKeys, engineNotReady } from '../engine/served-keys.ts'
import {
  addressesOf,
  withAddresses,
  withoutCertificate,
  transportIn,
  transportWatches,
  type Transport,
} from '../transport/addresses.ts'
import { dispatcherHost, serverSecrets } from '../transport/server-secrets.ts'
import { audienceIn } from '../authorization/audience.ts'
import { complaint } from '../complaint.ts'
import {
  policiesFor,
  policyWatches,
  withPolicies,
  type Policies,
} from '../authorization/policies.ts'
import { destinationKinds, resolve, targetOf, type Resolution } from '../destination/resolver.ts'

export interface World {
  readonly channel: InMemoryChannel
  /** The Service of its host is somebody else's. */
  readonly isTaken: boolean
  readonly served: boolean
  /** Uids of subscribers that the engine serves. */
  readonly servedSubscribers: ReadonlySet<string>
  /** Why it can not serve some of them, by uid. */
  readonly problems: ReadonlyMap<string, string>
  readonly deadLetterSink?: Resolution
  readonly policies: Policies | undefined
  /** Undefined = senders need no tokens. */
  readonly audience: string | undefined
  readonly transport: Transport
}

export const inMemoryChannelReconciler = (link: EngineLink): Reconciler<InMemoryChannel, World> => {
  const tracker = createTracker()
  const keys = createServedKeys(link)
  return {
    name: 'inmemorychannel-controller',
    kind: InMemoryChannel,
    watches: [
      ...policyWatches(InMemoryChannel),
      ...transportWatches(InMemoryChannel),
      { kind: CoreService, wake: 'owner' },
      ...destinationKinds
        .filter((kind) => kind !== InMemoryChannel)
        .map((kind) => ({ kind, wake: (changed: KubeObject) => tracker.observers(changed) })),
    ],
    customKinds: (changed) => tracker.observers(changed),

    observe(channel, read) {
      const key = keyOf(channel)
      const sink = channel.spec.delivery?.deadLetterSink
      const { uid = '' } = channel.metadata
      const uids = (channel.spec.subscribers ?? []).map((each) => each.uid ?? '')
      const host = { namespace: key.namespace, name: channelServiceName(key.name) }
      const found = read.get(CoreService, host)
      tracker.track(key, [...targetOf(sink, key.namespace), { kind: CoreService.kind, ...host }])
      keys.seen(key, [uid, ...uids])
      return {
        channel,
        isTaken: found !== undefined && controllerOf(found)?.uid !== uid,
        policies: policiesFor(InMemoryChannel, channel, read),
        audience: audienceIn(read, InMemoryChannel, channel),
        transport: transportIn(read, serverSecrets.channel.name),
        served: link.serves(uid),
        servedSubscribers: new Set(uids.filter((each) => link.serves(each))),
        problems: new Map(
          uids.flatMap((each) => {
            const problem = link.problemOf(each)
            return problem === undefined ? [] : [[each, problem]]
          }),
        ),
        ...(sink && { deadLetterSink: resolve(sink, key.namespace, read) }),
      }
    },

    plan(world, nowMs) {
      const { channel, served, deadLetterSink, policies, audience, transport } = world
      const { generation = 0, namespace = '', name } = channel.metadata
      const begun = conditions.begin<InMemoryChannelStatus>(channel.status ?? {}, generation, nowMs)
      const unnamed = (why: string): InMemoryChannelStatus =>
        conditions.markFalse(
          begun,
          'ChannelServiceReady',
          'ChannelServiceFailed',
          `Channel Service failed: ${why}`,
          nowMs,
        )
      if (world.isTaken) {
        const without = unnamed(
          `inmemorychannel: ${namespace}/${name} does not own Service: "${channelServiceName(name)}"`,
        )
        return {
          status: finish(without, channel.status, generation, nowMs),
          events: complaint(channel.status, without, 'ChannelServiceReady', 'InternalError'),
        }
      }
      let status = begun
      const mark = (type: string) => {
        status = served
          ? conditions.markTrue(status, type, nowMs)
          : conditions.markUnknown(status, type, ...engineNotReady, nowMs)
      }
      for (const type of [
        'DispatcherReady',
        'ServiceReady',
        'EndpointsReady',
        'ChannelServiceReady',
        'Addressable',
      ])
        mark(type)
      const addresses = addressesOf(
        {
          http: `http://${channelHost(namespace, name)}`,
          https: `https://${dispatcherHost}/${namespace}/${name}`,
        },
        audience,
        transport,
      )
      if (!addresses.address) status = withoutCertificate(status, conditions, nowMs)
      if (served) status = withAddresses(status, addresses)
      status = withDeadLetter(status, deadLetterSink, conditions, nowMs)
      status = withPolicies(status, conditions, policies, nowMs)
      const subscribers = (channel.spec.subscribers ?? []).map((each) => standing(each, world))
      const { subscribers: _, ...bare } = status
      const whole = { ...bare, ...(subscribers.length > 0 && { subscribers }) }
      return {
        apply: [{ kind: CoreService, desired: service(channel) }],
        status: finish(whole, channel.status, generation, nowMs),
        statusOnFailure: ({ message }) =>
          finish(unnamed(message), channel.status, generation, nowMs),
        events: complaint(channel.status, whole, 'DeadLetterSinkResolved', 'InternalError'),
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

/** How a subscriber stands, as the channel says it. */
function standing(
  { uid = '', generation = 0 }: SubscriberSpec,
  { servedSubscribers, problems }: World,
) {
  const problem = problems.get(uid)
  return {
    uid,
    observedGeneration: generation,
    ready: problem !== undefined ? 'False' : servedSubscribers.has(uid) ? 'True' : 'Unknown',
    ...(problem !== undefined && { message: problem }),
  }
}

/** The Service whose name is the channel's host. */
function service(channel: InMemoryChannel): KubeObject {
  const { name, namespace = '' } = channel.metadata
  const desired = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name: channelServiceName(name),
      namespace,
      labels: { [label.role]: 'in-memory-channel' },
      ownerReferences: [controllerRef(channel)],
    },
    spec: {
      type: 'ExternalName',
      externalName: dispatcherHost,
      ports: [{ name: 'http', port: 80, protocol: 'TCP', targetPort: 80 }],
    },
  }
  return desired
}
