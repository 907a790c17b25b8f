import assert from 'node:assert/strict'
import { once } from 'node:events'
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type ServerOptions,
} from 'node:http2'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { SimClock } from '../../testing/sim-clock.ts'
import type { Backend } from './feed.ts'
import { Client, Fixture, get, host, signal, startApp } from './gateway.fixture.ts'

const { NGHTTP2_CANCEL, NGHTTP2_NO_ERROR, NGHTTP2_REFUSED_STREAM } = constants

type Answering = (
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  connection: number,
) => void

interface Http2App extends AsyncDisposable {
  readonly backend: Backend
  readonly server: Http2Server
  readonly sessions: ServerHttp2Session[]
}

/** An independent HTTP/2 server. */
async function startHttp2App(answer: Answering, options: ServerOptions = {}): Promise<Http2App> {
  const server = createServer(options)
  const sessions: ServerHttp2Session[] = []
  server.on('session', (session) => {
    sessions.push(session)
    session.on('error', () => {})
  })
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {})
    answer(stream, headers, sessions.indexOf(stream.session as ServerHttp2Session))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    backend: { host: '127.0.0.1', port: (server.address() as AddressInfo).port, pod: 'pod' },
    server,
    sessions,
    async [Symbol.asyncDispose]() {
      for (const session of sessions) session.destroy()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

interface Http2Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly trailers: IncomingHttpHeaders | undefined
  readonly body: string
  readonly code: number
}

/** An independent HTTP/2 client. */
class Http2Client implements Disposable {
  readonly session: ClientHttp2Session

  constructor(port: number) {
    this.session = connect(`http://127.0.0.1:${port}`)
    this.session.on('error', () => {})
  }

  open(headers: OutgoingHttpHeaders = {}, endStream = false): ClientHttp2Stream {
    const stream = this.session.request({ ':authority': host, ...headers }, { endStream })
    stream.on('error', () => {})
    return stream
  }

  request(headers: OutgoingHttpHeaders = {}, body?: string): Promise<Http2Answer> {
    const stream = this.open(headers, body === undefined)
    if (body !== undefined) stream.end(body)
    return answerOf(stream)
  }

  [Symbol.dispose](): void {
    this.session.destroy()
  }
}

async function answerOf(stream: ClientHttp2Stream): Promise<Http2Answer> {
  let headers: IncomingHttpHeaders = {}
  let trailers: IncomingHttpHeaders | undefined
  let body = ''
  stream.on('response', (received) => (headers = received))
  stream.on('trailers', (received) => (trailers = received))
  stream.setEncoding('utf8')
  stream.on('data', (text: string) => (body += text))
  if (!stream.closed) await new Promise((resolve) => stream.on('close', resolve))
  return { status: Number(headers[':status']), headers, trailers, body, code: stream.rstCode }
}

const bodyOf = async (stream: ServerHttp2Stream): Promise<string> => {
  let text = ''
  stream.setEncoding('utf8')
  for await (const piece of stream) text += String(piece)
  return text
}

/** Answers with what it got: method, path, body and all headers. */
const echo: Answering = (stream, headers) => {
  let trailers: IncomingHttpHeaders = {}
  stream.on('trailers', (received) => (trailers = received))
  void bodyOf(stream).then((body) => {
    stream.respond(
      { ':status': 201, 'x-app': 'yes', 'k-network-hash': 'secret' },
      { waitForTrailers: true },
    )
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': String(body.length) }))
    stream.end(JSON.stringify({ headers, body, trailers }))
  })
}

interface Echoed {
  readonly headers: Record<string, string>
  readonly body: string
  readonly trailers: Record<string, string>
}

test('HTTP/2 client to HTTP/2 pod: heads by the rules of HTTP/1, body, trailers both ways', async () => {
  await using app = await startHttp2App(echo)
  await using gateway = await Fixture.start({
    revision: { protocol: 'h2c', backends: [app.backend] },
  })
  using client = new Http2Client(gateway.gateway.http.port)
  const stream = client.session.request(
    {
      ':method': 'POST',
      ':authority': host,
      ':path': '/a?b=c',
      te: 'trailers',
      'x-forwarded-proto': 'https',
      'x-forwarded-for': '9.9.9.9',
      'knative-serving-revision': 'other',
      'x-keep': 'me',
      'x-request-id': 'mine',
    },
    { waitForTrailers: true },
  )
  stream.on('wantTrailers', () => stream.sendTrailers({ 'x-request-sum': '5' }))
  stream.end('hello')
  const answer = await answerOf(stream)
  assert.equal(answer.status, 201)
  assert.equal(answer.headers['x-app'], 'yes')
  assert.equal(answer.headers['k-network-hash'], undefined)
  assert.equal(answer.trailers?.['x-sum'], '5')
  const { headers, body, trailers } = JSON.parse(answer.body) as Echoed
  assert.equal(body, 'hello')
  assert.equal(trailers['x-request-sum'], '5')
  assert.deepEqual(headers, {
    ':method': 'POST',
    ':scheme': 'http',
    ':authority': host,
    ':path': '/a?b=c',
    te: 'trailers',
    'x-keep': 'me',
    'x-request-id': 'mine',
    'x-forwarded-for': '9.9.9.9, 127.0.0.1',
    'x-forwarded-proto': 'http',
    forwarded: 'for=9.9.9.9;proto=http, for=127.0.0.1',
  })
})

test('HTTP/1 client to HTTP/2 pod: chunks and trailers become frames, and back', async () => {
  await using app = await startHttp2App(echo)
  await using gateway = await Fixture.start({
    revision: { protocol: 'h2c', backends: [app.backend] },
  })
  const client = await gateway.client()
  client.send(
    `POST /x HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\nConnection: close-me\r\nClose-Me: 1\r\n\r\n` +
      '2\r\nab\r\n3;ext=1\r\ncde\r\n0\r\nX-Request-Sum: 5\r\nContent-Type: x\r\n\r\n',
  )
  const text = await client.until('\r\n0\r\nx-sum: 5\r\n\r\n')
  assert.match(text, /^HTTP\/1\.1 201 Created\r\n/)
  assert.match(text, /\r\nTransfer-Encoding: chunked\r\n/)
  const { headers, body, trailers } = JSON.parse(/\{.*\}/.exec(text)?.[0] ?? '') as Echoed
  assert.equal(body, 'abcde')
  assert.deepEqual(trailers, { 'x-request-sum': '5' })
  assert.equal(headers['close-me'], undefined)
  assert.equal(headers['transfer-encoding'], undefined)
  // The connection goes on.
  client.send(`GET /again HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
  const again = await client.until('x-sum: 0\r\n\r\n')
  assert.match(again, /"\/again"/)
  client.socket.destroy()
})

test('HTTP/2 client to HTTP/1 pod: frames become chunks, trailers come back', async () => {
  await using app = await startApp(({ head, body, raw }) => {
    const at = head.names.indexOf('cookie')
    raw(
      `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n4\r\n${body}\r\n0\r\nX-Sum: ${body.length}\r\nX-Cookie: ${head.values[at]}\r\n\r\n`,
    )
  })
  await using gateway = await Fixture.start({ revision: { backends: [app.backend] } })
  using client = new Http2Client(gateway.gateway.http.port)
  for (let i = 0; i < 3; i++) {
    const answer = await client.request({ ':method': 'POST', cookie: 'a=1; b=2' }, 'four')
    assert.equal(answer.status, 200)
    assert.equal(answer.body, 'four')
    assert.equal(answer.headers['x-hop'], undefined)
    assert.equal(answer.headers['transfer-encoding'], undefined)
    assert.equal(answer.trailers?.['x-sum'], '4')
    assert.equal(answer.trailers?.['x-cookie'], 'a=1; b=2')
  }
  assert.equal(app.connections, 1, 'one kept-alive connection serves all')
})

test('a length that is known is announced to an HTTP/1 pod, and never exceeded', async () => {
  const seen: string[] = []
  await using app = await startApp(({ head, body, answer }) => {
    seen.push(`${head.contentLength} ${head.chunked} ${body}`)
    answer('ok')
  })
  await using gateway = await Fixture.start({ revision: { backends: [app.backend] } })
  using client = new Http2Client(gateway.gateway.http.port)
  assert.equal((await client.request({ ':method': 'PUT', 'content-length': 3 }, 'abc')).body, 'ok')
  assert.equal((await client.request({ ':method': 'DELETE' })).body, 'ok')
  assert.deepEqual(seen, ['3 false abc', '-1 false '])
  assert.notEqual(
    (await client.request({ ':method': 'PUT', 'content-length': 2 }, 'abc')).code,
    NGHTTP2_NO_ERROR,
  )
  assert.equal((await client.request({})).body, 'ok')
  assert.equal(seen.at(-1), '-1 false ')
})

test('HEAD, 204, 304 and empty bodies have no body on either side', async () => {
  await using http2App = await startHttp2App((stream, headers) => {
    const status = Number(headers['x-status'])
    if (headers[':method'] === 'HEAD') stream.respond({ 'content-length': 99 }, { endStream: true })
    else if (status === 200) {
      stream.respond({ ':status': 200 })
      stream.end()
    } else stream.respond({ ':status': status }, { endStream: true })
  })
  await using http1App = await startApp(({ head, raw }) => {
    const status = head.values[head.names.indexOf('x-status')]
    if (head.method === 'HEAD') raw('HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n')
    else if (status === '200') raw('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
    else raw(`HTTP/1.1 ${status} X\r\n\r\n`)
  })
  for (const [protocol, { backend }] of [
    ['h2c', http2App],
    ['http1', http1App],
  ] as const) {
    await using gateway = await Fixture.start({ revision: { protocol, backends: [backend] } })
    using client = new Http2Client(gateway.gateway.http.port)
    const head = await client.request({ ':method': 'HEAD', 'x-status': '200' })
    assert.deepEqual([head.status, head.headers['content-length'], head.body], [200, '99', ''])
    const old = await gateway.client()
    old.send(`HEAD / HTTP/1.1\r\nHost: ${host}\r\nx-status: 200\r\n\r\n`)
    const oldHead = await old.response('HEAD')
    assert.deepEqual([oldHead.status, oldHead.headers.get('content-length')], [200, '99'])
    for (const status of [200, 204, 304]) {
      const answer = await client.request({ 'x-status': String(status) })
      assert.deepEqual([answer.status, answer.body, answer.code], [status, '', NGHTTP2_NO_ERROR])
      const answered = await old.send(get('/', `x-status: ${status}\r\n`)).response()
      assert.deepEqual([answered.status, answered.body, answered.whole], [status, '', true])
    }
    old.socket.destroy()
  }
})

test('interim responses pass: 100 on Expect, 103 with its fields', async () => {
  await using app = await startHttp2App((stream, headers) => {
    if (headers['expect']) stream.additionalHeaders({ ':status': 100 })
    else stream.additionalHeaders({ ':status': 103, link: '</a.css>' })
    void bodyOf(stream).then((body) => {
      stream.respond({ ':status': 200 })
      stream.end(body)
    })
  })
  app.server.on('checkContinue', () => {})
  await using old = await startApp(
    ({ raw, head, socket }) => {
      if (!head.expectContinue) {
        raw('HTTP/1.1 103 Early Hints\r\nLink: </b.css>\r\n\r\n')
        raw('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
        return
      }
      socket.once('data', () =>
        raw('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok'),
      )
      raw('HTTP/1.1 100 Continue\r\n\r\n')
    },
    { bodies: false },
  )
  for (const [protocol, { backend }] of [
    ['h2c', app],
    ['http1', old],
  ] as const) {
    await using gateway = await Fixture.start({ revision: { protocol, backends: [backend] } })
    using client = new Http2Client(gateway.gateway.http.port)
    const stream = client.open({ ':method': 'POST', expect: '100-continue', 'content-length': 2 })
    await once(stream, 'continue')
    stream.end('ok')
    assert.equal((await answerOf(stream)).body, 'ok')
    const hinted = client.open({}, true)
    const hints = once(hinted, 'headers') as Promise<[IncomingHttpHeaders]>
    const answered = answerOf(hinted)
    assert.equal((await hints)[0]['link'], protocol === 'h2c' ? '</a.css>' : '</b.css>')
    assert.equal((await answered).status, 200)
  }
  await using gateway = await Fixture.start({
    revision: { protocol: 'h2c', backends: [app.backend] },
  })
  const client = await gateway.client()
  client.send(
    `POST / HTTP/1.1\r\nHost: ${host}\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n`,
  )
  await client.until('HTTP/1.1 100 Continue\r\n\r\n')
  assert.equal((await client.send('ok').response('POST')).body, 'ok')
  client.socket.destroy()
})

test('an answer before the end of the request is passed on; the rest is not wanted', async () => {
  await using app = await startHttp2App((stream) => {
    stream.respond({ ':status': 413 })
    stream.end('too much')
  })
  const gone = signal()
  await using old = await startApp(
    ({ raw, socket }) => {
      socket.on('close', () => gone.resolve())
      raw('HTTP/1.1 413 X\r\nConnection: close\r\nContent-Length: 8\r\n\r\ntoo much')
    },
    { bodies: false },
  )
  for (const [protocol, { backend }] of [
    ['h2c', app],
    ['http1', old],
  ] as const) {
    await using gateway = await Fixture.start({ revision: { protocol, backends: [backend] } })
    using client = new Http2Client(gateway.gateway.http.port)
    const stream = client.open({ ':method': 'POST' })
    stream.write('a beginning')
    const answer = await answerOf(stream)
    assert.deepEqual([answer.status, answer.body], [413, 'too much'])
    const next = await client.request({ ':method': 'POST' }, 'x')
    assert.equal(next.status, 413)
    const oldClient = await gateway.client()
    oldClient.send(`POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 100\r\n\r\nabc`)
    assert.equal((await oldClient.response('POST')).body, 'too much')
    await oldClient.closed
  }
  await gone.promise
})

test('a client that resets its stream cancels the request at the pod and frees its slot', async () => {
  const codes: number[] = []
  const reset = signal()
  const arrived = signal()
  await using app = await startHttp2App((stream, headers) => {
    if (headers[':path'] === '/quick') {
      stream.respond({ ':status': 200 }, { endStream: true })
      return
    }
    stream.on('close', () => {
      codes.push(stream.rstCode)
      reset.resolve()
    })
    arrived.resolve()
  })
  await using gateway = await Fixture.start({
    revision: { protocol: 'h2c', backends: [app.backend], containerConcurrency: 1 },
  })
  using client = new Http2Client(gateway.gateway.http.port)
  const stream = client.open({}, true)
  await arrived.promise
  const next = client.request({ ':path': '/quick' })
  stream.close(NGHTTP2_CANCEL)
  await reset.promise
  assert.deepEqual(codes, [NGHTTP2_CANCEL])
  assert.equal((await next).status, 200)
})

test('a client that goes away cancels all of its requests; an HTTP/1 pod sees its connection close', async () => {
  const closed = signal()
  const arrived = signal()
  await using app = await startApp(({ socket }) => {
    socket.on('close', () => closed.resolve())
    arrived.resolve()
  })
  await using gateway = await Fixture.start({ revision: { backends: [app.backend] } })
  const client = new Http2Client(gateway.gateway.http.port)
  client.open({}, true)
  await arrived.promise
  client.session.destroy()
  await closed.promise
})

test('a limit of one request a pod holds for the streams of one connection', async () => {
  let most = 0
  let now = 0
  const waiting: (() => void)[] = []
  await using app = await startHttp2App((stream) => {
    most = Math.max(most, ++now)
    const finish = (): void => {
      now--
      stream.respond({ ':status': 200 }, { endStream: true })
    }
    waiting.push(finish)
    if (waiting.length === 1) setImmediate(() => waiting.shift()?.())
    else waiting.shift()?.()
  })
  await using gateway = await Fixture.start({
    revision: { protocol: 'h2c', backends: [app.backend], containerConcurrency: 1 },
  })
  using client = new Http2Client(gateway.gateway.http.port)
  const answers = await Promise.all(Array.from({ length: 5 }, () => client.request()))
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 200, 200, 200, 200],
  )
  assert.equal(most, 1)
})

test('when a pod allows few streams a connection, there are as many connections as are needed', async () => {
  const held: ServerHttp2Stream[] = []
  const all = signal()
  await using app = await startHttp2App(
    (stream) => {
      held.push(stream)
      if (held.length === 7) all.resolve()
    },
    { settings: { maxConcurrentStreams: 2 } },
  )
  await using gateway = await Fixture.start({
    revision: { protocol: 'h2c', backends: [app.backend] },
  })
  using client = new Http2Client(gateway.gateway.http.port)
  const answers = Array.from({ length: 7 }, () => client.request({ ':method': 'POST' }, 'once'))
  await all.promise
  assert.equal(app.sessions.length, 4)
  for (const stream of held) stream.respond({ ':status': 200 }, { endStream: true })
  for (const answer of answers) assert.equal((await answer).status, 200)
})

test('a connection that the pod is leaving gets no new requests, and what it did not look at is sent elsewhere', async () => {
  const served: number[] = []
  let left = false
  await using app = await startHttp2App((stream, headers, connection) => {
    if (connection === 0 && headers[':path'] === '/second' && !left) {
      left = true
      // Nothing after the first stream was looked at.
      stream.session?.goaway(NGHTTP2_NO_ERROR, 1)
      return
    }
    served.push(connection)
    void bodyOf(stream).then((body) => {
      stream.respond({ ':status': 200 })
      stream.end(body)
    })
  })
  await using gateway = await Fixture.start({
    revision: { protocol: 'h2c', backends: [app.backend] },
  })
  using client = new Http2Client(gateway.gateway.http.port)
  assert.equal((await client.request({ ':path': '/first' })).status, 200)
  const second = await client.request({ ':path': '/second', ':method': 'POST' })
  assert.equal(second.status, 200)
  assert.equal((await client.request({ ':path': '/third' })).status, 200)
  assert.deepEqual(served, [0, 1, 1])
})

test('REFUSED_STREAM is tried again, other resets are a bad gateway', async () => {
  let refusals = 0
  await using app = await startHttp2App((stream, headers) => {
    if (headers[':path'] === '/broken') stream.close(constants.NGHTTP2_INTERNAL_ERROR)
    else if (refusals++ < 2) stream.close(NGHTTP2_REFUSED_STREAM)
    else stream.respond({ ':status': 200 }, { endStream: true })
  })
  await using gateway = await Fixture.start({
    revision: { protocol: 'h2c', backends: [app.backend] },
  })
  using client = new Http2Client(gateway.gateway.http.port)
  assert.equal((await client.request({ ':method': 'POST' })).status, 200)
  const broken = await client.request({ ':path': '/broken', ':method': 'POST' }, 'x')
  assert.equal(broken.status, 502)
  assert.match(broken.body, /INTERNAL_ERROR/)
})

test('a response that breaks off is seen to be broken by either client', async () => {
  const start = (stream: ServerHttp2Stream): void => {
    stream.respond({ ':status': 200 })
    stream.write('part', () => setImmediate(() => stream.session?.destroy()))
  }
  await using app = await startHttp2App(start)
  await using old = await startApp(({ raw, socket }) => {
    raw('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart')
    socket.end()
  })
  for (const [protocol, { backend }] of [
    ['h2c', app],
    ['http1', old],
  ] as const) {
    await using gateway = await Fixture.start({ revision: { protocol, backends: [backend] } })
    using client = new Http2Client(gateway.gateway.http.port)
    const answer = await client.request()
    assert.deepEqual([answer.status, answer.body], [200, 'part'])
    assert.notEqual(answer.code, NGHTTP2_NO_ERROR)
    const answered = await gateway.request(get())
    assert.deepEqual([answered.status, answered.whole], [200, false])
  }
})

test('no pod to connect to: 502 for HTTP, UNAVAILABLE in trailers for gRPC', async () => {
  await using gateway = await Fixture.start({
    revision: { timeoutMs: 400, protocol: 'h2c', backends: [] },
  })
  using client = new Http2Client(gateway.gateway.http.port)
  const plain = client.request()
  const grpc = client.request({ ':method': 'POST', 'content-type': 'application/grpc+proto' }, 'x')
  assert.deepEqual([(await plain).status, (await plain).body], [504, 'activator request timeout'])
  const { status, headers, body } = await grpc
  assert.deepEqual(
    [status, headers['content-type'], headers['grpc-status'], headers['grpc-message'], body],
    [200, 'application/grpc', '4', 'activator request timeout', ''],
  )
  const unknown = await client.request({
    ':authority': 'nobody.example.com',
    'content-type': 'application/grpc',
  })
  assert.deepEqual([unknown.status, unknown.headers['grpc-status']], [200, '12'])
})

test('a pod that speaks no HTTP/2 behind a port named h2c is told of in words', async () => {
  await using app = await startApp(({ answer }) => answer('I am HTTP/1'))
  const raw = app.server
  raw.removeAllListeners('connection')
  raw.on('connection', (socket) => {
    socket.on('error', () => {})
    socket.resume()
    socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')
  })
  await using gateway = await Fixture.start({
    revision: { protocol: 'h2c', backends: [app.backend] },
  })
  const answer = await gateway.request(
    `POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 1\r\n\r\nx`,
    'POST',
  )
  assert.equal(answer.status, 502)
  assert.match(answer.body, /HTTP\/2|SETTINGS|preface|frame/i)
})

test('time is up while the answer is under way: the text is appended, or the stream is cut', async () => {
  const start = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void => {
    stream.respond(headers['x-length'] ? { 'content-length': 100 } : {})
    stream.write('part')
  }
  await using app = await startHttp2App(start)
  await using gateway = await Fixture.start({
    revision: { protocol: 'h2c', backends: [app.backend], timeoutMs: 200 },
  })
  using client = new Http2Client(gateway.gateway.http.port)
  const [appended, cut, grpc] = await Promise.all([
    client.request(),
    client.request({ 'x-length': '1' }),
    client.request({ 'content-type': 'application/grpc' }),
  ])
  assert.deepEqual([appended.status, appended.body, appended.code], [200, 'partrequest timeout', 0])
  assert.deepEqual([cut.status, cut.body], [200, 'part'])
  assert.notEqual(cut.code, NGHTTP2_NO_ERROR)
  assert.deepEqual([grpc.body, grpc.trailers?.['grpc-status']], ['part', '4'])
  const old = await gateway.request(get())
  assert.deepEqual([old.body, old.whole], ['partrequest timeout', true])
})

test('a client that does not read holds its pod, not our memory; the other streams go on', async () => {
  const piece = Buffer.alloc(65_536, 'x')
  let sent = 0
  const full = signal()
  await using app = await startHttp2App((stream, headers) => {
    if (headers[':path'] === '/small') {
      stream.respond({ ':status': 200 })
      stream.end('small')
      return
    }
    stream.respond({ ':status': 200 })
    const more = (): void => {
      if (sent > 48_000_000) stream.end()
      else if (stream.write(piece)) {
        sent += piece.length
        setImmediate(more)
      } else {
        sent += piece.length
        full.resolve()
        stream.once('drain', more)
      }
    }
    more()
  })
  const sentAll = signal()
  let sentOld = 0
  await using old = await startApp(({ head, socket, answer }) => {
    if (head.target === '/small') {
      answer('small')
      return
    }
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 49152000\r\n\r\n')
    const more = (): void => {
      if (sentOld === 49_152_000) return
      sentOld += piece.length
      if (socket.write(piece)) setImmediate(more)
      else {
        sentAll.resolve()
        socket.once('drain', more)
      }
    }
    more()
  })
  for (const [protocol, { backend }] of [
    ['h2c', app],
    ['http1', old],
  ] as const) {
    await using gateway = await Fixture.start({ revision: { protocol, backends: [backend] } })
    using client = new Http2Client(gateway.gateway.http.port)
    const stream = client.open({}, true)
    stream.pause()
    await once(stream, 'response')
    await (protocol === 'h2c' ? full.promise : sentAll.promise)
    assert.equal((await client.request({ ':path': '/small' })).body, 'small')
    // Windows and socket buffers, not the whole.
    assert.ok((protocol === 'h2c' ? sent : sentOld) < 32_000_000)
    let received = 0
    stream.on('data', (bytes: Buffer) => (received += bytes.length))
    stream.resume()
    await once(stream, 'end')
    assert.ok(received > 48_000_000)
  }
})

test('large answers are whole, also of a server that says NO_ERROR in place of the last frame', async () => {
  const size = 8_000_000
  // Node's server resets like this when the request was never read.
  await using app = await startHttp2App((stream, headers) => {
    stream.respond(headers['x-length'] ? { 'content-length': size } : {})
    stream.end(Buffer.alloc(size, 'z'))
  })
  await using gateway = await Fixture.start({
    revision: { protocol: 'h2c', backends: [app.backend] },
  })
  using client = new Http2Client(gateway.gateway.http.port)
  for (const headers of [{}, { 'x-length': '1' }]) {
    const { body, code } = await client.request(headers)
    assert.deepEqual([body.length, code], [size, NGHTTP2_NO_ERROR])
  }
  for (const lines of ['', 'x-length: 1\r\n']) {
    const { body, whole } = await gateway.request(get('/', lines))
    assert.deepEqual([body.length, whole], [size, true])
  }
})

test('a pod that does not read holds its client', async () => {
  const taken = signal<ServerHttp2Stream>()
  await using app = await startHttp2App((stream) => taken.resolve(stream))
  await using gateway = await Fixture.start({
    revision: { protocol: 'h2c', backends: [app.backend] },
  })
  const client = await gateway.client()
  const size = 40_000_000
  client.send(`POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${size}\r\n\r\n`)
  const piece = Buffer.alloc(100_000, 'y')
  let written = 0
  const held = signal()
  const more = (): void => {
    while (written < size) {
      written += piece.length
      if (!client.socket.write(piece)) {
        client.socket.once('drain', more)
        // Nothing moves any more: socket buffers and windows are full.
        return
      }
    }
  }
  more()
  const stream = await taken.promise
  setImmediate(() => held.resolve())
  await held.promise
  assert.ok(written < size)
  let received = 0
  stream.on('data', (bytes: Buffer) => (received += bytes.length))
  await once(stream, 'end')
  assert.equal(received, size)
  stream.respond({ ':status': 200 }, { endStream: true })
  assert.equal((await client.response('POST')).status, 200)
  client.socket.destroy()
})

test('an upgrade to an HTTP/2 pod is refused in words; h2c by Upgrade is served as HTTP/1.1', async () => {
  await using app = await startHttp2App(echo)
  await using gateway = await Fixture.start({
    revision: { protocol: 'h2c', backends: [app.backend] },
  })
  const refused = await gateway.request(get('/', 'Connection: Upgrade\r\nUpgrade: websocket\r\n'))
  assert.equal(refused.status, 501)
  assert.match(refused.body, /ns\/rev speaks HTTP\/2 .* websocket/)
  const ignored = await gateway.request(
    get('/', 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n'),
  )
  assert.equal(ignored.status, 201)
  const { headers } = JSON.parse(ignored.body) as Echoed
  assert.equal(headers['http2-settings'], undefined)
  assert.equal(headers['upgrade'], undefined)
})

test('heads have the same limits as in HTTP/1', async () => {
  await using app = await startApp(({ answer }) => answer('ok'))
  await using gateway = await Fixture.start({
    revision: { backends: [app.backend] },
    limits: { headBytes: 8192, headerCount: 20 },
  })
  using client = new Http2Client(gateway.gateway.http.port)
  const many = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`x-${i}`, '1']))
  assert.equal((await client.request(many)).status, 431)
  assert.equal((await client.request({ 'x-long': 'y'.repeat(9000) })).status, 431)
  assert.equal((await client.request()).status, 200)
  assert.equal((await client.request({ ':method': 'CONNECT' })).status, 405)
})

test('requests of HTTP/2 wake a revision and wait for its pod, bodies and all', async () => {
  await using gateway = await Fixture.start({ revision: { protocol: 'h2c' } })
  using client = new Http2Client(gateway.gateway.http.port)
  const waiting = [1, 2, 3].map((n) => client.request({ ':method': 'POST' }, `body ${n}`))
  await gateway.message((message) => message.type === 'wake')
  await using app = await startHttp2App(echo)
  gateway.revision({ protocol: 'h2c', backends: [app.backend] })
  const bodies = await Promise.all(waiting)
  assert.deepEqual(
    bodies.map(({ body }) => (JSON.parse(body) as Echoed).body),
    ['body 1', 'body 2', 'body 3'],
  )
  await gateway.message((message) => message.type === 'cold')
})

test('a gateway that stops says so, finishes what is under way, and closes', async () => {
  const held = signal<ServerHttp2Stream>()
  await using app = await startHttp2App((stream) => held.resolve(stream))
  const gateway = await Fixture.start({ revision: { protocol: 'h2c', backends: [app.backend] } })
  using client = new Http2Client(gateway.gateway.http.port)
  const answer = client.request()
  const stream = await held.promise
  const goaway = once(client.session, 'goaway')
  const stopped = gateway.gateway.stop(10_000)
  await goaway
  stream.respond({ ':status': 200 }, { endStream: true })
  assert.equal((await answer).status, 200)
  await stopped
})

test('redirects, probes and metrics know requests of HTTP/2', async () => {
  await using app = await startHttp2App(echo)
  await using gateway = await Fixture.start({
    revision: { protocol: 'h2c', backends: [app.backend] },
  })
  using client = new Http2Client(gateway.gateway.http.port)
  const probe = await client.request({ 'k-network-probe': 'probe', 'k-network-hash': 'override' })
  assert.deepEqual([probe.status, probe.headers['k-network-hash']], [200, 'cafe'])
  await client.request({ ':method': 'POST' }, 'abc')
  const metrics = await Client.open(gateway.gateway.admin!.port)
  const { body } = await metrics.send('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n').response()
  metrics.socket.destroy()
  assert.match(body, /http_server_request_duration_seconds_count\{[^}]*version="2"[^}]*\} 1/)
})

test('connections without requests are ended, those of clients and those to pods', async () => {
  await using app = await startHttp2App(echo)
  const clock = new SimClock()
  await using gateway = await Fixture.start({
    clock,
    limits: { idleTimeoutMs: 120_000, headTimeoutMs: 60_000 },
    revision: { protocol: 'h2c', backends: [app.backend] },
  })
  using client = new Http2Client(gateway.gateway.http.port)
  using silent = new Http2Client(gateway.gateway.http.port)
  await once(silent.session, 'remoteSettings')
  assert.equal((await client.request()).status, 201)
  const podClosed = once(app.sessions[0]!, 'close')
  const silentClosed = once(silent.session, 'close')
  await clock.advance(64_000)
  await podClosed
  await silentClosed
  assert.equal(client.session.closed, false)
  const closed = once(client.session, 'close')
  // Another request, another minute of grace.
  assert.equal((await client.request()).status, 201)
  await clock.advance(100_000)
  assert.equal(client.session.closed, false)
  await clock.advance(30_000)
  await closed
})

test('a burst at zero over one connection opens few connections, and loses nothing', async () => {
  await using gateway = await Fixture.start({ revision: { protocol: 'h2c' } })
  using client = new Http2Client(gateway.gateway.http.port)
  const waiting = Array.from({ length: 240 }, (_, i) => client.request({ ':path': `/${i}` }))
  await gateway.message((message) => message.type === 'wake')
  await using app = await startHttp2App(
    (stream, headers) => {
      stream.respond({ ':status': 200 })
      stream.end(headers[':path'])
    },
    { settings: { maxConcurrentStreams: 100 } },
  )
  gateway.revision({ protocol: 'h2c', backends: [app.backend] })
  const answers = await Promise.all(waiting)
  answers.forEach(({ status, body }, i) => assert.deepEqual([status, body], [200, `/${i}`]))
  assert.ok(app.sessions.length <= 3, `${app.sessions.length} connections`)
})
