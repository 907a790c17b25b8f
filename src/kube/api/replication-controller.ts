/** ReplicationController: what came before the ReplicaSet, with a selector of plain labels (v1). */
import type { ReplicationController as ReplicationControllerType } from 'kubernetes-types/core/v1.js'
import { ageColumn, nameColumn, templateColumns } from './columns.ts'
import { changed } from './container.ts'
import type { KindDefinition } from './kind.ts'
import { alwaysRestartedTemplateProblems, defaultTemplate } from './pod-spec.ts'
import { labelList } from './printer.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'
import { fill, notNegative, refuseInvalid, required, wrong, type Complaints } from './validation.ts'

export type ReplicationController = Stored<ReplicationControllerType, 'spec'>

export const ReplicationController: KindDefinition<ReplicationController> = {
  group: '',
  version: 'v1',
  kind: 'ReplicationController',
  plural: 'replicationcontrollers',
  singular: 'replicationcontroller',
  shortNames: ['rc'],
  categories: ['all'],
  namespaced: true,
  description:
    'A ReplicationController keeps a number of pods running; ReplicaSets have replaced it.',
  schema: builtin<ReplicationController>('io.k8s.api.core.v1.ReplicationController'),
  flavour: 'builtin',
  hasStatus: true,
  hasGeneration: true,
  scale: {
    replicas: ({ spec }) => spec.replicas ?? 1,
    withReplicas: (object, replicas) => ({ ...object, spec: { ...object.spec, replicas } }),
    statusReplicas: ({ status }) => status?.replicas ?? 0,
    selector: ({ spec }) => (spec.selector ? labelList(spec.selector) : ''),
  },
  selectableFields: { 'status.replicas': ({ status }) => String(status?.replicas ?? 0) },
  columns: [
    nameColumn,
    { name: 'Desired', type: 'integer', value: ({ spec }) => spec.replicas ?? 1 },
    { name: 'Current', type: 'integer', value: ({ status }) => status?.replicas ?? 0 },
    { name: 'Ready', type: 'integer', value: ({ status }) => status?.readyReplicas ?? 0 },
    ageColumn,
    ...templateColumns,
    {
      name: 'Selector',
      type: 'string',
      priority: 1,
      value: ({ spec }) => labelList(spec.selector),
    },
  ],
  admit(object, { subresource, operation }) {
    if (subresource === 'status') return object
    const spec = fill(object.spec ?? {}, { replicas: 1, minReadySeconds: 0 })
    const templateLabels = spec.template?.metadata?.labels
    const selector = spec.selector ?? templateLabels
    const labels = object.metadata.labels ?? templateLabels
    const defaulted = changed(object, {
      spec: changed(spec, {
        ...(selector && { selector }),
        ...(spec.template && { template: defaultTemplate(spec.template) }),
      }),
      ...(labels &&
        labels !== object.metadata.labels && { metadata: { ...object.metadata, labels } }),
    })
    refuseInvalid(ReplicationController, defaulted, problems(defaulted))
    return operation === 'CREATE' ? { ...defaulted, status: { replicas: 0 } } : defaulted
  },
}

function* problems({ spec }: ReplicationController): Complaints {
  yield* notNegative('spec.replicas', spec.replicas)
  yield* notNegative('spec.minReadySeconds', spec.minReadySeconds)
  const { selector = {}, template } = spec
  if (Object.keys(selector).length === 0) yield required('spec.selector')
  if (!template) return yield required('spec.template')
  const labels = template.metadata?.labels ?? {}
  if (Object.entries(selector).some(([key, value]) => labels[key] !== value))
    yield wrong(
      'spec.template.metadata.labels',
      labels,
      '`selector` does not match template `labels`',
    )
  yield* alwaysRestartedTemplateProblems(template, 'spec.template')
}
