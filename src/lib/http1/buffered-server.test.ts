import assert from 'node:assert/strict'
import { connect, type AddressInfo, type Server, type Socket } from 'node:net'
import { test } from 'node:test'
import { SimClock } from '../../testing/sim-clock.ts'
import {
  bufferedServer,
  type BufferedAnswer,
  type BufferedRequest,
  type BufferedServerOptions,
} from './buffered-server.ts'

interface World extends AsyncDisposable {
  readonly clock: SimClock
  readonly requests: BufferedRequest[]
  /** Sends bytes on a new connection and answers what comes back until `expected` is in it, or the end. */
  talk(sent: string, expected?: RegExp): Promise<string>
  open(): Socket
}

async function world(more: Partial<BufferedServerOptions> = {}): Promise<World> {
  const clock = new SimClock()
  const requests: BufferedRequest[] = []
  const sockets = new Set<Socket>()
  const server: Server = bufferedServer({
    clock,
    maxBodyBytes: 1000,
    handle(request) {
      requests.push(request)
      return { status: 202, headers: [['X', 'y']], body: request.body }
    },
    ...more,
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const open = () => {
    const socket = connect(port, '127.0.0.1')
    sockets.add(socket)
    return socket
  }
  return {
    clock,
    requests,
    open,
    talk: (sent, expected) =>
      new Promise((resolve, reject) => {
        const socket = open()
        let text = ''
        socket.on('data', (chunk) => {
          text += chunk.toString('latin1')
          if (expected?.test(text)) resolve(text)
        })
        socket.on('end', () => resolve(text))
        socket.on('error', reject)
        socket.write(sent)
      }),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const post = (body: string, more = '') =>
  `POST /p HTTP/1.1\r\nHost: h\r\n${more}Content-Length: ${body.length}\r\n\r\n${body}`

test('requests are answered in order, pipelined and cut anywhere', async () => {
  await using at = await world()
  const answers = await at.talk(`${post('one')}${post('two', 'Connection: close\r\n')}`)
  assert.equal(
    answers,
    'HTTP/1.1 202 Accepted\r\nX: y\r\nContent-Length: 3\r\n\r\none' +
      'HTTP/1.1 202 Accepted\r\nX: y\r\nContent-Length: 3\r\nConnection: close\r\n\r\ntwo',
  )
  const socket = at.open()
  let text = ''
  const whole = new Promise<void>((resolve) =>
    socket.on('data', (chunk) => {
      text += chunk.toString()
      if (text.endsWith('slow')) resolve()
    }),
  )
  for (const each of post('slow')) {
    socket.write(each)
    await new Promise((resolve) => setImmediate(resolve))
  }
  await whole
  assert.equal(at.requests.at(-1)?.body.toString(), 'slow')
})

test('chunked bodies, expectations, HTTP/1.0 and requests without a body', async () => {
  await using at = await world()
  const chunked =
    'POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n'
  assert.match(await at.talk(chunked, /abc$/), /Content-Length: 3/)
  const expecting = at.talk(
    'POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n',
    /100 Continue/,
  )
  assert.match(await expecting, /^HTTP\/1.1 100 Continue\r\n\r\n$/)
  assert.match(await at.talk('GET / HTTP/1.0\r\n\r\n'), /Connection: close/)
  assert.match(await at.talk('OPTIONS / HTTP/1.1\r\nHost: h\r\n\r\n', /\r\n\r\n/), /^HTTP\/1.1 202/)
})

test('who may send its body after the answers before it is told so', async () => {
  let answer: ((answer: BufferedAnswer) => void) | undefined
  const first = new Promise<BufferedAnswer>((resolve) => (answer = resolve))
  await using at = await world({
    handle: ({ head }) => (head.target === '/1' ? first : { status: 204 }),
  })
  const expecting =
    'POST /2 HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n'
  const socket = at.open()
  let text = ''
  socket.on('data', (chunk) => (text += chunk.toString('latin1')))
  socket.write(`GET /1 HTTP/1.1\r\nHost: h\r\n\r\n${expecting}`)
  const until = async (wanted: RegExp) => {
    while (!wanted.test(text)) await new Promise((resolve) => setImmediate(resolve))
  }
  answer?.({ status: 202 })
  await until(/^HTTP\/1.1 202 .*\r\n\r\nHTTP\/1.1 100 Continue\r\n\r\n$/s)
  socket.write('hi')
  await until(/204 No Content\r\n\r\n$/)
  assert.equal(text.match(/100 Continue/g)?.length, 1)
})

test('what is malformed, too large or too slow ends with a reason', async () => {
  await using at = await world()
  assert.match(await at.talk('nonsense\r\n\r\n'), /^HTTP\/1.1 400 .*malformed/s)
  assert.match(await at.talk(post('x'.repeat(1001))), /^HTTP\/1.1 413 .*at most 1000 bytes/s)
  const endless = `POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n${'64\r\n' + 'x'.repeat(100) + '\r\n'}`
  assert.match(await at.talk(endless + `64\r\n${'x'.repeat(100)}\r\n`.repeat(12)), /^HTTP\/1.1 413/)
  const both =
    'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n'
  assert.match(await at.talk(both), /^HTTP\/1.1 400/)
  assert.match(await at.talk(`GET /${'x'.repeat(70_000)}`), /^HTTP\/1.1 431/)
  const slow = at.talk('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab')
  let answer: string | undefined
  void slow.then((text) => (answer = text))
  while (answer === undefined) {
    await at.clock.advance(1000)
    await new Promise((resolve) => setImmediate(resolve))
  }
  assert.match(answer, /^HTTP\/1.1 408/)
})

test('a handler that fails is an answer of 500, and the connection goes on', async () => {
  const faults: unknown[] = []
  await using at = await world({
    handle: ({ head }) => {
      if (head.target === '/throw') throw new Error('thrown')
      return head.target === '/reject' ? Promise.reject(new Error('rejected')) : { status: 200 }
    },
    onFault: (error) => faults.push(error),
  })
  const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: h\r\n\r\n`
  const text = await at.talk(get('/throw') + get('/reject') + get('/ok'), / 200 OK/)
  assert.equal(text.match(/HTTP\/1.1 (\d+)/g)?.join(), 'HTTP/1.1 500,HTTP/1.1 500,HTTP/1.1 200')
  assert.deepEqual(faults.map(String), ['Error: thrown', 'Error: rejected'])
})

test('one connection has a bounded number of requests waiting', async () => {
  const waiting: (() => void)[] = []
  await using at = await world({
    maxPipelined: 2,
    handle: () => new Promise((resolve) => waiting.push(() => resolve({ status: 200 }))),
  })
  const talking = at.talk(post('').repeat(5), /(200 OK.*){5}/s)
  let answered = 0
  while (answered < 5) {
    await new Promise((resolve) => setImmediate(resolve))
    assert.ok(waiting.length <= 2, `${waiting.length} at once`)
    const next = waiting.shift()
    if (next) answered++
    next?.()
  }
  await talking
})

test('who does not read its answers is not read either, and goes on when it does', async () => {
  await using at = await world({
    handle: (request) => {
      at.requests.push(request)
      return { status: 200, body: Buffer.alloc(64 << 10, 'x') }
    },
  })
  const socket = at.open()
  const wanted = 2_000
  socket.pause()
  socket.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n'.repeat(wanted))
  let before = -1
  for (let calm = 0; calm < 50; calm = before === at.requests.length ? calm + 1 : 0) {
    before = at.requests.length
    await new Promise((resolve) => setImmediate(resolve))
  }
  assert.ok(before > 0 && before < 500, `${before} answers for nobody`)
  let bytes = 0
  socket.on('data', (chunk) => (bytes += chunk.length))
  socket.resume()
  while (bytes < wanted * (64 << 10)) await new Promise((resolve) => setImmediate(resolve))
  assert.equal(at.requests.length, wanted)
})

test('a request that comes a byte at a time for ever is ended, a slow one that gets on is not', async () => {
  await using at = await world({ maxBodyBytes: 1 << 20 })
  const head = 'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 500000\r\n\r\n'
  const drip = async (piece: string, seconds: number) => {
    const socket = at.open()
    let text = ''
    socket.on('data', (chunk) => (text += chunk.toString()))
    socket.on('error', () => {})
    socket.write(head)
    for (let i = 0; i < seconds && text === ''; i++) {
      socket.write(piece)
      for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve))
      await at.clock.advance(1000)
    }
    return text
  }
  assert.match(await drip('x', 60), /^HTTP\/1.1 408/)
  assert.match(await drip('x'.repeat(25_000), 20), /^(HTTP\/1.1 202|$)/)
  assert.equal(at.requests.length, 1)
})

test('a body in the smallest of chunks comes whole', async () => {
  await using at = await world({ maxBodyBytes: 1 << 20 })
  const count = 100_000
  const head = 'POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n'
  const text = Array.from({ length: count }, (_, i) => String(i % 10)).join('')
  const chunks = Array.from(text, (digit) => `1\r\n${digit}\r\n`).join('')
  assert.match(await at.talk(`${head}${chunks}0\r\n\r\n`, /9$/), /^HTTP\/1.1 202/)
  assert.equal(at.requests[0]?.body.toString(), text)
})

test('a client that has said all it wants to say still hears the answer', async () => {
  const waiting: (() => void)[] = []
  await using at = await world({
    handle: () => new Promise((resolve) => waiting.push(() => resolve({ status: 202 }))),
  })
  const socket = at.open()
  let text = ''
  socket.on('data', (chunk) => (text += chunk.toString()))
  const ended = new Promise((resolve) => socket.on('end', resolve))
  socket.end(post('one') + post('two'))
  while (waiting.length < 2) await new Promise((resolve) => setImmediate(resolve))
  for (const answer of waiting) {
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
    answer()
  }
  await ended
  assert.equal(text.match(/HTTP\/1.1 202/g)?.length, 2)
})
