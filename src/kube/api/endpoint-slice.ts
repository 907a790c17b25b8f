/** An EndpointSlice holds a part of the addresses and ports that implement a Service. */
import type { EndpointSlice as EndpointSliceType } from 'kubernetes-types/discovery/v1.js'
import type { KindDefinition } from './kind.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'

export type EndpointSlice = Stored<EndpointSliceType>

export const EndpointSlice: KindDefinition<EndpointSlice> = {
  group: 'discovery.k8s.io',
  version: 'v1',
  kind: 'EndpointSlice',
  plural: 'endpointslices',
  singular: 'endpointslice',
  namespaced: true,
  description: 'An EndpointSlice holds a part of the addresses and ports that implement a Service.',
  schema: builtin<EndpointSlice>('io.k8s.api.discovery.v1.EndpointSlice'),
  flavour: 'builtin',
  hasStatus: false,
  hasGeneration: true,
  columns: [],
}
