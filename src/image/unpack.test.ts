import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import {
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { pack, type Header } from 'tar-stream'
import { seededRandom } from '../lib/random.ts'
import { openContentStore, type ContentStore, type Descriptor } from './content-store.ts'
import { layerType } from './layer.ts'
import { inward, unpackImage } from './unpack.ts'
import { isWhole, noteUnwritten, writeThrough } from './written-through.ts'

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
  'a sparse file, whose bytes are a map': [
    { name: 'GNUSparseFile.1/s', text: '1\n', pax: { 'GNU.sparse.major': '1' } },
  ],
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

test('links are followed inside the image, and lead nowhere else', async (t) => {
  const store = await storeOf(t)
  const layers = [
    await layer(store, [
      { name: 'usr/bin/sh', text: 'sh', mode: 0o755 },
      { name: 'bin', type: 'symlink', linkname: '/usr/bin' },
      { name: 'usr/lib', type: 'symlink', linkname: '../../../../usr/bin' },
      { name: 'up', type: 'symlink', linkname: '../../..' },
      { name: 'etc/passwd', type: 'symlink', linkname: '/etc/shadow' },
    ]),
    await layer(store, [
      { name: 'bin/ls', text: 'ls' },
      { name: 'usr/lib/cat', text: 'cat' },
      { name: 'up/top', text: 'top' },
      { name: 'hard', type: 'link', linkname: 'bin/sh' },
      { name: 'bin/.wh.sh' },
    ]),
  ]
  const root = await unpackImage(store, digest, layers)
  assert.deepEqual((await readdir(join(root, 'usr', 'bin'))).sort(), ['cat', 'ls'])
  assert.equal(await readFile(join(root, 'top'), 'utf8'), 'top')
  assert.equal(await readFile(join(root, 'hard'), 'utf8'), 'sh')
  assert.equal(await readlink(join(root, 'bin')), 'usr/bin')
  assert.equal(await readlink(join(root, 'etc/passwd')), '../etc/shadow')
  assert.equal(await readFile(join(root, 'bin', 'ls'), 'utf8'), 'ls', 'also from outside')
  const made = await readdir(join(root, '..'))
  assert.deepEqual(
    made.filter((name) => !name.startsWith('.')),
    [digest.slice(7)],
  )
})

test('targets of links', () => {
  const of = (folder: string, target: string) => inward('/r', join('/r', folder), target)
  assert.equal(of('', '/etc/x'), 'etc/x')
  assert.equal(of('a/b', '/etc/x'), '../../etc/x')
  assert.equal(of('a/b', '../x'), '../x')
  assert.equal(of('a/b', '../../../x'), '../../x')
  assert.equal(of('a', 'b/../../../x'), '../x')
  assert.equal(of('a', '/../../x'), '../x')
  assert.equal(of('', '/'), '.')
  assert.equal(of('a', './b//c'), './b//c')
})

test('a whiteout is for lower layers only; what a link stood for stays', async (t) => {
  const store = await storeOf(t)
  const layers = [
    await layer(store, [
      { name: 'd/low', text: 'low' },
      { name: 'd/both/low', text: 'low' },
      { name: 'target/keep', text: 'keep' },
      { name: 'link', type: 'symlink', linkname: 'target' },
    ]),
    await layer(store, [
      { name: 'd/both/high', text: 'high' },
      { name: 'd/.wh.both' },
      { name: 'd/.wh..wh..opq' },
      { name: '.wh.link' },
      { name: '.wh.never' },
    ]),
  ]
  const root = await unpackImage(store, digest, layers)
  assert.deepEqual((await readdir(root, { recursive: true })).sort(), [
    'd',
    'd/both',
    'd/both/high',
    'target',
    'target/keep',
  ])
})

test('setuid and setgid are taken away, folders can be written by the platform', async (t) => {
  const store = await storeOf(t)
  const root = await unpackImage(store, digest, [
    await layer(store, [
      { name: 'su', text: 'x', mode: 0o6755 },
      { name: 'locked/', type: 'directory', mode: 0o2555 },
      { name: 'locked/file', text: 'x', mode: 0o444 },
    ]),
  ])
  assert.equal((await lstat(join(root, 'su'))).mode & 0o7777, 0o755)
  assert.equal((await lstat(join(root, 'locked'))).mode & 0o7777, 0o755)
  assert.equal((await lstat(join(root, 'locked/file'))).mode & 0o7777, 0o444)
})

test('for a root of its own, links, times, owners and sticky folders stay as they are', async (t) => {
  const store = await storeOf(t)
  const layers = [
    await layer(store, [
      { name: 'tmp/', type: 'directory', mode: 0o1777, mtime: new Date(5_000) },
      { name: 'etc/passwd', type: 'symlink', linkname: '/etc/shadow' },
      { name: 'up', type: 'symlink', linkname: '../../x' },
      { name: 'tmp/su', text: 'x', mode: 0o6755, uid: 7, gid: 8, mtime: new Date(3_000) },
    ]),
    await layer(store, [{ name: 'up/inside', text: 'x' }]),
  ]
  const root = await unpackImage(store, digest, layers, { ownRoot: true })
  assert.equal(await readlink(join(root, 'etc/passwd')), '/etc/shadow')
  assert.equal(await readlink(join(root, 'up')), '../../x')
  assert.equal(await readFile(join(root, 'x/inside'), 'utf8'), 'x', 'followed inside all the same')
  const folder = await lstat(join(root, 'tmp'))
  assert.deepEqual([folder.mode & 0o7777, folder.mtimeMs], [0o1777, 5_000])
  const file = await lstat(join(root, 'tmp/su'))
  assert.deepEqual([file.mode & 0o7777, file.mtimeMs], [0o755, 3_000])
  const isRoot = process.getuid?.() === 0
  assert.deepEqual([file.uid, file.gid], isRoot ? [7, 8] : [process.getuid?.(), process.getgid?.()])
})

test('what was perhaps not written when the machine went down is made anew', async (t) => {
  const folder = join((await storeOf(t)).directory, 'rootfs', 'x')
  await mkdir(folder, { recursive: true })
  assert.ok(await isWhole(folder), 'long written')
  await noteUnwritten(folder)
  assert.ok(await isWhole(folder), 'this boot has seen it whole')
  await rm(join(folder, '../.x.unwritten'))
  await symlink('another boot', join(folder, '../.x.unwritten'))
  assert.ok(!(await isWhole(folder)))
  await assert.rejects(lstat(folder))
})

test('folders that come at the same time are written down together', async (t) => {
  const path = await mkdtemp(join(tmpdir(), 'ebb-unpack-'))
  t.after(() => rm(path, { recursive: true, force: true }))
  const folders = Array.from({ length: 20 }, (_, i) => join(path, String(i)))
  for (const folder of folders) {
    await noteUnwritten(folder)
    await mkdir(folder)
  }
  assert.equal((await readdir(path)).length, 40)
  for (const folder of folders) writeThrough(folder)
  // Its process keeps nobody alive.
  const { port1: keepAlive } = new MessageChannel()
  keepAlive.ref()
  while ((await readdir(path)).length > 20) await new Promise((resolve) => setImmediate(resolve))
  keepAlive.close()
})

test('bombs: by ratio, by size, by headers, by nothing but folders in folders', async (t) => {
  const store = await storeOf(t)
  const bomb = await store.put(
    layerType,
    gzipSync(Buffer.concat([tarHeader('bomb', 8 << 20), Buffer.alloc(8 << 20)])),
  )
  await assert.rejects(
    unpackImage(store, digest, [bomb], { maxRatio: 10, freeBytes: 1 << 20 }),
    /decompresses to more than 10 times its \d+ bytes/,
  )
  await assert.rejects(
    unpackImage(store, digest, [bomb], { maxBytes: 1000 }),
    /unpacks to more bytes than it may/,
  )
  const names = await store.put(layerType, gzipSync(tarHeader('x', 600 << 20, 'x')))
  await assert.rejects(
    unpackImage(store, digest, [names]),
    /a header has \d+ bytes of names; at most 1048576 are read/,
  )
  await assert.rejects(
    unpackImage(store, digest, [
      await layer(store, [{ name: 'd/'.repeat(3000), type: 'directory' }]),
    ]),
    /a path is too long/,
  )
  assert.deepEqual(await readdir(join(store.directory, 'rootfs')), [], 'nothing is left behind')
})

test('truncated: gzip, zstd, tar; and what is none of them', async (t) => {
  const store = await storeOf(t)
  const tar = Buffer.concat([tarHeader('a', 100_000), Buffer.alloc(100_000, 'x')])
  const zstd = 'application/vnd.oci.image.layer.v1.tar+zstd'
  for (const [bytes, type, refused] of [
    [gzipSync(tar).subarray(0, 100), layerType, /unexpected end of file/],
    [zstdCompressSync(tar).subarray(0, 50), zstd, /layer sha256:\w+: /],
    [gzipSync(tar.subarray(0, 50_000)), layerType, /the archive ends within "a"/],
    [gzipSync(Buffer.alloc(1000, 'y')), layerType, /it is no tar archive/],
    [Buffer.from('not gzip at all'), layerType, /incorrect header check/],
    [Buffer.from('not zstd at all'), zstd, /layer sha256:\w+: /],
  ] as const) {
    const bad = await store.put(type, bytes)
    await assert.rejects(unpackImage(store, digest, [bad]), refused)
  }
})

test('any bytes unpack or are refused, and nothing else', async (t) => {
  const store = await storeOf(t)
  const good = Buffer.concat([
    tarHeader('folder/file', 600),
    Buffer.alloc(1024, 'x'),
    tarHeader('link', 0, '2', 'folder'),
    tarHeader('link/other', 10),
    Buffer.alloc(512, 'y'),
    Buffer.alloc(1024),
  ])
  const random = seededRandom(7)
  for (let i = 0; i < 100; i++) {
    const bytes = Buffer.from(good)
    for (let n = 0; n < 1 + (i % 4); n++)
      bytes[Math.floor(random.next() * bytes.length)] = Math.floor(random.next() * 256)
    // A checksum that fits, so that what is behind it is reached.
    for (const at of [0, 1536, 2048]) fixSum(bytes, at)
    const bad = {
      mediaType: 'application/vnd.oci.image.layer.v1.tar',
      digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}`,
      size: bytes.length,
    }
    await writeFile(store.blobPath(bad.digest), bytes) // not to wait for the disk each time
    const id = `sha256:${i.toString(16).padStart(64, '0')}`
    await unpackImage(store, id, [bad]).catch((error: unknown) =>
      assert.match(String(error), /^Error: layer sha256:/),
    )
  }
  for (const name of await readdir(store.directory))
    assert.ok(['blobs', 'names', 'incoming', 'oci-layout', 'rootfs'].includes(name), name)
})

function tarHeader(name: string, size: number, type = '0', link = ''): Buffer {
  const header = Buffer.alloc(512)
  header.write(name, 0)
  header.write('0000644\0', 100)
  header.write(`${size.toString(8).padStart(11, '0')}\0`, 124)
  header.write(type, 156)
  header.write(link, 157)
  header.write('ustar\u000000', 257)
  fixSum(header, 0)
  return header
}

function fixSum(bytes: Buffer, at: number): void {
  bytes.fill(' ', at + 148, at + 156)
  const sum = bytes.subarray(at, at + 512).reduce((total, byte) => total + byte, 0)
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, at + 148)
}
