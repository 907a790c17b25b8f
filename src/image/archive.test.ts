import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { gzipSync } from 'node:zlib'
import { createHash } from 'node:crypto'
import { exportArchive, importArchive } from './archive.ts'
import { openContentStore, type ContentStore } from './content-store.ts'
import { readManifest } from './manifest.ts'
import { putReferrer, referrersOf } from './referrers.ts'
import { layerOf, tarOf, types } from '../testing/registry.ts'
import { readTar } from './tar-reader.ts'
import { unpackImage } from './unpack.ts'

async function storeOf(t: TestContext): Promise<ContentStore> {
  const path = await mkdtemp(join(tmpdir(), 'ebb-archive-'))
  t.after(() => rm(path, { recursive: true, force: true }))
  return await openContentStore(path)
}

async function* stream(bytes: Uint8Array) {
  for (let i = 0; i < bytes.length; i += 1000) yield bytes.subarray(i, i + 1000)
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = []
  for await (const chunk of chunks) all.push(chunk)
  return Buffer.concat(all)
}

const at = { nowMs: 1000 }

test('what is exported is imported again, gzipped too, under its name or another', async (t) => {
  const [from, to] = [await storeOf(t), await storeOf(t)]
  const layer = await from.put(types.layer, await layerOf('hello'))
  const config = await from.put(types.config, Buffer.from('{"config":{"Cmd":["/app"]}}'))
  const value = { schemaVersion: 2, mediaType: types.manifest, config, layers: [layer] }
  const { digest } = await from.put(types.manifest, Buffer.from(JSON.stringify(value)))
  const bytes = await collect(exportArchive(from, 'team/app:v1', digest))
  const reference = 'docker.io/team/app:v1'
  assert.deepEqual(await importArchive(to, stream(bytes), at), [{ reference, digest }])
  const again = await importArchive(to, stream(gzipSync(bytes)), { ...at, tag: 'other:v2' })
  assert.deepEqual(again, [{ reference: 'docker.io/library/other:v2', digest }])
  assert.equal((await to.findTag(reference))?.pulled, undefined, 'nobody is asked for it again')
  const { layers } = await readManifest(to, digest)
  await unpackImage(to, digest, layers)
  assert.deepEqual(await collect(exportArchive(to, reference, digest)), bytes)
})

test('what speaks about an image goes out and comes in with it, without a name', async (t) => {
  const [from, to] = [await storeOf(t), await storeOf(t)]
  const config = await from.put(types.config, Buffer.from('{}'))
  const value = { schemaVersion: 2, mediaType: types.manifest, config, layers: [] }
  const image = await from.put(types.manifest, Buffer.from(JSON.stringify(value)))
  const speaking = async (subject: object, artifactType: string) =>
    await putReferrer(from, Buffer.from(JSON.stringify({ ...value, artifactType, subject })))
  const sbom = await speaking(image, 'application/spdx+json')
  const signature = await speaking(sbom, 'application/signature')
  const bytes = await collect(exportArchive(from, 'app', image.digest))
  const imported = await importArchive(to, stream(bytes), { ...at, tag: 'app:v2' })
  assert.deepEqual(imported, [{ reference: 'docker.io/library/app:v2', digest: image.digest }])
  assert.deepEqual(await referrersOf(to, image.digest), [sbom])
  assert.deepEqual(await referrersOf(to, sbom.digest), [signature])
  for await (const entry of readTar(stream(bytes))) {
    if (entry.name !== 'index.json') continue
    const index = JSON.parse((await collect(entry.content())).toString()) as {
      manifests: unknown[]
    }
    assert.equal(index.manifests.length, 1, 'others take the archive of one image without a name')
  }
})

test('docker save, as it was, with plain layers and links between them', async (t) => {
  const store = await storeOf(t)
  const layer = await tarOf([{ name: 'app', text: 'x' }])
  const config = Buffer.from('{"config":{}}')
  const name = `${createHash('sha256').update(config).digest('hex')}.json`
  const archive = await tarOf([
    { name: 'a/layer.tar', text: layer.toString('latin1') },
    { name: 'b/layer.tar', type: 'symlink', linkname: '../a/layer.tar' },
    { name, text: config.toString() },
    {
      name: 'manifest.json',
      text: JSON.stringify([
        { Config: name, RepoTags: ['app:v1', 'app:v2'], Layers: ['a/layer.tar', 'b/layer.tar'] },
      ]),
    },
  ])
  const imported = await importArchive(store, stream(archive), at)
  assert.deepEqual(
    imported.map(({ reference }) => reference),
    ['docker.io/library/app:v1', 'docker.io/library/app:v2'],
  )
  const { layers } = await readManifest(store, imported[0]?.digest ?? '')
  assert.deepEqual(
    layers.map(({ mediaType }) => mediaType),
    Array(2).fill('application/vnd.oci.image.layer.v1.tar'),
  )
})

const entry = (value: unknown) => ({ name: 'index.json', text: JSON.stringify(value) })
const zeros = `sha256:${'0'.repeat(64)}`
for (const [what, entries, refused] of [
  ['nothing of an image', [{ name: 'x', text: 'x' }], /neither index\.json .* nor manifest\.json/],
  ['no image', [entry({ manifests: [] })], /there is no image in it/],
  ['a broken index', [{ name: 'index.json', text: '{' }], /index\.json is not JSON/],
  [
    'a missing manifest',
    [entry({ manifests: [{ digest: zeros, annotations: { 'io.containerd.image.name': 'a:b' } }] })],
    /manifest sha256:0+ is missing/,
  ],
  [
    'a blob with another digest',
    [{ name: `blobs/sha256/${'0'.repeat(64)}`, text: 'x' }, entry({ manifests: [] })],
    /has the digest sha256:/,
  ],
  [
    'no name',
    [
      { name: 'manifest.json', text: '[{"Config":"c"}]' },
      { name: 'c', text: '{}' },
    ],
    /has no name in it; give one with --tag/,
  ],
  [
    'a missing layer',
    [
      {
        name: 'manifest.json',
        text: '[{"Config":"c","Layers":["../../etc/passwd"],"RepoTags":["a"]}]',
      },
      { name: 'c', text: '{}' },
    ],
    /etc\/passwd is missing/,
  ],
  [
    'links in circles',
    [
      { name: 'manifest.json', text: '[{"Config":"c","RepoTags":["a"]}]' },
      { name: 'c', type: 'symlink', linkname: 'c' },
    ],
    /c is missing/,
  ],
] as const)
  test(`refused: an archive with ${what}`, async (t) => {
    const store = await storeOf(t)
    await assert.rejects(importArchive(store, stream(await tarOf(entries)), at), refused)
    assert.deepEqual(await store.list(), [])
  })

test('refused: what is no archive at all', async (t) => {
  const store = await storeOf(t)
  await assert.rejects(importArchive(store, stream(Buffer.alloc(2000, 'x')), at), /no tar archive/)
  await assert.rejects(importArchive(store, stream(Buffer.alloc(0)), at), /it is empty/)
  const cut = gzipSync(await tarOf([{ name: 'x', text: 'x'.repeat(5000) }])).subarray(0, 60)
  await assert.rejects(importArchive(store, stream(cut), at), /unexpected end of file/)
})

test('refused: a bomb', async (t) => {
  const store = await storeOf(t)
  const bomb = gzipSync(await tarOf([{ name: 'x', text: Buffer.alloc(8 << 20) }]))
  await assert.rejects(
    importArchive(store, stream(bomb), { ...at, freeBytes: 1 << 20 }),
    /decompresses to more than 250 times its bytes/,
  )
  assert.deepEqual(await store.blobs(), [])
})

test('a damaged blob is not exported', async (t) => {
  const store = await storeOf(t)
  const layer = await store.put(types.layer, await layerOf('hello'))
  const config = await store.put(types.config, Buffer.from('{}'))
  const value = { schemaVersion: 2, mediaType: types.manifest, config, layers: [layer] }
  const { digest } = await store.put(types.manifest, Buffer.from(JSON.stringify(value)))
  await writeFile(store.blobPath(layer.digest), Buffer.alloc(layer.size))
  await assert.rejects(collect(exportArchive(store, 'a:b', digest)), /damaged/)
})
