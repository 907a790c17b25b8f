import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { systemClock } from '../../lib/clock.ts'
import { noRegistries } from '../../lib/registries.ts'
import { attest } from '../builder/attestations.ts'
import { openContentStore } from '../content-store.ts'
import { manifestTypes } from '../manifest.ts'
import { parseReference } from '../reference.ts'
import { pushImage } from './pusher.ts'

interface Settings {
  /** Bytes after which the first upload of a blob breaks off. */
  readonly breaksAfter?: number
  readonly password?: string
  /** It knows of subjects. */
  readonly referrers?: boolean
}

/** As much of a registry as a push needs (distribution-spec 1.1). */
async function registry(t: TestContext, { breaksAfter, password, referrers }: Settings = {}) {
  const blobs = new Map<string, Buffer>()
  const manifests = new Map<string, string>()
  const uploads = new Map<string, Buffer>()
  const calls: string[] = []
  let broken = breaksAfter === undefined
  const server = createServer((request, response) => {
    const { method = '', url = '' } = request
    const { pathname, searchParams } = new URL(url, 'http://x')
    calls.push(`${method} ${pathname.replace(/[a-f0-9-]{36}$/, 'ID')}`)
    const end = (status: number, headers: Record<string, string> = {}, body = '') =>
      response.writeHead(status, headers).end(body)
    if (pathname === '/v2/') return void end(200)
    const basic = `Basic ${Buffer.from(`me:${password}`).toString('base64')}`
    if (password !== undefined && request.headers.authorization !== basic)
      return void end(401, { 'www-authenticate': 'Basic realm="x"' })
    const [, repository = '', kind = '', name = ''] =
      /^\/v2\/(.+)\/(blobs\/uploads|blobs|manifests)\/?(.*)$/.exec(pathname) ?? []
    const upload = uploads.get(name)
    void (async () => {
      if (kind === 'blobs' && method === 'HEAD')
        return end(blobs.has(`${repository} ${name}`) ? 200 : 404)
      if (kind === 'blobs/uploads' && method === 'POST') {
        const from = `${searchParams.get('from')} ${searchParams.get('mount')}`
        const mounted = blobs.get(from)
        if (mounted) {
          blobs.set(`${repository} ${searchParams.get('mount')}`, mounted)
          return end(201)
        }
        const id = randomUUID()
        uploads.set(id, Buffer.alloc(0))
        return end(202, { location: `/v2/${repository}/blobs/uploads/${id}` })
      }
      if (kind === 'manifests' && method === 'PUT') {
        const body = await read(request)
        manifests.set(`${repository} ${name}`, body.toString())
        const subject = (JSON.parse(body.toString()) as { subject?: { digest: string } }).subject
        return end(201, referrers && subject ? { 'oci-subject': subject.digest } : {})
      }
      if (kind === 'manifests' && method === 'GET') {
        const found = manifests.get(`${repository} ${name}`)
        return end(found === undefined ? 404 : 200, {}, found)
      }
      if (!upload) return end(404)
      const location = pathname
      if (method === 'GET')
        return end(204, { location, range: `0-${Math.max(0, upload.length - 1)}` })
      if (method === 'PATCH') {
        const start = Number(/^(\d+)-/.exec(request.headers['content-range'] ?? '0-')?.[1])
        assert.equal(start, upload.length)
        let body = upload
        for await (const chunk of request as AsyncIterable<Buffer>) {
          body = Buffer.concat([body, chunk])
          if (!broken && body.length >= (breaksAfter ?? 0)) {
            broken = true
            uploads.set(name, body.subarray(0, breaksAfter))
            return request.destroy()
          }
        }
        uploads.set(name, body)
        return end(202, { location })
      }
      const digest = searchParams.get('digest') ?? ''
      if (`sha256:${createHash('sha256').update(upload).digest('hex')}` !== digest) return end(400)
      blobs.set(`${repository} ${digest}`, upload)
      return end(201)
    })()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, blobs, manifests, calls }
}

async function read(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** A store with one image with attestations. */
async function image(t: TestContext, layerBytes = 1000) {
  const folder = await mkdtemp(join(tmpdir(), 'ebb-push-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const store = await openContentStore(folder)
  const layer = await store.put(
    'application/vnd.oci.image.layer.v1.tar+gzip',
    Buffer.alloc(layerBytes, 'x'),
  )
  const config = await store.put(
    'application/vnd.oci.image.config.v1+json',
    Buffer.from('{"os":"linux"}'),
  )
  const [mediaType] = manifestTypes
  const manifest = await store.put(
    mediaType,
    Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config, layers: [layer] })),
  )
  await attest(store, {
    kind: 'node',
    reference: 'x',
    image: manifest,
    parameters: {},
    materials: [],
    packages: [],
    tools: {},
    version: '1',
    startedMs: 0,
    finishedMs: 0,
    createdS: 0,
  })
  return { store, digest: manifest.digest, layer }
}

const common = {
  clock: systemClock,
  registries: noRegistries,
  keys: { find: async () => [] },
}

test('a push sends what is missing, with its attestations under the tag for referrers', async (t) => {
  const { store, digest } = await image(t)
  const { host, blobs, manifests } = await registry(t)
  const reference = parseReference(`${host}/team/app:v1`)
  const pushed = await pushImage(reference, digest, { ...common, store })
  assert.equal(pushed.reference, `${host}/team/app@${digest}`)
  assert.equal(pushed.referrers, 2)
  // Layer, config, and of the attestations two documents and the config they share.
  assert.deepEqual(pushed.blobs, { sent: 5, mounted: 0, present: 0 })
  assert.equal(blobs.size, 5)
  assert.ok(manifests.has('team/app v1'))
  const index = JSON.parse(manifests.get(`team/app ${digest.replace(':', '-')}`) ?? '{}') as {
    readonly manifests: readonly { readonly artifactType: string; readonly digest: string }[]
  }
  assert.equal(index.manifests.length, 2)
  for (const entry of index.manifests) assert.ok(manifests.has(`team/app ${entry.digest}`))

  const again = await pushImage(reference, digest, { ...common, store })
  assert.deepEqual(again.blobs, { sent: 0, mounted: 0, present: 5 })
})

test('what lies in another repository of the registry is mounted', async (t) => {
  const { store, digest } = await image(t)
  const { host, manifests } = await registry(t, { referrers: true })
  await store.tag(`${host}/team/base:v1`, digest, 0)
  await pushImage(parseReference(`${host}/team/base:v1`), digest, { ...common, store })
  const pushed = await pushImage(parseReference(`${host}/team/app:v1`), digest, {
    ...common,
    store,
  })
  assert.equal(pushed.blobs.mounted, 5)
  // A registry that knows of subjects needs no list.
  assert.ok(!manifests.has(`team/app ${digest.replace(':', '-')}`))
})

test('an upload that breaks goes on where it broke', async (t) => {
  const { store, digest, layer } = await image(t, 600_000)
  const { host, blobs, calls } = await registry(t, { breaksAfter: 200_000 })
  await pushImage(parseReference(`${host}/app`), digest, { ...common, store })
  assert.deepEqual(blobs.get(`app ${layer.digest}`), Buffer.alloc(600_000, 'x'))
  assert.ok(calls.includes('GET /v2/app/blobs/uploads/ID'), calls.join('\n'))
})

test('credentials are found as for pulls; without them it is said how to log in', async (t) => {
  const { store, digest } = await image(t)
  const { host, manifests } = await registry(t, { password: 'secret' })
  const reference = parseReference(`${host}/app:v1`)
  await assert.rejects(pushImage(reference, digest, { ...common, store }), {
    name: 'RegistryError',
    message: /app:v1 was not pushed: .*; log in with: docker login 127\.0\.0\.1:\d+/,
  })
  const keys = { find: async () => [{ username: 'me', password: 'secret' }] }
  await pushImage(reference, digest, { ...common, store, keys })
  assert.ok(manifests.has('app v1'))
})

test('names of this machine alone are pushed nowhere', async (t) => {
  const { store, digest } = await image(t)
  await assert.rejects(pushImage(parseReference('dev.local/app'), digest, { ...common, store }), {
    message: /is a name of this machine alone; give one with a registry/,
  })
})
