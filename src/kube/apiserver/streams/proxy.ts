/**
 * The proxy subresources of pods and services: requests, and connections that upgrade, passed on to a
 * program. What it answers comes back as it is, but for redirects and links, which are turned so that they lead here again.
 */
import {
  request as httpRequest,
  ServerResponse,
  type ClientRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type OutgoingHttpHeaders,
} from 'node:http'
import { connect as tlsConnect, TLSSocket } from 'node:tls'
import { pipeline, type Duplex } from 'node:stream'
import { StatusError } from '../../api/status-error.ts'
import type { AnswerUpgrade } from '../access/upgrade.ts'
import type { Call } from '../http/resource-endpoint.ts'
import { rewriteHtml } from './html-links.ts'
import { proxyTarget, type ProxyTarget, type TargetDeps } from './proxy-target.ts'

/** Of one connection alone, or meant for this server. */
const notPassedOn = new Set([
  'authorization',
  'connection',
  'host',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

interface Route {
  /** Path of this server before what the program sees. */
  readonly prefix: string
  /** Path and query for the program; '' when the path ends with `proxy`. */
  readonly target: string
}

/** Cuts a path at its `proxy` segment, as it is written: what is escaped stays so. */
export function routeOf(url: string): Route {
  const [path = '', ...queries] = url.split('?')
  const query = queries.length > 0 ? `?${queries.join('?')}` : ''
  const segments = path.split('/')
  // /api/v1/namespaces/<ns>/pods/<name>/proxy, /api/v1/nodes/<name>/proxy
  const at = segments[3] === 'namespaces' ? 7 : 5
  const prefix = segments.slice(0, at + 1).join('/')
  const rest = segments.slice(at + 1)
  return { prefix, target: rest.length === 0 ? '' : `/${rest.join('/')}${query}` }
}

function passedOn(
  request: IncomingMessage,
  { prefix, target }: Route,
  { host }: ProxyTarget,
): OutgoingHttpHeaders {
  const { headers, socket } = request
  const named = (headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase())
  const kept = Object.entries(headers).filter(
    ([name]) =>
      !notPassedOn.has(name) &&
      !named.includes(name) &&
      !name.startsWith('impersonate-') &&
      !name.startsWith('x-remote-'),
  )
  const before = headers['x-forwarded-for']
  return {
    ...Object.fromEntries(kept),
    host,
    'x-forwarded-for': [...(before ? [before].flat() : []), socket.remoteAddress ?? ''].join(', '),
    'x-forwarded-uri': `${prefix}${(target || '/').split('?')[0]}`,
    'x-forwarded-host': headers.host ?? '',
    'x-forwarded-proto': socket instanceof TLSSocket ? 'https' : 'http',
  }
}

async function begin(
  request: IncomingMessage,
  target: ProxyTarget,
  route: Route,
  extra: OutgoingHttpHeaders,
): Promise<ClientRequest> {
  const plain = await target.connect().catch((thrown: unknown) => {
    throw unreachable(thrown)
  })
  // Certificates of programs inside are their own: the way there is this machine.
  const socket: Duplex =
    target.scheme === 'https'
      ? tlsConnect({ socket: plain, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] })
      : plain
  return httpRequest({
    createConnection: () => socket,
    method: request.method ?? 'GET',
    path: route.target || '/',
    headers: { ...passedOn(request, route, target), ...extra },
    setHost: false,
  })
}

const unreachable = (thrown: unknown): StatusError =>
  new StatusError(
    'ServiceUnavailable',
    `error trying to reach service: ${thrown instanceof Error ? thrown.message : String(thrown)}`,
  )

/** Passes one request on. Throws StatusError as long as nothing was answered. */
export async function proxyRequest(
  { request, response, path, signal }: Call,
  deps: TargetDeps,
): Promise<void> {
  const route = routeOf(request.url ?? '/')
  const target = await proxyTarget(path, deps)
  if (route.target === '' && (request.method === 'GET' || request.method === 'HEAD')) {
    const query = (request.url ?? '').split('?').slice(1).join('?')
    response.writeHead(301, { location: `${route.prefix}/${query && `?${query}`}` }).end()
    return
  }
  const hasBody =
    request.headers['content-length'] !== undefined ||
    request.headers['transfer-encoding'] !== undefined
  const outgoing = await begin(request, target, route, {
    ...(request.headers['transfer-encoding'] !== undefined && { 'transfer-encoding': 'chunked' }),
  })
  const leave = (): void => void outgoing.destroy()
  signal.addEventListener('abort', leave, { once: true })
  try {
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      outgoing.once('response', resolve)
      outgoing.on('error', (error) => reject(unreachable(error)))
      outgoing.once('upgrade', () => reject(unreachable('it upgraded unasked')))
      if (hasBody) pipeline(request, outgoing, () => {})
      else outgoing.end()
    })
    await sendBack(answer, response, route, target)
  } finally {
    signal.removeEventListener('abort', leave)
    outgoing.destroy()
  }
}

async function sendBack(
  answer: IncomingMessage,
  response: ServerResponse,
  { prefix }: Route,
  { host }: ProxyTarget,
): Promise<void> {
  response.removeHeader('Cache-Control') // ours speaks of objects
  const html = rewriteHtml(answer.headers, prefix, host)
  for (const [name, values] of Object.entries(answer.headersDistinct)) {
    if (notPassedOn.has(name) || !values || (html && name === 'content-length')) continue
    if (name === 'location') response.setHeader(name, turned(values[0] ?? '', prefix, host))
    else response.setHeader(name, values)
  }
  response.writeHead(answer.statusCode ?? 502, answer.statusMessage)
  await new Promise<void>((resolve) =>
    pipeline([answer, ...html, response], (error) => {
      if (error) response.destroy()
      resolve()
    }),
  )
}

/** A redirect to the program's own host leads through this server. */
export function turned(location: string, prefix: string, host: string): string {
  const own = /^https?:\/\/([^/?#]+)(.*)$/i.exec(location)
  if (own) return own[1] === host ? `${prefix}${own[2] || '/'}` : location
  return location.startsWith('/') && !location.startsWith('//') ? `${prefix}${location}` : location
}

/** Passes a connection on that upgrades. */
export function proxyUpgrade(deps: TargetDeps): AnswerUpgrade {
  return async ({ request, socket, head, path, signal }) => {
    const route = routeOf(request.url ?? '/')
    const target = await proxyTarget(path, deps)
    const outgoing = await begin(request, target, route, {
      connection: 'Upgrade',
      upgrade: request.headers.upgrade ?? '',
    })
    signal.addEventListener('abort', () => outgoing.destroy(), { once: true })
    await new Promise<void>((resolve, reject) => {
      outgoing.on('error', (error) => reject(unreachable(error)))
      outgoing.once('response', (answer) => {
        const response = new ServerResponse(request)
        // A socket, as `upgrade` hands it over.
        response.assignSocket(socket as Parameters<ServerResponse['assignSocket']>[0])
        response.shouldKeepAlive = false
        response.once('finish', () => socket.end())
        void sendBack(answer, response, route, target).then(resolve)
      })
      outgoing.once('upgrade', (answer: IncomingMessage, behind: Duplex, first: Buffer) => {
        socket.write(headOf(answer.headers))
        if (first.length > 0) socket.write(first)
        if (head.length > 0) behind.write(head)
        behind.on('error', () => socket.destroy())
        socket.once('close', () => {
          behind.destroy()
          resolve()
        })
        behind.pipe(socket)
        socket.pipe(behind)
      })
      outgoing.end()
    })
  }
}

function headOf(headers: IncomingHttpHeaders): string {
  const lines = Object.entries(headers).flatMap(([name, value]) =>
    [value ?? []].flat().map((each) => `${name}: ${each}`),
  )
  return ['HTTP/1.1 101 Switching Protocols', ...lines, '', ''].join('\r\n')
}
