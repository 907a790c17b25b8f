/** Service: a Configuration and a Route that are managed together (serving.knative.dev/v1; contract serving §1.2). */
import type { KindDefinition } from '../../kube/api/kind.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import { object, string, type Static } from '../../kube/api/schema.ts'
import { conditionSet } from '../../knative/conditions.ts'
import { readyColumns } from './columns.ts'
import { servingGroup } from './names.ts'
import { RevisionTemplate } from './revision-spec.ts'
import { routeStatusFields } from './route.ts'
import { statusFields } from './status.ts'
import { traffic, type TrafficTarget } from './traffic-target.ts'

/** The template is there in every admitted object; that it is required is said by validation, in Knative's words. */
export interface ServiceSpec {
  readonly template: RevisionTemplate
  readonly traffic?: readonly TrafficTarget[]
}
const serviceSpec = object({ template: RevisionTemplate, traffic })

export const ServiceStatus = object({
  ...statusFields,
  ...routeStatusFields,
  latestCreatedRevisionName: string({ description: 'The Revision made last.' }),
  latestReadyRevisionName: string({ description: 'The newest Revision that was ready.' }),
})
export type ServiceStatus = Static<typeof ServiceStatus>

export interface Service extends KubeObject {
  readonly spec: ServiceSpec
  readonly status?: ServiceStatus
}

/** What Ready of a Service depends on. */
export const serviceConditions = conditionSet({ dependents: ['ConfigurationsReady', 'RoutesReady'] })

export const Service: KindDefinition<Service> = {
  group: servingGroup,
  version: 'v1',
  kind: 'Service',
  plural: 'services',
  singular: 'service',
  shortNames: ['kservice', 'ksvc'],
  categories: ['all', 'knative', 'serving'],
  namespaced: true,
  flavour: 'custom',
  hasStatus: true,
  hasGeneration: true,
  description:
    'A program that answers requests: its code and settings (a Configuration) and its address (a Route), managed together.',
  schema: object({ spec: serviceSpec, status: ServiceStatus }),
  columns: [
    { name: 'URL', type: 'string', value: ({ status }) => status?.url },
    {
      name: 'LatestCreated',
      type: 'string',
      value: ({ status }) => status?.latestCreatedRevisionName,
    },
    { name: 'LatestReady', type: 'string', value: ({ status }) => status?.latestReadyRevisionName },
    ...readyColumns,
  ],
}
