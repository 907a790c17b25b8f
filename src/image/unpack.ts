/**
 * Unpacks an image's layers into one folder (image-spec: layers, whiteouts). Programs run there without a root of their
 * own, so whatever could reach outside is refused: paths that climb, links that leave, devices. The folder gets its
 * name only when it is complete.
 */
import { createHash, randomUUID } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { chmod, link, lstat, mkdir, readdir, rename, rm, stat, symlink } from 'node:fs/promises'
import { dirname, join, normalize } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { Transform } from 'node:stream'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import type { Header } from 'tar-stream'
import type { ContentStore, Descriptor } from './content-store.ts'

const maxBytes = 16 * 2 ** 30
const maxEntries = 1_000_000

/** Folder with the files of the image, made when it is not there yet. Throws when the image can't be trusted or read. */
export async function unpackImage(
  store: ContentStore,
  digest: string,
  layers: readonly Descriptor[],
): Promise<string> {
  const root = join(store.directory, 'rootfs', digest.slice(7))
  if (await isFolder(root)) return root
  await mkdir(dirname(root), { recursive: true })
  const temporary = join(dirname(root), `.${randomUUID()}`)
  await mkdir(temporary, { mode: 0o755 })
  try {
    const limits = { bytes: 0, entries: 0 }
    for (const layer of layers) await unpackLayer(store, layer, temporary, limits)
    await rename(temporary, root).catch(async (error: unknown) => {
      if (!(await isFolder(root))) throw error // else another process was quicker
    })
    return root
  } finally {
    await rm(temporary, { recursive: true, force: true })
  }
}

async function unpackLayer(
  store: ContentStore,
  layer: Descriptor,
  root: string,
  limits: { bytes: number; entries: number },
): Promise<void> {
  const { extract } = await import('tar-stream')
  const tar = extract()
  const closed = new Promise<void>((resolve) => tar.once('close', () => resolve()))
  const hash = createHash('sha256')
  const verified = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk)
      done(null, chunk)
    },
  })
  const decompressed = /[+.]gzip$/.test(layer.mediaType)
    ? createGunzip()
    : layer.mediaType.endsWith('+zstd')
      ? createZstdDecompress()
      : new Transform({ transform: (chunk, _encoding, done) => done(null, chunk) })
  const fed = pipeline(
    createReadStream(store.blobPath(layer.digest)),
    verified,
    decompressed,
    async (chunks) => {
      for await (const chunk of chunks) {
        if (tar.write(chunk)) continue
        await Promise.race([
          closed,
          new Promise<void>((resolve) => tar.once('drain', () => resolve())),
        ])
        if (tar.destroyed) throw new Error('the archive could not be read to its end')
      }
      tar.end(undefined)
    },
  )
  const placed = new Set<string>()
  const read = async () => {
    for await (const entry of tar) {
      if (++limits.entries > maxEntries) throw new Error(`more than ${maxEntries} files`)
      limits.bytes += entry.header.size ?? 0
      if (limits.bytes > maxBytes) throw new Error(`more than ${maxBytes} bytes`)
      await place(entry.header, entry, root, placed)
      entry.resume()
    }
  }
  try {
    await Promise.all([fed, read()])
  } catch (error) {
    throw new Error(
      `layer ${layer.digest}: ${error instanceof Error ? error.message : String(error)}`,
      {
        cause: error,
      },
    )
  }
  const found = `sha256:${hash.digest('hex')}`
  if (found !== layer.digest)
    throw new Error(`layer ${layer.digest} is damaged: its content has ${found}`)
}

async function place(
  header: Header,
  content: AsyncIterable<unknown>,
  root: string,
  placed: Set<string>,
): Promise<void> {
  const name = normalize(`./${header.name}`).replace(/\/$/, '')
  if (header.name.startsWith('/') || header.name.split('/').includes('..') || name.includes('\0'))
    throw new Error(`"${header.name}" leads out of the image`)
  if (name === '.') return
  const path = join(root, name)
  await checkParents(root, name)
  const base = name.slice(name.lastIndexOf('/') + 1)
  if (base === '.wh..wh..opq') return await clear(dirname(path), placed)
  if (base.startsWith('.wh.')) {
    const hidden = base.slice(4)
    if (hidden === '' || hidden === '.' || hidden === '..')
      throw new Error(`"${name}" is no whiteout`)
    return await rm(join(dirname(path), hidden), { recursive: true, force: true })
  }
  await mkdir(dirname(path), { recursive: true, mode: 0o755 })
  placed.add(path)
  const mode = (header.mode ?? 0o644) & 0o777 // no setuid, no setgid
  const existing = await lstat(path).catch(() => undefined)
  if (header.type === 'directory') {
    if (existing && !existing.isDirectory()) await rm(path, { force: true })
    await mkdir(path, { recursive: true })
    return await chmod(path, mode | 0o700)
  }
  if (existing) await rm(path, { recursive: true, force: true })
  switch (header.type) {
    case 'file':
    case 'contiguous-file':
      return await pipeline(content, createWriteStream(path, { mode, flags: 'wx' }))
    case 'symlink': {
      const target = header.linkname ?? ''
      if (target.startsWith('/') || climbs(name, target))
        throw new Error(`link "${name}" to "${target}" leads out of the image`)
      return await symlink(target, path)
    }
    case 'link': {
      const target = normalize(`./${header.linkname ?? ''}`)
      if (header.linkname?.startsWith('/') || target.startsWith('..'))
        throw new Error(`link "${name}" to "${header.linkname}" leads out of the image`)
      await checkParents(root, target)
      if (!(await lstat(join(root, target))).isFile())
        throw new Error(`link "${name}" is not to a file`)
      return await link(join(root, target), path)
    }
    default:
      throw new Error(`"${name}" is a ${header.type}: only files, folders and links are unpacked`)
  }
}

/** Links on the way would lead a later entry elsewhere; they stay inside, but are refused all the same. */
async function checkParents(root: string, name: string): Promise<void> {
  const parts = name.split('/').slice(0, -1)
  let path = root
  for (const part of parts) {
    path = join(path, part)
    const info = await lstat(path).catch(() => undefined)
    if (!info) return
    if (!info.isDirectory()) throw new Error(`"${name}" lies below something that is no folder`)
  }
}

/** Opaque whiteout: what lower layers put into the folder goes, what this layer puts there stays. */
async function clear(folder: string, placed: Set<string>): Promise<void> {
  for (const entry of await readdir(folder).catch(() => [])) {
    const path = join(folder, entry)
    if (![...placed].some((kept) => kept === path || kept.startsWith(`${path}/`)))
      await rm(path, { recursive: true, force: true })
  }
}

const climbs = (name: string, target: string): boolean =>
  normalize(join('.', dirname(name), target)).startsWith('..')

const isFolder = (path: string): Promise<boolean> =>
  stat(path).then(
    (info) => info.isDirectory(),
    () => false,
  )
