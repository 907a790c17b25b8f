/** Registries that lie, stall, redirect or send something else: each refused in words, with nothing left behind. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Descriptor } from '../content-store.ts'
import { redirected } from './http.ts'
import {
  fakeRegistry,
  inTime,
  layerOf,
  pullBench,
  types,
  type FakeRegistry,
} from '../../testing/registry.ts'

interface Lie {
  /** Which requests are answered by `answer`. */
  readonly when: 'manifests' | 'blobs'
  readonly answer: (
    request: IncomingMessage,
    response: ServerResponse,
    layer: Descriptor,
    registry: FakeRegistry,
  ) => void
  readonly refused: RegExp
}

const html = '<!doctype html><title>Log in</title>'
const lies: Readonly<Record<string, Lie>> = {
  'a web page instead of a manifest': {
    when: 'manifests',
    answer: (_, response) =>
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(html),
    refused: /answered a web page instead of a manifest; is it a registry\?/,
  },
  'a manifest that is no JSON': {
    when: 'manifests',
    answer: (_, response) => response.writeHead(200, { 'content-type': types.manifest }).end('{'),
    refused: /the manifest is not JSON/,
  },
  'a manifest that says it is huge': {
    when: 'manifests',
    answer: (_, response) =>
      void response
        .writeHead(200, { 'content-type': types.manifest, 'content-length': 5 << 20 })
        .write('{'),
    refused: /sends a manifest of 5242880 bytes; at most 4194304 are read/,
  },
  'a manifest without end': {
    when: 'manifests',
    answer(_, response) {
      response.writeHead(200, { 'content-type': types.manifest })
      const chunk = Buffer.alloc(1 << 20, ' ')
      const write = () => {
        while (!response.destroyed && response.write(chunk));
        response.once('drain', write)
      }
      write()
    },
    refused: /sent more than the 4194304 bytes that are accepted/,
  },
  'a manifest with another digest than it says': {
    when: 'manifests',
    answer: (_, response) =>
      response
        .writeHead(200, {
          'content-type': types.manifest,
          'docker-content-digest': `sha256:${'0'.repeat(64)}`,
        })
        .end('{}'),
    refused: /sent a manifest with the digest sha256:\w{64} instead of sha256:0{64}/,
  },
  'an index that is an image as well': {
    when: 'manifests',
    answer: (_, response) =>
      response
        .writeHead(200, { 'content-type': types.manifest })
        .end('{"schemaVersion":2,"layers":[],"manifests":[]}'),
    refused: /claims to be both an image and an index/,
  },
  'a manifest of another type than the header says': {
    when: 'manifests',
    answer: (_, response) =>
      response
        .writeHead(200, { 'content-type': types.index })
        .end(`{"schemaVersion":2,"mediaType":"${types.manifest}","layers":[]}`),
    refused: /calls itself .*manifest.v1\+json and came as .*index/,
  },
  'the old schema 1': {
    when: 'manifests',
    answer: (_, response) =>
      response
        .writeHead(200, {
          'content-type': 'application/vnd.docker.distribution.manifest.v1+prettyjws',
        })
        .end('{"schemaVersion":1,"fsLayers":[]}'),
    refused: /of the old format "schema 1".*push it again/,
  },
  'a chart instead of an image': {
    when: 'manifests',
    answer: (_, response) =>
      response.writeHead(200, { 'content-type': types.manifest }).end(
        JSON.stringify({
          schemaVersion: 2,
          config: {
            mediaType: 'application/vnd.cncf.helm.config.v1+json',
            digest: `sha256:${'1'.repeat(64)}`,
            size: 2,
          },
          layers: [],
        }),
      ),
    refused: /is no container image: its config is application\/vnd\.cncf\.helm/,
  },
  'an index without this machine': {
    when: 'manifests',
    answer: (_, response) =>
      response.writeHead(200, { 'content-type': types.index }).end(
        JSON.stringify({
          schemaVersion: 2,
          manifests: [
            {
              mediaType: types.manifest,
              digest: `sha256:${'1'.repeat(64)}`,
              size: 2,
              platform: { os: 'windows', architecture: 'amd64' },
            },
          ],
        }),
      ),
    refused: /there is none for linux\/\w+; there are: windows\/amd64/,
  },
  'redirects in circles': {
    when: 'manifests',
    answer: (request, response) => response.writeHead(307, { location: request.url ?? '' }).end(),
    refused: /redirects in circles/,
  },
  'a redirect to a file': {
    when: 'manifests',
    answer: (_, response) => response.writeHead(302, { location: 'file:///etc/passwd' }).end(),
    refused: /redirects to file:/,
  },
  'an answer that does not come': {
    when: 'manifests',
    answer: () => {},
    refused: /gave no answer within 30 s/,
  },
  'a blob that stalls': {
    when: 'blobs',
    answer: (_, response, { size }) =>
      void response.writeHead(200, { 'content-length': size }).write('x'),
    refused: /sent nothing more for 30 s/,
  },
  'a blob whose length is a lie': {
    when: 'blobs',
    answer: (_, response) => response.writeHead(200, { 'content-length': 3 }).end('abc'),
    refused: /says it sends 3 bytes of blob sha256:\w+; its manifest promises \d+/,
  },
  'a blob without end': {
    when: 'blobs',
    answer(_, response) {
      const chunk = Buffer.alloc(64 << 10)
      const write = () => {
        while (!response.destroyed && response.write(chunk));
        response.once('drain', write)
      }
      write()
    },
    refused: /blob sha256:\w+: more than the \d+ bytes that its manifest promises/,
  },
  'a blob with other content': {
    when: 'blobs',
    answer: (_, response, { size }) =>
      response.writeHead(200, { 'content-length': size }).end(Buffer.alloc(size, 'x')),
    refused: /blob sha256:\w+: its content has the digest sha256:/,
  },
  'a web page instead of a blob': {
    when: 'blobs',
    answer: (_, response) => response.writeHead(200, { 'content-type': 'text/html' }).end(html),
    refused: /blob sha256:\w+|says it sends/,
  },
  'a blob that is always cut': {
    when: 'blobs',
    answer: (_, response, { size }) =>
      void response
        .writeHead(200, { 'content-length': size })
        .write(Buffer.alloc(10), () => response.destroy()),
    refused: /can't be reached: the connection was reset|aborted/,
  },
  'a part that was not asked for': {
    when: 'blobs',
    answer: (_, response) => response.writeHead(206).end('x'),
    refused: /answered 206 without a content range/,
  },
  'refusals in strange bytes': {
    when: 'manifests',
    answer: (_, response) =>
      response.writeHead(400).end(JSON.stringify({ errors: [{ message: 'a\u001B[31m\nb' }] })),
    refused: /answered 400 for the manifest \(a \[31m b\)/,
  },
  'servers that are overrun': {
    when: 'manifests',
    answer: (_, response) => response.writeHead(503, { 'retry-after': '1' }).end(),
    refused: /answered 503 for the manifest; it is tried again/,
  },
}

for (const [what, { when, answer, refused }] of Object.entries(lies)) {
  test(`refused: ${what}`, { timeout: 20_000 }, async (t) => {
    const registry = await fakeRegistry(t)
    const layer = registry.blob(Buffer.concat([await layerOf('a'), randomBytes(5000)]))
    registry.image('v1', [layer])
    registry.intercept = (request, response) => {
      if (!request.url?.includes(when === 'blobs' ? layer.digest : '/manifests/')) return false
      answer(request, response, layer, registry)
      return true
    }
    const bench = await pullBench(t)
    await assert.rejects(
      inTime(bench.clock, bench.pull(`${registry.host}/team/app:v1`)),
      (error) => {
        assert.ok(error instanceof Error)
        assert.match(error.message, /^127\.0\.0\.1:\d+\/team\/app:v1: /)
        assert.match(error.message, refused)
        return true
      },
    )
    assert.equal(await bench.store.find(`${registry.host}/team/app:v1`), undefined)
    assert.deepEqual(await bench.store.list(), [])
    const left = await readdir(join(bench.store.directory, 'blobs', 'sha256'))
    assert.ok(!left.includes(layer.digest.slice(7)), 'no blob under a name that is not its own')
  })
}

/** Documents instead of requests: what a registry may serve in good order, and is not taken. */
const entry = (digest: string, size: number, more: object = {}) => ({
  mediaType: types.manifest,
  digest,
  size,
  ...more,
})
const absent = `sha256:${'3'.repeat(64)}`
const documents: Readonly<
  Record<string, { readonly make: (registry: FakeRegistry) => unknown; readonly refused: RegExp }>
> = {
  'indexes in indexes in indexes': {
    make(registry) {
      let { digest, size } = registry.image('deep', [])
      for (let i = 0; i < 5; i++)
        ({ digest, size } = registry.manifest(
          `level-${i}`,
          { schemaVersion: 2, mediaType: types.index, manifests: [entry(digest, size)] },
          types.index,
        ))
      return { schemaVersion: 2, mediaType: types.index, manifests: [entry(digest, size)] }
    },
    refused: /indexes are nested too deeply/,
  },
  'an index with too many entries': {
    make: () => ({
      schemaVersion: 2,
      mediaType: types.index,
      manifests: Array.from({ length: 4097 }, () => entry(absent, 2)),
    }),
    refused: /the index has 4097 entries; at most 4096 are read/,
  },
  'an index that promises a huge manifest': {
    make: () => ({
      schemaVersion: 2,
      mediaType: types.index,
      manifests: [entry(absent, 5 << 20)],
    }),
    refused: /a manifest has 5242880 bytes; at most 4194304 are read/,
  },
  'too many layers': {
    make: (registry) => ({
      schemaVersion: 2,
      config: registry.blob(Buffer.from('{}'), types.config),
      layers: Array.from({ length: 513 }, () => entry(absent, 2, { mediaType: types.layer })),
    }),
    refused: /the image has 513 layers; at most 512 are read/,
  },
  'a huge config': {
    make: () => ({
      schemaVersion: 2,
      config: entry(absent, 9 << 20, { mediaType: types.config }),
      layers: [],
    }),
    refused: /its config has 9437184 bytes; at most 8388608 are read/,
  },
  'a config that is no JSON': {
    make: (registry) => ({
      schemaVersion: 2,
      config: registry.blob(Buffer.from('{"config"'), types.config),
      layers: [],
    }),
    refused: /the image's config is not JSON/,
  },
  'JSON that is nested without end': {
    make: () => '['.repeat(1_000_000),
    refused: /the manifest is not JSON/,
  },
  'a negative size': {
    make: () => ({ schemaVersion: 2, config: entry(absent, -1, { mediaType: types.config }) }),
    refused: /has neither layers nor manifests/,
  },
  'a size that is no number of bytes': {
    make: (registry) => ({
      schemaVersion: 2,
      config: registry.blob(Buffer.from('{}'), types.config),
      layers: [entry(absent, 1.5, { mediaType: types.layer })],
    }),
    refused: /a layer has no size/,
  },
  'a digest that is a path': {
    make: (registry) => ({
      schemaVersion: 2,
      config: registry.blob(Buffer.from('{}'), types.config),
      layers: [entry('sha256:../../../../etc/passwd', 1, { mediaType: types.layer })],
    }),
    refused: /a layer has no sha256 digest/,
  },
  'a digest of another algorithm': {
    make: (registry) => ({
      schemaVersion: 2,
      config: registry.blob(Buffer.from('{}'), types.config),
      layers: [entry(`md5:${'1'.repeat(32)}`, 1, { mediaType: types.layer })],
    }),
    refused: /a layer has no sha256 digest/,
  },
  'a layer of another kind': {
    make: (registry) => ({
      schemaVersion: 2,
      config: registry.blob(Buffer.from('{}'), types.config),
      layers: [entry(absent, 1, { mediaType: 'application/x-sh' })],
    }),
    refused: /is application\/x-sh; expected a tar/,
  },
  'a layer that is missing': {
    make: (registry) => ({
      schemaVersion: 2,
      config: registry.blob(Buffer.from('{}'), types.config),
      layers: [entry(absent, 1, { mediaType: types.layer })],
    }),
    refused: /answered 404 for the blob/,
  },
  'a size that the blob has not': {
    make(registry) {
      const { digest, size } = registry.blob(Buffer.from('layer'))
      return {
        schemaVersion: 2,
        config: registry.blob(Buffer.from('{}'), types.config),
        layers: [entry(digest, size + 1, { mediaType: types.layer })],
      }
    },
    refused: /says it sends 5 bytes of blob .*; its manifest promises 6/,
  },
}

for (const [what, { make, refused }] of Object.entries(documents)) {
  test(`refused: ${what}`, { timeout: 20_000 }, async (t) => {
    const registry = await fakeRegistry(t)
    const value = make(registry)
    const type = /"manifests"/.test(JSON.stringify(value).slice(0, 200))
    registry.manifest('v1', value, type ? types.index : types.manifest)
    const bench = await pullBench(t)
    await assert.rejects(
      inTime(bench.clock, bench.pull(`${registry.host}/team/app:v1`)),
      (error) => {
        assert.ok(error instanceof Error)
        assert.match(error.message, refused)
        return true
      },
    )
    assert.deepEqual(await bench.store.list(), [])
    assert.deepEqual((await readdir(bench.store.directory)).toSorted(), [
      'blobs',
      'incoming',
      'names',
      'oci-layout',
    ])
  })
}

test('keys go to the registry, and to nobody that it redirects to', async (t) => {
  const other = await fakeRegistry(t)
  const registry = await fakeRegistry(t)
  const layer = registry.blob(await layerOf('a'))
  other.blob(await layerOf('a'))
  registry.image('v1', [layer])
  registry.intercept = (request, response) => {
    if (request.headers.authorization === undefined) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="r"' }).end()
      return true
    }
    if (!request.url?.includes(layer.digest)) return false
    response.writeHead(307, { location: `${other.url}/v2/x/blobs/${layer.digest}` }).end()
    return true
  }
  const bench = await pullBench(t, {
    keys: { find: async () => [{ username: 'me', password: 'secret' }] },
  })
  await bench.pull(`${registry.host}/team/app:v1`)
  assert.deepEqual(other.requests, [`GET /v2/x/blobs/${layer.digest}`])
  assert.deepEqual(other.authorizations, [undefined])
})

test('a refresh token does not follow a redirect', async (t) => {
  const thief = await fakeRegistry(t)
  const registry = await fakeRegistry(t)
  registry.intercept = (request, response) => {
    if (request.url === '/token') response.writeHead(307, { location: `${thief.url}/token` }).end()
    else
      response
        .writeHead(401, { 'www-authenticate': `Bearer realm="${registry.url}/token",service="s"` })
        .end()
    return true
  }
  const bench = await pullBench(t, { keys: { find: async () => [{ identityToken: 'refresh' }] } })
  await assert.rejects(
    bench.pull(`${registry.host}/team/app:v1`),
    /redirects a request with secrets to 127\.0\.0\.1:\d+, which is not followed/,
  )
  assert.deepEqual(thief.requests, [])
})

test('429 is waited for as long as the registry says', async (t) => {
  const registry = await fakeRegistry(t)
  registry.image('v1', [registry.blob(await layerOf('a'))])
  const asked: number[] = []
  const bench = await pullBench(t)
  registry.intercept = (request, response) => {
    if (!request.url?.includes('/manifests/')) return false
    asked.push(bench.clock.monotonic())
    if (asked.length > 2) return false
    response.writeHead(429, { 'retry-after': '20' }).end()
    return true
  }
  await inTime(bench.clock, bench.pull(`${registry.host}/team/app:v1`))
  assert.equal(asked.length, 3)
  assert.ok((asked[1] ?? 0) - (asked[0] ?? 0) >= 20_000, 'not before the time is over')
})

test('a registry whose tokens are never enough is asked twice and no more', async (t) => {
  const registry = await fakeRegistry(t)
  let tokens = 0
  registry.intercept = (request, response) => {
    if (request.url?.startsWith('/token')) response.end(`{"token":"t${tokens++}"}`)
    else
      response
        .writeHead(401, { 'www-authenticate': `Bearer realm="${registry.url}/token",service="s"` })
        .end()
    return true
  }
  const bench = await pullBench(t)
  await assert.rejects(
    inTime(bench.clock, bench.pull(`${registry.host}/a:v1`)),
    /pull access denied/,
  )
  assert.equal(tokens, 1)
  assert.equal(registry.requests.filter((line) => line.includes('/manifests/')).length, 2)
})

test('an image that is larger than allowed is not begun', async (t) => {
  const registry = await fakeRegistry(t)
  registry.image('v1', [
    { mediaType: types.layer, digest: `sha256:${'2'.repeat(64)}`, size: 2 ** 40 },
  ])
  const bench = await pullBench(t)
  await assert.rejects(bench.pull(`${registry.host}/a:v1`), /at most 1073741824 are pulled/)
  assert.equal(registry.requests.filter((line) => line.includes('/blobs/')).length, 0)
})

test('what is asked goes on with a redirect, who asks does not leave the origin', () => {
  const request = {
    method: 'GET',
    url: 'https://registry.test/v2/a/blobs/x',
    headers: { authorization: 'Bearer secret', range: 'bytes=5-' },
  } as const
  assert.deepEqual(redirected(request, '/elsewhere').headers, request.headers)
  for (const location of [
    'https://cdn.test/x',
    'https://registry.test:8443/x',
    'https://registry.test.evil.test/x',
    '//cdn.test/x',
  ])
    assert.deepEqual(redirected(request, location).headers, { range: 'bytes=5-' }, location)
  for (const location of [
    'http://registry.test/x',
    'http://cdn.test/x',
    'ftp://cdn.test/x',
    'https://user:pw@cdn.test/x',
    'http://[',
    'https://localhost/x',
    'https://127.0.0.1:8443/x',
    'https://2130706433/x',
    'https://[::1]/x',
    'https://[::ffff:127.0.0.1]/x',
    'https://169.254.169.254/latest/meta-data',
    'https://[fe80::1]/x',
    'https://0.0.0.0/x',
    undefined,
  ])
    assert.throws(() => redirected(request, location), /registry\.test redirects/, location)
  const local = { ...request, url: 'http://127.0.0.1:5000/v2/' }
  assert.equal(redirected(local, 'http://localhost:9000/x').url, 'http://localhost:9000/x')
  const secret = { ...request, method: 'POST', body: 'refresh_token=x' } as const
  assert.equal(redirected(secret, '/other').body, 'refresh_token=x')
  assert.throws(() => redirected(secret, 'https://cdn.test/x'), /a request with secrets/)
})
