/**
 * RequestReply: its key, the Trigger that brings answers back, and its address (knative.dev/eventing
 * `pkg/reconciler/requestreply`). The event engine serves it; Knative's StatefulSet of receivers is one process here,
 * so there is one replica, number 0.
 */
import { apiVersionOf } from '../../../../kube/api/kind.ts'
import { controllerOf, controllerRef, keyOf, type KubeObject } from '../../../../kube/api/meta.ts'
import { Secret } from '../../../../kube/api/secret.ts'
import type { Apply, Reader, Reconciler } from '../../../../kube/controller/reconciler.ts'
import { childName } from '../../../../knative/child-name.ts'
import { conditionOf, finish, isReady } from '../../../../knative/conditions.ts'
import { parseIsoDuration } from '../../../../lib/iso-duration.ts'
import { Broker } from '../../../api/eventing/broker.ts'
import { requestReplyHost } from '../../../api/names.ts'
import {
  RequestReply,
  requestReplyConditions as conditions,
  type RequestReplyStatus,
} from '../../../api/eventing/request-reply.ts'
import { brokerOf, Trigger } from '../../../api/eventing/trigger.ts'
import type { RequestReplyConfig } from '../../../broker/feed.ts'
import type { ToDestination } from '../../destination/dial.ts'
import type { EngineLink } from '../../engine/engine-link.ts'
import { createServedKeys, engineNotReady } from '../../engine/served-keys.ts'
import { deletion } from '../../flows/flow-objects.ts'
import {
  identityFor,
  identityName,
  identityWatches,
  identityWrites,
  type Identity,
} from '../../identity/identity.ts'
import {
  addressesOf,
  transportIn,
  transportWatches,
  withAddresses,
  withoutCertificate,
  type Transport,
} from '../../transport/addresses.ts'
import { serverSecrets } from '../../transport/server-secrets.ts'
import {
  ensureKey,
  forgetKeys,
  isKeysSecret,
  isUsable,
  keysFor,
  keysSecret,
  type Key,
} from './keys.ts'

/** Where the engine finds the Broker (Knative's own names). */
const brokerAnnotation = {
  address: 'knative.dev/brokerAddress',
  caCerts: 'knative.dev/brokerCACerts',
  audience: 'knative.dev/brokerAudience',
} as const

const replicas = 1

export interface World {
  readonly object: RequestReply
  readonly broker: Broker | undefined
  /** Of the name that its own has. */
  readonly trigger: Trigger | undefined
  readonly keys: readonly Key[]
  /** Whose tokens its Broker gets, if it asks for one. */
  readonly identity: Identity
  readonly transport: Transport
  /** For when there is none; base64. */
  readonly newKey: string
  /** The engine takes its requests. */
  readonly served: boolean
}

/** `newKey` answers 32 bytes in base64 that nobody can foretell. */
export const requestReplyReconciler = (
  link: EngineLink,
  newKey: () => string,
): Reconciler<RequestReply, World> => {
  const served = createServedKeys(link)
  return {
    name: 'requestreply-controller',
    kind: RequestReply,
    watches: [
      {
        kind: Broker,
        wake: ({ metadata }, read) =>
          read
            .list(RequestReply, metadata.namespace ?? '')
            .filter(({ spec }) => spec.brokerRef?.name === metadata.name)
            .map((each) => keyOf(each)),
      },
      { kind: Trigger, wake: 'owner' },
      ...identityWatches(RequestReply),
      ...transportWatches(RequestReply),
      {
        kind: Secret,
        wake: (changed, read) =>
          isKeysSecret(changed) ? read.list(RequestReply, '').map((each) => keyOf(each)) : [],
      },
    ],

    observe(object, read) {
      const key = keyOf(object)
      const { namespace } = key
      const isServed = link.serves(object.metadata.uid ?? '')
      served.seen(key, [object.metadata.uid ?? ''])
      const keys = keysFor(key, read)
      return {
        object,
        broker: read.get(Broker, { namespace, name: object.spec.brokerRef?.name ?? '' }),
        trigger: read.get(Trigger, { namespace, name: triggerName(object) }),
        keys,
        identity: identityFor(RequestReply, object, read),
        transport: transportIn(read, serverSecrets.requestReply.name),
        newKey: keys.some(isUsable) ? '' : newKey(),
        served: isServed,
      }
    },

    plan(world, nowMs) {
      const { object, trigger, keys, identity, newKey: fresh } = world
      const { generation = 0, name } = object.metadata
      const begun: RequestReplyStatus = conditions.begin(object.status ?? {}, generation, nowMs)
      const problem = triggerProblem(object, trigger)
      const done = (error?: string) =>
        finish(decide(world, begun, error, nowMs), object.status, generation, nowMs)
      const account = identityWrites(identity)
      const apply = [...ensureKey(keyOf(object), keys, fresh), ...account.apply]
      if (problem !== undefined) return { ...account, apply, status: done(problem) }
      // Its Broker can not be changed: it is made anew once the old one is gone.
      const isMoved = trigger !== undefined && brokerOf(trigger) !== object.spec.brokerRef?.name
      const isLeaving = trigger?.metadata.deletionTimestamp !== undefined
      return {
        apply: isMoved || isLeaving ? apply : [...apply, triggerApply(object)],
        delete: [...account.delete, ...(isMoved && !isLeaving ? [deletion(Trigger, trigger)] : [])],
        status: done(),
        statusOnFailure: ({ message }) => done(`Trigger of ${name}: ${message}`),
      }
    },

    gone(key, read) {
      served.forget(key)
      return { patch: forgetKeys(keysFor(key, read)) }
    },

    connect: (wake) => served.connect(wake),
  }
}

function decide(
  { object, broker, trigger, served, transport }: World,
  begun: RequestReplyStatus,
  triggerError: string | undefined,
  nowMs: number,
): RequestReplyStatus {
  const { namespace = '', name } = object.metadata
  const isDelivering =
    triggerError === undefined && trigger !== undefined && isTriggerReady(trigger)
  let status = withBroker(
    { ...begun, desiredReplicas: replicas, readyReplicas: isDelivering ? replicas : 0 },
    broker,
    object.spec.brokerRef?.name ?? '',
    nowMs,
  )
  status = isDelivering
    ? conditions.markTrue(status, 'TriggersReady', nowMs)
    : triggerError === undefined
      ? conditions.markFalse(
          status,
          'TriggersReady',
          'TriggersNotReady',
          notReadyText(trigger),
          nowMs,
        )
      : conditions.markFalse(
          status,
          'TriggersReady',
          'TriggerReconcileError',
          `Encountered errors reconciling triggers: ${triggerError}`,
          nowMs,
        )
  status = conditions.markTrueWithReason(
    status,
    'EventPoliciesReady',
    'NotImplemented',
    'Event policies not implemented for RequestReply yet',
    nowMs,
  )
  if (!served) {
    const { address: _, addresses: __, ...bare } = status
    return conditions.markUnknown(bare, 'Addressable', ...engineNotReady, nowMs)
  }
  const place = `${requestReplyHost}/${namespace}/${name}`
  const addresses = addressesOf(
    { http: `http://${place}`, https: `https://${place}` },
    undefined,
    transport,
  )
  status = withAddresses(status, addresses)
  return addresses.address
    ? conditions.markTrue(status, 'Addressable', nowMs)
    : withoutCertificate(status, conditions, nowMs)
}

function withBroker(
  status: RequestReplyStatus,
  broker: Broker | undefined,
  name: string,
  nowMs: number,
): RequestReplyStatus {
  const { annotations = {}, ...bare } = status
  const kept = Object.entries(annotations).filter(([key]) => !isBrokerAnnotation(key))
  const { url, CACerts, audience } = broker?.status?.address ?? {}
  const told = {
    ...Object.fromEntries(kept),
    ...(url && { [brokerAnnotation.address]: url }),
    ...(CACerts && { [brokerAnnotation.caCerts]: CACerts }),
    ...(audience && { [brokerAnnotation.audience]: audience }),
  }
  const next = Object.keys(told).length > 0 ? { ...bare, annotations: told } : bare
  const type = 'BrokerReady'
  if (!broker) {
    const message = `could not get broker: broker.eventing.knative.dev "${name}" not found`
    return conditions.markUnknown(next, type, 'NotFound', message, nowMs)
  }
  return isReady(broker)
    ? conditions.markTrue(next, type, nowMs)
    : conditions.markFalse(next, type, 'NotReady', 'broker is not ready', nowMs)
}

const isBrokerAnnotation = (key: string): boolean =>
  Object.values(brokerAnnotation).some((each) => each === key)

/** With what the Trigger itself says. */
function notReadyText(trigger: Trigger | undefined): string {
  const { message = '' } = conditionOf(trigger?.status, 'Ready') ?? {}
  const why = trigger && message !== '' ? `: ${trigger.metadata.name}: ${message}` : ''
  return `not all triggers are ready yet${why}`
}

const isTriggerReady = (trigger: Trigger): boolean =>
  !trigger.metadata.deletionTimestamp && isReady(trigger)

export const triggerName = ({ metadata }: KubeObject): string =>
  childName(metadata.name, `0-${replicas}`)

/** Why that Trigger is none of ours. */
function triggerProblem(object: RequestReply, trigger: Trigger | undefined): string | undefined {
  if (!trigger || controllerOf(trigger)?.uid === object.metadata.uid) return undefined
  const { name } = trigger.metadata
  return `there is a Trigger ${name} that is not owned by RequestReply ${object.metadata.name}: delete it`
}

function triggerApply(object: RequestReply): Apply {
  const { name, namespace = '' } = object.metadata
  const { brokerRef, replyAttribute, delivery } = object.spec
  const verify = [
    replyAttribute,
    `"${name}"`,
    `"${namespace}"`,
    `"${keysSecret.name}"`,
    0,
    replicas,
  ]
  const label = 'eventing.knative.dev/RequestReply'
  const desired: Trigger = {
    apiVersion: apiVersionOf(Trigger),
    kind: Trigger.kind,
    metadata: {
      name: triggerName(object),
      namespace,
      labels: {
        [`${label}.name`]: name,
        [`${label}.namespace`]: namespace,
        [`${label}.dataPlaneReplicas`]: String(replicas),
      },
      ownerReferences: [controllerRef(object)],
    },
    spec: {
      broker: brokerRef?.name ?? '',
      filters: [{ cesql: `KN_VERIFY_CORRELATION_ID(${verify.join(', ')})` }],
      subscriber: { uri: `http://${requestReplyHost}/${namespace}/${name}/reply` },
      ...(delivery && { delivery }),
    },
  }
  return { kind: Trigger, desired }
}

/** What somebody waits for in a Broker carries one of these attributes; undefined = nobody does. */
export function awaitedIn(
  { metadata: { namespace = '', name } }: Broker,
  read: Pick<Reader, 'list'>,
): readonly string[] | undefined {
  const all = read
    .list(RequestReply, namespace)
    .filter(({ spec }) => spec.brokerRef?.name === name)
    .flatMap(({ spec }) => [spec.correlationAttribute ?? '', spec.replyAttribute ?? ''])
  return all.length === 0 ? undefined : [...new Set(all)].toSorted()
}

/** Undefined = it is on its way out. */
export function requestReplyConfig(
  object: RequestReply,
  read: Pick<Reader, 'get'>,
  to: ToDestination,
): RequestReplyConfig | undefined {
  const { metadata, spec, status } = object
  const { uid = '', namespace = '', name, deletionTimestamp } = metadata
  if (deletionTimestamp) return undefined
  const { annotations = {} } = status ?? {}
  const broker = to(
    annotations[brokerAnnotation.address],
    annotations[brokerAnnotation.caCerts],
    annotations[brokerAnnotation.audience],
    `${namespace}/${identityName(RequestReply, name)}`,
  )
  return {
    uid,
    namespace,
    name,
    correlationAttribute: spec.correlationAttribute ?? 'correlationid',
    replyAttribute: spec.replyAttribute ?? 'replyid',
    timeoutMs: parseIsoDuration(spec.timeout ?? '') ?? 30_000,
    keys: keysFor({ namespace, name }, read).map(({ text }) => text),
    ...(broker && { broker }),
  }
}
