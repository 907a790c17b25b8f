/** Registries behind a proxy: plain ones in absolute form, those with TLS by CONNECT; and who is reached without it. */
import assert from 'node:assert/strict'
import { createServer, request as httpRequest } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { test, type TestContext } from 'node:test'
import { systemClock } from '../../lib/clock.ts'
import { issue } from '../../platform/access/certificate-issue.ts'
import { plainAccess } from '../../lib/registries.ts'
import { createHttpClient, readBody } from './http.ts'

interface Proxy {
  readonly url: string
  /** `GET http://…` and `CONNECT host:port`, in order, with what authorized them. */
  readonly seen: readonly (readonly [line: string, authorization: string | undefined])[]
}

/** Sends everything to one port of this machine, whatever host was asked for. */
async function proxyTo(t: TestContext, port: () => number): Promise<Proxy> {
  const seen: [string, string | undefined][] = []
  const server = createServer((incoming, outgoing) => {
    seen.push([`${incoming.method} ${incoming.url}`, incoming.headers['proxy-authorization']])
    const { pathname } = new URL(incoming.url ?? '')
    const call = httpRequest({ host: '127.0.0.1', port: port(), path: pathname }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(outgoing)
    })
    call.on('error', () => outgoing.destroy())
    call.end()
  })
  server.on('connect', (incoming, socket) => {
    seen.push([`CONNECT ${incoming.url}`, incoming.headers['proxy-authorization']])
    const tunnel = connect(port(), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection Established\r\n\r\n')
      tunnel.pipe(socket).pipe(tunnel)
    })
    tunnel.on('error', () => socket.destroy())
    socket.on('error', () => tunnel.destroy())
  })
  return { url: `http://user:pw@127.0.0.1:${await listening(t, server)}`, seen }
}

async function listening(
  t: TestContext,
  server: ReturnType<typeof createServer> | ReturnType<typeof createTlsServer>,
): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    if ('closeAllConnections' in server) server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

const basic = `Basic ${Buffer.from('user:pw').toString('base64')}`

async function ask(
  t: TestContext,
  url: string,
  proxy: Readonly<Record<string, string>>,
  insecureSkipVerify = false,
): Promise<string> {
  const http = createHttpClient({
    clock: systemClock,
    accessOf: () => (insecureSkipVerify ? { tls: { insecureSkipVerify } } : plainAccess),
    proxy,
  })
  t.after(() => http[Symbol.dispose]())
  return (await readBody(await http.send({ method: 'GET', url, headers: {} }), 1000)).toString()
}

test('a plain registry by HTTP_PROXY; NO_PROXY and this machine without', async (t) => {
  const origin = createServer((_, response) => response.end('direct'))
  const port = await listening(t, origin)
  const proxy = await proxyTo(t, () => port)
  assert.equal(await ask(t, 'http://registry.test/v2/', { HTTP_PROXY: proxy.url }), 'direct')
  assert.deepEqual(proxy.seen, [['GET http://registry.test/v2/', basic]])
  const lower = { http_proxy: proxy.url, no_proxy: 'elsewhere.test' }
  assert.equal(await ask(t, 'http://registry.test/v2/', lower), 'direct')
  assert.equal(proxy.seen.length, 2)
  assert.equal(await ask(t, `http://127.0.0.1:${port}/`, { HTTP_PROXY: proxy.url }), 'direct')
  const none = { HTTP_PROXY: proxy.url, NO_PROXY: 'registry.invalid' }
  await assert.rejects(
    ask(t, 'http://registry.invalid/', none),
    /registry\.invalid can't be reached: its name/,
  )
  assert.equal(proxy.seen.length, 2, 'neither went by the proxy')
})

test('a registry with TLS by HTTPS_PROXY: the proxy sees its name and nothing else', async (t) => {
  const { cert, key } = await issue({
    subject: 'CN=registry.test',
    hosts: ['registry.test'],
    usage: 'server',
    notBefore: new Date(systemClock.now() - 60_000),
    notAfter: new Date(systemClock.now() + 3_600_000),
  })
  const origin = createTlsServer({ cert, key }, (socket) => {
    socket.on('error', () => {})
    socket.once('data', () =>
      socket.end('HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecret'),
    )
  })
  const port = await listening(t, origin)
  const proxy = await proxyTo(t, () => port)
  const environment = { HTTPS_PROXY: proxy.url }
  assert.equal(await ask(t, 'https://registry.test/v2/', environment, true), 'secret')
  assert.deepEqual(proxy.seen, [['CONNECT registry.test:443', basic]])
  await assert.rejects(
    ask(t, 'https://registry.test/v2/', environment),
    /registry\.test can't be reached: its certificate is self-signed/,
  )
})

test('a proxy that refuses or is not there is named by what happened', async (t) => {
  const server = createServer()
  server.on('connect', (_, socket) => {
    socket.on('error', () => {})
    socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n')
  })
  const url = `http://127.0.0.1:${await listening(t, server)}`
  await assert.rejects(
    ask(t, 'https://registry.test/', { HTTPS_PROXY: url }),
    /registry\.test can't be reached: .*proxy/i,
  )
  await assert.rejects(
    ask(t, 'http://registry.test/', { HTTP_PROXY: 'http://127.0.0.1:1' }),
    /registry\.test can't be reached: connection refused/,
  )
})
