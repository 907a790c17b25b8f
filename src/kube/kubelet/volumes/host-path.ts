/** hostPath volumes: a path of this machine that must be, or is made to be, of the type asked for. */
import { mkdir, open, stat } from 'node:fs/promises'
import type { Stats } from 'node:fs'
import { mountFailed } from './mount-error.ts'
import type { Volume } from './projected-files.ts'

interface Wanted {
  readonly is: (stats: Stats) => boolean
  /** How what was found is not what was wanted. */
  readonly words: string
  readonly make?: 'folder' | 'file'
}

const folder: Wanted = { is: (stats) => stats.isDirectory(), words: 'is not a directory' }
const file: Wanted = { is: (stats) => stats.isFile(), words: 'is not a file' }

const types: Readonly<Record<string, Wanted>> = {
  '': { is: () => true, words: '', make: 'folder' },
  DirectoryOrCreate: { ...folder, make: 'folder' },
  Directory: folder,
  FileOrCreate: { ...file, make: 'file' },
  File: file,
  Socket: { is: (stats) => stats.isSocket(), words: 'is not a socket file' },
  CharDevice: { is: (stats) => stats.isCharacterDevice(), words: 'is not a character device' },
  BlockDevice: { is: (stats) => stats.isBlockDevice(), words: 'is not a block device' },
}

/** Answers the path. Throws MountError with the kubelet's words. */
export async function checkHostPath(
  volume: Volume,
  { path, type = '' }: NonNullable<Volume['hostPath']>,
): Promise<string> {
  const wanted = types[type]
  if (!wanted) throw mountFailed(volume, `unknown hostPath type ${JSON.stringify(type)}`)
  const failed = () => mountFailed(volume, `hostPath type check failed: ${path} ${wanted.words}`)
  const found = await stat(path).catch(() => undefined)
  if (found) {
    if (!wanted.is(found)) throw failed()
    return path
  }
  if (!wanted.make) throw failed()
  try {
    if (wanted.make === 'folder') await mkdir(path, { recursive: true, mode: 0o755 })
    else await (await open(path, 'a', 0o644)).close()
  } catch (error) {
    throw mountFailed(volume, error instanceof Error ? error.message : String(error))
  }
  return path
}
