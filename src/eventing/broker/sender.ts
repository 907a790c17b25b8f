/**
 * Sends one message with an event and reads the whole answer: keep-alive connections, redirects as an ordinary client
 * follows them, a time limit for everything together, a bound for what an answer may be.
 */
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { rootCertificates } from 'node:tls'
import type { Clock } from '../../lib/clock.ts'
import type { Headers, Message } from '../cloudevents/http-binding.ts'
import type { Authorization } from './authorization/sending-tokens.ts'
import type { Destination } from './feed.ts'

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: Buffer
}

/** Why there was no answer. */
export class SendError extends Error {
  override readonly name = 'SendError'
}

export interface Sender extends Disposable {
  /** Rejects with SendError. */
  send(
    to: Destination,
    message: Message,
    options?: { readonly timeoutMs?: number; readonly signal?: AbortSignal },
  ): Promise<Answer>
}

/** Answers are events or a word about a failure. */
const maxAnswerBytes = 8 << 20
const maxRedirects = 10
/** Silence after which a subscriber is given up, where its delivery states no time. */
const longestMs = 15 * 60_000

export interface SenderOptions {
  readonly clock: Clock
  /** What goes along to destinations that ask who sends. Default: nothing. */
  readonly authorization?: (to: Destination) => Authorization
}

export function createSender({ clock, authorization }: SenderOptions): Sender {
  let turn = 0
  const plain = new HttpAgent({ keepAlive: true, maxFreeSockets: 256 })
  const secure = new HttpsAgent({ keepAlive: true, maxFreeSockets: 256 })

  function once(
    url: URL,
    to: Destination,
    { method, headers, body }: Outgoing,
    options: { readonly leftMs: number; readonly limitMs: number; readonly signal?: AbortSignal },
    fresh = false,
  ): Promise<Answer> {
    const tls = url.protocol === 'https:'
    return new Promise((resolve, reject) => {
      const port = Number(url.port) || (tls ? 443 : 80)
      const dial = to.dial?.[turn++ % Math.max(to.dial.length, 1)]
      if (to.dial && !dial) {
        reject(new SendError(`nobody serves ${url.host} at the moment: it has no ready pods`))
        return
      }
      const request = (tls ? httpsRequest : httpRequest)({
        method,
        host: dial?.host ?? url.hostname.replace(/^\[|\]$/g, ''),
        port: dial?.port ?? port,
        path: `${url.pathname}${url.search}`,
        agent: fresh ? false : tls ? secure : plain,
        setHost: false,
        headers: [
          'Host',
          url.host,
          ...(method === 'POST' ? ['Content-Length', String(body.length)] : []),
          ...headers.flat(),
        ],
        ...(tls && { servername: url.hostname }),
        ...(tls && to.caCerts !== undefined && { ca: [...rootCertificates, to.caCerts] }),
      })
      let answering = false
      const fail = (reason: string) => {
        request.destroy()
        end(() => reject(new SendError(reason)))
      }
      const end = (then: () => void) => {
        cancel()
        options.signal?.removeEventListener('abort', aborted)
        then()
      }
      const aborted = () => fail('stopped')
      const { leftMs, limitMs } = options
      const cancel = clock.after(leftMs, () => fail(lateBy(limitMs)))
      options.signal?.addEventListener('abort', aborted, { once: true })
      request.on('error', (error: NodeJS.ErrnoException) =>
        end(() => {
          // Its subscriber closed the connection while it was idle, and we did not know yet.
          if (request.reusedSocket && !answering && isHangUp(error))
            once(url, to, { method, headers, body }, options, true).then(resolve, reject)
          else reject(new SendError(reasonOf(error, url)))
        }),
      )
      request.on('upgrade', (_, socket) => {
        socket.destroy()
        fail('the answer is 101, a switch of protocols that nobody asked for')
      })
      request.on('response', (response) => {
        answering = true
        const chunks: Buffer[] = []
        let size = 0
        response.on('data', (chunk: Buffer) => {
          chunks.push(chunk)
          size += chunk.length
          if (size > maxAnswerBytes) fail(`the answer has more than ${maxAnswerBytes} bytes`)
        })
        response.on('error', (error) => fail(error.message))
        response.on('aborted', () => fail('the answer ended early'))
        response.on('end', () =>
          end(() => resolve({ ...answerHead(response), body: Buffer.concat(chunks) })),
        )
      })
      request.end(body)
    })
  }

  const authorized = (to: Destination, message: Message): Message => {
    if (to.account === undefined) return message
    const found = authorization?.(to)
    if (!found) return message
    if ('problem' in found) throw new SendError(found.problem)
    return { ...message, headers: [...message.headers, ['Authorization', found.header]] }
  }

  return {
    async send(first, message, { timeoutMs: limitMs = longestMs, signal } = {}) {
      const endMs = clock.monotonic() + limitMs
      let to = first
      let url = parseUrl(to.url)
      let outgoing: Outgoing = { method: 'POST', ...authorized(first, message) }
      for (let redirects = 0; ; redirects++) {
        const leftMs = endMs - clock.monotonic()
        if (leftMs <= 0) throw new SendError(lateBy(limitMs))
        const limits = { leftMs, limitMs, ...(signal && { signal }) }
        const answer = await once(url, to, outgoing, limits).catch((error: unknown) => {
          if (error instanceof SendError) throw error
          // What node:http does not take, as a character that no header may hold.
          throw new SendError(error instanceof Error ? error.message : 'unknown')
        })
        const location = answer.headers.find(([name]) => name === 'location')?.[1]
        if (![301, 302, 303, 307, 308].includes(answer.status) || location === undefined)
          return answer
        if (redirects === maxRedirects) throw new SendError(`more than ${maxRedirects} redirects`)
        const next = URL.parse(location, url.href)
        if (!next || !/^https?:$/.test(next.protocol))
          throw new SendError(`redirected to ${JSON.stringify(location.slice(0, 200))}`)
        outgoing = redirected(outgoing, answer.status, next.host === url.host)
        // Elsewhere, a name of this cluster no longer means the gateway.
        if (next.host !== url.host) to = { url: next.href }
        url = parseUrl(next.href)
      }
    },
    [Symbol.dispose]() {
      plain.destroy()
      secure.destroy()
    },
  }
}

interface Outgoing extends Message {
  readonly method: 'POST' | 'GET'
}

/**
 * What goes to where an answer sends us: the event again, so that none is lost; 303 says that it was taken, and where
 * its result is (RFC 9110, 15.4). A token is for whom it was made.
 */
function redirected(outgoing: Outgoing, status: number, sameHost: boolean): Outgoing {
  const { method, headers, body } = outgoing
  const kept = headers.filter(([name]) => sameHost || name.toLowerCase() !== 'authorization')
  if (status !== 303) return { method, headers: kept, body }
  const asks = kept.filter(([name]) => /^(authorization|traceparent|tracestate)$/i.test(name))
  return { method: 'GET', headers: asks, body: Buffer.alloc(0) }
}

const lateBy = (limitMs: number): string =>
  `no whole answer within ${limitMs} ms (context deadline exceeded)`

const isHangUp = ({ code }: NodeJS.ErrnoException): boolean =>
  code === 'ECONNRESET' || code === 'EPIPE'

/** What has no scheme of HTTP is taken for a host. */
function parseUrl(text: string): URL {
  if (/^https?:\/\//i.test(text) && URL.canParse(text)) return new URL(text)
  if (URL.canParse(`http://${text}/`)) return new URL(`http://${text}/`)
  throw new SendError(`${JSON.stringify(text)} is not a URL that events can be sent to`)
}

function answerHead(response: IncomingMessage): { status: number; headers: Headers } {
  const headers: [string, string][] = []
  const { rawHeaders } = response
  for (let i = 0; i + 1 < rawHeaders.length; i += 2)
    headers.push([(rawHeaders[i] ?? '').toLowerCase(), rawHeaders[i + 1] ?? ''])
  return { status: response.statusCode ?? 0, headers }
}

const reasonOf = (error: NodeJS.ErrnoException, url: URL): string =>
  error.code === 'ECONNREFUSED'
    ? `connection refused by ${url.host}`
    : error.code === 'ENOTFOUND'
      ? `no such host: ${url.hostname}`
      : error.message
