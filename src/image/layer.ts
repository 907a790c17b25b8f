/**
 * One gzipped tar layer out of files of a folder. Entries are sorted and carry no times or owners, so the same files
 * make the same bytes.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { lstat, readlink } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import { BuildError } from './build-error.ts'
import type { ContentStore, Descriptor } from './content-store.ts'

export const layerType = 'application/vnd.oci.image.layer.v1.tar+gzip'

export interface Layer {
  readonly descriptor: Descriptor
  /** Digest of the tar before compression. */
  readonly diffId: string
}

const epoch = new Date(0)

/** Packs `files`, relative to `root`, below `prefix` (`app`) and stores the layer. */
export async function packLayer(
  store: ContentStore,
  root: string,
  files: readonly string[],
  prefix: string,
): Promise<Layer> {
  const { pack } = await import('tar-stream')
  const tar = pack()
  const gzip = createGzip({ level: 6 })
  const hash = createHash('sha256')
  const filled = fill()
  const compressed = pipeline(async function* () {
    for await (const chunk of tar) {
      if (!(chunk instanceof Uint8Array)) continue
      hash.update(chunk)
      yield chunk
    }
  }, gzip)
  const [descriptor] = await Promise.all([
    store.putStream(layerType, gzip),
    compressed,
    filled.catch((error: unknown) => {
      tar.destroy(error as Error)
      throw error
    }),
  ])
  return { descriptor, diffId: `sha256:${hash.digest('hex')}` }

  async function fill(): Promise<void> {
    const folders = new Set<string>()
    for (const folder of parents(`${prefix}/x`)) await folderEntry(folder)
    for (const file of [...files].sort()) {
      const name = `${prefix}/${file}`
      for (const folder of parents(name)) await folderEntry(folder)
      const path = join(root, file)
      const info = await lstat(path)
      const common = { name, mtime: epoch, uid: 0, gid: 0 }
      if (info.isSymbolicLink()) {
        const target = await readlink(path)
        if (target.startsWith('/') || leaves(file, target))
          throw new BuildError(`${path} is a link to ${target}, outside of ${root}`)
        await entry({ ...common, type: 'symlink', linkname: target, mode: 0o777 })
      } else {
        const mode = info.mode & 0o111 ? 0o755 : 0o644
        const sink = tar.entry({ ...common, mode, size: info.size })
        for await (const chunk of createReadStream(path)) {
          if (!sink.write(chunk))
            await new Promise<void>((resolve) => sink.once('drain', () => resolve()))
        }
        sink.end(undefined)
        await new Promise<void>((resolve) => sink.once('finish', () => resolve()))
      }
    }
    tar.finalize()

    async function folderEntry(folder: string): Promise<void> {
      if (folders.has(folder)) return
      folders.add(folder)
      await entry({
        name: `${folder}/`,
        type: 'directory',
        mode: 0o755,
        mtime: epoch,
        uid: 0,
        gid: 0,
      })
    }
  }

  function entry(header: Parameters<typeof tar.entry>[0]): Promise<void> {
    return new Promise((resolve, reject) => {
      tar.entry(header, (error) => (error ? reject(error) : resolve()))
    })
  }
}

/** `a`, `a/b` for `a/b/c`. */
function parents(path: string): readonly string[] {
  const parts = path.split('/').slice(0, -1)
  return parts.map((_, i) => parts.slice(0, i + 1).join('/'))
}

const leaves = (file: string, target: string): boolean =>
  relative('/r', join('/r', dirname(file), target)).startsWith('..')
