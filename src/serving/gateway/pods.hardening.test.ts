/**
 * Pods that misbehave: what clients get then is defined, memory stays bounded, and the next client gets the answer to its own request.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { settle } from '../../testing/sim-clock.ts'
import {
  type App,
  type AppRequest,
  Client,
  Fixture,
  get,
  host,
  startApp,
} from './gateway.fixture.ts'

const good = ({ head, answer }: AppRequest): void => answer(`good ${head.target}`)

/** A gateway in front of an app that misbehaves for `/bad…` and is good otherwise. */
async function world(
  bad: (request: AppRequest) => unknown,
  options: { bodies?: boolean; limit?: number } = {},
): Promise<{ app: App; fixture: Fixture } & AsyncDisposable> {
  const app = await startApp(
    (request) => (request.head.target.startsWith('/bad') ? bad(request) : good(request)),
    options,
  )
  const fixture = await Fixture.start({
    revision: { backends: [app.backend], containerConcurrency: options.limit ?? 0 },
  })
  return {
    app,
    fixture,
    async [Symbol.asyncDispose]() {
      await fixture[Symbol.asyncDispose]()
      await app[Symbol.asyncDispose]()
    },
  }
}

/** Requests by others get their own answers. */
async function others(fixture: Fixture): Promise<void> {
  for (let i = 0; i < 3; i++) assert.equal((await fixture.request(get(`/${i}`))).body, `good /${i}`)
}

describe('bad heads: 502, and the connection to the pod ends', { timeout: 60_000 }, () => {
  const body = 'Content-Length: 2\r\n\r\nok'
  const heads: Readonly<Record<string, string>> = {
    'two lengths': 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!',
    'two equal lengths': `HTTP/1.1 200 OK\r\nContent-Length: 2\r\n${body}`,
    'a length and chunks': `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n${body}`,
    'a negative length': 'HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok',
    'a length that is none': 'HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok',
    'chunks that are not the last coding':
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n',
    'a bare LF': `HTTP/1.1 200 OK\r\nX: y\nZ: z\r\n${body}`,
    'a bare CR': `HTTP/1.1 200 OK\r\nX: y\rZ: z\r\n${body}`,
    'a NUL': `HTTP/1.1 200 OK\r\nX: \0\r\n${body}`,
    'a folded line': `HTTP/1.1 200 OK\r\nX: y\r\n z\r\n${body}`,
    'a blank before the colon': `HTTP/1.1 200 OK\r\nX : y\r\n${body}`,
    'a control character in the reason': `HTTP/1.1 200 O\x01K\r\n${body}`,
    'another version': `HTTP/2.0 200 OK\r\n${body}`,
    'no version': `200 OK\r\n${body}`,
    'a status of two digits': `HTTP/1.1 20 OK\r\n${body}`,
    'a status of four digits': `HTTP/1.1 2000 OK\r\n${body}`,
    'status 000': `HTTP/1.1 000 OK\r\n${body}`,
    'no HTTP at all': 'SSH-2.0-OpenSSH_9.2\r\n\r\n',
    'a TLS alert': '\x15\x03\x01\x00\x02\x02\x46\r\n\r\n',
    'a head that is too long': `HTTP/1.1 200 OK\r\nX: ${'y'.repeat(300_000)}\r\n${body}`,
    'a head without end': `HTTP/1.1 200 OK\r\n${'X: y\r\n'.repeat(60_000)}`,
    'too many fields': `HTTP/1.1 200 OK\r\n${'X: y\r\n'.repeat(1100)}${body}`,
    'protocols switched unasked':
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nraw',
    'interim answers without end': 'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n'.repeat(20_000),
  }
  for (const [name, text] of Object.entries(heads))
    test(name, async () => {
      await using w = await world(({ raw }) => raw(text))
      const { status, whole } = await w.fixture.request(get('/bad'))
      assert.deepEqual([status, whole], [502, true])
      while (w.app.sockets.size > 0) await settle()
      await others(w.fixture)
    })

  test('protocols switched to what was not asked for', async () => {
    for (const answer of ['Upgrade: other\r\n', 'Upgrade: websocket, other\r\n', '']) {
      await using w = await world(({ raw }) =>
        raw(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n${answer}\r\nraw`),
      )
      const { status } = await w.fixture.request(
        get('/bad', 'Connection: Upgrade\r\nUpgrade: websocket\r\n'),
      )
      assert.equal(status, 502, answer)
      await others(w.fixture)
    }
  })

  test('a head that trickles is no reason to hold more than its bytes', async () => {
    await using w = await world(async ({ socket }) => {
      for (const letter of 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok') {
        socket.write(letter)
        await settle(1)
      }
    })
    assert.equal((await w.fixture.request(get('/bad'))).body, 'ok')
    await others(w.fixture)
  })
})

describe('bad bodies: the client sees that the answer is not whole', { timeout: 60_000 }, () => {
  const ok = 'HTTP/1.1 200 OK\r\n'
  const bodies: Readonly<Record<string, string>> = {
    'a chunk size that is none': `${ok}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nxyz\r\nhello\r\n0\r\n\r\n`,
    'a chunk that is longer': `${ok}Transfer-Encoding: chunked\r\n\r\n5\r\nhello world\r\n0\r\n\r\n`,
    'a chunk size that overflows': `${ok}Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nhello\r\n0\r\n\r\n`,
    'a chunk that ends with LF': `${ok}Transfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n`,
    'a length in the trailers': `${ok}Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 3\r\n\r\n`,
    'trailers without end': `${ok}Transfer-Encoding: chunked\r\n\r\n0\r\n${'X: y\r\n'.repeat(20_000)}\r\n`,
  }
  for (const [name, text] of Object.entries(bodies))
    test(name, async () => {
      await using w = await world(({ raw }) => raw(text))
      const client = await w.fixture.client()
      const all = await client.send(get('/bad') + get('/next')).rest()
      assert.ok(!all.includes('good'), all)
      assert.ok(!all.endsWith('0\r\n\r\n'), all)
      while (w.app.sockets.size > 0) await settle()
      await others(w.fixture)
    })

  test('half a body, then the end', async () => {
    for (const head of [
      'Content-Length: 10\r\n\r\nhello',
      'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n',
    ]) {
      await using w = await world(({ raw, socket }) => {
        raw(`${ok}${head}`)
        socket.end()
      })
      const answer = await w.fixture.request(get('/bad'))
      assert.deepEqual([answer.whole, answer.body], [false, 'hello'])
      await others(w.fixture)
    }
  })
})

describe('more than was asked for', { timeout: 60_000 }, () => {
  const answer = (text: string): string =>
    `HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}`

  test('two answers at once: the second is nobody’s', async () => {
    await using w = await world(({ raw }) => raw(answer('one') + answer('two')), { limit: 1 })
    const [first, ...rest] = await Promise.all([
      w.fixture.request(get('/bad')),
      w.fixture.request(get('/x')),
      w.fixture.request(get('/y')),
    ])
    assert.equal(first.body, 'one')
    assert.deepEqual(
      rest.map(({ body }) => body),
      ['good /x', 'good /y'],
    )
  })

  test('a second answer while the connection rests: it is closed', async () => {
    await using w = await world(({ raw, socket }) => {
      raw(answer('one'))
      socket.once('drain', () => {})
    })
    const client = await w.fixture.client()
    assert.equal((await client.send(get('/bad')).response()).body, 'one')
    const [socket] = w.app.sockets
    socket!.write(answer('two'))
    while (w.app.sockets.size > 0) await settle()
    assert.equal((await client.send(get('/z')).response()).body, 'good /z')
    client.socket.destroy()
  })

  for (const [name, head, method] of [
    ['HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n', 'HEAD'],
    ['204', 'HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n', 'GET'],
    ['304', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n', 'GET'],
    ['204 in chunks', 'HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n', 'GET'],
  ] as const)
    test(`a body behind ${name}`, async () => {
      await using w = await world(({ raw }) => raw(`${head}hello`))
      const client = await w.fixture.client()
      client.send(get('/bad').replace('GET', method) + get('/next'))
      await client.response(method)
      assert.equal((await client.response()).body, 'good /next')
      client.socket.destroy()
      await others(w.fixture)
    })

  test('compressed bodies pass as they are, whatever they would become', async () => {
    const bomb = gzipSync(Buffer.alloc(64 << 20))
    await using w = await world(({ raw, socket }) => {
      raw(`HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${bomb.length}\r\n\r\n`)
      socket.write(bomb)
    })
    const { body, headers } = await w.fixture.request(get('/bad', 'Accept-Encoding: gzip\r\n'))
    assert.equal(headers.get('content-encoding'), 'gzip')
    assert.ok(Buffer.from(body, 'latin1').equals(bomb))
  })
})

describe('answers before the request is complete', { timeout: 60_000 }, () => {
  const upload = (path: string, length: number): string =>
    `POST ${path} HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${length}\r\n\r\n`

  test('the answer reaches a client that is still sending, though the pod closes at once', async () => {
    let early = 0
    for (let i = 0; i < 40; i++) {
      await using w = await world(
        ({ socket }) => {
          // As simple servers do: what the client still sends is not read, so the kernel resets the connection.
          socket.end(
            'HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig',
          )
          socket.destroySoon()
        },
        { bodies: false },
      )
      const client = await w.fixture.client()
      client.send(upload('/bad', 100_000_000))
      const block = Buffer.alloc(65_536, 'x')
      const pump = (): void => {
        while (!client.socket.destroyed && client.socket.writableLength < 1_000_000)
          if (!client.socket.write(block)) break
      }
      client.socket.on('drain', pump)
      pump()
      const { status, body } = await client.response('POST')
      client.socket.destroy()
      if (status === 413 && body === 'big') early++
      else assert.equal(status, 502)
    }
    assert.equal(early, 40)
  })

  test('what the client goes on sending is no request, and is thrown away', async () => {
    await using w = await world(
      ({ raw }) => raw('HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno'),
      { bodies: false },
    )
    const client = await w.fixture.client()
    const smuggled = get('/smuggled')
    client.send(upload('/bad', smuggled.length))
    const { status, headers } = await client.response('POST')
    assert.deepEqual([status, headers.get('connection')], [400, 'close'])
    client.send(smuggled)
    assert.equal(await client.rest(), '')
    client.socket.destroy()
  })
})

test('interim answers do not pile up for a client that does not read', async () => {
  let sent = 0
  const interim = `HTTP/1.1 103 Early Hints\r\nX: ${'y'.repeat(1000)}\r\n\r\n`.repeat(60)
  await using w = await world(({ socket }) => {
    const pump = (): void => {
      while (!socket.destroyed && sent < 1000) {
        sent++
        if (!socket.write(interim)) break
      }
    }
    socket.on('drain', pump)
    pump()
  })
  const client = await Client.open(w.fixture.gateway.http.port)
  client.socket.pause()
  client.send(get('/bad'))
  while (w.app.sockets.size > 0 || sent === 0) await settle()
  assert.ok(sent < 200, `${sent} of 1000 blocks of interim answers were taken`)
  client.socket.destroy()
  await others(w.fixture)
})
