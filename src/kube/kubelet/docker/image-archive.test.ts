import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { extract } from 'tar-stream'
import { configType, manifestType } from '../../../image/builder/assemble.ts'
import { openContentStore } from '../../../image/content-store.ts'
import { imageArchive } from './image-archive.ts'

const layerType = 'application/vnd.oci.image.layer.v1.tar'
const json = (value: unknown) => Buffer.from(JSON.stringify(value))

test('an archive has config, each layer once, and a manifest that names them; zstd is decompressed', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ebb-archive-'))
  try {
    const store = await openContentStore(folder)
    const plain = Buffer.alloc(300_000, 'layer')
    const gzip = await store.put(`${layerType}+gzip`, gzipSync('first'))
    const zstd = await store.put(`${layerType}+zstd`, zstdCompressSync(plain))
    const config = await store.put(configType, json({ architecture: 'amd64', os: 'linux' }))
    const layers = [gzip, zstd, gzip]
    const { digest } = await store.put(
      manifestType,
      json({ schemaVersion: 2, mediaType: manifestType, config, layers }),
    )

    const files = new Map<string, Buffer>()
    const tar = Readable.from(imageArchive(store, digest, 'ebb.local/x:y')).pipe(extract())
    for await (const entry of tar) {
      const chunks: Buffer[] = []
      for await (const chunk of entry) chunks.push(Buffer.from(chunk as Uint8Array))
      assert.ok(!files.has(entry.header.name), 'twice')
      files.set(entry.header.name, Buffer.concat(chunks))
    }
    const [manifest] = JSON.parse(String(files.get('manifest.json'))) as readonly {
      readonly Config: string
      readonly RepoTags: readonly string[]
      readonly Layers: readonly string[]
    }[]
    assert.deepEqual(manifest?.RepoTags, ['ebb.local/x:y'])
    assert.equal(manifest?.Config, `${config.digest.slice(7)}.json`)
    assert.deepEqual(
      createHash('sha256')
        .update(files.get(manifest.Config) ?? '')
        .digest('hex'),
      config.digest.slice(7),
    )
    const [first = '', second = '', third] = manifest.Layers
    assert.equal(third, first)
    assert.deepEqual(files.get(first), gzipSync('first'))
    assert.ok(files.get(second)?.equals(plain))

    // Damage shows as an error, not as an archive that ends early.
    await writeFile(store.blobPath(zstd.digest), 'no zstd')
    await assert.rejects(async () => {
      for await (const _ of imageArchive(store, digest, 'ebb.local/x:y'));
    })
  } finally {
    await rm(folder, { recursive: true })
  }
})
