/** The Endpoints object of a Service with a selector. */
import { Endpoints } from '../../api/endpoints.ts'
import type { Service } from '../../api/service.ts'
import { semanticallyEqual } from '../../controller/difference.ts'
import type { Apply } from '../../controller/reconciler.ts'
import type { Backend, BackendGroup } from './backends.ts'

/** Says when they changed last; only we write it, so it also tells our Endpoints from a user's. */
export const triggerAnnotation = 'endpoints.kubernetes.io/last-change-trigger-time'
const headlessLabel = 'service.kubernetes.io/headless'

export const isHeadless = ({ spec }: Service): boolean => spec.clusterIP === 'None'

/** `time` as RFC 3339, written when something changes. */
export function applyEndpoints(
  service: Service,
  groups: readonly BackendGroup[],
  time: string,
): Apply {
  const { name, namespace } = service.metadata
  const labels = {
    ...service.metadata.labels,
    ...(isHeadless(service) && { [headlessLabel]: '' }),
  }
  const subsets = groups.flatMap(({ ports, backends }) => {
    // What is leaving is out at once; requests must not meet it.
    const staying = backends.filter(({ terminating, ready }) => !terminating || ready)
    const addresses = staying.filter(({ ready }) => ready).map(addressOf)
    const notReadyAddresses = staying.filter(({ ready }) => !ready).map(addressOf)
    if (staying.length === 0) return []
    return [
      {
        ...(addresses.length > 0 && { addresses }),
        ...(notReadyAddresses.length > 0 && { notReadyAddresses }),
        ...(ports.length > 0 && { ports }),
      },
    ]
  })
  const desired: Endpoints = {
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: {
      name,
      ...(namespace && { namespace }),
      labels,
      annotations: { [triggerAnnotation]: time },
    },
    ...(subsets.length > 0 && { subsets }),
  }
  return {
    kind: Endpoints,
    desired,
    merge(existing) {
      const before = 'subsets' in existing ? existing.subsets : undefined
      const same =
        semanticallyEqual(before, subsets) && semanticallyEqual(existing.metadata.labels, labels)
      if (same) return existing
      const annotations = { ...existing.metadata.annotations, [triggerAnnotation]: time }
      return { ...desired, metadata: { ...existing.metadata, labels, annotations } }
    },
  }
}

const addressOf = ({ ip, hostname, nodeName, targetRef }: Backend) => ({
  ip,
  ...(hostname && { hostname }),
  ...(nodeName && { nodeName }),
  targetRef,
})
