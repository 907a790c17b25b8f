/** A Service is a stable name and address for a set of pods. */
import type { Service as ServiceType } from 'kubernetes-types/core/v1.js'
import type { KindDefinition } from './kind.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'

export type Service = Stored<ServiceType, 'spec'>

export const Service: KindDefinition<Service> = {
  group: '',
  version: 'v1',
  kind: 'Service',
  plural: 'services',
  singular: 'service',
  shortNames: ['svc'],
  namespaced: true,
  description: 'A Service is a stable name and address for a set of pods.',
  schema: builtin<Service>('io.k8s.api.core.v1.Service'),
  flavour: 'builtin',
  hasStatus: true,
  hasGeneration: false,
  columns: [],
  categories: ['all'],
  nameRule: 'dns1035',
  createOnUpdate: true,
}
