/** Finds what routes name: backendRefs of HTTPRoutes, destinations and gateways of VirtualServices. */
import type { Kind } from '../../kube/api/kind.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import { Service as CoreService } from '../../kube/api/service.ts'
import { clusterDomain, clusterLocal, servingGroup } from '../../serving/api/names.ts'
import { Revision } from '../../serving/api/revision.ts'
import { Route } from '../../serving/api/route.ts'
import { Service } from '../../serving/api/service.ts'
import { clusterHost, serviceMeaning } from '../../serving/controllers/ingress/service-target.ts'
import { gatewayGroup, type BackendReference } from '../api/gateway-api.ts'
import { httpRouteName } from '../api/http-route-spec.ts'
import { IstioGateway } from '../api/istio-gateway.ts'
import { isGranted, ReferenceGrant } from '../api/reference-grant.ts'
import type { Destination, VirtualService } from '../api/virtual-service-spec.ts'
import { problem, type Backend } from '../rules/backend.ts'
import type { Visibility } from '../rules/host-rules.ts'
import type { Lookup } from './seen.ts'

const backendKinds: readonly Kind[] = [CoreService, Service, Route, Revision]

/** `namespace` is the HTTPRoute's. */
export function backendOf(ref: BackendReference, namespace: string, look: Lookup): Backend {
  const { group = '', kind: kindName = 'Service', name, namespace: other = namespace, port } = ref
  const text = `${kindName}${group && `.${group}`} ${other}/${name}`
  const kind = backendKinds.find((one) => one.group === group && one.kind === kindName)
  if (!kind)
    return problem(
      'InvalidKind',
      `${kindName} of group "${group}" can't be a backend: name a Service, or a Service, Route or Revision of ${servingGroup}`,
    )
  if (other !== namespace) {
    const from = { group: gatewayGroup, kind: httpRouteName.kind, namespace }
    const grants = look.list(ReferenceGrant, other)
    if (!isGranted(grants, from, { group, kind: kindName, name }))
      return problem(
        'RefNotPermitted',
        `${text} may not be named from namespace ${namespace}: it needs a ReferenceGrant in namespace ${other}`,
      )
  }
  const object = look.get<KubeObject>(kind, { namespace: other, name })
  if (!object) return problem('BackendNotFound', `${text} is not there`)
  if (kind === Revision) return { target: { revision: `${other}/${name}` } }
  if (kind !== CoreService) return { target: { host: clusterHost(other, name) } }
  return serviceBackend(object as CoreService, port ?? 80)
}

function serviceBackend(service: CoreService, port: number): Backend {
  const { namespace = '', name } = service.metadata
  const target = serviceMeaning(service, port)
  if (target) return { target }
  return service.spec.type === 'ExternalName'
    ? problem(
        'UnsupportedValue',
        `Service ${namespace}/${name} stands for ${service.spec.externalName ?? 'nothing'}, which is outside`,
      )
    : problem('BackendNotFound', `Service ${namespace}/${name} has no TCP port ${port}`)
}

/** Services by which the routing of other installations leads back into the gateway. */
const gatewayServices =
  /^(istio-ingressgateway|cluster-local-gateway|knative-local-gateway|kourier|kourier-internal)\.(istio-system|kourier-system|knative-serving)(\.svc(\.cluster\.local)?)?$/

/** `namespace` is the VirtualService's; `authority` the host that the request is rewritten to. */
export function destinationOf(
  { host: name, port }: Destination,
  authority: string | undefined,
  namespace: string,
  look: Lookup,
): Backend {
  const host = name.toLowerCase().replace(/\.$/, '')
  if (gatewayServices.test(host))
    return authority
      ? { target: { host: authority.replace(/:\d+$/, '').toLowerCase() } }
      : problem(
          'UnsupportedValue',
          `destination ${name} is the gateway itself: say by rewrite.authority to which host's routes it leads`,
        )
  const [service = '', itsNamespace = namespace, ...rest] = host.split('.')
  const suffix = rest.join('.')
  if (suffix !== '' && suffix !== 'svc' && suffix !== `svc.${clusterDomain}`)
    return problem('UnsupportedValue', `destination ${name} is outside the cluster`)
  const found = look.get(CoreService, { namespace: itsNamespace, name: service })
  if (!found) return problem('BackendNotFound', `Service ${itsNamespace}/${service} is not there`)
  const [only, ...others] = found.spec.ports ?? []
  const number = port?.number ?? (others.length === 0 ? only?.port : undefined) ?? 80
  return serviceBackend(found, number)
}

/** Who sees the hosts of a VirtualService; `unknown` are gateways that are not there. */
export function audiencesOf(
  { metadata, spec }: VirtualService,
  look: Lookup,
): { readonly audiences: readonly Visibility[]; readonly unknown: readonly string[] } {
  const audiences = new Set<Visibility>()
  const unknown: string[] = []
  const names = spec.gateways?.length ? spec.gateways : ['mesh']
  for (const name of names) {
    const audience = audienceOf(name, metadata.namespace ?? '', look)
    if (audience) audiences.add(audience)
    else unknown.push(name)
  }
  return { audiences: [...audiences], unknown }
}

function audienceOf(gateway: string, own: string, look: Lookup): Visibility | undefined {
  if (gateway === 'mesh') return 'ClusterLocal'
  const key = gatewayKey(gateway, own)
  switch (`${key.namespace}/${key.name}`) {
    case 'knative-serving/knative-ingress-gateway':
      return 'ExternalIP'
    case 'knative-serving/knative-local-gateway':
    case 'knative-serving/cluster-local-gateway':
      return 'ClusterLocal'
    default: {
      const found = look.get(IstioGateway, key)
      if (!found) return undefined
      const inside = Object.values(found.spec.selector ?? {}).some((value) =>
        ['cluster-local-gateway', clusterLocal].includes(value),
      )
      return inside ? 'ClusterLocal' : 'ExternalIP'
    }
  }
}

/** `namespace/name`, `name`, or in the way of old versions `name.namespace.svc.cluster.local`. */
function gatewayKey(text: string, own: string): { namespace: string; name: string } {
  const [first = '', second] = text.split('/')
  if (second !== undefined) return { namespace: first === '.' ? own : first, name: second }
  const [name = '', namespace = own] = text.split('.')
  return { namespace, name }
}
