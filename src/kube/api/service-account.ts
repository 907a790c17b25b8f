/** ServiceAccount: the identity of the processes in a pod. */
import type { ServiceAccount as ServiceAccountType } from 'kubernetes-types/core/v1.js'
import { ageColumn, nameColumn } from './columns.ts'
import type { KindDefinition } from './kind.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'

export type ServiceAccount = Stored<ServiceAccountType>

export const ServiceAccount: KindDefinition<ServiceAccount> = {
  group: '',
  version: 'v1',
  kind: 'ServiceAccount',
  plural: 'serviceaccounts',
  singular: 'serviceaccount',
  shortNames: ['sa'],
  namespaced: true,
  description: 'A ServiceAccount is the identity of the processes in a pod.',
  schema: builtin<ServiceAccount>('io.k8s.api.core.v1.ServiceAccount'),
  flavour: 'builtin',
  hasStatus: false,
  hasGeneration: false,
  columns: [
    nameColumn,
    {
      name: 'Secrets',
      type: 'string',
      description: 'How many secrets it names.',
      value: ({ secrets = [] }) => String(secrets.length),
    },
    ageColumn,
  ],
}
