/** A gateway in this process with three pods: of HTTP/1 and of HTTP/2 by Node's own servers, which check what they are sent, and one that answers nonsense. */
import { createServer as createHttpServer } from 'node:http'
import { createServer as createHttp2Server, type ServerHttp2Session } from 'node:http2'
import type { AddressInfo, Server, Socket } from 'node:net'
import type { Random } from '../../src/lib/random.ts'
import type { Backend } from '../../src/serving/gateway/feed.ts'
import { Fixture, startApp } from '../../src/serving/gateway/gateway.fixture.ts'
import { settle } from '../../src/testing/sim-clock.ts'
import { mutate } from './bytes.ts'

/** A whole request as a pod saw it. */
export interface SeenRequest {
  readonly method: string
  readonly url: string
  readonly id: string
  readonly body: string
}

export interface World extends AsyncDisposable {
  readonly fixture: Fixture
  readonly seen: SeenRequest[]
  /** What the pods' parsers did not understand. */
  readonly complaints: string[]
}

const listening = async (
  server: Server | ReturnType<typeof createHttp2Server>,
): Promise<Backend> => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port, pod: 'pod' }
}

export const answerText = ({ method, url, id, body }: SeenRequest): string =>
  `${method} ${url} ${id} ${body.length} ${'.'.repeat(body.length % 3000)}`

export async function startWorld(random: Random): Promise<World> {
  const seen: SeenRequest[] = []
  const complaints: string[] = []
  const sockets = new Set<Socket>()

  const http1 = createHttpServer(
    { maxHeaderSize: 1 << 20, keepAliveTimeout: 3000 },
    (message, answer) => {
      const { method = '', url = '' } = message
      const id = String(message.headers['x-id'] ?? '')
      const style = message.headers['x-style']
      let body = ''
      const finish = async (): Promise<void> => {
        const text = answerText({ method, url, id, body })
        if (/^[a-z0-9]+$/.test(id)) answer.setHeader('X-Id', id)
        if (style === 'hints') answer.writeEarlyHints({ link: '</x>; rel=preload' })
        if (style === 'close') answer.setHeader('Connection', 'close')
        if (style === 'slow') await settle(10)
        if (style === 'empty') answer.writeHead(204).end()
        else if (style === 'chunked' || style === 'trailers') {
          const trailers = style === 'trailers' && method !== 'HEAD'
          if (trailers) answer.setHeader('Trailer', 'X-Sum')
          answer.write(text.slice(0, 5))
          await settle(2)
          answer.write(text.slice(5))
          if (trailers) answer.addTrailers({ 'X-Sum': id })
          answer.end()
        } else answer.setHeader('Content-Length', Buffer.byteLength(text)).end(text)
      }
      message.setEncoding('latin1')
      message.on('data', (text: string) => (body += text))
      message.on('error', () => {})
      message.on('end', () => {
        seen.push({ method, url, id, body })
        if (style !== 'early') void finish()
      })
      if (style === 'early') void finish()
    },
  )
  http1.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const { code = '' } = error
    // Methods are free for clients, and connections end in the middle.
    if (/^HPE_(?!INVALID_METHOD|INVALID_EOF_STATE|HEADER_OVERFLOW)/.test(code))
      complaints.push(`${code} ${error.message}`)
    socket.destroy()
  })

  const http2 = createHttp2Server()
  const sessions = new Set<ServerHttp2Session>()
  http2.on('session', (session) => {
    sessions.add(session)
    session.on('error', (error) => complaints.push(String(error)))
    session.on('close', () => sessions.delete(session))
  })
  http2.on('stream', (stream, headers) => {
    const method = headers[':method'] ?? ''
    const url = headers[':path'] ?? ''
    const id = String(headers['x-id'] ?? '')
    const style = headers['x-style']
    let body = ''
    stream.on('error', () => {})
    const finish = async (): Promise<void> => {
      if (style === 'slow') await settle(10)
      if (stream.destroyed) return
      const text = answerText({ method, url, id, body })
      if (style === 'hints') stream.additionalHeaders({ ':status': 103, link: '</x>; rel=preload' })
      const fields = { 'x-id': id }
      if (style === 'empty') stream.respond({ ':status': 204, ...fields }, { endStream: true })
      else if (method === 'HEAD') stream.respond({ ':status': 200, ...fields }, { endStream: true })
      else if (style === 'trailers') {
        stream.respond({ ':status': 200, ...fields }, { waitForTrailers: true })
        stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': id }))
        stream.end(text)
      } else {
        const length = style === 'length' ? { 'content-length': Buffer.byteLength(text) } : {}
        stream.respond({ ':status': 200, ...fields, ...length })
        stream.end(text)
      }
    }
    stream.setEncoding('latin1')
    stream.on('data', (text: string) => (body += text))
    stream.on('end', () => {
      seen.push({ method, url, id, body })
      if (style !== 'early') void finish()
    })
    if (style === 'early') void finish()
  })

  const nonsense = await startApp(({ head, body, socket }) => {
    const id = head.values[head.names.findIndex((name) => name.toLowerCase() === 'x-id')] ?? ''
    const text = answerText({ method: head.method, url: head.target, id, body })
    const good =
      random.next() < 0.5
        ? `HTTP/1.1 200 OK\r\nX-Id: ${id}\r\nContent-Length: ${text.length}\r\n\r\n${text}`
        : `HTTP/1.1 200 OK\r\nX-Id: ${id}\r\nTransfer-Encoding: chunked\r\n\r\n${text.length.toString(16)}\r\n${text}\r\n0\r\nX-Sum: ${id}\r\n\r\n`
    socket.write(mutate(Buffer.from(good, 'latin1'), random))
    if (random.next() < 0.5) socket.end()
  })

  for (const server of [http1, http2])
    server.on('connection', (socket: Socket) => {
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket))
    })
  const path = (prefix: string, revision: string) => ({
    path: prefix,
    splits: [{ revision, percent: 100 }],
  })
  // A client that has sent more than is read ahead is not seen to leave: then the time limit ends its request.
  const timeoutMs = 4000
  const fixture = await Fixture.start({
    revision: {
      timeoutMs,
      backends: [await listening(http1)],
      containerConcurrency: 5,
    },
    paths: [path('/h2', 'ns/h2'), path('/raw', 'ns/raw'), path('', 'ns/rev')],
  })
  fixture.revision({ key: 'ns/h2', timeoutMs, protocol: 'h2c', backends: [await listening(http2)] })
  fixture.revision({
    key: 'ns/raw',
    timeoutMs: 1000,
    backends: [nonsense.backend],
    containerConcurrency: 3,
  })
  return {
    fixture,
    seen,
    complaints,
    async [Symbol.asyncDispose]() {
      await fixture[Symbol.asyncDispose]()
      await nonsense[Symbol.asyncDispose]()
      for (const session of sessions) session.destroy()
      for (const socket of sockets) socket.destroy()
      for (const server of [http1, http2])
        await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}
