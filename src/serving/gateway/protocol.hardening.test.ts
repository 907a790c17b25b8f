/** HTTP/1.1 in full, in the corners where proxies get it wrong: real sockets on both sides. */
import assert from 'node:assert/strict'
import { Agent, createServer, request as httpRequest, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, test } from 'node:test'
import { settle } from '../../testing/sim-clock.ts'
import { type AppRequest, Client, Fixture, get, host, signal, startApp } from './gateway.fixture.ts'

async function world(
  onRequest: (request: AppRequest) => unknown,
  bodies = true,
): Promise<{ fixture: Fixture } & AsyncDisposable & { sockets: () => number }> {
  const app = await startApp(onRequest, { bodies })
  const fixture = await Fixture.start({ revision: { backends: [app.backend] } })
  return {
    fixture,
    sockets: () => app.sockets.size,
    async [Symbol.asyncDispose]() {
      await fixture[Symbol.asyncDispose]()
      await app[Symbol.asyncDispose]()
    },
  }
}

const inFlight = (fixture: Fixture): number => [...fixture.gateway.view().revisions][0]!.inFlight

describe('Expect: 100-continue', { timeout: 20_000 }, () => {
  const head = `POST / HTTP/1.1\r\nHost: ${host}\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n`

  for (const [status, reason] of [
    [417, 'Expectation Failed'],
    [413, 'Content Too Large'],
    [200, 'OK'],
  ] as const)
    test(`the app says ${status} instead: that is the answer, and the connection ends`, async () => {
      await using w = await world(
        ({ raw }) => raw(`HTTP/1.1 ${status} ${reason}\r\nContent-Length: 2\r\n\r\nno`),
        false,
      )
      const client = await w.fixture.client()
      const answer = await client.send(head).response('POST')
      assert.deepEqual([answer.status, answer.body], [status, 'no'])
      // The client may send its body or not: what comes can't be told from a next request.
      assert.equal(answer.headers.get('connection'), 'close')
      client.send(get('/smuggled'))
      assert.equal(await client.rest(), '')
      assert.equal(w.sockets(), 0)
    })

  test('the app never says 100: a client that sends all the same is served', async () => {
    await using w = await world(({ body, answer }) => answer(`got ${body}`))
    const client = await w.fixture.client()
    client.send(head)
    await settle(30)
    client.send('body')
    assert.equal((await client.response('POST')).body, 'got body')
    assert.equal((await client.send(get()).response()).body, 'got ')
    client.socket.destroy()
  })

  test('an unknown host is told so at once, and nothing of the body is taken for a request', async () => {
    await using w = await world(({ answer }) => answer('never'))
    const client = await w.fixture.client()
    client.send(head.replace(host, 'unknown.example.com'))
    assert.equal((await client.response('POST')).status, 404)
    assert.equal(await client.rest(), '')
  })

  test('HTTP/1.0 has no such expectation', async () => {
    await using w = await world(({ head: seen, body, answer }) =>
      answer(`${seen.names.some((name) => /^expect$/i.test(name))} ${body}`),
    )
    const text = `${head.replace('HTTP/1.1', 'HTTP/1.0')}body`
    assert.equal((await w.fixture.request(text, 'POST')).body, 'false body')
  })
})

describe('HTTP/1.0', { timeout: 20_000 }, () => {
  const old = (lines = ''): string => `GET / HTTP/1.0\r\nHost: ${host}\r\n${lines}\r\n`

  test('clients: one request a connection, or more if they ask', async () => {
    await using w = await world(({ answer }) => answer('hello'))
    const one = await w.fixture.client()
    assert.match(await one.send(old()).rest(), /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nhello$/)
    const more = await w.fixture.client()
    for (let i = 0; i < 3; i++) {
      const { body, headers } = await more.send(old('Connection: keep-alive\r\n')).response()
      assert.deepEqual([body, headers.get('connection')], ['hello', 'keep-alive'])
    }
    more.socket.destroy()
  })

  test('clients get neither chunks nor interim answers', async () => {
    await using w = await world(({ raw }) =>
      raw(
        'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n',
      ),
    )
    const client = await w.fixture.client()
    const all = await client.send(old('Connection: keep-alive\r\n')).rest()
    assert.match(all, /^HTTP\/1\.1 200 OK\r\n/)
    assert.doesNotMatch(all, /chunked|103|X-Sum/i)
    assert.ok(all.endsWith('\r\n\r\nhello'), all)
  })

  test('pods: with a length, without one, and kept alive', async () => {
    for (const [answer, ends] of [
      ['HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello', false],
      ['HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello', false],
      ['HTTP/1.0 200 OK\r\n\r\nhello', true],
    ] as const) {
      let connections = 0
      await using w = await world(({ raw, socket, connection }) => {
        connections = connection + 1
        raw(answer)
        if (ends) socket.end()
      })
      for (let i = 0; i < 2; i++) {
        const client = await w.fixture.client()
        const all = await client.send(get('/', 'Connection: close\r\n')).rest()
        assert.match(all, /^HTTP\/1\.1 200 OK\r\n/)
        assert.ok(all.endsWith('hello'), all)
      }
      assert.equal(connections, answer.includes('keep-alive') ? 1 : 2)
    }
  })
})

describe('connections', { timeout: 20_000 }, () => {
  test('Connection: close of either side is kept to, the other side stays', async () => {
    const connections: number[] = []
    await using w = await world(({ head, connection, answer }) => {
      connections.push(connection)
      answer('hello', head.target === '/close' ? 'Connection: close\r\n' : '')
    })
    const client = await w.fixture.client()
    const first = await client.send(get('/close')).response()
    assert.equal(first.headers.get('connection'), undefined)
    await client.send(get()).response()
    const last = await client.send(get('/', 'Connection: close\r\n')).response()
    assert.equal(last.headers.get('connection'), 'close')
    assert.equal(await client.rest(), '')
    await w.fixture.request(get())
    assert.deepEqual(connections, [0, 1, 1, 1])
  })

  test('a client that ends its side has gone, as in Go: its request ends at the pod', async () => {
    const arrived = signal<AppRequest>()
    await using w = await world(arrived.resolve)
    const client = await w.fixture.client()
    client.send(get())
    await arrived.promise
    client.socket.end()
    assert.equal(await client.rest(), '')
    while (w.sockets() > 0 || inFlight(w.fixture) > 0) await settle()
  })

  test('a client that ends its side in the middle of a head or a body leaves nothing behind', async () => {
    await using w = await world(({ answer }) => answer('never'))
    for (const text of [
      'GET / HT',
      get('/').slice(0, -2),
      `POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 9\r\n\r\nab`,
    ]) {
      const client = await w.fixture.client()
      client.send(text)
      await settle(10)
      client.socket.end()
      assert.equal(await client.rest(), '')
    }
    while (w.sockets() > 0 || w.fixture.gateway.view().gateway.connections > 0) await settle()
    assert.equal(inFlight(w.fixture), 0)
  })

  test('a pod that ends its side behind an answer is not used again', async () => {
    let last = 0
    await using w = await world(({ socket, answer, connection }) => {
      last = connection
      answer('hello')
      socket.end()
    })
    for (let i = 0; i < 5; i++) assert.equal((await w.fixture.request(get())).status, 200)
    assert.equal(last, 4)
  })

  test('a hundred pipelined requests with bodies of all kinds, cut anywhere', async () => {
    await using w = await world(({ head, body, answer }) => answer(`${head.target} ${body}`))
    const client = await w.fixture.client()
    let text = ''
    for (let i = 0; i < 100; i++) {
      const body = 'x'.repeat(i)
      const line = `POST /${i} HTTP/1.1\r\nHost: ${host}\r\n`
      text +=
        i % 3 === 0
          ? `${line}Content-Length: ${i}\r\n\r\n${body}`
          : i % 3 === 1
            ? `${line}Transfer-Encoding: chunked\r\n\r\n${i.toString(16)}\r\n${body}\r\n0\r\nX: y\r\n\r\n`
            : get(`/${i}`)
    }
    for (let at = 0; at < text.length; at += 997) {
      client.send(text.slice(at, at + 997))
      await settle(1)
    }
    for (let i = 0; i < 100; i++)
      assert.equal((await client.response()).body, `/${i} ${i % 3 === 2 ? '' : 'x'.repeat(i)}`)
    client.socket.destroy()
  })
})

describe('heads', { timeout: 20_000 }, () => {
  test('long targets, long fields and many of them pass up to the limits, and not beyond', async () => {
    await using w = await world(({ head, answer }) =>
      answer(`${head.target.length} ${head.names.length} ${head.values.join('').length}`),
    )
    const target = `/${'x'.repeat(60_000)}`
    assert.match((await w.fixture.request(get(target))).body, /^60001 /)
    const field = await w.fixture.request(get('/', `X: ${'y'.repeat(60_000)}\r\n`))
    assert.ok(Number(field.body.split(' ')[2]) > 60_000)
    // Host is one of the 200.
    assert.equal((await w.fixture.request(get('/', 'X: y\r\n'.repeat(199)))).status, 200)
    assert.equal((await w.fixture.request(get('/', 'X: y\r\n'.repeat(200)))).status, 431)
    assert.equal((await w.fixture.request(get(`/${'x'.repeat(66_000)}`))).status, 414)
    assert.equal((await w.fixture.request(get('/', `X: ${'y'.repeat(66_000)}\r\n`))).status, 431)
  })

  test('methods, Content-Length 0, empty fields and bytes beyond ASCII pass as they are', async () => {
    const seen: AppRequest[] = []
    await using w = await world((request) => {
      seen.push(request)
      request.raw(
        'HTTP/1.1 299 Fine\xe9\r\nX-Empty:\r\nX-Bytes: \xe9\xff\r\nContent-Length: 0\r\n\r\n',
      )
    })
    for (const method of ['POST', 'PATCH', 'PROPFIND', 'M-SEARCH', 'get', 'X'.repeat(200)]) {
      const client = await w.fixture.client()
      const text = await client
        .send(
          `${method} /%zz?a=b&c=%00 HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 0\r\nX-Empty:\r\nX-Bytes: \xe9\xff\r\nConnection: close\r\n\r\n`,
        )
        .rest()
      assert.match(
        text,
        /^HTTP\/1\.1 299 Fine\xe9\r\nX-Empty: \r\nX-Bytes: \xe9\xff\r\nContent-Length: 0\r\n/,
      )
      const { head } = seen.pop()!
      assert.deepEqual(
        [head.method, head.target, head.contentLength],
        [method, '/%zz?a=b&c=%00', 0],
      )
      const field = (name: string) => head.values[head.names.indexOf(name)]
      assert.deepEqual([field('X-Empty'), field('X-Bytes')], ['', '\xe9\xff'])
    }
  })
})

describe("Node's client and server", { timeout: 20_000 }, () => {
  test('interim answers, chunks and trailers both ways, on kept-alive connections', async () => {
    const server = createServer((message, answer) => {
      answer.writeEarlyHints({ link: '</x>; rel=preload' })
      let body = ''
      message.on('data', (bytes: Buffer) => (body += bytes.toString()))
      message.on('end', () => {
        answer.setHeader('Trailer', 'X-Sum')
        answer.write(body)
        answer.addTrailers({ 'X-Sum': `${body.length} ${message.trailers['x-in']}` })
        answer.end()
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    await using fixture = await Fixture.start({
      revision: { backends: [{ host: '127.0.0.1', port, pod: 'pod' }] },
    })
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    let hints = 0
    let continues = 0
    for (let i = 0; i < 3; i++) {
      const request = httpRequest({
        agent,
        host: '127.0.0.1',
        port: fixture.gateway.http.port,
        method: 'POST',
        headers: { Host: host, Expect: '100-continue', Trailer: 'X-In' },
      })
      request.on('information', ({ statusCode }) => {
        if (statusCode === 103) hints++
      })
      const answered = new Promise<IncomingMessage>((resolve) => request.on('response', resolve))
      request.flushHeaders()
      await new Promise<void>((resolve) => request.on('continue', resolve))
      continues++
      request.write('hello ')
      request.addTrailers({ 'X-In': String(i) })
      request.end('world')
      const answer = await answered
      let body = ''
      for await (const piece of answer) body += String(piece)
      assert.equal(body, 'hello world')
      assert.equal(answer.trailers['x-sum'], `11 ${i}`)
    }
    assert.deepEqual([hints, continues], [3, 3])
    assert.equal(fixture.gateway.view().gateway.connections, 1)
    agent.destroy()
    server.closeAllConnections()
    server.close()
  })

  test('HEAD and OPTIONS have the answer of the app', async () => {
    const server = createServer((message, answer) => {
      answer.setHeader('Allow', 'GET')
      if (message.method === 'HEAD') answer.setHeader('Content-Length', 7)
      answer.end(`${message.method} ${message.url}`)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    await using fixture = await Fixture.start({
      revision: { backends: [{ host: '127.0.0.1', port, pod: 'pod' }] },
    })
    const client = await Client.open(fixture.gateway.http.port)
    client.send(
      `HEAD /h HTTP/1.1\r\nHost: ${host}\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
    )
    const head = await client.response('HEAD')
    assert.deepEqual([head.headers.get('content-length'), head.body], ['7', ''])
    const options = await client.response('OPTIONS')
    assert.deepEqual([options.headers.get('allow'), options.body], ['GET', 'OPTIONS *'])
    client.socket.destroy()
    server.closeAllConnections()
    server.close()
  })
})
