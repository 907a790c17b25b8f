/** Revision: an unchanging snapshot of code and settings that scales with its requests (serving.knative.dev/v1). */
import { admission } from '../../knative/admission.ts'
import { via, type FieldError } from '../../knative/field-error.ts'
import { shortDiff } from '../../knative/short-diff.ts'
import type { AdmissionContext, KindDefinition } from '../../kube/api/kind.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import { integer, list, object, string, type Static } from '../../kube/api/schema.ts'
import { conditionSet } from '../../knative/conditions.ts'
import { sameJson } from '../../kube/api/validation.ts'
import { readyColumns } from '../../knative/columns.ts'
import { revisionV1alpha1 } from './conversion/v1alpha1.ts'
import { revisionV1beta1 } from './conversion/v1beta1.ts'
import { refuseUndecodable } from './decoding.ts'
import { validateMetadata } from './metadata.ts'
import { label, servingGroup } from './names.ts'
import { defaultRevisionSpec } from './revision-defaults.ts'
import { RevisionSpec } from './revision-spec.ts'
import { validateRevisionSpec } from './revision-validation.ts'
import { readServingConfigs, type ServingConfigs } from './serving-configs.ts'
import { statusFields } from '../../knative/status.ts'
import { validateRevisionAnnotations } from './template.ts'

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

/** A Revision with all defaults written out. */
export const defaultRevision = (
  revision: Revision,
  { defaults, features }: ServingConfigs,
  isCreate = false,
): Revision =>
  revision.spec
    ? {
        ...revision,
        spec: defaultRevisionSpec(revision.spec, {
          defaults,
          features,
          isCreate,
          parent: revision.metadata,
        }),
      }
    : revision

function* validate(revision: Revision, context: AdmissionContext<Revision>): Generator<FieldError> {
  const { metadata, spec } = revision
  const { old } = context
  const configs = readServingConfigs(context)
  yield* validateMetadata('Revision', metadata, old?.metadata)
  yield* via('metadata.annotations', validateRevisionAnnotations(metadata.annotations, configs))
  if (!old) yield* via('spec', validateRevisionSpec(spec, configs))
  else if (!sameJson(spec, old.spec)) {
    yield {
      message: 'Immutable fields changed (-old +new)',
      paths: ['spec'],
      details: shortDiff('v1.RevisionSpec', old.spec, spec),
    }
  }
}

/** What Ready of a Revision depends on; Active is informational. */
export const revisionConditions = conditionSet({
  dependents: ['ResourcesAvailable', 'ContainerHealthy'],
})

const schema = object({ spec: RevisionSpec, status: RevisionStatus })

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
  admit: admission({
    // Once made, a Revision is what it is: new cluster defaults do not reach it.
    defaults(revision, context) {
      if (context.operation !== 'CREATE') return revision
      if (revision.spec) refuseUndecodable(revision.spec)
      return defaultRevision(revision, readServingConfigs(context), true)
    },
    validate,
  }),
  schema,
  versions: [revisionV1alpha1(RevisionStatus), revisionV1beta1(schema)],
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
