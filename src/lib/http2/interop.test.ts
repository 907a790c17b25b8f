/** Our connections against node:http2, which is nghttp2: both roles, on sockets. */
import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import http2 from 'node:http2'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { dial, listen, portOf, Recorder } from './http2.fixture.ts'
import type { Http2Stream } from './stream.ts'

const fields = (pairs: Record<string, string>) => ({
  names: Object.keys(pairs),
  values: Object.values(pairs),
})

/** Sends back what comes, with back-pressure both ways, and says how much it was in a trailer. */
class Echo extends Recorder {
  readonly #stream: Http2Stream
  #owed = 0
  #blocked = false

  constructor(stream: Http2Stream) {
    super()
    this.#stream = stream
  }

  override data(bytes: Buffer, endStream: boolean): void {
    this.bytes += bytes.length
    const roomy = this.#stream.write(bytes)
    if (roomy && !this.#blocked) this.#stream.consumed(bytes.length)
    else {
      this.#blocked = true
      this.#owed += bytes.length
    }
    if (endStream) this.#stream.end(fields({ 'X-Bytes': String(this.bytes) }))
  }

  override writable(): void {
    this.#blocked = false
    this.#stream.consumed(this.#owed)
    this.#owed = 0
  }
}

const body = (size: number) => Buffer.alloc(size, 'The quick brown fox. ')
const sha = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

async function fetchNode(
  session: http2.ClientHttp2Session,
  headers: http2.OutgoingHttpHeaders,
  payload?: Buffer,
): Promise<{
  headers: http2.IncomingHttpHeaders
  trailers: http2.IncomingHttpHeaders
  body: Buffer
}> {
  const request = session.request(headers, { endStream: payload === undefined })
  let received: http2.IncomingHttpHeaders = {}
  let trailers: http2.IncomingHttpHeaders = {}
  const pieces: Buffer[] = []
  request.on('response', (value) => (received = value))
  request.on('trailers', (value) => (trailers = value))
  request.on('data', (piece: Buffer) => pieces.push(piece))
  if (payload) request.end(payload)
  await once(request, 'end')
  return { headers: received, trailers, body: Buffer.concat(pieces) }
}

test("node's client at our server: heads, bodies, trailers, many streams, large bodies both ways", async () => {
  await using server = await listen({
    onStream(stream, head, endStream) {
      if (head.target === '/hello') {
        stream.respond(
          200,
          fields({ 'Content-Type': 'text/plain', 'X-Method': head.method, Connection: 'close' }),
          false,
        )
        stream.write(Buffer.from('Hello, world\n'))
        stream.end()
      } else if (head.target === '/fields') {
        const names = head.names.map((name) => `echo-${name}`)
        stream.respond(200, { names, values: head.values }, true)
      } else {
        stream.respond(200, fields({ 'x-host': head.host }), false)
        if (endStream) stream.end()
      }
      const echo = new Echo(stream)
      return echo
    },
  })
  const session = http2.connect(`http://127.0.0.1:${server.port}`, { maxSessionMemory: 100 })
  try {
    const hello = await fetchNode(session, { ':path': '/hello' })
    assert.equal(hello.headers[':status'], 200)
    assert.equal(hello.headers['content-type'], 'text/plain')
    assert.equal(hello.headers['x-method'], 'GET')
    assert.equal(hello.headers['connection'], undefined)
    assert.equal(hello.body.toString(), 'Hello, world\n')

    // Every byte that may stand in a value, Huffman coded by nghttp2 and plain; twice, for the tables.
    const all = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code))
      .filter((_, code) => code > 32 && code !== 127)
      .join('')
    for (let i = 0; i < 3; i++) {
      const echoed = await fetchNode(session, {
        ':path': '/fields',
        'x-all': all,
        'x-i': String(i),
        cookie: ['a=1', 'b=2'],
      })
      assert.equal(echoed.headers['echo-x-all'], all)
      assert.equal(echoed.headers['echo-x-i'], String(i))
      assert.equal(echoed.headers['echo-cookie'], 'a=1; b=2')
    }

    const many = await Promise.all(
      Array.from({ length: 200 }, (_, i) =>
        fetchNode(session, { ':path': '/echo', ':method': 'POST' }, Buffer.from(`body ${i}`)),
      ),
    )
    assert.deepEqual(
      many.map((answer) => answer.body.toString()),
      Array.from({ length: 200 }, (_, i) => `body ${i}`),
    )
    assert.equal(many[7]?.trailers['x-bytes'], '6')

    const large = body(5_000_000)
    const answers = await Promise.all(
      [1, 2, 3].map(() => fetchNode(session, { ':path': '/echo', ':method': 'POST' }, large)),
    )
    for (const answer of answers) assert.equal(sha(answer.body), sha(large))
    assert.equal(server.connections[0]?.openStreams, 0)
  } finally {
    session.destroy()
  }
})

test("our client at node's server: heads, bodies, trailers, many streams, large bodies both ways", async () => {
  const node = http2.createServer({ maxSessionMemory: 100 })
  node.on('stream', (stream, headers) => {
    stream.on('error', () => {})
    if (headers[':path'] === '/early') stream.additionalHeaders({ ':status': 103, link: '</a>' })
    stream.respond(
      { ':status': 200, 'x-seen': String(headers['x-sent']), 'content-type': 'text/plain' },
      { waitForTrailers: true },
    )
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
    stream.pipe(stream)
  })
  await new Promise<void>((resolve) => node.listen(0, '127.0.0.1', resolve))
  using client = await dial(portOf(node))
  const { connection } = client
  const fetch = async (path: string, payload: Buffer | undefined): Promise<Recorder> => {
    const user = new Recorder()
    const line = { method: 'POST', scheme: 'http', authority: 'localhost', path }
    const stream = connection.request(
      line,
      fields({ 'X-Sent': path, TE: 'trailers' }),
      payload === undefined,
      user,
    )
    user.stream = stream
    if (payload) {
      stream.write(payload)
      stream.end()
    }
    await user.done
    return user
  }
  try {
    const early = await fetch('/early', undefined)
    assert.deepEqual(early.interim, [103])
    assert.equal(early.response?.status, 200)
    assert.deepEqual(early.trailerFields?.names, ['grpc-status'])
    const many = await Promise.all(
      Array.from({ length: 90 }, (_, i) => fetch(`/${i}`, Buffer.from(`body ${i}`))),
    )
    for (const [i, user] of many.entries()) {
      assert.equal(user.text, `body ${i}`)
      assert.equal(user.response?.values[user.response.names.indexOf('x-seen')], `/${i}`)
    }
    const large = body(3_000_000)
    const answers = await Promise.all([1, 2, 3].map((i) => fetch(`/large-${i}`, large)))
    for (const answer of answers) assert.equal(sha(Buffer.concat(answer.pieces)), sha(large))
    assert.equal(connection.openStreams, 0)
  } finally {
    client.socket.destroy()
    await new Promise((resolve) => node.close(resolve))
  }
})

test('ours at ours: a graceful end serves what is open', async () => {
  await using server = await listen({
    onStream(stream) {
      const user = new Recorder()
      user.stream = stream
      void user.done.then(() => {
        stream.respond(200, fields({}), false)
        stream.write(Buffer.from(user.text))
        stream.end()
      })
      return user
    },
  })
  let left = -1
  using client = await dial(server.port, { onGoAway: (code) => (left = code) })
  const user = new Recorder()
  const line = { method: 'POST', scheme: 'http', authority: 'a', path: '/' }
  const stream = client.connection.request(line, fields({}), false, user)
  user.stream = stream
  stream.write(Buffer.from('one'))
  while (server.connections[0]?.openStreams !== 1) await once(client.socket, 'data')
  server.connections[0].goAway()
  while (left < 0) await once(client.socket, 'data')
  assert.equal(client.connection.canRequest, false)
  stream.write(Buffer.from('two'))
  stream.end()
  await user.done
  assert.equal(user.text, 'onetwo')
  if (!client.socket.closed) await once(client.socket, 'close')
  assert.equal(client.connection.closed, true)
  assert.equal(server.connections[0].closed, true)
})

const run = promisify(execFile)
const missing = (command: string, how: string): string | false =>
  spawnSync('which', [command]).status === 0 ? false : `${command} is not installed (${how})`

test(
  "nghttp2's tools at our server",
  { skip: missing('h2load', 'apt-get install nghttp2-client') },
  async () => {
    await using server = await listen({
      onStream(stream, _head, endStream) {
        stream.respond(200, fields({ 'x-answer': 'yes', server: 'ours' }), false)
        if (endStream) {
          stream.write(Buffer.from('Hello, world'))
          stream.end()
        }
        return new Echo(stream)
      },
    })
    const url = `http://127.0.0.1:${server.port}/`
    const load = await run('h2load', ['-n2000', '-c5', '-m20', url])
    assert.match(load.stdout, /2000 succeeded, 0 failed, 0 errored, 0 timeout/)
    // A body up and down, through windows of 65,535 bytes; nghttp says of the connection what it sees.
    const upload = await run(
      'h2load',
      ['-n20', '-c1', '-m3', '-w16', '-W16', `-d${fileURLToPath(import.meta.url)}`, url],
      { timeout: 60_000 },
    ).catch((error: unknown) => ({ stdout: String(error) }))
    assert.match(upload.stdout, /20 succeeded, 0 failed, 0 errored, 0 timeout/)
    const told = await run('nghttp', ['-nv', '-H', 'x-a: 1', '--trailer', 'x-t: 1', url])
    assert.match(told.stdout, /recv \(stream_id=\d+\) x-answer: yes/)
    assert.doesNotMatch(told.stdout, /error_code=(?!NO_ERROR)/)
  },
)

const h2spec = missing('h2spec', 'go install github.com/summerwind/h2spec/cmd/h2spec@latest')

test('h2spec at our server', { skip: h2spec }, async () => {
  await using server = await listen({
    onStream(stream, _head, endStream) {
      const answer = (): void => {
        stream.respond(200, fields({ 'content-type': 'text/plain' }), false)
        stream.write(Buffer.from('Hello, world'))
        stream.end()
      }
      const user = new Recorder()
      user.stream = stream
      if (endStream) answer()
      else void user.done.then(answer)
      return user
    },
  })
  const { stdout } = await run('h2spec', [
    '-h',
    '127.0.0.1',
    '-p',
    String(server.port),
    '-o',
    '2',
  ]).catch((error: unknown) => ({ stdout: String(Object(error).stdout) }))
  assert.match(stdout, /tests, \d+ passed, 0 skipped, 0 failed/)
})
