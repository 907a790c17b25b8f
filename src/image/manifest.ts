/**
 * Manifests, indexes and configs of images (image-spec 1.1; Docker's image manifest v2, schema 2), read with care: an
 * image may come from anywhere. A document that could be read as two things is refused (CVE-2021-41190).
 */
import { arch } from 'node:os'
import type { ContentStore, Descriptor } from './content-store.ts'

export const manifestTypes = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
] as const
export const indexTypes = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
] as const
const configTypes: readonly string[] = [
  'application/vnd.oci.image.config.v1+json',
  'application/vnd.docker.container.image.v1+json',
]
/** Tar, as it is, gzipped or by zstd; the last are Docker's for layers that were not to be pushed. */
const layerPattern =
  /^application\/vnd\.(oci\.image\.layer\.(nondistributable\.)?v1\.tar(\+gzip|\+zstd)?|docker\.image\.rootfs\.(foreign\.)?diff\.tar(\.gzip|\.zstd)?)$/

/** What distribution itself accepts at most. */
export const maxManifestBytes = 4 << 20
const maxLayers = 512
const maxIndexEntries = 4096

/** What a container takes over from its image. */
export interface ImageConfig {
  readonly entrypoint: readonly string[]
  readonly cmd: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly workingDir: string
  readonly user: string
  readonly stopSignal: string
  readonly exposedPorts: readonly number[]
  /** Folders of data (VOLUME): there for every container, and writable though its root be read-only. */
  readonly volumes: readonly string[]
  readonly labels: Readonly<Record<string, string>>
}

/**
 * Label of images that `ebb build` made without a base: they have no root file system of their own and are started as
 * plain processes with the machine's own programs. Its value says with which: see HostRuntime.
 */
export const hostRuntimeLabel = 'dev.ebb.runtime'

/** `node` and `python`: that interpreter, found in PATH; `host`: whatever the command names (Procfile). */
export type HostRuntime = 'node' | 'python' | 'host'
const hostRuntimes: readonly string[] = ['node', 'python', 'host'] satisfies readonly HostRuntime[]

/** The machine's runtime that an image was built for; undefined = the image has a root of its own, as all others have. */
export function hostRuntimeOf({ labels }: Pick<ImageConfig, 'labels'>): HostRuntime | undefined {
  const value = labels[hostRuntimeLabel]
  return value !== undefined && isHostRuntime(value) ? value : undefined
}

const isHostRuntime = (value: string): value is HostRuntime => hostRuntimes.includes(value)

export interface ImageManifest {
  readonly layers: readonly Descriptor[]
  readonly config: ImageConfig
  /** Digest of the manifest for this machine, when the image has several. */
  readonly digest: string
  readonly configDigest: string
}

export interface Platform {
  readonly os: string
  readonly architecture: string
  readonly variant?: string
}

export type Manifest =
  | { readonly kind: 'image'; readonly config: Descriptor; readonly layers: readonly Descriptor[] }
  | {
      readonly kind: 'index'
      readonly manifests: readonly (Descriptor & { readonly platform?: Platform })[]
    }

/** A manifest of any kind, as a registry keeps it: images, indexes, and what else is stored as such. */
export interface ManifestDocument {
  readonly kind: 'image' | 'index'
  readonly mediaType: string
  /** What has to be there before it: config and layers, or the entries of an index. */
  readonly needs: readonly Descriptor[]
  /** What it speaks about. */
  readonly subject?: Descriptor
  /** Its own, else the media type of its config. */
  readonly artifactType?: string
  readonly annotations?: Readonly<Record<string, string>>
}

/** This machine, in the words of images (Go's). */
export const machinePlatform = (): Platform => {
  const name = arch()
  const known: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386', ppc64: 'ppc64le' }
  return {
    os: 'linux',
    architecture: known[name] ?? name,
    ...(name === 'arm' && { variant: 'v7' }),
  }
}

/** Reads a manifest or an index. `mediaType` = what whoever sent it calls it, '' when unknown. Throws an Error that says what is wrong. */
export function parseManifest(bytes: Uint8Array, mediaType = ''): Manifest {
  const { value, manifests, layers } = outline(bytes, mediaType)
  return manifests ? indexOf(manifests) : imageOf(value, layers)
}

type Outline = {
  readonly value: Readonly<Record<string, unknown>>
  /** '' when nobody says. */
  readonly type: string
} & (
  | { readonly manifests: readonly unknown[]; readonly layers?: never }
  | { readonly manifests?: never; readonly layers: readonly unknown[] }
)

/** Which of the two it is; what both have in common. */
function outline(bytes: Uint8Array, mediaType: string): Outline {
  if (bytes.length > maxManifestBytes)
    throw new Error(`the manifest has ${bytes.length} bytes; at most ${maxManifestBytes} are read`)
  const value = record(parse(bytes, 'the manifest'))
  const inside = text(value['mediaType'])
  const said = mediaType.split(';')[0]?.trim() ?? ''
  const isKnown = (type: string) =>
    [...manifestTypes, ...indexTypes].some((known) => known === type)
  if (inside !== '' && isKnown(said) && inside !== said)
    throw new Error(`the manifest calls itself ${inside} and came as ${said}`)
  if (value['schemaVersion'] === 1)
    throw new Error(
      'it is of the old format "schema 1", which has been given up; push it again with a current Docker',
    )
  const { manifests, layers } = value
  if (manifests !== undefined && layers !== undefined)
    throw new Error('it claims to be both an image and an index of images')
  const type = inside || (isKnown(said) ? said : '')
  if (Array.isArray(manifests) && !manifestTypes.some((known) => known === type))
    return { value, type, manifests }
  if (Array.isArray(layers) && !indexTypes.some((known) => known === type))
    return { value, type, layers }
  throw new Error(
    `it is no image manifest (${inside || said || 'no media type'}): it has neither layers nor manifests`,
  )
}

/**
 * Reads any manifest without asking whether it could be run (image-spec 1.1: artifacts are manifests with other configs
 * and layers). `mediaType` as for `parseManifest`. Throws an Error that says what is wrong.
 */
export function readDocument(bytes: Uint8Array, mediaType = ''): ManifestDocument {
  const { value, type, manifests, layers } = outline(bytes, mediaType)
  const subject = value['subject']
  const common = {
    ...(subject !== undefined &&
      subject !== null && { subject: descriptorOf(subject, 'the subject') }),
    ...annotationsOf(value['annotations']),
  }
  const own = text(value['artifactType'])
  if (manifests) {
    if (manifests.length > maxIndexEntries) throw tooMany('index', manifests.length, 'entries')
    return {
      kind: 'index',
      mediaType: type || indexTypes[0],
      needs: manifests.map((item) => descriptorOf(item, 'an entry of the index')),
      ...(own !== '' && { artifactType: own }),
      ...common,
    }
  }
  if (layers.length > maxLayers) throw tooMany('image', layers.length, 'layers')
  const config = descriptorOf(value['config'], 'the config')
  const artifactType = own || config.mediaType
  return {
    kind: 'image',
    mediaType: type || manifestTypes[0],
    needs: [config, ...layers.map((item) => descriptorOf(item, 'a layer'))],
    ...(artifactType !== '' && { artifactType }),
    ...common,
  }
}

function annotationsOf(value: unknown): Pick<ManifestDocument, 'annotations'> {
  const texts = Object.entries(record(value)).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string',
  )
  return texts.length > 0 ? { annotations: Object.fromEntries(texts) } : {}
}

const tooMany = (what: string, count: number, of: string): Error => {
  const most = of === 'layers' ? maxLayers : maxIndexEntries
  return new Error(`the ${what} has ${count} ${of}; at most ${most} are read`)
}

function indexOf(manifests: readonly unknown[]): Manifest {
  if (manifests.length > maxIndexEntries) throw tooMany('index', manifests.length, 'entries')
  return {
    kind: 'index',
    manifests: manifests.map((item) => {
      const platform = record(record(item)['platform'])
      const [os, architecture, variant] = ['os', 'architecture', 'variant'].map((key) =>
        text(platform[key]),
      )
      return {
        ...descriptorOf(item, 'an entry of the index'),
        ...(os && architecture && { platform: { os, architecture, ...(variant && { variant }) } }),
      }
    }),
  }
}

function imageOf(value: Readonly<Record<string, unknown>>, layers: readonly unknown[]): Manifest {
  if (layers.length > maxLayers) throw tooMany('image', layers.length, 'layers')
  const config = descriptorOf(value['config'], 'the config')
  if (!configTypes.includes(config.mediaType))
    throw new Error(`it is no container image: its config is ${config.mediaType || 'of no type'}`)
  return {
    kind: 'image',
    config,
    layers: layers.map((item) => {
      const layer = descriptorOf(item, 'a layer')
      if (!layerPattern.test(layer.mediaType))
        throw new Error(
          `layer ${layer.digest} is ${layer.mediaType || 'of no type'}; expected a tar, perhaps by gzip or zstd`,
        )
      return layer
    }),
  }
}

/** The image of an index that runs here. Throws an Error that names what there is. */
export function choosePlatform(
  manifests: Extract<Manifest, { kind: 'index' }>['manifests'],
  wanted: Platform = machinePlatform(),
): Descriptor {
  const fitting = manifests.filter(
    ({ platform }) => platform?.os === wanted.os && platform.architecture === wanted.architecture,
  )
  const best =
    fitting.find(({ platform }) => platform?.variant === wanted.variant) ??
    (wanted.architecture === 'arm'
      ? fitting.findLast(({ platform }) => (platform?.variant ?? '') <= (wanted.variant ?? ''))
      : fitting[0]) ??
    // An index of one image that does not say for what it is.
    (manifests.length === 1 && !manifests[0]?.platform ? manifests[0] : undefined)
  if (best) return { mediaType: best.mediaType, digest: best.digest, size: best.size }
  const there = manifests.flatMap(({ platform }) =>
    platform && platform.os !== 'unknown' ? [platformText(platform)] : [],
  )
  throw new Error(
    `there is none for ${platformText(wanted)}; there are: ${[...new Set(there)].slice(0, 20).join(', ') || 'none'}`,
  )
}

export const platformText = ({ os, architecture, variant }: Platform): string =>
  [os, architecture, ...(variant ? [variant] : [])].join('/')

/** Indexes in indexes are read this deep. */
export const maxIndexDepth = 3

/** Reads an image of the store by the digest of its manifest or index. Throws an Error that says what is wrong with it. */
export async function readManifest(store: ContentStore, digest: string): Promise<ImageManifest> {
  let found = digest
  for (let depth = 0; depth <= maxIndexDepth; depth++) {
    const manifest = parsed(found, await store.read(found))
    if (manifest.kind === 'image')
      return {
        layers: manifest.layers,
        digest: found,
        configDigest: manifest.config.digest,
        config: parseConfig(await store.read(manifest.config.digest)),
      }
    found = choosePlatform(manifest.manifests).digest
  }
  throw new Error(`${digest}: indexes are nested more than ${maxIndexDepth} deep`)
}

function parsed(digest: string, bytes: Uint8Array): Manifest {
  try {
    return parseManifest(bytes)
  } catch (error) {
    throw new Error(`${digest}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    })
  }
}

/** Reads an image's config. Throws an Error when it is no JSON. */
export function parseConfig(bytes: Uint8Array): ImageConfig {
  const config = record(record(parse(bytes, "the image's config"))['config'])
  return {
    entrypoint: strings(config['Entrypoint']),
    cmd: strings(config['Cmd']),
    env: Object.fromEntries(
      strings(config['Env']).map((text) => {
        const equals = text.indexOf('=')
        return equals < 0 ? [text, ''] : [text.slice(0, equals), text.slice(equals + 1)]
      }),
    ),
    workingDir: text(config['WorkingDir']) || '/',
    user: text(config['User']),
    stopSignal: text(config['StopSignal']),
    exposedPorts: Object.keys(record(config['ExposedPorts'])).flatMap((port) => {
      const number = Number(port.split('/')[0])
      return Number.isInteger(number) ? [number] : []
    }),
    volumes: Object.keys(record(config['Volumes'])),
    labels: Object.fromEntries(
      Object.entries(record(config['Labels'])).flatMap(([key, value]) =>
        typeof value === 'string' ? [[key, value]] : [],
      ),
    ),
  }
}

function parse(bytes: Uint8Array, what: string): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'))
  } catch {
    throw new Error(`${what} is not JSON`)
  }
}

function descriptorOf(value: unknown, what: string): Descriptor {
  const { mediaType, digest, size } = record(value)
  if (typeof digest !== 'string' || !/^sha256:[a-f0-9]{64}$/.test(digest))
    throw new Error(`${what} has no sha256 digest`)
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0)
    throw new Error(`${what} has no size`)
  return { mediaType: text(mediaType), digest, size }
}

const record = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {}
const text = (value: unknown): string => (typeof value === 'string' ? value : '')
const strings = (value: unknown): readonly string[] =>
  Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []
