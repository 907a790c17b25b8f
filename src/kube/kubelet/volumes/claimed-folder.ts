/** The folder behind a PersistentVolumeClaim: that of the volume it is bound to, if that is one of this machine. */
import { mkdir, stat } from 'node:fs/promises'
import { PersistentVolumeClaim } from '../../api/persistent-volume-claim.ts'
import { PersistentVolume } from '../../api/persistent-volume.ts'
import { hasReason } from '../../api/status-error.ts'
import type { Client } from '../../client/client.ts'
import type { ClaimedFolder } from './volumes.ts'

/** Rejects with why there is none now, in words for the event FailedMount. */
export async function claimedFolder(
  client: Client,
  namespace: string,
  name: string,
): Promise<ClaimedFolder> {
  const claim = await client.get(PersistentVolumeClaim, { namespace, name }).catch(missing)
  if (!claim) throw new Error(`persistentvolumeclaim "${name}" not found`)
  const volumeName = claim.spec?.volumeName ?? ''
  if (claim.status?.phase !== 'Bound' || volumeName === '')
    throw new Error(
      `persistentvolumeclaim "${name}" is ${claim.status?.phase ?? 'Pending'}: it has no volume yet`,
    )
  const volume = await client
    .get(PersistentVolume, { namespace: '', name: volumeName })
    .catch(missing)
  if (!volume) throw new Error(`persistentvolume "${volumeName}" not found`)
  const { hostPath, local, accessModes = [] } = volume.spec ?? {}
  const path = hostPath?.path ?? local?.path
  if (!path)
    throw new Error(
      `persistentvolume "${volumeName}" is no folder of this machine (hostPath or local)`,
    )
  if (!hostPath?.type || hostPath.type === 'DirectoryOrCreate')
    await mkdir(path, { recursive: true })
  else await stat(path)
  return { path, readOnly: accessModes.every((mode) => mode === 'ReadOnlyMany') }
}

function missing(error: unknown): undefined {
  if (!hasReason(error, 'NotFound')) throw error
}
