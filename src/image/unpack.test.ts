import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { gzipSync } from 'node:zlib'
import { pack, type Header } from 'tar-stream'
import { openContentStore, type ContentStore, type Descriptor } from './content-store.ts'
import { layerType } from './layer.ts'
import { unpackImage } from './unpack.ts'

type Entry = Partial<Header> & { readonly name: string; readonly text?: string }

async function storeOf(t: TestContext): Promise<ContentStore> {
  const path = await mkdtemp(join(tmpdir(), 'ebb-unpack-'))
  t.after(() => rm(path, { recursive: true, force: true }))
  return await openContentStore(path)
}

async function layer(store: ContentStore, entries: readonly Entry[]): Promise<Descriptor> {
  const tar = pack()
  for (const { text, ...header } of entries) tar.entry(header, text ?? '')
  tar.finalize()
  const chunks: Uint8Array[] = []
  for await (const chunk of tar) chunks.push(chunk as Uint8Array)
  return await store.put(layerType, gzipSync(Buffer.concat(chunks)))
}

const digest = `sha256:${'1'.repeat(64)}`

test('later layers hide, replace and empty what earlier ones brought', async (t) => {
  const store = await storeOf(t)
  const layers = [
    await layer(store, [
      { name: 'a/keep', text: 'keep' },
      { name: 'a/gone', text: 'gone' },
      { name: 'b/old', text: 'old' },
      { name: 'c', text: 'file' },
      { name: 'run.sh', text: 'x', mode: 0o4755 },
    ]),
    await layer(store, [
      { name: 'a/.wh.gone' },
      { name: 'b/.wh..wh..opq' },
      { name: 'b/new', text: 'new' },
      { name: 'c/', type: 'directory' },
      { name: 'c/d', text: 'd' },
      { name: 'hard', type: 'link', linkname: 'a/keep' },
    ]),
  ]
  const root = await unpackImage(store, digest, layers)
  assert.deepEqual((await readdir(root, { recursive: true })).sort(), [
    'a',
    'a/keep',
    'b',
    'b/new',
    'c',
    'c/d',
    'hard',
    'run.sh',
  ])
  assert.equal(await readFile(join(root, 'hard'), 'utf8'), 'keep')
  assert.equal(await unpackImage(store, digest, []), root, 'the second time it is there already')
})

const hostile: Readonly<Record<string, readonly Entry[]>> = {
  'a path that climbs': [{ name: '../evil', text: 'x' }],
  'a path that climbs later': [{ name: 'a/../../evil', text: 'x' }],
  'an absolute path': [{ name: '/etc/evil', text: 'x' }],
  'a file below a file': [
    { name: 'l', text: 'd' },
    { name: 'l/x', text: 'x' },
  ],
  'a file below a circle of links': [
    { name: 'l', type: 'symlink', linkname: 'm' },
    { name: 'm', type: 'symlink', linkname: 'l' },
    { name: 'l/x', text: 'x' },
  ],
  'a hard link outside': [{ name: 'h', type: 'link', linkname: '../../etc/passwd' }],
  'an absolute hard link': [{ name: 'h', type: 'link', linkname: '/etc/passwd' }],
  'a hard link to outside by a link': [
    { name: 'd', type: 'symlink', linkname: '/etc' },
    { name: 'h', type: 'link', linkname: 'd/passwd' },
  ],
  'a hard link to nothing': [{ name: 'h', type: 'link', linkname: 'none' }],
  'a link to nowhere': [{ name: 'h', type: 'symlink', linkname: '' }],
  'a device': [{ name: 'sda', type: 'block-device', devmajor: 8, devminor: 0 }],
  'a pipe': [{ name: 'p', type: 'fifo' }],
  'a whiteout of the folder itself': [{ name: '.wh...' }],
}
for (const [what, entries] of Object.entries(hostile)) {
  test(`refused: ${what}`, async (t) => {
    const store = await storeOf(t)
    await assert.rejects(
      unpackImage(store, digest, [await layer(store, entries)]),
      /^Error: layer sha256:/,
    )
    assert.deepEqual(await readdir(join(store.directory, 'rootfs')), [], 'nothing is left behind')
  })
}

test('a damaged layer is refused, and so is a missing one', async (t) => {
  const store = await storeOf(t)
  const good = await layer(store, [{ name: 'a', text: 'x'.repeat(10_000) }])
  await truncate(store.blobPath(good.digest), good.size - 9)
  await assert.rejects(unpackImage(store, digest, [good]))
  await assert.rejects(
    unpackImage(store, digest, [{ ...good, digest: `sha256:${'0'.repeat(64)}` }]),
    /ENOENT/,
  )
})

test('blobs are verified when read', async (t) => {
  const store = await storeOf(t)
  const blob = await store.put('text/plain', Buffer.from('hello'))
  assert.equal((await store.read(blob.digest)).toString(), 'hello')
  await truncate(store.blobPath(blob.digest), 2)
  await assert.rejects(store.read(blob.digest), /is damaged/)
  await assert.rejects(async () => store.read('sha256:../../x'), /is no sha256 digest/)
})
