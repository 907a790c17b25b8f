/** Kubernetes' own kinds that Ebb serves. A new kind is a file of its own and one line here. */
import { ConfigMap } from './config-map.ts'
import { Deployment } from './deployment.ts'
import { EndpointSlice } from './endpoint-slice.ts'
import { Endpoints } from './endpoints.ts'
import { Event } from './event.ts'
import type { KindDefinition } from './kind.ts'
import { Lease } from './lease.ts'
import { Namespace } from './namespace.ts'
import { Node } from './node.ts'
import { Pod } from './pod.ts'
import { ReplicaSet } from './replica-set.ts'
import { Secret } from './secret.ts'
import { ServiceAccount } from './service-account.ts'
import { Service } from './service.ts'

/** In the order in which discovery lists them, group by group. */
export const coreKinds: readonly KindDefinition[] = [
  ConfigMap,
  Endpoints,
  Event,
  Namespace,
  Node,
  Pod,
  Secret,
  ServiceAccount,
  Service,
  Deployment,
  ReplicaSet,
  Lease,
  EndpointSlice,
]
