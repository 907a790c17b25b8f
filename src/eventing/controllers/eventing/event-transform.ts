/**
 * EventTransform: its address, its sink, and whether the engine can run its expression (knative.dev/eventing
 * `pkg/reconciler/eventtransform`). The Deployment that Knative makes is the engine's process here; conditions keep its
 * names, as tools wait for them.
 */
import { conditionOf, finish } from '../../../knative/conditions.ts'
import { childName } from '../../../knative/child-name.ts'
import { createTracker } from '../../../knative/tracker.ts'
import { controllerOf, controllerRef, keyOf, type KubeObject } from '../../../kube/api/meta.ts'
import { ServiceAccount } from '../../../kube/api/service-account.ts'
import { Service as CoreService } from '../../../kube/api/service.ts'
import type { Reconciler } from '../../../kube/controller/reconciler.ts'
import {
  EventTransform,
  eventTransformConditions as conditions,
  type EventTransformStatus,
} from '../../api/eventing/event-transform.ts'
import { brokerIngressHost, clusterDomain, hostNames, transformLabel } from '../../api/names.ts'
import type { TransformConfig } from '../../broker/feed.ts'
import type { ToDestination } from '../destination/dial.ts'
import type { EngineLink } from '../engine/engine-link.ts'
import { createServedKeys, engineNotReady, type EngineState } from '../engine/served-keys.ts'
import { audienceIn } from '../authorization/audience.ts'
import { identityFor, identityWrites, type Identity } from '../identity/identity.ts'
import { accountText } from '../identity/senders.ts'
import {
  policiesFor,
  policyWatches,
  withPolicies,
  type Policies,
} from '../authorization/policies.ts'
import {
  destinationKinds,
  isResolved,
  resolve,
  targetOf,
  type Resolution,
} from '../destination/resolver.ts'

const nameLabel = 'eventing.knative.dev/event-transform-name'

const serviceName = (transform: string): string => childName(transform, '-jsonata')

export const transformHost = (namespace: string, name: string): string =>
  `${serviceName(name)}.${namespace}.svc.${clusterDomain}`

export interface World {
  readonly transform: EventTransform
  /** The Service of its host is somebody else's. */
  readonly isTaken: boolean
  /** Undefined = it has none. */
  readonly sink: Resolution | undefined
  readonly state: EngineState
  readonly policies: Policies | undefined
  /** Undefined = senders need no tokens. */
  readonly audience: string | undefined
  /** Whom its results are sent as. */
  readonly identity: Identity
}

export const eventTransformReconciler = (link: EngineLink): Reconciler<EventTransform, World> => {
  const tracker = createTracker()
  const served = createServedKeys(link)
  return {
    name: 'eventtransform-controller',
    kind: EventTransform,
    watches: [
      ...destinationKinds.map((kind) => ({
        kind,
        wake: (changed: KubeObject) => [...tracker.observers(changed), ...ownersOf(changed)],
      })),
      ...policyWatches(EventTransform),
      { kind: ServiceAccount, wake: 'owner' },
    ],
    customKinds: (changed) => tracker.observers(changed),

    observe(transform, read) {
      const key = keyOf(transform)
      const { sink } = transform.spec
      const host = { namespace: key.namespace, name: serviceName(key.name) }
      const found = read.get(CoreService, host)
      tracker.track(key, [...targetOf(sink, key.namespace), { kind: CoreService.kind, ...host }])
      return {
        transform,
        isTaken: found !== undefined && controllerOf(found)?.uid !== transform.metadata.uid,
        sink: sink && resolve(sink, key.namespace, read),
        state: served.stateOf(key, transform.metadata.uid ?? ''),
        policies: policiesFor(EventTransform, transform, read),
        audience: audienceIn(read, EventTransform, transform),
        identity: identityFor(EventTransform, transform, read),
      }
    },

    plan(world, nowMs) {
      const { transform } = world
      const { generation = 0 } = transform.metadata
      const begun = conditions.begin(transform.status ?? {}, generation, nowMs)
      const { apply, delete: gone } = sinkIdentityWrites(world)
      const told = (status: EventTransformStatus) =>
        finish(status, transform.status, generation, nowMs)
      const unnamed = (why: string) =>
        told(conditions.markFalse(begun, 'Addressable', 'NoURL', why, nowMs))
      if (world.isTaken)
        return {
          status: unnamed(
            `the Service "${serviceName(transform.metadata.name)}" that its address would lead to is not its own; rename one of them`,
          ),
        }
      return {
        apply: [{ kind: CoreService, desired: service(transform) }, ...apply],
        delete: gone,
        status: told(decide(world, begun, nowMs)),
        statusOnFailure: ({ message }) => unnamed(message),
      }
    },

    gone(key) {
      tracker.forget(key)
      served.forget(key)
      return {}
    },

    connect: (wake) => served.connect(wake),
  }
}

function decide(
  { transform, sink, state, policies, audience, identity }: World,
  begun: EventTransformStatus,
  nowMs: number,
): EventTransformStatus {
  const { namespace = '', name } = transform.metadata
  const deployment = 'JsonataDeploymentReady'
  const { sinkUri: _, sinkAudience: _audience, auth: _auth, ...bare } = begun
  let status: EventTransformStatus = withPolicies(bare, conditions, policies, nowMs)
  const running = state === 'served' ? 1 : 0
  status = {
    ...status,
    jsonata: { deployment: { replicas: 1, readyReplicas: running, availableReplicas: running } },
  }
  status =
    state === 'served'
      ? conditions.markTrue(status, deployment, nowMs)
      : state === 'unknown'
        ? conditions.markUnknown(status, deployment, ...engineNotReady, nowMs)
        : conditions.markFalse(
            status,
            deployment,
            'JsonataDeploymentUnavailable',
            `Expected replicas: 1, available: 0: the expression can not be read: ${state.problem}`,
            nowMs,
          )
  if (!sink) status = conditions.clear(status, 'JsonataSinkBindingReady')
  else if (isResolved(sink))
    status = conditions.markTrue(
      {
        ...status,
        sinkUri: sink.url,
        ...(sink.audience !== undefined && { sinkAudience: sink.audience }),
        ...(identity.wanted && { auth: { serviceAccountName: identity.account.metadata.name } }),
      },
      'JsonataSinkBindingReady',
      nowMs,
    )
  else
    status = conditions.markFalse(
      status,
      'JsonataSinkBindingReady',
      'NotFound',
      sink.problem,
      nowMs,
    )
  const parts = [deployment, 'JsonataSinkBindingReady'].map((type) => conditionOf(status, type))
  // What is wrong before what is not known: without its sink the engine is not told of it.
  const worst =
    parts.find((each) => each?.status === 'False') ??
    parts.find((each) => each?.status === 'Unknown')
  status = worst
    ? conditions.mirror(status, 'TransformationReady', worst, nowMs)
    : conditions.markTrue(status, 'TransformationReady', nowMs)
  if (state === 'unknown')
    return conditions.markUnknown(
      status,
      'Addressable',
      'WaitingForServiceEndpoints',
      'URL set, but the event engine has not taken it yet',
      nowMs,
    )
  const address = {
    name: 'http',
    url: `http://${transformHost(namespace, name)}`,
    ...(audience !== undefined && { audience }),
  }
  return conditions.markTrue({ ...status, address, addresses: [address] }, 'Addressable', nowMs)
}

/** Only what sends has an identity. */
const sinkIdentityWrites = ({ transform, identity }: World) =>
  identityWrites(transform.spec.sink ? identity : { ...identity, wanted: false })

const ownersOf = ({ metadata }: KubeObject) => {
  const name = metadata.labels?.[nameLabel]
  return name === undefined ? [] : [{ namespace: metadata.namespace ?? '', name }]
}

/** The Service whose name is the transform's host; the name leads to the engine. */
function service(transform: EventTransform): KubeObject {
  const { name, namespace = '' } = transform.metadata
  const desired = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name: serviceName(name),
      namespace,
      labels: { [transformLabel]: 'true', [nameLabel]: name },
      ownerReferences: [controllerRef(transform)],
    },
    spec: {
      type: 'ExternalName',
      externalName: brokerIngressHost,
      ports: [{ name: 'http', port: 80, protocol: 'TCP', targetPort: 8080 }],
    },
  }
  return desired
}

/** Undefined = it waits for its sink. */
export function transformConfig(
  { metadata, spec, status }: EventTransform,
  to: ToDestination,
  gate: Pick<TransformConfig, 'gate'> = {},
): TransformConfig | undefined {
  const { uid = '', namespace = '', name, deletionTimestamp } = metadata
  const account = accountText(namespace, status?.auth)
  const sink = spec.sink && to(status?.sinkUri, undefined, status?.sinkAudience, account)
  if (deletionTimestamp || !spec.jsonata?.expression || (spec.sink && !sink)) return undefined
  const host = transformHost(namespace, name)
  const reply = spec.reply?.jsonata?.expression
  return {
    uid,
    namespace,
    name,
    hosts: hostNames(host),
    expression: spec.jsonata.expression,
    ...(reply && { replyExpression: reply }),
    ...(spec.reply?.discard && { discardReply: true }),
    ...(sink && { sink }),
    ...gate,
  }
}
