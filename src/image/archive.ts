/**
 * Images as one tar file, for machines without a registry: OCI image layouts (image-spec, image-layout) and what
 * `docker save` writes. What is exported is both at once, as Docker's own archives are since version 25.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { posix } from 'node:path'
import { pipeline } from 'node:stream'
import { createGunzip } from 'node:zlib'
import type { ContentStore, Descriptor } from './content-store.ts'
import { blobsOf } from './collection.ts'
import { indexTypes, manifestTypes, parseManifest, readDocument, readManifest } from './manifest.ts'
import { noteReferrer, referrersOf, type Referrer } from './referrers.ts'
import { normalizeReference, parseReference } from './reference.ts'
import { readTar } from './tar-reader.ts'

/** The archive can't be used; the message says why. */
export class BadImageArchive extends Error {
  override readonly name = 'BadImageArchive'
}

export interface Imported {
  readonly reference: string
  readonly digest: string
}

const maxDocumentBytes = 8 << 20
const maxBytes = 64 * 2 ** 30
/** How many times its size a gzipped archive may decompress to, beyond its first bytes: as for layers. */
const maxRatio = 250
const [manifestType] = manifestTypes
const [indexType] = indexTypes
const configType = 'application/vnd.oci.image.config.v1+json'
/** An index of what speaks about the images of the archive. */
const referrersFile = 'referrers.json'
const nameAnnotation = 'io.containerd.image.name'
const tagAnnotation = 'org.opencontainers.image.ref.name'

/**
 * Stores the images of an archive, perhaps gzipped, and names them when all of them are whole. `tag` names the only
 * image of an archive. Throws BadImageArchive, InvalidReference, or what the archive's own faults are.
 */
export async function importArchive(
  store: ContentStore,
  chunks: AsyncIterable<Uint8Array>,
  {
    nowMs,
    tag,
    freeBytes = 256 * 2 ** 20,
  }: {
    readonly nowMs: number
    readonly tag?: string | undefined
    /** What any gzipped archive may decompress to. */
    readonly freeBytes?: number
  },
): Promise<readonly Imported[]> {
  const files = await readFiles(store, unzipped(chunks, freeBytes))
  const found = files.has('index.json')
    ? await ofLayout(store, files)
    : await ofDocker(store, files)
  const images: Found[] = []
  for (const one of found) if (!(await isReferrer(store, one))) images.push(one)
  if (files.has(referrersFile))
    for (const { digest } of await entriesOf(store, files, referrersFile))
      await isReferrer(store, { digest, names: [] })
  if (images.length === 0) throw new BadImageArchive('there is no image in it')
  if (tag !== undefined && images.length > 1)
    throw new BadImageArchive(`it has ${images.length} images; --tag can name only one`)
  const named: Imported[] = []
  for (const { digest, names } of images) {
    const all = tag === undefined ? names : [tag]
    if (all.length === 0)
      throw new BadImageArchive(`${digest} has no name in it; give one with --tag`)
    await assertWhole(store, digest)
    for (const name of all) named.push({ reference: normalizeReference(name), digest })
  }
  for (const { reference, digest } of named) await store.tag(reference, digest, nowMs)
  return named
}

/** What speaks about an image is noted, and needs no name. */
async function isReferrer(store: ContentStore, { digest, names }: Found): Promise<boolean> {
  const subject = names.length > 0 ? undefined : await subjectOf(store, digest)
  if (subject !== undefined) await noteReferrer(store, subject, digest)
  return subject !== undefined
}

/** What is wrong with a manifest is said where images are read. */
const subjectOf = async (store: ContentStore, digest: string): Promise<string | undefined> => {
  try {
    return readDocument(await store.read(digest)).subject?.digest
  } catch {
    return undefined
  }
}

interface Found {
  readonly digest: string
  readonly names: readonly string[]
}

/** A file of the archive is a blob, or a link to one. */
type File = { readonly blob: Descriptor } | { readonly link: string }
type Files = ReadonlyMap<string, File>

async function readFiles(store: ContentStore, chunks: AsyncIterable<Uint8Array>): Promise<Files> {
  const files = new Map<string, File>()
  let left = maxBytes
  for await (const entry of readTar(chunks)) {
    const name = posix.normalize(entry.name).replace(/^\/+/, '')
    if (entry.type === 'symlink' || entry.type === 'link') {
      const target =
        entry.type === 'link' ? entry.linkName : posix.join(posix.dirname(name), entry.linkName)
      files.set(name, { link: posix.normalize(target) })
    }
    if (entry.type !== 'file') continue
    left -= entry.size
    if (left < 0) throw new BadImageArchive(`it has more than ${maxBytes} bytes`)
    const promised = /^blobs\/sha256\/([a-f0-9]{64})$/.exec(name)?.[1]
    const blob = await store.putStream('', entry.content())
    if (promised !== undefined && blob.digest !== `sha256:${promised}`)
      throw new BadImageArchive(`${name} has the digest ${blob.digest}`)
    files.set(name, { blob })
  }
  return files
}

/** Whether it is gzipped is seen by its first bytes. */
async function* unzipped(
  chunks: AsyncIterable<Uint8Array>,
  freeBytes: number,
): AsyncGenerator<Uint8Array> {
  const source = chunks[Symbol.asyncIterator]()
  const first = await source.next()
  if (first.done) throw new BadImageArchive('it is empty')
  const all = async function* () {
    yield first.value
    yield* { [Symbol.asyncIterator]: () => source }
  }
  if (first.value[0] !== 0x1f || first.value[1] !== 0x8b) return yield* all()
  let taken = 0
  const counted = async function* () {
    for await (const chunk of all()) {
      taken += chunk.length
      yield chunk
    }
  }
  const gunzip = createGunzip()
  pipeline(counted(), gunzip, () => {}) // its error is the reader's
  let given = 0
  for await (const chunk of gunzip) {
    if (!(chunk instanceof Uint8Array)) continue
    given += chunk.length
    if (given > freeBytes + taken * maxRatio)
      throw new BadImageArchive(`it decompresses to more than ${maxRatio} times its bytes`)
    yield chunk
  }
}

function blobAt(files: Files, name: string): Descriptor {
  let path = posix.normalize(name)
  for (let followed = 0; followed < 10; followed++) {
    const file = files.get(path)
    if (!file) break
    if ('blob' in file) return file.blob
    path = file.link
  }
  throw new BadImageArchive(`${name} is missing`)
}

async function document(store: ContentStore, files: Files, name: string): Promise<unknown> {
  const blob = blobAt(files, name)
  if (blob.size > maxDocumentBytes) throw new BadImageArchive(`${name} has ${blob.size} bytes`)
  try {
    return JSON.parse((await store.read(blob.digest)).toString('utf8')) as unknown
  } catch {
    throw new BadImageArchive(`${name} is not JSON`)
  }
}

/** Entries of an index of the archive. */
async function entriesOf(
  store: ContentStore,
  files: Files,
  name: string,
): Promise<readonly { readonly digest: string; readonly annotations?: unknown }[]> {
  const { manifests } = Object(await document(store, files, name)) as {
    readonly manifests?: unknown
  }
  if (!Array.isArray(manifests)) throw new BadImageArchive(`${name} has no manifests`)
  return manifests.map((item: unknown) => {
    const { digest, annotations } = Object(item) as {
      readonly digest?: unknown
      readonly annotations?: unknown
    }
    if (typeof digest !== 'string' || !/^sha256:[a-f0-9]{64}$/.test(digest))
      throw new BadImageArchive(`an entry of ${name} has no sha256 digest`)
    return { digest, annotations }
  })
}

async function ofLayout(store: ContentStore, files: Files): Promise<readonly Found[]> {
  const manifests = await entriesOf(store, files, 'index.json')
  const docker = files.has('manifest.json') ? await dockerNames(store, files) : new Map()
  return await Promise.all(
    manifests.map(async ({ digest, annotations }): Promise<Found> => {
      const texts = Object(annotations) as Readonly<Record<string, unknown>>
      const given = [texts[nameAnnotation], texts[tagAnnotation]].filter(
        (name): name is string => typeof name === 'string' && /[/:]/.test(name),
      )
      const names: readonly string[] = given.slice(0, 1)
      if (names.length > 0 || !(await store.has(digest))) return { digest, names }
      if ((await subjectOf(store, digest)) !== undefined) return { digest, names }
      const { configDigest } = await readManifest(store, digest).catch(() => ({
        configDigest: '',
      }))
      return { digest, names: (docker.get(configDigest) as string[] | undefined) ?? [] }
    }),
  )
}

interface DockerEntry {
  readonly config: string
  readonly names: readonly string[]
  readonly layers: readonly string[]
}

async function dockerEntries(store: ContentStore, files: Files): Promise<readonly DockerEntry[]> {
  if (!files.has('manifest.json'))
    throw new BadImageArchive(
      'it has neither index.json (OCI layout) nor manifest.json (docker save)',
    )
  const value = await document(store, files, 'manifest.json')
  if (!Array.isArray(value)) throw new BadImageArchive('manifest.json is no list')
  const strings = (item: unknown): readonly string[] =>
    Array.isArray(item) ? item.filter((text): text is string => typeof text === 'string') : []
  return value.map((item: unknown) => {
    const { Config, RepoTags, Layers } = Object(item) as Readonly<Record<string, unknown>>
    if (typeof Config !== 'string')
      throw new BadImageArchive('an image of manifest.json has no Config')
    return { config: Config, names: strings(RepoTags), layers: strings(Layers) }
  })
}

/** RepoTags by digest of the config. */
async function dockerNames(
  store: ContentStore,
  files: Files,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const entries = await dockerEntries(store, files)
  return new Map(entries.map(({ config, names }) => [blobAt(files, config).digest, names]))
}

async function ofDocker(store: ContentStore, files: Files): Promise<readonly Found[]> {
  const found: Found[] = []
  for (const { config, names, layers } of await dockerEntries(store, files)) {
    const described = layers.map(async (name): Promise<Descriptor> => {
      const blob = blobAt(files, name)
      return { ...blob, mediaType: await layerTypeOf(store, blob.digest) }
    })
    const manifest = await store.put(
      manifestType,
      Buffer.from(
        JSON.stringify({
          schemaVersion: 2,
          mediaType: manifestType,
          config: { ...blobAt(files, config), mediaType: configType },
          layers: await Promise.all(described),
        }),
      ),
    )
    found.push({ digest: manifest.digest, names })
  }
  return found
}

/** Layers of archives do not say how they are packed. */
async function layerTypeOf(store: ContentStore, digest: string): Promise<string> {
  const file = await open(store.blobPath(digest), 'r')
  const start = Buffer.alloc(4)
  try {
    await file.read(start, 0, 4, 0)
  } finally {
    await file.close()
  }
  const magic = start.readUInt32LE(0)
  const tar = 'application/vnd.oci.image.layer.v1.tar'
  if ((magic & 0xffff) === 0x8b1f) return `${tar}+gzip`
  return magic === 0xfd2fb528 ? `${tar}+zstd` : tar
}

/** Throws BadImageArchive when something that the image needs on this machine is not in the store. */
async function assertWhole(store: ContentStore, digest: string): Promise<void> {
  if (!(await store.has(digest))) throw new BadImageArchive(`the manifest ${digest} is missing`)
  const { layers } = await readManifest(store, digest).catch((error: unknown) => {
    throw new BadImageArchive(error instanceof Error ? error.message : String(error))
  })
  for (const layer of layers)
    if (!(await store.has(layer.digest)))
      throw new BadImageArchive(`layer ${layer.digest} is missing`)
}

/** What speaks about a manifest, and what speaks about that. */
async function allReferrers(store: ContentStore, subject: string): Promise<readonly Referrer[]> {
  const direct = await referrersOf(store, subject)
  const further = await Promise.all(direct.map(({ digest }) => allReferrers(store, digest)))
  return [...direct, ...further.flat()]
}

/**
 * The tar of an image, for this machine's platform, with what speaks about it; readable as OCI layout and by
 * `docker load`.
 */
export async function* exportArchive(
  store: ContentStore,
  reference: string,
  digest: string,
): AsyncGenerator<Uint8Array> {
  const image = await readManifest(store, digest)
  const manifest = await store.read(image.digest)
  const name = normalizeReference(reference)
  const { tag, digest: byDigest } = parseReference(name)
  const path = (blob: string) => `blobs/sha256/${blob.slice(7)}`
  const parsed = parseManifest(manifest)
  const mediaType =
    (JSON.parse(manifest.toString('utf8')) as { readonly mediaType?: string }).mediaType ??
    manifestType
  const referrers = await allReferrers(store, image.digest)
  const documents = {
    'oci-layout': { imageLayoutVersion: '1.0.0' },
    'index.json': {
      schemaVersion: 2,
      mediaType: indexType,
      manifests: [
        {
          mediaType,
          digest: image.digest,
          size: manifest.length,
          annotations: {
            [nameAnnotation]: name,
            ...(tag !== undefined && { [tagAnnotation]: tag }),
          },
        },
      ],
    },
    // Not in index.json: skopeo takes an archive of one image without a name, and of several only by name.
    ...(referrers.length > 0 && {
      [referrersFile]: { schemaVersion: 2, mediaType: indexType, manifests: referrers },
    }),
    'manifest.json': [
      {
        Config: path(image.configDigest),
        RepoTags: byDigest === undefined ? [name.replace(/^docker\.io\/(library\/)?/, '')] : [],
        Layers: parsed.kind === 'image' ? parsed.layers.map((layer) => path(layer.digest)) : [],
      },
    ],
  }
  for (const blob of [...(await blobsOf(store, image.digest))].sort()) {
    const { size } = await stat(store.blobPath(blob))
    const hash = createHash('sha256')
    yield tarHeader(path(blob), size)
    for await (const chunk of createReadStream(store.blobPath(blob))) {
      if (!(chunk instanceof Uint8Array)) continue
      hash.update(chunk)
      yield chunk
    }
    if (`sha256:${hash.digest('hex')}` !== blob)
      throw new BadImageArchive(`blob ${blob} of the store is damaged`)
    yield tarPadding(size)
  }
  for (const [file, value] of Object.entries(documents)) {
    const bytes = Buffer.from(JSON.stringify(value))
    yield tarHeader(file, bytes.length)
    yield bytes
    yield tarPadding(bytes.length)
  }
  yield Buffer.alloc(1024)
}

/** Header of a file in a tar (POSIX ustar), without time or owner; names of at most 100 bytes. */
function tarHeader(name: string, size: number): Buffer {
  const header = Buffer.alloc(512)
  const octal = (value: number, offset: number, digits: number) =>
    header.write(value.toString(8).padStart(digits, '0'), offset, 'latin1')
  header.write(name, 0, 100, 'utf8')
  octal(0o644, 100, 7)
  octal(0, 108, 7)
  octal(0, 116, 7)
  // Beyond 8 GiB the size does not fit in octal digits: GNU's base 256 then.
  if (size < 8 ** 11) octal(size, 124, 11)
  else {
    header[124] = 0x80
    header.writeBigUInt64BE(BigInt(size), 128)
  }
  octal(0, 136, 11)
  header.write('        0', 148, 'latin1')
  header.write('ustar\u000000', 257, 'latin1')
  let sum = 0
  for (const byte of header) sum += byte
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return header
}

const tarPadding = (size: number): Buffer => Buffer.alloc((512 - (size % 512)) % 512)
