/** ContainerSource: a program of the user's that sends events (sources.knative.dev/v1). */
import { admission } from '../../../knative/admission.ts'
import { conditionSet } from '../../../knative/conditions.ts'
import { missingField, via, type FieldError } from '../../../knative/field-error.ts'
import type { KindDefinition } from '../../../kube/api/kind.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import type { PodTemplateSpec } from '../../../kube/api/pod-spec.ts'
import { builtin, object, type Static } from '../../../kube/api/schema.ts'
import { definitionLabels, sourcesGroup, validationWebhook } from '../names.ts'
import { olderVersions, sourceColumns, sourceDefaults, sourceKindFields } from './source-kind.ts'
import { SourceStatus, sourceSpecFields, validateSourceSpec } from '../duck/source-spec.ts'

export const ContainerSourceSpec = object({
  ...sourceSpecFields,
  template: builtin<PodTemplateSpec>('io.k8s.api.core.v1.PodTemplateSpec', {
    description: 'The pods that send.',
  }),
})
export type ContainerSourceSpec = Static<typeof ContainerSourceSpec>

export interface ContainerSource extends KubeObject {
  readonly spec: ContainerSourceSpec
  readonly status?: SourceStatus
}

/** Containers without a name are called after the source. */
export function withContainerNames(source: ContainerSource): ContainerSource {
  const { spec, metadata } = source
  const pod = spec?.template?.spec
  if (!pod?.containers?.some(({ name }) => !name)) return source
  const containers = pod.containers.map((each, i) => ({
    ...each,
    name: each.name || `${metadata.name}-${i}`,
  }))
  return {
    ...source,
    spec: { ...spec, template: { ...spec.template, spec: { ...pod, containers } } },
  }
}

function* validate({ spec }: ContainerSource): Generator<FieldError> {
  yield* via('spec', validateSourceSpec(spec))
  const containers = spec.template?.spec?.containers ?? []
  if (containers.length === 0) yield missingField('spec.containers')
  for (const [i, { name, image }] of containers.entries()) {
    if (!name) yield missingField(`spec.containers[${i}].name`)
    if (!image) yield missingField(`spec.containers[${i}].image`)
  }
}

export const containerSourceConditions = conditionSet({
  dependents: ['SinkBindingReady', 'ReceiveAdapterReady'],
})

const schema = object({ spec: ContainerSourceSpec, status: SourceStatus })

export const ContainerSource: KindDefinition<ContainerSource> = {
  ...sourceKindFields,
  version: 'v1',
  kind: 'ContainerSource',
  plural: 'containersources',
  singular: 'containersource',
  description: 'Runs pods that send events.',
  definition: {
    labels: definitionLabels.source,
  },
  admit: admission({
    webhook: validationWebhook,
    defaults: sourceDefaults(withContainerNames),
    validate,
  }),
  schema,
  columns: sourceColumns<ContainerSource>(),
  versions: olderVersions(sourcesGroup, 'v1', ['v1beta1', 'v1alpha2'], schema),
}
