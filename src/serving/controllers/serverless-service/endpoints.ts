/** The Endpoints behind the public Service: the pods themselves, or the gateway that stands in for them. */
import { Endpoints } from '../../../kube/api/endpoints.ts'
import { apiVersionOf } from '../../../kube/api/kind.ts'
import { controllerRef } from '../../../kube/api/meta.ts'
import type { Apply } from '../../../kube/controller/reconciler.ts'
import type { ServerlessService } from '../../api/serverless-service.ts'
import { childLabels, portName } from './services.ts'

export interface GatewayAddress {
  readonly host: string
  readonly port: number
}

/** Pods that can take requests. */
export const readyAddresses = (endpoints: Endpoints | undefined): number =>
  (endpoints?.subsets ?? []).reduce((sum, { addresses }) => sum + (addresses?.length ?? 0), 0)

/** `pods` undefined = the gateway takes the requests. */
export function applyEndpoints(
  sks: ServerlessService,
  pods: Endpoints | undefined,
  gateway: GatewayAddress,
): Apply {
  const { name, namespace, annotations } = sks.metadata
  const wanted = portName(sks)
  const subsets = pods
    ? (pods.subsets ?? []).map(({ addresses, ports }) => ({
        ...(addresses && { addresses }),
        ports: (ports ?? []).filter((port) => port.name === wanted),
      }))
    : [
        {
          addresses: [{ ip: gateway.host }],
          ports: [{ name: wanted, port: gateway.port, protocol: 'TCP' }],
        },
      ]
  const desired: Endpoints = {
    apiVersion: apiVersionOf(Endpoints),
    kind: Endpoints.kind,
    metadata: {
      name,
      ...(namespace && { namespace }),
      labels: childLabels(sks, 'Public'),
      ...(annotations && { annotations }),
      ownerReferences: [controllerRef(sks)],
    },
    subsets,
  }
  return { kind: Endpoints, desired }
}
