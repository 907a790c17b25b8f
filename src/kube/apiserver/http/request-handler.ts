/**
 * What every HTTP request passes, in this order: who calls and for whom, the audit log, a seat in line, whether he may,
 * and then the part that answers. Connections that upgrade pass the same.
 */
import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { UserInfo } from '../../api/kind.ts'
import { StatusError, badRequest } from '../../api/status-error.ts'
import type { Audit, AuditRecord } from '../access/audit/audit.ts'
import { credentialsOf, unauthorized } from '../access/authentication.ts'
import { createHealth, type Check } from '../access/health.ts'
import { impersonated } from '../access/impersonation.ts'
import { agentOf, requestInfo, type RequestInfo } from '../access/request-info.ts'
import { reviewGroupVersions } from '../access/reviews.ts'
import { jwks, openIdConfiguration } from '../access/token-keys.ts'
import { refuseUpgrade } from '../access/upgrade.ts'
import { send, sendError } from './answers.ts'
import { createDocuments } from '../documents/documents.ts'
import type { HttpOptions } from './http.ts'
import { methodNotAllowed, unknownResource } from '../machinery.ts'
import { discardRest } from './request-body.ts'
import type { ResourcePath } from './request-path.ts'
import { answerResource, authorizedTarget, Streams } from './resource-endpoint.ts'

/** Parts of the door that are not about connections. */
export interface HandlerOptions {
  readonly audit?: Audit
  /** More of `/metrics`, from other parts of the process. */
  readonly moreMetrics?: () => string
  /** Whether the store takes what is written. */
  readonly storeHealth?: Check
}

/** Watches and followed logs at a time. */
const maxStreams = 1500

/** Somebody at the door, identified. */
interface Visit {
  readonly url: URL
  readonly info: RequestInfo
  readonly user: UserInfo
  readonly record: AuditRecord | undefined
}

export function requestHandler(options: HttpOptions, stopped: AbortSignal) {
  const { api, clock, logs, log, audit } = options
  const authenticate = options.authenticate ?? api.access.authenticate
  const { authorizer, tokens, priority, metrics } = api.access
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
  const sendHealth = createHealth({
    stopping: () => stopped.aborted,
    log: (check, problem) => log.error('a health check fails', { check, problem }),
    ...(options.storeHealth && { store: options.storeHealth }),
  })
  const reviews = new Set(reviewGroupVersions)
  const serves = ({ group, version }: ResourcePath) =>
    api.servesGroupVersion(group, version) || reviews.has(`${group}/${version}`)

  async function visit(request: IncomingMessage, id: string): Promise<Visit> {
    const url = parseUrl(request)
    const info = requestInfo(request, url)
    const caller = await identify(request)
    const user = impersonated(caller, request, authorizer.authorize)
    const record = audit?.({ id, request, info, caller, user })
    return { url, info, user, record }
  }

  async function identify(request: IncomingMessage): Promise<UserInfo> {
    let user: UserInfo | undefined
    try {
      user = await authenticate(credentialsOf(request))
    } finally {
      metrics.authenticated(user !== undefined)
    }
    if (!user) throw unauthorized()
    return user
  }

  async function answerRequest(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const startedMs = clock.monotonic()
    const id = randomUUID()
    response.setHeader('Audit-Id', id)
    response.setHeader('Cache-Control', 'no-cache, private')
    const leave = new AbortController()
    let visited: Visit | undefined
    const end = (): void => leave.abort()
    response.once('close', () => {
      end()
      if (!visited) return
      const { info, url, record } = visited
      record?.ended(response.statusCode)
      const { path } = info
      const kind = path && api.find(path.group, path.version, path.resource)
      const seconds = (clock.monotonic() - startedMs) / 1000
      metrics.note(info, kind, response.statusCode, seconds, url.searchParams.has('dryRun'))
    })
    stopped.addEventListener('abort', end, { once: true })
    try {
      visited = await visit(request, id)
      const { user, info } = visited
      const seat = await priority.enter(user, agentOf(request), info, response, leave.signal)
      if (!seat) return void response.destroy()
      // A slow reader holds what he takes until he has it.
      response.once('close', seat).once('finish', seat)
      if (response.destroyed) seat()
      await answerVisit(visited, request, response, leave.signal)
    } catch (thrown) {
      const error = StatusError.from(thrown)
      if (error.code === 500 && !(thrown instanceof StatusError))
        log.error('a request failed', { path: request.url, error: thrown })
      if (response.headersSent || response.destroyed) return void response.destroy()
      visited?.record?.responseObject(error.toStatus())
      sendError(response, error)
      if (!request.complete) discardRest(request, clock)
    } finally {
      stopped.removeEventListener('abort', end)
    }
  }

  async function answerVisit(
    { url, info, user, record }: Visit,
    request: IncomingMessage,
    response: ServerResponse,
    signal: AbortSignal,
  ): Promise<void> {
    const { path } = info
    if (path && serves(path)) {
      const call = { request, response, url, path, user, signal, ...(record && { record }) }
      return await answerResource(endpoint, call)
    }
    const verb = info.verb === 'head' ? 'get' : info.verb
    const asked = { path: url.pathname, verb: path ? methodVerb(request) : verb }
    const refused = authorizer.authorize(user, asked)
    record?.annotate('authorization.k8s.io/decision', refused ? 'forbid' : 'allow')
    if (refused) throw refused
    // Whatever one wants of a group that nobody serves, it is not found.
    if (!path && request.method !== 'GET' && request.method !== 'HEAD') throw methodNotAllowed()
    const sent =
      !path &&
      (sendHealth(response, url) ||
        sendOwn(request, response, url) ||
        documents.send(request, response, url))
    if (!sent) send(response, 404, 'text/plain; charset=utf-8', '404 page not found\n')
  }

  function sendOwn(request: IncomingMessage, response: ServerResponse, { pathname }: URL): boolean {
    const json = (body: object, type = 'application/json'): true => {
      send(response, 200, type, JSON.stringify(body))
      return true
    }
    switch (pathname.replace(/(?<=.)\/$/, '')) {
      case '/.well-known/openid-configuration': {
        const uri = `https://${request.headers.host ?? 'kubernetes.default.svc'}/openid/v1/jwks`
        response.setHeader('Cache-Control', 'public, max-age=3600')
        return json(openIdConfiguration(tokens.keys, tokens.issuer, uri))
      }
      case '/openid/v1/jwks':
        response.setHeader('Cache-Control', 'public, max-age=3600')
        return json(jwks(tokens.keys), 'application/jwk-set+json')
      case '/metrics': {
        const gauges = { ...priority.inFlight, streams: endpoint.streams.open }
        const objects = api.kinds.map(
          ({ group, plural }) =>
            [group ? `${plural}.${group}` : plural, api.count(group, plural, '')] as const,
        )
        const text = metrics.text(gauges, objects) + (options.moreMetrics?.() ?? '')
        send(response, 200, 'text/plain; version=0.0.4; charset=utf-8', text)
        return true
      }
      default:
        return false
    }
  }

  async function upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const leave = new AbortController()
    const end = (): void => leave.abort()
    socket.once('close', end)
    socket.on('error', end)
    const before = writtenTo(socket)
    stopped.addEventListener('abort', end, { once: true })
    let visited: Visit | undefined
    try {
      visited = await visit(request, randomUUID())
      const { url, user, record, info } = visited
      const { path } = info
      if (!path || !options.upgrades) throw unknownResource()
      const call = { request, url, path, user, ...(record && { record }) }
      const { kind } = authorizedTarget(endpoint, call)
      await api.admitConnect(path, url.searchParams, user)
      if (!kind) throw unknownResource()
      record?.started()
      const take = { request, socket, head, url, path, kind, user, signal: leave.signal }
      await endpoint.streams.run(async () => options.upgrades?.(take), user.username)
      metrics.note(info, kind, 101, 0, false)
      record?.ended(101)
    } catch (thrown) {
      const error = StatusError.from(thrown)
      if (error.code === 500 && !(thrown instanceof StatusError))
        log.error('an upgrade failed', { path: request.url, error: thrown })
      visited?.record?.responseObject(error.toStatus())
      visited?.record?.ended(error.code)
      if (writtenTo(socket) === before) refuseUpgrade(request, socket, error)
      else socket.destroy()
    } finally {
      stopped.removeEventListener('abort', end)
    }
  }

  return { request: answerRequest, upgrade }
}

const methodVerb = ({ method = 'GET' }: IncomingMessage): string =>
  method === 'HEAD' ? 'get' : method.toLowerCase()

const writtenTo = (socket: Duplex): number => (socket instanceof Socket ? socket.bytesWritten : 0)

function parseUrl(request: IncomingMessage): URL {
  try {
    return new URL(request.url ?? '/', 'http://localhost')
  } catch {
    throw badRequest('the path of the request cannot be read')
  }
}
