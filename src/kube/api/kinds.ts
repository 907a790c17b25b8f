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
  Namespace,
  Node,
  PersistentVolumeClaim,
  PersistentVolume,
  Pod,
  Secret,
  ServiceAccount,
  Service,
  Deployment,
  ReplicaSet,
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
