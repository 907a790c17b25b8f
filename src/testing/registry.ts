/** A registry for tests: serves what it was given, and misbehaves on demand. */
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { mkdtemp, rm } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { gzipSync } from 'node:zlib'
import { pack, type Header } from 'tar-stream'
import { noRegistries, parseRegistries, type Registries } from '../lib/registries.ts'
import { SimClock } from './sim-clock.ts'
import { openContentStore, type ContentStore, type Descriptor } from '../image/content-store.ts'
import { parseReference } from '../image/reference.ts'
import { noKeys, type Keyring } from '../image/registry/credentials.ts'
import { createPuller, type Puller, type PullSettings } from '../image/registry/puller.ts'

export type Handler = (request: IncomingMessage, response: ServerResponse) => void

export interface FakeRegistry {
  /** `127.0.0.1:PORT`. */
  readonly host: string
  readonly url: string
  /** `GET /v2/…`, in order. */
  readonly requests: readonly string[]
  /** Of the request at the same place. */
  readonly authorizations: readonly (string | undefined)[]
  /** Asked first; answers true when it has answered. */
  intercept: (request: IncomingMessage, response: ServerResponse) => boolean
  blob(bytes: Uint8Array, mediaType?: string): Descriptor
  /** Under tag `name` of any repository, and under its digest. */
  manifest(name: string, value: unknown, mediaType?: string): Descriptor
  /** An image of these layers. */
  image(name: string, layers: readonly Descriptor[], config?: object): Descriptor
}

export const types = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  index: 'application/vnd.oci.image.index.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
}

const digestOf = (bytes: Uint8Array) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

export async function fakeRegistry(t: TestContext): Promise<FakeRegistry> {
  const blobs = new Map<string, Uint8Array>()
  const manifests = new Map<string, { readonly bytes: Buffer; readonly mediaType: string }>()
  const requests: string[] = []
  const authorizations: (string | undefined)[] = []
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`)
    authorizations.push(request.headers.authorization)
    if (registry.intercept(request, response)) return
    const [, kind = '', name = ''] =
      /^\/v2\/.+\/(manifests|blobs)\/([^/]+)$/.exec(request.url ?? '') ?? []
    const manifest = kind === 'manifests' ? manifests.get(name) : undefined
    const blob = kind === 'blobs' ? blobs.get(name) : undefined
    if (manifest) {
      response.setHeader('content-type', manifest.mediaType)
      response.setHeader('docker-content-digest', digestOf(manifest.bytes))
      response.setHeader('content-length', manifest.bytes.length)
      response.end(request.method === 'HEAD' ? undefined : manifest.bytes)
    } else if (blob) {
      const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
      if (from > 0) {
        response.statusCode = 206
        response.setHeader('content-range', `bytes ${from}-${blob.length - 1}/${blob.length}`)
      }
      response.setHeader('content-length', blob.length - from)
      response.end(blob.subarray(from))
    } else {
      response.statusCode = 404
      response.end('{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}')
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const registry: FakeRegistry = {
    host: `127.0.0.1:${port}`,
    url: `http://127.0.0.1:${port}`,
    requests,
    authorizations,
    intercept: () => false,
    blob(bytes, mediaType = types.layer) {
      const digest = digestOf(bytes)
      blobs.set(digest, bytes)
      return { mediaType, digest, size: bytes.length }
    },
    manifest(name, value, mediaType = types.manifest) {
      const bytes = Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
      const digest = digestOf(bytes)
      manifests.set(name, { bytes, mediaType })
      manifests.set(digest, { bytes, mediaType })
      return { mediaType, digest, size: bytes.length }
    },
    image(name, layers, config = { config: { Cmd: ['/app'] } }) {
      const described = registry.blob(Buffer.from(JSON.stringify(config)), types.config)
      return registry.manifest(name, {
        schemaVersion: 2,
        mediaType: types.manifest,
        config: described,
        layers,
      })
    },
  }
  return registry
}

/** The bytes of a tar. */
export async function tarOf(
  entries: readonly (Partial<Header> & {
    readonly name: string
    readonly text?: string | Uint8Array
  })[],
): Promise<Buffer> {
  const tar = pack()
  for (const { text = '', ...header } of entries)
    tar.entry(header, typeof text === 'string' ? text : Buffer.from(text))
  tar.finalize()
  const chunks: Uint8Array[] = []
  for await (const chunk of tar) chunks.push(chunk as Uint8Array)
  return Buffer.concat(chunks)
}

/** A gzipped layer with one file. */
export const layerOf = async (text: string): Promise<Buffer> =>
  gzipSync(await tarOf([{ name: 'app', text, mode: 0o755 }]))

export interface PullBench {
  readonly store: ContentStore
  readonly clock: SimClock
  readonly puller: Puller
  pull(name: string, keys?: Keyring): ReturnType<Puller['pull']>
  resolve(name: string, keys?: Keyring): ReturnType<Puller['resolve']>
}

/** A store and a puller with a clock that rings alarms at once when `hasty`, so that back-off takes no time. */
export async function pullBench(
  t: TestContext,
  {
    registries = {},
    keys = noKeys,
    settings = {},
    stallMs = 30_000,
  }: {
    readonly registries?: object
    readonly keys?: Keyring
    readonly settings?: Partial<PullSettings>
    readonly stallMs?: number
  } = {},
): Promise<PullBench> {
  const folder = await mkdtemp(join(tmpdir(), 'ebb-pull-'))
  const clock = new SimClock()
  const store = await openContentStore(folder, clock)
  const all: Registries = { ...noRegistries, ...parseRegistries(registries) }
  const puller = createPuller({
    store,
    clock,
    keys,
    stallMs,
    settings: () => ({ registries: all, maxParallel: 2, maxImageBytes: 1 << 30, ...settings }),
  })
  t.after(async () => {
    puller[Symbol.dispose]()
    await rm(folder, { recursive: true, force: true })
  })
  return {
    store,
    clock,
    puller,
    pull: (name, own = noKeys) => puller.pull(parseReference(name), own),
    resolve: (name, own = noKeys) => puller.resolve(parseReference(name), own),
  }
}

/** Moves the clock by `stepMs` again and again until the promise has settled. */
export async function inTime<T>(clock: SimClock, promise: Promise<T>, stepMs = 1000): Promise<T> {
  let settled = false
  const watch = promise.then(
    () => (settled = true),
    () => (settled = true),
  )
  while (!settled) {
    await Promise.race([watch, new Promise((resolve) => setImmediate(resolve))])
    if (!settled) await clock.advance(stepMs)
  }
  return await promise
}
