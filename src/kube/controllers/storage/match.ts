/** Which volume a claim gets: the smallest that offers what it asks for (upstream: pkg/controller/volume/persistentvolume). Pure. */
import type { PersistentVolumeClaim } from '../../api/persistent-volume-claim.ts'
import type { PersistentVolume } from '../../api/persistent-volume.ts'
import { compareQuantities } from '../../api/quantity.ts'
import { selectorMatcher } from '../../api/selectors.ts'

/** True when the volume is, or is meant to be, this claim's. */
export function isOf(
  { spec }: PersistentVolume,
  { metadata }: Pick<PersistentVolumeClaim, 'metadata'>,
): boolean {
  const ref = spec?.claimRef
  return (
    ref !== undefined &&
    ref.namespace === metadata.namespace &&
    ref.name === metadata.name &&
    (!ref.uid || ref.uid === metadata.uid)
  )
}

/** The volume to bind; undefined when there is none yet. */
export function findVolume(
  claim: PersistentVolumeClaim,
  volumes: Iterable<PersistentVolume>,
): PersistentVolume | undefined {
  const { spec: wanted = {} } = claim
  let best: PersistentVolume | undefined
  for (const volume of volumes) {
    const { spec: offered = {}, metadata } = volume
    if (metadata.deletionTimestamp) continue
    if (wanted.volumeName) {
      if (metadata.name !== wanted.volumeName) continue
      return !offered.claimRef || isOf(volume, claim) ? volume : undefined
    }
    if (offered.claimRef) {
      if (isOf(volume, claim)) return volume // made or kept for it
      continue
    }
    if ((offered.storageClassName ?? '') !== (wanted.storageClassName ?? '')) continue
    if ((offered.volumeMode ?? 'Filesystem') !== (wanted.volumeMode ?? 'Filesystem')) continue
    if (!wanted.accessModes?.every((mode) => offered.accessModes?.includes(mode))) continue
    if (compareQuantities(sizeOf(offered), requestOf(claim)) < 0) continue
    if (wanted.selector && !selectorMatcher(wanted.selector)(metadata.labels ?? {})) continue
    if (!best || compareQuantities(sizeOf(offered), sizeOf(best.spec)) < 0) best = volume
  }
  return best
}

export const sizeOf = (spec: PersistentVolume['spec']): string => spec?.capacity?.['storage'] ?? '0'

export const requestOf = ({ spec }: PersistentVolumeClaim): string =>
  spec?.resources?.requests?.['storage'] ?? '0'
