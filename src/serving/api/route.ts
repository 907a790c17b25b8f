/** Route: sends shares of a host's requests to Revisions (serving.knative.dev/v1; contract serving §1.6). */
import type { KindDefinition } from '../../kube/api/kind.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import { object, string, type Static } from '../../kube/api/schema.ts'
import { conditionSet } from '../../knative/conditions.ts'
import { readyColumns } from './columns.ts'
import { servingGroup } from './names.ts'
import { Addressable, statusFields } from './status.ts'
import { traffic } from './traffic-target.ts'

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

/** What Ready of a Route depends on. */
export const routeConditions = conditionSet({ dependents: ['AllTrafficAssigned', 'IngressReady', 'CertificateProvisioned'] })

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
  schema: object({ spec: RouteSpec, status: RouteStatus }),
  columns: [
    { name: 'URL', type: 'string', value: ({ status }) => status?.url },
    ...readyColumns,
  ],
}
