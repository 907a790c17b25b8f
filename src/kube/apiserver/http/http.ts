/**
 * The API over HTTPS: connections and their limits, who calls, and which part answers. HTTP/1.1
 * only: every client speaks it, and exec and port-forward need it.
 */
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Clock } from '../../../lib/clock.ts'
import type { Log } from '../../../lib/log.ts'
import type { Authenticate } from '../access/authentication.ts'
import type { AnswerUpgrade } from '../access/upgrade.ts'
import type { ApiServer } from '../api-server.ts'
import type { PodLogs } from './pod-log-endpoint.ts'
import { requestHandler, type HandlerOptions } from './request-handler.ts'
import type { AnswerStream } from './resource-endpoint.ts'

export { authenticator } from '../access/authentication.ts'
export type { Authenticate, Credentials } from '../access/authentication.ts'
export type { AnswerUpgrade, UpgradeCall } from '../access/upgrade.ts'
export type { PodLogOptions, PodLogs } from './pod-log-endpoint.ts'
export type { AnswerStream } from './resource-endpoint.ts'

export interface HttpOptions extends HandlerOptions {
  readonly api: ApiServer
  readonly host: string
  /** 0 = any free port. */
  readonly port: number
  /** PEM texts; absent = plain HTTP. */
  readonly tls?: { readonly key: string; readonly cert: string; readonly ca: string }
  /** Default: client certificates and the tokens that the API server knows. */
  readonly authenticate?: Authenticate
  readonly log: Log
  readonly clock: Clock
  readonly logs?: PodLogs
  /** Watches and followed logs at a time; more are refused. */
  readonly maxStreams?: number
  /** Takes connections that upgrade, once their caller is known and may (exec, attach, port-forward, proxy). */
  readonly upgrades?: AnswerUpgrade
  /** Answers requests for subresources that are neither stored nor JSON (proxy), once their caller is known and may. */
  readonly answerStream?: AnswerStream
}

export interface HttpServer extends AsyncDisposable {
  /** `https://127.0.0.1:6443` or `http://…`. */
  readonly url: string
  readonly port: number
}

const limits = {
  maxHeaderSize: 64 * 1024,
  headersTimeout: 15_000,
  /** For the request to arrive; answers may take their time. */
  requestTimeout: 60_000,
  keepAliveTimeout: 75_000,
  keepAlive: true,
  keepAliveInitialDelay: 30_000,
  noDelay: true,
} as const
const maxConnections = 2000
const handshakeTimeout = 10_000

/** Starts listening; rejects when the address is taken. Disposing ends every connection. */
export async function serveHttp(options: HttpOptions): Promise<HttpServer> {
  const { tls, host, log } = options
  const stop = new AbortController()
  const handle = requestHandler(options, stop.signal)
  // A client that would rather speak HTTP/2 (h2c) is answered as it asked; only subresources take a connection over.
  const settings = {
    ...limits,
    shouldUpgradeCallback: ({ url = '' }: IncomingMessage) =>
      options.upgrades !== undefined && /\/(?:pods|services|nodes)\/[^/]+\/[a-z]/.test(url),
  }
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    handle.request(request, response).catch((thrown: unknown) => {
      log.error('an HTTP request failed', { path: request.url, error: thrown })
      response.destroy()
    })
  }
  const server = tls
    ? createTlsServer(
        {
          ...settings,
          ...tls,
          // A certificate is asked for but not required: tokens and anonymous callers come without.
          requestCert: true,
          rejectUnauthorized: false,
          handshakeTimeout,
          minVersion: 'TLSv1.2',
        },
        listener,
      )
    : createServer(settings, listener)
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    handle.upgrade(request, socket, head).catch((thrown: unknown) => {
      log.error('an upgraded connection failed', { path: request.url, error: thrown })
      socket.destroy()
    })
  })
  server.maxConnections = maxConnections
  await listen(server, options.port, host)
  const { port } = addressOf(server)
  const name = host.includes(':') ? `[${host}]` : host
  return {
    url: `${tls ? 'https' : 'http'}://${name}:${port}`,
    port,
    [Symbol.asyncDispose]: async () => {
      stop.abort()
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
    },
  }
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

function addressOf(server: Server): AddressInfo {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  return address
}
