/** Removes unused images when the disk or the store gets full, every few minutes, as the kubelet does. */
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { ContentStore } from '../../image/content-store.ts'
import { Pod } from '../../kube/api/pod.ts'
import type { Informers } from '../../kube/client/informer.ts'
import type { RegistriesConfig } from '../../serving/api/config/registries.ts'
import { Image } from '../../serving/api/image.ts'
import { usedImages } from './used-images.ts'

export interface ImageCollectorOptions {
  readonly store: ContentStore
  readonly informers: Informers
  readonly settings: () => RegistriesConfig
  readonly clock: Clock
  readonly log: Log
}

/** As the kubelet's. */
const periodMs = 300_000

/** The first look is one period after the start. */
export function startImageCollector({
  store,
  informers,
  settings,
  clock,
  log,
}: ImageCollectorOptions): Disposable {
  const pods = informers.for(Pod)
  const kept = informers.for(Image)
  let cancel = () => {}
  let stopped = false
  const schedule = () => {
    cancel = clock.after(periodMs, () => {
      void collect()
        .catch((error: unknown) => log.error('images could not be collected', { error }))
        .finally(() => {
          if (!stopped) schedule()
        })
    })
  }

  const collect = async () => {
    const { bytesToFree, diskOf, planCollection, storedImages, sweep } =
      await import('../../image/collection.ts')
    const { gc } = settings()
    const images = await storedImages(store)
    const users = usedImages({ pods: pods.list(''), images: kept.list('') })
    const used = images.filter((image) => users.has(image))
    const inUse = new Set([...users.digests, ...used.map(({ digest }) => digest)])
    for (const digest of inUse) await store.claim(digest)
    const sizes = new Map((await store.blobs()).map(({ digest, size }) => [digest, size]))
    const total = [...sizes.values()].reduce((sum, size) => sum + size, 0)
    const wantedBytes = bytesToFree(await diskOf(store), total, gc)
    const nowMs = clock.now()
    const goes = planCollection(images, sizes, users.has, { ...gc, wantedBytes }, nowMs)
    for (const { names } of goes) for (const name of names) await store.untag(name)
    const gone = new Set(goes.flatMap(({ blobs }) => blobs))
    const freed = stopped ? 0 : await sweep(store, { nowMs, inUse, gone })
    if (goes.length > 0 || freed > 0)
      log.info('images collected', { images: goes.flatMap(({ names }) => names), freed })
  }

  schedule()
  return {
    [Symbol.dispose]() {
      stopped = true
      cancel()
    },
  }
}
