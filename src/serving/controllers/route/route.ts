/**
 * Route: resolves its targets to Revisions and makes the KIngress and the placeholder Services that bring requests there,
 * a new Revision gradually where that is wanted (upstream: pkg/reconciler/route).
 */
import { Endpoints } from '../../../kube/api/endpoints.ts'
import {
  controllerOf,
  isControlledBy,
  keyOf,
  type KubeObject,
  type ObjectKey,
} from '../../../kube/api/meta.ts'
import { Service as CoreService } from '../../../kube/api/service.ts'
import { semanticallyEqual } from '../../../kube/controller/difference.ts'
import type {
  Apply,
  Delete,
  Plan,
  Reader,
  Reconciler,
} from '../../../kube/controller/reconciler.ts'
import { conditionOf, finish, isObserved, isReady } from '../../../knative/conditions.ts'
import { parseDuration } from '../../../knative/duration.ts'
import { Certificate } from '../../api/certificate.ts'
import { Configuration } from '../../api/configuration.ts'
import { configDomain, domainFor, type DomainConfig } from '../../api/config/domain.ts'
import { configFeatures, type FeaturesConfig } from '../../api/config/features.ts'
import { configNetwork, type NetworkConfig } from '../../api/config/network.ts'
import { Ingress } from '../../api/ingress.ts'
import { annotation, annotationSpellings, firstSpelling, label } from '../../api/names.ts'
import { Revision } from '../../api/revision.ts'
import { Route, routeConditions, type RouteStatus } from '../../api/route.ts'
import { watchConfigs, type ReadConfig } from '../config.ts'
import { protocolOf } from '../revision/pod-template.ts'
import { createTracker, type Target as Tracked } from '../../../knative/tracker.ts'
import { certificateName, planCertificates } from './certificates.ts'
import { groupHosts, groupName, localHost, type GroupHosts } from './hosts.ts'
import { applyIngress, desiredIngress, ingressName, mergedIngress } from './ingress.ts'
import { isHidden, mustBeReplaced, placeholder } from './placeholder-service.ts'
import { advance, isDone, observeReady, parseRollout, type Rollout } from './rollout.ts'
import {
  badTraffic,
  ingressNotConfigured,
  placeholderNotOwned,
  rolloutInProgress,
  trafficAssigned,
  withIngress,
} from './status.ts'
import {
  resolveTraffic,
  statusTraffic,
  wantedRollout,
  type BadTraffic,
  type Traffic,
} from './traffic.ts'

export interface World {
  readonly route: Route
  /** Those that its targets name, and the Revisions that these lead to. */
  readonly configurations: ReadonlyMap<string, Configuration>
  readonly revisions: ReadonlyMap<string, Revision>
  readonly ingress: Ingress | undefined
  /** Services that bear the name of a group, and all that are labelled as this Route's. */
  readonly services: ReadonlyMap<string, CoreService>
  readonly endpoints: ReadonlyMap<string, Endpoints>
  /** Its own, those that bear a name it wants, and the namespace's wildcards. */
  readonly certificates: ReadonlyMap<string, Certificate>
  readonly config: {
    readonly network: NetworkConfig
    readonly domain: DomainConfig
    readonly features: FeaturesConfig
  }
}

export const routeReconciler = (readConfig: ReadConfig): Reconciler<Route, World> => {
  const tracker = createTracker()
  return {
    name: 'route-controller',
    kind: Route,
    watches: [
      { kind: Ingress, wake: 'owner' },
      { kind: CoreService, wake: 'owner' },
      { kind: Endpoints, wake: 'none' },
      { kind: Certificate, wake: routesOfCertificate },
      { kind: Configuration, wake: (changed) => tracker.observers(changed) },
      { kind: Revision, wake: (changed) => tracker.observers(changed) },
      watchConfigs(Route, configNetwork, configDomain, configFeatures),
    ],

    observe(route, read) {
      const key = keyOf(route)
      const { namespace } = key
      const config = {
        network: readConfig(read, configNetwork),
        domain: readConfig(read, configDomain),
        features: readConfig(read, configFeatures),
      }
      const configurations = new Map<string, Configuration>()
      const revisions = new Map<string, Revision>()
      const tracked: Tracked[] = []
      const see = (name: string | undefined) => {
        if (!name || revisions.has(name)) return
        tracked.push({ kind: Revision.kind, namespace, name })
        const revision = read.get(Revision, { namespace, name })
        if (revision) revisions.set(name, revision)
      }
      for (const { configurationName: name, revisionName } of route.spec.traffic ?? []) {
        see(revisionName)
        if (!name) continue
        tracked.push({ kind: Configuration.kind, namespace, name })
        const configuration = read.get(Configuration, { namespace, name })
        if (!configuration) continue
        configurations.set(name, configuration)
        see(configuration.status?.latestReadyRevisionName)
      }
      const ingress = read.get(Ingress, { namespace, name: ingressName(key.name) })
      for (const { revisions: shares } of stateOf(ingress)?.configurations ?? [])
        for (const { revisionName } of shares) see(revisionName)
      tracker.track(key, tracked)

      const services = new Map<string, CoreService>()
      const endpoints = new Map<string, Endpoints>()
      const labelled = read.list(CoreService, namespace, { [label.route]: key.name })
      for (const service of labelled) services.set(service.metadata.name, service)
      for (const name of groupNames(route, config.network)) {
        const service = services.get(name) ?? read.get(CoreService, { namespace, name })
        const points = read.get(Endpoints, { namespace, name })
        if (service) services.set(name, service)
        if (points) endpoints.set(name, points)
      }
      const certificates = certificatesOf(route, config.domain, read)
      return {
        route,
        configurations,
        revisions,
        ingress,
        services,
        endpoints,
        certificates,
        config,
      }
    },

    plan(world, nowMs) {
      const { route } = world
      const { generation = 0 } = route.metadata
      let begun = routeConditions.begin(route.status ?? {}, generation, nowMs)
      if (!isObserved(route)) begun = ingressNotConfigured(begun, nowMs)
      const { status, ...plan } = attempt(world, begun, nowMs)
      return { ...plan, status: finish(status, route.status, generation, nowMs) }
    },

    gone(key) {
      tracker.forget(key)
      return {}
    },
  }
}

function certificatesOf(
  route: Route,
  domains: DomainConfig,
  read: Reader,
): ReadonlyMap<string, Certificate> {
  const { namespace } = keyOf(route)
  const certificates = new Map<string, Certificate>()
  const see = (certificate: Certificate | undefined) =>
    certificate && certificates.set(certificate.metadata.name, certificate)
  read.owned(Certificate, route).forEach(see)
  for (const { tag } of [{ tag: '' }, ...(route.spec.traffic ?? [])])
    see(read.get(Certificate, { namespace, name: certificateName(route, tag ?? '') }))
  const { domain } = domainFor(domains, route.metadata.labels)
  read.list(Certificate, namespace, { [label.wildcardDomain]: domain }).forEach(see)
  return certificates
}

/** A wildcard's readiness matters to all Routes of its namespace. */
function routesOfCertificate(changed: KubeObject, read: Reader): Iterable<ObjectKey> {
  const { namespace = '', labels } = changed.metadata
  if (labels?.[label.wildcardDomain] !== undefined)
    return read.list<Route>(Route, namespace).map(keyOf)
  const owner = controllerOf(changed)
  return owner?.kind === Route.kind ? [{ namespace, name: owner.name }] : []
}

/** Names of the main group and of every tag; none when the template can't be executed. */
function groupNames(route: Route, network: NetworkConfig): readonly string[] {
  const tags = new Set((route.spec.traffic ?? []).map(({ tag }) => tag ?? ''))
  try {
    return [...tags.add('')].map((tag) => groupName(route, tag, network))
  } catch {
    return [route.metadata.name]
  }
}

/** Whatever goes wrong, the status says that this generation was looked at. */
function attempt(world: World, begun: RouteStatus, nowMs: number): Decision {
  try {
    return decide(world, begun, nowMs)
  } catch (error) {
    return { status: begun, error: error instanceof Error ? error : new Error(String(error)) }
  }
}

type Decision = Plan & { readonly status: RouteStatus }

function decide(world: World, begun: RouteStatus, nowMs: number): Decision {
  const { route } = world
  let hosts: ReadonlyMap<string, GroupHosts>
  try {
    hosts = hostsOf(world)
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    const bad: BadTraffic = { status: 'False', reason: 'ErrorConfig', message }
    return { status: badTraffic(begun, bad, nowMs), error: new Error(message) }
  }
  const { name, namespace = '' } = route.metadata
  const main = hosts.get('')
  let status: RouteStatus = { ...begun, ...(main && { url: main.url, domain: main.host }) }
  const resolved = resolveTraffic(route, {
    configuration: (one) => world.configurations.get(one),
    revision: (one) => world.revisions.get(one),
  })
  // Until all targets are there, what runs keeps running as it is.
  if ('bad' in resolved) return { status: badTraffic(status, resolved.bad, nowMs) }
  // Not before somebody is behind it: whoever sends events would give them up there (pkg/reconciler/route/route.go).
  const address = { url: `http://${localHost(name, namespace)}` }
  status = trafficAssigned({ ...status, address }, nowMs)
  return assigned(world, resolved.traffic, hosts, status, nowMs)
}

function hostsOf({ route, services, config }: World): ReadonlyMap<string, GroupHosts> {
  const tags = new Set((route.spec.traffic ?? []).map(({ tag }) => tag ?? ''))
  const hosts = new Map<string, GroupHosts>()
  for (const tag of tags.add('')) {
    const service = services.get(groupName(route, tag, config.network))
    hosts.set(tag, groupHosts(route, tag, isHidden(service), config))
  }
  return hosts
}

function assigned(
  world: World,
  traffic: Traffic,
  plainHosts: ReadonlyMap<string, GroupHosts>,
  begunPlain: RouteStatus,
  nowMs: number,
): Decision {
  const { route, ingress, revisions, config } = world
  const { hosts, tls, ...certificates } = planCertificates(
    { ...world, hosts: plainHosts },
    begunPlain,
    nowMs,
  )
  const main = hosts.get('')
  const begun = { ...certificates.status, ...(main && { url: main.url }) }
  const services = placeholders(world, hosts)
  if ('foreign' in services) {
    const { kind, name } = services.foreign
    return {
      status: placeholderNotOwned(begun, kind, name, nowMs),
      error: new Error(`route: "${route.metadata.name}" does not own ${kind}: "${name}"`),
    }
  }
  const { rollout, nextStepMs } = rolloutOf(world, traffic, nowMs)
  const wanted = desiredIngress({
    route,
    traffic,
    rollout,
    hosts,
    tls,
    network: config.network,
    tagHeaders: config.features.tagHeaderBasedRouting === 'Enabled',
    protocolOf: (name) => {
      const revision = revisions.get(name)
      return revision ? protocolOf(revision) : 'http1'
    },
  })
  const settled =
    ingress &&
    isObserved(ingress) &&
    semanticallyEqual(mergedIngress(ingress, wanted).spec, ingress.spec)
  let status = begun
  if (!isDone(rollout)) status = rolloutInProgress(status, nowMs)
  else if (settled) status = withIngress(status, ingress, nowMs)
  else status = ingressNotConfigured(status, nowMs)
  return {
    apply: [...services.apply, ...certificates.apply, applyIngress(wanted)],
    delete: [...services.obsolete, ...certificates.obsolete],
    events: certificates.events,
    status: {
      ...status,
      traffic: statusTraffic(traffic, rollout, (tag) => hosts.get(tag)?.url),
    },
    ...(nextStepMs !== undefined && { requeueAfterMs: Math.max(0, nextStepMs - nowMs) }),
  }
}

const stateOf = (ingress: Ingress | undefined): Rollout | undefined =>
  parseRollout(ingress?.metadata.annotations?.[annotation.rollout])

function rolloutOf(
  { route, ingress, config }: World,
  traffic: Traffic,
  nowMs: number,
): { readonly rollout: Rollout; readonly nextStepMs?: number } {
  const wanted = wantedRollout(traffic)
  const said = firstSpelling(route.metadata.annotations, annotationSpellings.rolloutDuration)
  const seconds =
    Math.trunc((said ? (parseDuration(said.value) ?? 0) : 0) / 1000) ||
    config.network.rolloutDurationSeconds
  if (seconds <= 0)
    return {
      rollout: { configurations: wanted.configurations.filter(({ percent }) => percent > 0) },
    }
  const before = stateOf(ingress)
  const arrived =
    ingress && isReady(ingress) && conditionOf(route.status, 'IngressReady')?.status !== 'True'
  return advance(wanted, before && arrived ? observeReady(before, nowMs, seconds) : before, nowMs)
}

/** The placeholder Services wanted, those that are not any more, or one that is somebody else's. */
function placeholders(
  { route, ingress, services, endpoints }: World,
  hosts: ReadonlyMap<string, GroupHosts>,
):
  | { readonly apply: readonly Apply[]; readonly obsolete: readonly Delete[] }
  | { readonly foreign: { readonly kind: 'Service' | 'Endpoint'; readonly name: string } } {
  const apply: Apply[] = []
  const obsolete: Delete[] = []
  const remove = (service: CoreService) => {
    const { uid } = service.metadata
    obsolete.push({ kind: CoreService, key: keyOf(service), ...(uid && { uid }) })
  }
  const names = new Set<string>()
  for (const group of hosts.values()) {
    const { name } = group
    names.add(name)
    const existing = services.get(name)
    if (existing && !isControlledBy(existing, route)) return { foreign: { kind: 'Service', name } }
    const wanted = placeholder(route, group, ingress, existing)
    const points = endpoints.get(name)
    if (points && wanted.length > 1 && !isOurs(points, route))
      return { foreign: { kind: 'Endpoint', name } }
    if (existing && mustBeReplaced(existing, wanted)) remove(existing)
    else apply.push(...wanted)
  }
  for (const [name, service] of services)
    if (!names.has(name) && isControlledBy(service, route)) remove(service)
  return { apply, obsolete }
}

/** Endpoints without an owner are what an endpoints controller left under the name of our Service. */
const isOurs = (points: Endpoints, route: Route): boolean =>
  isControlledBy(points, route) || !points.metadata.ownerReferences?.length
