/**
 * PersistentVolumeClaim: storage that outlives pods, as a pod's author asks for it. A claim that names no class gets the
 * default one, and is kept from vanishing while pods use it.
 */
import type { PersistentVolumeClaim as ClaimType } from 'kubernetes-types/core/v1.js'
import { ageColumn, nameColumn } from './columns.ts'
import type { AdmissionContext, Column, KindDefinition } from './kind.ts'
import { compareQuantities } from './quantity.ts'
import { builtin } from './schema.ts'
import { isDefaultClass, StorageClass } from './storage-class.ts'
import type { Stored } from './stored.ts'
import {
  fill,
  notAllowed,
  notSupported,
  refuseInvalid,
  required,
  sameJson,
  wrong,
  type Complaints,
} from './validation.ts'

export type PersistentVolumeClaim = Stored<ClaimType>

/** Kept until no pod uses the claim. */
export const claimProtection = 'kubernetes.io/pvc-protection'

export const accessModes = [
  'ReadWriteOnce',
  'ReadOnlyMany',
  'ReadWriteMany',
  'ReadWriteOncePod',
] as const

const shortModes: Readonly<Record<string, string>> = {
  ReadWriteOnce: 'RWO',
  ReadOnlyMany: 'ROX',
  ReadWriteMany: 'RWX',
  ReadWriteOncePod: 'RWOP',
}

/** `RWO,ROX`, in Kubernetes' order. */
export const modesText = (modes: readonly string[] = []): string =>
  accessModes
    .filter((mode) => modes.includes(mode))
    .map((mode) => shortModes[mode])
    .join(',')

const text = (
  name: string,
  description: string,
  value: (claim: PersistentVolumeClaim) => string,
  priority = 0,
): Column<PersistentVolumeClaim> => ({ name, type: 'string', description, value, priority })

export const PersistentVolumeClaim: KindDefinition<PersistentVolumeClaim> = {
  group: '',
  version: 'v1',
  kind: 'PersistentVolumeClaim',
  plural: 'persistentvolumeclaims',
  singular: 'persistentvolumeclaim',
  shortNames: ['pvc'],
  namespaced: true,
  description: 'A PersistentVolumeClaim asks for storage that outlives pods.',
  schema: builtin<PersistentVolumeClaim>('io.k8s.api.core.v1.PersistentVolumeClaim'),
  flavour: 'builtin',
  hasStatus: true,
  hasGeneration: false,
  columns: [
    nameColumn,
    text('Status', 'Whether it has a volume.', ({ metadata, status }) =>
      metadata.deletionTimestamp ? 'Terminating' : (status?.phase ?? ''),
    ),
    text('Volume', 'The volume it is bound to.', ({ spec }) => spec?.volumeName ?? ''),
    text('Capacity', 'How much its volume holds.', ({ spec, status }) =>
      spec?.volumeName ? (status?.capacity?.['storage'] ?? '0') : '',
    ),
    text('Access Modes', 'How it may be mounted.', ({ spec, status }) =>
      spec?.volumeName ? modesText(status?.accessModes) : '',
    ),
    text('StorageClass', 'The class it asks for.', ({ spec }) => spec?.storageClassName ?? ''),
    text(
      'VolumeAttributesClass',
      'The class of attributes it asks for.',
      ({ spec }) => Object(spec)['volumeAttributesClassName'] ?? '<unset>',
    ),
    ageColumn,
    text('VolumeMode', 'Files or a block device.', ({ spec }) => spec?.volumeMode ?? '<unset>', 1),
  ],
  admit(claim, context) {
    if (context.subresource === 'status') return claim
    const defaulted = withDefaults(claim, context)
    refuseInvalid(PersistentVolumeClaim, defaulted, [
      ...problems(defaulted),
      ...changes(defaulted, context),
    ])
    if (context.operation === 'UPDATE') return defaulted
    const { finalizers = [] } = defaulted.metadata
    return {
      ...defaulted,
      metadata: {
        ...defaulted.metadata,
        finalizers: finalizers.includes(claimProtection)
          ? finalizers
          : [...finalizers, claimProtection],
      },
      status: { phase: 'Pending' },
    }
  },
}

function withDefaults(
  claim: PersistentVolumeClaim,
  context: AdmissionContext<PersistentVolumeClaim>,
): PersistentVolumeClaim {
  const spec = fill(claim.spec ?? {}, { volumeMode: 'Filesystem' })
  if (context.operation === 'UPDATE' || spec.storageClassName !== undefined)
    return { ...claim, spec }
  const named = context.list(StorageClass, '').filter(isDefaultClass)
  const newest = named.toSorted((a, b) =>
    (b.metadata.creationTimestamp ?? '').localeCompare(a.metadata.creationTimestamp ?? ''),
  )[0]
  return {
    ...claim,
    spec: { ...spec, ...(newest && { storageClassName: newest.metadata.name }) },
  }
}

function* problems({ spec }: PersistentVolumeClaim): Complaints {
  const modes = spec?.accessModes ?? []
  if (modes.length === 0) yield required('spec.accessModes', 'at least 1 access mode is required')
  for (const mode of modes)
    if (!accessModes.some((known) => known === mode))
      yield notSupported('spec.accessModes', mode, accessModes.toSorted())
  if (modes.length > 1 && modes.includes('ReadWriteOncePod'))
    yield notAllowed('spec.accessModes', 'may not use ReadWriteOncePod with other access modes')
  const request = spec?.resources?.requests?.['storage']
  if (request === undefined) yield required('spec.resources[storage]')
  else if (compareQuantities(request, '0') <= 0)
    yield wrong('spec.resources[storage]', request, 'must be greater than zero')
  const { volumeMode } = spec ?? {}
  if (volumeMode !== undefined && volumeMode !== 'Filesystem' && volumeMode !== 'Block')
    yield notSupported('spec.volumeMode', volumeMode, ['Block', 'Filesystem'])
}

/** What was asked for stays; a volume may be named once, more may be asked for of a bound claim. */
function* changes(
  { spec: now = {} }: PersistentVolumeClaim,
  { old }: AdmissionContext<PersistentVolumeClaim>,
): Complaints {
  const before = old?.spec
  if (!before) return
  const fixed = ({ resources: _r, volumeName, storageClassName, ...rest }: typeof now) => ({
    ...rest,
    volumeName: before.volumeName ? volumeName : undefined,
    storageClassName: before.storageClassName === undefined ? undefined : storageClassName,
  })
  if (!sameJson(fixed(now), fixed(before)))
    yield notAllowed(
      'spec',
      'spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims',
    )
  const wanted = now.resources?.requests?.['storage']
  const held = before.resources?.requests?.['storage']
  if (wanted === undefined || held === undefined || wanted === held) return
  if (old.status?.phase !== 'Bound')
    yield notAllowed(
      'spec',
      'spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims',
    )
  else if (compareQuantities(wanted, old.status.capacity?.['storage'] ?? held) < 0)
    yield notAllowed(
      'spec.resources.requests.storage',
      'field can not be less than status.capacity',
    )
}
