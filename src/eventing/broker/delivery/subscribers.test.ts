/**
 * Subscribers that do what no subscriber should, byte by byte on a socket: what the sender makes of each. Nothing here
 * depends on how it is made, only on what goes over the wire.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { test } from 'node:test'
import { systemClock } from '../../../lib/clock.ts'
import { SimClock } from '../../../testing/sim-clock.ts'
import type { Headers } from '../../cloudevents/http-binding.ts'
import { createSender, SendError, type Sender } from './sender.ts'

interface Subscriber extends AsyncDisposable {
  readonly url: string
  /** Heads and bodies that came, in order, over all connections. */
  readonly requests: string[]
  connections: number
}

/** `answer` is called with each whole request, and does with the socket what it likes. */
async function subscriber(
  answer: (socket: Socket, request: string, count: number) => void,
): Promise<Subscriber> {
  const requests: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    self.connections++
    sockets.add(socket)
    let text = ''
    socket.on('error', () => {})
    socket.on('end', () => socket.end())
    socket.on('data', (bytes: Buffer) => {
      text += bytes.toString('latin1')
      for (;;) {
        const end = text.indexOf('\r\n\r\n')
        if (end < 0) return
        const length = Number(/\r\ncontent-length: *(\d+)/i.exec(text.slice(0, end))?.[1] ?? 0)
        if (text.length < end + 4 + length) return
        const request = text.slice(0, end + 4 + length)
        text = text.slice(request.length)
        requests.push(request)
        answer(socket, request, requests.length)
      }
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const self: Subscriber = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    requests,
    connections: 0,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
  return self
}

const message = { headers: [['ce-id', '1']] as Headers, body: Buffer.from('data') }
const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

const refused = (sending: Promise<unknown>, words: RegExp = /./) =>
  assert.rejects(sending, (error) => {
    assert.ok(error instanceof SendError, String(error))
    assert.match(error.message, words)
    return true
  })

/** Sends, or says what went wrong: a status, or the reason. */
const outcome = async (sender: Sender, url: string): Promise<string> =>
  await sender.send({ url }, message, { timeoutMs: 5000 }).then(
    ({ status, body }) => `${status} ${body.toString()}`,
    (error: unknown) => {
      assert.ok(error instanceof SendError, String(error))
      return 'no answer'
    },
  )

test('whatever is no answer of HTTP is no answer, and the next event is sent on', async () => {
  const garbage = [
    'SSH-2.0-OpenSSH_9.2\r\n\r\n',
    '\r\n\r\n\r\n\r\n',
    'HTTP/9.9 200 OK\r\nContent-Length: 0\r\n\r\n',
    'HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nx\r\n0\r\n\r\n',
    'HTTP/1.1 200 OK\r\nno colon\r\n\r\n',
    '\0\0\0\0'.repeat(1000),
  ]
  let next = ''
  await using raw = await subscriber((socket) => socket.end(next, 'latin1'))
  using sender = createSender({ clock: systemClock })
  for (const each of garbage) {
    next = each
    assert.equal(await outcome(sender, raw.url), 'no answer', JSON.stringify(each.slice(0, 80)))
    next = ok
    assert.equal(await outcome(sender, raw.url), '200 ok')
  }
})

test('an answer ends where its framing says, however it is cut', async () => {
  const answers: readonly [bytes: string, expected: string][] = [
    [ok, '200 ok'],
    ['HTTP/1.0 200 OK\r\n\r\nto the end', '200 to the end'],
    ['HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end', '200 to the end'],
    [
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-A\r\n\r\n2;a=b\r\nok\r\n0\r\nX-A: b\r\n\r\n',
      '200 ok',
    ],
    [
      `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${'1\r\nx\r\n'.repeat(3000)}0\r\n\r\n`,
      `200 ${'x'.repeat(3000)}`,
    ],
    ['HTTP/1.1 204 No Content\r\n\r\n', '204 '],
    ['HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n', '304 '],
    ['HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n' + ok, '200 ok'],
    ['HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut', 'no answer'],
    ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ncut', 'no answer'],
    ['HTTP/1.1 200 O', 'no answer'],
    ['', 'no answer'],
  ]
  for (const step of [1, 7, 1000]) {
    let next = ''
    await using raw = await subscriber((socket) => {
      socket.setNoDelay(true)
      for (let at = 0; at < next.length; at += step) socket.write(next.slice(at, at + step))
      socket.end()
    })
    using sender = createSender({ clock: systemClock })
    for (const [bytes, expected] of answers) {
      next = bytes
      assert.equal(await outcome(sender, raw.url), expected, `${step}: ${bytes.slice(0, 60)}`)
    }
  }
})

test('a switch of protocols that nobody asked for is no answer', async () => {
  await using raw = await subscriber((socket) =>
    socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n'),
  )
  using sender = createSender({ clock: systemClock })
  const outcomes = await outcome(sender, raw.url)
  assert.ok(outcomes === 'no answer' || outcomes.startsWith('101'), outcomes)
})

test('what a subscriber says beyond its answer is never taken for the answer to the next event', async () => {
  const bad = 'HTTP/1.1 500 Bad\r\nContent-Length: 0\r\n\r\n'
  await using raw = await subscriber((socket, _, count) => {
    socket.write(ok + bad)
    // And once more, when the sender believes the connection to be idle.
    if (count === 1) setImmediate(() => socket.write(bad))
  })
  using sender = createSender({ clock: systemClock })
  for (let i = 0; i < 5; i++) {
    assert.equal(await outcome(sender, raw.url), '200 ok')
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
  }
})

test('a connection that its subscriber closes between two events costs no event', async () => {
  await using raw = await subscriber((socket, _, count) => {
    // Says that it stays, and goes: at once, a little later, or by a reset.
    socket.write(ok)
    if (count % 3 === 0) socket.end()
    else if (count % 3 === 1) setImmediate(() => socket.end())
    else setImmediate(() => socket.resetAndDestroy())
  })
  using sender = createSender({ clock: systemClock })
  for (let i = 0; i < 30; i++) assert.equal(await outcome(sender, raw.url), '200 ok', `event ${i}`)
})

test('an answer before the event was read whole counts, whatever becomes of the connection', async () => {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {})
    // Reads a little, answers, and reads no more.
    socket.once('data', () => {
      socket.pause()
      socket.write('HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig')
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  using sender = createSender({ clock: systemClock })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const large = { headers: message.headers, body: Buffer.alloc(12 << 20) }
  const { status, body } = await sender.send({ url }, large, { timeoutMs: 20_000 })
  assert.deepEqual([status, body.toString()], [413, 'big'])
  server.close()
})

test('the time limit covers a head and a body that drip, and all redirects together', async () => {
  const clock = new SimClock()
  let drip = 'HTTP/1.1 200 OK\r\n'
  await using raw = await subscriber((socket, request) => {
    if (request.startsWith('POST /redirect'))
      socket.write('HTTP/1.1 307 Go\r\nLocation: /redirect\r\nContent-Length: 0\r\n\r\n')
    else socket.write(drip)
  })
  using sender = createSender({ clock })
  const late = async (path: string, words: RegExp) => {
    const before = raw.requests.length
    let done = false
    const sending = refused(
      sender.send({ url: `${raw.url}${path}` }, message, { timeoutMs: 1000 }),
      words,
    ).finally(() => (done = true))
    while (raw.requests.length === before) await new Promise((resolve) => setImmediate(resolve))
    for (let i = 0; i < 4 && !done; i++) {
      await clock.advance(300)
      for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
    }
    await sending
  }
  await late('head', /1000 ms/)
  drip = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nx'
  await late('body', /1000 ms/)
  await late('redirect', /1000 ms|more than 10 redirects/)
})

test('redirects: 307 and its like bring the event along, 303 asks for the result, loops end', async () => {
  await using there = await subscriber((socket) => socket.write(ok))
  await using raw = await subscriber((socket, request) => {
    const status = /\/(\d+)/.exec(request)?.[1] ?? ''
    const location =
      status === '399' || request.includes('nowhere') ? '' : `Location: ${there.url}new?x=1\r\n`
    socket.write(`HTTP/1.1 ${status} Go\r\n${location}Content-Length: 0\r\n\r\n`)
  })
  using sender = createSender({ clock: systemClock })
  const secret = {
    ...message,
    headers: [...message.headers, ['authorization', 'Bearer x']] as Headers,
  }
  for (const status of [301, 302, 307, 308]) {
    const answer = await sender.send({ url: `${raw.url}${status}` }, secret)
    assert.equal(answer.status, 200)
    const request = there.requests.pop() ?? ''
    assert.match(request, /^POST \/new\?x=1 HTTP\/1\.1\r\n/)
    assert.match(request, /\r\nce-id: 1\r\n/i)
    assert.ok(request.endsWith('\r\n\r\ndata'))
    assert.doesNotMatch(request, /authorization/i, 'a token is for whom it was made')
    assert.ok(request.includes(`${new URL(there.url).host}\r\n`))
  }
  assert.equal((await sender.send({ url: `${raw.url}303` }, secret)).status, 200)
  const asked = there.requests.pop() ?? ''
  assert.match(asked, /^GET \/new\?x=1 HTTP\/1\.1\r\n/)
  assert.doesNotMatch(asked, /\r\n(ce-id|content-type|authorization|prefer):/i)
  for (const status of [300, 304, 305, 399])
    assert.equal((await sender.send({ url: `${raw.url}${status}` }, message)).status, status)
  assert.equal((await sender.send({ url: `${raw.url}307/nowhere` }, message)).status, 307)
  assert.equal(there.requests.length, 0)
})

test('a redirect to where nothing can be sent is no answer', async () => {
  for (const location of [
    'ftp://x/',
    'http://',
    'javascript:1',
    'file:///etc/passwd',
    'http://[::1',
  ]) {
    await using raw = await subscriber((socket) =>
      socket.write(`HTTP/1.1 307 Go\r\nLocation: ${location}\r\nContent-Length: 0\r\n\r\n`),
    )
    using sender = createSender({ clock: systemClock })
    await refused(sender.send({ url: raw.url }, message))
    assert.equal(raw.requests.length, 1, location)
  }
})

test('what no header may hold is refused as a message and harms nobody', async () => {
  await using raw = await subscriber((socket) => socket.write(ok))
  using sender = createSender({ clock: systemClock })
  for (const value of ['a\r\nX-Evil: 1', 'a\nb', 'a\0b', '\u{20ac}']) {
    const bad = { ...message, headers: [['ce-x', value]] as Headers }
    await refused(sender.send({ url: raw.url }, bad))
  }
  assert.equal(await outcome(sender, raw.url), '200 ok')
  assert.ok(raw.requests.every((each) => !/evil/i.test(each)))
})

test('many events at once to one subscriber each get their own answer', async () => {
  await using raw = await subscriber((socket, request) => {
    const body = request.slice(request.indexOf('\r\n\r\n') + 4)
    setImmediate(() =>
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`),
    )
  })
  using sender = createSender({ clock: systemClock })
  const answers = await Promise.all(
    Array.from({ length: 300 }, async (_, i) => {
      const body = Buffer.from(`event ${i}`)
      return (
        await sender.send({ url: raw.url }, { headers: message.headers, body })
      ).body.toString()
    }),
  )
  assert.deepEqual(
    answers,
    Array.from({ length: 300 }, (_, i) => `event ${i}`),
  )
})
