/** One route object looked at: what it asks for, where that leads, and what about it can't be had. Pure over its reads. */
import { apiVersionOf } from '../../kube/api/kind.ts'
import type { Split } from '../../serving/gateway/feed.ts'
import type { HTTPRoute } from '../api/http-route-spec.ts'
import { virtualServiceName, type VirtualService } from '../api/virtual-service-spec.ts'
import type { BackendProblem } from '../rules/backend.ts'
import type { HostRules, ServedHost, Source } from '../rules/host-rules.ts'
import { httpRouteEntries } from '../rules/http-route-rules.ts'
import { virtualServiceEntries } from '../rules/virtual-service-rules.ts'
import { audiencesOf, backendOf, destinationOf } from './backends.ts'
import { attachments, type Attachment } from './parents.ts'
import type { Lookup } from './seen.ts'

export type RouteObject = HTTPRoute | VirtualService

export interface RouteState {
  readonly rules: HostRules
  /** Of an HTTPRoute. */
  readonly parents: readonly Attachment[]
  /** Gateways that a VirtualService names and that are not there. */
  readonly unknownGateways: readonly string[]
  readonly problems: readonly BackendProblem[]
  /** Core Services among the targets, `namespace/name:port`. */
  readonly services: readonly string[]
}

export const sourceOf = ({ kind, metadata }: RouteObject): Source => ({
  kind: kind === virtualServiceName.kind ? 'VirtualService' : 'HTTPRoute',
  namespace: metadata.namespace ?? '',
  name: metadata.name,
  creationTimestamp: metadata.creationTimestamp ?? '',
})

const isVirtualService = (object: RouteObject): object is VirtualService =>
  object.apiVersion === apiVersionOf(virtualServiceName)

export function routeState(object: RouteObject, look: Lookup): RouteState {
  const source = sourceOf(object)
  const { namespace } = source
  if (isVirtualService(object)) {
    const { audiences, unknown } = audiencesOf(object, look)
    const { entries, problems } = virtualServiceEntries(object, {
      destination: (to, authority) => destinationOf(to, authority, namespace, look),
    })
    const hosts = (object.spec.hosts ?? []).flatMap((host) =>
      audiences.map((visibility) => ({ host: fullHost(host, namespace), visibility })),
    )
    const rules = { source, hosts: unique(hosts), entries, inOrder: true }
    return {
      rules,
      parents: [],
      unknownGateways: unknown,
      problems,
      services: servicesOf(rules),
    }
  }
  const parents = attachments(object, look)
  const { entries, problems } = httpRouteEntries(object, {
    backend: (ref) => backendOf(ref, namespace, look),
  })
  const hosts = unique(parents.flatMap((parent) => parent.hosts))
  const rules = { source, hosts, entries, inOrder: false }
  return { rules, parents, unknownGateways: [], problems, services: servicesOf(rules) }
}

/** A name without dots is a Service of the same namespace. */
const fullHost = (host: string, namespace: string): string =>
  host === '*' || host.includes('.')
    ? host.toLowerCase()
    : `${host.toLowerCase()}.${namespace}.svc.cluster.local`

const unique = (hosts: readonly ServedHost[]): readonly ServedHost[] => [
  ...new Map(
    hosts.map((one) => [`${one.visibility} ${one.host} ${one.scheme ?? ''}`, one]),
  ).values(),
]

function servicesOf({ entries }: HostRules): readonly string[] {
  const found = new Set<string>()
  const add = ({ service }: Split) => {
    if (service) found.add(service)
  }
  for (const { path } of entries) {
    path.splits.forEach(add)
    for (const filters of [path.filters, ...path.splits.map((split) => split.filters)])
      for (const { to } of filters?.mirrors ?? []) add(to)
  }
  return [...found]
}
