import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { settle } from '../../testing/sim-clock.ts'
import { type AppRequest, Client, Fixture, get, host, signal, startApp } from './gateway.fixture.ts'

describe('malformed and hostile clients', () => {
  test('smuggling vectors are answered once, with 4xx or 5xx, and the connection ends', async () => {
    const seen: string[] = []
    await using app = await startApp(({ head, answer }) => {
      seen.push(head.target)
      answer('served')
    })
    await using fixture = await Fixture.start({ revision: { backends: [app.backend] } })
    const post = (lines: string, body: string) =>
      `POST / HTTP/1.1\r\nHost: ${host}\r\n${lines}\r\n${body}GET /smuggled HTTP/1.1\r\nHost: ${host}\r\n\r\n`
    const cases: [string, number][] = [
      [post('Content-Length: 4\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'), 400],
      [post('Content-Length: 0\r\nContent-Length: 30\r\n', ''), 400],
      [post('Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n', '0\r\n\r\n'), 400],
      [post('Transfer-Encoding: xchunked\r\n', '0\r\n\r\n'), 400],
      [post('Transfer-Encoding : chunked\r\n', '0\r\n\r\n'), 400],
      [post('Transfer-Encoding:\r\n chunked\r\n', '0\r\n\r\n'), 400],
      [post('Content-Length: 0x0\r\n', ''), 400],
      [post('X: y\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'), 400],
      [`GET / HTTP/1.1\nHost: ${host}\n\n`, 400],
      ['PRI * HTTP/2.0\r\nX: y\r\n\r\nSM\r\n\r\n', 505],
      [`GET /${'x'.repeat(70_000)} HTTP/1.1\r\nHost: ${host}\r\n\r\n`, 414],
      [get('/', `X: ${'x'.repeat(70_000)}\r\n`), 431],
      [get('/', 'X: y\r\n'.repeat(300)), 431],
      ['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n', 400],
    ]
    for (const [text, status] of cases) {
      const client = await fixture.client()
      const answer = await client.send(text).response()
      assert.equal(answer.status, status, JSON.stringify(text.slice(0, 80)))
      assert.equal(answer.headers.get('connection'), 'close')
      assert.equal(await client.rest(), '')
      client.socket.destroy()
    }
    assert.deepEqual(seen, [])
  })

  test('a body that stops being chunks: 400, and the pod does not get it as whole', async () => {
    const aborted = signal()
    await using app = await startApp(
      ({ socket }) => {
        socket.on('close', () => aborted.resolve())
      },
      { bodies: false },
    )
    await using fixture = await Fixture.start({ revision: { backends: [app.backend] } })
    const client = await fixture.client()
    client.send(
      `POST / HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n`,
    )
    while (app.connections === 0) await settle()
    client.send('nonsense\r\n')
    assert.equal((await client.response()).status, 400)
    await aborted.promise
    client.socket.destroy()
  })

  test('one byte at a time is fine', async () => {
    await using app = await startApp((request) => request.answer(request.body))
    await using fixture = await Fixture.start({ revision: { backends: [app.backend] } })
    const client = await fixture.client()
    for (const letter of `POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 3\r\n\r\nabc`) {
      client.send(letter)
      await settle(1)
    }
    assert.equal((await client.response()).body, 'abc')
    client.socket.destroy()
  })

  test('connections beyond the limit are refused; the others go on', async () => {
    await using app = await startApp(({ answer }) => answer('hello'))
    await using fixture = await Fixture.start({
      limits: { connections: 2 },
      revision: { backends: [app.backend] },
    })
    const first = await fixture.client()
    await first.send(get()).response()
    const second = await fixture.client()
    await second.send(get()).response()
    const third = await fixture.client()
    assert.equal(await third.rest(), '')
    assert.equal((await first.send(get()).response()).status, 200)
    first.socket.destroy()
    second.socket.destroy()
  })
})

describe('back-pressure', () => {
  const megabytes = 64

  test('a client that does not read stops the pod, and gets everything when it reads', async () => {
    const block = Buffer.alloc(65_536, 'x')
    const total = (megabytes * 1024 * 1024) / block.length
    let sent = 0
    await using app = await startApp(({ raw, socket }) => {
      raw(`HTTP/1.1 200 OK\r\nContent-Length: ${total * block.length}\r\n\r\n`)
      const pump = () => {
        while (sent < total) {
          sent++
          if (!socket.write(block)) {
            socket.once('drain', pump)
            return
          }
        }
      }
      pump()
    })
    await using fixture = await Fixture.start({ revision: { backends: [app.backend] } })
    const client = await fixture.client()
    client.send(get())
    await client.until('\r\n\r\n')
    client.socket.pause()
    await still(() => sent)
    // What fills are the two kernel buffers (some megabytes on loopback), not our memory.
    assert.ok(sent < total * 0.6, `${sent} of ${total} blocks went to a client that does not read`)
    let received = 0
    const done = signal()
    client.socket.removeAllListeners('data')
    client.socket.on('data', (bytes: Buffer) => {
      received += bytes.length
      if (received >= total * block.length - 1_000_000) done.resolve()
    })
    client.socket.resume()
    await done.promise
    client.socket.destroy()
  })

  test('a pod that does not read stops the client', async () => {
    const block = Buffer.alloc(65_536, 'x')
    const total = (megabytes * 1024 * 1024) / block.length
    const arrived = signal<AppRequest>()
    await using app = await startApp(
      (request) => {
        request.socket.pause()
        arrived.resolve(request)
      },
      { bodies: false },
    )
    await using fixture = await Fixture.start({ revision: { backends: [app.backend] } })
    const client = await fixture.client()
    client.send(
      `POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${total * block.length}\r\n\r\n`,
    )
    const { socket, answer } = await arrived.promise
    let sent = 0
    const pump = () => {
      while (sent < total) {
        sent++
        if (!client.socket.write(block)) {
          client.socket.once('drain', pump)
          return
        }
      }
    }
    pump()
    await still(() => sent)
    assert.ok(sent < total * 0.6, `${sent} of ${total} blocks went to a pod that does not read`)
    let received = 0
    socket.removeAllListeners('data')
    socket.on('data', (bytes: Buffer) => {
      received += bytes.length
      if (received >= total * block.length - 1_000_000) answer('thanks')
    })
    socket.resume()
    assert.equal((await client.response()).body, 'thanks')
    client.socket.destroy()
  })

  test('pipelined requests behind a held one are kept in bounds', async () => {
    await using app = await startApp(({ answer }) => answer('hello'))
    await using fixture = await Fixture.start()
    const client = await fixture.client()
    const many = get('/', `X: ${'x'.repeat(1000)}\r\n`).repeat(1000)
    client.send(get())
    await fixture.message(({ type }) => type === 'wake')
    let blocked = 0
    for (; blocked < 64 && client.socket.writableLength < 8_000_000; blocked++) {
      client.send(many)
      await settle(2)
    }
    assert.ok(blocked < 64, 'the gateway read 64 MB of requests that it did not serve')
    client.socket.destroy()
    const other = fixture.request(get())
    fixture.revision({ backends: [app.backend] })
    assert.equal((await other).status, 200)
  })
})

test(
  '2,000 requests are held within bounded memory and all answered',
  { timeout: 30_000 },
  async () => {
    const count = 2000
    await using app = await startApp(({ answer }) => answer('hello'))
    await using fixture = await Fixture.start()
    const clients = await Promise.all(
      Array.from({ length: count }, () => Client.open(fixture.gateway.http.port)),
    )
    const before = process.memoryUsage().heapUsed
    for (const client of clients) client.send(get('/', `X: ${'x'.repeat(200)}\r\n`))
    const admin = await Client.open(fixture.gateway.admin!.port)
    for (;;) {
      const { body } = await admin.send('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n').response()
      if (body.includes(`ebb_gateway_waiting ${count}\n`)) break
    }
    const eachBytes = (process.memoryUsage().heapUsed - before) / count
    assert.ok(eachBytes < 30_000, `${eachBytes} bytes a held request`)
    fixture.revision({ backends: [app.backend] })
    for (const client of clients) {
      assert.equal((await client.response()).status, 200)
      client.socket.destroy()
    }
    admin.socket.destroy()
  },
)

/** Resolves when `read` has stopped changing. */
async function still(read: () => number): Promise<void> {
  for (let quiet = 0, last = read(); quiet < 100;) {
    await settle(3)
    const now = read()
    quiet = now === last ? quiet + 1 : 0
    last = now
  }
}
