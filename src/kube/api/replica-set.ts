/** A ReplicaSet keeps a given number of pods of one template running. */
import type { ReplicaSet as ReplicaSetType } from 'kubernetes-types/apps/v1.js'
import type { KindDefinition } from './kind.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'

export type ReplicaSet = Stored<ReplicaSetType, 'spec'>

export const ReplicaSet: KindDefinition<ReplicaSet> = {
  group: 'apps',
  version: 'v1',
  kind: 'ReplicaSet',
  plural: 'replicasets',
  singular: 'replicaset',
  shortNames: ['rs'],
  namespaced: true,
  description: 'A ReplicaSet keeps a given number of pods of one template running.',
  schema: builtin<ReplicaSet>('io.k8s.api.apps.v1.ReplicaSet'),
  flavour: 'builtin',
  hasStatus: true,
  hasGeneration: true,
  columns: [],
  categories: ['all'],
}
