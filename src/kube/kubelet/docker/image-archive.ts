/**
 * Images as the tar archive that `docker load` and Podman read (the format of `docker save`: manifest.json, a config,
 * layers). Layers go out compressed as they lie in the content store; only zstd, which older engines can't read, is
 * decompressed on the way.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { createZstdDecompress } from 'node:zlib'
import type { ContentStore, Descriptor } from '../../../image/content-store.ts'
import { readManifest } from '../../../image/manifest.ts'
import type { SmallImage } from './holder.ts'

/** One file of an archive. */
interface Part {
  readonly name: string
  readonly size: number
  readonly content: () => AsyncIterable<Uint8Array>
}

/** The image with this manifest, to be known to the engine as `reference`. Rejects when it is missing or damaged. */
export async function* imageArchive(
  store: ContentStore,
  digest: string,
  reference: string,
): AsyncGenerator<Uint8Array, void> {
  const { configDigest, layers } = await readManifest(store, digest)
  const parts: Part[] = [bytes(`${configDigest.slice(7)}.json`, await store.read(configDigest))]
  const names: string[] = []
  for (const layer of layers) {
    const name = `${layer.digest.slice(7)}.tar`
    // The same layer may be there twice; its file needs not.
    if (!names.includes(name)) parts.push(await layerPart(store, layer, name))
    names.push(name)
  }
  yield* archive(parts, parts[0]?.name ?? '', names, reference)
}

/** A small image that is at hand. */
export function smallImageArchive(
  { config, layer }: SmallImage,
  reference: string,
): AsyncGenerator<Uint8Array, void> {
  const configName = `${createHash('sha256').update(config).digest('hex')}.json`
  const parts = [bytes(configName, config), bytes('layer.tar', layer)]
  return archive(parts, configName, ['layer.tar'], reference)
}

const bytes = (name: string, content: Uint8Array): Part => ({
  name,
  size: content.length,
  async *content() {
    yield content
  },
})

async function layerPart(store: ContentStore, layer: Descriptor, name: string): Promise<Part> {
  const path = store.blobPath(layer.digest)
  const read = () => createReadStream(path)
  if (!layer.mediaType.endsWith('+zstd'))
    return { name, size: (await stat(path)).size, content: read }
  // A tar names the size of a file before its bytes, so it is decompressed twice rather than kept anywhere.
  let size = 0
  for await (const chunk of decompressed(path)) size += chunk.length
  return { name, size, content: () => decompressed(path) }
}

async function* decompressed(path: string): AsyncGenerator<Uint8Array, void> {
  const zstd = createZstdDecompress()
  const fed = pipeline(createReadStream(path), zstd)
  fed.catch(() => {}) // the reader below meets the same error
  for await (const chunk of zstd) if (chunk instanceof Uint8Array) yield chunk
  await fed
}

async function* archive(
  parts: readonly Part[],
  config: string,
  layers: readonly string[],
  reference: string,
): AsyncGenerator<Uint8Array, void> {
  const { pack } = await import('tar-stream')
  const tar = pack()
  const manifest = JSON.stringify([{ Config: config, RepoTags: [reference], Layers: layers }])
  const fill = async (): Promise<void> => {
    for (const { name, size, content } of [
      ...parts,
      bytes('manifest.json', Buffer.from(manifest)),
    ]) {
      const sink = tar.entry({ name, size, mode: 0o644, mtime: new Date(0) })
      const finished = new Promise<void>((resolve, reject) => {
        sink.once('finish', () => resolve())
        sink.once('error', reject)
      })
      for await (const chunk of content())
        if (!sink.write(chunk))
          await new Promise<void>((resolve) => sink.once('drain', () => resolve()))
      sink.end(undefined)
      await finished
    }
    tar.finalize()
  }
  const filled = fill().catch((error: unknown) => {
    tar.destroy(error instanceof Error ? error : new Error(String(error)))
    throw error
  })
  filled.catch(() => {}) // the reader below meets the same error
  for await (const chunk of tar) if (chunk instanceof Uint8Array) yield chunk
  await filled
}
