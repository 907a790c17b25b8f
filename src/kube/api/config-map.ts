/** A ConfigMap holds configuration for pods and programs to read. */
import type { ConfigMap as ConfigMapType } from 'kubernetes-types/core/v1.js'
import type { KindDefinition } from './kind.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'

export type ConfigMap = Stored<ConfigMapType>

export const ConfigMap: KindDefinition<ConfigMap> = {
  group: '',
  version: 'v1',
  kind: 'ConfigMap',
  plural: 'configmaps',
  singular: 'configmap',
  shortNames: ['cm'],
  namespaced: true,
  description: 'A ConfigMap holds configuration for pods and programs to read.',
  schema: builtin<ConfigMap>('io.k8s.api.core.v1.ConfigMap'),
  flavour: 'builtin',
  hasStatus: false,
  hasGeneration: false,
  columns: [],
}
