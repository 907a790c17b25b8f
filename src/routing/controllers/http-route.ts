/** HTTPRoute: reports to each parent whether the route is accepted and where it leads (Gateway API, RouteParentStatus). */
import { keyOf } from '../../kube/api/meta.ts'
import type { Reconciler } from '../../kube/controller/reconciler.ts'
import type { GatewayLink } from '../../serving/controllers/ingress/feed-client.ts'
import { controllerName } from '../api/gateway-class.ts'
import type { ParentReference } from '../api/gateway-api.ts'
import { httpRouteName, type HTTPRoute, type HTTPRouteStatus } from '../api/http-route-spec.ts'
import { bad, conditionsOf, holds } from './conditions.ts'
import { accepted, isAcknowledged, resolvedRefs } from './route-conditions.ts'
import type { Outcome, SharedHosts } from './shared-hosts.ts'

export interface World {
  readonly route: HTTPRoute
  readonly outcome: Outcome | undefined
  readonly acknowledged: boolean
}

export const httpRouteReconciler = (
  hosts: SharedHosts,
  link: Pick<GatewayLink, 'acknowledged' | 'onAcknowledged'>,
): Reconciler<HTTPRoute, World> => ({
  name: 'httproute-controller',
  kind: httpRouteName,
  watches: [],

  observe(route) {
    const outcome = hosts.outcome('HTTPRoute', keyOf(route))
    return { route, outcome, acknowledged: !!outcome && isAcknowledged(outcome, link) }
  },

  plan({ route, outcome, acknowledged }, nowMs) {
    const { generation = 0 } = route.metadata
    // It is looked at in the same moment; word of that follows.
    if (!outcome || outcome.generation !== generation) return {}
    const stored = route.status?.parents ?? []
    const ours = outcome.parents.map(({ parentRef, refusal }) => {
      const before = stored.find(
        (parent) => parent.controllerName === controllerName && isSame(parent.parentRef, parentRef),
      )?.conditions
      const done = acknowledged || holds(before, 'Accepted', generation)
      const said = [
        refusal ? bad('Accepted', refusal.reason, refusal.message) : accepted(outcome, done),
        resolvedRefs(outcome),
      ]
      return {
        parentRef,
        controllerName,
        conditions: conditionsOf(said, before, generation, nowMs),
      }
    })
    const others = stored.filter((parent) => parent.controllerName !== controllerName)
    const status: HTTPRouteStatus = { parents: [...others, ...ours] }
    return { status }
  },

  connect: (wake) => {
    const connected = new DisposableStack()
    connected.use(hosts.onOutcome('HTTPRoute', wake))
    connected.use(
      link.onAcknowledged((host) => {
        for (const key of hosts.standingOn('HTTPRoute', host)) wake(key)
      }),
    )
    return connected
  },
})

const isSame = (a: ParentReference, b: ParentReference): boolean =>
  a.name === b.name &&
  a.namespace === b.namespace &&
  a.sectionName === b.sectionName &&
  a.port === b.port
