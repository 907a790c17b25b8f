/**
 * Keeps the Endpoints and EndpointSlices of Services: from the pods that a selector finds, or, without a selector,
 * slices that mirror the Endpoints someone wrote, as Kubernetes' EndpointSliceMirroring controller does. The gateway
 * finds its backends here, so a pod that becomes ready or leaves shows in the very next write.
 */
import { rfc3339 } from '../../../lib/clock.ts'
import { keyOf } from '../../api/meta.ts'
import { EndpointSlice } from '../../api/endpoint-slice.ts'
import { Endpoints } from '../../api/endpoints.ts'
import { Pod } from '../../api/pod.ts'
import { Service } from '../../api/service.ts'
import type { Informers } from '../../client/informer.ts'
import { startController, type ControllerDeps } from '../../controller/loop.ts'
import type { Plan, Reconciler, Wake } from '../../controller/reconciler.ts'
import { backendGroups } from './backends.ts'
import { applyEndpoints, triggerAnnotation } from './endpoints-object.ts'
import { SelectorIndex } from './selector-index.ts'
import { mirrorSlices, serviceSlices } from './slices.ts'

interface World {
  readonly service: Service
  readonly pods: readonly Pod[]
  readonly endpoints: Endpoints | undefined
  /** Slices there are, of the Service or of its Endpoints. */
  readonly slices: readonly EndpointSlice[]
}

/** `selecting` answers the Services that select a pod. */
export const endpoints = (selecting: Wake): Reconciler<Service, World> => ({
  name: 'endpoint-controller',
  urgent: true,
  kind: Service,
  watches: [
    { kind: Pod, wake: selecting, urgent: true },
    { kind: Endpoints, wake: (endpoints) => [keyOf(endpoints)] },
    { kind: EndpointSlice, wake: 'owner' },
  ],

  observe(service, read) {
    const { namespace = '' } = service.metadata
    const endpoints = read.get(Endpoints, keyOf(service))
    const { selector } = service.spec
    return {
      service,
      pods: isSelecting(service) ? read.list(Pod, namespace, selector) : [],
      endpoints,
      slices: [
        ...read.owned(EndpointSlice, service),
        ...(endpoints ? read.owned(EndpointSlice, endpoints) : []),
      ],
    }
  },

  plan({ service, pods, endpoints, slices }, nowMs): Plan {
    if (service.spec.type === 'ExternalName') return {}
    const groups = backendGroups(service, pods)
    const apply = isSelecting(service)
      ? [applyEndpoints(service, groups, rfc3339(nowMs)), ...serviceSlices(service, groups)]
      : endpoints
        ? mirrorSlices(endpoints)
        : []
    const wanted = new Set(apply.map(({ desired }) => desired.metadata.name))
    const surplus = slices.filter(({ metadata }) => !wanted.has(metadata.name))
    return {
      apply,
      delete: surplus.map((slice) => ({ kind: EndpointSlice, key: keyOf(slice) })),
    }
  },

  gone(key, read): Plan {
    const left = read.get(Endpoints, key)
    if (!left?.metadata.annotations?.[triggerAnnotation]) return {}
    return {
      delete: [{ kind: Endpoints, key, ...(left.metadata.uid && { uid: left.metadata.uid }) }],
    }
  },
})

const isSelecting = ({ spec }: Service): boolean =>
  spec.type !== 'ExternalName' && Object.keys(spec.selector ?? {}).length > 0

export function startEndpoints(deps: ControllerDeps): AsyncDisposable {
  const started = new AsyncDisposableStack()
  const index = indexServices(deps.informers)
  started.use(index.subscription)
  started.use(startController(endpoints(index.selecting), deps))
  return started
}

function indexServices(informers: Informers): { selecting: Wake; subscription: Disposable } {
  const index = new SelectorIndex()
  const subscription = informers.for(Service).subscribe((type, service) => {
    if (type === 'DELETED') index.remove(keyOf(service))
    else index.put(service)
  })
  return { selecting: (pod) => index.selecting(pod), subscription }
}
