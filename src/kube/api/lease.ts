/** A Lease says who holds something, and until when: heartbeats and leader election. */
import type { Lease as LeaseType } from 'kubernetes-types/coordination/v1.js'
import type { KindDefinition } from './kind.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'

export type Lease = Stored<LeaseType>

export const Lease: KindDefinition<Lease> = {
  group: 'coordination.k8s.io',
  version: 'v1',
  kind: 'Lease',
  plural: 'leases',
  singular: 'lease',
  namespaced: true,
  description: 'A Lease says who holds something, and until when: heartbeats and leader election.',
  schema: builtin<Lease>('io.k8s.api.coordination.v1.Lease'),
  flavour: 'builtin',
  hasStatus: false,
  hasGeneration: false,
  columns: [],
  createOnUpdate: true,
  unconditionalUpdate: false,
}
