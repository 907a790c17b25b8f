/**
 * The provisioner of this machine: a volume is a folder below the data directory, as local-path provisioners make them.
 * Its size is what was asked for, and is not enforced.
 */
import { chmod, mkdir, rm } from 'node:fs/promises'
import { join, sep } from 'node:path'
import type { PersistentVolumeClaim } from '../../api/persistent-volume-claim.ts'
import type { PersistentVolume } from '../../api/persistent-volume.ts'
import { defaultClassAnnotation, StorageClass } from '../../api/storage-class.ts'
import { requestOf } from './match.ts'

export const provisioner = 'ebb.dev/local-folder'
export const provisionedBy = 'pv.kubernetes.io/provisioned-by'

/** The class of claims that name none. */
export const standardClass: StorageClass = {
  apiVersion: 'storage.k8s.io/v1',
  kind: 'StorageClass',
  metadata: { name: 'standard', annotations: { [defaultClassAnnotation]: 'true' } },
  provisioner,
  reclaimPolicy: 'Delete',
  volumeBindingMode: 'Immediate',
  allowVolumeExpansion: true,
}

/** Makes the folder and answers the volume that stands for it. */
export async function provision(
  folder: string,
  claim: PersistentVolumeClaim,
  storageClass: StorageClass,
): Promise<PersistentVolume> {
  const { namespace = '', name: claimName, uid = '' } = claim.metadata
  const name = `pvc-${uid}`
  const path = join(folder, `${name}_${namespace}_${claimName}`)
  await mkdir(path, { recursive: true })
  await chmod(path, 0o777)
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name, annotations: { [provisionedBy]: provisioner } },
    spec: {
      accessModes: claim.spec?.accessModes ?? [],
      capacity: { storage: requestOf(claim) },
      claimRef: claimReference(claim),
      hostPath: { path, type: 'DirectoryOrCreate' },
      persistentVolumeReclaimPolicy: storageClass.reclaimPolicy ?? 'Delete',
      storageClassName: storageClass.metadata.name,
      volumeMode: 'Filesystem',
    },
  }
}

export const claimReference = ({ metadata }: PersistentVolumeClaim) => ({
  apiVersion: 'v1',
  kind: 'PersistentVolumeClaim',
  name: metadata.name,
  ...(metadata.namespace && { namespace: metadata.namespace }),
  ...(metadata.uid && { uid: metadata.uid }),
})

/** Removes a volume's folder. Throws when it is not one of ours, whoever says so. */
export async function removeFolder(folder: string, volume: PersistentVolume): Promise<void> {
  const path = volume.spec?.hostPath?.path ?? ''
  const own = volume.metadata.annotations?.[provisionedBy] === provisioner
  if (!own || !path.startsWith(folder + sep) || path.slice(folder.length + 1).includes(sep))
    throw new Error(
      `only volumes that the platform made are deleted, and ${JSON.stringify(path)} is not one; use reclaim policy Retain`,
    )
  await rm(path, { recursive: true, force: true })
}
