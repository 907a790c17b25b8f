/**
 * The volumes of a pod as folders: emptyDir, and ConfigMaps, Secrets, downward API fields and projections of them as
 * files. Files are swapped by one rename of the `..data` link, as kubelet's atomic writer does, so that a reader sees
 * one version or the other.
 */
import { randomUUID } from 'node:crypto'
import { chmod, mkdir, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join, normalize } from 'node:path'
import type { ConfigMap } from '../api/config-map.ts'
import type { Pod } from '../api/pod.ts'
import type { Secret } from '../api/secret.ts'
import { allContainers, type ContainerDefinition } from './container-state.ts'
import { ConfigError, fieldValue, resourceValue, type EnvWorld } from './env.ts'

type Volume = NonNullable<Pod['spec']['volumes']>[number]

/** A volume that can't be set up (yet): retried; the message is that of the event FailedMount. */
export class MountError extends Error {
  override readonly name = 'MountError'
}

export interface VolumeWorld {
  readonly configMap: (name: string) => Promise<ConfigMap | undefined>
  readonly secret: (name: string) => Promise<Secret | undefined>
  readonly world: Pick<EnvWorld, 'pod' | 'podIP' | 'hostIP' | 'allocatable'>
}

export interface Mount {
  readonly path: string
  readonly hostPath: string
  readonly readOnly: boolean
}

/** Prepares what `container` mounts, below `folder`. Throws MountError, ConfigError. */
export async function prepareMounts(
  container: ContainerDefinition,
  folder: string,
  sources: VolumeWorld,
): Promise<readonly Mount[]> {
  const { pod } = sources.world
  const mounts: Mount[] = []
  for (const mount of container.volumeMounts ?? []) {
    const volume = pod.spec.volumes?.find(({ name }) => name === mount.name)
    if (!volume) throw new ConfigError(`volume "${mount.name}" not found`)
    let hostPath = join(folder, volume.name)
    const files = await filesOf(volume, sources)
    await mkdir(hostPath, { recursive: true, mode: 0o777 })
    if (files === 'empty') await chmod(hostPath, 0o777)
    else if (!(await holds(join(hostPath, '..data'), files))) await writeVersion(hostPath, files)
    const subPath = mount.subPath ?? ''
    if (subPath !== '') {
      if (subPath.startsWith('/') || normalize(subPath).startsWith('..'))
        throw new ConfigError(`subPath "${subPath}" must stay inside the volume`)
      hostPath = join(hostPath, subPath)
      if (files === 'empty') await mkdir(hostPath, { recursive: true, mode: 0o777 })
    }
    mounts.push({ path: mount.mountPath, hostPath, readOnly: mount.readOnly ?? files !== 'empty' })
  }
  return mounts
}

interface VolumeFile {
  readonly content: Uint8Array
  readonly mode: number
}

type Files = ReadonlyMap<string, VolumeFile>

async function filesOf(volume: Volume, sources: VolumeWorld): Promise<Files | 'empty'> {
  if (volume.emptyDir) return 'empty'
  const files = new Map<string, VolumeFile>()
  const all = volume.projected?.sources ?? [volume]
  const defaultMode = volume.projected?.defaultMode
  for (const source of all) {
    const { configMap, secret, downwardAPI } = source
    if (configMap) {
      const name = configMap.name ?? ''
      const found = await sources.configMap(name)
      if (!found && !configMap.optional) throw failed(volume, `configmap "${name}" not found`)
      const data = new Map([
        ...Object.entries(found?.data ?? {}).map(
          ([key, text]) => [key, Buffer.from(text)] as const,
        ),
        ...Object.entries(found?.binaryData ?? {}).map(
          ([key, text]) => [key, Buffer.from(text, 'base64')] as const,
        ),
      ])
      add(files, volume, data, configMap, defaultMode, `configmap`)
    } else if (secret) {
      const name =
        ('secretName' in secret ? secret.secretName : 'name' in secret ? secret.name : '') ?? ''
      const found = await sources.secret(name)
      if (!found && !secret.optional) throw failed(volume, `secret "${name}" not found`)
      const data = new Map(
        Object.entries(found?.data ?? {}).map(
          ([key, text]) => [key, Buffer.from(text, 'base64')] as const,
        ),
      )
      add(files, volume, data, secret, defaultMode, `secret`)
    } else if (downwardAPI) {
      for (const { path, fieldRef, resourceFieldRef, mode } of downwardAPI.items ?? []) {
        const container = allContainers(sources.world.pod).find(
          ({ name }) => name === resourceFieldRef?.containerName,
        )
        const text = fieldRef
          ? fieldValue(fieldRef.fieldPath, sources.world)
          : resourceFieldRef && container
            ? resourceValue(container, resourceFieldRef, sources.world)
            : ''
        const fallback = 'defaultMode' in downwardAPI ? downwardAPI.defaultMode : defaultMode
        files.set(inside(path), { content: Buffer.from(text), mode: mode ?? fallback ?? 0o644 })
      }
    } else {
      const kind = Object.keys(source).find((key) => key !== 'name') ?? 'nothing'
      throw failed(
        volume,
        `volumes of type ${kind} are not supported here; use emptyDir, configMap, secret, downwardAPI or projected`,
      )
    }
  }
  return files
}

interface Projection {
  readonly items?: readonly {
    readonly key: string
    readonly path: string
    readonly mode?: number
  }[]
  readonly optional?: boolean
  readonly defaultMode?: number
}

function add(
  files: Map<string, VolumeFile>,
  volume: Volume,
  data: ReadonlyMap<string, Uint8Array>,
  { items, optional, defaultMode }: Projection,
  outerMode: number | undefined,
  what: string,
): void {
  const fallback = defaultMode ?? outerMode ?? 0o644
  const chosen = items ?? [...data.keys()].map((key) => ({ key, path: key, mode: undefined }))
  for (const { key, path, mode } of chosen) {
    const content = data.get(key)
    if (content) files.set(inside(path), { content, mode: mode ?? fallback })
    else if (!optional) throw failed(volume, `references non-existent ${what} key: ${key}`)
  }
}

const failed = (volume: Volume, why: string): MountError =>
  new MountError(`MountVolume.SetUp failed for volume "${volume.name}" : ${why}`)

function inside(path: string): string {
  if (
    path === '' ||
    path.startsWith('/') ||
    path.split('/').includes('..') ||
    path.startsWith('..')
  )
    throw new ConfigError(`"${path}" must be a relative path inside the volume`)
  return normalize(path)
}

/** True when the folder has just these files. */
async function holds(folder: string, files: Files): Promise<boolean> {
  try {
    const names = await readdir(folder, { recursive: true, withFileTypes: true })
    if (names.filter((entry) => entry.isFile()).length !== files.size) return false
    for (const [path, { content }] of files)
      if (!(await readFile(join(folder, path))).equals(content)) return false
    return true
  } catch {
    return false // not written yet
  }
}

/** Writes a new version beside the old one and switches to it by one rename. */
async function writeVersion(folder: string, files: Files): Promise<void> {
  const version = `..${randomUUID().slice(0, 13)}`
  await mkdir(join(folder, version), { mode: 0o755 })
  for (const [path, { content, mode }] of files) {
    const target = join(folder, version, path)
    await mkdir(dirname(target), { recursive: true, mode: 0o755 })
    await writeFile(target, content, { mode })
    await chmod(target, mode)
  }
  const data = join(folder, '..data')
  await symlink(version, `${data}_tmp`)
  await rename(`${data}_tmp`, data)
  const tops = new Set([...files.keys()].map((path) => path.split('/')[0] ?? ''))
  for (const name of tops)
    await symlink(join('..data', name), join(folder, name)).catch(ignoreExisting)
  for (const entry of await readdir(folder)) {
    const stale = entry.startsWith('..')
      ? entry !== version && entry !== '..data'
      : !tops.has(entry)
    if (stale) await rm(join(folder, entry), { recursive: true, force: true })
  }
}

function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error
}
