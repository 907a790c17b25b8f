/** Lease: who holds something, and until when. Heartbeats and leader election. */
import type { Lease as LeaseType } from 'kubernetes-types/coordination/v1.js'
import { ageColumn, nameColumn } from './columns.ts'
import type { KindDefinition } from './kind.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'
import { notNegative, refuseInvalid, wrong, type Complaints } from './validation.ts'

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
  createOnUpdate: true,
  unconditionalUpdate: false,
  columns: [
    nameColumn,
    {
      name: 'Holder',
      type: 'string',
      description: 'Who holds it.',
      value: ({ spec }) => spec?.holderIdentity ?? '',
    },
    ageColumn,
  ],
  admit: (lease) => refuseInvalid(Lease, lease, problems(lease)),
}

function* problems({ spec }: Lease): Complaints {
  if (spec?.leaseDurationSeconds !== undefined && spec.leaseDurationSeconds <= 0)
    yield wrong('spec.leaseDurationSeconds', spec.leaseDurationSeconds, 'must be greater than 0')
  yield* notNegative('spec.leaseTransitions', spec?.leaseTransitions)
}
