/** All kinds of routing rules, for the API server. */
import type { KindDefinition } from '../../kube/api/kind.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import { GatewayClass } from './gateway-class.ts'
import { Gateway } from './gateway.ts'
import { HTTPRoute } from './http-route.ts'
import { IstioGateway } from './istio-gateway.ts'
import { ReferenceGrant } from './reference-grant.ts'
import { VirtualService } from './virtual-service.ts'

/** A definition whose object type is forgotten: the API server only ever hands a kind its own objects. */
const erased = <T extends KubeObject>(kind: KindDefinition<T>): KindDefinition =>
  kind as unknown as KindDefinition

export const routingKinds: readonly KindDefinition[] = [
  erased(GatewayClass),
  erased(Gateway),
  erased(HTTPRoute),
  erased(ReferenceGrant),
  erased(VirtualService),
  erased(IstioGateway),
]
