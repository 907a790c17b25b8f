/**
 * Killed at any moment while it pulls, unpacks, names and forgets images, the store is whole: what has a name has all its
 * blobs, what lies under a digest has that digest, what is unpacked is all there; and the next pull goes through.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { systemClock } from '../lib/clock.ts'
import { noRegistries } from '../lib/registries.ts'
import { fakeRegistry, tarOf, type FakeRegistry } from '../testing/registry.ts'
import { blobsOf } from './collection.ts'
import { openContentStore, type ContentStore } from './content-store.ts'
import { readManifest } from './manifest.ts'
import { parseReference } from './reference.ts'
import { noKeys } from './registry/credentials.ts'
import { createPuller } from './registry/puller.ts'

const rounds = 3
const filesPerLayer = 40

test('nothing is half installed after a crash at any moment', { timeout: 60_000 }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'ebb-crash-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const registry = await fakeRegistry(t)
  const shared = await layer(registry, 'shared')
  const names = ['a:v1', 'b:v1', 'c:v1']
  for (const name of names) registry.image('v1', [shared, await layer(registry, name)])
  const script = join(import.meta.dirname, '..', 'testing', 'image-puller.ts')
  let left = 0
  // More of them when no crash came in the middle of anything yet.
  for (let round = 0; round < rounds || left === 0; round++) {
    const child = spawn(process.execPath, [script, folder, registry.host, ...names], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const exit = once(child, 'exit')
    await Promise.race([once(child.stdout, 'data'), exit])
    assert.equal(child.exitCode, null, 'it goes on until it is killed')
    // Spread over the time that a few pulls take.
    const delayMs = ((round % rounds) / rounds) * 120 + (randomBytes(1)[0] ?? 0) / 16
    await new Promise<void>((resolve) => systemClock.after(delayMs, resolve))
    child.kill('SIGKILL')
    await exit
    const store = await openContentStore(folder)
    for (const place of ['incoming', 'rootfs'])
      left += (await readdir(join(folder, 'images', place)).catch(() => [])).filter(
        (name) => place === 'incoming' || name.startsWith('.'),
      ).length
    await assertWhole(store)
  }
  const store = await openContentStore(folder)
  const settings = { registries: noRegistries, maxParallel: 3, maxImageBytes: 1 << 30 }
  using puller = createPuller({
    store,
    clock: systemClock,
    keys: noKeys,
    settings: () => settings,
  })
  const { digest } = await puller.pull(parseReference(`${registry.host}/a:v1`), noKeys)
  await readManifest(store, digest)
  await assertWhole(store)
})

const layer = async (registry: FakeRegistry, name: string) =>
  registry.blob(
    gzipSync(
      await tarOf(
        Array.from({ length: filesPerLayer }, (_, i) => ({
          name: `${name.replace(':', '-')}/${i}`,
          text: randomBytes(8_000),
        })),
      ),
      { level: 1 },
    ),
  )

async function assertWhole(store: ContentStore): Promise<void> {
  const { directory } = store
  for (const { digest } of await store.blobs()) await store.read(digest) // throws when it is another
  for (const { reference, digest } of await store.list()) {
    const { layers, configDigest } = await readManifest(store, digest)
    const found = await blobsOf(store, digest)
    for (const blob of [digest, configDigest, ...layers.map((one) => one.digest)])
      assert.ok(found.has(blob) && (await store.has(blob)), `${reference} lacks ${blob}`)
  }
  for (const name of await readdir(join(directory, 'rootfs')).catch(() => [])) {
    if (name.startsWith('.')) continue
    for (const part of await readdir(join(directory, 'rootfs', name)))
      assert.equal((await readdir(join(directory, 'rootfs', name, part))).length, filesPerLayer)
  }
  for (const name of await readdir(join(directory, 'incoming')))
    assert.match(name, /\.part$|^[\da-f-]{36}$/, 'only what is known to be unfinished')
  await readFile(join(directory, 'oci-layout'))
}
