/**
 * Door of the package, `ebb/api`: kinds and the shapes of their objects. A kind is a name that carries the type of its
 * objects: `client.get(Service, key)` answers a `Service`. Kinds of your own are `Kind` values. Runs in browsers too.
 */
export { apiVersionOf, groupKind, type Kind } from './kube/api/kind.ts'
export {
  controllerOf,
  controllerRef,
  isControlledBy,
  keyOf,
  keyText,
  type KubeObject,
  type ObjectKey,
  type ObjectMeta,
  type OwnerReference,
  type StringMap,
} from './kube/api/meta.ts'
export type { ObjectList, RequestOptions, WatchEvent } from './kube/api/protocol.ts'
export { hasReason, StatusError, type Status, type StatusReason } from './kube/api/status-error.ts'
export {
  conditionOf,
  conditionSet,
  finish,
  isFailed,
  isObserved,
  isReady,
  type Condition,
  type ConditionedObject,
} from './knative/conditions.ts'

export { ConfigMap } from './kube/api/config-map.ts'
export { Deployment } from './kube/api/deployment.ts'
export { Event } from './kube/api/event.ts'
export { Job } from './kube/api/job.ts'
export { Lease } from './kube/api/lease.ts'
export { Namespace } from './kube/api/namespace.ts'
export { Node } from './kube/api/node.ts'
export { Pod } from './kube/api/pod.ts'
export { ReplicaSet } from './kube/api/replica-set.ts'
export { Secret } from './kube/api/secret.ts'
export { Service as CoreService } from './kube/api/service.ts'
export { ServiceAccount } from './kube/api/service-account.ts'

export { Configuration } from './serving/api/configuration.ts'
export { DomainMapping } from './serving/api/domain-mapping.ts'
export { PodAutoscaler } from './serving/api/pod-autoscaler.ts'
export { Revision } from './serving/api/revision.ts'
export { Route } from './serving/api/route.ts'
export { Service } from './serving/api/service.ts'

export { ApiServerSource } from './eventing/api/sources/api-server-source.ts'
export { Broker } from './eventing/api/eventing/broker.ts'
export { Channel } from './eventing/api/messaging/channel.ts'
export { ContainerSource } from './eventing/api/sources/container-source.ts'
export { EventType } from './eventing/api/eventing/event-type.ts'
export { InMemoryChannel } from './eventing/api/messaging/in-memory-channel.ts'
export { Parallel } from './eventing/api/flows/parallel.ts'
export { PingSource } from './eventing/api/sources/ping-source.ts'
export { Sequence } from './eventing/api/flows/sequence.ts'
export { SinkBinding } from './eventing/api/sources/sink-binding.ts'
export { Subscription } from './eventing/api/messaging/subscription.ts'
export { Trigger } from './eventing/api/eventing/trigger.ts'
