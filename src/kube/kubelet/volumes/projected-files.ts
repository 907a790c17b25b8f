/**
 * The files of volumes that are made of API objects: configMap, secret, downwardAPI, and projections of these and of
 * service account tokens.
 */
import { normalize } from 'node:path'
import type { ConfigMap } from '../../api/config-map.ts'
import type { Pod } from '../../api/pod.ts'
import type { Secret } from '../../api/secret.ts'
import { allContainers } from '../container/container-state.ts'
import { ConfigError, fieldValue, resourceValue, type EnvWorld } from '../container/env.ts'
import type { Files, VolumeFile } from './atomic-folder.ts'
import { mountFailed } from './mount-error.ts'

export type Volume = NonNullable<Pod['spec']['volumes']>[number]

export interface TokenRequest {
  /** Absent = the API server itself. */
  readonly audience?: string
  readonly expirationSeconds: number
}

/** Where the files come from. */
export interface FileSources {
  readonly configMap: (name: string) => Promise<ConfigMap | undefined>
  readonly secret: (name: string) => Promise<Secret | undefined>
  /** A token of the pod's account; undefined where there are none. Rejects with why there is none now. */
  readonly token?: (request: TokenRequest) => Promise<string | undefined>
  readonly world: Pick<EnvWorld, 'pod' | 'podIP' | 'hostIP' | 'allocatable'>
}

const hourSeconds = 3600

/** True when the volume is made of files of API objects. */
export const isOfFiles = (volume: Volume): boolean =>
  Boolean(volume.configMap || volume.secret || volume.downwardAPI || volume.projected)

/** The files a volume has now. Throws MountError, ConfigError. */
export async function filesOf(volume: Volume, sources: FileSources): Promise<Files> {
  const files = new Map<string, VolumeFile>()
  const { fsGroup } = sources.world.pod.spec.securityContext ?? {}
  // Whom a group is given to may read; nobody may write.
  const withGroup = (mode: number) => (fsGroup === undefined ? mode : mode | 0o440)
  const all = volume.projected?.sources ?? [volume]
  const defaultMode = volume.projected?.defaultMode ?? 0o644
  const put = (path: string, content: Uint8Array, mode: number, uid?: number) =>
    files.set(inside(path), { content, mode: withGroup(mode), ...(uid !== undefined && { uid }) })

  const putKeys = (
    data: ReadonlyMap<string, Uint8Array>,
    { items, optional, defaultMode: own }: Projection,
    what: string,
  ) => {
    const chosen = items ?? [...data.keys()].map((key) => ({ key, path: key, mode: undefined }))
    for (const { key, path, mode } of chosen) {
      const content = data.get(key)
      if (content) put(path, content, mode ?? own ?? defaultMode)
      else if (!optional) throw mountFailed(volume, `references non-existent ${what} key: ${key}`)
    }
  }

  for (const source of all) {
    const { configMap, secret, downwardAPI } = source
    const accountToken = 'serviceAccountToken' in source ? source.serviceAccountToken : undefined
    if (configMap) {
      const name = configMap.name ?? ''
      const found = await sources.configMap(name)
      if (!found && !configMap.optional) throw mountFailed(volume, `configmap "${name}" not found`)
      if (found) putKeys(dataOf(found), configMap, 'config')
    } else if (secret) {
      const name =
        ('secretName' in secret ? secret.secretName : 'name' in secret ? secret.name : '') ?? ''
      const found = await sources.secret(name)
      if (!found && !secret.optional) throw mountFailed(volume, `secret "${name}" not found`)
      if (found) putKeys(decoded(found.data), secret, 'secret')
    } else if (downwardAPI) {
      for (const { path, fieldRef, resourceFieldRef, mode } of downwardAPI.items ?? []) {
        const fallback = 'defaultMode' in downwardAPI ? downwardAPI.defaultMode : undefined
        const text = fieldRef
          ? fieldValue(fieldRef.fieldPath, sources.world)
          : resourceFieldRef
            ? resourceText(resourceFieldRef, sources)
            : ''
        put(path, Buffer.from(text), mode ?? fallback ?? defaultMode)
      }
    } else if (accountToken) {
      const { audience, expirationSeconds = hourSeconds, path } = accountToken
      const token = await sources
        .token?.({ ...(audience && { audience }), expirationSeconds })
        .catch((error: unknown) => {
          const why = error instanceof Error ? error.message : String(error)
          throw mountFailed(volume, `failed to fetch token: ${why}`)
        })
      const user = fsGroup === undefined ? onlyUser(sources.world.pod) : undefined
      const own = fsGroup !== undefined || user !== undefined
      if (token) put(path, Buffer.from(token), own ? 0o600 : defaultMode, user)
    } else {
      const kind = Object.keys(source).find((key) => key !== 'name') ?? 'nothing'
      throw mountFailed(volume, `projections of type ${kind} are not supported here`)
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

const dataOf = ({ data = {}, binaryData }: ConfigMap): ReadonlyMap<string, Uint8Array> =>
  new Map([
    ...Object.entries(data).map(([key, text]) => [key, Buffer.from(text)] as const),
    ...decoded(binaryData),
  ])

const decoded = (
  data: Readonly<Record<string, string>> = {},
): ReadonlyMap<string, Uint8Array<ArrayBuffer>> =>
  new Map(Object.entries(data).map(([key, text]) => [key, Buffer.from(text, 'base64')]))

function resourceText(
  ref: { readonly resource: string; readonly containerName?: string; readonly divisor?: string },
  { world }: FileSources,
): string {
  const container = allContainers(world.pod).find(({ name }) => name === ref.containerName)
  if (!container)
    throw new ConfigError(`container ${JSON.stringify(ref.containerName ?? '')} not found in pod`)
  return resourceValue(container, ref, world)
}

/** The one user that all containers are told to run as, so that the token can be theirs alone. */
function onlyUser(pod: Pod): number | undefined {
  if (process.getuid?.() !== 0) return undefined
  const users = new Set(
    allContainers(pod).map(
      ({ securityContext }) =>
        securityContext?.runAsUser ?? pod.spec.securityContext?.runAsUser ?? undefined,
    ),
  )
  const [user] = users
  return users.size === 1 ? user : undefined
}

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
