/** Manifest and config of an image, read with care: an image may come from anywhere. */
import type { ContentStore, Descriptor } from './content-store.ts'

/** What a container takes over from its image. */
export interface ImageConfig {
  readonly entrypoint: readonly string[]
  readonly cmd: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly workingDir: string
  readonly user: string
  readonly stopSignal: string
  readonly exposedPorts: readonly number[]
}

export interface ImageManifest {
  readonly layers: readonly Descriptor[]
  readonly config: ImageConfig
}

/** Reads an image by its manifest's digest. Throws an Error that says what is wrong with it. */
export async function readManifest(store: ContentStore, digest: string): Promise<ImageManifest> {
  const manifest = record(parse(await store.read(digest), digest))
  const layers = manifest['layers']
  if (!Array.isArray(layers)) throw new Error(`${digest} is no image manifest: it has no layers`)
  const configDigest = record(manifest['config'])['digest']
  if (typeof configDigest !== 'string')
    throw new Error(`${digest} is no image manifest: it has no config`)
  const config = record(record(parse(await store.read(configDigest), configDigest))['config'])
  return {
    layers: layers.map((layer) => descriptorOf(layer, digest)),
    config: {
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
    },
  }
}

function parse(bytes: Buffer, digest: string): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    throw new Error(`blob ${digest} is not JSON`)
  }
}

function descriptorOf(value: unknown, digest: string): Descriptor {
  const layer = record(value)
  if (typeof layer['digest'] !== 'string') throw new Error(`${digest}: a layer has no digest`)
  return {
    mediaType: text(layer['mediaType']),
    digest: layer['digest'],
    size: typeof layer['size'] === 'number' ? layer['size'] : 0,
  }
}

const record = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {}
const text = (value: unknown): string => (typeof value === 'string' ? value : '')
const strings = (value: unknown): readonly string[] =>
  Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []
