import assert from 'node:assert/strict'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { systemClock } from '../../../lib/clock.ts'
import { SimClock } from '../../../testing/sim-clock.ts'
import { createSender, SendError, type Sender } from './sender.ts'

async function serving(
  listener: RequestListener,
  use: (url: string, sender: Sender, server: Server) => Promise<void>,
  clock = systemClock,
): Promise<void> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  using sender = createSender({ clock })
  try {
    await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, sender, server)
  } finally {
    server.closeAllConnections()
    server.close()
  }
}

const message = { headers: [['ce-id', '1']] as const, body: Buffer.from('data') }

test('a message goes out as it is, its host as the URL says, wherever it is dialled', async () => {
  await serving(
    (request, response) => {
      const { host, 'ce-id': id } = request.headers
      let body = ''
      request.on('data', (chunk) => (body += chunk))
      request.on('end', () =>
        response.end(`${request.method} ${request.url} ${host} ${id} ${body}`),
      )
    },
    async (url, sender) => {
      const dial = [{ host: '127.0.0.1', port: Number(new URL(url).port) }]
      const to = { url: 'http://hello.default.svc.cluster.local/a?b', dial }
      const { status, body } = await sender.send(to, message)
      assert.equal(status, 200)
      assert.equal(body.toString(), 'POST /a?b hello.default.svc.cluster.local 1 data')
      await assert.rejects(sender.send({ ...to, dial: [] }, message), /has no ready pods/)
    },
  )
})

test('a name and password in a URL go along as other clients send them, to that host alone', async () => {
  const said: (string | undefined)[] = []
  await serving(
    (request, response) => {
      said.push(request.headers.authorization)
      const { port } = new URL(`http://${request.headers.host}`)
      const next = { '/here': '/', '/away': `http://localhost:${port}/` }[request.url ?? '']
      response.writeHead(next ? 307 : 200, next ? { location: next } : {}).end()
    },
    async (url, sender) => {
      const at = url.replace('//', '//me:p%40ss%zz@')
      for (const path of ['/', '/here', '/away']) await sender.send({ url: at + path }, message)
      const token = { ...message, headers: [['Authorization', 'Bearer t']] as const }
      await sender.send({ url: at }, token)
    },
  )
  const basic = `Basic ${Buffer.from('me:p%40ss%zz').toString('base64')}`
  assert.deepEqual(said, [basic, basic, basic, basic, undefined, 'Bearer t'])
  await serving(
    (request, response) => response.end(request.headers.authorization),
    async (url, sender) => {
      const { body } = await sender.send({ url: url.replace('//', '//me:p%40ss@') }, message)
      assert.equal(body.toString(), `Basic ${Buffer.from('me:p@ss').toString('base64')}`)
    },
  )
})

test('redirects are followed, not for ever', async () => {
  await serving(
    (request, response) => {
      request.resume()
      const next =
        request.url === '/once' ? '/there' : request.url === '/loop' ? '/loop' : undefined
      if (next) response.writeHead(307, { location: next }).end()
      else response.end(request.url)
    },
    async (url, sender) => {
      assert.equal((await sender.send({ url: `${url}/once` }, message)).body.toString(), '/there')
      await assert.rejects(sender.send({ url: `${url}/loop` }, message), /more than 10 redirects/)
      const kept = { redirects: 'returned' } as const
      assert.equal((await sender.send({ url: `${url}/once` }, message, kept)).status, 307)
    },
  )
})

test('no answer is a SendError that says why', async () => {
  const refused = (sending: Promise<unknown>, words: RegExp) =>
    assert.rejects(sending, (error) => error instanceof SendError && words.test(error.message))
  const clock = new SimClock()
  await serving(
    (request, response) => {
      request.resume()
      if (request.url === '/early') {
        response.writeHead(200, { 'content-length': '100' }).write('x')
        response.socket?.end()
      } else if (request.url === '/huge') response.end(Buffer.alloc(9 << 20))
    },
    async (url, sender, server) => {
      await refused(sender.send({ url: `${url}/early` }, message), /aborted|early/)
      await refused(sender.send({ url: `${url}/huge` }, message), /more than 8388608 bytes/)
      const cut = await sender.send({ url: `${url}/huge` }, message, { tooLong: 'cut' })
      assert.deepEqual([cut.status, cut.body.length, cut.cut], [200, 8 << 20, true])
      const connected = new Promise((resolve) => server.once('request', resolve))
      const silent = sender.send({ url: `${url}/silent` }, message, { timeoutMs: 500 })
      await connected
      const told = refused(silent, /within 500 ms/)
      await clock.advance(500)
      await told
      const stop = new AbortController()
      const stopped = sender.send({ url: `${url}/silent` }, message, { signal: stop.signal })
      stop.abort()
      await refused(stopped, /stopped/)
      await refused(sender.send({ url: 'bad://uri' }, message), /not a URL|no such host|EAI_AGAIN/)
    },
    clock,
  )
  using sender = createSender({ clock: systemClock })
  await refused(sender.send({ url: 'http://127.0.0.1:1/' }, message), /connection refused/)
})
