/** A Namespace is a scope for names, and what is deleted together. */
import type { Namespace as NamespaceType } from 'kubernetes-types/core/v1.js'
import type { KindDefinition } from './kind.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'

export type Namespace = Stored<NamespaceType>

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
  columns: [],
  nameRule: 'label',
}
