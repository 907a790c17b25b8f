/** Endpoints are the addresses and ports that implement a Service. */
import type { Endpoints as EndpointsType } from 'kubernetes-types/core/v1.js'
import type { KindDefinition } from './kind.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'

export type Endpoints = Stored<EndpointsType>

export const Endpoints: KindDefinition<Endpoints> = {
  group: '',
  version: 'v1',
  kind: 'Endpoints',
  plural: 'endpoints',
  singular: 'endpoints',
  shortNames: ['ep'],
  namespaced: true,
  description: 'Endpoints are the addresses and ports that implement a Service.',
  schema: builtin<Endpoints>('io.k8s.api.core.v1.Endpoints'),
  flavour: 'builtin',
  hasStatus: false,
  hasGeneration: false,
  columns: [],
  createOnUpdate: true,
}
