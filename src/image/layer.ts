/**
 * One gzipped tar layer out of files. Entries are sorted and carry no times or owners of their own, so the same files
 * make the same bytes.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { lstat, readFile, readlink } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import { BuildError } from './build-error.ts'
import type { ContentStore, Descriptor } from './content-store.ts'
import { tarEnd, tarHeader, tarPadding } from './tar-writer.ts'

export const layerType = 'application/vnd.oci.image.layer.v1.tar+gzip'

export interface Layer {
  readonly descriptor: Descriptor
  /** Digest of the tar before compression. */
  readonly diffId: string
}

/** A file of a layer; the folders above it come by themselves. */
export interface LayerFile {
  /** Inside the image, without a leading slash: `app/lib/a.js`; with a slash at its end an empty folder. */
  readonly name: string
  /** Where it lies on this machine (a file or a link), or what is in it. */
  readonly from: string | Uint8Array
  /** Default: what the file has of 0755 and 0644. */
  readonly mode?: number
  /** A link may lead anywhere: whoever reads the tar decides. */
  readonly anyLink?: boolean
}

/** Files up to this size are read in one go. */
const smallFile = 1 << 20

/** Files of a folder as files of a layer below `prefix`. */
export const layerFiles = (
  root: string,
  files: readonly string[],
  prefix: string,
): readonly LayerFile[] =>
  files.map((file) => ({ name: `${prefix}/${file}`, from: join(root, file) }))

/** Packs and stores a layer. `mtimeS` (seconds since 1970) is every entry's. Throws BuildError for links that lead out of the image's folder. */
export async function packFiles(
  store: ContentStore,
  files: readonly LayerFile[],
  mtimeS = 0,
): Promise<Layer> {
  const gzip = createGzip({ level: 6 })
  const hash = createHash('sha256')
  const [descriptor] = await Promise.all([
    store.putStream(layerType, gzip),
    pipeline(async function* () {
      for await (const chunk of tarOf(files, mtimeS)) {
        hash.update(chunk)
        yield chunk
      }
    }, gzip),
  ])
  return { descriptor, diffId: `sha256:${hash.digest('hex')}` }
}

/** The tar of files, in order of their names. Throws as `packFiles` does. */
export async function* tarOf(
  files: readonly LayerFile[],
  mtimeS = 0,
): AsyncGenerator<Uint8Array, void> {
  const folders = new Set<string>()
  const folder = (name: string, mode = 0o755) => {
    folders.add(name)
    return tarHeader({ name: `${name}/`, type: 'directory', mode, sizeBytes: 0, mtimeS })
  }
  for (const file of files.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    for (const parent of parents(file.name)) if (!folders.has(parent)) yield folder(parent)
    if (file.name.endsWith('/')) yield folder(file.name.slice(0, -1), file.mode)
    else yield* fileEntry(file, mtimeS)
  }
  yield tarEnd()
}

async function* fileEntry(
  { name, from, mode, anyLink = false }: LayerFile,
  mtimeS: number,
): AsyncGenerator<Uint8Array, void> {
  const entry = { name, type: 'file', mtimeS } as const
  if (typeof from !== 'string') {
    yield tarHeader({ ...entry, mode: mode ?? 0o644, sizeBytes: from.length })
    yield from
    return yield tarPadding(from.length)
  }
  const info = await lstat(from)
  if (info.isSymbolicLink()) {
    const linkName = await readlink(from)
    if (!anyLink && (linkName.startsWith('/') || leaves(name, linkName)))
      throw new BuildError(
        `${from} is a link to ${linkName}, outside of what goes into the image; put what it leads to in its place, or leave it out by .dockerignore`,
      )
    return yield tarHeader({
      ...entry,
      type: 'symlink',
      linkName,
      mode: 0o777,
      sizeBytes: 0,
    })
  }
  const changed = () => new BuildError(`${from} changed while it was packed; build again`)
  const { size } = info
  yield tarHeader({
    ...entry,
    mode: mode ?? (info.mode & 0o111 ? 0o755 : 0o644),
    sizeBytes: size,
  })
  if (size <= smallFile) {
    const bytes = await readFile(from)
    if (bytes.length !== size) throw changed()
    yield bytes
  } else {
    let left = size
    for await (const chunk of createReadStream(from, { highWaterMark: smallFile })) {
      if (!(chunk instanceof Uint8Array)) continue
      left -= chunk.length
      if (left < 0) throw changed()
      yield chunk
    }
    if (left !== 0) throw changed()
  }
  yield tarPadding(size)
}

/** `a`, `a/b` for `a/b/c` and `a/b/c/`. */
function parents(path: string): readonly string[] {
  const parts = path.replace(/\/$/, '').split('/').slice(0, -1)
  return parts.map((_, i) => parts.slice(0, i + 1).join('/'))
}

/** The first part of a name in the image (`app`) stands for the project: what leads above it leads out. */
const leaves = (name: string, target: string): boolean => {
  const [top = ''] = name.split('/')
  return relative(`/${top}`, join('/', dirname(name), target)).startsWith('..')
}
