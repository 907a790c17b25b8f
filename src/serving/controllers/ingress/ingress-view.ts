/**
 * How Ingresses are told to the gateway in the surroundings they stand in: a split that names something else than a
 * Revision's Service (a DomainMapping's does) is looked up, and hosts that others route are left out.
 */
import { keyOf, keyText, type ObjectKey } from '../../../kube/api/meta.ts'
import { Service as CoreService } from '../../../kube/api/service.ts'
import { Ingress, type IngressBackendSplit } from '../../api/ingress.ts'
import { label } from '../../api/names.ts'
import type { Rule } from '../../gateway/feed.ts'
import { createTracker, type Target } from '../../../knative/tracker.ts'
import type { FeedSource, IngressView } from './feed-client.ts'
import { serviceMeaning } from './service-target.ts'
import type { ServiceTargets } from './service-targets.ts'
import { ingressRoute, type SplitTarget } from './snapshot.ts'

/** Hosts of Ingresses that are routed by somebody else. */
export interface TakenHosts {
  /** True when `host` of this Ingress is to be left out. */
  taken(host: string, ingress: Ingress): boolean
  /** Ingresses for which `taken` answers otherwise than before. */
  onTaken(listener: (ingress: ObjectKey) => void): Disposable
}

const nobodyElse: TakenHosts = {
  taken: () => false,
  onTaken: () => ({ [Symbol.dispose]: () => {} }),
}

export function createIngressView(
  source: FeedSource,
  targets: ServiceTargets,
  hosts: TakenHosts = nobodyElse,
): IngressView & Disposable {
  const { read } = source
  const tracker = createTracker()
  const listeners = new Set<(key: ObjectKey) => void>()
  const changed = (key: ObjectKey) => {
    for (const listener of listeners) listener(key)
  }
  const started = new DisposableStack()
  started.use(hosts.onTaken(changed))
  started.defer(
    source.onChange(CoreService, (service) => {
      for (const key of tracker.observers(service)) changed(key)
    }),
  )
  started.defer(
    source.onChange(Ingress, (ingress) => {
      const key = keyOf(ingress)
      if (read.get(Ingress, key)) return
      tracker.forget(key)
      targets.name(`Ingress ${keyText(key)}`, [])
    }),
  )

  return {
    route(ingress) {
      const key = keyOf(ingress)
      const services: Target[] = []
      const backend = ingressBackends(ingress, (service) => {
        services.push({ kind: CoreService.kind, ...service })
        return read.get(CoreService, service)
      })
      const route = ingressRoute(ingress, { backend, taken: (host) => hosts.taken(host, ingress) })
      tracker.track(key, services)
      targets.name(`Ingress ${keyText(key)}`, servicesOf(route.rules))
      return route
    },
    onChange(listener) {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
    [Symbol.dispose]: () => started.dispose(),
  }
}

/** What the splits of an Ingress mean; `serviceOf` finds a core Service. */
export function ingressBackends(
  ingress: Ingress,
  serviceOf: (key: ObjectKey) => CoreService | undefined,
): (split: IngressBackendSplit) => SplitTarget {
  // A Route's names Revisions only; there are many of these, and nothing is to be followed for them.
  const isRoutes = ingress.metadata.labels?.[label.route] !== undefined
  return ({ serviceNamespace: namespace, serviceName: name, servicePort }) => {
    const revision = { revision: `${namespace}/${name}` }
    const service = isRoutes ? undefined : serviceOf({ namespace, name })
    return (service && serviceMeaning(service, portNumber(service, servicePort))) ?? revision
  }
}

/** Core Services among the targets, `namespace/name:port`. */
export const servicesOf = (rules: readonly Rule[]): readonly string[] => [
  ...new Set(
    rules.flatMap(({ paths }) =>
      paths.flatMap(({ splits }) => splits.flatMap(({ service }) => service ?? [])),
    ),
  ),
]

const portNumber = ({ spec }: CoreService, port: number | string): number =>
  typeof port === 'number'
    ? port
    : ((spec.ports ?? []).find(({ name }) => name === port)?.port ?? 0)
