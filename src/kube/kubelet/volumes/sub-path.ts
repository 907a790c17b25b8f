/**
 * The part of a volume that a container mounts: made if it is missing, and never outside the volume, whatever links the
 * pod's own programs have put there (CVE-2017-1002101).
 */
import { chmod, lstat, mkdir, realpath, stat } from 'node:fs/promises'
import { join, normalize, sep } from 'node:path'
import { ConfigError, expand } from '../container/env.ts'

interface SubPathMount {
  readonly name: string
  readonly subPath?: string
  readonly subPathExpr?: string
}

/** What the mount says, with `$(VAR)` filled in; '' = the whole volume. Throws ConfigError. */
export function subPathOf(mount: SubPathMount, env: Readonly<Record<string, string>>): string {
  const { subPath = '', subPathExpr } = mount
  if (!subPathExpr) return checked(subPath)
  const missing = /\$\(([^()]*)\)/g
  for (const [, name = ''] of subPathExpr.replaceAll('$$', '').matchAll(missing))
    if (!(name in env)) throw new ConfigError(`missing value for ${JSON.stringify(name)}`)
  return checked(expand(subPathExpr, env))
}

function checked(path: string): string {
  if (path.startsWith('/') || normalize(path).split('/').includes('..'))
    throw new ConfigError(`subPath "${path}" must stay inside the volume`)
  return path === '' ? '' : normalize(path)
}

/** Where it lies. Folders that are missing are made when `create`. Throws ConfigError. */
export async function openSubPath(
  volumePath: string,
  subPath: string,
  { volume, container, create }: { volume: string; container: string; create: boolean },
): Promise<string> {
  const failed = (what: string) =>
    new ConfigError(`${what} for volumeMount "${volume}" of container "${container}"`)
  const root = await realpath(volumePath)
  const mode = (await stat(root)).mode & 0o2777
  let at = root
  for (const part of subPath.split('/').filter((each) => each !== '' && each !== '.')) {
    const next = join(at, part)
    const found = await lstat(next).catch(() => undefined)
    if (!found) {
      if (!create) throw failed('failed to create subPath directory')
      await mkdir(next)
      await chmod(next, mode) // as open as the volume, whatever the umask
      at = next
      continue
    }
    at = found.isSymbolicLink() ? await realpath(next).catch(() => '') : next
    if (at !== root && !at.startsWith(root + sep)) throw failed('failed to prepare subPath')
  }
  return at
}
