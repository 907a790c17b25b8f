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
  const type = 'application/vnd.oci.image.index.v1+json'
  const entry = { mediaType: manifestType, digest: digestOf(manifest), size: manifest.length }
  const index = JSON.stringify({ schemaVersion: 2, mediaType: type, manifests: [entry] })
  assert.equal((await put('app', 'v1', index, type)).status, 201)
  assert.deepEqual(
    (await store.list()).map(({ digest }) => digest),
    [digestOf(index), digestOf(index)],
  )
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
