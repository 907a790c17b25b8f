/** Kubernetes' own kinds that Ebb serves. A new kind is a file of its own and one line here. */
import {
  ValidatingAdmissionPolicy,
  ValidatingAdmissionPolicyBinding,
} from './admission-policies.ts'
import { CertificateSigningRequest } from './certificate-signing-request.ts'
import { ClusterRoleBinding } from './cluster-role-binding.ts'
import { ClusterRole } from './cluster-role.ts'
import { ConfigMap } from './config-map.ts'
import { CustomResourceDefinition } from './custom-resource-definition.ts'
import { Deployment } from './deployment.ts'
import { EndpointSlice } from './endpoint-slice.ts'
import { Endpoints } from './endpoints.ts'
import { Event } from './event.ts'
import type { KindDefinition } from './kind.ts'
import { ControllerRevision } from './controller-revision.ts'
import { CronJob } from './cron-job.ts'
import { DaemonSet } from './daemon-set.ts'
import { HorizontalPodAutoscaler } from './horizontal-pod-autoscaler.ts'
import { Job } from './job.ts'
import { LimitRange } from './limit-range.ts'
import { NetworkPolicy } from './network-policy.ts'
import { PodDisruptionBudget } from './pod-disruption-budget.ts'
import { PriorityClass } from './priority-class.ts'
import { ReplicationController } from './replication-controller.ts'
import { ResourceQuota } from './resource-quota.ts'
import { RuntimeClass } from './runtime-class.ts'
import { StatefulSet } from './stateful-set.ts'
import { CoreIngress, IngressClass } from './ingress.ts'
import { EventsEvent } from './events-event.ts'
import { NodeMetrics, PodMetrics } from './pod-metrics.ts'
import { Lease } from './lease.ts'
import { Namespace } from './namespace.ts'
import { Node } from './node.ts'
import { PersistentVolumeClaim } from './persistent-volume-claim.ts'
import { PersistentVolume } from './persistent-volume.ts'
import { Pod } from './pod.ts'
import { ReplicaSet } from './replica-set.ts'
import { RoleBinding } from './role-binding.ts'
import { Role } from './role.ts'
import { Secret } from './secret.ts'
import { ServiceAccount } from './service-account.ts'
import { Service } from './service.ts'
import { StorageClass } from './storage-class.ts'
import {
  MutatingWebhookConfiguration,
  ValidatingWebhookConfiguration,
} from './webhook-configurations.ts'

/** In the order in which discovery lists them, group by group. */
export const coreKinds: readonly KindDefinition[] = [
  ConfigMap,
  Endpoints,
  Event,
  LimitRange,
  Namespace,
  Node,
  PersistentVolumeClaim,
  PersistentVolume,
  Pod,
  ReplicationController,
  ResourceQuota,
  Secret,
  ServiceAccount,
  Service,
  Deployment,
  ReplicaSet,
  StatefulSet,
  DaemonSet,
  ControllerRevision,
  Job,
  CronJob,
  HorizontalPodAutoscaler,
  PodDisruptionBudget,
  PriorityClass,
  RuntimeClass,
  CoreIngress,
  IngressClass,
  NetworkPolicy,
  CertificateSigningRequest,
  Role,
  RoleBinding,
  ClusterRole,
  ClusterRoleBinding,
  Lease,
  EndpointSlice,
  StorageClass,
  MutatingWebhookConfiguration,
  ValidatingWebhookConfiguration,
  ValidatingAdmissionPolicy,
  ValidatingAdmissionPolicyBinding,
  CustomResourceDefinition,
]

/** Kinds that are shown and not stored: other names of stored objects, and what is measured when somebody asks. */
export const viewKinds: readonly KindDefinition[] = [EventsEvent, PodMetrics, NodeMetrics]
