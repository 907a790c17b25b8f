/**
 * The API over HTTPS (contracts/kube §1): connections and their limits, who calls, and which part answers. HTTP/1.1
 * only: every client speaks it, and exec and port-forward need it.
 */
import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { Socket, type AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { UserInfo } from '../api/kind.ts'
import { StatusError, badRequest } from '../api/status-error.ts'
import { credentialsOf, unauthorized } from './access/authentication.ts'
import type { Authenticate } from './access/authentication.ts'
import type { Authorize } from './access/authorization.ts'
import { impersonated } from './access/impersonation.ts'
import { refuseUpgrade, type AnswerUpgrade } from './access/upgrade.ts'
import { send, sendError } from './answers.ts'
import type { ApiServer } from './api-server.ts'
import { createDocuments } from './documents.ts'
import { methodNotAllowed, unknownResource } from './machinery.ts'
import type { PodLogs } from './pod-log-endpoint.ts'
import { discardRest } from './request-body.ts'
import { parseResourcePath } from './request-path.ts'
import type { ResourcePath } from './request-path.ts'
import {
  answerResource,
  authorizedTarget,
  Streams,
  type AnswerStream,
} from './resource-endpoint.ts'
import { reviewGroupVersions } from './access/reviews.ts'

export { authenticator } from './access/authentication.ts'
export type { Authenticate, Credentials } from './access/authentication.ts'
export type { AnswerUpgrade, UpgradeCall } from './access/upgrade.ts'
export type { PodLogOptions, PodLogs } from './pod-log-endpoint.ts'
export type { AnswerStream } from './resource-endpoint.ts'

export interface HttpOptions {
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
/** Watches and followed logs among them. */
const maxStreams = 1500
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

function requestHandler(options: HttpOptions, stopped: AbortSignal) {
  const { api, clock, logs, log } = options
  const authenticate = options.authenticate ?? api.access.authenticate
  const { authorize } = api.access.authorizer
  const documents = createDocuments(
    () => api.kinds,
    () => clock.now(),
  )
  const endpoint = {
    api,
    clock,
    streams: new Streams(options.maxStreams ?? maxStreams),
    ...(logs && { logs }),
    ...(options.answerStream && { answerStream: options.answerStream }),
  }
  const reviews = new Set(reviewGroupVersions)
  const serves = ({ group, version }: ResourcePath) =>
    api.servesGroupVersion(group, version) || reviews.has(`${group}/${version}`)

  async function upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const leave = new AbortController()
    const end = (): void => leave.abort()
    socket.once('close', end)
    socket.on('error', end)
    const before = writtenTo(socket)
    stopped.addEventListener('abort', end, { once: true })
    try {
      const url = parseUrl(request)
      const user = await identify(request, authenticate, authorize)
      const path = parseResourcePath(url.pathname)
      if (!path || !options.upgrades) throw unknownResource()
      const { kind } = authorizedTarget(endpoint, { request, url, path, user })
      if (!kind) throw unknownResource()
      const take = () =>
        options.upgrades?.({ request, socket, head, url, path, kind, user, signal: leave.signal })
      await endpoint.streams.run(async () => take())
    } catch (thrown) {
      const error = StatusError.from(thrown)
      if (error.code === 500 && !(thrown instanceof StatusError))
        log.error('an upgrade failed', { path: request.url, error: thrown })
      if (writtenTo(socket) === before) refuseUpgrade(request, socket, error)
      else socket.destroy()
    } finally {
      stopped.removeEventListener('abort', end)
    }
  }

  return { upgrade, request: answerRequest }

  async function answerRequest(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.setHeader('Audit-Id', randomUUID())
    response.setHeader('Cache-Control', 'no-cache, private')
    const leave = new AbortController()
    const end = (): void => leave.abort()
    response.once('close', end)
    stopped.addEventListener('abort', end, { once: true })
    try {
      const url = parseUrl(request)
      const user = await identify(request, authenticate, authorize)
      const path = parseResourcePath(url.pathname)
      if (path && serves(path)) {
        const call = { request, response, url, path, user, signal: leave.signal }
        return await answerResource(endpoint, call)
      }
      refuseDocument(authorize, user, request, url, path !== undefined)
      if (path || !documents.send(request, response, url))
        send(response, 404, 'text/plain; charset=utf-8', '404 page not found\n')
    } catch (thrown) {
      const error = StatusError.from(thrown)
      if (error.code === 500 && !(thrown instanceof StatusError))
        log.error('a request failed', { path: request.url, error: thrown })
      if (response.headersSent || response.destroyed) return void response.destroy()
      sendError(response, error)
      if (!request.complete) discardRest(request, clock)
    } finally {
      stopped.removeEventListener('abort', end)
    }
  }
}

const writtenTo = (socket: Duplex): number => (socket instanceof Socket ? socket.bytesWritten : 0)

function parseUrl(request: IncomingMessage): URL {
  try {
    return new URL(request.url ?? '/', 'http://localhost')
  } catch {
    throw badRequest('the path of the request cannot be read')
  }
}

async function identify(
  request: IncomingMessage,
  authenticate: Authenticate,
  authorize: Authorize,
): Promise<UserInfo> {
  const user = await authenticate(credentialsOf(request))
  if (!user) throw unauthorized()
  return impersonated(user, request, authorize)
}

function refuseDocument(
  authorize: Authorize,
  user: UserInfo,
  { method }: IncomingMessage,
  { pathname }: URL,
  ofUnknownGroup: boolean,
): void {
  const refusal = authorize(user, {
    path: pathname,
    verb: (method ?? 'GET').toLowerCase() === 'head' ? 'get' : (method ?? 'GET').toLowerCase(),
  })
  if (refusal) throw refusal
  // Whatever one wants of a group that nobody serves, it is not found.
  if (!ofUnknownGroup && method !== 'GET' && method !== 'HEAD') throw methodNotAllowed()
}
