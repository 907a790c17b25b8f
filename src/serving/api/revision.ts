/** Revision: an unchanging snapshot of code and settings that scales with its requests (serving.knative.dev/v1; contract serving §1.4). */
import type { KindDefinition } from '../../kube/api/kind.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import { integer, list, object, string, type Static } from '../../kube/api/schema.ts'
import { conditionSet } from '../../knative/conditions.ts'
import { readyColumns } from './columns.ts'
import { label, servingGroup } from './names.ts'
import { RevisionSpec } from './revision-spec.ts'
import { statusFields } from './status.ts'

const containerStatus = object({
  name: string(),
  imageDigest: string({ description: 'The image as name@sha256:…; empty when not looked up.' }),
})

export const RevisionStatus = object({
  ...statusFields,
  containerStatuses: list(containerStatus),
  initContainerStatuses: list(containerStatus),
  actualReplicas: integer({ format: 'int32', description: 'Pods that are ready.' }),
  desiredReplicas: integer({ format: 'int32', description: 'Pods wanted by the autoscaler.' }),
  logUrl: string({ description: 'Where its logs can be read.' }),
  serviceName: string({ description: 'Form of 2019: name of the Service of its pods.' }),
  imageDigest: string({ description: 'Form of 2019: digest of the serving container.' }),
})
export type RevisionStatus = Static<typeof RevisionStatus>

export interface Revision extends KubeObject {
  readonly spec: RevisionSpec
  readonly status?: RevisionStatus
}

/** What Ready of a Revision depends on; Active is informational. */
export const revisionConditions = conditionSet({ dependents: ['ResourcesAvailable', 'ContainerHealthy'] })

export const Revision: KindDefinition<Revision> = {
  group: servingGroup,
  version: 'v1',
  kind: 'Revision',
  plural: 'revisions',
  singular: 'revision',
  shortNames: ['rev'],
  categories: ['all', 'knative', 'serving'],
  namespaced: true,
  flavour: 'custom',
  hasStatus: true,
  hasGeneration: true,
  description: 'An unchanging snapshot of code and settings, made by a Configuration.',
  schema: object({ spec: RevisionSpec, status: RevisionStatus }),
  columns: [
    {
      name: 'Config Name',
      type: 'string',
      value: ({ metadata }) => metadata.labels?.[label.configuration],
    },
    {
      name: 'Generation',
      type: 'string',
      value: ({ metadata }) => metadata.labels?.[label.configurationGeneration],
    },
    ...readyColumns,
    {
      name: 'Actual Replicas',
      type: 'integer',
      value: ({ status }) => status?.actualReplicas,
    },
    {
      name: 'Desired Replicas',
      type: 'integer',
      value: ({ status }) => status?.desiredReplicas,
    },
  ],
}
