/** All kinds of Knative Serving, for the API server and the platform. */
import type { KindDefinition } from '../../kube/api/kind.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import { Certificate } from './certificate.ts'
import { ClusterDomainClaim } from './cluster-domain-claim.ts'
import { ColdStart } from './cold-start.ts'
import { Configuration } from './configuration.ts'
import { DomainMapping } from './domain-mapping.ts'
import { Image } from './image.ts'
import { Ingress } from './ingress.ts'
import { Metric } from './metric.ts'
import { PodAutoscaler } from './pod-autoscaler.ts'
import { Revision } from './revision.ts'
import { Route } from './route.ts'
import { ServerlessService } from './serverless-service.ts'
import { Service } from './service.ts'

/** A definition whose object type is forgotten: the API server only ever hands a kind its own objects. */
const erased = <T extends KubeObject>(kind: KindDefinition<T>): KindDefinition =>
  kind as unknown as KindDefinition

export const servingKinds: readonly KindDefinition[] = [
  erased(Service),
  erased(Configuration),
  erased(Revision),
  erased(Route),
  erased(DomainMapping),
  erased(ClusterDomainClaim),
  erased(PodAutoscaler),
  erased(Metric),
  erased(ServerlessService),
  erased(Ingress),
  erased(Certificate),
  erased(Image),
  erased(ColdStart),
]
