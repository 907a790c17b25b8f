/** Namespace: a scope for names, and what is deleted together. */
import type { Namespace as NamespaceType } from 'kubernetes-types/core/v1.js'
import { ageColumn, nameColumn } from './columns.ts'
import type { KindDefinition } from './kind.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'
import { labelProblem, refuseInvalid, wrong } from './validation.ts'

export type Namespace = Stored<NamespaceType>

const nameLabel = 'kubernetes.io/metadata.name'

export const Namespace: KindDefinition<Namespace> = {
  group: '',
  version: 'v1',
  kind: 'Namespace',
  plural: 'namespaces',
  singular: 'namespace',
  shortNames: ['ns'],
  namespaced: false,
  description: 'A Namespace is a scope for names, and what is deleted together.',
  schema: builtin<Namespace>('io.k8s.api.core.v1.Namespace'),
  flavour: 'builtin',
  hasStatus: true,
  hasGeneration: false,
  nameRule: 'label',
  columns: [
    nameColumn,
    {
      name: 'Status',
      type: 'string',
      description: 'Active, or Terminating while its objects are being deleted.',
      value: ({ status }) => status?.phase ?? '',
    },
    ageColumn,
  ],
  selectableFields: { 'status.phase': ({ status }) => status?.phase ?? '' },
  admit(namespace, { operation, subresource, old }) {
    if (subresource === 'status' || subresource === 'finalize') return namespace
    const { name, labels } = namespace.metadata
    const labelled =
      labels?.[nameLabel] === name
        ? namespace
        : {
            ...namespace,
            metadata: { ...namespace.metadata, labels: { ...labels, [nameLabel]: name } },
          }
    // Only `/finalize` takes finalizers away: it is how a namespace ends.
    if (operation === 'UPDATE') return { ...labelled, spec: old?.spec ?? labelled.spec ?? {} }
    const problem = name ? labelProblem(name) : undefined
    refuseInvalid(Namespace, namespace, problem ? [wrong('metadata.name', name, problem)] : [])
    const finalizers = labelled.spec?.finalizers ?? []
    return {
      ...labelled,
      spec: {
        ...labelled.spec,
        finalizers: finalizers.includes('kubernetes') ? finalizers : [...finalizers, 'kubernetes'],
      },
      status: { phase: 'Active' },
    }
  },
}
