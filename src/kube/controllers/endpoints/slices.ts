/** EndpointSlices: the same backends in portions of a hundred; for Services without a selector a mirror of the Endpoints that the user wrote. */
import { controllerRef, type KubeObject } from '../../api/meta.ts'
import { EndpointSlice } from '../../api/endpoint-slice.ts'
import type { Endpoints } from '../../api/endpoints.ts'
import type { Service } from '../../api/service.ts'
import type { Apply } from '../../controller/reconciler.ts'
import { shortHash } from '../short-hash.ts'
import type { BackendGroup } from './backends.ts'
import { isHeadless } from './endpoints-object.ts'

const serviceLabel = 'kubernetes.io/service-name'
const managedByLabel = 'endpointslice.kubernetes.io/managed-by'
const manager = 'endpointslice-controller.k8s.io'
const mirror = 'endpointslicemirroring-controller.k8s.io'
const skipMirrorLabel = 'endpointslice.kubernetes.io/skip-mirror'
const maxEndpoints = 100

type Item = EndpointSlice['endpoints'][number]
type Ports = NonNullable<EndpointSlice['ports']>

interface Group {
  readonly ports: Ports
  readonly endpoints: readonly Item[]
}

/** Slices of a Service with a selector; none when it has no backends. */
export const serviceSlices = (service: Service, groups: readonly BackendGroup[]): Apply[] =>
  slices(
    service,
    {
      ...service.metadata.labels,
      ...(isHeadless(service) && { 'service.kubernetes.io/headless': '' }),
      [serviceLabel]: service.metadata.name,
      [managedByLabel]: manager,
    },
    groups.map(({ ports, backends }) => ({
      ports: named(ports),
      endpoints: backends.map(({ ip, hostname, nodeName, targetRef, ...conditions }) => ({
        addresses: [ip],
        conditions: {
          ready: conditions.ready,
          serving: conditions.serving,
          terminating: conditions.terminating,
        },
        ...(hostname && { hostname }),
        ...(nodeName && { nodeName }),
        targetRef,
      })),
    })),
  )

/** Slices that mirror Endpoints written by someone else. */
export function mirrorSlices(endpoints: Endpoints): Apply[] {
  const { labels = {}, name } = endpoints.metadata
  if (labels[skipMirrorLabel] === 'true') return []
  return slices(
    endpoints,
    { ...labels, [serviceLabel]: name, [managedByLabel]: mirror },
    (endpoints.subsets ?? []).map(({ ports = [], addresses = [], notReadyAddresses = [] }) => ({
      ports: named(ports),
      endpoints: [
        ...addresses.map((address) => mirrored(address, true)),
        ...notReadyAddresses.map((address) => mirrored(address, false)),
      ],
    })),
  )
}

type Address = NonNullable<NonNullable<Endpoints['subsets']>[number]['addresses']>[number]

const mirrored = ({ ip, hostname, nodeName, targetRef }: Address, ready: boolean): Item => ({
  addresses: [ip],
  conditions: { ready },
  ...(hostname && { hostname }),
  ...(nodeName && { nodeName }),
  ...(targetRef && { targetRef }),
})

/** Unnamed ports are named '' in slices. */
const named = (ports: Ports): Ports => ports.map((port) => ({ ...port, name: port.name ?? '' }))

function slices(
  owner: KubeObject,
  labels: Readonly<Record<string, string>>,
  groups: readonly Group[],
): Apply[] {
  const made: Apply[] = []
  const suffixes = new Set<string>()
  for (const { ports, endpoints } of groups) {
    for (let start = 0; start < endpoints.length; start += maxEndpoints) {
      // The name says whose the slice is and which: the same again finds the same object.
      const what = JSON.stringify([owner.metadata.uid, ports, start])
      let suffix = shortHash(what)
      for (let again = 1; suffixes.has(suffix); again++) suffix = shortHash(what + again)
      suffixes.add(suffix)
      const portion = endpoints.slice(start, start + maxEndpoints)
      const slice: EndpointSlice = {
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: {
          name: `${owner.metadata.name}-${suffix}`,
          generateName: `${owner.metadata.name}-`,
          ...(owner.metadata.namespace && { namespace: owner.metadata.namespace }),
          labels,
          ownerReferences: [controllerRef(owner)],
        },
        addressType: portion[0]?.addresses[0]?.includes(':') ? 'IPv6' : 'IPv4',
        endpoints: portion,
        ...(ports.length > 0 && { ports }),
      }
      made.push({ kind: EndpointSlice, desired: slice })
    }
  }
  return made
}
