/** What routes may name from the start: GatewayClass `ebb` and Gateway `ebb/ebb`. Runs at each start. */
import { keyOf, type KubeObject } from '../../kube/api/meta.ts'
import type { Kind } from '../../kube/api/kind.ts'
import { Namespace } from '../../kube/api/namespace.ts'
import { hasReason } from '../../kube/api/status-error.ts'
import type { Client } from '../../kube/client/client.ts'
import { gatewayApiVersion } from '../api/gateway-api.ts'
import { controllerName, GatewayClass } from '../api/gateway-class.ts'
import { Gateway } from '../api/gateway.ts'
import { defaultGateway } from './parents.ts'

/** `port`: where the gateway listens. A server without the kinds of the Gateway API gets nothing. */
export async function installRouting(client: Client, port: number): Promise<void> {
  const { namespace, name } = defaultGateway
  try {
    await ensure(client, GatewayClass, {
      apiVersion: gatewayApiVersion,
      kind: GatewayClass.kind,
      metadata: { name },
      spec: { controllerName, description: 'The gateway of this platform' },
    })
    await ensure(client, Namespace, {
      apiVersion: 'v1',
      kind: Namespace.kind,
      metadata: { name: namespace },
    })
    const wanted: Gateway = {
      apiVersion: gatewayApiVersion,
      kind: Gateway.kind,
      metadata: { name, namespace },
      spec: {
        gatewayClassName: name,
        listeners: [
          {
            name: 'http',
            port,
            protocol: 'HTTP',
            allowedRoutes: { namespaces: { from: 'All' } },
          },
        ],
      },
    }
    const stored = await ensure(client, Gateway, wanted)
    const [first, ...others] = stored.spec.listeners
    // Only the port is ours; what users have changed stays.
    if (first?.name === 'http' && first.port !== port)
      await client.update(Gateway, {
        ...stored,
        spec: { ...stored.spec, listeners: [{ ...first, port }, ...others] },
      })
  } catch (error) {
    if (!hasReason(error, 'NotFound')) throw error
  }
}

/** The object as it is stored: ours when it was missing. */
async function ensure<T extends KubeObject>(client: Client, kind: Kind<T>, object: T): Promise<T> {
  try {
    return await client.create(kind, object)
  } catch (error) {
    if (!hasReason(error, 'AlreadyExists')) throw error
    return client.get(kind, keyOf(object))
  }
}
