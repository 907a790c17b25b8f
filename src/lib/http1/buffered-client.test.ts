import assert from 'node:assert/strict'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { test } from 'node:test'
import { SimClock } from '../../testing/sim-clock.ts'
import { BufferedClient, type ClientAnswer, type ClientRequest } from './buffered-client.ts'

interface World extends AsyncDisposable {
  readonly clock: SimClock
  /** The connections that came, in order. */
  readonly sockets: Socket[]
  /** Ends the client. */
  close(): void
  ask(more?: Partial<ClientRequest>, limitMs?: number, signal?: AbortSignal): Promise<ClientAnswer>
}

/** A server whose `answer` says what to write for the request of this number, counted from 1. */
async function world(answer: (number: number, socket: Socket) => string | void): Promise<World> {
  const clock = new SimClock()
  const sockets: Socket[] = []
  let requests = 0
  const server = createServer((socket) => {
    sockets.push(socket)
    let text = ''
    socket.on('error', () => {})
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1')
      const end = text.indexOf('\r\n\r\n')
      const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0)
      if (end < 0 || text.length < end + 4 + length) return
      text = ''
      const said = answer(++requests, socket)
      if (said !== undefined) socket.write(said)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const client = new BufferedClient({ clock, maxAnswerBytes: 1000 })
  const request: ClientRequest = {
    method: 'POST',
    target: '/',
    headers: [['Host', 'h']],
    body: Buffer.from('b'),
  }
  return {
    clock,
    sockets,
    close: () => client[Symbol.dispose](),
    ask: (more = {}, limitMs = 1000, signal?) =>
      client.exchange(
        { host: '127.0.0.1', port },
        { ...request, ...more },
        { limitMs, ...(signal && { signal }) },
      ),
    async [Symbol.asyncDispose]() {
      client[Symbol.dispose]()
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const ok = (body = '', more = '') =>
  `HTTP/1.1 200 OK\r\n${more}Content-Length: ${body.length}\r\n\r\n${body}`

const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}

test('one connection serves many requests, one after the other; more at a time open more', async () => {
  await using at = await world((n) => ok(`answer ${n}`, 'X-Up: y\r\n'))
  for (const n of [1, 2, 3]) {
    const { status, headers, body } = await at.ask()
    assert.deepEqual([status, headers[0], body.toString()], [200, ['x-up', 'y'], `answer ${n}`])
  }
  assert.equal(at.sockets.length, 1)
  await Promise.all([at.ask(), at.ask(), at.ask({ body: Buffer.alloc(100_000) })])
  assert.equal(at.sockets.length, 3)
})

test('answers of every framing, behind answers that are none yet', async () => {
  const chunked =
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n'
  const answers = [
    `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n${ok('early')}`,
    chunked,
    'HTTP/1.1 204 No Content\r\n\r\n',
  ]
  await using at = await world((n, socket) => {
    if (n <= answers.length) return answers[n - 1]
    socket.end('HTTP/1.0 200 OK\r\n\r\nto the end')
  })
  const bodies: string[] = []
  for (let i = 0; i < 4; i++) bodies.push((await at.ask()).body.toString())
  assert.deepEqual(bodies, ['early', 'abc', '', 'to the end'])
  assert.equal(at.sockets.length, 1)
})

test('a connection that was closed while it lay idle costs no failure; a new one that is closed does', async () => {
  await using at = await world((n, socket) => {
    if (n === 2 || n >= 4) socket.destroy()
    else return ok(String(n))
  })
  assert.equal((await at.ask()).body.toString(), '1')
  assert.equal((await at.ask()).body.toString(), '3')
  assert.equal(at.sockets.length, 2)
  await assert.rejects(at.ask(), /hang up|ECONNRESET/)
})

test('the end of the client is the end of what is under way, on connections that were used before too', async () => {
  let asked = 0
  await using at = await world((n) => ((asked = n) === 1 ? ok() : undefined))
  await at.ask()
  const second = assert.rejects(at.ask(), /stopped|hang up/)
  await until(() => asked === 2)
  at.close()
  await second
  await assert.rejects(at.ask(), /stopped/)
})

test('connections are not used again when their server says so, or says more than was asked', async () => {
  const answers = [
    ok('', 'Connection: close\r\n'),
    ok('', 'Keep-Alive: timeout=1\r\n'),
    ok() + ok('again'),
    ok(),
  ]
  await using at = await world((n) => answers[n - 1])
  for (let i = 0; i < 4; i++) assert.equal((await at.ask()).body.length, 0)
  assert.equal(at.sockets.length, 4)
})

test('an answer whose lines do not end as they should is told at once, not waited for', async () => {
  const heads = [
    'HTTP/1.1 200 OK\nContent-Length: 0\n\n',
    'HTTP/1.1 200 OK\r\nA: b\n\n',
    'HTTP/1.1 2\0',
  ]
  await using at = await world((n) => heads[n - 1])
  for (const reason of [/not HTTP\/1.1: bare LF/, /bare LF/, /NUL/])
    await assert.rejects(at.ask(), reason)
})

test('idle connections are closed after a while', async () => {
  await using at = await world(() => ok('', 'Keep-Alive: timeout=5\r\n'))
  await at.ask()
  const [socket] = at.sockets
  await at.clock.advance(4000)
  await until(() => socket?.destroyed === true || socket?.readableEnded === true)
})

test('no whole answer in time, none at all, too large, malformed, or stopped', async () => {
  const answers: (string | undefined)[] = [
    undefined,
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab',
    ok('x'.repeat(1001)),
    'SSH-2.0-OpenSSH_9.2\r\n',
    'HTTP/1.1 101 Switching Protocols\r\n\r\n',
    `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(70_000)}`,
    undefined,
  ]
  await using at = await world((n) => answers[n - 1])
  for (const count of [1, 2]) {
    const late = assert.rejects(at.ask(), { name: 'ClientTimeout' })
    await until(() => at.sockets.length === count)
    await at.clock.advance(1000)
    await late
  }
  const { status, body, cut } = await at.ask()
  assert.deepEqual([status, body.length, cut], [200, 1000, true])
  await assert.rejects(at.ask(), /not HTTP/)
  await assert.rejects(at.ask(), /switch of protocols/)
  await assert.rejects(at.ask(), /head of the answer/)
  const stop = new AbortController()
  const stopped = at.ask({}, 1000, stop.signal)
  stop.abort()
  await assert.rejects(stopped, /stopped/)
  await assert.rejects(at.ask({}, 1000, stop.signal), /stopped/)
  await assert.rejects(at.ask({ headers: [['x', 'a\r\nb: c']] }), /Invalid character/)
  await assert.rejects(at.ask({ headers: [['x y', 'a']] }), /valid HTTP token/)
})
