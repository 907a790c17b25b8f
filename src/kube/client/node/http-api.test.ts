import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import type { ApiRequest, WatchEvent } from '../../api/protocol.ts'
import { StatusError } from '../../api/status-error.ts'
import { httpApi, pathOf } from './http-api.ts'

const request = (more: Partial<ApiRequest> = {}): ApiRequest => ({
  verb: 'get',
  group: '',
  version: 'v1',
  resource: 'pods',
  options: {},
  user: { username: 'u', groups: [] },
  durable: false,
  ...more,
})

async function serve(listener: RequestListener) {
  const server = createServer(listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const api = httpApi({ server: `http://127.0.0.1:${port}/base/`, token: 'secret' })
  return {
    api,
    server,
    async [Symbol.asyncDispose]() {
      await api[Symbol.asyncDispose]()
      server.closeAllConnections()
      server.close()
    },
  }
}

const refusalOf = (promise: Promise<unknown>): Promise<StatusError> =>
  promise.then(
    () => assert.fail('it was not refused'),
    (error: unknown) => {
      assert.ok(error instanceof StatusError, String(error))
      return error
    },
  )

async function collect(events: AsyncIterable<WatchEvent> | undefined) {
  const seen: string[] = []
  assert.ok(events)
  for await (const { type, object } of events) seen.push(`${type} ${object.metadata.name}`)
  return seen
}

test('paths: core and groups, names escaped, options as parameters', () => {
  const table: readonly [Partial<ApiRequest>, string][] = [
    [
      { namespace: 'default', name: 'p', subresource: 'log' },
      '/api/v1/namespaces/default/pods/p/log',
    ],
    [{ resource: 'nodes' }, '/api/v1/nodes'],
    [
      { group: 'rbac.authorization.k8s.io', resource: 'clusterroles', name: 'system:a/b' },
      '/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Aa%2Fb',
    ],
    [
      { verb: 'watch', options: { labelSelector: 'a in (b,c)', allowWatchBookmarks: true } },
      '/api/v1/pods?watch=true&labelSelector=a+in+%28b%2Cc%29&allowWatchBookmarks=true',
    ],
    [
      { verb: 'create', options: { dryRun: true, fieldManager: 'm' } },
      '/api/v1/pods?dryRun=All&fieldManager=m',
    ],
    [
      { verb: 'delete', name: 'p', options: { dryRun: true, gracePeriodSeconds: 0 } },
      '/api/v1/pods/p',
    ],
  ]
  for (const [more, path] of table) assert.equal(pathOf(request(more)), path)
})

test('what is sent: method, base path, credential, content type, delete options in the body', async () => {
  const seen: unknown[] = []
  await using it = await serve((incoming, response) => {
    let body = ''
    incoming.on('data', (chunk) => (body += String(chunk)))
    incoming.on('end', () => {
      const { authorization, 'content-type': type } = incoming.headers
      seen.push([incoming.method, incoming.url, authorization, type, body])
      response.end('{}')
    })
  })
  const at = { namespace: 'n', name: 'p' }
  const body = { a: 1 }
  await it.api.handle(request({ ...at, verb: 'patch', patchType: 'merge', body }))
  const preconditions = { uid: 'u' }
  const options = { preconditions, propagationPolicy: 'Foreground' as const, dryRun: true }
  await it.api.handle(request({ ...at, verb: 'delete', options }))
  const url = '/base/api/v1/namespaces/n/pods/p'
  assert.deepEqual(seen, [
    ['PATCH', url, 'Bearer secret', 'application/merge-patch+json', '{"a":1}'],
    [
      'DELETE',
      url,
      'Bearer secret',
      'application/json',
      '{"kind":"DeleteOptions","apiVersion":"v1","propagationPolicy":"Foreground","preconditions":{"uid":"u"},"dryRun":["All"]}',
    ],
  ])
})

test('answers that are no Status become one all the same', async () => {
  await using it = await serve(({ url }, response) => {
    const kind = url?.split('/').at(-1)
    if (kind === 'text')
      response.writeHead(404, { 'content-type': 'text/plain' }).end('404 page not found')
    else if (kind === 'busy')
      response.writeHead(429, { 'retry-after': '7' }).end('{"message":"slow down"}')
    else if (kind === 'null') response.writeHead(500).end('null')
    else if (kind === 'html') response.end('<html>')
    else response.socket?.destroy()
  })
  const get = (name: string) => refusalOf(it.api.handle(request({ name })))
  const text = await get('text')
  assert.deepEqual([text.reason, text.code, text.message], ['NotFound', 404, '404 page not found'])
  const busy = await get('busy')
  assert.deepEqual([busy.reason, busy.details], ['TooManyRequests', { retryAfterSeconds: 7 }])
  assert.equal((await get('null')).reason, 'InternalError')
  assert.match((await get('html')).message, /not JSON: <html>/)
  assert.equal((await get('cut')).reason, 'ServiceUnavailable')
})

test('a read whose kept-alive connection has just ended asks anew', async () => {
  let count = 0
  await using it = await serve((_incoming, response) => {
    count++
    if (count === 2) response.socket?.resetAndDestroy()
    else response.end('{}')
  })
  await it.api.handle(request())
  await it.api.handle(request())
  assert.equal(count, 3)
})

test('warnings, quotes and all', async () => {
  await using it = await serve((_incoming, response) => {
    response.setHeader('warning', ['299 - "one, two"', '299 - "a \\"b\\" \\\\c"'])
    response.end('{}')
  })
  const { warnings } = await it.api.handle(request())
  assert.deepEqual(warnings, ['one, two', 'a "b" \\c'])
})

test('a watch: lines however they are cut, a clean end, an ERROR, a broken connection', async () => {
  const line = (name: string) =>
    `${JSON.stringify({ type: 'ADDED', object: { metadata: { name } } })}\n`
  await using it = await serve(({ url = '' }, response) => {
    response.flushHeaders()
    const bytes = Buffer.from(line('größe') + line('b'))
    let at = 0
    const next = () => {
      if (at < bytes.length) {
        response.write(bytes.subarray(at, (at += 7)), () => setImmediate(next))
      } else if (url.includes('error')) {
        const status = { reason: 'Expired', code: 410, message: 'too old resource version: 1 (5)' }
        response.end(JSON.stringify({ type: 'ERROR', object: status }) + '\n')
      } else if (url.includes('broken')) response.destroy()
      else if (url.includes('spoilt')) response.end('{"type"\n')
      else response.end()
    }
    next()
  })
  const watch = async (name: string) => {
    const { events } = await it.api.handle(request({ verb: 'watch', resource: name }))
    return collect(events)
  }
  assert.deepEqual(await watch('clean'), ['ADDED größe', 'ADDED b'])
  const expired = await refusalOf(watch('error'))
  assert.deepEqual([expired.reason, expired.code], ['Expired', 410])
  assert.equal((await refusalOf(watch('broken'))).reason, 'ServiceUnavailable')
  assert.match((await refusalOf(watch('spoilt'))).message, /not JSON/)
})

test('disposing ends what is under way', async () => {
  const it = await serve((_incoming, response) => response.flushHeaders())
  const { events } = await it.api.handle(request({ verb: 'watch' }))
  const ended = refusalOf(collect(events))
  await it.api[Symbol.asyncDispose]()
  assert.equal((await ended).reason, 'ServiceUnavailable')
  await it[Symbol.asyncDispose]()
})
