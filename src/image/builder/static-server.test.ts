import assert from 'node:assert/strict'
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises'
import { createServer, request, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { answer, type Site, type SiteFile } from './static-server.ts'

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

type Get = (
  path: string,
  headers?: Readonly<Record<string, string>>,
  method?: string,
) => Promise<Answer>

const html = 'text/html; charset=utf-8'

async function site(
  t: TestContext,
  texts: Readonly<Record<string, string>>,
  spa = false,
): Promise<Get> {
  const root = await mkdtemp(join(tmpdir(), 'ebb-static-'))
  t.after(() => rm(root, { recursive: true, force: true }))
  const files: Record<string, SiteFile> = {}
  for (const [name, text] of Object.entries(texts)) {
    await mkdir(join(root, name, '..'), { recursive: true })
    await writeFile(join(root, name), text)
    files[name] = { sizeBytes: Buffer.byteLength(text), hash: `h${text.length}`, type: html }
  }
  await writeFile(join(root, 'not-listed.html'), 'secret')
  const served: Site = { root, files, spa }
  const server = createServer((incoming, outgoing) => answer(served, incoming, outgoing))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const { port } = server.address() as AddressInfo
  return (path, headers = {}, method = 'GET') =>
    new Promise((resolve, reject) => {
      const options = { host: '127.0.0.1', port, path, headers, method, agent: false as const }
      const outgoing = request(options, (incoming) => {
        let body = ''
        incoming.setEncoding('utf8')
        incoming.on('data', (chunk: string) => (body += chunk))
        incoming.on('end', () =>
          resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body }),
        )
      })
      outgoing.on('error', reject)
      outgoing.end()
    })
}

const pages = {
  'index.html': 'start',
  'about.html': 'about us',
  'docs/index.html': 'docs',
  'a b/ü.html': 'umlaut',
  'empty.txt': '',
}

test('paths mean files, files without .html, and folders by their index', async (t) => {
  const get = await site(t, pages)
  const body = async (path: string) => (await get(path)).body
  assert.equal(await body('/'), 'start')
  assert.equal(await body('/?x=/../..'), 'start')
  assert.equal(await body('/about'), 'about us')
  assert.equal(await body('/docs/'), 'docs')
  assert.equal(await body('/a%20b/%C3%BC.html'), 'umlaut')
  assert.deepEqual((await get('/empty.txt')).status, 200)
  const folder = await get('//docs?q=1')
  assert.deepEqual([folder.status, folder.headers.location], [301, '/docs/?q=1'])
  assert.equal((await get('/')).headers['content-type'], html)
})

test('nothing but what is listed is served, whatever the path', async (t) => {
  const get = await site(t, pages)
  for (const path of [
    '/not-listed.html',
    '/../not-listed.html',
    '/docs/../../etc/passwd',
    '/%2e%2e/%2e%2e/etc/passwd',
    '/..%2f..%2fetc%2fpasswd',
    '/index.html%00.png',
    '/__proto__',
    '/constructor',
  ])
    assert.equal((await get(path)).status, 404, path)
  assert.equal((await get('/%zz')).status, 400)
  const posted = await get('/', {}, 'POST')
  assert.deepEqual([posted.status, posted.headers.allow], [405, 'GET, HEAD'])
})

test('validators: what has not changed is not sent again', async (t) => {
  const get = await site(t, pages)
  const { headers } = await get('/')
  const etag = headers.etag ?? ''
  assert.match(etag, /^"h\d+"$/)
  for (const tag of [etag, `W/${etag}`, `"x", ${etag}`, '*'])
    assert.deepEqual((await get('/', { 'if-none-match': tag })).status, 304, tag)
  assert.equal((await get('/', { 'if-none-match': '"x"' })).status, 200)
  assert.equal((await get('/', { 'if-match': '"x"' })).status, 412)
  const head = await get('/', {}, 'HEAD')
  assert.deepEqual([head.status, head.headers['content-length'], head.body], [200, '5', ''])
})

test('ranges', async (t) => {
  const get = await site(t, { 'index.html': '0123456789' })
  const part = async (range: string, more = {}) => {
    const { status, body, headers } = await get('/', { range, ...more })
    return [status, body, headers['content-range']]
  }
  assert.deepEqual(await part('bytes=2-4'), [206, '234', 'bytes 2-4/10'])
  assert.deepEqual(await part('bytes=7-'), [206, '789', 'bytes 7-9/10'])
  assert.deepEqual(await part('bytes=-3'), [206, '789', 'bytes 7-9/10'])
  assert.deepEqual(await part('bytes=5-99'), [206, '56789', 'bytes 5-9/10'])
  assert.deepEqual((await part('bytes=10-'))[0], 416)
  assert.deepEqual((await part('bytes=-0'))[2], 'bytes */10')
  // Several, none, or another representation: all of it.
  assert.equal((await part('bytes=0-1,3-4'))[0], 200)
  assert.equal((await part('bytes=4-2'))[0], 200)
  assert.equal((await part('lines=1-2'))[0], 200)
  assert.equal((await part('bytes=0-1', { 'if-range': '"x"' }))[0], 200)
})

test('a page of its own for what is missing; index.html for programs in the browser, if asked for', async (t) => {
  const plain = await site(t, { 'index.html': 'start', '404.html': 'lost' })
  const lost = await plain('/nowhere')
  assert.deepEqual([lost.status, lost.body], [404, 'lost'])
  const spa = await site(t, { 'index.html': 'start' }, true)
  const deep = await spa('/orders/17')
  assert.deepEqual([deep.status, deep.body], [200, 'start'])
  assert.equal((await spa('/missing.js')).status, 404)
})
