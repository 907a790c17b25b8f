/**
 * Broker of class MTChannelBasedBroker: its address, and whether the engine has it (knative.dev/eventing
 * `pkg/reconciler/broker`). There is no channel and no Subscription behind it as in Knative: its log has its Triggers
 * as subscriptions.
 */
import { keyOf, type KubeObject } from '../../../kube/api/meta.ts'
import type { Reconciler } from '../../../kube/controller/reconciler.ts'
import { finish } from '../../../knative/conditions.ts'
import { createTracker } from '../../../knative/tracker.ts'
import {
  Broker,
  brokerConditions as conditions,
  classOf,
  type BrokerStatus,
} from '../../api/eventing/broker.ts'
import { brokerClass, brokerIngressHost } from '../../api/names.ts'
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
import { serverSecrets } from '../transport/server-secrets.ts'
import { audienceIn } from '../authorization/audience.ts'
import { complaint } from '../complaint.ts'
import {
  policiesFor,
  policyWatches,
  withPolicies,
  type Policies,
} from '../authorization/policies.ts'
import { configProblem, configTarget, type ConfigProblem } from './broker-config.ts'
import { formerObjects } from './former-broker.ts'
import {
  destinationKinds,
  isResolved,
  resolve,
  targetOf,
  type Resolution,
} from '../destination/resolver.ts'

export interface World {
  readonly broker: Broker
  /** The engine takes its events. */
  readonly served: boolean
  readonly deadLetterSink?: Resolution
  readonly configProblem?: ConfigProblem
  readonly policies: Policies | undefined
  /** Undefined = senders need no tokens. */
  readonly audience: string | undefined
  readonly transport: Transport
}

export const brokerReconciler = (link: EngineLink): Reconciler<Broker, World> => {
  const tracker = createTracker()
  const keys = createServedKeys(link)
  return {
    name: 'broker-controller',
    kind: Broker,
    handles: (broker) => classOf(broker) === brokerClass.multiTenant,
    watches: [
      ...policyWatches(Broker),
      ...transportWatches(Broker),
      ...destinationKinds
        .filter((kind) => kind !== Broker)
        .map((kind) => ({ kind, wake: (changed: KubeObject) => tracker.observers(changed) })),
    ],
    customKinds: (changed) => tracker.observers(changed),

    observe(broker, read) {
      const key = keyOf(broker)
      const { uid = '' } = broker.metadata
      const sink = broker.spec.delivery?.deadLetterSink
      const served = link.serves(uid)
      tracker.track(key, [...targetOf(sink, key.namespace), ...configTarget(broker)])
      const problem = configProblem(broker, read)
      keys.seen(key, [uid])
      return {
        broker,
        served,
        policies: policiesFor(Broker, broker, read),
        audience: audienceIn(read, Broker, broker),
        transport: transportIn(read, serverSecrets.broker.name),
        ...(sink && { deadLetterSink: resolve(sink, key.namespace, read) }),
        ...(problem && { configProblem: problem }),
      }
    },

    plan(world, nowMs) {
      const { broker, served, deadLetterSink, configProblem: problem, policies } = world
      const { generation = 0, namespace = '', name } = broker.metadata
      let status: BrokerStatus = conditions.begin(broker.status ?? {}, generation, nowMs)
      const apply = formerObjects(broker)
      if (problem) {
        status = conditions.markFalse(status, 'TriggerChannelReady', ...problem, nowMs)
        return {
          apply,
          status: finish(status, broker.status, generation, nowMs),
          events: complaint(broker.status, status, 'TriggerChannelReady', 'InternalError'),
        }
      }
      const place = `${brokerIngressHost}/${namespace}/${name}`
      const addresses = addressesOf(
        { http: `http://${place}`, https: `https://${place}` },
        world.audience,
        world.transport,
      )
      const mark = (type: string) => {
        status = served
          ? conditions.markTrue(status, type, nowMs)
          : conditions.markUnknown(status, type, ...engineNotReady, nowMs)
      }
      for (const type of ['IngressReady', 'TriggerChannelReady', 'FilterReady']) mark(type)
      status = withDeadLetter(status, deadLetterSink, conditions, nowMs)
      // Before it had an address it waits for its sink; afterwards it goes on without.
      if (deadLetterSink && !isResolved(deadLetterSink))
        return {
          apply,
          status: finish(status, broker.status, generation, nowMs),
          events: complaint(broker.status, status, 'DeadLetterSinkResolved', 'InternalError'),
        }
      mark('Addressable')
      if (!addresses.address) status = withoutCertificate(status, conditions, nowMs)
      status = withPolicies(status, conditions, policies, nowMs)
      if (served) status = withAddresses(status, addresses)
      return { apply, status: finish(status, broker.status, generation, nowMs) }
    },

    gone(key) {
      tracker.forget(key)
      keys.forget(key)
      return {}
    },

    connect: (wake) => keys.connect(wake),
  }
}
