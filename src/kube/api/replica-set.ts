/** ReplicaSet: a given number of pods of one template. */
import type { ReplicaSet as ReplicaSetType } from 'kubernetes-types/apps/v1.js'
import { ageColumn, nameColumn, templateColumns } from './columns.ts'
import { changed } from './container.ts'
import type { KindDefinition } from './kind.ts'
import { alwaysRestartedTemplateProblems, defaultTemplate } from './pod-spec.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'
import { fill, refuseInvalid, type Complaints } from './validation.ts'
import { selectorCell, workloadProblems, workloadScale } from './workload.ts'

export type ReplicaSet = Stored<ReplicaSetType, 'spec'>

export const ReplicaSet: KindDefinition<ReplicaSet> = {
  group: 'apps',
  version: 'v1',
  kind: 'ReplicaSet',
  plural: 'replicasets',
  singular: 'replicaset',
  shortNames: ['rs'],
  categories: ['all'],
  namespaced: true,
  description: 'A ReplicaSet keeps a given number of pods of one template running.',
  schema: builtin<ReplicaSet>('io.k8s.api.apps.v1.ReplicaSet'),
  flavour: 'builtin',
  hasStatus: true,
  hasGeneration: true,
  scale: workloadScale<ReplicaSet>(),
  selectableFields: { 'status.replicas': ({ status }) => String(status?.replicas ?? 0) },
  columns: [
    nameColumn,
    {
      name: 'Desired',
      type: 'integer',
      description: 'How many pods there should be.',
      value: ({ spec }) => spec.replicas ?? 1,
    },
    {
      name: 'Current',
      type: 'integer',
      description: 'How many pods there are.',
      value: ({ status }) => status?.replicas ?? 0,
    },
    {
      name: 'Ready',
      type: 'integer',
      description: 'How many pods are ready.',
      value: ({ status }) => status?.readyReplicas ?? 0,
    },
    ageColumn,
    ...templateColumns,
    {
      name: 'Selector',
      type: 'string',
      priority: 1,
      description: 'Labels of its pods.',
      value: selectorCell,
    },
  ],
  admit(set, { subresource, old, operation }) {
    if (subresource === 'status') return set
    const spec = fill(set.spec ?? {}, { replicas: 1 })
    const labels = set.metadata.labels ?? spec.template?.metadata?.labels
    const defaulted = changed(set, {
      spec: changed(spec, { ...(spec.template && { template: defaultTemplate(spec.template) }) }),
      ...(labels && labels !== set.metadata.labels && { metadata: { ...set.metadata, labels } }),
    })
    refuseInvalid(ReplicaSet, defaulted, problems(defaulted, old))
    return operation === 'CREATE' ? { ...defaulted, status: { replicas: 0 } } : defaulted
  },
}

function* problems(set: ReplicaSet, old: ReplicaSet | undefined): Complaints {
  yield* workloadProblems(set, 'ReplicaSet', old)
  if (set.spec.template) yield* alwaysRestartedTemplateProblems(set.spec.template, 'spec.template')
}
