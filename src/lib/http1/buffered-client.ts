/**
 * A small HTTP/1.1 client for messages that are taken whole: a request with its body in one buffer, its answer likewise,
 * on connections that are kept. On node:net with our own parser, as node:http costs several times as much a request.
 * A connection that its server had closed while it lay idle, which nobody can know before the next request, costs a
 * second connection and no failure.
 */
import { connect as connectPlain, type Socket } from 'node:net'
import { connect as connectSecure, rootCertificates } from 'node:tls'
import type { Clock } from '../clock.ts'
import { Deadline } from '../deadline.ts'
import { Body, responseFraming } from './body.ts'
import { tokenLower, valueByte } from './fields.ts'
import {
  checkPartialHead,
  findHeadEnd,
  headersOf,
  parseResponseHead,
  type ResponseHead,
} from './head.ts'

export interface Endpoint {
  readonly host: string
  readonly port: number
  /** HTTPS: the name that the certificate must have, and who else may have signed it (PEM). */
  readonly tls?: { readonly name: string; readonly extraCa?: string }
}

export interface ClientRequest {
  readonly method: string
  /** Path and query. */
  readonly target: string
  /** Host among them; Content-Length is added, but for GET. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly body: Buffer
}

export interface ClientAnswer {
  readonly status: number
  /** Names in lower case. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly body: Buffer
  /** The body is longer than what is read of one; this is its beginning. */
  readonly cut?: true
}

export interface BufferedClientOptions {
  readonly clock: Clock
  /** Of one body; what is longer is cut. */
  readonly maxAnswerBytes: number
  /** Connections that are kept while nobody needs them. Default 1,024. */
  readonly maxIdle?: number
}

export interface ExchangeOptions {
  /** For all of it, milliseconds. */
  readonly limitMs: number
  readonly signal?: AbortSignal
}

/** There was no whole answer in time. */
export class ClientTimeout extends Error {
  override readonly name = 'ClientTimeout'
}

/** The connection was closed before an answer began, and was used before. */
class StaleConnection extends Error {}

const maxHeadBytes = 64 << 10
const maxFields = 200
/** Longer than this nobody keeps a connection that is not used. */
const idleMs = 60_000
/** Bodies up to this size go out in one piece with their head. */
const smallBytes = 16 << 10
/** Pieces of a body are put together when they are so many. */
const manyPieces = 1024

export class BufferedClient implements Disposable {
  readonly #options: BufferedClientOptions
  /** Idle ones by endpoint, the one used last at the end. */
  readonly #idle = new Map<string, Connection[]>()
  #idleCount = 0
  readonly #busy = new Set<Connection>()
  readonly #bySignal = new WeakMap<AbortSignal, Set<Connection>>()
  #closed = false

  constructor(options: BufferedClientOptions) {
    this.#options = options
  }

  /** Rejects with ClientTimeout, the error of the socket, or one that says what was wrong with the answer. */
  exchange(
    endpoint: Endpoint,
    request: ClientRequest,
    { limitMs, signal }: ExchangeOptions,
  ): Promise<ClientAnswer> {
    return new Promise((resolve, reject) => {
      checkHeaders(request.headers)
      if (signal?.aborted) throw new Error('stopped')
      const key = keyOf(endpoint)
      const { clock } = this.#options
      const startMs = clock.monotonic()
      const stopped = signal && this.#stopped(signal)
      const begin = (connection: Connection, leftMs: number) => {
        stopped?.add(connection)
        connection.begin({
          request,
          limitMs: leftMs,
          end: (result) => {
            stopped?.delete(connection)
            if (!(result instanceof Error)) resolve(result)
            else if (!(result instanceof StaleConnection)) reject(result)
            else if (this.#closed) reject(new Error('stopped'))
            else begin(this.#open(endpoint, key), limitMs - (clock.monotonic() - startMs))
          },
        })
      }
      begin(this.#take(key) ?? this.#open(endpoint, key), limitMs)
    })
  }

  /** Whose exchanges a signal stops: one listener for all of them. */
  #stopped(signal: AbortSignal): Set<Connection> {
    const known = this.#bySignal.get(signal)
    if (known) return known
    const connections = new Set<Connection>()
    this.#bySignal.set(signal, connections)
    signal.addEventListener(
      'abort',
      () => {
        for (const each of connections) each.stop()
      },
      { once: true },
    )
    return connections
  }

  #open(endpoint: Endpoint, key: string): Connection {
    if (this.#closed) throw new Error('stopped')
    const connection: Connection = new Connection(endpoint, this.#options, {
      free: (ms) => this.#keep(key, connection, ms),
      closed: () => this.#forget(key, connection),
    })
    this.#busy.add(connection)
    return connection
  }

  #take(key: string): Connection | undefined {
    const list = this.#idle.get(key)
    for (let connection; (connection = list?.pop());) {
      this.#idleCount--
      if (connection.destroyed) continue
      this.#busy.add(connection)
      return connection
    }
    return undefined
  }

  #keep(key: string, connection: Connection, ms: number): void {
    this.#busy.delete(connection)
    if (this.#closed || ms <= 0 || this.#idleCount >= (this.#options.maxIdle ?? 1024))
      return connection.destroy()
    const list = this.#idle.get(key)
    if (list) list.push(connection)
    else this.#idle.set(key, [connection])
    this.#idleCount++
    connection.rest(ms)
  }

  #forget(key: string, connection: Connection): void {
    this.#busy.delete(connection)
    const list = this.#idle.get(key)
    if (!list) return
    const at = list.indexOf(connection)
    if (at >= 0) {
      list.splice(at, 1)
      this.#idleCount--
    }
    // Pods come and go, and with them endpoints.
    if (list.length === 0) this.#idle.delete(key)
  }

  [Symbol.dispose](): void {
    this.#closed = true
    for (const list of this.#idle.values()) for (const each of list) each.destroy()
    for (const each of this.#busy) each.destroy()
  }
}

const keyOf = ({ host, port, tls }: Endpoint): string =>
  tls ? `${host} ${port} ${tls.name} ${tls.extraCa ?? ''}` : `${host} ${port}`

interface Pool {
  /** It may be used again, within so many milliseconds. */
  readonly free: (ms: number) => void
  readonly closed: () => void
}

interface Exchange {
  readonly request: ClientRequest
  readonly limitMs: number
  /** Called once. */
  readonly end: (result: ClientAnswer | Error) => void
}

/** One request at a time. */
class Connection {
  readonly #socket: Socket
  readonly #options: BufferedClientOptions
  readonly #pool: Pool
  readonly #deadline: Deadline
  #exchange: Exchange | undefined
  /** Answers that it gave. */
  #served = 0
  #bytes: Buffer = none
  /** Bytes of it in which no head ends. */
  #searched = 0
  /** Of answers that are none yet: 1xx. */
  #preludeBytes = 0
  #head: ResponseHead | undefined
  #body: Body | undefined
  #chunks: Buffer[] = []
  /** At the end of `#chunks`, perhaps small. */
  #pieces = 0
  #size = 0

  constructor({ host, port, tls }: Endpoint, options: BufferedClientOptions, pool: Pool) {
    this.#options = options
    this.#pool = pool
    this.#deadline = new Deadline(options.clock, () => this.#late())
    const common = { host, port }
    this.#socket = tls
      ? connectSecure({
          ...common,
          servername: tls.name,
          ...(tls.extraCa !== undefined && { ca: [...rootCertificates, tls.extraCa] }),
        })
      : connectPlain(common)
    this.#socket.setNoDelay(true)
    this.#socket.on('data', (bytes: Buffer) => this.#data(bytes))
    this.#socket.on('end', () => this.#ended())
    this.#socket.on('error', (error) => this.#fail(error))
    this.#socket.on('close', () => {
      this.#fail(new Error('socket hang up'))
      this.#deadline[Symbol.dispose]()
      pool.closed()
    })
  }

  begin(exchange: Exchange): void {
    this.#exchange = exchange
    this.#deadline.set(exchange.limitMs)
    this.#send(exchange.request)
  }

  #send({ method, target, headers, body }: ClientRequest): void {
    let text = `${method} ${target} HTTP/1.1\r\n`
    for (const [name, value] of headers) text += `${name}: ${value}\r\n`
    if (method !== 'GET') text += `Content-Length: ${body.length}\r\n`
    text += '\r\n'
    if (body.length > smallBytes) {
      this.#socket.cork()
      this.#socket.write(text, 'latin1')
      this.#socket.write(body)
      this.#socket.uncork()
      return
    }
    const message = Buffer.allocUnsafe(text.length + body.length)
    message.write(text, 0, 'latin1')
    body.copy(message, text.length)
    this.#socket.write(message)
  }

  #data(bytes: Buffer): void {
    // Nobody asked: what would come next can't be told apart from it.
    if (!this.#exchange) return this.destroy()
    this.#bytes = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes])
    try {
      while (this.#bytes.length > 0 && (this.#head ? this.#readBody() : this.#readHead()));
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error('malformed answer'))
    }
  }

  #readHead(): boolean {
    const end = findHeadEnd(this.#bytes, Math.max(this.#searched - 3, 0))
    if (this.#preludeBytes + (end < 0 ? this.#bytes.length : end) > maxHeadBytes)
      throw new Error(`the head of the answer has more than ${maxHeadBytes} bytes`)
    if (end < 0) {
      if (!'HTTP/1.'.startsWith(this.#bytes.toString('latin1', 0, 7)))
        throw new Error('the answer is not HTTP/1.1')
      const from = this.#searched
      understood(() => checkPartialHead(this.#bytes, from, this.#bytes.length))
      this.#searched = this.#bytes.length
      return false
    }
    const head = understood(() => parseResponseHead(this.#bytes, 0, end, maxFields))
    this.#bytes = this.#bytes.subarray(end)
    this.#searched = 0
    if (head.status === 101)
      throw new Error('the answer is 101, a switch of protocols that nobody asked for')
    if (head.status < 200) {
      this.#preludeBytes += end
      return true
    }
    this.#head = head
    this.#body = new Body(
      responseFraming(head, this.#exchange?.request.method ?? ''),
      head.contentLength,
    )
    if (this.#body.done) this.#complete(head)
    return true
  }

  #readBody(): boolean {
    const { maxAnswerBytes } = this.#options
    const body = this.#body
    const head = this.#head
    if (!body || !head) return false
    const end = body.advance(this.#bytes, 0, (bytes, start, stop) => {
      this.#size += stop - start
      this.#chunks.push(bytes.subarray(start, stop))
      // Each piece costs more than what is in the smallest of chunks.
      if (++this.#pieces === manyPieces) {
        this.#chunks.push(Buffer.concat(this.#chunks.splice(-manyPieces)))
        this.#pieces = 0
      }
    })
    this.#bytes = this.#bytes.subarray(end)
    if (this.#size > maxAnswerBytes) this.#cut(head, maxAnswerBytes)
    else if (body.done) this.#complete(head)
    return true
  }

  /** Nobody reads on: what comes next on this connection would be more of the same. */
  #cut(head: ResponseHead, bytes: number): void {
    const exchange = this.#exchange
    const body = Buffer.concat(this.#chunks, bytes)
    this.#reset()
    this.destroy()
    exchange?.end({ status: head.status, headers: headersOf(head), body, cut: true })
  }

  #ended(): void {
    if (this.#head && this.#body?.framing === 'close') this.#complete(this.#head)
    else this.#fail(new Error(this.#begun ? 'the answer ended early' : 'socket hang up'))
  }

  get #begun(): boolean {
    return this.#head !== undefined || this.#bytes.length > 0 || this.#preludeBytes > 0
  }

  #complete(head: ResponseHead): void {
    const exchange = this.#exchange
    if (!exchange) return
    const body = this.#chunks.length === 1 ? (this.#chunks[0] ?? none) : Buffer.concat(this.#chunks)
    const answer = { status: head.status, headers: headersOf(head), body }
    // Who answers before it has read everything may not read the next request where it begins.
    const whole = this.#bytes.length === 0 && this.#socket.writableLength === 0
    const again = head.keepAlive && this.#body?.framing !== 'close' && whole
    this.#reset()
    this.#deadline.clear()
    this.#served++
    if (again)
      this.#pool.free(
        head.keepAliveSeconds < 0 ? idleMs : Math.min((head.keepAliveSeconds - 1) * 1000, idleMs),
      )
    else this.destroy()
    exchange.end(answer)
  }

  #reset(): void {
    this.#exchange = undefined
    this.#head = undefined
    this.#body = undefined
    this.#bytes = none
    this.#searched = 0
    this.#preludeBytes = 0
    this.#chunks = []
    this.#pieces = 0
    this.#size = 0
  }

  #fail(error: Error): void {
    const exchange = this.#exchange
    const stale = this.#served > 0 && !this.#begun && isHangUp(error)
    this.#reset()
    this.destroy()
    exchange?.end(stale ? new StaleConnection() : error)
  }

  #late(): void {
    const { limitMs } = this.#exchange ?? {}
    this.#fail(new ClientTimeout(`no whole answer within ${limitMs} ms`))
  }

  stop(): void {
    this.#fail(new Error('stopped'))
  }

  /** Nobody needs it for now; it is closed after so many milliseconds. */
  rest(ms: number): void {
    this.#deadline.set(ms)
  }

  get destroyed(): boolean {
    return this.#socket.destroyed
  }

  destroy(): void {
    this.#socket.destroy()
  }
}

const none: Buffer = Buffer.alloc(0)

function understood<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw new Error(
      `the answer is not HTTP/1.1: ${error instanceof Error ? error.message : 'malformed'}`,
    )
  }
}

const isHangUp = (error: Error): boolean =>
  error.message === 'socket hang up' ||
  ('code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE'))

/** Whatever a name or value has in it, it must not become a second line. */
function checkHeaders(headers: ClientRequest['headers']): void {
  for (const [name, value] of headers) {
    for (let i = 0; i < name.length; i++)
      if (!tokenLower[name.charCodeAt(i)])
        throw new Error(`Header name must be a valid HTTP token [${JSON.stringify(name)}]`)
    for (let i = 0; i < value.length; i++)
      if (valueByte[value.charCodeAt(i)] !== 1)
        throw new Error(`Invalid character in header content [${JSON.stringify(name)}]`)
  }
}
