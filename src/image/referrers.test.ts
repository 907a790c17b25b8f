/** SBOMs and the like are found by what they speak about, and live as long as it does. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { sweep } from './collection.ts'
import { openContentStore, type ContentStore } from './content-store.ts'
import { systemClock } from '../lib/clock.ts'
import { forgetReferrer, noteReferrer, putReferrer, referrersOf } from './referrers.ts'

const manifestType = 'application/vnd.oci.image.manifest.v1+json'

async function opened(t: TestContext): Promise<ContentStore> {
  const folder = await mkdtemp(join(tmpdir(), 'ebb-referrers-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return await openContentStore(folder)
}

const json = (value: unknown) => Buffer.from(JSON.stringify(value))

async function imageOf(store: ContentStore) {
  const config = await store.put('application/vnd.oci.image.config.v1+json', json({}))
  const manifest = { schemaVersion: 2, mediaType: manifestType, config, layers: [] }
  return await store.put(manifestType, json(manifest))
}

async function sbomOf(
  store: ContentStore,
  subject: object,
  artifactType = 'application/spdx+json',
) {
  const config = await store.put('application/vnd.oci.empty.v1+json', json({}))
  const layer = await store.put(artifactType, json({ spdxVersion: 'SPDX-2.3' }))
  return json({
    schemaVersion: 2,
    mediaType: manifestType,
    artifactType,
    config,
    layers: [layer],
    subject,
    annotations: { 'org.example.kind': 'sbom' },
  })
}

test('a referrer is found by its subject and by its type', async (t) => {
  const store = await opened(t)
  const image = await imageOf(store)
  const bytes = await sbomOf(store, image)
  const put = await putReferrer(store, bytes)
  assert.deepEqual(await referrersOf(store, image.digest), [
    {
      mediaType: manifestType,
      digest: put.digest,
      size: bytes.length,
      artifactType: 'application/spdx+json',
      annotations: { 'org.example.kind': 'sbom' },
    },
  ])
  assert.deepEqual(await referrersOf(store, image.digest, 'application/spdx+json'), [put])
  assert.deepEqual(await referrersOf(store, image.digest, 'application/other'), [])
  assert.deepEqual(await referrersOf(store, put.digest), [])
  await forgetReferrer(store, image.digest, put.digest)
  assert.deepEqual(await referrersOf(store, image.digest), [])
})

test('a referrer stays with its subject and goes with it', async (t) => {
  const store = await opened(t)
  const image = await imageOf(store)
  const sbom = await putReferrer(store, await sbomOf(store, image))
  const signature = await putReferrer(store, await sbomOf(store, sbom, 'application/signature'))
  await store.tag('dev.local/a', image.digest, 0)
  const later = systemClock.now() + 3_600_000
  await sweep(store, { nowMs: later, inUse: new Set() })
  assert.ok(await store.has(sbom.digest))
  assert.ok(await store.has(signature.digest), 'what speaks about an SBOM as well')
  await store.untag('dev.local/a')
  await sweep(store, { nowMs: later, inUse: new Set() })
  assert.deepEqual(await store.blobs(), [])
})

test('what has no subject, and one subject with too many, is refused', async (t) => {
  const store = await opened(t)
  const image = await imageOf(store)
  await assert.rejects(putReferrer(store, await store.read(image.digest)), /has no subject/)
  const name = (i: number) => `sha256:${i.toString(16).padStart(64, '0')}`
  await noteReferrer(store, image.digest, name(0))
  const notes = join(store.directory, 'referrers', image.digest.slice(7))
  for (let i = 1; i < 1000; i++) await writeFile(join(notes, name(i).slice(7)), '')
  await assert.rejects(noteReferrer(store, image.digest, name(1000)), /has 1000 referrers already/)
  await noteReferrer(store, image.digest, name(1))
  await assert.rejects(noteReferrer(store, '../..', name(1)), /is no sha256 digest/)
  assert.deepEqual(await referrersOf(store, image.digest), [], 'only what is really there')
})
