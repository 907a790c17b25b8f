/** PersistentVolume: storage of the machine that one claim at a time may have. */
import type { PersistentVolume as VolumeType } from 'kubernetes-types/core/v1.js'
import { ageColumn, nameColumn } from './columns.ts'
import type { AdmissionContext, Column, KindDefinition } from './kind.ts'
import { accessModes, modesText } from './persistent-volume-claim.ts'
import { compareQuantities } from './quantity.ts'
import { builtin } from './schema.ts'
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

export type PersistentVolume = Stored<VolumeType>

/** Kept until no claim is bound to the volume. */
export const volumeProtection = 'kubernetes.io/pv-protection'

const policies = ['Delete', 'Recycle', 'Retain']
/** Fields of the spec that are no source of storage. */
const plain = new Set([
  'accessModes',
  'capacity',
  'claimRef',
  'mountOptions',
  'nodeAffinity',
  'persistentVolumeReclaimPolicy',
  'storageClassName',
  'volumeAttributesClassName',
  'volumeMode',
])

const text = (
  name: string,
  description: string,
  value: (volume: PersistentVolume) => string,
  priority = 0,
): Column<PersistentVolume> => ({ name, type: 'string', description, value, priority })

export const PersistentVolume: KindDefinition<PersistentVolume> = {
  group: '',
  version: 'v1',
  kind: 'PersistentVolume',
  plural: 'persistentvolumes',
  singular: 'persistentvolume',
  shortNames: ['pv'],
  namespaced: false,
  description: 'A PersistentVolume is storage that one claim at a time may have.',
  schema: builtin<PersistentVolume>('io.k8s.api.core.v1.PersistentVolume'),
  flavour: 'builtin',
  hasStatus: true,
  hasGeneration: false,
  columns: [
    nameColumn,
    text('Capacity', 'How much it holds.', ({ spec }) => spec?.capacity?.['storage'] ?? ''),
    text('Access Modes', 'How it may be mounted.', ({ spec }) => modesText(spec?.accessModes)),
    text(
      'Reclaim Policy',
      'What becomes of it without its claim.',
      ({ spec }) => spec?.persistentVolumeReclaimPolicy ?? '',
    ),
    text('Status', 'Whether a claim has it.', ({ metadata, status }) =>
      metadata.deletionTimestamp ? 'Terminating' : (status?.phase ?? ''),
    ),
    text('Claim', 'The claim that has it.', ({ spec }) =>
      spec?.claimRef ? `${spec.claimRef.namespace ?? ''}/${spec.claimRef.name ?? ''}` : '',
    ),
    text('StorageClass', 'The class it belongs to.', ({ spec }) => spec?.storageClassName ?? ''),
    text(
      'VolumeAttributesClass',
      'The class of its attributes.',
      ({ spec }) => Object(spec)['volumeAttributesClassName'] ?? '<unset>',
    ),
    text('Reason', 'Why it is in its state.', ({ status }) => status?.reason ?? ''),
    ageColumn,
    text('VolumeMode', 'Files or a block device.', ({ spec }) => spec?.volumeMode ?? '<unset>', 1),
  ],
  admit(volume, context) {
    if (context.subresource === 'status') return volume
    const defaulted = {
      ...volume,
      spec: fill(volume.spec ?? {}, {
        persistentVolumeReclaimPolicy: 'Retain',
        volumeMode: 'Filesystem',
      }),
    }
    refuseInvalid(PersistentVolume, defaulted, problems(defaulted, context))
    if (context.operation === 'UPDATE') return defaulted
    const { finalizers = [] } = defaulted.metadata
    return {
      ...defaulted,
      metadata: {
        ...defaulted.metadata,
        finalizers: finalizers.includes(volumeProtection)
          ? finalizers
          : [...finalizers, volumeProtection],
      },
      status: { phase: 'Pending' },
    }
  },
}

function* problems(
  { spec = {} }: PersistentVolume,
  { old }: AdmissionContext<PersistentVolume>,
): Complaints {
  if (!spec.accessModes?.length) yield required('spec.accessModes')
  for (const mode of spec.accessModes ?? [])
    if (!accessModes.some((known) => known === mode))
      yield notSupported('spec.accessModes', mode, accessModes.toSorted())
  const storage = spec.capacity?.['storage']
  if (storage === undefined) yield required('spec.capacity')
  else if (compareQuantities(storage, '0') <= 0)
    yield wrong('spec.capacity[storage]', storage, 'must be greater than zero')
  const policy = spec.persistentVolumeReclaimPolicy
  if (policy !== undefined && !policies.includes(policy))
    yield notSupported('spec.persistentVolumeReclaimPolicy', policy, policies)
  const sources = sourcesOf(spec)
  if (sources.length === 0) yield required('spec', 'must specify a volume type')
  for (const [name] of sources.slice(1))
    yield notAllowed(`spec.${name}`, 'may not specify more than 1 volume type')
  if (spec.hostPath && !spec.hostPath.path) yield required('spec.hostPath.path')
  if (spec.hostPath?.path?.split('/').includes('..'))
    yield wrong('spec.hostPath.path', spec.hostPath.path, "must not contain '..'")
  if (spec.local && !spec.local.path) yield required('spec.local.path')
  if (spec.local && !spec.nodeAffinity)
    yield required('spec.nodeAffinity', 'Local volume requires node affinity')
  if (old?.spec && !sameJson(sources, sourcesOf(old.spec)))
    yield notAllowed(
      'spec.persistentvolumesource',
      'spec.persistentvolumesource is immutable after creation',
    )
}

const sourcesOf = (spec: object): readonly (readonly [string, unknown])[] =>
  Object.entries(spec).filter(([name, value]) => !plain.has(name) && value !== undefined)
