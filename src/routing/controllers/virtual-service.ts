/** VirtualService: reports whether its rules hold, with the conditions that an HTTPRoute has. */
import { keyOf } from '../../kube/api/meta.ts'
import type { Reconciler } from '../../kube/controller/reconciler.ts'
import type { GatewayLink } from '../../serving/controllers/ingress/feed-client.ts'
import {
  virtualServiceName,
  type VirtualService,
  type VirtualServiceStatus,
} from '../api/virtual-service-spec.ts'
import { bad, conditionsOf, holds } from './conditions.ts'
import { accepted, isAcknowledged, resolvedRefs } from './route-conditions.ts'
import type { Outcome, SharedHosts } from './shared-hosts.ts'

export interface World {
  readonly service: VirtualService
  readonly outcome: Outcome | undefined
  readonly acknowledged: boolean
}

export const virtualServiceReconciler = (
  hosts: SharedHosts,
  link: Pick<GatewayLink, 'acknowledged' | 'onAcknowledged'>,
): Reconciler<VirtualService, World> => ({
  name: 'virtualservice-controller',
  kind: virtualServiceName,
  watches: [],

  observe(service) {
    const outcome = hosts.outcome('VirtualService', keyOf(service))
    return { service, outcome, acknowledged: !!outcome && isAcknowledged(outcome, link) }
  },

  plan({ service, outcome, acknowledged }, nowMs) {
    const { generation = 0 } = service.metadata
    if (!outcome || outcome.generation !== generation) return {}
    const stored = service.status?.conditions
    const { unknownGateways, told, refusals } = outcome
    const nowhere = unknownGateways.length > 0 && told.length === 0 && refusals.length === 0
    const said = [
      nowhere
        ? bad('Accepted', 'NoMatchingParent', `there is no gateway ${unknownGateways.join(', ')}`)
        : accepted(outcome, acknowledged || holds(stored, 'Accepted', generation)),
      resolvedRefs(outcome),
    ]
    const status: VirtualServiceStatus = {
      ...service.status,
      conditions: conditionsOf(said, stored, generation, nowMs),
      observedGeneration: generation,
    }
    return { status }
  },

  connect: (wake) => {
    const connected = new DisposableStack()
    connected.use(hosts.onOutcome('VirtualService', wake))
    connected.use(
      link.onAcknowledged((host) => {
        for (const key of hosts.standingOn('VirtualService', host)) wake(key)
      }),
    )
    return connected
  },
})
