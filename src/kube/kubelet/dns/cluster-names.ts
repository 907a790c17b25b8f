/**
 * Names below `cluster.local` as programs in pods ask for them (Kubernetes' DNS specification): Services lead to their
 * ready pods, one by one; those that stand for the gateway, and the API server, to this machine; those whose port 80 is
 * another one of their pods to both.
 */
import { EndpointSlice } from '../../api/endpoint-slice.ts'
import { Namespace } from '../../api/namespace.ts'
import { Service } from '../../api/service.ts'
import type { Informers } from '../../client/informer.ts'
import { clusterDomain } from '../container/etc-files.ts'

export interface ClusterNamesOptions {
  readonly read: ReturnType<Informers['reader']>
  /** Address of this machine for pods. */
  readonly hostIP: string
  /** True for a Service that stands for the gateway. */
  readonly isGateway: (service: Service) => boolean
  /** True for a Service with pods whose port 80 is found at the gateway; its other ports are at the pods. */
  readonly isBehindGateway?: (service: Service) => boolean
}

/** Addresses of a name, or why there are none: it is not there, or it is none of the cluster's. */
export type Found = readonly string[] | 'missing' | 'elsewhere'

const suffix = `.${clusterDomain}`
const mostAddresses = 20
/** A Service that stands for another, that stands for another … */
const mostAliases = 4

export function findName(name: string, options: ClusterNamesOptions, depth = 0): Found {
  if (name === clusterDomain) return []
  if (!name.endsWith(suffix)) return 'elsewhere'
  const [kind = '', namespace = '', service = '', host, ...more] = name
    .slice(0, -suffix.length)
    .split('.')
    .toReversed()
  const { read, hostIP, isGateway } = options
  if (more.length > 0) return 'missing'
  if (kind === 'pod') return podAddress(service)
  if (kind !== 'svc') return 'missing'
  if (namespace === '') return []
  if (service === '')
    return read.get(Namespace, { namespace: '', name: namespace }) ? [] : 'missing'
  if (namespace === 'default' && service === 'kubernetes') return host ? 'missing' : [hostIP]
  const found = read.get(Service, { namespace, name: service })
  if (!found) return 'missing'
  if (isGateway(found)) return host ? 'missing' : [hostIP]
  if (found.spec.type === 'ExternalName') {
    const target = (found.spec.externalName ?? '').toLowerCase().replace(/\.$/, '')
    return depth < mostAliases ? findName(target, options, depth + 1) : 'missing'
  }
  const slices = read.list(EndpointSlice, namespace, { 'kubernetes.io/service-name': service })
  const addresses = slices
    .flatMap(({ endpoints }) => endpoints ?? [])
    .filter(
      ({ conditions, hostname }) =>
        (found.spec.publishNotReadyAddresses || conditions?.ready !== false) &&
        (host === undefined || hostname === host),
    )
    .flatMap(({ addresses }) => addresses)
    .filter((address) => /^\d+\.\d+\.\d+\.\d+$/.test(address))
  if (host !== undefined && addresses.length === 0) return 'missing'
  // Programs try one address after the other: whichever port they ask for, one has it.
  const first = host === undefined && options.isBehindGateway?.(found) ? [hostIP] : []
  return [...new Set([...first, ...addresses])].slice(0, mostAddresses)
}

/** `10-88-0-2.ns.pod.cluster.local`. */
function podAddress(label: string): Found {
  const parts = label.split('-')
  const isAddress =
    parts.length === 4 && parts.every((part) => /^\d{1,3}$/.test(part) && +part < 256)
  return isAddress ? [parts.join('.')] : 'missing'
}
