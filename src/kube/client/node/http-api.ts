/**
 * The `Api` seam over HTTPS, to any Kubernetes API server. Node's own client with kept-alive connections; watches have
 * connections of their own, so that a long list never waits behind them. Paths, parameters and content types are
 * Kubernetes' own.
 */
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { text } from 'node:stream/consumers'
import type { Api, ApiRequest, ApiResponse, PatchType, Verb } from '../../api/protocol.ts'
import { StatusError, type Status } from '../../api/status-error.ts'
import { watchEvents } from './watch-stream.ts'

export interface HttpApiOptions {
  /** `https://127.0.0.1:6443`, optionally with a path before `/api`. */
  readonly server: string
  /** PEM texts. */
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  /** A function is asked before each request: a token in a file is renewed. */
  readonly token?: string | (() => string | undefined)
  readonly insecureSkipTlsVerify?: boolean
  readonly tlsServerName?: string
  readonly userAgent?: string
}

const methods: Record<Verb, string> = {
  get: 'GET',
  list: 'GET',
  watch: 'GET',
  create: 'POST',
  update: 'PUT',
  patch: 'PATCH',
  delete: 'DELETE',
  deletecollection: 'DELETE',
}

const patchTypes: Record<PatchType, string> = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
}

/** A connection silent for this long while an answer is due is given up. Watches may be silent. */
const idleMs = 60_000
const keepAliveMs = 30_000

/** An Api that asks `server`. The user of a request is ignored: the credential says who asks. Dispose to end all connections. */
export function httpApi(options: HttpApiOptions): Api & AsyncDisposable {
  const base = new URL(options.server)
  const secure = base.protocol === 'https:'
  const root = base.pathname.replace(/\/$/, '')
  const { ca, cert, key, tlsServerName } = options
  const agentOptions = {
    keepAlive: true,
    keepAliveMsecs: keepAliveMs,
    ...(ca && { ca }),
    ...(cert && { cert }),
    ...(key && { key }),
    ...(tlsServerName && { servername: tlsServerName }),
    ...(options.insecureSkipTlsVerify && { rejectUnauthorized: false }),
  }
  const newAgent = (maxSockets: number) =>
    secure
      ? new HttpsAgent({ ...agentOptions, maxSockets })
      : new HttpAgent({ keepAlive: true, keepAliveMsecs: keepAliveMs, maxSockets })
  const agent = newAgent(16)
  const watchAgent = newAgent(Infinity)
  const stop = new AbortController()

  const send = (request: ApiRequest, again = false): Promise<IncomingMessage> => {
    const body = bodyOf(request)
    const token = typeof options.token === 'function' ? options.token() : options.token
    const watching = request.verb === 'watch'
    const signal = request.signal
      ? AbortSignal.any([request.signal, stop.signal])
      : watching
        ? stop.signal
        : undefined
    return new Promise((resolve, reject) => {
      const outgoing = (secure ? httpsRequest : httpRequest)({
        host: base.hostname.replace(/^\[|\]$/g, ''),
        port: base.port || (secure ? 443 : 80),
        method: methods[request.verb],
        path: root + pathOf(request),
        agent: watching ? watchAgent : agent,
        headers: {
          accept: 'application/json',
          'user-agent': options.userAgent ?? 'ebb',
          ...(token && { authorization: `Bearer ${token}` }),
          ...(body !== undefined && {
            'content-type': request.patchType ? patchTypes[request.patchType] : 'application/json',
            'content-length': Buffer.byteLength(body),
          }),
        },
        ...(signal && { signal }),
      })
      outgoing.setNoDelay(true)
      outgoing.on('response', resolve)
      outgoing.on('error', (error) => {
        // A kept-alive connection may end just when it is used again; a read then simply asks anew.
        const ended = outgoing.reusedSocket && 'code' in error && error.code === 'ECONNRESET'
        if (ended && !again && methods[request.verb] === 'GET') resolve(send(request, true))
        else reject(unreachable(options.server, error))
      })
      if (watching) outgoing.on('socket', (socket) => socket.setKeepAlive(true, keepAliveMs))
      else {
        outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer for ${idleMs} ms`)))
        outgoing.setTimeout(idleMs)
      }
      outgoing.end(body)
    })
  }

  return {
    async handle(request: ApiRequest): Promise<ApiResponse> {
      const response = await send(request)
      const code = response.statusCode ?? 0
      const warnings = warningsOf(response)
      if (request.verb === 'watch' && code === 200)
        return { code, events: watchEvents(response, options.server, request.signal), warnings }
      const answer = await read(response, options.server)
      if (code >= 200 && code < 300) return { code, body: parse(answer), warnings }
      throw refusal(code, answer, response)
    },
    async [Symbol.asyncDispose]() {
      stop.abort()
      agent.destroy()
      watchAgent.destroy()
    },
  }
}

/** `/apis/<group>/<version>/namespaces/<ns>/<plural>/<name>/<sub>?…` */
export function pathOf(request: ApiRequest): string {
  const { group, version, namespace, resource, name, subresource } = request
  const segments = [
    ...(group ? ['apis', group, version] : ['api', version]),
    ...(namespace ? ['namespaces', namespace] : []),
    resource,
    ...(name ? [name] : []),
    ...(name && subresource ? [subresource] : []),
  ]
  const path = `/${segments.map(encodeURIComponent).join('/')}`
  const query = queryOf(request).toString()
  return query ? `${path}?${query}` : path
}

function queryOf({ verb, options }: ApiRequest): URLSearchParams {
  const query = new URLSearchParams()
  if (verb === 'watch') query.set('watch', 'true')
  const { dryRun, ...rest } = options
  if (dryRun && !isDelete(verb)) query.set('dryRun', 'All')
  for (const [name, value] of Object.entries(rest)) {
    if (value === undefined || typeof value === 'object' || inBody.has(name)) continue
    query.set(name, String(value))
  }
  return query
}

const isDelete = (verb: Verb) => verb === 'delete' || verb === 'deletecollection'

/** Options of a DELETE travel in its body. */
const inBody = new Set(['propagationPolicy', 'gracePeriodSeconds', 'preconditions'])

function bodyOf({ verb, options, body }: ApiRequest): string | undefined {
  if (!isDelete(verb)) return body === undefined ? undefined : JSON.stringify(body)
  const { propagationPolicy, gracePeriodSeconds, preconditions, dryRun } = options
  return JSON.stringify({
    kind: 'DeleteOptions',
    apiVersion: 'v1',
    propagationPolicy,
    gracePeriodSeconds,
    preconditions,
    ...(dryRun && { dryRun: ['All'] }),
  })
}

/** Texts of `Warning: 299 - "text"` headers. */
function warningsOf(response: IncomingMessage): readonly string[] {
  const texts: string[] = []
  for (const header of response.headersDistinct.warning ?? []) {
    for (const [, quoted = ''] of header.matchAll(/299 \S+ "((?:[^"\\]|\\.)*)"/g))
      texts.push(quoted.replace(/\\(.)/g, '$1'))
  }
  return texts
}

async function read(response: IncomingMessage, server: string): Promise<string> {
  try {
    return await text(response)
  } catch (error) {
    throw unreachable(server, error)
  }
}

function parse(answer: string): unknown {
  try {
    return JSON.parse(answer)
  } catch (error) {
    const start = answer.slice(0, 100)
    throw new StatusError(
      'InternalError',
      `the server's answer is not JSON: ${start}`,
      {},
      { cause: error },
    )
  }
}

function refusal(code: number, answer: string, response: IncomingMessage): StatusError {
  let status: Partial<Status> = {}
  try {
    status = JSON.parse(answer)
  } catch {
    status = { message: answer.trim().slice(0, 1_000) }
  }
  if (typeof status !== 'object' || status === null) status = {}
  const retryAfter = Number(response.headers['retry-after'])
  if (Number.isFinite(retryAfter) && status.details?.retryAfterSeconds === undefined)
    status = { ...status, details: { ...status.details, retryAfterSeconds: retryAfter } }
  return StatusError.fromStatus(status, code)
}

/** The connection failed: nothing is known about the request. */
const unreachable = (server: string, cause: unknown): StatusError => {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new StatusError(
    'ServiceUnavailable',
    `can't reach the API server at ${server}: ${why}`,
    {},
    { cause },
  )
}
