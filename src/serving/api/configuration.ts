/** Configuration: the wanted state of a Service's code; each change of it makes a Revision (serving.knative.dev/v1). */
import type { KindDefinition } from '../../kube/api/kind.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import { object, string, type Static } from '../../kube/api/schema.ts'
import { conditionSet } from '../../knative/conditions.ts'
import { readyColumns } from './columns.ts'
import { servingGroup } from './names.ts'
import { RevisionTemplate } from './revision-spec.ts'
import { statusFields } from './status.ts'

/** The template is there in every admitted object; that it is required is said by validation, in Knative's words. */
export interface ConfigurationSpec {
  readonly template: RevisionTemplate
}
const configurationSpec = object({ template: RevisionTemplate })

export const ConfigurationStatus = object({
  ...statusFields,
  latestCreatedRevisionName: string({ description: 'The Revision made last.' }),
  latestReadyRevisionName: string({ description: 'The newest Revision that was ready.' }),
})
export type ConfigurationStatus = Static<typeof ConfigurationStatus>

export interface Configuration extends KubeObject {
  readonly spec: ConfigurationSpec
  readonly status?: ConfigurationStatus
}

/** A Configuration's Ready is set directly. */
export const configurationConditions = conditionSet({ dependents: [] })

export const Configuration: KindDefinition<Configuration> = {
  group: servingGroup,
  version: 'v1',
  kind: 'Configuration',
  plural: 'configurations',
  singular: 'configuration',
  shortNames: ['config', 'cfg'],
  categories: ['all', 'knative', 'serving'],
  namespaced: true,
  flavour: 'custom',
  hasStatus: true,
  hasGeneration: true,
  description: 'The wanted state of code and its settings. Each change makes a new Revision.',
  schema: object({ spec: configurationSpec, status: ConfigurationStatus }),
  columns: [
    {
      name: 'LatestCreated',
      type: 'string',
      value: ({ status }) => status?.latestCreatedRevisionName,
    },
    { name: 'LatestReady', type: 'string', value: ({ status }) => status?.latestReadyRevisionName },
    ...readyColumns,
  ],
}
