/** A base image of the store that a program is put on: its layers and its config, as they are (image-spec 1.1, config). */
import { BuildError } from '../build-error.ts'
import type { ContentStore, Descriptor } from '../content-store.ts'
import { layerType } from '../layer.ts'
import { parseManifest, platformText, readManifest, type Platform } from '../manifest.ts'

export interface Base {
  /** As it was asked for. */
  readonly reference: string
  /** Of its manifest. */
  readonly digest: string
  readonly layers: readonly Descriptor[]
  readonly diffIds: readonly string[]
  readonly history: readonly unknown[]
  /** The `config` of its config: Env, User, Labels… */
  readonly config: Readonly<Record<string, unknown>>
  readonly env: readonly string[]
  readonly platform: Platform
}

/** Throws BuildError when the store's image can't be built on. */
export async function readBase(
  store: ContentStore,
  reference: string,
  digest: string,
): Promise<Base> {
  const refuse = (why: string): never => {
    throw new BuildError(`--base ${reference}: ${why}`)
  }
  const image = await readManifest(store, digest)
  const manifest = parseManifest(await store.read(image.digest))
  if (manifest.kind !== 'image') return refuse('it is an index of images')
  const stored = record(JSON.parse((await store.read(image.configDigest)).toString('utf8')))
  const diffIds = texts(record(stored['rootfs'])['diff_ids'])
  if (diffIds.length !== manifest.layers.length)
    return refuse(`it has ${manifest.layers.length} layers and speaks of ${diffIds.length}`)
  for (const layer of manifest.layers)
    if (!(await store.has(layer.digest))) return refuse(`its layer ${layer.digest} is not here`)
  const config = record(stored['config'])
  const [os, architecture, variant] = [stored['os'], stored['architecture'], stored['variant']]
  return {
    reference,
    digest: image.digest,
    layers: manifest.layers.map((layer) => ({ ...layer, mediaType: ociType(layer.mediaType) })),
    diffIds,
    history: Array.isArray(stored['history']) ? (stored['history'] as readonly unknown[]) : [],
    config,
    env: texts(config['Env']),
    platform: {
      os: typeof os === 'string' ? os : 'linux',
      architecture: typeof architecture === 'string' ? architecture : '',
      ...(typeof variant === 'string' && variant !== '' && { variant }),
    },
  }
}

/** Throws BuildError when the base is of another kind of machine. */
export function assertFits(base: Base, platform: Platform): void {
  const { os, architecture } = base.platform
  if (os !== platform.os || architecture !== platform.architecture)
    throw new BuildError(
      `--base ${base.reference} is for ${platformText(base.platform)}; expected ${platformText(platform)}`,
    )
}

/** Docker's names for the same bytes. */
function ociType(mediaType: string): string {
  const [, zipped] =
    /^application\/vnd\.docker\.image\.rootfs\.(?:foreign\.)?diff\.tar(?:\.(gzip|zstd))?$/.exec(
      mediaType,
    ) ?? []
  if (!mediaType.startsWith('application/vnd.docker.')) return mediaType
  return zipped === undefined ? layerType.replace('+gzip', '') : layerType.replace('gzip', zipped)
}

export const record = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {}
const texts = (value: unknown): readonly string[] =>
  Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []
