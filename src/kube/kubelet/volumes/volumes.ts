/**
 * The volumes of a pod as folders of this machine, and what of them a container mounts where: emptyDir, hostPath,
 * persistentVolumeClaim, and files made of ConfigMaps, Secrets, downward API fields and tokens. Volumes that no container
 * mounts are not looked at.
 */
import { chmod, chown, mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { quantityValue } from '../../api/quantity.ts'
import type { ContainerDefinition } from '../container/container-state.ts'
import { ConfigError } from '../container/env.ts'
import type { ContainerMount } from '../runtime.ts'
import { writeFiles } from './atomic-folder.ts'
import { checkHostPath } from './host-path.ts'
import { mountMemory } from './memory-volume.ts'
import { mountFailed } from './mount-error.ts'
import { filesOf, isOfFiles, type FileSources, type Volume } from './projected-files.ts'
import { openSubPath, subPathOf } from './sub-path.ts'

export interface VolumeWorld extends FileSources {
  /** Folder of a claim's volume. Rejects with why it has none now. */
  readonly claim?: (name: string) => Promise<ClaimedFolder>
  /** The container's environment, for `subPathExpr`. */
  readonly env?: Readonly<Record<string, string>>
}

export interface ClaimedFolder {
  readonly path: string
  readonly readOnly: boolean
}

/** Prepares what `container` mounts, below `folder`. Throws MountError, ConfigError. */
export async function prepareMounts(
  container: ContainerDefinition,
  folder: string,
  sources: VolumeWorld,
  isImplied: (volume: string) => boolean = () => false,
): Promise<readonly ContainerMount[]> {
  const mounts: ContainerMount[] = []
  for (const mount of container.volumeMounts ?? []) {
    const volume = volumeOf(mount.name, sources)
    const { path, readOnly } = await placeOf(volume, join(folder, volume.name), sources)
    const subPath = subPathOf(mount, sources.env ?? {})
    const hostPath =
      subPath === ''
        ? path
        : await openSubPath(path, subPath, {
            volume: volume.name,
            container: container.name,
            create: !isOfFiles(volume),
          })
    mounts.push({
      path: mount.mountPath,
      hostPath,
      readOnly: readOnly || (mount.readOnly ?? false),
      ...(isImplied(volume.name) && { implied: true }),
    })
  }
  return mounts
}

/** Brings the files that running containers see up to date; nothing but files changes while a pod runs. */
export async function refreshFiles(
  names: Iterable<string>,
  folder: string,
  sources: VolumeWorld,
): Promise<void> {
  for (const name of names) {
    const volume = volumeOf(name, sources)
    if (isOfFiles(volume)) await placeOf(volume, join(folder, name), sources)
  }
}

function volumeOf(name: string, { world }: VolumeWorld): Volume {
  const volume = world.pod.spec.volumes?.find((each) => each.name === name)
  if (!volume) throw new ConfigError(`volume "${name}" not found`)
  return volume
}

interface Place {
  readonly path: string
  readonly readOnly: boolean
}

/** Makes the volume, at `folder` unless it lies elsewhere. */
async function placeOf(volume: Volume, folder: string, sources: VolumeWorld): Promise<Place> {
  const { emptyDir, hostPath, persistentVolumeClaim: claim } = volume
  const group = groupOf(sources)
  if (isOfFiles(volume)) {
    await writeFiles(folder, await filesOf(volume, sources), group)
    return { path: folder, readOnly: true }
  }
  if (emptyDir) {
    const { medium = '', sizeLimit } = emptyDir
    if (medium === 'Memory')
      await mountMemory(folder, sizeLimit === undefined ? undefined : quantityValue(sizeLimit))
    else await mkdir(folder, { recursive: true, mode: 0o777 })
    await own(folder, 0o777, group)
    return { path: folder, readOnly: false }
  }
  if (hostPath) return { path: await checkHostPath(volume, hostPath), readOnly: false }
  if (claim) {
    const found = await claimed(volume, claim.claimName, sources)
    if (!found.readOnly) await own(found.path, 0o777, group)
    return { path: found.path, readOnly: found.readOnly || (claim.readOnly ?? false) }
  }
  const kind = Object.keys(volume).find((key) => key !== 'name') ?? 'nothing'
  throw mountFailed(
    volume,
    `volumes of type ${kind} are not supported here; use emptyDir, configMap, secret, downwardAPI, projected, hostPath or persistentVolumeClaim`,
  )
}

async function claimed(
  volume: Volume,
  name: string,
  { claim }: VolumeWorld,
): Promise<ClaimedFolder> {
  if (!claim) throw mountFailed(volume, 'there are no persistent volumes here')
  try {
    return await claim(name)
  } catch (error) {
    throw mountFailed(volume, error instanceof Error ? error.message : String(error))
  }
}

/** fsGroup, where it can be given. */
const groupOf = ({ world }: VolumeWorld): number | undefined =>
  process.getuid?.() === 0 ? world.pod.spec.securityContext?.fsGroup : undefined

/** Open to all as Kubernetes leaves it; with a group, what is made in it belongs to the group. */
async function own(folder: string, mode: number, group: number | undefined): Promise<void> {
  const seen = await stat(folder)
  if (group === undefined) {
    if ((seen.mode & 0o777) !== mode) await chmod(folder, mode)
    return
  }
  if (seen.gid !== group) await chown(folder, seen.uid, group)
  if ((seen.mode & 0o2777) !== (mode | 0o2000)) await chmod(folder, mode | 0o2000)
}
