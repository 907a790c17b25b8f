/**
 * A core Service as a destination: what it means to the gateway, and its ready addresses as a target of their own when
 * it is an ordinary one. Pure; service-targets.ts keeps them up to date.
 */
import type { EndpointSlice } from '../../../kube/api/endpoint-slice.ts'
import type { Endpoints } from '../../../kube/api/endpoints.ts'
import { controllerOf, keyOf, keyText } from '../../../kube/api/meta.ts'
import type { Service as CoreService } from '../../../kube/api/service.ts'
import { clusterDomain, label } from '../../api/names.ts'
import { Route } from '../../api/route.ts'
import type { Backend, RevisionTarget } from '../../gateway/feed.ts'
import { backendOf, inOrder, type SplitTarget } from './snapshot.ts'

/**
 * What requests to port `port` of a Service shall do: the placeholder of a Route leads to that Route, a Revision's
 * Services to the Revision, names of cluster-local hosts to these, an ordinary Service to its pods. Undefined for a
 * name outside, and for a port that the Service does not have.
 */
export function serviceMeaning(service: CoreService, port: number): SplitTarget | undefined {
  const { name, namespace = '', labels } = service.metadata
  if (controllerOf(service)?.kind === Route.kind && labels?.[label.route])
    return { host: clusterHost(namespace, name) }
  const revision = labels?.[label.revision]
  if (revision && labels[label.serviceType]) return { revision: `${namespace}/${revision}` }
  if (service.spec.type === 'ExternalName') {
    const outside = (service.spec.externalName ?? '').toLowerCase().replace(/\.$/, '')
    return /\.svc(\.cluster\.local)?$/.test(outside) ? { host: outside } : undefined
  }
  return portOf(service, port) ? { service: `${namespace}/${name}:${port}` } : undefined
}

export const clusterHost = (namespace: string, name: string): string =>
  `${name}.${namespace}.svc.${clusterDomain}`

const portOf = ({ spec }: CoreService, number: number) =>
  (spec.ports ?? []).find(({ port, protocol = 'TCP' }) => port === number && protocol === 'TCP')

/** Requests to ordinary Services may last this long, unless the rule says otherwise. */
const serviceTimeoutMs = 600_000

/** The target `namespace/name:port` with the ready addresses behind it. Slices count where there are no Endpoints. */
export function serviceTarget(
  service: CoreService,
  number: number,
  endpoints: Endpoints | undefined,
  slices: readonly EndpointSlice[],
): RevisionTarget {
  const port = portOf(service, number)
  return {
    key: `${keyText(keyOf(service))}:${number}`,
    kind: 'service',
    service: service.metadata.name,
    configuration: '',
    protocol: port && speaksH2c(port) ? 'h2c' : 'http1',
    containerConcurrency: 0,
    timeoutMs: serviceTimeoutMs,
    responseStartTimeoutMs: 0,
    idleTimeoutMs: 0,
    longLivedStreams: true,
    backends: port
      ? inOrder(endpoints ? fromEndpoints(endpoints, port) : fromSlices(slices, port))
      : [],
  }
}

type Port = NonNullable<CoreService['spec']['ports']>[number]

/** By appProtocol (Kubernetes, Gateway API), else by the beginning of the port's name (Istio). */
const speaksH2c = ({ name = '', appProtocol }: Port): boolean =>
  appProtocol
    ? /^(kubernetes\.io\/h2c|grpc|h2c|http2)$/i.test(appProtocol)
    : /^(h2c|http2|grpc)(-|$)/.test(name)

/** A port of a Service finds its port of the pods by name, which both leave out when there is only one. */
const sameName = (a: string | null | undefined, b: string | null | undefined): boolean =>
  (a ?? '') === (b ?? '')

function fromEndpoints({ subsets = [] }: Endpoints, { name }: Port): Backend[] {
  return subsets.flatMap(({ addresses = [], ports = [] }) => {
    const port = ports.find((candidate) => sameName(candidate.name, name))
    return port ? addresses.map(({ ip, targetRef }) => backendOf(ip, port.port, targetRef)) : []
  })
}

function fromSlices(slices: readonly EndpointSlice[], { name }: Port): Backend[] {
  return slices.flatMap(({ addressType, endpoints, ports }) => {
    const port = ports?.find((candidate) => sameName(candidate.name, name))?.port
    if (port === undefined || addressType === 'FQDN') return []
    return endpoints
      .filter(({ conditions }) => conditions?.ready !== false)
      .flatMap(({ addresses, targetRef }) =>
        addresses.map((address) => backendOf(address, port, targetRef)),
      )
  })
}
