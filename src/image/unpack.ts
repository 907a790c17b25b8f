/**
 * Unpacks an image's layers into one folder (image-spec 1.1: layers, whiteouts). Nothing is ever written outside it:
 * paths that climb are refused, and links are followed as if the folder were the root of all files. Devices are refused,
 * setuid is taken away, extended attributes are left out. The folder gets its name only when it is complete.
 *
 * For programs that get the folder as their root, owners, times and links are as the image has them; for those that run as
 * plain processes, links are stored such that they lead nowhere else, and everything belongs to the platform.
 */
import { createHash, randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir as makeFolders, open, rename, rm, stat } from 'node:fs/promises'
import { dirname, join, normalize, relative } from 'node:path'
import { Transform } from 'node:stream'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import type { ContentStore, Descriptor } from './content-store.ts'
import {
  chmod,
  lchown,
  link,
  lstat,
  mkdir,
  readdir,
  readlink,
  symlink,
  utimes,
  writeFile,
} from './file-calls.ts'
import { syncFolder } from './sync-folder.ts'
import { readTar, type TarEntry } from './tar-reader.ts'
import { isWhole, noteUnwritten, writeThrough } from './written-through.ts'

/** How an image is unpacked. */
export interface UnpackOptions extends Limits {
  /** Its programs see the folder as their root. */
  readonly ownRoot?: boolean
  readonly seed?: Seed | undefined
}

/** What an image may come to. */
export interface Limits {
  /** Of all its files together. Default 16 GiB. */
  readonly maxBytes?: number
  /** How many times its size a layer may decompress to, beyond its first bytes. Default 250. */
  readonly maxRatio?: number
  /** What any layer may decompress to. Default 512 MiB. */
  readonly freeBytes?: number
}

/** Lower layers that lie unpacked somewhere already. */
export interface Seed {
  /** How many of the lowest. */
  readonly layers: number
  /** Puts their files into the folder; false = it can't, and nothing of them is there. */
  readonly fill: (folder: string) => Promise<boolean>
}

const maxEntries = 1_000_000
/** Files up to this size are written in one go. */
const smallFile = 1 << 20
/** As Linux has it. */
const maxLinksFollowed = 40
const maxPathBytes = 4096
const maxId = 2 ** 32 - 2
const isRoot = process.getuid?.() === 0

/** Folder with the files of the image, made when it is not there yet. Throws when the image can't be trusted or read. */
export async function unpackImage(
  store: ContentStore,
  digest: string,
  layers: readonly Descriptor[],
  options: UnpackOptions = {},
): Promise<string> {
  const root = join(store.directory, 'rootfs', digest.slice(7))
  if ((await isFolder(root)) && (await isWhole(root))) return root
  await makeFolders(dirname(root), { recursive: true })
  const temporary = join(dirname(root), `.${randomUUID()}`)
  await mkdir(temporary, { mode: 0o755 })
  try {
    const budget = { bytes: options.maxBytes ?? 16 * 2 ** 30, entries: maxEntries }
    const { seed } = options
    const seeded = seed && (await seed.fill(temporary)) ? seed.layers : 0
    for (const layer of layers.slice(seeded))
      await unpackLayer(store, layer, temporary, budget, options)
    await noteUnwritten(root)
    await rename(temporary, root).catch(async (error: unknown) => {
      if (!(await isFolder(root))) throw error // else another process was quicker
    })
    await syncFolder(dirname(root))
    writeThrough(root)
    return root
  } finally {
    await rm(temporary, { recursive: true, force: true })
  }
}

interface Budget {
  bytes: number
  entries: number
}

async function unpackLayer(
  store: ContentStore,
  layer: Descriptor,
  root: string,
  budget: Budget,
  options: UnpackOptions,
): Promise<void> {
  const hash = createHash('sha256')
  const file = createReadStream(store.blobPath(layer.digest), { highWaterMark: 256 << 10 })
  const decompressor = decompressorOf(layer.mediaType)
  const compressed = file.on('data', (chunk) => hash.update(chunk))
  const stream = decompressor ? compressed.pipe(decompressor) : compressed.pipe(passing())
  file.on('error', (error) => stream.destroy(error))
  stream.on('error', () => {}) // whoever reads it gets it
  try {
    const placing = new LayerPlacing(root, options.ownRoot ?? false)
    for await (const entry of readTar(bounded(stream, layer.size, options))) {
      if (--budget.entries < 0) throw new Error(`more than ${maxEntries} files`)
      budget.bytes -= entry.size
      if (budget.bytes < 0) throw new Error('the image unpacks to more bytes than it may')
      await placing.place(entry)
    }
    await placing.finish()
  } catch (error) {
    throw new Error(
      `layer ${layer.digest}: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    )
  } finally {
    file.destroy()
    stream.destroy()
  }
  const found = `sha256:${hash.digest('hex')}`
  if (found !== layer.digest)
    throw new Error(`layer ${layer.digest} is damaged: its content has ${found}`)
}

function decompressorOf(mediaType: string): Transform | undefined {
  if (/[+.]gzip$/.test(mediaType)) return createGunzip({ chunkSize: 256 << 10 })
  if (/[+.]zstd$/.test(mediaType)) return createZstdDecompress({ chunkSize: 256 << 10 })
  return undefined
}

const passing = () => new Transform({ transform: (chunk, _encoding, done) => done(null, chunk) })

/** Ends a layer that decompresses to more than anybody packs: a bomb. */
async function* bounded(
  stream: AsyncIterable<unknown>,
  size: number,
  { maxRatio = 250, freeBytes = 512 * 2 ** 20 }: Limits,
): AsyncGenerator<Uint8Array> {
  const most = freeBytes + size * maxRatio
  let seen = 0
  for await (const chunk of stream) {
    if (!(chunk instanceof Uint8Array)) continue
    seen += chunk.length
    if (seen > most)
      throw new Error(`it decompresses to more than ${maxRatio} times its ${size} bytes`)
    yield chunk
  }
}

/** Places the entries of one layer over what is there from the layers below. */
class LayerPlacing {
  readonly #root: string
  /** What this layer has put there, with the folders it lies in: whiteouts are for what is below. */
  readonly #placed = new Set<string>()
  readonly #emptied = new Set<string>()
  /** Folders known to be folders, by their path in the image: most entries lie beside the one before. */
  readonly #folders = new Map<string, string>()

  readonly #ownRoot: boolean
  /** Times of folders, set when nothing is put into them any more. */
  readonly #times = new Map<string, number>()

  constructor(root: string, ownRoot: boolean) {
    this.#root = root
    this.#ownRoot = ownRoot
    this.#folders.set('', root)
  }

  async place(entry: TarEntry): Promise<void> {
    const parts = partsOf(entry.name)
    const base = parts.pop()
    if (base === undefined) return
    if (base.startsWith('.wh.')) return await this.#whiteout(parts, base, entry.name)
    const folder = await this.#folder(parts, true)
    if (folder === undefined) return
    const path = join(folder, base)
    const key = [...parts, base].join('/')
    const existing = await lstat(path).catch(() => undefined)
    if (entry.type === 'directory') {
      if (!existing?.isDirectory()) {
        if (existing) await this.#remove(path, key)
        await mkdir(path, { mode: 0o755 })
      }
      if (this.#ownRoot) await this.#own(path, entry)
      // The platform itself has to be able to fill and to remove it.
      const reachable = this.#ownRoot && isRoot ? 0 : 0o700
      await chmod(path, (entry.mode & (this.#ownRoot ? 0o3777 : 0o777)) | reachable)
      if (this.#ownRoot) this.#times.set(path, entry.mtime)
      this.#placed.add(path)
      return
    }
    if (existing) await this.#remove(path, key)
    switch (entry.type) {
      case 'file':
        await this.#file(entry, path)
        break
      case 'symlink':
        await symlink(
          this.#ownRoot
            ? usable(entry.linkName)
            : inward(this.#root, folder, usable(entry.linkName)),
          path,
        )
        if (this.#ownRoot) await this.#own(path, entry)
        break
      case 'link': {
        const target = partsOf(entry.linkName)
        const name = target.pop()
        const targetFolder = await this.#folder(target, false)
        const from =
          targetFolder === undefined || name === undefined ? '' : join(targetFolder, name)
        const info = from === '' ? undefined : await lstat(from).catch(() => undefined)
        if (!info?.isFile() && !info?.isSymbolicLink())
          throw new Error(
            `link "${entry.name}" to "${entry.linkName}" is not to a file of the image`,
          )
        await link(from, path)
        break
      }
      default:
        throw new Error(
          `"${entry.name}" is a ${entry.type === 'unknown' ? 'sparse file or of no known type' : entry.type}: only whole files, folders and links are unpacked`,
        )
    }
    this.#placed.add(path)
  }

  /** After the last entry. */
  async finish(): Promise<void> {
    for (const [path, time] of this.#times) await utimes(path, time, time).catch(() => {}) // removed since
  }

  /** Only root can give files away; for all others the owner is who unpacks, and who will run the program. */
  async #own(path: string, { uid, gid }: TarEntry): Promise<void> {
    if (uid > maxId || gid > maxId)
      throw new Error(`owner ${uid}:${gid} is none; expected at most ${maxId}`)
    if (isRoot && (uid !== 0 || gid !== 0)) await lchown(path, uid, gid)
  }

  async #file(entry: TarEntry, path: string): Promise<void> {
    await this.#content(entry, path)
    if (!this.#ownRoot) return
    await this.#own(path, entry)
    await utimes(path, entry.mtime, entry.mtime)
  }

  async #content(entry: TarEntry, path: string): Promise<void> {
    const mode = entry.mode & 0o777 // no setuid, no setgid
    if (entry.size <= smallFile) {
      const chunks: Uint8Array[] = []
      for await (const chunk of entry.content()) chunks.push(Buffer.from(chunk))
      return await writeFile(path, Buffer.concat(chunks), { mode: mode | 0o200, flag: 'wx' }).then(
        () => chmod(path, mode),
      )
    }
    const file = await open(path, 'wx', 0o600)
    try {
      for await (const chunk of entry.content()) await file.writeFile(chunk)
      await file.chmod(mode)
    } finally {
      await file.close()
    }
  }

  async #whiteout(parts: readonly string[], base: string, name: string): Promise<void> {
    const folder = await this.#folder(parts, false)
    if (base === '.wh..wh..opq') {
      if (folder !== undefined) await this.#empty(folder)
      return
    }
    const hidden = base.slice(4)
    if (hidden === '' || hidden === '.' || hidden === '..')
      throw new Error(`"${name}" is no whiteout`)
    if (folder === undefined) return
    await this.#hide(join(folder, hidden), [...parts, hidden].join('/'))
  }

  /** Removes what lower layers have put there. */
  async #hide(path: string, key: string): Promise<void> {
    if (!this.#placed.has(path)) return await this.#remove(path, key)
    const info = await lstat(path).catch(() => undefined)
    if (info?.isDirectory()) await this.#empty(path)
  }

  /** Opaque whiteout: what lower layers put into the folder goes, what this layer puts there stays. */
  async #empty(folder: string): Promise<void> {
    if (this.#emptied.has(folder)) return
    this.#emptied.add(folder)
    for (const entry of await readdir(folder).catch(() => [])) {
      const path = join(folder, entry)
      await this.#hide(path, relative(this.#root, path))
    }
  }

  async #remove(path: string, key: string): Promise<void> {
    const info = await lstat(path).catch(() => undefined)
    if (!info) return
    // A folder, or a link to one, may be known under many names.
    if (info.isDirectory() || info.isSymbolicLink()) {
      this.#folders.clear()
      this.#folders.set('', this.#root)
    } else this.#folders.delete(key)
    await rm(path, { recursive: true, force: true })
  }

  /**
   * The real folder that a path of the image means; links on the way are followed inside the image. Made if `make`, else
   * undefined when it is missing.
   */
  async #folder(parts: readonly string[], make: boolean): Promise<string | undefined> {
    const key = parts.join('/')
    const known = this.#folders.get(key)
    if (known !== undefined) {
      if (make) this.#note(known)
      return known
    }
    const waiting = [...parts].reverse()
    const here: string[] = []
    for (let followed = 0; waiting.length > 0;) {
      const part = waiting.pop() ?? ''
      if (part === '' || part === '.') continue
      if (part === '..') {
        here.pop()
        continue
      }
      const path = join(this.#root, ...here, part)
      const info = await lstat(path).catch(() => undefined)
      if (info?.isSymbolicLink()) {
        if (++followed > maxLinksFollowed) throw new Error(`"${key}" leads through too many links`)
        const target = await readlink(path)
        if (target.startsWith('/')) here.length = 0
        waiting.push(...target.split('/').reverse())
        continue
      }
      if (!info) {
        if (!make) return undefined
        await mkdir(path, { mode: 0o755 })
      } else if (!info.isDirectory()) {
        if (!make) return undefined
        throw new Error(`"${key}" lies below something that is no folder`)
      }
      here.push(part)
    }
    const found = join(this.#root, ...here)
    this.#folders.set(key, found)
    if (make) this.#note(found)
    return found
  }

  /** Something of this layer lies in it. */
  #note(folder: string): void {
    for (let path = folder; path.length > this.#root.length && !this.#placed.has(path);)
      path = (this.#placed.add(path), dirname(path))
  }
}

/** Parts of a name in an archive. Throws for one that leads out of it. */
function partsOf(name: string): string[] {
  if (name.startsWith('/') || name.split('/').includes('..') || name.includes('\0'))
    throw new Error(`"${name}" leads out of the image`)
  if (Buffer.byteLength(name) > maxPathBytes) throw new Error('a path is too long')
  return name.split('/').filter((part) => part !== '' && part !== '.')
}

/**
 * A link's target such that it means the same below a root of its own, and outside of one leads nowhere else: relative,
 * and climbing no further than the image's root.
 */
export function inward(root: string, folder: string, target: string): string {
  const depth = folder === root ? 0 : relative(root, folder).split('/').length
  const up = Array.from({ length: depth }, () => '..')
  const absolute = target.startsWith('/')
  const parts = (absolute ? target : normalize(target))
    .split('/')
    .filter((part) => part !== '' && part !== '.')
  let climbed = 0
  while (parts[climbed] === '..') climbed++
  if (!absolute && climbed <= depth) return target
  // Above the root there is the root.
  return [...up, ...parts.slice(climbed)].join('/') || '.'
}

function usable(target: string): string {
  if (target === '' || target.includes('\0') || Buffer.byteLength(target) > maxPathBytes)
    throw new Error('a link has no target that can be used')
  return target
}

const isFolder = (path: string): Promise<boolean> =>
  stat(path).then(
    (info) => info.isDirectory(),
    () => false,
  )
