/**
 * Refuses a route that claims what another has on the same host, in the moment it is sent, naming the other. What slips
 * through (a cluster of somebody else's, two at the same moment) is settled by age and shows in the status.
 */
import type { AdmissionContext, Kind } from '../../kube/api/kind.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import { notAllowed, refuseInvalid, sameJson } from '../../kube/api/validation.ts'
import { Ingress } from '../../serving/api/ingress.ts'
import { hostsOf } from '../../serving/controllers/ingress/host-owner.ts'
import { httpRouteName, type HTTPRoute } from '../api/http-route-spec.ts'
import { virtualServiceName, type VirtualService } from '../api/virtual-service-spec.ts'
import { sourceText, type HostRules } from '../rules/host-rules.ts'
import { byIngressAge } from './host-owners.ts'
import { routeState, type RouteObject } from './route-state.ts'
import type { Lookup } from './seen.ts'
import { shareHost } from './shared-host.ts'

/** After every time there is: who comes last is the one to be refused. */
const latest = '9999-12-31T23:59:59Z'

function check<T extends RouteObject>(
  kind: Kind<T>,
  field: string,
  object: T,
  context: AdmissionContext,
): T {
  const { old } = context
  if (context.subresource !== '' || (old && sameJson((old as T).spec, object.spec))) return object
  const look: Lookup = {
    get: (one, key) => context.read(one, key),
    list: (one, namespace) => context.list(one, namespace),
  }
  const { rules } = routeState(object, look)
  const candidate: HostRules = { ...rules, source: { ...rules.source, creationTimestamp: latest } }
  const name = sourceText(candidate.source)
  const hosts = new Set(candidate.hosts.map(({ host }) => host))
  if (hosts.size === 0) return object
  const others = [
    ...context.list<RouteObject>(httpRouteName as Kind<RouteObject>, ''),
    ...context.list<RouteObject>(virtualServiceName as Kind<RouteObject>, ''),
  ]
    .filter((other) => !other.metadata.deletionTimestamp && couldShare(other, hosts))
    .map((other) => routeState(other, look).rules)
    .filter(({ source }) => sourceText(source) !== name)
  const ingresses = context
    .list(Ingress, '')
    .filter((one) => hostsOf(one).some((host) => hosts.has(host)))
    .toSorted(byIngressAge)
  const complaints = [...hosts].flatMap((host) => {
    const wanting = others.filter((other) => other.hosts.some((one) => one.host === host))
    const owners = ingresses
      .filter((ingress) => hostsOf(ingress).includes(host))
      .map((ingress) => ({ ingress, rules: [] }))
    const refusal = shareHost(host, [...wanting, candidate], owners).refusals.get(name)
    return refusal === undefined ? [] : [notAllowed(field, refusal)]
  })
  return refuseInvalid({ ...kind }, object, complaints)
}

/** A quick look: most routes are for other hosts. */
function couldShare({ spec }: RouteObject, hosts: ReadonlySet<string>): boolean {
  const named = 'hosts' in spec ? spec.hosts : 'hostnames' in spec ? spec.hostnames : undefined
  // Without hosts of its own a route has those of the listeners.
  return (
    !named?.length ||
    named.some((host) => hosts.has(host.toLowerCase()) || !host.includes('.')) ||
    named.some((host) => host.startsWith('*'))
  )
}

/** Plugins for the API server. */
export const routeAdmission = [
  {
    kind: { group: httpRouteName.group, kind: httpRouteName.kind },
    admit: (object: KubeObject, context: AdmissionContext): KubeObject =>
      check(httpRouteName, 'spec.rules', object as HTTPRoute, context),
  },
  {
    kind: { group: virtualServiceName.group, kind: virtualServiceName.kind },
    admit: (object: KubeObject, context: AdmissionContext): KubeObject =>
      check(virtualServiceName, 'spec.http', object as VirtualService, context),
  },
]
