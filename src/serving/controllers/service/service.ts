/**
 * Service: keeps a Configuration and a Route of its name as it wants them and repeats what they say
 * (upstream: pkg/reconciler/service).
 */
import { isControlledBy, keyOf } from '../../../kube/api/meta.ts'
import { semanticallyEqual } from '../../../kube/controller/difference.ts'
import type { Apply, Plan, Reconciler } from '../../../kube/controller/reconciler.ts'
import { finish, isObserved } from '../../../knative/conditions.ts'
import { Configuration } from '../../api/configuration.ts'
import { Revision } from '../../api/revision.ts'
import { Route } from '../../api/route.ts'
import { Service, serviceConditions, type ServiceStatus } from '../../api/service.ts'
import { nameConflict } from '../configuration/named-revision.ts'
import { desiredConfiguration } from './configuration.ts'
import { desiredRoute } from './route.ts'
import {
  checkTrafficMigrated,
  configurationOutOfDate,
  notOwned,
  revisionNameTaken,
  routeOutOfDate,
  withConfiguration,
  withRoute,
} from './status.ts'

export interface World {
  readonly service: Service
  readonly configuration: Configuration | undefined
  readonly route: Route | undefined
  /** The Revision that bears the name the template asks for. */
  readonly named: Revision | undefined
}

export const serviceReconciler: Reconciler<Service, World> = {
  name: 'service-controller',
  kind: Service,
  watches: [
    { kind: Configuration, wake: 'owner' },
    { kind: Route, wake: 'owner' },
    { kind: Revision, wake: 'none' },
  ],

  observe(service, read) {
    const key = keyOf(service)
    const name = service.spec.template.metadata?.name
    return {
      service,
      configuration: read.get(Configuration, key),
      route: read.get(Route, key),
      named: name ? read.get(Revision, { namespace: key.namespace, name }) : undefined,
    }
  },

  plan(world, nowMs) {
    const { service } = world
    const { generation = 0 } = service.metadata
    const begun = serviceConditions.begin(service.status ?? {}, generation, nowMs)
    const { status, ...plan } = decide(world, begun, nowMs)
    return { ...plan, status: finish(status, service.status, generation, nowMs) }
  },
}

function decide(
  { service, configuration, route, named }: World,
  begun: ServiceStatus,
  nowMs: number,
): Plan & { readonly status: ServiceStatus } {
  const { name } = service.metadata
  if (configuration && !isControlledBy(configuration, service))
    return {
      status: notOwned(begun, 'Configuration', name, nowMs),
      error: new Error(`service: "${name}" does not own configuration: "${name}"`),
    }
  const wantedConfiguration = desiredConfiguration(service, configuration)
  const apply = [applyConfiguration(wantedConfiguration)]
  const templateName = service.spec.template.metadata?.name

  let status = begun
  const current = settled(configuration, wantedConfiguration)
  if (current) status = withConfiguration(status, current, nowMs)
  else {
    status = configurationOutOfDate(status, nowMs)
    // With a name of its own a Revision may be taken or reused: the Route waits until that is clear.
    if (templateName) return { apply, status }
  }
  if (templateName && named && configuration && nameConflict(configuration, named))
    return { apply, status: revisionNameTaken(status, templateName, nowMs) }

  if (route && !isControlledBy(route, service))
    return {
      apply,
      status: notOwned(status, 'Route', name, nowMs),
      error: new Error(`service: "${name}" does not own route: "${name}"`),
    }
  const wantedRoute = desiredRoute(service)
  apply.push(applyRoute(wantedRoute))
  const currentRoute = settled(route, wantedRoute)
  if (!currentRoute) status = routeOutOfDate(status, nowMs)
  else {
    status = withRoute(status, currentRoute, nowMs)
    if (configuration) status = checkTrafficMigrated(status, configuration, currentRoute, nowMs)
  }
  return { apply, status }
}

/** The child, when its status speaks of the spec we want. */
const settled = <T extends Configuration | Route>(child: T | undefined, wanted: T): T | undefined =>
  child && isObserved(child) && semanticallyEqual(child.spec, wanted.spec) ? child : undefined

/** Direct edits of an owned child are taken back: spec, labels and annotations are wholly the Service's. */
const overwrite = <T extends Configuration | Route>(desired: T) => ({
  desired,
  merge: (existing: { readonly metadata: T['metadata'] }) => ({
    ...existing,
    apiVersion: desired.apiVersion,
    kind: desired.kind,
    metadata: {
      ...existing.metadata,
      labels: desired.metadata.labels ?? {},
      annotations: desired.metadata.annotations ?? {},
    },
    spec: desired.spec,
  }),
})

const events = (kind: string, name: string) =>
  ({
    created: { type: 'Normal', reason: 'Created', message: `Created ${kind} "${name}"` },
    createFailed: {
      type: 'Warning',
      reason: 'CreationFailed',
      message: `Failed to create ${kind} "${name}": `,
    },
  }) as const

const applyConfiguration = (desired: Configuration): Apply => ({
  kind: Configuration,
  ...overwrite(desired),
  ...events('Configuration', desired.metadata.name),
})

const applyRoute = (desired: Route): Apply => ({
  kind: Route,
  ...overwrite(desired),
  ...events('Route', desired.metadata.name),
})
