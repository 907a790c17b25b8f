/**
 * Hostile HTTP/2 clients at the gateway's listener: what the library's tests promise of one connection holds for the whole. Requests that could
 * be read in two ways as HTTP/1.1 never reach a pod, floods end their own connection and nobody else's.
 */
import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { frame, parseFrames } from '../../lib/http2/http2.fixture.ts'
import { preface } from '../../lib/http2/frames.ts'
import { settle } from '../../testing/sim-clock.ts'
import { type CheckingPod, startCheckingPod } from './checking-pod.fixture.ts'
import { type App, Fixture, get, host, startApp } from './gateway.fixture.ts'

/** A field as a literal that is not put into the table; shorter than 127 bytes. */
const field = (name: string, value: string): Buffer => {
  const text = (of: string): Buffer =>
    Buffer.from(`${String.fromCharCode(of.length)}${of}`, 'latin1')
  return Buffer.concat([Buffer.from([0]), text(name), text(value)])
}
type Fields = readonly (readonly [string, string])[]
const block = (fields: Fields): Buffer =>
  Buffer.concat(fields.map(([name, value]) => field(name, value)))

const line: Fields = [
  [':method', 'POST'],
  [':scheme', 'http'],
  [':authority', host],
  [':path', '/first'],
]
/** The request line with some fields in other words. */
const withLine = (changes: Readonly<Record<string, string>>): Fields =>
  line.map(([name, value]) => [name, changes[name] ?? value])

/** A raw connection that has said hello. */
class Raw implements Disposable {
  readonly socket: Socket
  came = Buffer.alloc(0)
  closed = false

  constructor(port: number) {
    this.socket = connect({ port, host: '127.0.0.1', noDelay: true })
    this.socket.on('data', (bytes: Buffer) => (this.came = Buffer.concat([this.came, bytes])))
    this.socket.on('error', () => {})
    this.socket.on('close', () => (this.closed = true))
    this.send(preface, frame(4, 0, 0), frame(4, 1, 0))
  }

  send(...parts: readonly Buffer[]): boolean {
    return !this.socket.destroyed && this.socket.write(Buffer.concat(parts))
  }

  /** The code with which a stream was reset, -1 = it was not. */
  reset(id: number): number {
    const found = this.#frames.find((one) => one.type === 3 && one.id === id)
    return found ? found.payload.readUInt32BE(0) : -1
  }

  /** The code of the last GOAWAY, -1 = none. */
  get goAway(): number {
    return this.#frames.findLast(({ type }) => type === 7)?.payload.readUInt32BE(4) ?? -1
  }

  /** Waits until this is so. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      if (this.closed && !condition()) assert.fail(`the connection has ended (${this.goAway})`)
      await settle(1)
    }
  }

  get #frames(): ReturnType<typeof parseFrames> {
    let end = 0
    while (
      end + 9 <= this.came.length &&
      end + 9 + this.came.readUIntBE(end, 3) <= this.came.length
    )
      end += 9 + this.came.readUIntBE(end, 3)
    return parseFrames(this.came.subarray(0, end))
  }

  [Symbol.dispose](): void {
    this.socket.destroy()
  }
}

const protocolError = 1
const enhanceYourCalm = 11

describe('what would be two requests, or none, in HTTP/1.1', { timeout: 30_000 }, () => {
  let pod: CheckingPod
  let fixture: Fixture
  before(async () => {
    pod = await startCheckingPod()
    fixture = await Fixture.start({ revision: { backends: [pod.backend] } })
  })
  after(async () => {
    await fixture[Symbol.asyncDispose]()
    await pod[Symbol.asyncDispose]()
  })

  const smuggle = `\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n`
  const refused: Readonly<Record<string, Fields>> = {
    'CR LF in a value': [...line, ['x', `y${smuggle}`]],
    'LF in a value': [...line, ['x', 'y\nz: a']],
    'CR in a value': [...line, ['x', 'y\rz: a']],
    'NUL in a value': [...line, ['x', 'y\0']],
    'CR LF in a name': [...line, ['x\r\ny', 'z']],
    'LF in a name': [...line, ['x\ny', 'z']],
    'a colon in a name': [...line, ['x: y\r\nz', 'a']],
    'a blank in a name': [...line, ['transfer-encoding ', 'chunked']],
    'a capital in a name': [...line, ['X-Y', 'z']],
    'an empty name': [...line, ['', 'z']],
    'obs-text in a name': [...line, ['x\xe9', 'z']],
    'a blank before a value': [...line, ['x', ' y']],
    'a blank behind a value': [...line, ['x', 'y ']],
    'transfer-encoding': [...line, ['transfer-encoding', 'chunked']],
    connection: [...line, ['connection', 'x']],
    'keep-alive': [...line, ['keep-alive', '5']],
    'proxy-connection': [...line, ['proxy-connection', 'close']],
    upgrade: [...line, ['upgrade', 'websocket']],
    'te that is not trailers': [...line, ['te', 'gzip']],
    'two content-lengths': [...line, ['content-length', '5'], ['content-length', '5']],
    'a content-length that is none': [...line, ['content-length', '+5']],
    'a content-length list': [...line, ['content-length', '5, 5']],
    'CR LF in :path': withLine({ ':path': `/ HTTP/1.1\r\nHost: x\r\n\r\nGET /smuggled` }),
    'a blank in :path': withLine({ ':path': '/a b' }),
    'a tab in :path': withLine({ ':path': '/a\tb' }),
    'obs-text in :path': withLine({ ':path': '/\xff' }),
    'a fragment in :path': withLine({ ':path': '/a#b' }),
    'an absolute :path': withLine({ ':path': `http://${host}/` }),
    'a relative :path': withLine({ ':path': 'a' }),
    'an empty :path': withLine({ ':path': '' }),
    'an asterisk for POST': withLine({ ':path': '*' }),
    'CR LF in :method': withLine({ ':method': 'GET / HTTP/1.1\r\nX: y\r\n\r\nGET' }),
    'a blank in :method': withLine({ ':method': 'GET /smuggled' }),
    'an empty :method': withLine({ ':method': '' }),
    'CR LF in :authority': withLine({ ':authority': `${host}\r\nX: y` }),
    'a user in :authority': withLine({ ':authority': `x@${host}` }),
    'a path in :authority': withLine({ ':authority': `${host}/x` }),
    'a blank in :authority': withLine({ ':authority': `${host} x` }),
    'host that differs': [...line, ['host', 'other.example.com']],
    'two hosts': [...line, ['host', host], ['host', host]],
    'no :path': line.slice(0, 3),
    'no :method': line.slice(1),
    'no :scheme': [line[0]!, ...line.slice(2)],
    'two :paths': [...line, [':path', '/second']],
    'a pseudo-header behind fields': [...line.slice(0, 3), ['x', 'y'], line[3]!],
    'an unknown pseudo-header': [...line, [':protocol', 'websocket']],
    ':status': [...line, [':status', '200']],
  }
  for (const [name, fields] of Object.entries(refused))
    test(`${name}: refused, the connection serves on`, async () => {
      using raw = new Raw(fixture.gateway.http.port)
      raw.send(frame(1, 4, 1, block(fields)), frame(0, 1, 1, Buffer.from('hello')))
      await raw.until(() => raw.reset(1) >= 0)
      assert.equal(raw.reset(1), protocolError)
      raw.send(frame(1, 5, 3, block(withLine({ ':path': '/second' }))))
      await raw.until(() => raw.came.includes('POST /second 0'))
      assert.deepEqual(
        pod.seen.splice(0).map(({ url }) => url),
        ['/second'],
      )
      assert.deepEqual(pod.complaints, [])
    })

  for (const [name, length, body, trailers] of [
    ['more than content-length says', '3', 'hello', undefined],
    ['less than content-length says', '9', 'hello', undefined],
    ['less, then trailers', '9', 'hello', [['x-sum', '1']]],
    ['trailers with a pseudo-header', '', 'hello', [[':path', '/x']]],
    ['trailers with CR LF', '', 'hello', [['x', 'y\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n']]],
    ['trailers with transfer-encoding', '', 'hello', [['transfer-encoding', 'chunked']]],
  ] as const)
    test(`${name}: the pod sees no whole request`, async () => {
      using raw = new Raw(fixture.gateway.http.port)
      raw.send(
        frame(1, 4, 1, block(length === '' ? line : [...line, ['content-length', length]])),
        frame(0, trailers ? 0 : 1, 1, Buffer.from(body)),
        ...(trailers ? [frame(1, 5, 1, block(trailers))] : []),
      )
      await raw.until(() => raw.reset(1) >= 0)
      assert.equal(raw.reset(1), protocolError)
      for (let i = 0; i < 3; i++) await fixture.request(get('/other'))
      assert.deepEqual(
        pod.seen.splice(0).map(({ url }) => url),
        ['/other', '/other', '/other'],
      )
      assert.deepEqual(pod.complaints, [])
    })

  test('bodies and trailers without length become chunks, whatever they look like', async () => {
    const body = '0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n'
    using raw = new Raw(fixture.gateway.http.port)
    raw.send(
      frame(1, 4, 1, block(line)),
      frame(0, 0, 1, Buffer.from(body)),
      frame(
        1,
        5,
        1,
        block([
          ['x-sum', '1'],
          ['content-type', 'x'],
          ['host', 'evil'],
        ]),
      ),
    )
    await raw.until(() => raw.came.includes(`POST /first ${body.length}`))
    const [seen] = pod.seen.splice(0)
    assert.deepEqual([seen?.body, seen?.host, seen?.trailers], [body, host, ['x-sum', '1']])
  })
})

describe('floods end their connection, and nobody else’s', { timeout: 60_000 }, () => {
  let app: App
  let fixture: Fixture
  before(async () => {
    app = await startApp(({ head, answer }) => {
      if (head.target !== '/stuck') answer('fine')
    })
    fixture = await Fixture.start({
      revision: { backends: [app.backend], containerConcurrency: 50 },
    })
  })
  after(async () => {
    await fixture[Symbol.asyncDispose]()
    await app[Symbol.asyncDispose]()
  })

  const request = (id: number, path = '/stuck', end = true): Buffer =>
    frame(1, end ? 5 : 4, id, block(withLine({ ':path': path, ':method': end ? 'GET' : 'POST' })))
  const floods: Readonly<Record<string, (i: number) => Buffer>> = {
    'rapid reset': (i) => Buffer.concat([request(2 * i + 1), frame(3, 0, 2 * i + 1, '00000008')]),
    PING: () => frame(6, 0, 0, '0000000000000001'),
    SETTINGS: () => frame(4, 0, 0, '000400001000'),
    PRIORITY: (i) => frame(2, 0, 2 * i + 1, '0000000010'),
    'empty DATA': (i) => (i === 0 ? request(1, '/stuck', false) : frame(0, 0, 1)),
    'WINDOW_UPDATE of 1': () => frame(8, 0, 0, '00000001'),
    'unknown frames': () => frame(99, 0, 0, '00'),
    CONTINUATION: (i) =>
      i === 0
        ? frame(1, 1, 1, block(line))
        : frame(9, 0, 1, Buffer.concat([field('x', 'y'.repeat(100))])),
    'empty CONTINUATION': (i) => (i === 0 ? frame(1, 1, 1, block(line)) : frame(9, 0, 1)),
    'streams beyond the limit': (i) => request(2 * i + 1),
    'malformed requests': (i) => frame(1, 5, 2 * i + 1, block([...line, ['connection', 'x']])),
    // One large field in the table, referred to again and again: 16 MB each, if they were read.
    'compressed heads': (i) =>
      frame(
        1,
        5,
        2 * i + 1,
        Buffer.concat([
          block(line),
          i === 0
            ? Buffer.concat([Buffer.from([0x40, 1, 120, 127, 0xa1, 0x1e]), Buffer.alloc(4000, 121)])
            : Buffer.alloc(4000, 0xbe),
        ]),
      ),
  }
  for (const [name, flood] of Object.entries(floods))
    test(name, async () => {
      const heapBefore = process.memoryUsage().heapUsed
      using raw = new Raw(fixture.gateway.http.port)
      let sent = 0
      const neighbour = fixture.client()
      // Not read: whatever answers there are must not pile up either.
      for (; !raw.closed && sent < 60_000; sent++) {
        const roomy = raw.send(flood(sent))
        if (sent % 200 === 199 || !roomy) await settle(2)
      }
      await raw.until(() => raw.closed)
      assert.ok(sent < 60_000, `${sent} frames were taken`)
      assert.ok([protocolError, enhanceYourCalm, -1].includes(raw.goAway), `GOAWAY ${raw.goAway}`)
      assert.ok(process.memoryUsage().heapUsed - heapBefore < 150e6)
      const client = await neighbour
      assert.equal((await client.send(get()).response()).body, 'fine')
      client.socket.destroy()
      while (fixture.gateway.view().gateway.connections > 0) await settle()
      const [revision] = fixture.gateway.view().revisions
      assert.deepEqual([revision!.inFlight, fixture.gateway.view().gateway.waiting], [0, 0])
    })

  test('a client that asks for much and takes nothing holds a bounded piece of it', async () => {
    const big = Buffer.alloc(1 << 20, 'x')
    let sent = 0
    await using pod = await startApp(({ socket }) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${200 * big.length}\r\n\r\n`)
      const pump = (): void => {
        for (let i = 0; i < 200; i++) {
          if (socket.destroyed) return
          sent += big.length
          if (!socket.write(big)) {
            socket.once('drain', pump)
            return
          }
        }
      }
      pump()
    })
    await using gateway = await Fixture.start({ revision: { backends: [pod.backend] } })
    using raw = new Raw(gateway.gateway.http.port)
    raw.socket.pause()
    raw.send(frame(8, 0, 0, '7fff0000'), frame(4, 0, 0, '00047fffffff'))
    for (let i = 0; i < 20; i++) raw.send(request(2 * i + 1, '/big'))
    await raw.until(() => sent > 20 * big.length)
    for (let quiet = 0, last = -1; quiet < 50;) {
      await settle(3)
      quiet = sent === last ? quiet + 1 : 0
      last = sent
    }
    const { arrayBuffers } = process.memoryUsage()
    // What the pods' sockets and the kernel hold is theirs.
    assert.ok(arrayBuffers < 200e6, `${arrayBuffers} bytes are held`)
    assert.ok(sent < 20 * 60e6, `${sent} bytes were taken`)
  })
})
