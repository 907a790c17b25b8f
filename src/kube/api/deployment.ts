/** A Deployment keeps a number of equal pods running and rolls out changes of their template. */
import type { Deployment as DeploymentType } from 'kubernetes-types/apps/v1.js'
import type { KindDefinition } from './kind.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'

export type Deployment = Stored<DeploymentType, 'spec'>

export const Deployment: KindDefinition<Deployment> = {
  group: 'apps',
  version: 'v1',
  kind: 'Deployment',
  plural: 'deployments',
  singular: 'deployment',
  shortNames: ['deploy'],
  namespaced: true,
  description:
    'A Deployment keeps a number of equal pods running and rolls out changes of their template.',
  schema: builtin<Deployment>('io.k8s.api.apps.v1.Deployment'),
  flavour: 'builtin',
  hasStatus: true,
  hasGeneration: true,
  columns: [],
  categories: ['all'],
}
