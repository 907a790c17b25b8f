/** A Pod is a group of containers that run together on one node and share an address. */
import type { Pod as PodType } from 'kubernetes-types/core/v1.js'
import type { KindDefinition } from './kind.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'

export type Pod = Stored<PodType, 'spec'>

export const Pod: KindDefinition<Pod> = {
  group: '',
  version: 'v1',
  kind: 'Pod',
  plural: 'pods',
  singular: 'pod',
  shortNames: ['po'],
  namespaced: true,
  description: 'A Pod is a group of containers that run together on one node and share an address.',
  schema: builtin<Pod>('io.k8s.api.core.v1.Pod'),
  flavour: 'builtin',
  hasStatus: true,
  hasGeneration: false,
  columns: [],
  categories: ['all'],
}
