/**
 * Images that do harm, from a registry that serves them in good order: each is refused with Kubernetes' reason, and nothing
 * lies outside the store or under the name of something whole afterwards.
 */
import assert from 'node:assert/strict'
import { lstat, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { unpackImage } from '../../../image/unpack.ts'
import { fakeRegistry, pullBench, tarOf, types } from '../../../testing/registry.ts'
import { openImages } from './images.ts'
import { ImageError } from '../runtime.ts'

type Entries = Parameters<typeof tarOf>[0]

const zstdType = 'application/vnd.oci.image.layer.v1.tar+zstd'
const limits = { maxBytes: 4 << 20, maxRatio: 50, freeBytes: 64 << 10 }

/** A layer's bytes, or the entries of one. */
const layers: Readonly<Record<string, { entries?: Entries; bytes?: Buffer; mediaType?: string }>> =
  {
    'a path that climbs': { entries: [{ name: '../outside', text: 'x' }] },
    'a path that climbs further in': { entries: [{ name: 'a/../../outside', text: 'x' }] },
    'an absolute path': { entries: [{ name: '/outside', text: 'x' }] },
    'a folder that climbs': { entries: [{ name: '../outside/', type: 'directory' }] },
    'a whiteout that climbs': { entries: [{ name: '../.wh.canary' }] },
    'a whiteout of dots': { entries: [{ name: 'a/.wh...' }] },
    'a hard link to a file of the machine': {
      entries: [{ name: 'passwd', type: 'link', linkname: '/etc/passwd' }],
    },
    'a hard link that climbs': {
      entries: [{ name: 'stolen', type: 'link', linkname: '../../../canary' }],
    },
    'a hard link through a symbolic one': {
      entries: [
        { name: 'up', type: 'symlink', linkname: '../../..' },
        { name: 'stolen', type: 'link', linkname: 'up/canary' },
      ],
    },
    'links in circles': {
      entries: [
        { name: 'a', type: 'symlink', linkname: 'b' },
        { name: 'b', type: 'symlink', linkname: 'a' },
        { name: 'a/x', text: 'x' },
      ],
    },
    'a file below a file': {
      entries: [
        { name: 'a', text: 'x' },
        { name: 'a/b', text: 'x' },
      ],
    },
    'a disk': { entries: [{ name: 'sda', type: 'block-device', devmajor: 8, devminor: 0 }] },
    'a bomb by gzip': { bytes: gzipSync(Buffer.alloc(8 << 20)) },
    'a bomb by zstd': { bytes: zstdCompressSync(Buffer.alloc(8 << 20)), mediaType: zstdType },
    'a file that says it is huge': { entries: [{ name: 'a', size: 2 ** 40 }] },
    'a layer that is cut short': {
      bytes: gzipSync(Buffer.alloc(4096, 'x')).subarray(0, 20),
    },
    'no archive at all': { bytes: gzipSync(Buffer.alloc(4096, 'x')) },
    'not even gzip': { bytes: Buffer.alloc(4096, 'x') },
  }

for (const [what, { entries, bytes, mediaType = types.layer }] of Object.entries(layers))
  test(`ErrImagePull: ${what}`, { timeout: 20_000 }, async (t) => {
    const registry = await fakeRegistry(t)
    const bench = await pullBench(t)
    const { directory } = bench.store
    const data = dirname(directory)
    await writeFile(join(data, 'canary'), 'alive')
    const layer = bytes ?? gzipSync(await archive(entries ?? []))
    registry.image('v1', [registry.blob(layer, mediaType)])
    const images = openImages(
      bench.store,
      (digest, all) => unpackImage(bench.store, digest, all, limits),
      { clock: bench.clock, open: async () => bench.puller },
    )
    await assert.rejects(images.ensure(`${registry.host}/app:v1`, 'IfNotPresent'), (error) => {
      assert.ok(error instanceof ImageError)
      assert.equal(error.reason, 'ErrImagePull')
      assert.match(error.message, /^failed to (unpack|pull and unpack) image "127/)
      return true
    })
    assert.deepEqual((await readdir(data)).toSorted(), ['canary', 'images'])
    assert.equal(await readFile(join(data, 'canary'), 'utf8'), 'alive')
    assert.equal((await lstat(join(data, 'canary'))).nlink, 1)
    const left = await readdir(join(directory, 'rootfs')).catch(() => [])
    assert.deepEqual(
      left.filter((name) => /^[\da-f]{64}$/.test(name)),
      [],
    )
  })

/** Tar-stream checks sizes: a lie is written afterwards, with its sum. */
async function archive(entries: Entries): Promise<Buffer> {
  const [first] = entries
  const { size } = Object(first) as { readonly size?: number }
  if (size === undefined) return await tarOf(entries)
  const tar = await tarOf(entries.map((entry) => ({ ...entry, size: 1, text: 'x' })))
  tar[124] = 0x80
  tar.fill(0, 125, 136)
  tar.writeBigUInt64BE(BigInt(size), 128)
  tar.write('        ', 148, 'latin1')
  let sum = 0
  for (const byte of tar.subarray(0, 512)) sum += byte
  tar.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return tar
}
