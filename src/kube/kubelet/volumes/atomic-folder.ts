/**
 * Files that change together: each version lies in a folder of its own, and one rename of the `..data` link switches to
 * it, as the kubelet's atomic writer does, so that a reader sees one version or the other.
 */
import { randomUUID } from 'node:crypto'
import {
  chmod,
  chown,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { dirname, join } from 'node:path'

export interface VolumeFile {
  readonly content: Uint8Array
  readonly mode: number
  /** Owner, where it is not the platform's own user; needs root. */
  readonly uid?: number
}

/** By path relative to the volume. */
export type Files = ReadonlyMap<string, VolumeFile>

/** Makes the folder hold just these files; nothing is touched when it does already. Answers whether it was changed. */
export async function writeFiles(folder: string, files: Files, gid?: number): Promise<boolean> {
  await mkdir(folder, { recursive: true, mode: 0o755 })
  if (await holds(join(folder, '..data'), files)) return false
  await writeVersion(folder, files, gid)
  return true
}

async function holds(folder: string, files: Files): Promise<boolean> {
  try {
    const names = await readdir(folder, { recursive: true, withFileTypes: true })
    if (names.filter((entry) => entry.isFile()).length !== files.size) return false
    for (const [path, { content, mode }] of files) {
      const target = join(folder, path)
      if (((await stat(target)).mode & 0o777) !== mode) return false
      if (!(await readFile(target)).equals(content)) return false
    }
    return true
  } catch {
    return false // not written yet
  }
}

/** Writes a new version beside the old one and switches to it by one rename. */
async function writeVersion(folder: string, files: Files, gid: number | undefined): Promise<void> {
  const version = `..${randomUUID().slice(0, 13)}`
  await mkdir(join(folder, version), { mode: 0o755 })
  for (const [path, { content, mode, uid }] of files) {
    const target = join(folder, version, path)
    await mkdir(dirname(target), { recursive: true, mode: 0o755 })
    await writeFile(target, content, { mode })
    if (uid !== undefined || gid !== undefined) await chown(target, uid ?? 0, gid ?? 0)
    await chmod(target, mode)
  }
  const data = join(folder, '..data')
  await rm(`${data}_tmp`, { force: true })
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
