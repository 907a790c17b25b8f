/**
 * Sends one message with an event and reads the whole answer: keep-alive connections, redirects as an ordinary client
 * follows them, a time limit for everything together, a bound for what an answer may be.
 */
import type { Clock } from '../../../lib/clock.ts'
import {
  BufferedClient,
  ClientTimeout,
  type Endpoint,
  type ExchangeOptions,
} from '../../../lib/http1/buffered-client.ts'
import type { Headers, Message } from '../../cloudevents/http-binding.ts'
import type { Authorization } from '../authorization/sending-tokens.ts'
import type { Destination } from '../feed.ts'

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: Buffer
  /** The body is the beginning of a longer one. */
  readonly cut?: true
}

/** Why there was no answer. */
export class SendError extends Error {
  override readonly name = 'SendError'
}

interface SendOptions {
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
  /** A redirect is an answer like any other; default: it is followed. */
  readonly redirects?: 'returned'
  /** Of an answer that is too long its beginning counts; default: it is none. */
  readonly tooLong?: 'cut'
}

export interface Sender extends Disposable {
  /** Rejects with SendError. */
  send(to: Destination, message: Message, options?: SendOptions): Promise<Answer>
}

/** Answers are events or a word about a failure. */
const maxAnswerBytes = 8 << 20
export const tooLongAnswer = `the answer has more than ${maxAnswerBytes} bytes`
const maxRedirects = 10
/** Silence after which a subscriber is given up, where its delivery states no time. */
const longestMs = 15 * 60_000

export interface SenderOptions {
  readonly clock: Clock
  /** What goes along to destinations that ask who sends. Default: nothing. */
  readonly authorization?: (to: Destination) => Authorization
  /** Certificates to trust besides the usual ones, PEM. */
  readonly trusted?: () => string | undefined
}

export function createSender({ clock, authorization, trusted }: SenderOptions): Sender {
  let turn = 0
  const client = new BufferedClient({ clock, maxAnswerBytes })

  function once(
    url: URL,
    to: Destination,
    { method, headers, body }: Outgoing,
    options: ExchangeOptions,
  ): Promise<Answer> {
    const dial = to.dial?.[turn++ % Math.max(to.dial.length, 1)]
    if (to.dial && !dial)
      throw new SendError(`nobody serves ${url.host} at the moment: it has no ready pods`)
    const target = `${url.pathname}${url.search}`
    const request = { method, target, headers: [['Host', url.host] as const, ...headers], body }
    return client.exchange(endpointOf(url, to, dial, trusted?.()), request, options)
  }

  const authorized = (to: Destination, message: Message): Message => {
    if (to.account === undefined) return message
    const found = authorization?.(to)
    if (!found) return message
    if ('problem' in found) throw new SendError(found.problem)
    return { ...message, headers: [...message.headers, ['Authorization', found.header]] }
  }

  return {
    async send(first, message, options = {}) {
      const { timeoutMs: limitMs = longestMs, signal, redirects: kept, tooLong } = options
      const endMs = clock.monotonic() + limitMs
      let to = first
      let url = parseUrl(to.url)
      let outgoing: Outgoing = { method: 'POST', ...named(url, authorized(first, message)) }
      for (let redirects = 0; ; redirects++) {
        const leftMs = endMs - clock.monotonic()
        if (leftMs <= 0) throw new SendError(lateBy(limitMs))
        let answer: Answer
        try {
          answer = await once(url, to, outgoing, { limitMs: leftMs, ...(signal && { signal }) })
        } catch (error) {
          throw failed(error, url, limitMs)
        }
        if (answer.cut && tooLong !== 'cut') throw new SendError(tooLongAnswer)
        if (answer.status < 300 || answer.status > 399 || kept === 'returned') return answer
        const location = answer.headers.find(([name]) => name === 'location')?.[1]
        if (![301, 302, 303, 307, 308].includes(answer.status) || location === undefined)
          return answer
        if (redirects === maxRedirects) throw new SendError(`more than ${maxRedirects} redirects`)
        const next = URL.parse(location, url.href)
        if (!next || !/^https?:$/.test(next.protocol))
          throw new SendError(`redirected to ${JSON.stringify(location.slice(0, 200))}`)
        outgoing = redirected(outgoing, answer.status, isAsSafe(url, next))
        // Elsewhere, a name of this cluster no longer means the gateway.
        if (next.host !== url.host) to = { url: next.href }
        url = parseUrl(next.href)
      }
    },
    [Symbol.dispose]() {
      client[Symbol.dispose]()
    },
  }
}

/** A name and a password in the URL are sent as any client does (RFC 7617), where no token is. */
function named(url: URL, message: Message): Message {
  if (url.username === '' && url.password === '') return message
  if (message.headers.some(([name]) => name.toLowerCase() === 'authorization')) return message
  const words = Buffer.from(`${decoded(url.username)}:${decoded(url.password)}`).toString('base64')
  return { ...message, headers: [...message.headers, ['Authorization', `Basic ${words}`]] }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
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

/** The same host, and not in the clear where it was not before. */
const isAsSafe = (from: URL, to: URL): boolean =>
  from.host === to.host && (from.protocol === to.protocol || to.protocol === 'https:')

const lateBy = (limitMs: number): string =>
  `no whole answer within ${limitMs} ms (context deadline exceeded)`

/** Of destinations, which are few; a URL is never changed. */
const parsedUrls = new Map<string, URL>()
const maxParsedUrls = 10_000

/** What has no scheme of HTTP is taken for a host. */
function parseUrl(text: string): URL {
  const known = parsedUrls.get(text)
  if (known) return known
  const url = URL.parse(/^https?:\/\//i.test(text) ? text : `http://${text}/`)
  if (!url) throw new SendError(`${JSON.stringify(text)} is not a URL that events can be sent to`)
  if (parsedUrls.size >= maxParsedUrls) parsedUrls.clear()
  parsedUrls.set(text, url)
  return url
}

/** TLS goes by the URL's name, whoever is dialled for it. */
function endpointOf(
  url: URL,
  { caCerts }: Destination,
  dial: { readonly host: string; readonly port: number } | undefined,
  trusted: string | undefined,
): Endpoint {
  const secure = url.protocol === 'https:'
  const name = url.hostname.replace(/^\[|\]$/g, '')
  const extraCa = [caCerts, trusted].filter((each) => each !== undefined).join('\n')
  return {
    host: dial?.host ?? name,
    port: dial?.port ?? (Number(url.port) || (secure ? 443 : 80)),
    ...(secure && { tls: { name, ...(extraCa !== '' && { extraCa }) } }),
  }
}

function failed(error: unknown, url: URL, limitMs: number): SendError {
  if (error instanceof SendError) return error
  if (error instanceof ClientTimeout) return new SendError(lateBy(limitMs))
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'ECONNREFUSED') return new SendError(`connection refused by ${url.host}`)
  if (code === 'ENOTFOUND') return new SendError(`no such host: ${url.hostname}`)
  return new SendError(error instanceof Error ? error.message : 'unknown')
}
