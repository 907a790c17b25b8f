/** Route: sends shares of a host's requests to Revisions (serving.knative.dev/v1). */
import { admission } from '../../knative/admission.ts'
import { via, type FieldError } from '../../knative/field-error.ts'
import type { AdmissionContext, KindDefinition } from '../../kube/api/kind.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import { object, string, type Static } from '../../kube/api/schema.ts'
import { conditionSet } from '../../knative/conditions.ts'
import { sameJson } from '../../kube/api/validation.ts'
import { readyColumns } from '../../knative/columns.ts'
import { routeV1alpha1 } from './conversion/v1alpha1.ts'
import { sameInV1beta1 } from './conversion/v1beta1.ts'
import {
  isOwned,
  validateMetadata,
  validateUserInfo,
  withUserInfo,
  withVisibility,
} from './metadata.ts'
import { servingGroup } from './names.ts'
import { Addressable, statusFields } from '../../knative/status.ts'
import { traffic } from './traffic-target.ts'
import { defaultTraffic, validateTraffic } from './traffic-validation.ts'

export const RouteSpec = object({ traffic })
export type RouteSpec = Static<typeof RouteSpec>

/** What a Route says about itself and its Service repeats. */
export const routeStatusFields = {
  address: Addressable,
  domain: string({ description: 'Host of the URL. Old commands read it.' }),
  traffic,
  url: string({ description: 'Where it is served, with scheme.' }),
}

export const RouteStatus = object({ ...statusFields, ...routeStatusFields })
export type RouteStatus = Static<typeof RouteStatus>

export interface Route extends KubeObject {
  readonly spec: RouteSpec
  readonly status?: RouteStatus
}

/** A Route with all defaults written out. */
export const defaultRoute = (route: Route): Route => ({
  ...route,
  spec: {
    ...route.spec,
    ...(route.spec?.traffic && { traffic: defaultTraffic(route.spec.traffic) }),
  },
})

function defaults(sent: Route, context: AdmissionContext<Route>): Route {
  const route = defaultRoute(withVisibility(sent, context))
  return isOwned(route) ? route : withUserInfo(route, context, specChanged(route, context.old))
}

const specChanged = (route: Route, old: Route | undefined): boolean =>
  !old || !sameJson(route.spec, defaultRoute(old).spec)

function* validate(route: Route, { old }: AdmissionContext<Route>): Generator<FieldError> {
  yield* validateMetadata('Route', route.metadata, old?.metadata)
  if (!isOwned(route)) yield* validateUserInfo(route, old, specChanged(route, old))
  yield* via('spec', validateTraffic(route.spec.traffic ?? [], 'Route'))
}

/** What Ready of a Route depends on. */
export const routeConditions = conditionSet({
  dependents: ['AllTrafficAssigned', 'IngressReady', 'CertificateProvisioned'],
})

const schema = object({ spec: RouteSpec, status: RouteStatus })

export const Route: KindDefinition<Route> = {
  group: servingGroup,
  version: 'v1',
  kind: 'Route',
  plural: 'routes',
  singular: 'route',
  shortNames: ['rt'],
  categories: ['all', 'knative', 'serving'],
  namespaced: true,
  flavour: 'custom',
  hasStatus: true,
  hasGeneration: true,
  description: 'Sends the requests of a host to Revisions, each a share of them.',
  admit: admission({ defaults, validate }),
  schema,
  versions: [routeV1alpha1(RouteStatus), sameInV1beta1('Route', schema)],
  columns: [{ name: 'URL', type: 'string', value: ({ status }) => status?.url }, ...readyColumns],
}
