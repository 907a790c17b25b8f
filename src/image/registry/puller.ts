/**
 * Brings images from registries into the content store. Mirrors are tried in order; callers that want the same image
 * share one pull, images that share a layer share its download. The manifest is stored after everything it speaks of,
 * so what the store has by a manifest's digest is whole, whenever the machine may have stopped.
 */
import { sleep, type Clock } from '../../lib/clock.ts'
import type { Registries } from '../../lib/registries.ts'
import { createSemaphore } from '../../lib/semaphore.ts'
import type { ContentStore, Descriptor } from '../content-store.ts'
import {
  choosePlatform,
  maxIndexDepth,
  maxManifestBytes,
  parseConfig,
  parseManifest,
} from '../manifest.ts'
import { referenceText, type Reference } from '../reference.ts'
import { createAuthorizer } from './authorization.ts'
import { downloadBlob, pauseAfter } from './blob-download.ts'
import { firstOf, type Credential, type Keyring } from './credentials.ts'
import { accessKeyring } from './access-keys.ts'
import { accessOf, endpointsOf, type Endpoint } from './endpoints.ts'
import { createHttpClient } from './http.ts'
import { pullError, type EndpointFailure } from './pull-error.ts'
import { RegistryError } from './registry-error.ts'
import { openSession, type FetchedManifest, type Session } from './session.ts'

export interface PullSettings {
  readonly registries: Registries
  /** Blobs downloaded at a time, of all images together. */
  readonly maxParallel: number
  /** Compressed size of an image that is still pulled. */
  readonly maxImageBytes: number
}

export interface PullerOptions {
  readonly store: ContentStore
  readonly clock: Clock
  /** As they are now. */
  readonly settings: () => PullSettings
  /** Asked where the caller's own keys know nothing. */
  readonly keys: Keyring
  readonly proxy?: Readonly<Record<string, string | undefined>>
  readonly stallMs?: number
}

export interface Pulled {
  /** What the name meant: of the index, if there is one. */
  readonly digest: string
  /** Of the image for this machine, as it was sent: config and layers. */
  readonly sizeBytes: number
}

export interface Puller extends Disposable {
  /** True when some registry may be asked for the image. */
  mayAsk(reference: Reference): boolean
  /** Pulls whatever of it is not in the store yet, and names it. Rejects with RegistryError, or with the disk's error. */
  pull(reference: Reference, keys: Keyring): Promise<Pulled>
  /** Pulls what speaks about a manifest of that name, and says how much that is. Rejects as `pull`. */
  pullReferrers(reference: Reference, digest: string, keys: Keyring): Promise<number>
  /** The digest that the name has now. Rejects with RegistryError. */
  resolve(reference: Reference, keys: Keyring): Promise<string>
}

const maxConfigBytes = 8 << 20
/** Attempts to get a manifest of one endpoint. */
const manifestAttempts = 3

export function createPuller(options: PullerOptions): Puller {
  const { store, clock, settings } = options
  const http = createHttpClient({
    ...options,
    accessOf: (host) => accessOf(host, settings().registries),
  })
  const authorizer = createAuthorizer({ http, clock })
  const deps = { http, authorizer, origins: new Map<string, string>() }
  const stopped = new AbortController()
  const downloads = createSemaphore(() => settings().maxParallel)
  const pulls = new Map<string, Promise<Pulled>>()
  /** Blobs on their way, by digest. */
  const coming = new Map<string, Promise<void>>()

  interface Attempt {
    readonly endpoint: Endpoint
    readonly credentials: readonly (Credential | undefined)[]
  }
  const attemptsFor = (reference: Reference, keys: Keyring): Promise<readonly Attempt[]> => {
    const { registries } = settings()
    const ring = firstOf(keys, accessKeyring(registries), options.keys)
    return Promise.all(
      endpointsOf(reference, registries).map(async (endpoint) => {
        const found = await ring.find(endpoint.host, endpoint.repository)
        return { endpoint, credentials: found.length > 0 ? found : [undefined] }
      }),
    )
  }

  /** The first endpoint and credential with which it works. */
  const through = async <T>(
    reference: Reference,
    attempts: readonly Attempt[],
    work: (session: Session) => Promise<T>,
  ): Promise<T> => {
    const failures: EndpointFailure[] = []
    for (const { endpoint, credentials } of attempts) {
      let failure: RegistryError | undefined
      for (const credential of credentials) {
        try {
          return await work(openSession(endpoint, credential, deps))
        } catch (error) {
          if (!(error instanceof RegistryError) || stopped.signal.aborted) throw error
          failure = error
          if (error.problem !== 'denied') break
        }
      }
      if (failure) failures.push({ endpoint, error: failure })
    }
    throw pullError(reference, failures, settings().registries)
  }

  const fetchManifest = async (session: Session, wanted: string): Promise<FetchedManifest> => {
    for (let failures = 1; ; failures++) {
      try {
        return await session.manifest(wanted, stopped.signal)
      } catch (error) {
        const pauseMs = isLasting(error) ? undefined : pauseAfter(error, failures)
        if (pauseMs === undefined || failures >= manifestAttempts || stopped.signal.aborted)
          throw error
        await sleep(clock, pauseMs, stopped.signal)
      }
    }
  }

  const fetchBlob = (session: Session, blob: Descriptor, signal: AbortSignal): Promise<void> => {
    let promise = coming.get(blob.digest)
    if (!promise) {
      promise = downloads
        .run(async () => {
          if (signal.aborted) throw new RegistryError('unreachable', 'the pull was given up')
          await downloadBlob(session, blob, { store, clock, signal })
        })
        .finally(() => coming.delete(blob.digest))
      coming.set(blob.digest, promise)
      return promise
    }
    // Another's way may end where ours does not.
    return promise.catch(() => fetchBlob(session, blob, signal))
  }

  const pullThrough = async (session: Session, reference: Reference): Promise<Pulled> => {
    const { host } = session.endpoint
    const documents: FetchedManifest[] = []
    let wanted: string = reference.digest ?? reference.tag ?? 'latest'
    let image
    for (;;) {
      const fetched = await fetchManifest(session, wanted)
      documents.unshift(fetched)
      const manifest = sane(host, () => parseManifest(fetched.bytes, fetched.mediaType))
      if (manifest.kind === 'image') {
        image = manifest
        break
      }
      if (documents.length > maxIndexDepth)
        throw new RegistryError('invalid', `${host}: indexes are nested too deeply`)
      const chosen = sane(host, () => choosePlatform(manifest.manifests))
      if (chosen.size > maxManifestBytes)
        throw new RegistryError(
          'invalid',
          `${host}: a manifest has ${chosen.size} bytes; at most ${maxManifestBytes} are read`,
        )
      wanted = chosen.digest
    }
    const { config } = image
    const blobs = new Map([config, ...image.layers].map((blob) => [blob.digest, blob]))
    const sizeBytes = [...blobs.values()].reduce((sum, { size }) => sum + size, 0)
    const { maxImageBytes } = settings()
    if (config.size > maxConfigBytes)
      throw new RegistryError(
        'invalid',
        `${host}: its config has ${config.size} bytes; at most ${maxConfigBytes} are read`,
      )
    if (sizeBytes > maxImageBytes)
      throw new RegistryError(
        'invalid',
        `${host}: the image has ${sizeBytes} bytes; at most ${maxImageBytes} are pulled (max-image-size)`,
      )
    await fetchAll(session, [...blobs.values()])
    const configBytes = await store.read(config.digest)
    sane(host, () => parseConfig(configBytes))
    for (const { bytes, mediaType } of documents) await store.put(mediaType, bytes)
    const digest = documents.at(-1)?.digest ?? ''
    await store.tag(referenceText(reference), digest, clock.now(), { pulled: true })
    return { digest, sizeBytes }
  }

  /** All or nothing: the first failure ends the others. */
  const fetchAll = async (session: Session, blobs: readonly Descriptor[]): Promise<void> => {
    const failed = new AbortController()
    const signal = AbortSignal.any([failed.signal, stopped.signal])
    let first: unknown
    await Promise.all(
      blobs.map((blob) =>
        fetchBlob(session, blob, signal).catch((error: unknown) => {
          if (!failed.signal.aborted) first = error
          failed.abort()
        }),
      ),
    )
    if (failed.signal.aborted) throw first
  }

  return {
    mayAsk: (reference) => endpointsOf(reference, settings().registries).length > 0,

    async pull(reference, keys) {
      const attempts = await attemptsFor(reference, keys)
      // Whoever comes with other credentials may not see what these do.
      const key = JSON.stringify([reference, attempts])
      let promise = pulls.get(key)
      if (!promise) {
        promise = through(reference, attempts, (session) =>
          pullThrough(session, reference),
        ).finally(() => pulls.delete(key))
        pulls.set(key, promise)
      }
      return await promise
    },

    async pullReferrers(reference, digest, keys) {
      const { pullReferrers } = await import('./referrer-pull.ts')
      return await through(reference, await attemptsFor(reference, keys), (session) =>
        pullReferrers(session, digest, { store, fetchManifest, fetchAll }),
      )
    },

    async resolve(reference, keys) {
      const { tag } = reference
      if (reference.digest !== undefined || tag === undefined) return reference.digest ?? ''
      return await through(
        reference,
        await attemptsFor(reference, keys),
        async (session) =>
          (await session.digestOf(tag, stopped.signal)) ??
          (await fetchManifest(session, tag)).digest,
      )
    },

    [Symbol.dispose]() {
      stopped.abort()
      http[Symbol.dispose]()
    },
  }
}

/** Trying again at once would not help: the pod's own back-off is for these. */
function isLasting(error: unknown): boolean {
  const { cause } = Object(error) as { readonly cause?: unknown }
  const { code = '' } = Object(cause) as { readonly code?: string }
  return (
    code !== 'ECONNRESET' &&
    code !== 'EPIPE' &&
    !(error instanceof RegistryError && error.problem === 'busy')
  )
}

function sane<T>(host: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw new RegistryError(
      'invalid',
      `${host}: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    )
  }
}
