/**
 * Images of the content store in the engine's own: loaded without a registry, once each, under a name of ours that says
 * which manifest it is, so that nothing of the user's is touched and all of ours can be found again.
 */
import type { ContentStore } from '../../../image/content-store.ts'
import type { Engine } from './engine.ts'
import { holderImage } from './holder.ts'
import { imageArchive, smallImageArchive } from './image-archive.ts'
import { repositoryOf } from './labels.ts'

export interface ImageLoader {
  /** Loads the image with this manifest unless the engine has it; answers its name there. */
  ensure(digest: string): Promise<string>
  /** The image of the containers that hold pods. */
  ensureHolder(): Promise<string>
  /** An image that was there before is not any more: somebody tidied up. Loads it again; false when it is none of ours. */
  again(name: string): Promise<boolean>
}

/** `platform` = which data directory they are for. */
export function imageLoader(engine: Engine, store: ContentStore, platform: string): ImageLoader {
  const repository = repositoryOf(platform)
  const present = new Map<string, Promise<string>>()

  const once = (name: string, archive: () => AsyncIterable<Uint8Array>): Promise<string> => {
    let loaded = present.get(name)
    if (!loaded) {
      loaded = engine.image(name).then(async (there) => {
        if (!there) await engine.loadImage(archive())
        return name
      })
      present.set(name, loaded)
      loaded.catch(() => present.delete(name))
    }
    return loaded
  }

  const loader: ImageLoader = {
    ensure(digest) {
      const name = `${repository}:${digest.slice(7)}`
      return once(name, () => imageArchive(store, digest, name))
    },

    ensureHolder() {
      const name = `${repository}:holder`
      return once(name, async function* () {
        yield* smallImageArchive(await holderImage(engine.facts.machine), name)
      })
    },

    async again(name) {
      const tag = name.startsWith(`${repository}:`) ? name.slice(repository.length + 1) : ''
      if (tag === '') return false
      present.delete(name)
      await (tag === 'holder' ? loader.ensureHolder() : loader.ensure(`sha256:${tag}`))
      return true
    },
  }
  return loader
}
