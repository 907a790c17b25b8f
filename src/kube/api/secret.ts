/** A Secret holds confidential data, such as passwords and keys. */
import type { Secret as SecretType } from 'kubernetes-types/core/v1.js'
import type { KindDefinition } from './kind.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'

export type Secret = Stored<SecretType>

export const Secret: KindDefinition<Secret> = {
  group: '',
  version: 'v1',
  kind: 'Secret',
  plural: 'secrets',
  singular: 'secret',
  namespaced: true,
  description: 'A Secret holds confidential data, such as passwords and keys.',
  schema: builtin<Secret>('io.k8s.api.core.v1.Secret'),
  flavour: 'builtin',
  hasStatus: false,
  hasGeneration: false,
  columns: [],
}
