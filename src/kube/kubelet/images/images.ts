/**
 * The images of the content store, as the node agent and Knative's tag resolution ask for them: by name, whatever
 * registry that name speaks of, or by digest. What was built or imported under a name is what the name means here; what
 * is missing comes from its registry, if there is one to ask.
 */
import { existsSync } from 'node:fs'
import type { ContentStore, Descriptor, Tag } from '../../../image/content-store.ts'
import { hostRuntimeOf, readManifest } from '../../../image/manifest.ts'
import {
  digestReference,
  InvalidReference,
  parseReference,
  referenceText,
} from '../../../image/reference.ts'
import type { Reference } from '../../../image/reference.ts'
import type { Keyring } from '../../../image/registry/credentials.ts'
import type { Puller } from '../../../image/registry/puller.ts'
import { RegistryError } from '../../../image/registry/registry-error.ts'
import { unpackImage } from '../../../image/unpack.ts'
import type { Clock } from '../../../lib/clock.ts'
import { ImageError, type ImageHandle, type Images, type PullRequest } from '../runtime.ts'

type Unpacked = Pick<ImageHandle, 'rootfs' | 'config'>

/** Makes an image's files ready to run, once a manifest; answers the handle's `rootfs`. */
export type PrepareImage = (
  digest: string,
  layers: readonly Descriptor[],
  form: { readonly ownRoot: boolean },
) => Promise<string>

export interface Registry {
  readonly clock: Clock
  /** Opened when the first image is missing. */
  readonly open: () => Promise<Puller>
}

const noteEveryMs = 60_000
const maxNoted = 1_000

const noKeys: Keyring = { find: async () => [] }

/** Finds images in `store` and prepares them; as a rule, unpacks them beside it. Without `registry` nothing is pulled. */
export function openImages(
  store: ContentStore,
  prepare: PrepareImage = (digest, layers, form) => unpackImage(store, digest, layers, form),
  registry?: Registry,
): Images {
  // One promise a manifest, so that pods that start together unpack once. Failures are forgotten.
  const unpacked = new Map<string, Promise<Unpacked>>()
  /** When the use of an image was last noted. */
  const notedMs = new Map<string, number>()
  const waiting = new Set<() => void>()
  let watching: Disposable | undefined

  const unpack = (digest: string): Promise<Unpacked> => {
    let promise = unpacked.get(digest)
    if (!promise) {
      promise = (async () => {
        const manifest = await readManifest(store, digest)
        return {
          rootfs: await prepare(manifest.digest, manifest.layers, {
            ownRoot: hostRuntimeOf(manifest.config) === undefined,
          }),
          config: manifest.config,
        }
      })()
      unpacked.set(digest, promise)
      promise.catch(() => unpacked.delete(digest))
    }
    return promise
  }

  /** In one go, as the start of a pod waits for it. Images go when nobody uses them, also by another process. */
  const isHere = (digest: string): boolean => {
    if (existsSync(store.blobPath(digest))) return true
    unpacked.delete(digest)
    return false
  }

  /** What the name means on this machine. */
  const present = async (
    reference: Reference,
  ): Promise<Pick<Tag, 'digest' | 'pulled'> | undefined> => {
    const { digest } = reference
    const found = digest === undefined ? await store.findTag(referenceText(reference)) : { digest }
    return found && isHere(found.digest) ? found : undefined
  }

  /** Says when an image was last used, a minute early at most: many pods of one start at once. */
  const used = (digest: string): void => {
    const nowMs = registry?.clock.monotonic() ?? Number.POSITIVE_INFINITY
    if (nowMs < (notedMs.get(digest) ?? Number.NEGATIVE_INFINITY) + noteEveryMs) return
    if (notedMs.size >= maxNoted) notedMs.clear()
    notedMs.set(digest, nowMs)
    void store.claim(digest)
  }

  const isBroken = async (digest: string): Promise<boolean> => {
    const { removeDamaged } = await import('../../../image/collection.ts')
    return (await removeDamaged(store, digest)) > 0
  }

  const pullerFor = async (reference: Reference): Promise<Puller | undefined> => {
    const puller = await registry?.open()
    return puller?.mayAsk(reference) ? puller : undefined
  }

  const pull = async (
    text: string,
    reference: Reference,
    { onPulling, keys, signal }: PullRequest,
  ): Promise<{ digest: string; pulled: NonNullable<ImageHandle['pulled']> }> => {
    onPulling?.()
    const puller = registry && (await pullerFor(reference))
    if (!puller) throw missing(text, reference)
    const startedMs = registry.clock.monotonic()
    try {
      const pulling = keys
        ? keys().then((ring) => puller.pull(reference, ring))
        : puller.pull(reference, noKeys)
      const { digest, sizeBytes } = await orAborted(pulling, signal)
      return { digest, pulled: { tookMs: registry.clock.monotonic() - startedMs, sizeBytes } }
    } catch (error) {
      throw notPulled(text, error)
    }
  }

  return {
    async ensure(text, policy, request = {}) {
      const reference = parse(text)
      let found: { digest: string; pulled?: ImageHandle['pulled'] } | undefined
      const here = await present(reference)
      if (here) {
        const asks = policy === 'Always' && here.pulled && (await pullerFor(reference))
        found = asks ? await pull(text, reference, request) : { digest: here.digest }
      } else if (policy === 'Never')
        throw new ImageError(
          'ErrImageNeverPull',
          `Container image "${text}" is not present with pull policy of Never`,
        )
      else found = await pull(text, reference, request)
      const imageID = digestReference(reference, found.digest).replace(/^index\./, '')
      try {
        const { pulled } = found
        if (!pulled) used(found.digest)
        return {
          reference: text,
          imageID,
          ...(await unpack(found.digest)),
          ...(pulled && { pulled }),
        }
      } catch (error) {
        // What was damaged since it came can come again.
        const isForeign = !here || here.pulled || reference.digest !== undefined
        if (isForeign && (await pullerFor(reference)) && (await isBroken(found.digest))) {
          const { pulled } = await pull(text, reference, request)
          return { reference: text, imageID, ...(await unpack(found.digest)), pulled }
        }
        throw new ImageError(
          'ErrImagePull',
          `failed to unpack image "${text}": ${error instanceof Error ? error.message : String(error)}`,
        )
      }
    },

    async resolve(text, keys) {
      const reference = parse(text)
      if (reference.digest !== undefined) return digestReference(reference, reference.digest)
      const here = await present(reference)
      if (here && !here.pulled) return digestReference(reference, here.digest)
      const puller = await pullerFor(reference)
      if (!puller) {
        if (here) return digestReference(reference, here.digest)
        throw missing(text, reference)
      }
      try {
        const ring = keys ? await keys() : noKeys
        return digestReference(reference, await puller.resolve(reference, ring))
      } catch (error) {
        // Without a network, what this machine saw last is the best answer there is.
        if (here && error instanceof RegistryError && error.problem === 'unreachable')
          return digestReference(reference, here.digest)
        throw error
      }
    },

    async isPresent(text) {
      return (await present(parse(text))) !== undefined
    },

    onTagged(listener) {
      waiting.add(listener)
      watching ??= store.onTagged(() => {
        for (const call of waiting) call()
      })
      return {
        [Symbol.dispose]() {
          waiting.delete(listener)
          if (waiting.size > 0) return
          watching?.[Symbol.dispose]()
          watching = undefined
        },
      }
    },
  }
}

/** Others may wait for the same pull, so it goes on. */
async function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return await promise
  let abort = () => {}
  const aborted = new Promise<never>((_resolve, reject) => {
    abort = () => reject(new Error('the pod is being stopped'))
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
  })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
    aborted.catch(() => {})
    promise.catch(() => {})
  }
}

function notPulled(text: string, error: unknown): ImageError {
  const { message, code } = Object(error) as { readonly message?: string; readonly code?: string }
  const full = code === 'ENOSPC' || code === 'EDQUOT' ? 'the disk is full: ' : ''
  return new ImageError(
    'ErrImagePull',
    `failed to pull and unpack image "${text}": ${full}${message ?? String(error)}`,
  )
}

function parse(text: string): Reference {
  try {
    return parseReference(text)
  } catch (error) {
    if (!(error instanceof InvalidReference)) throw error
    throw new ImageError(
      'InvalidImageName',
      `Failed to apply default image tag "${text}": couldn't parse image name "${text}": ${error.message}`,
    )
  }
}

const missing = (text: string, reference: Reference): ImageError =>
  new ImageError(
    'ErrImagePull',
    `${referenceText(reference)}: not found in this machine's image store; build it with: ebb build DIR --tag ${text}`,
  )
