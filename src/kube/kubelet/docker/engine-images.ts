/**
 * Images that were built with Docker itself (`docker build -t hello .`), or pulled: they are used as they lie in the engine,
 * unless the image store of the platform has one of that name. Known by the engine's own id, as they have no digest of
 * a registry.
 */
import type { ContentStore } from '../../../image/content-store.ts'
import { parseConfig, readManifest } from '../../../image/manifest.ts'
import {
  digestReference,
  InvalidReference,
  parseReference,
  referenceText,
  type Reference,
} from '../../../image/reference.ts'
import type { ImageHandle, Images } from '../runtime.ts'
import type { Engine } from './engine.ts'

/** `images`, and where they have none of a name, the engine's. */
export function withEngineImages(
  images: Images,
  engine: Pick<Engine, 'image'>,
  store: ContentStore,
): Images {
  const stored = new Set<string>()
  /** A manifest, that is: the engine's ids are digests of configs, which the store may have as well. */
  const isStored = async (digest: string): Promise<boolean> => {
    if (!(await store.has(digest))) return false
    if (!stored.has(digest) && (await readManifest(store, digest).catch(() => undefined)))
      stored.add(digest)
    return stored.has(digest)
  }
  const lookUp = async (text: string): Promise<ImageHandle | undefined> => {
    const reference = parsed(text)
    if (!reference) return undefined
    const { digest } = reference
    if (digest === undefined ? await store.find(referenceText(reference)) : await isStored(digest))
      return undefined
    const found = await engine.image(digest ?? referenceText(reference))
    if (!found) return undefined
    const { id, config } = found
    return {
      reference: text,
      imageID: digestReference(reference, id).replace(/^index\./, ''),
      rootfs: id,
      config: parseConfig(Buffer.from(JSON.stringify({ config }))),
    }
  }
  return {
    ...images,
    async ensure(text, policy, ...rest) {
      const own = policy === 'Always' ? undefined : await lookUp(text)
      return own ?? (await images.ensure(text, policy, ...rest))
    },
    async resolve(text, ...rest) {
      const own = await lookUp(text)
      const reference = own && parsed(text)
      if (reference) return digestReference(reference, own.rootfs)
      return await images.resolve(text, ...rest)
    },
  }
}

/** Undefined for what is no image name: the others say so. */
function parsed(text: string): Reference | undefined {
  try {
    return parseReference(text)
  } catch (error) {
    if (!(error instanceof InvalidReference)) throw error
    return undefined
  }
}
