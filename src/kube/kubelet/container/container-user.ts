/**
 * Who a container runs as: what its securityContext says, else its pod's, else its image's; and whether that is allowed
 * where the pod insists on not running as root, with the kubelet's messages.
 */
import { lstatSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Pod } from '../../api/pod.ts'
import type { ContainerDefinition } from './container-state.ts'
import { ConfigError } from './env.ts'
import type { ImageHandle } from '../runtime.ts'
import { podText } from '../pod/sync-pod.ts'

export interface ContainerUser {
  readonly uid: number
  readonly gid?: number
}

/** Undefined when nobody asks for a user, or only the runtime can find the image's. Throws ConfigError. */
export function userOf(
  pod: Pod,
  container: ContainerDefinition,
  image: ImageHandle,
): ContainerUser | undefined {
  const inner = container.securityContext
  const outer = pod.spec.securityContext
  const asked = inner?.runAsUser ?? outer?.runAsUser
  const group = inner?.runAsGroup ?? outer?.runAsGroup
  const ofImage = imageUser(image)
  if (inner?.runAsNonRoot ?? outer?.runAsNonRoot) {
    const where = `(pod: "${podText(pod)}", container: ${container.name})`
    if (asked === 0) throw new ConfigError(`container's runAsUser breaks non-root policy ${where}`)
    if (asked === undefined && ofImage.name !== undefined && !/^\d+$/.test(ofImage.name))
      throw new ConfigError(
        `container has runAsNonRoot and image has non-numeric user (${ofImage.name}), cannot verify user is non-root ${where}`,
      )
    if (asked === undefined && (ofImage.user?.uid ?? 0) === 0)
      throw new ConfigError(`container has runAsNonRoot and image will run as root ${where}`)
  }
  const uid = asked ?? ofImage.user?.uid
  const gid = group ?? (asked === undefined ? ofImage.user?.gid : undefined)
  // Only root may become somebody else; otherwise everything runs as the user who runs the platform.
  if (process.getuid?.() !== 0 || uid === undefined) return undefined
  return { uid, ...(gid !== undefined && { gid }) }
}

/** What an image's USER means: `1000`, `1000:1000`, `node`, `node:node`. */
function imageUser({ config, rootfs }: ImageHandle): {
  /** As written, before the colon. */
  readonly name?: string
  readonly user?: ContainerUser
} {
  const [name = '', group = ''] = config.user.split(':')
  if (name === '') return {}
  const entry = /^\d+$/.test(name) ? undefined : entryOf(rootfs, 'passwd', name)
  const uid = /^\d+$/.test(name) ? Number(name) : entry?.[2]
  if (uid === undefined) return { name }
  const gid =
    group === ''
      ? entry?.[3]
      : /^\d+$/.test(group)
        ? Number(group)
        : entryOf(rootfs, 'group', group)?.[2]
  return {
    name,
    user: { uid: Number(uid), ...(gid !== undefined && { gid: Number(gid) }) },
  }
}

/** A line of the image's own passwd or group; undefined where there is none, or no folder of the image. */
function entryOf(rootfs: string, file: 'passwd' | 'group', name: string): string[] | undefined {
  const path = join(rootfs, 'etc', file)
  try {
    if (!lstatSync(join(rootfs, 'etc')).isDirectory() || !lstatSync(path).isFile()) return undefined
    return readFileSync(path, 'utf8')
      .split('\n')
      .map((line) => line.split(':'))
      .find(([first, , id = '']) => first === name && /^\d+$/.test(id))
  } catch {
    return undefined
  }
}
