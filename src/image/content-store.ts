/**
 * The images of this machine: blobs named by their SHA-256 as in an OCI image layout, and one small file a name that
 * says which manifest it means. One file a name rather than one index, so that `ebb build` and a running platform
 * never have to lock each other out. A file appears by rename, complete and synced, or not at all.
 */
import { createHash, randomUUID } from 'node:crypto'
import { readFileSync, watch } from 'node:fs'
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { normalizeReference } from './reference.ts'

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
}

export interface ContentStore {
  /** `<dataDir>/images`. */
  readonly directory: string
  /** Stores bytes under their digest; storing what is there already costs one stat. */
  put(mediaType: string, bytes: Uint8Array): Promise<Descriptor>
  /** Stores a stream under its digest without holding it in memory. */
  putStream(mediaType: string, chunks: AsyncIterable<Uint8Array>): Promise<Descriptor>
  /** The blob, verified against its digest. Throws an Error when it is missing or damaged. */
  read(digest: string): Promise<Buffer>
  has(digest: string): Promise<boolean>
  /** Where the blob's bytes lie. */
  blobPath(digest: string): string
  /** Lets a name mean a manifest from now on. Throws InvalidReference. */
  tag(reference: string, digest: string, nowMs: number): Promise<void>
  /** The manifest digest a name means now. Throws InvalidReference. */
  find(reference: string): Promise<string | undefined>
  /** All names, sorted. */
  list(): Promise<readonly Tag[]>
  /** Calls back soon after any process gave a name; perhaps more often. */
  onTagged(listener: () => void): Disposable
}

/** Opens `<dataDir>/images`, making it when needed. */
export async function openContentStore(dataDir: string): Promise<ContentStore> {
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
  const has = (digest: string) =>
    stat(blobPath(digest)).then(
      () => true,
      () => false,
    )

  return {
    directory,
    blobPath,
    has,

    async put(mediaType, bytes) {
      const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
      if (!(await has(digest))) await writeWhole(incoming, blobPath(digest), [bytes])
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

    async read(digest) {
      const bytes = await readFile(blobPath(digest))
      const found = createHash('sha256').update(bytes).digest('hex')
      if (found !== digest.slice(7))
        throw new Error(`blob ${digest} is damaged: its content has sha256:${found}`)
      return bytes
    },

    async tag(reference, digest, taggedAtMs) {
      const tag: Tag = { reference: normalizeReference(reference), digest, taggedAtMs }
      await writeWhole(incoming, namePath(tag.reference), [Buffer.from(`${JSON.stringify(tag)}\n`)])
    },

    async find(reference) {
      const name = normalizeReference(reference)
      const found = readTag(namePath(name))
      return found?.reference === name ? found.digest : undefined
    },

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
  const { reference, digest, taggedAtMs = 0 } = value as Partial<Tag>
  return typeof reference === 'string' && typeof digest === 'string'
    ? { reference, digest, taggedAtMs }
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

/** A rename survives a power loss only once its folder is synced. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
