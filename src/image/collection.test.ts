import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '../lib/clock.ts'
import {
  bytesToFree,
  planCollection,
  removeDamaged,
  storedImages,
  sweep,
  type StoredImage,
} from './collection.ts'
import { openContentStore } from './content-store.ts'
import { readManifest } from './manifest.ts'
import { layerOf, types } from '../testing/registry.ts'
import { unpackImage } from './unpack.ts'

const image = (
  digest: string,
  lastUsedMs: number,
  more: Partial<StoredImage> = {},
): StoredImage => ({
  digest,
  names: [digest],
  pulled: true,
  blobs: [digest],
  lastUsedMs,
  ...more,
})
const rules = { wantedBytes: 0, minAgeMs: 120_000, maxAgeMs: 0 }
const nowMs = 10_000_000
const plan = (images: readonly StoredImage[], wanted: Partial<typeof rules>, used: string[] = []) =>
  planCollection(
    images,
    new Map(images.flatMap(({ blobs }) => blobs.map((blob) => [blob, 100] as const))),
    ({ digest }) => used.includes(digest),
    { ...rules, ...wanted },
    nowMs,
  ).map(({ digest }) => digest)

test('the longest unused go first, until there is room', () => {
  const images = [image('new', nowMs - 1000), image('b', 2000), image('a', 1000), image('c', 3000)]
  assert.deepEqual(plan(images, { wantedBytes: 150 }), ['a', 'b'])
  assert.deepEqual(plan(images, { wantedBytes: 1e9 }), ['a', 'b', 'c'], 'a young one stays')
  assert.deepEqual(plan(images, { wantedBytes: 150 }, ['a']), ['b', 'c'])
  assert.deepEqual(plan(images, {}), [])
})

test('age alone, images made here, and shared layers', () => {
  const images = [
    image('old', nowMs - 5_000_000),
    image('here', 0, { pulled: false }),
    image('young', nowMs - 500_000),
  ]
  assert.deepEqual(plan(images, { maxAgeMs: 1_000_000 }), ['old'])
  assert.deepEqual(plan(images, { wantedBytes: 1e9 }), ['old', 'young'])
  const sharing = [
    image('a', 1, { blobs: ['a', 'shared'] }),
    image('b', 2, { blobs: ['b', 'shared'] }),
    image('c', 3),
  ]
  assert.deepEqual(plan(sharing, { wantedBytes: 150 }), ['a', 'b'], 'only both free the shared one')
})

test('thresholds', () => {
  const thresholds = { highPercent: 85, lowPercent: 80, maxBytes: 1000 }
  const disk = (usedBytes: number) => ({ totalBytes: 10_000, usedBytes })
  assert.equal(bytesToFree(disk(8500), 1000, thresholds), 0)
  assert.equal(bytesToFree(disk(8600), 1000, thresholds), 600)
  assert.equal(bytesToFree(disk(100), 1500, thresholds), 700)
  assert.equal(bytesToFree(disk(9999), 0, { ...thresholds, highPercent: 100 }), 0)
})

test('what no name needs is swept, what is arriving or in use is not', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'ebb-sweep-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const store = await openContentStore(folder)
  const add = async (text: string) => {
    const layers = [await store.put(types.layer, await layerOf(text))]
    const config = await store.put(types.config, Buffer.from(JSON.stringify({ text })))
    const value = { schemaVersion: 2, mediaType: types.manifest, config, layers }
    const { digest } = await store.put(types.manifest, Buffer.from(JSON.stringify(value)))
    await unpackImage(store, digest, layers)
    return { digest, layer: layers[0]?.digest ?? '' }
  }
  const [kept, used, gone] = [await add('kept'), await add('used'), await add('gone')]
  await store.tag('kept', kept.digest, 5, { pulled: true })
  const [found] = await storedImages(store)
  assert.equal(found?.pulled, true)
  assert.equal(found?.blobs.length, 3)
  const inUse = new Set([used.digest])
  const now = systemClock.now()
  assert.equal(await sweep(store, { nowMs: now, inUse }), 0, 'all of it may be arriving')
  assert.ok((await sweep(store, { nowMs: now + 7_200_000, inUse })) > 0)
  assert.equal((await store.blobs()).length, 6)
  assert.equal(await store.has(gone.layer), false)
  // Notes of what the disk has yet to write go when it has, which a busy one takes its time for.
  const roots = await readdir(join(store.directory, 'rootfs'))
  assert.deepEqual(
    roots.filter((name) => !name.endsWith('.unwritten')).sort(),
    [kept.digest.slice(7), used.digest.slice(7)].sort(),
  )
  const blobs = new Set(found?.blobs)
  await store.untag('kept')
  await sweep(store, { nowMs: now, inUse, gone: blobs })
  assert.equal((await store.blobs()).length, 3, 'what is known to be gone goes at once')
  await rm(store.blobPath(used.layer))
  assert.equal(await removeDamaged(store, used.digest), 1)
  assert.equal((await readManifest(store, used.digest)).layers.length, 1)
})
