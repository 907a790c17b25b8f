/** StorageClass: how volumes for claims are made, and when. */
import type { StorageClass as StorageClassType } from 'kubernetes-types/storage/v1.js'
import { ageColumn } from './columns.ts'
import type { AdmissionContext, KindDefinition } from './kind.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'
import {
  fill,
  notAllowed,
  notSupported,
  refuseInvalid,
  required,
  sameJson,
  type Complaints,
} from './validation.ts'

export type StorageClass = Stored<StorageClassType>

/** On a class: `true` makes it the one of claims that name none. */
export const defaultClassAnnotation = 'storageclass.kubernetes.io/is-default-class'

const policies = ['Delete', 'Retain']
const modes = ['Immediate', 'WaitForFirstConsumer']

export const StorageClass: KindDefinition<StorageClass> = {
  group: 'storage.k8s.io',
  version: 'v1',
  kind: 'StorageClass',
  plural: 'storageclasses',
  singular: 'storageclass',
  shortNames: ['sc'],
  namespaced: false,
  description: 'A StorageClass says how volumes are made for claims that ask for it.',
  schema: builtin<StorageClass>('io.k8s.api.storage.v1.StorageClass'),
  flavour: 'builtin',
  hasStatus: false,
  hasGeneration: false,
  columns: [
    {
      name: 'Name',
      type: 'string',
      format: 'name',
      description: 'The name of the class.',
      value: ({ metadata }) =>
        isDefaultClass({ metadata }) ? `${metadata.name} (default)` : metadata.name,
    },
    {
      name: 'Provisioner',
      type: 'string',
      description: 'Who makes the volumes.',
      value: ({ provisioner }) => provisioner,
    },
    {
      name: 'ReclaimPolicy',
      type: 'string',
      description: 'What becomes of a volume whose claim is deleted.',
      value: ({ reclaimPolicy }) => reclaimPolicy ?? 'Delete',
    },
    {
      name: 'VolumeBindingMode',
      type: 'string',
      description: 'Whether volumes are made at once or for the first pod.',
      value: ({ volumeBindingMode }) => volumeBindingMode ?? 'Immediate',
    },
    {
      name: 'AllowVolumeExpansion',
      type: 'string',
      description: 'Whether claims may ask for more later.',
      value: ({ allowVolumeExpansion }) => String(allowVolumeExpansion ?? false),
    },
    ageColumn,
  ],
  admit(given, context) {
    const filled = fill(given, { reclaimPolicy: 'Delete', volumeBindingMode: 'Immediate' })
    return refuseInvalid(StorageClass, filled, problems(filled, context))
  },
}

export const isDefaultClass = ({ metadata }: Pick<StorageClass, 'metadata'>): boolean =>
  metadata.annotations?.[defaultClassAnnotation] === 'true'

function* problems(now: StorageClass, { old }: AdmissionContext<StorageClass>): Complaints {
  if (!now.provisioner) yield required('provisioner')
  if (now.reclaimPolicy !== undefined && !policies.includes(now.reclaimPolicy))
    yield notSupported('reclaimPolicy', now.reclaimPolicy, policies)
  if (now.volumeBindingMode !== undefined && !modes.includes(now.volumeBindingMode))
    yield notSupported('volumeBindingMode', now.volumeBindingMode, modes)
  if (!old) return
  for (const field of ['parameters', 'provisioner', 'reclaimPolicy', 'volumeBindingMode'] as const)
    if (!sameJson(now[field] ?? null, old[field] ?? null))
      yield notAllowed(field, `updates to ${field} are forbidden.`)
}
