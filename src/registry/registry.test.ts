import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { systemClock } from '../lib/clock.ts'
import { silent } from '../lib/log.ts'
import { openContentStore } from '../image/content-store.ts'
import { startRegistry } from './registry.ts'

const authorization = `Basic ${Buffer.from('ebb:secret').toString('base64')}`
const digestOf = (bytes: Uint8Array | string) =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`
const manifestType = 'application/vnd.oci.image.manifest.v1+json'
const indexType = 'application/vnd.oci.image.index.v1+json'
const configType = 'application/vnd.oci.image.config.v1+json'

async function open(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'ebb-registry-'))
  const store = await openContentStore(folder)
  const registry = await startRegistry({
    store,
    clock: systemClock,
    log: silent,
    host: '127.0.0.1',
    port: 0,
    username: 'ebb',
    password: 'secret',
  })
  t.after(async () => {
    await registry[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })
  const host = `127.0.0.1:${registry.port}`
  const ask = async (
    method: string,
    path: string,
    body?: Uint8Array<ArrayBuffer> | string,
    headers: Record<string, string> = {},
  ) => {
    const response = await fetch(`http://${host}${path}`, {
      method,
      headers: { authorization, ...headers },
      ...(body !== undefined && { body }),
    })
    const text = await response.text()
    return {
      status: response.status,
      headers: response.headers,
      text,
      location: response.headers.get('location') ?? '',
      code: /"code":"(\w+)"/.exec(text)?.[1],
    }
  }
  const pushBlob = async (repository: string, bytes: Uint8Array<ArrayBuffer> | string) => {
    const digest = digestOf(bytes)
    const { status } = await ask('POST', `/v2/${repository}/blobs/uploads/?digest=${digest}`, bytes)
    assert.equal(status, 201)
    return digest
  }
  const manifestOf = async (repository: string, text: string) => {
    const config = JSON.stringify({ config: { Cmd: [text] } })
    const descriptor = {
      mediaType: configType,
      digest: await pushBlob(repository, config),
      size: config.length,
    }
    return JSON.stringify({
      schemaVersion: 2,
      mediaType: manifestType,
      config: descriptor,
      layers: [],
    })
  }
  const put = (repository: string, reference: string, manifest: string, type = manifestType) =>
    ask('PUT', `/v2/${repository}/manifests/${reference}`, manifest, { 'content-type': type })
  return { store, host, ask, pushBlob, manifestOf, put }
}

test('nobody comes in without the password', async (t) => {
  const { ask } = await open(t)
  for (const header of [
    '',
    'Basic !!',
    'Bearer x',
    `Basic ${Buffer.from('ebb:').toString('base64')}`,
  ]) {
    const { status, headers, code } = await ask('GET', '/v2/', undefined, { authorization: header })
    assert.deepEqual([status, code], [401, 'UNAUTHORIZED'])
    assert.equal(headers.get('www-authenticate'), 'Basic realm="ebb"')
  }
  const { status, headers } = await ask('GET', '/v2/')
  assert.equal(status, 200)
  assert.equal(headers.get('docker-distribution-api-version'), 'registry/2.0')
})

test('a blob in chunks: state, order, a wrong digest, giving up', async (t) => {
  const { ask, store } = await open(t)
  const bytes = randomBytes(5000)
  const begun = await ask('POST', '/v2/a/b/blobs/uploads/')
  assert.equal(begun.status, 202)
  const first = await ask('PATCH', begun.location, bytes.subarray(0, 2000), {
    'content-range': '0-1999',
  })
  assert.deepEqual([first.status, first.headers.get('range')], [202, '0-1999'])
  const again = await ask('PATCH', first.location, bytes.subarray(0, 10), {
    'content-range': '0-9',
  })
  assert.deepEqual([again.status, again.code], [416, 'BLOB_UPLOAD_INVALID'])
  const state = await ask('GET', first.location)
  assert.deepEqual([state.status, state.headers.get('range')], [204, '0-1999'])
  assert.equal((await ask('GET', first.location.replace('/a/b/', '/a/c/'))).status, 404)
  const done = await ask('PUT', `${first.location}?digest=${digestOf(bytes)}`, bytes.subarray(2000))
  assert.deepEqual([done.status, done.headers.get('docker-content-digest')], [201, digestOf(bytes)])
  assert.deepEqual(await store.read(digestOf(bytes)), bytes)
  const part = await ask('GET', done.location, undefined, { range: 'bytes=4990-' })
  assert.deepEqual([part.status, part.headers.get('content-range')], [206, 'bytes 4990-4999/5000'])
  assert.equal((await ask('GET', done.location, undefined, { range: 'bytes=5000-' })).status, 416)
  const other = await ask('POST', '/v2/a/b/blobs/uploads/')
  const wrong = await ask('PUT', `${other.location}?digest=${digestOf('x')}`, 'y')
  assert.deepEqual([wrong.status, wrong.code], [400, 'DIGEST_INVALID'])
  assert.equal((await ask('GET', other.location)).code, 'BLOB_UPLOAD_UNKNOWN')
  const left = await ask('POST', '/v2/a/b/blobs/uploads/')
  assert.equal((await ask('DELETE', left.location)).status, 204)
  assert.deepEqual(await readdir(join(store.directory, 'incoming')), [])
  const mounted = await ask('POST', `/v2/c/blobs/uploads/?mount=${digestOf(bytes)}&from=a/b`)
  assert.equal(mounted.status, 201)
  const unknown = await ask('POST', `/v2/c/blobs/uploads/?mount=${digestOf('no')}&from=a/b`)
  assert.equal(unknown.status, 202)
})

test('manifests: by tag and digest, under both names of this machine, listed, deleted', async (t) => {
  const { ask, store, host, manifestOf, put } = await open(t)
  const manifest = await manifestOf('team/app', 'x')
  for (const tag of ['v1', 'v2', 'v3'])
    assert.equal((await put('team/app', tag, manifest)).status, 201)
  const digest = digestOf(manifest)
  for (const name of [host, host.replace('127.0.0.1', 'localhost')])
    assert.equal(await store.find(`${name}/team/app:v1`), digest)
  const got = await ask('GET', '/v2/team/app/manifests/v1')
  assert.deepEqual([got.text, got.headers.get('content-type')], [manifest, manifestType])
  const head = await ask('HEAD', `/v2/team/app/manifests/${digest}`)
  assert.equal(head.headers.get('content-length'), String(manifest.length))
  const page = await ask('GET', '/v2/team/app/tags/list?n=2')
  assert.equal(page.text, '{"name":"team/app","tags":["v1","v2"]}')
  assert.equal(page.headers.get('link'), '</v2/team/app/tags/list?n=2&last=v2>; rel="next"')
  const rest = await ask('GET', '/v2/team/app/tags/list?n=2&last=v2')
  assert.equal(rest.text, '{"name":"team/app","tags":["v3"]}')
  assert.equal((await ask('GET', '/v2/_catalog')).text, '{"repositories":["team/app"]}')
  assert.equal((await ask('DELETE', '/v2/team/app/manifests/v1')).status, 202)
  assert.equal((await ask('GET', '/v2/team/app/manifests/v1')).code, 'MANIFEST_UNKNOWN')
  assert.equal((await ask('DELETE', `/v2/team/app/manifests/${digest}`)).status, 202)
  assert.equal((await ask('GET', '/v2/team/app/tags/list')).code, 'NAME_UNKNOWN')
  assert.deepEqual(await store.list(), [])
})

test('an index keeps what it names, which needs no name of its own', async (t) => {
  const { store, manifestOf, put } = await open(t)
  const manifest = await manifestOf('app', 'x')
  await put('app', digestOf(manifest), manifest)
  assert.equal((await store.list()).length, 2)
  const type = indexType
  const entry = { mediaType: manifestType, digest: digestOf(manifest), size: manifest.length }
  const index = JSON.stringify({ schemaVersion: 2, mediaType: type, manifests: [entry] })
  assert.equal((await put('app', 'v1', index, type)).status, 201)
  assert.deepEqual(
    (await store.list()).map(({ digest }) => digest),
    [digestOf(index), digestOf(index)],
  )
})

test('referrers: an SBOM is found by its image, before and after it came; filters; an end', async (t) => {
  const { ask, store, manifestOf, pushBlob, put } = await open(t)
  const manifest = await manifestOf('app', 'x')
  const subject = digestOf(manifest)
  const list = async (query = '') => {
    const { status, headers, text } = await ask('GET', `/v2/app/referrers/${subject}${query}`)
    assert.equal(status, 200)
    assert.equal(headers.get('content-type'), indexType)
    const { manifests } = JSON.parse(text) as { manifests: Record<string, unknown>[] }
    return { filters: headers.get('oci-filters-applied'), manifests }
  }
  assert.deepEqual((await list()).manifests, [])
  const empty = { mediaType: 'application/vnd.oci.empty.v1+json', size: 2 }
  const blob = { ...empty, digest: await pushBlob('app', '{}') }
  const artifact = (artifactType: string) =>
    JSON.stringify({
      schemaVersion: 2,
      mediaType: manifestType,
      artifactType,
      config: blob,
      layers: [blob],
      subject: { mediaType: manifestType, digest: subject, size: manifest.length },
      annotations: { made: 'here' },
    })
  const early = artifact('application/spdx+json')
  const put1 = await put('app', digestOf(early), early)
  assert.deepEqual([put1.status, put1.headers.get('oci-subject')], [201, subject])
  assert.equal((await put('app', 'v1', manifest)).headers.get('oci-subject'), null)
  const late = artifact('application/vnd.in-toto+json')
  await put('app', digestOf(late), late)
  const described = (text: string, artifactType: string) => ({
    mediaType: manifestType,
    digest: digestOf(text),
    size: text.length,
    artifactType,
    annotations: { made: 'here' },
  })
  const all = [
    described(early, 'application/spdx+json'),
    described(late, 'application/vnd.in-toto+json'),
  ]
  const byDigest = (a: { digest: string }, b: { digest: string }) => (a.digest < b.digest ? -1 : 1)
  assert.deepEqual((await list()).manifests, all.toSorted(byDigest))
  assert.deepEqual(await list('?artifactType=application/spdx%2Bjson'), {
    filters: 'artifactType',
    manifests: all.slice(0, 1),
  })
  assert.deepEqual(
    new Set((await store.list()).map(({ digest }) => digest)),
    new Set([subject]),
    'what an image keeps needs no name of its own',
  )
  for (const text of [early, late])
    assert.equal((await ask('GET', `/v2/app/manifests/${digestOf(text)}`)).text, text)
  assert.equal((await ask('DELETE', `/v2/app/manifests/${digestOf(early)}`)).status, 202)
  assert.deepEqual((await list()).manifests, all.slice(1))
  assert.equal((await ask('GET', `/v2/app/manifests/${digestOf(early)}`)).status, 404)
  assert.equal((await ask('GET', '/v2/app/referrers/x')).code, 'DIGEST_INVALID')
})

test('a repository shows what its names lead to, and nothing else', async (t) => {
  const { ask, manifestOf, put } = await open(t)
  const manifest = await manifestOf('app', 'x')
  const digest = digestOf(manifest)
  await put('app', 'v1', manifest)
  assert.equal((await ask('GET', `/v2/app/manifests/${digest}`)).status, 200)
  assert.equal((await ask('GET', `/v2/other/manifests/${digest}`)).code, 'MANIFEST_UNKNOWN')
  assert.equal((await ask('DELETE', `/v2/other/manifests/${digest}`)).code, 'MANIFEST_UNKNOWN')
  const entry = { mediaType: manifestType, digest, size: manifest.length }
  const index = JSON.stringify({ schemaVersion: 2, mediaType: indexType, manifests: [entry] })
  await put('app', 'all', index, indexType)
  const refused = await ask('DELETE', `/v2/app/manifests/${digest}`)
  assert.deepEqual([refused.status, refused.code], [405, 'UNSUPPORTED'])
  assert.equal((await ask('DELETE', `/v2/app/manifests/${digestOf(index)}`)).status, 202)
  assert.equal((await ask('GET', `/v2/app/manifests/${digest}`)).code, 'MANIFEST_UNKNOWN')
})

test('parts of a blob, what the client has already, chunks that lie, words of the API in names', async (t) => {
  const { ask, pushBlob, manifestOf, put } = await open(t)
  const digest = await pushBlob('a', '0123456789')
  const get = async (range: string, method = 'GET') => {
    const got = await ask(method, `/v2/a/blobs/${digest}`, undefined, { range })
    return [got.status, got.text, got.headers.get('content-range')]
  }
  assert.deepEqual(await get('bytes=2-4'), [206, '234', 'bytes 2-4/10'])
  assert.deepEqual(await get('bytes=8-99'), [206, '89', 'bytes 8-9/10'])
  assert.deepEqual(await get('bytes=-3'), [206, '789', 'bytes 7-9/10'])
  assert.deepEqual(await get('bytes=-0'), [416, '', 'bytes */10'])
  assert.deepEqual(await get('bytes=5-2'), [200, '0123456789', null])
  assert.deepEqual(await get('bytes=0-1,3-4'), [200, '0123456789', null])
  assert.deepEqual(await get('bytes=2-4', 'HEAD'), [200, '', null])
  const known = { 'if-none-match': `"x", W/"${digest}"` }
  assert.equal((await ask('GET', `/v2/a/blobs/${digest}`, undefined, known)).status, 304)
  const begun = await ask('POST', '/v2/a/blobs/uploads/')
  const short = await ask('PATCH', begun.location, 'abc', { 'content-range': '0-9' })
  assert.deepEqual([short.status, short.code], [416, 'BLOB_UPLOAD_INVALID'])
  assert.equal(short.location, begun.location)
  const name = 'tags/blobs/manifests/uploads'
  const manifest = await manifestOf(name, 'x')
  assert.equal((await put(name, 'list', manifest)).status, 201)
  assert.equal((await ask('GET', `/v2/${name}/manifests/list`)).text, manifest)
  assert.equal((await ask('GET', `/v2/${name}/tags/list`)).status, 200)
  const since = await ask('GET', `/v2/${name}/manifests/list`, undefined, {
    'if-none-match': `"${digestOf(manifest)}"`,
  })
  assert.equal(since.status, 304)
})

test('refused', async (t) => {
  const { ask, store, manifestOf, put } = await open(t)
  const manifest = await manifestOf('app', 'x')
  const missing = manifest.replace(/sha256:\w+/, digestOf('missing'))
  const codes = {
    'a blob that was not pushed': [await put('app', 'v1', missing), 400, 'MANIFEST_BLOB_UNKNOWN'],
    'no manifest': [await put('app', 'v1', '{}'), 400, 'MANIFEST_INVALID'],
    'another digest': [await put('app', digestOf('x'), manifest), 400, 'DIGEST_INVALID'],
    'a huge manifest': [await put('app', 'v1', ' '.repeat(5 << 20)), 413, 'SIZE_INVALID'],
    'a bad name': [await ask('GET', '/v2/UPPER/manifests/v1'), 400, 'NAME_INVALID'],
    'a path': [await ask('GET', '/v2/a/blobs/..%2f..%2fnames'), 400, 'DIGEST_INVALID'],
    'a bad tag': [await put('app', '-x', manifest), 400, 'NAME_INVALID'],
    'a bad digest': [await ask('POST', '/v2/a/blobs/uploads/?digest=x'), 400, 'DIGEST_INVALID'],
    'an unknown upload': [
      await ask('PATCH', '/v2/a/blobs/uploads/x', 'y'),
      404,
      'BLOB_UPLOAD_UNKNOWN',
    ],
    'an unknown blob': [await ask('GET', `/v2/a/blobs/${digestOf('x')}`), 404, 'BLOB_UNKNOWN'],
    'an unknown path': [await ask('GET', '/v1/'), 404, 'UNSUPPORTED'],
    'an unknown method': [await ask('POST', '/v2/a/manifests/v1', 'x'), 405, 'UNSUPPORTED'],
    'a bad page': [await ask('GET', '/v2/_catalog?n=x'), 400, 'UNSUPPORTED'],
  } as const
  for (const [what, [{ status, code }, ...wanted]] of Object.entries(codes))
    assert.deepEqual([status, code], wanted, what)
  assert.deepEqual(await store.list(), [])
})
