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
    undefined,
  ])
    assert.throws(() => redirected(request, location), /registry\.test redirects/, location)
})
