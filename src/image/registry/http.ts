/**
 * HTTP as registries need it: redirects followed with care, silence noticed, bodies as streams. What a server sends is
 * limited by whoever reads it. Authorization goes to the host it was meant for and to no other, and never from https
 * down to http (RFC 9110 15.4, and what distribution's own client does).
 */
import { readFileSync } from 'node:fs'
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { pipeline } from 'node:stream/promises'
import { getCACertificates } from 'node:tls'
import type { Clock } from '../../lib/clock.ts'
import type { RegistryAccess } from '../../lib/registries.ts'
import { isLoopback } from './endpoints.ts'
import { connectionProblem, RegistryError } from './registry-error.ts'

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH'
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
  /** A larger body; opened again where the request is sent again. */
  readonly content?: HttpContent
  readonly signal?: AbortSignal | undefined
}

export interface HttpContent {
  readonly sizeBytes: number
  readonly open: () => AsyncIterable<Uint8Array>
}

export interface HttpAnswer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  /** Host that answered, after redirects. */
  readonly host: string
  /** The body as it comes; rejects with RegistryError when it breaks off or stalls. To be read or discarded. */
  readonly body: AsyncIterable<Uint8Array>
  discard(): void
}

export interface HttpClient extends Disposable {
  /** Rejects with RegistryError `unreachable` or `invalid`. Any status is an answer, but for redirects. */
  send(request: HttpRequest): Promise<HttpAnswer>
}

export interface HttpClientOptions {
  readonly clock: Clock
  /** How a host is reached. */
  readonly accessOf: (host: string) => RegistryAccess
  /** Longest wait for an answer or for the next KiB of a body. Default 30 s. */
  readonly stallMs?: number
  /** HTTP_PROXY, HTTPS_PROXY and NO_PROXY, as environments have them. Not used for this machine. */
  readonly proxy?: Readonly<Record<string, string | undefined>>
}

const maxRedirects = 5
const redirectStatus = new Set([301, 302, 303, 307, 308])
/** Whoever sends less than this within a stall time sends nothing. */
const crawlBytes = 1024
const socketsPerHost = 8

/** This machine, and the addresses that only machines' own services have: no stranger has business there. */
function isInside(url: URL): boolean {
  const { hostname } = url // in its shortest form: 0x7f.1 is 127.0.0.1 here
  return (
    isLoopback(hostname) ||
    /^(0\.|169\.254\.)[\d.]+$/.test(hostname) ||
    /^\[(::|::ffff:7f[\da-f]{2}:[\da-f]+|::ffff:a9fe:[\da-f]+|fe[89ab][\da-f]:.*)\]$/.test(hostname)
  )
}

/**
 * Where a redirect leads and with what: without Authorization for another origin, and not at all with a body, which has
 * secrets in it. Throws RegistryError for one that must not be followed. Pure.
 */
export function redirected(
  { url, headers, ...rest }: HttpRequest,
  location: string | undefined,
): HttpRequest {
  const from = new URL(url)
  const to = location === undefined ? null : URL.parse(location, url)
  const refuse = (why: string): never => {
    throw new RegistryError('invalid', `${from.host} redirects ${why}`)
  }
  if (!to) return refuse('to nowhere')
  if (to.protocol !== 'https:' && to.protocol !== 'http:') return refuse(`to ${to.protocol}`)
  if (from.protocol === 'https:' && to.protocol === 'http:')
    return refuse(`from https to http://${to.host}, which is not followed`)
  if (to.username !== '' || to.password !== '') return refuse('to a URL with a password')
  if (isInside(to) && !isInside(from))
    return refuse(`to ${to.host}, which is no place outside of this machine`)
  const hasBody = rest.body !== undefined || rest.content !== undefined
  if (hasBody && to.origin !== from.origin)
    return refuse(`a request with secrets to ${to.host}, which is not followed`)
  const { authorization: _, ...without } = headers
  return { ...rest, url: to.href, headers: to.origin === from.origin ? headers : without }
}

export function createHttpClient({
  clock,
  accessOf,
  stallMs = 30_000,
  proxy = {},
}: HttpClientOptions): HttpClient {
  const agents = new Map<string, HttpAgent>()
  const stopped = new AbortController()
  const seconds = stallMs / 1000

  /** One for each way to be reached. */
  const agentOf = (url: URL): HttpAgent => {
    const secure = url.protocol === 'https:'
    const tls = secure ? accessOf(url.host).tls : undefined
    const proxied = !isLoopback(url.host)
    const key = JSON.stringify([tls, proxied])
    let agent = agents.get(key)
    if (!agent) {
      const common = {
        keepAlive: true,
        maxSockets: socketsPerHost,
        ...(proxied && { proxyEnv: { ...proxy } }),
      }
      agent = tls ? new HttpsAgent({ ...common, ...tlsOptions(tls) }) : new HttpAgent(common)
      agents.set(key, agent)
    }
    return agent
  }

  const once = ({
    method,
    url,
    headers,
    body,
    content,
    signal,
  }: HttpRequest): Promise<HttpAnswer> =>
    new Promise((resolve, reject) => {
      const target = new URL(url)
      const open = target.protocol === 'https:' ? httpsRequest : httpRequest
      const signals = [stopped.signal, ...(signal ? [signal] : [])]
      const request = open(target, {
        method,
        headers: {
          'user-agent': 'ebb',
          'accept-encoding': 'identity',
          ...headers,
          ...(body !== undefined && { 'content-length': String(Buffer.byteLength(body)) }),
          ...(content && { 'content-length': String(content.sizeBytes) }),
        },
        agent: agentOf(target),
        signal: AbortSignal.any(signals),
      })
      const wait = () =>
        clock.after(stallMs, () =>
          request.destroy(
            new RegistryError('unreachable', `${target.host} gave no answer within ${seconds} s`),
          ),
        )
      let cancel = wait()
      request.once('response', (response) => {
        cancel()
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          host: target.host,
          body: watched(response, target.host),
          discard: () => void response.destroy(),
        })
      })
      request.once('error', (error) => {
        cancel()
        reject(toRegistryError(error, target.host))
      })
      if (!content) return void request.end(body)
      const sent = async function* () {
        for await (const chunk of content.open()) {
          yield chunk
          // Taken: whoever takes something is there.
          cancel()
          cancel = wait()
        }
      }
      let isAnswered = false
      request.once('response', () => (isAnswered = true))
      pipeline(sent, request).catch((error: unknown) => {
        cancel()
        // An answer that comes before the end of the body says more than the broken body.
        if (!isAnswered) reject(toRegistryError(error, target.host))
      })
    })

  /** The body; a crawl counts as silence. */
  async function* watched(response: IncomingMessage, host: string): AsyncGenerator<Uint8Array> {
    let seen = 0
    let cancel = () => {}
    const watch = () => {
      cancel = clock.after(stallMs, () => {
        if (seen >= crawlBytes) {
          seen = 0
          return watch()
        }
        response.destroy(
          new RegistryError('unreachable', `${host} sent nothing more for ${seconds} s`),
        )
      })
    }
    watch()
    try {
      for await (const chunk of response) {
        if (!(chunk instanceof Uint8Array)) continue
        seen += chunk.length
        yield chunk
      }
    } catch (error) {
      throw toRegistryError(error, host)
    } finally {
      cancel()
    }
  }

  return {
    async send(request) {
      let next = request
      for (let hops = 0; ; hops++) {
        const answer = await once(next)
        if (!redirectStatus.has(answer.status)) return answer
        answer.discard()
        if (hops === maxRedirects)
          throw new RegistryError('invalid', `${answer.host} redirects in circles`)
        next = redirected(next, answer.headers.location)
      }
    },
    [Symbol.dispose]() {
      stopped.abort()
      for (const agent of agents.values()) agent.destroy()
    },
  }
}

function tlsOptions(tls: RegistryAccess['tls']) {
  const read = (path: string): string => {
    try {
      return readFileSync(path, 'utf8')
    } catch (error) {
      throw new RegistryError('unreachable', `${path} can't be read: ${String(error)}`)
    }
  }
  const ca = tls.ca ?? (tls.caFile === undefined ? undefined : read(tls.caFile))
  return {
    rejectUnauthorized: !tls.insecureSkipVerify,
    ...(ca !== undefined && { ca: [...getCACertificates('default'), ca] }),
    ...(tls.certFile !== undefined && { cert: read(tls.certFile) }),
    ...(tls.keyFile !== undefined && { key: read(tls.keyFile) }),
  }
}

function toRegistryError(error: unknown, host: string): RegistryError {
  if (error instanceof RegistryError) return error
  return new RegistryError('unreachable', `${host} can't be reached: ${connectionProblem(error)}`, {
    cause: error,
  })
}

/** All of a body as text. Throws RegistryError when there is more of it than `limitBytes`. */
export async function readBody(answer: HttpAnswer, limitBytes: number): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of answer.body) {
    size += chunk.length
    if (size > limitBytes) {
      answer.discard()
      throw new RegistryError(
        'invalid',
        `${answer.host} sent more than the ${limitBytes} bytes that are accepted`,
      )
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
