/**
 * The programs that `http2.bench.ts` runs, one a process: `serve`, `proxy PORT` with our HTTP/2, `node-serve`, `node-proxy PORT` with
 * node:http2, `load PORT CONNECTIONS STREAMS SECONDS`. Servers print their port.
 */
import http2 from 'node:http2'
import { connect, createServer, type Socket } from 'node:net'
import { Http2Connection } from './connection.ts'
import type { Http2Options } from './options.ts'
import { systemClock } from '../clock.ts'
import type { RequestHead, ResponseHead } from '../http1/head.ts'
import { ErrorCode } from './error.ts'
import { FlushBatch } from './flush-batch.ts'
import type { HeaderFields, Http2Stream, Http2StreamUser } from './stream.ts'

const hello = Buffer.from('Hello, world\n')
const helloFields = { names: ['content-type', 'content-length'], values: ['text/plain', '13'] }
const batch = new FlushBatch()

function tie(socket: Socket, options: Omit<Http2Options, 'sink' | 'nowMs'>): Http2Connection {
  socket.setNoDelay(true)
  const connection = new Http2Connection({
    ...options,
    limits: { maxConcurrentStreams: 1000 },
    nowMs: performance.now(),
    schedule: batch.add,
    sink: { write: (bytes) => socket.write(bytes), close: () => socket.end() },
  })
  socket.on('data', (bytes) => connection.receive(bytes, performance.now()))
  socket.on('drain', () => connection.drained())
  socket.on('error', () => {})
  socket.on('close', () => connection.destroy())
  return connection
}

const ignore: Http2StreamUser = {
  headers() {},
  informational() {},
  data() {},
  trailers() {},
  reset() {},
  writable() {},
}

const serve = () =>
  listening(
    createServer((socket) => {
      tie(socket, {
        role: 'server',
        onStream(stream) {
          stream.respond(200, helloFields, false)
          stream.write(hello)
          stream.end()
          return ignore
        },
      })
    }),
  )

/** One request through the proxy: two streams that hand over to each other. */
class Relay {
  readonly client: Http2Stream
  readonly upstream: Http2Stream
  #clientOwed = 0
  #upstreamOwed = 0

  constructor(
    client: Http2Stream,
    head: RequestHead,
    endStream: boolean,
    connection: Http2Connection,
  ) {
    this.client = client
    const line = { method: head.method, scheme: 'http', authority: head.host, path: head.target }
    this.upstream = connection.request(line, head, endStream, new Answer(this))
  }

  fromClient(bytes: Buffer, endStream: boolean): void {
    if (bytes.length > 0 && !this.upstream.write(bytes)) this.#clientOwed += bytes.length
    else this.client.consumed(bytes.length)
    if (endStream) this.upstream.end()
  }

  fromUpstream(bytes: Buffer, endStream: boolean): void {
    if (bytes.length > 0 && !this.client.write(bytes)) this.#upstreamOwed += bytes.length
    else this.upstream.consumed(bytes.length)
    if (endStream) this.client.end()
  }

  clientRoomy(): void {
    this.upstream.consumed(this.#upstreamOwed)
    this.#upstreamOwed = 0
  }

  upstreamRoomy(): void {
    this.client.consumed(this.#clientOwed)
    this.#clientOwed = 0
  }
}

class Answer implements Http2StreamUser {
  readonly #relay: Relay
  constructor(relay: Relay) {
    this.#relay = relay
  }
  headers(head: ResponseHead, endStream: boolean): void {
    this.#relay.client.respond(head.status, head, endStream)
  }
  informational(head: ResponseHead): void {
    this.#relay.client.informational(head.status, head)
  }
  data(bytes: Buffer, endStream: boolean): void {
    this.#relay.fromUpstream(bytes, endStream)
  }
  trailers(fields: HeaderFields): void {
    this.#relay.client.end(fields)
  }
  reset(): void {
    this.#relay.client.reset(ErrorCode.internalError)
  }
  writable(): void {
    this.#relay.upstreamRoomy()
  }
}

class Asker implements Http2StreamUser {
  readonly #relay: Relay
  constructor(relay: Relay) {
    this.#relay = relay
  }
  headers(): void {}
  informational(): void {}
  data(bytes: Buffer, endStream: boolean): void {
    this.#relay.fromClient(bytes, endStream)
  }
  trailers(fields: HeaderFields): void {
    this.#relay.upstream.end(fields)
  }
  reset(): void {
    this.#relay.upstream.reset(ErrorCode.cancel)
  }
  writable(): void {
    this.#relay.clientRoomy()
  }
}

function proxy(port: number): void {
  let upstream: Http2Connection | undefined
  listening(
    createServer((socket) => {
      upstream ??= tie(connect({ port, host: '127.0.0.1' }), { role: 'client' })
      const connection = upstream
      tie(socket, {
        role: 'server',
        onStream(stream, head, endStream) {
          if (connection.canRequest)
            return new Asker(new Relay(stream, head, endStream, connection))
          stream.respond(503, { names: [], values: [] }, true)
          return ignore
        },
      })
    }),
  )
}

function nodeServe(): void {
  const server = http2.createServer({ settings: { maxConcurrentStreams: 1000 } })
  server.on('stream', (stream) => {
    stream.respond({ ':status': 200, 'content-type': 'text/plain', 'content-length': '13' })
    stream.end(hello)
  })
  server.on('sessionError', () => {})
  listening(server)
}

/** As one writes it with the stream API. */
function nodeProxy(port: number): void {
  const upstream = http2.connect(`http://127.0.0.1:${port}`)
  const server = http2.createServer({ settings: { maxConcurrentStreams: 1000 } })
  server.on('sessionError', () => {})
  server.on('stream', (stream, headers) => {
    const request = upstream.request(headers)
    request.on('response', (answer) => {
      if (stream.destroyed) return
      stream.respond(answer)
      request.pipe(stream)
    })
    request.on('error', () => stream.destroy())
    stream.on('error', () => request.destroy())
    stream.pipe(request)
  })
  listening(server)
}

function listening(server: {
  listen: ReturnType<typeof createServer>['listen']
  address(): unknown
}): void {
  server.listen(0, '127.0.0.1', () => {
    process.stdout.write(`${JSON.stringify(server.address())}\n`)
  })
}

/** What h2load does, where it is not installed: prints the requests that were answered. */
function load(port: number, connections: number, streams: number, seconds: number): void {
  const line = { method: 'GET', scheme: 'http', authority: `127.0.0.1:${port}`, path: '/' }
  const fields = { names: ['user-agent'], values: ['bench'] }
  const endMs = performance.now() + seconds * 1000
  let done = 0
  const ask = (connection: Http2Connection): void => {
    const next = (end: boolean): void => {
      if (!end) return
      done++
      if (performance.now() < endMs) ask(connection)
    }
    connection.request(line, fields, true, {
      ...ignore,
      headers: (_head, end) => next(end),
      data: (_bytes, end) => next(end),
    })
  }
  for (let i = 0; i < connections; i++) {
    const connection = tie(connect({ port, host: '127.0.0.1' }), { role: 'client' })
    for (let stream = 0; stream < streams; stream++) ask(connection)
  }
  systemClock.after(seconds * 1000 + 100, () => {
    process.stdout.write(
      `finished in ${seconds}s, ${done / seconds} req/s\nrequests: ${done} done\n`,
    )
    process.exit()
  })
}

const [role, ...numbers] = process.argv.slice(2)
const [port = 0, connections = 1, streams = 1, seconds = 1] = numbers.map(Number)
if (role === 'serve') serve()
else if (role === 'proxy') proxy(port)
else if (role === 'node-serve') nodeServe()
else if (role === 'node-proxy') nodeProxy(port)
else if (role === 'load') load(port, connections, streams, seconds)
