/**
 * What a route attaches to. There is one entrance: every HTTP listener of a Gateway of our class is it, whatever its
 * port. Knative's two Gateways are known by name; a route without any parent counts as one of the default Gateway.
 */
import { Namespace } from '../../kube/api/namespace.ts'
import { selectorMatcher } from '../../kube/api/selectors.ts'
import { clusterLocal, label } from '../../serving/api/names.ts'
import { controllerName, GatewayClass } from '../api/gateway-class.ts'
import { Gateway, type Listener } from '../api/gateway.ts'
import { gatewayGroup, type ParentReference } from '../api/gateway-api.ts'
import type { HTTPRoute } from '../api/http-route-spec.ts'
import { intersection } from '../rules/hostnames.ts'
import type { Scheme, ServedHost, Visibility } from '../rules/host-rules.ts'
import type { Lookup } from './seen.ts'

/** The Gateway that is there from the start. */
export const defaultGateway = { namespace: 'ebb', name: 'ebb' } as const

/** Gateways of Knative's installations, which routes may name whether or not there are such objects. */
const knativeGateways: ReadonlyMap<string, Visibility> = new Map([
  ['knative-serving/knative-ingress-gateway', 'ExternalIP'],
  ['knative-serving/knative-local-gateway', 'ClusterLocal'],
])

/** Reasons of the condition Accepted of a route. */
export type RefusedReason =
  | 'NoMatchingParent'
  | 'NotAllowedByListeners'
  | 'NoMatchingListenerHostname'

export interface Attachment {
  readonly parentRef: ParentReference
  readonly hosts: readonly ServedHost[]
  /** `namespace/name` and listener of each entrance, `namespace/name listener`. */
  readonly listeners: readonly string[]
  readonly refusal?: { readonly reason: RefusedReason; readonly message: string }
}

/** One for each parent that is ours or nobody's; Gateways of other controllers are theirs. */
export function attachments(route: HTTPRoute, look: Lookup): readonly Attachment[] {
  const { parentRefs = [] } = route.spec
  if (parentRefs.length === 0)
    return [
      {
        parentRef: { group: gatewayGroup, kind: Gateway.kind, ...defaultGateway },
        hosts: served(route, undefined, 'ExternalIP'),
        listeners: [],
      },
    ]
  return parentRefs.flatMap((ref) => attach(ref, route, look) ?? [])
}

const served = (
  { spec }: HTTPRoute,
  hostname: string | undefined,
  visibility: Visibility,
  scheme?: Scheme,
): readonly ServedHost[] =>
  intersection(spec.hostnames ?? [], hostname).map((host) => ({
    host,
    visibility,
    ...(scheme && { scheme }),
  }))

function attach(
  parentRef: ParentReference,
  route: HTTPRoute,
  look: Lookup,
): Attachment | undefined {
  const refused = (reason: RefusedReason, message: string): Attachment => ({
    parentRef,
    hosts: [],
    listeners: [],
    refusal: { reason, message },
  })
  const { group = gatewayGroup, kind = Gateway.kind, name, sectionName, port } = parentRef
  const { namespace: own = '' } = route.metadata
  const { namespace = own } = parentRef
  if (group !== gatewayGroup || kind !== Gateway.kind)
    return refused(
      'NoMatchingParent',
      `${kind} of group "${group}" can't be a parent: name a Gateway`,
    )
  const key = `${namespace}/${name}`
  const known = knativeGateways.get(key)
  if (known) return { parentRef, hosts: served(route, undefined, known), listeners: [] }

  const gateway = look.get(Gateway, { namespace, name })
  if (!gateway) return refused('NoMatchingParent', `there is no Gateway ${key}`)
  const className = gateway.spec.gatewayClassName
  const gatewayClass = look.get(GatewayClass, { namespace: '', name: className })
  if (!gatewayClass)
    return refused(
      'NoMatchingParent',
      `Gateway ${key} is of class ${className}, which is not there`,
    )
  if (gatewayClass.spec.controllerName !== controllerName) return undefined

  const named = gateway.spec.listeners.filter(
    (listener) =>
      isHttp(listener) &&
      (sectionName === undefined || listener.name === sectionName) &&
      (port === undefined || listener.port === port),
  )
  if (named.length === 0)
    return refused(
      'NoMatchingParent',
      `Gateway ${key} has no HTTP listener ${sectionName ?? ''}${port === undefined ? '' : ` on port ${port}`}`,
    )
  const allowed = named.filter((listener) => allows(listener, namespace, own, look))
  if (allowed.length === 0)
    return refused(
      'NotAllowedByListeners',
      `no listener of Gateway ${key} allows HTTPRoutes of namespace ${own}`,
    )
  const visibility = visibilityOf(gateway)
  const open = allowed.filter(({ hostname }) => served(route, hostname, visibility).length > 0)
  if (open.length === 0)
    return refused(
      'NoMatchingListenerHostname',
      `no listener of Gateway ${key} is for ${(route.spec.hostnames ?? []).join(', ')}`,
    )
  return {
    parentRef,
    hosts: open.flatMap((listener) =>
      served(route, listener.hostname, visibility, schemeOf(listener, gateway)),
    ),
    listeners: open.map((listener) => `${key} ${listener.name}`),
  }
}

export const isHttp = ({ protocol }: Listener): boolean =>
  protocol === 'HTTP' || protocol === 'HTTPS'

/**
 * What clients of a listener speak. Whatever its listeners are, the gateway takes plain HTTP and TLS at one pair of ports:
 * a Gateway that has no listener for HTTPS leaves the scheme open, so that its routes have both.
 */
const schemeOf = ({ protocol }: Listener, { spec }: Gateway): Scheme | undefined => {
  if (protocol === 'HTTPS') return 'https'
  return spec.listeners.some((other) => other.protocol === 'HTTPS') ? 'http' : undefined
}

/** A Gateway with Knative's label `visibility: cluster-local` is for callers inside. */
const visibilityOf = ({ metadata }: Gateway): Visibility =>
  metadata.labels?.[label.visibility] === clusterLocal ? 'ClusterLocal' : 'ExternalIP'

function allows(
  { allowedRoutes }: Listener,
  gatewayNamespace: string,
  routeNamespace: string,
  look: Lookup,
): boolean {
  const { namespaces, kinds = [] } = allowedRoutes ?? {}
  const takesKind =
    kinds.length === 0 ||
    kinds.some(({ group = gatewayGroup, kind }) => group === gatewayGroup && kind === 'HTTPRoute')
  if (!takesKind) return false
  switch (namespaces?.from ?? 'Same') {
    case 'All':
      return true
    case 'Selector': {
      const namespace = look.get(Namespace, { namespace: '', name: routeNamespace })
      return selectorMatcher(namespaces?.selector)(namespace?.metadata.labels)
    }
    default:
      return gatewayNamespace === routeNamespace
  }
}
