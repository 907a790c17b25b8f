import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { zstdCompressSync } from 'node:zlib'
import { readManifest } from '../manifest.ts'
import { parseReference } from '../reference.ts'
import { referrersOf } from '../referrers.ts'
import { unpackImage } from '../unpack.ts'
import { noKeys } from './credentials.ts'
import { fakeRegistry, inTime, layerOf, pullBench, tarOf, types } from '../../testing/registry.ts'

const incoming = async (bench: { store: { directory: string } }) =>
  await readdir(join(bench.store.directory, 'incoming'))

test('an image of an index comes with all it needs, by tag and by digest', async (t) => {
  const registry = await fakeRegistry(t)
  const image = registry.image('amd64', [registry.blob(await layerOf('a'))])
  const other = registry.image('other', [registry.blob(await layerOf('b'))])
  const machine = { os: 'linux', architecture: process.arch === 'x64' ? 'amd64' : process.arch }
  const index = registry.manifest(
    'v1',
    {
      schemaVersion: 2,
      mediaType: types.index,
      manifests: [
        { ...other, platform: { os: 'linux', architecture: 's390x' } },
        { ...other, platform: { os: 'unknown', architecture: 'unknown' } },
        { ...image, platform: machine },
      ],
    },
    types.index,
  )
  const bench = await pullBench(t)
  const name = `${registry.host}/team/app`
  assert.equal((await bench.pull(`${name}:v1`)).digest, index.digest)
  assert.equal(await bench.store.find(`${name}:v1`), index.digest)
  assert.equal(await bench.resolve(`${name}:v1`), index.digest)
  const manifest = await readManifest(bench.store, index.digest)
  assert.deepEqual(manifest.config.cmd, ['/app'])
  assert.equal(manifest.digest, image.digest)
  const blobs = registry.requests.filter((line) => line.includes('/blobs/')).length
  await bench.pull(`${name}@${index.digest}`)
  assert.equal(
    registry.requests.filter((line) => line.includes('/blobs/')).length,
    blobs,
    'nothing comes twice',
  )
  await assert.rejects(bench.pull(`${registry.host}/team/app:none`), /none: not found: .*404/)
})

test('gzip, zstd and plain layers; one pull for many; a shared layer comes once', async (t) => {
  const registry = await fakeRegistry(t)
  const shared = registry.blob(await layerOf('shared'))
  const zstd = registry.blob(
    zstdCompressSync(await tarOf([{ name: 'z', text: 'zstd' }])),
    'application/vnd.oci.image.layer.v1.tar+zstd',
  )
  const plain = registry.blob(
    await tarOf([{ name: 'p', text: 'plain' }]),
    'application/vnd.oci.image.layer.v1.tar',
  )
  registry.image('one', [shared, zstd, plain])
  registry.image('two', [shared])
  const bench = await pullBench(t)
  const [{ digest }] = await Promise.all([
    bench.pull(`${registry.host}/a:one`),
    bench.pull(`${registry.host}/a:one`),
    bench.pull(`${registry.host}/b:two`),
  ])
  const count = (text: string) => registry.requests.filter((line) => line.includes(text)).length
  assert.equal(count(shared.digest), 1)
  assert.equal(count('/manifests/one'), 1)
  const { layers } = await readManifest(bench.store, digest)
  const root = await unpackImage(bench.store, digest, layers)
  assert.deepEqual((await readdir(root)).sort(), ['app', 'p', 'z'])
  assert.deepEqual(await incoming(bench), [])
})

test('a download goes on where the connection broke', async (t) => {
  const registry = await fakeRegistry(t)
  const layer = registry.blob(randomBytes(300_000))
  registry.image('v1', [layer])
  const ranges: (string | undefined)[] = []
  registry.intercept = (request, response) => {
    if (!request.url?.includes(layer.digest)) return false
    ranges.push(request.headers.range)
    if (ranges.length > 3) return false
    const from = Number(/\d+/.exec(request.headers.range ?? '')?.[0] ?? 0)
    const bytes = Buffer.alloc(100_000)
    response.writeHead(from > 0 ? 206 : 200, {
      'content-length': layer.size - from,
      ...(from > 0 && { 'content-range': `bytes ${from}-${layer.size - 1}/${layer.size}` }),
    })
    response.write(ranges.length === 3 ? bytes.subarray(0, 5) : bytes, () => response.destroy())
    return true
  }
  const bench = await pullBench(t)
  // What came was zeros, so the digest is wrong in the end, and the blob comes once more from its start.
  await inTime(bench.clock, bench.pull(`${registry.host}/a:v1`))
  assert.equal(ranges[0], undefined)
  assert.match(String(ranges[1]), /^bytes=[1-9]\d*-$/)
  assert.equal(ranges.at(-1), undefined)
  assert.ok(await bench.store.has(layer.digest))
})

test('what an attempt that crashed has brought is used', async (t) => {
  const registry = await fakeRegistry(t)
  const bytes = randomBytes(100_000)
  const layer = registry.blob(bytes)
  registry.image('v1', [layer])
  const bench = await pullBench(t)
  const left = `${layer.digest.slice(7)}.4194399.1.part` // no process has this number
  await writeFile(join(bench.store.directory, 'incoming', left), bytes.subarray(0, 60_000))
  let range: string | undefined
  registry.intercept = (request) => {
    if (request.url?.includes(layer.digest)) range = request.headers.range
    return false
  }
  await bench.pull(`${registry.host}/a:v1`)
  assert.equal(range, 'bytes=60000-')
  assert.deepEqual(await incoming(bench), [])
})

test('mirrors in order, with rewrites; the registry itself only if that is allowed', async (t) => {
  const [first, second] = [await fakeRegistry(t), await fakeRegistry(t)]
  second.image('v1', [second.blob(await layerOf('a'))])
  const bench = await pullBench(t, {
    registries: {
      mirrors: {
        'registry.test': {
          endpoint: ['http://127.0.0.1:1', first.url, second.url],
          rewrite: { '^team/(.*)': 'mirror/$1' },
          fallback: false,
        },
        'closed.test': { endpoint: [], fallback: false },
      },
    },
  })
  await bench.pull('registry.test/team/app:v1')
  assert.deepEqual(first.requests, ['GET /v2/mirror/app/manifests/v1'])
  assert.ok(await bench.store.find('registry.test/team/app:v1'))
  await assert.rejects(
    bench.pull('registry.test/team/app:v2'),
    /v2: not found: mirror 127\.0\.0\.1:1 can't be reached: connection refused; mirror .* 404 .*MANIFEST_UNKNOWN.*; mirror .*404.*; check the name, or build it with: ebb build DIR --tag/,
  )
})

test('nothing is asked in offline mode', async (t) => {
  const registry = await fakeRegistry(t)
  const bench = await pullBench(t, {
    settings: { registries: { offline: true, mirrors: new Map(), access: new Map() } },
  })
  await assert.rejects(bench.pull(`${registry.host}/a:v1`), /offline mode.*ebb image import/)
  assert.deepEqual(registry.requests, [])
})

test('what speaks about an image comes by the list, or by the tag that stands in for it', async (t) => {
  const registry = await fakeRegistry(t)
  const image = registry.image('v1', [registry.blob(await layerOf('a'))])
  const sbom = registry.blob(Buffer.from('{"spdxVersion":"SPDX-2.3"}'), 'application/spdx+json')
  const about = (subject: object, artifactType: string) =>
    registry.manifest(artifactType, {
      schemaVersion: 2,
      mediaType: types.manifest,
      artifactType,
      config: registry.blob(Buffer.from('{}'), 'application/vnd.oci.empty.v1+json'),
      layers: [sbom],
      subject,
    })
  const mine = about(image, 'application/spdx+json')
  const other = about({ ...image, digest: `sha256:${'5'.repeat(64)}` }, 'application/other')
  const list = { schemaVersion: 2, mediaType: types.index, manifests: [mine, other] }
  registry.manifest(image.digest.replace(':', '-'), list, types.index)
  for (const hasList of [false, true]) {
    registry.intercept = (request, response) => {
      if (!request.url?.includes('/referrers/') || !hasList) return false
      response.writeHead(200, { 'content-type': types.index }).end(JSON.stringify(list))
      return true
    }
    const bench = await pullBench(t)
    const name = `${registry.host}/app:v1`
    const { digest } = await bench.pull(name)
    const reference = parseReference(name)
    assert.equal(await bench.puller.pullReferrers(reference, digest, noKeys), 1)
    const [found, ...more] = await referrersOf(bench.store, digest)
    assert.deepEqual([found?.digest, more], [mine.digest, []])
    assert.ok(await bench.store.has(sbom.digest))
    assert.equal(await bench.puller.pullReferrers(reference, mine.digest, noKeys), 0)
  }
})
