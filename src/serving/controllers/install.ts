/**
 * What a fresh API server needs before Knative Serving runs on it: the system namespace with its config-* ConfigMaps,
 * and the names under which scripts look for the gateway (the LoadBalancer Services of Istio and
 * Kourier). May run at each start: what users have changed stays, only the gateway's address and port are Ebb's.
 */
import { ConfigMap } from '../../kube/api/config-map.ts'
import type { Kind } from '../../kube/api/kind.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import { keyOf } from '../../kube/api/meta.ts'
import { Namespace } from '../../kube/api/namespace.ts'
import { Service as CoreService } from '../../kube/api/service.ts'
import { hasReason } from '../../kube/api/status-error.ts'
import type { Client } from '../../kube/client/client.ts'
import { systemNamespace } from '../api/names.ts'
import { callableAddress } from './gateway-address.ts'
import { servingConfigMaps } from '../api/config-maps.ts'

export interface InstallOptions {
  /** Suffix of external host names; becomes a key of config-domain. */
  readonly domain: string
  /** Appended to external http URLs of that domain; absent = none (port 80). */
  readonly domainPort?: number
  /** The same for https URLs; absent = none (port 443). */
  readonly domainHttpsPort?: number
  /** Where the gateway listens. */
  readonly gateway: { readonly host: string; readonly port: number }
}

/** Which key of config-domain Ebb wrote, so that a later start may change it, and only it. */
export const managedDomain = 'ebb.dev/domain'
/** The gateway's real port, for scripts that find 80 in the Service. */
const gatewayPort = 'ebb.dev/gateway-port'

/** Where people look for the gateway of an Istio and of a Kourier installation. */
const gatewayServices = [
  { namespace: 'istio-system', name: 'istio-ingressgateway' },
  { namespace: 'kourier-system', name: 'kourier' },
] as const

/** Creates what is missing and brings what Ebb manages up to date. */
export async function installServing(client: Client, options: InstallOptions): Promise<void> {
  const namespaces = [systemNamespace, ...gatewayServices.map(({ namespace }) => namespace)]
  await Promise.all(namespaces.map((name) => ensureNamespace(client, name)))
  await Promise.all([
    ...servingConfigMaps(options).map((map) => ensureConfigMap(client, map, options)),
    ensure(client, ConfigMap, istioConfig),
    ...gatewayServices.map((service) => ensureGateway(client, service, options.gateway)),
  ])
}

/** The object as it is stored: ours when it was missing. */
async function ensure<T extends KubeObject>(
  client: Client,
  kind: Kind<T>,
  object: T,
): Promise<{ readonly stored: T; readonly created: boolean }> {
  try {
    return { stored: await client.create(kind, object), created: true }
  } catch (error) {
    if (!hasReason(error, 'AlreadyExists')) throw error
    return { stored: await client.get(kind, keyOf(object)), created: false }
  }
}

async function ensureNamespace(client: Client, name: string): Promise<void> {
  await ensure(client, Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } })
}

/** Scripts ask whether this ConfigMap exists to learn which gateway Service they shall look at. */
const istioConfig: ConfigMap = {
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: {
    name: 'config-istio',
    namespace: systemNamespace,
    labels: {
      'app.kubernetes.io/name': 'knative-serving',
      'app.kubernetes.io/component': 'net-istio',
    },
  },
  data: {
    'gateway.knative-serving.knative-ingress-gateway':
      'istio-ingressgateway.istio-system.svc.cluster.local',
    'local-gateway.knative-serving.knative-local-gateway':
      'istio-ingressgateway.istio-system.svc.cluster.local',
  },
}

async function ensureConfigMap(
  client: Client,
  map: ConfigMap,
  options: InstallOptions,
): Promise<void> {
  const isDomain = map.metadata.name === 'config-domain'
  const { stored, created } = await ensure(
    client,
    ConfigMap,
    isDomain ? withDomain(map, options) : map,
  )
  if (!isDomain || created) return
  const wanted = movedDomain(stored, options)
  if (wanted !== stored) await client.update(ConfigMap, wanted)
}

const domainEntry = ({ domainPort, domainHttpsPort }: InstallOptions): string =>
  (domainPort === undefined ? '' : `port: ${domainPort}\n`) +
  (domainHttpsPort === undefined ? '' : `https-port: ${domainHttpsPort}\n`)

const withDomain = (map: ConfigMap, options: InstallOptions): ConfigMap => ({
  ...map,
  metadata: {
    ...map.metadata,
    annotations: { ...map.metadata.annotations, [managedDomain]: options.domain },
  },
  data: { ...map.data, [options.domain]: domainEntry(options) },
})

/**
 * config-domain with Ebb's entry as this start wants it; the map itself when nothing is to be done, as when a user has
 * removed the entry or has written his own value for it.
 */
export function movedDomain(map: ConfigMap, options: InstallOptions): ConfigMap {
  const ours = map.metadata.annotations?.[managedDomain]
  if (ours === undefined) return map
  const data = { ...map.data }
  const value = data[ours]
  if (value === undefined || !/^(port: \d+\n?)?(https-port: \d+)?\s*$/.test(value)) return map
  if (ours === options.domain && value === domainEntry(options)) return map
  delete data[ours]
  return withDomain({ ...map, data }, { ...options })
}

async function ensureGateway(
  client: Client,
  { namespace, name }: { namespace: string; name: string },
  gateway: InstallOptions['gateway'],
): Promise<void> {
  const desired = gatewayService(namespace, name, gateway)
  let { stored } = await acceptable(desired, (service) => ensure(client, CoreService, service))
  if (stored.metadata.annotations?.[gatewayPort] !== String(gateway.port)) {
    const moved: CoreService = {
      ...stored,
      metadata: {
        ...stored.metadata,
        annotations: { ...stored.metadata.annotations, ...desired.metadata.annotations },
      },
      spec: { ...stored.spec, ...desired.spec },
    }
    stored = await acceptable(moved, (service) => client.update(CoreService, service))
  }
  const ingress = [{ ip: callableAddress(gateway.host) }]
  if (stored.status?.loadBalancer?.ingress?.[0]?.ip === ingress[0]?.ip) return
  await client.updateStatus(CoreService, { ...stored, status: { loadBalancer: { ingress } } })
}

/** Another API server may insist on node ports between 30000 and 32767: then the annotation has to do. */
async function acceptable<R>(
  service: CoreService,
  write: (service: CoreService) => Promise<R>,
): Promise<R> {
  try {
    return await write(service)
  } catch (error) {
    if (!hasReason(error, 'Invalid')) throw error
    const ports = (service.spec.ports ?? []).map((full) => {
      const { nodePort: _, ...port } = full
      return port
    })
    return write({ ...service, spec: { ...service.spec, ports } })
  }
}

/**
 * The node port is the gateway's own port, as the gateway is what listens there: so it is asked for without allocation,
 * which would hold it to Kubernetes' range and to one Service.
 */
const gatewayService = (
  namespace: string,
  name: string,
  { port }: InstallOptions['gateway'],
): CoreService => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: {
    name,
    namespace,
    labels: { app: name, 'app.kubernetes.io/name': name },
    annotations: { [gatewayPort]: String(port) },
  },
  spec: {
    type: 'LoadBalancer',
    allocateLoadBalancerNodePorts: false,
    ports: [{ name: 'http2', port: 80, protocol: 'TCP', targetPort: port, nodePort: port }],
  },
})
