/** WebSockets through the gateway, with ws on both sides; cases in the manner of the Autobahn test suite. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { WebSocket, WebSocketServer } from 'ws'
import { Fixture, host } from './gateway.fixture.ts'

describe('WebSocket', () => {
  let server: WebSocketServer
  let gateway: Fixture
  /** How the pod's side ended: codes with reasons. */
  const ends: string[] = []
  let pings = 0

  before(async () => {
    server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: true })
    server.on('connection', (socket, request) => {
      socket.on('error', () => {})
      socket.on('ping', () => pings++)
      socket.on('close', (code, reason) => ends.push(`${code} ${reason.toString()}`))
      if (request.url === '/bye') socket.close(4321, 'no time')
      socket.on('message', (data: Buffer, binary) => socket.send(data, { binary }))
    })
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    gateway = await Fixture.start({
      revision: { backends: [{ host: '127.0.0.1', port, pod: 'pod' }] },
    })
  })
  after(async () => {
    for (const client of server.clients) client.terminate()
    server.close()
    await gateway[Symbol.asyncDispose]()
  })

  const open = async (path = '/', deflate = false): Promise<WebSocket> => {
    const socket = new WebSocket(`ws://127.0.0.1:${gateway.gateway.http.port}${path}`, {
      headers: { Host: host },
      perMessageDeflate: deflate,
    })
    socket.on('error', () => {})
    await once(socket, 'open')
    return socket
  }
  const next = async (socket: WebSocket): Promise<readonly [Buffer, boolean]> => {
    const [data, binary] = (await once(socket, 'message')) as [Buffer, boolean]
    return [data, binary]
  }

  /** What the pod's side said at its end. */
  const ended = async (): Promise<readonly string[]> => {
    while (ends.length === 0) await new Promise((resolve) => setImmediate(resolve))
    return ends
  }

  test('text and binary messages of every length class come back as they were', async () => {
    const socket = await open()
    for (const size of [0, 1, 125, 126, 127, 65_535, 65_536, 1_000_000]) {
      socket.send('é'.repeat(size / 2))
      assert.deepEqual(await next(socket), [Buffer.from('é'.repeat(size / 2)), false])
      const bytes = Buffer.alloc(size, 0xfe)
      socket.send(bytes)
      assert.deepEqual(await next(socket), [bytes, true])
    }
    socket.terminate()
  })

  test('fragments, with control frames between them, are one message', async () => {
    const socket = await open()
    const pong = once(socket, 'pong') as Promise<[Buffer]>
    const message = next(socket)
    socket.send('Hel', { fin: false })
    socket.ping('between')
    socket.send('', { fin: false })
    socket.send('lo', { fin: true })
    assert.equal((await pong)[0].toString(), 'between')
    assert.deepEqual(await message, [Buffer.from('Hello'), false])
    assert.equal(pings, 1)
    socket.terminate()
  })

  test('compressed messages pass, since extensions are agreed between the ends', async () => {
    const socket = await open('/', true)
    assert.match(socket.extensions, /permessage-deflate/)
    const text = 'again and '.repeat(10_000)
    socket.send(text)
    assert.equal((await next(socket))[0].toString(), text)
    socket.terminate()
  })

  test('a thousand messages keep their order', async () => {
    const socket = await open()
    const got: number[] = []
    const all = new Promise<void>((resolve) =>
      socket.on('message', (data: Buffer) => {
        if (got.push(Number(data.toString())) === 1000) resolve()
      }),
    )
    for (let i = 0; i < 1000; i++) socket.send(String(i))
    await all
    assert.deepEqual(
      got,
      Array.from({ length: 1000 }, (_, i) => i),
    )
    socket.terminate()
  })

  test('closing handshakes pass with code and reason, from either side', async () => {
    const leaving = await open()
    ends.length = 0
    leaving.close(4000, 'done here')
    const [code] = (await once(leaving, 'close')) as [number]
    assert.equal(code, 4000)
    assert.deepEqual(await ended(), ['4000 done here'])
    const sent = await open('/bye')
    const [theirs, reason] = (await once(sent, 'close')) as [number, Buffer]
    assert.deepEqual([theirs, reason.toString()], [4321, 'no time'])
  })

  test('what is no UTF-8 or no frame is the business of the ends', async () => {
    const socket = await open()
    socket.send(Buffer.from([0xff, 0xfe]), { binary: false })
    const [code] = (await once(socket, 'close')) as [number]
    assert.equal(code, 1007)
  })

  test('a client that vanishes is seen by the pod, and its slot is free again', async () => {
    ends.length = 0
    const socket = await open()
    socket.terminate()
    assert.deepEqual(await ended(), ['1006 '])
  })
})
