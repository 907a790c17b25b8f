/** Gzips the layers of an image that came as they are, as engines save them: what is pushed crosses a network. */
import { createReadStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import type { ContentStore, Descriptor } from '../content-store.ts'
import { layerType } from '../layer.ts'
import { fingerprint, type LayerCache } from './layer-cache.ts'

const plainType = layerType.replace('+gzip', '')

/** Answers the digest of the image with compressed layers; the same when there was nothing to do. */
export async function compressLayers(
  store: ContentStore,
  digest: string,
  cache: LayerCache,
): Promise<string> {
  const manifest = JSON.parse((await store.read(digest)).toString('utf8')) as {
    readonly mediaType?: string
    readonly layers?: readonly Descriptor[]
  }
  const { layers, mediaType = '' } = manifest
  if (!layers?.some((layer) => layer.mediaType === plainType)) return digest
  const compressed: Descriptor[] = []
  for (const layer of layers)
    compressed.push(layer.mediaType === plainType ? await gzipped(store, layer, cache) : layer)
  const made = await store.put(
    mediaType,
    Buffer.from(JSON.stringify({ ...manifest, layers: compressed })),
  )
  return made.digest
}

async function gzipped(
  store: ContentStore,
  { digest }: Descriptor,
  cache: LayerCache,
): Promise<Descriptor> {
  const { descriptor } = await cache.keep(fingerprint(['gzip', digest]), async () => {
    const gzip = createGzip({ level: 6 })
    const [stored] = await Promise.all([
      store.putStream(layerType, gzip),
      pipeline(createReadStream(store.blobPath(digest)), gzip),
    ])
    return { descriptor: stored, diffId: digest, packages: [] }
  })
  return descriptor
}
