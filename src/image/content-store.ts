/**
 * The images of this machine: blobs named by their SHA-256 as in an OCI image layout, and one small file a name that
 * says which manifest it means. One file a name rather than one index, so that `ebb build` and a running platform
 * never have to lock each other out. A file appears by rename, complete and synced, or not at all.
 */
import { createHash, randomUUID } from 'node:crypto'
import { readFileSync, watch } from 'node:fs'
import { mkdir, open, readdir, readFile, rename, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock, type Clock } from '../lib/clock.ts'
import { openIngest, type Ingest } from './ingest.ts'
import { normalizeReference } from './reference.ts'
import { syncFolder } from './sync-folder.ts'

/** OCI content descriptor. */
export interface Descriptor {
  readonly mediaType: string
  /** `sha256:…`. */
  readonly digest: string
  readonly size: number
}

/** A name in the store. `digest` is the manifest's. */
export interface Tag {
  /** Normalised: `docker.io/library/hello:latest`. */
  readonly reference: string
  readonly digest: string
  readonly taggedAtMs: number
  /** It came from a registry, which may mean something else by it now. */
  readonly pulled?: boolean
}

/** A blob as it lies there. */
export interface StoredBlob {
  readonly digest: string
  readonly size: number
  /** When it came, or was last wanted by something that came. */
  readonly changedAtMs: number
}

export interface ContentStore {
  /** `<dataDir>/images`. */
  readonly directory: string
  /** Stores bytes under their digest; storing what is there already costs one stat. */
  put(mediaType: string, bytes: Uint8Array): Promise<Descriptor>
  /** Stores a stream under its digest without holding it in memory. */
  putStream(mediaType: string, chunks: AsyncIterable<Uint8Array>): Promise<Descriptor>
  /** Makes a file of the store's `incoming` a blob; whoever calls has checked its digest. */
  adopt(path: string, digest: string): Promise<void>
  /** Begins, or goes on with, a blob whose digest and size are known. Check `has` first. */
  ingest(descriptor: Pick<Descriptor, 'digest' | 'size'>): Promise<Ingest>
  /** The blob, verified against its digest. Throws an Error when it is missing or damaged. */
  read(digest: string): Promise<Buffer>
  has(digest: string): Promise<boolean>
  /** Like `has`, and keeps what is there from being collected for a while. */
  claim(digest: string): Promise<boolean>
  /** Where the blob's bytes lie. */
  blobPath(digest: string): string
  /** Lets a name mean a manifest from now on. Throws InvalidReference. */
  tag(
    reference: string,
    digest: string,
    nowMs: number,
    options?: { readonly pulled?: boolean },
  ): Promise<void>
  /** The manifest digest a name means now. Throws InvalidReference. */
  find(reference: string): Promise<string | undefined>
  /** The same with all that is known of the name. */
  findTag(reference: string): Promise<Tag | undefined>
  /** Forgets a name; false when there was none. */
  untag(reference: string): Promise<boolean>
  /** All blobs, in no order. */
  blobs(): Promise<readonly StoredBlob[]>
  /** Removes a blob; nothing must need it any more. */
  remove(digest: string): Promise<void>
  /** All names, sorted. */
  list(): Promise<readonly Tag[]>
  /** Calls back soon after any process gave a name; perhaps more often. */
  onTagged(listener: () => void): Disposable
}

/** Opens `<dataDir>/images`, making it when needed. */
export async function openContentStore(
  dataDir: string,
  clock: Clock = systemClock,
): Promise<ContentStore> {
  const directory = join(dataDir, 'images')
  const blobs = join(directory, 'blobs', 'sha256')
  const names = join(directory, 'names')
  const incoming = join(directory, 'incoming')
  for (const folder of [blobs, names, incoming])
    await mkdir(folder, { recursive: true, mode: 0o755 })
  await writeWhole(incoming, join(directory, 'oci-layout'), [
    Buffer.from('{"imageLayoutVersion":"1.0.0"}\n'),
  ])

  const blobPath = (digest: string): string => {
    if (!/^sha256:[a-f0-9]{64}$/.test(digest)) throw new Error(`"${digest}" is no sha256 digest`)
    return join(blobs, digest.slice(7))
  }
  const namePath = (reference: string) =>
    join(names, `${createHash('sha256').update(reference).digest('hex')}.json`)
  const tagOf = (reference: string): Tag | undefined => {
    const name = normalizeReference(reference)
    const found = readTag(namePath(name))
    return found?.reference === name ? found : undefined
  }
  const has = (digest: string) =>
    stat(blobPath(digest)).then(
      () => true,
      () => false,
    )

  const claim = (digest: string) =>
    utimes(blobPath(digest), clock.now() / 1000, clock.now() / 1000).then(
      () => true,
      async () => await has(digest), // somebody else's file can't be touched
    )

  return {
    directory,
    blobPath,
    has,
    claim,

    async put(mediaType, bytes) {
      const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
      if (!(await claim(digest))) await writeWhole(incoming, blobPath(digest), [bytes])
      return { mediaType, digest, size: bytes.length }
    },

    async putStream(mediaType, chunks) {
      const hash = createHash('sha256')
      let size = 0
      const counted = async function* () {
        for await (const chunk of chunks) {
          hash.update(chunk)
          size += chunk.length
          yield chunk
        }
      }
      let digest = ''
      await writeWhole(
        incoming,
        () => blobPath((digest = `sha256:${hash.digest('hex')}`)),
        counted(),
      )
      return { mediaType, digest, size }
    },

    async adopt(path, digest) {
      const file = await open(path, 'r+')
      try {
        await file.sync()
      } finally {
        await file.close()
      }
      await rename(path, blobPath(digest))
      await syncFolder(blobs)
    },

    async ingest({ digest, size }) {
      const path = blobPath(digest)
      return await openIngest({ incoming, path, digest, size })
    },

    async read(digest) {
      const bytes = await readFile(blobPath(digest))
      const found = createHash('sha256').update(bytes).digest('hex')
      if (found !== digest.slice(7))
        throw new Error(`blob ${digest} is damaged: its content has sha256:${found}`)
      return bytes
    },

    async tag(reference, digest, taggedAtMs, { pulled = false } = {}) {
      const tag: Tag = {
        reference: normalizeReference(reference),
        digest,
        taggedAtMs,
        ...(pulled && { pulled }),
      }
      await writeWhole(incoming, namePath(tag.reference), [Buffer.from(`${JSON.stringify(tag)}\n`)])
    },

    find: async (reference) => tagOf(reference)?.digest,
    findTag: async (reference) => tagOf(reference),

    async untag(reference) {
      const tag = tagOf(reference)
      if (!tag) return false
      await rm(namePath(tag.reference), { force: true })
      await syncFolder(names)
      return true
    },

    async blobs() {
      const found: StoredBlob[] = []
      for (const name of await readdir(blobs)) {
        if (!/^[a-f0-9]{64}$/.test(name)) continue
        const info = await stat(join(blobs, name)).catch(() => undefined)
        if (info)
          found.push({ digest: `sha256:${name}`, size: info.size, changedAtMs: info.mtimeMs })
      }
      return found
    },

    remove: (digest) => rm(blobPath(digest), { force: true }),

    async list() {
      const found: Tag[] = []
      for (const file of await readdir(names)) {
        const tag = file.endsWith('.json') ? readTag(join(names, file)) : undefined
        if (tag) found.push(tag)
      }
      return found.sort((a, b) => (a.reference < b.reference ? -1 : 1))
    },

    onTagged(listener) {
      try {
        const watcher = watch(names, { persistent: false }, () => listener())
        watcher.on('error', () => watcher.close())
        return { [Symbol.dispose]: () => watcher.close() }
      } catch {
        return { [Symbol.dispose]() {} } // no watches left on this machine: whoever waits asks again anyway
      }
    },
  }
}

/**
 * Read in one go: a start of a pod waits for it, and four turns of the event loop that has other things to do take longer
 * than a small file out of the page cache.
 */
function readTag(path: string): Tag | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  const value: unknown = JSON.parse(text)
  if (typeof value !== 'object' || value === null) return undefined
  const { reference, digest, taggedAtMs = 0, pulled } = value as Partial<Tag>
  return typeof reference === 'string' && typeof digest === 'string'
    ? { reference, digest, taggedAtMs, ...(pulled === true && { pulled }) }
    : undefined
}

/** Writes a file under another name, syncs it, then gives it its own: readers see all of it or nothing. */
async function writeWhole(
  incoming: string,
  path: string | (() => string),
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<void> {
  const temporary = join(incoming, randomUUID())
  try {
    const file = await open(temporary, 'wx', 0o644)
    try {
      for await (const chunk of chunks) await file.writeFile(chunk)
      await file.sync()
    } finally {
      await file.close()
    }
    const target = typeof path === 'string' ? path : path()
    await rename(temporary, target)
    await syncFolder(join(target, '..'))
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}
