/** Unpacked in a thread or not, an image is the same, and what is wrong with it is said in the same words. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { gzipSync } from 'node:zlib'
import { tarOf, types } from '../testing/registry.ts'
import { openContentStore, type ContentStore } from './content-store.ts'
import { unpackAside } from './unpack-aside.ts'

async function storeOf(t: TestContext): Promise<ContentStore> {
  const folder = await mkdtemp(join(tmpdir(), 'ebb-aside-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return await openContentStore(folder)
}

const digest = (n: number) => `sha256:${String(n).repeat(64)}`

test('small images at once, large ones in a thread', { timeout: 30_000 }, async (t) => {
  const store = await storeOf(t)
  for (const [n, bytes] of [
    [1, 1000],
    [2, 3_000_000],
  ] as const) {
    const text = randomBytes(bytes)
    const layer = await store.put(types.layer, gzipSync(await tarOf([{ name: 'a/b', text }])))
    const root = await unpackAside(store, digest(n), [layer])
    assert.ok((await readFile(join(root, 'a', 'b'))).equals(text))
    assert.equal(await unpackAside(store, digest(n), [layer]), root)
  }
})

test('a refusal comes back from the thread', { timeout: 30_000 }, async (t) => {
  const store = await storeOf(t)
  const tar = await tarOf([
    { name: 'big', text: randomBytes(3_000_000) },
    { name: '../outside', text: 'x' },
  ])
  const layer = await store.put(types.layer, gzipSync(tar))
  await assert.rejects(
    unpackAside(store, digest(1), [layer]),
    /^Error: layer sha256:\w{64}: "\.\.\/outside" leads out of the image$/,
  )
  await assert.rejects(
    unpackAside(store, digest(1), [layer], { maxBytes: 1_000_000 }),
    /unpacks to more bytes than it may/,
  )
  assert.deepEqual(
    (await readdir(join(store.directory, 'rootfs'))).filter((name) => !name.startsWith('.')),
    [],
  )
})
