/** WebSockets in the corners: by ws on both sides and, where ws would not send it, by bytes. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { WebSocket, WebSocketServer } from 'ws'
import { randomInt, seededRandom } from '../../lib/random.ts'
import { settle } from '../../testing/sim-clock.ts'
import { type AppRequest, Fixture, get, host, signal, startApp } from './gateway.fixture.ts'

const upgrade = (path = '/', lines = ''): string =>
  get(
    path,
    `Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${lines}`,
  )

describe('WebSockets by ws', { timeout: 60_000 }, () => {
  let pod: WebSocketServer
  let backend: { host: string; port: number; pod: string }
  let fixture: Fixture
  before(async () => {
    const http = createServer((_, answer) => answer.writeHead(426).end('upgrade, please'))
    pod = new WebSocketServer({ server: http, perMessageDeflate: true, maxPayload: 64 << 20 })
    pod.on('connection', (socket) => {
      socket.on('error', () => {})
      socket.on('message', (data: Buffer, binary) => socket.send(data, { binary }))
    })
    http.on('close', () => pod.close())
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
    backend = { host: '127.0.0.1', port: (http.address() as AddressInfo).port, pod: 'pod' }
    fixture = await Fixture.start({ revision: { backends: [backend] } })
    closeHttp = () => {
      for (const client of pod.clients) client.terminate()
      http.closeAllConnections()
      http.close()
    }
  })
  let closeHttp = (): void => {}
  after(async () => {
    closeHttp()
    await fixture[Symbol.asyncDispose]()
  })

  const open = async (of: Fixture, deflate = false): Promise<WebSocket> => {
    const socket = new WebSocket(`ws://127.0.0.1:${of.gateway.http.port}/`, {
      headers: { Host: host },
      perMessageDeflate: deflate,
      maxPayload: 64 << 20,
    })
    await once(socket, 'open')
    return socket
  }
  const echo = async (socket: WebSocket, data: Buffer, binary = true): Promise<void> => {
    const answer = once(socket, 'message') as Promise<[Buffer, boolean]>
    socket.send(data, { binary })
    const [came, isBinary] = await answer
    assert.equal(isBinary, binary)
    assert.ok(came.equals(data), `${data.length} bytes became others`)
  }

  test('a message of 16 MiB, and one that compresses to little', async () => {
    const large = Buffer.alloc(16 << 20)
    const random = seededRandom(1)
    for (let i = 0; i < large.length; i += 4096) large.writeUInt32BE(randomInt(random, 2 ** 32), i)
    const socket = await open(fixture)
    await echo(socket, large)
    socket.close()
    const compressed = await open(fixture, true)
    assert.match(compressed.extensions, /permessage-deflate/)
    await echo(compressed, Buffer.alloc(8 << 20, 'a'), false)
    compressed.close()
  })

  test('the first one wakes its revision and waits for the pod', async () => {
    await using cold = await Fixture.start()
    const opening = open(cold)
    await cold.message(({ type }) => type === 'wake')
    cold.revision({ backends: [backend] })
    const socket = await opening
    await echo(socket, Buffer.from('hello'), false)
    socket.close()
  })

  test('300 at once keep apart; each is a request in flight, and none is left behind', async () => {
    const sockets = await Promise.all(Array.from({ length: 300 }, () => open(fixture)))
    const inFlight = (): number => [...fixture.gateway.view().revisions][0]!.inFlight
    assert.equal(inFlight(), 300)
    for (let round = 0; round < 3; round++)
      await Promise.all(
        sockets.map((socket, i) =>
          echo(socket, Buffer.from(`${i} ${'x'.repeat(i * round)}`), false),
        ),
      )
    for (const [i, socket] of sockets.entries())
      if (i % 2 === 0) socket.close()
      else socket.terminate()
    while (inFlight() > 0 || fixture.gateway.view().gateway.connections > 0) await settle()
  })

  test('a request without upgrade gets the app’s 426, a refused upgrade the app’s answer', async () => {
    assert.equal((await fixture.request(get())).status, 426)
    // Without a key ws answers 400.
    const client = await fixture.client()
    const { status } = await client
      .send(get('/', 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n'))
      .response()
    assert.equal(status, 400)
    client.socket.destroy()
  })
})

describe('upgraded connections by bytes', { timeout: 30_000 }, () => {
  test('whatever is sent passes as it is, in both directions at once: frames are the ends’ business', async () => {
    const random = seededRandom(2)
    const noise = (length: number): Buffer =>
      Buffer.from(Array.from({ length }, () => randomInt(random, 256)))
    const up = noise(300_000)
    const down = noise(300_000)
    const got: Buffer[] = []
    await using app = await startApp(
      ({ raw, socket }) => {
        raw('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
        socket.on('data', (bytes: Buffer) => got.push(bytes))
        for (let at = 0; at < down.length; at += 7777) socket.write(down.subarray(at, at + 7777))
      },
      { bodies: false },
    )
    await using fixture = await Fixture.start({ revision: { backends: [app.backend] } })
    const client = await fixture.client()
    // The first bytes come with the request, before the answer.
    client.socket.write(Buffer.concat([Buffer.from(upgrade()), up.subarray(0, 1000)]))
    for (let at = 1000; at < up.length; at += 9999) {
      client.socket.write(up.subarray(at, at + 9999))
      await settle(1)
    }
    await client.until('\r\n\r\n')
    const came: Buffer[] = []
    const length = (of: readonly Buffer[]): number =>
      of.reduce((sum, bytes) => sum + bytes.length, 0)
    while (length(got) < up.length) await settle()
    assert.ok(Buffer.concat(got).equals(up))
    app.sockets.values().next().value?.end()
    came.push(Buffer.from(await client.rest(), 'latin1'))
    assert.ok(Buffer.concat(came).equals(down))
    client.socket.destroy()
  })

  test('either side may end first; the other goes on until it ends too', async () => {
    const arrived = signal<AppRequest>()
    await using app = await startApp(arrived.resolve, { bodies: false })
    await using fixture = await Fixture.start({ revision: { backends: [app.backend] } })
    const client = await fixture.client()
    client.send(upgrade())
    const { raw, socket } = await arrived.promise
    let ended = false
    let came = ''
    socket.allowHalfOpen = true
    socket.on('data', (bytes: Buffer) => (came += bytes.toString('latin1')))
    socket.on('end', () => (ended = true))
    raw('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
    await client.until('\r\n\r\n')
    client.send('last words')
    client.socket.end()
    while (!ended) await settle()
    assert.equal(came, 'last words')
    raw('and mine')
    socket.end()
    assert.equal(await client.rest(), 'and mine')
    while (fixture.gateway.view().gateway.connections > 0) await settle()
    assert.equal([...fixture.gateway.view().revisions][0]!.inFlight, 0)
  })

  test('a side that does not read holds the other, not our memory', async () => {
    const block = Buffer.alloc(1 << 20, 'x')
    let sent = 0
    await using app = await startApp(
      ({ raw, socket }) => {
        raw('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
        const pump = (): void => {
          while (!socket.destroyed && sent < 100) {
            sent++
            if (!socket.write(block)) break
          }
        }
        socket.on('drain', pump)
        pump()
      },
      { bodies: false },
    )
    await using fixture = await Fixture.start({ revision: { backends: [app.backend] } })
    const client = await fixture.client()
    client.send(upgrade())
    await client.until('\r\n\r\n')
    client.socket.pause()
    for (let quiet = 0, last = -1; quiet < 100;) {
      await settle(3)
      quiet = sent === last ? quiet + 1 : 0
      last = sent
    }
    assert.ok(sent > 1 && sent < 60, `${sent} of 100 MB went to a client that does not read`)
    client.socket.destroy()
  })

  test('an upgrade that is refused leaves both connections as they were', async () => {
    let connections = 0
    await using app = await startApp(({ head, answer, raw, connection }) => {
      connections = connection + 1
      if (head.connectionUpgrade) raw('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno')
      else answer(head.target)
    })
    await using fixture = await Fixture.start({ revision: { backends: [app.backend] } })
    const client = await fixture.client()
    // What follows is a request, not a frame.
    client.send(upgrade('/refused') + get('/next'))
    const refused = await client.response()
    assert.deepEqual([refused.status, refused.body], [403, 'no'])
    assert.equal((await client.response()).body, '/next')
    assert.equal(connections, 1)
    client.socket.destroy()
  })
})
