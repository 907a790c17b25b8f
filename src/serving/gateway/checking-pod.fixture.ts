/** A pod for the tests of hostile input: Node's own HTTP server, which reads by llhttp, an independent parser. It writes down whole requests and what broke off. */
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Backend } from './feed.ts'

export interface SeenRequest {
  readonly method: string
  readonly url: string
  readonly host: string
  readonly body: string
  /** Names and values in turn, as they came. */
  readonly headers: readonly string[]
  readonly trailers: readonly string[]
}

export interface CheckingPod extends AsyncDisposable {
  readonly backend: Backend
  /** Whole requests, in the order in which they ended. */
  readonly seen: SeenRequest[]
  /** What llhttp did not understand. */
  readonly complaints: string[]
  /** Requests that ended before their bodies did. */
  broken: number
}

/** Answers 200 with `method url bytes-of-body`, and the request's `X-Id` if it has one. */
export async function startCheckingPod(): Promise<CheckingPod> {
  const sockets = new Set<Socket>()
  const server = createServer(
    { keepAliveTimeout: 60_000, maxHeaderSize: 1 << 20 },
    (message, answer) => {
      let body = ''
      message.setEncoding('latin1')
      message.on('data', (text: string) => (body += text))
      message.on('error', () => pod.broken++)
      message.on('end', () => {
        const { method = '', url = '', rawHeaders, rawTrailers } = message
        const { host = '', 'x-id': id } = message.headers
        pod.seen.push({ method, url, host, body, headers: rawHeaders, trailers: rawTrailers })
        if (typeof id === 'string') answer.setHeader('X-Id', id)
        answer.end(`${method} ${url} ${body.length}`)
      })
    },
  )
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    // Neither a connection that the gateway cut nor a limit is a complaint about what it sent.
    const { code = '' } = error
    if (/^HPE_(?!INVALID_EOF_STATE|HEADER_OVERFLOW)/.test(code))
      pod.complaints.push(`${code} ${error.message}`)
    socket.destroy()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const pod: CheckingPod = {
    backend: { host: '127.0.0.1', port: (server.address() as AddressInfo).port, pod: 'pod' },
    seen: [],
    complaints: [],
    broken: 0,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
  return pod
}
