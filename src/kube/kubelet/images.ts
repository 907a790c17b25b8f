/**
 * The images of the content store, as the node agent and Knative's tag resolution ask for them: by name, whatever
 * registry that name speaks of, or by digest.
 */
import type { ContentStore, Descriptor } from '../../image/content-store.ts'
import { readManifest } from '../../image/manifest.ts'
import {
  digestReference,
  InvalidReference,
  parseReference,
  referenceText,
} from '../../image/reference.ts'
import type { Reference } from '../../image/reference.ts'
import { unpackImage } from '../../image/unpack.ts'
import { ImageError, type ImageHandle, type Images } from './runtime.ts'

type Unpacked = Pick<ImageHandle, 'rootfs' | 'config'>

/** Makes an image's files ready to run, once a manifest; answers the handle's `rootfs`. */
export type PrepareImage = (digest: string, layers: readonly Descriptor[]) => Promise<string>

/** Finds images in `store` and prepares them; as a rule, unpacks them beside it. */
export function openImages(
  store: ContentStore,
  prepare: PrepareImage = (digest, layers) => unpackImage(store, digest, layers),
): Images {
  // One promise a manifest, so that pods that start together unpack once. Failures are forgotten.
  const unpacked = new Map<string, Promise<Unpacked>>()
  const waiting = new Set<() => void>()
  let watching: Disposable | undefined

  const unpack = (digest: string): Promise<Unpacked> => {
    let promise = unpacked.get(digest)
    if (!promise) {
      promise = (async () => {
        const manifest = await readManifest(store, digest)
        return {
          rootfs: await prepare(digest, manifest.layers),
          config: manifest.config,
        }
      })()
      unpacked.set(digest, promise)
      promise.catch(() => unpacked.delete(digest))
    }
    return promise
  }

  const digestOf = async (reference: Reference): Promise<string | undefined> => {
    const { digest } = reference
    if (digest === undefined) return await store.find(referenceText(reference))
    return unpacked.has(digest) || (await store.has(digest)) ? digest : undefined
  }

  return {
    async ensure(text, policy) {
      const reference = parse(text)
      const digest = await digestOf(reference)
      if (digest === undefined) {
        if (policy === 'Never')
          throw new ImageError(
            'ErrImageNeverPull',
            `Container image "${text}" is not present with pull policy of Never`,
          )
        throw missing(text, reference)
      }
      try {
        const imageID = digestReference(reference, digest).replace(/^index\./, '')
        return { reference: text, imageID, ...(await unpack(digest)) }
      } catch (error) {
        throw new ImageError(
          'ErrImagePull',
          `failed to unpack image "${text}": ${error instanceof Error ? error.message : String(error)}`,
        )
      }
    },

    async resolve(text) {
      const reference = parse(text)
      const digest = reference.digest ?? (await digestOf(reference))
      if (digest === undefined) throw missing(text, reference)
      return digestReference(reference, digest)
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
