/**
 * Hot path, security-critical. One client's connection: finds requests in its bytes, one after the other (pipelined ones wait their
 * turn), and holds no more of them than a bounded piece: then it stops reading.
 */
import type { Socket } from 'node:net'
import { Body, type Payload, requestFraming } from '../../../lib/http1/body.ts'
import {
  checkPartialHead,
  findHeadEnd,
  parseRequestHead,
  type RequestHead,
} from '../../../lib/http1/head.ts'
import { HttpError } from '../../../lib/http1/http-error.ts'
import type { Clock } from '../../../lib/clock.ts'
import { Deadline, type Deadlines } from '../exchange/deadlines.ts'
import type { Client } from './accept.ts'
import { ClientConnectionSide } from './client-connection-side.ts'
import { ClientSession } from './client-session.ts'
import type { Exchange, ExchangeContext, Requester } from '../exchange/exchange.ts'
import type { Revision } from '../admission/activator.ts'
import {
  type Answer,
  answerText,
  type ClientIdentity,
  clientIdentity,
} from '../exchange/outgoing-head.ts'
import { RawExchange } from '../exchange/raw-exchange.ts'
import { ReadBuffer, readInto } from '../pod/read-buffer.ts'
import type { Destination } from '../routing/route-table.ts'

/** What all client connections of a listener share. */
export interface ClientContext {
  readonly clock: Clock
  readonly deadlines: Deadlines
  readonly headBytes: number
  readonly headerCount: number
  readonly headTimeoutMs: number
  readonly idleTimeoutMs: number
  readonly stopping: boolean
  /** Cluster-local hosts may be reached through this listener. */
  readonly local: boolean
  /** Connections come through TLS. */
  readonly secure?: boolean
  /** Takes a request: answers its exchange, not yet started, or what to say instead. */
  route(client: Requester, head: RequestHead): Exchange | Answer
  closed(client: Client): void
}

/** What a connection tells of the request it is reading to whoever serves it. */
export interface Served {
  readonly ended: boolean
  /** Both directions are raw bytes now. */
  readonly tunnelling: boolean
  /** Wants the pieces of payload inside the body. */
  readonly payload: Payload | undefined
  start(): void
  /** A piece of the request's body, framing included. `bytes` is valid during this call only. */
  body(bytes: Buffer): void
  /** The client's body is not HTTP. The pod must not take what came so far for a whole request. */
  badBody(answer: Answer): void
  /** `bytes` is valid during this call only. */
  tunnel(bytes: Buffer): void
  tunnelEnded(): void
  /** The socket takes bytes again. */
  clientDrained(): void
  /** The client is gone. */
  abort(): void
}

/** Bytes that may wait behind the request being served before reading stops. */
const maxPipelinedBytes = 65_536
/** A connection that has had its last answer is cut when the client has been silent for so long … */
const lingerMs = 2000
/** … or has gone on sending for so long: some read no answer before they have sent everything. */
const longestLingerMs = 30_000

/** What can be seen of HTTP/2's preface in what looks like a head. */
const preface = 'PRI * HTTP/2.0\r\n\r\n'

export class ClientConnection extends Deadline implements Client, Requester {
  readonly socket: Socket
  readonly identity: ClientIdentity
  readonly #context: ClientContext
  /** Undefined: what is read comes in memory of its own. */
  readonly #reader: ReadBuffer | undefined
  /** When the head being served began to arrive, and when it was whole; monotonic milliseconds. */
  arrivedMs = 0
  headMs = 0
  #exchange: Served | undefined
  /** Set by `open`, for the request that is being routed. */
  #opened: Served | undefined
  /** The client speaks HTTP/2: this is all that is left to do here. */
  #session: ClientSession | undefined
  #body: Body | undefined
  /** Bytes not looked at yet. */
  #pending: Buffer | undefined
  /** How much of `#pending` was searched for the end of a head. */
  #searched = 0
  #phase: 'idle' | 'head' | 'busy' | 'lingering' | 'closed' = 'idle'
  #phaseMs: number
  /** A new connection has less time to say something than one that was of use. */
  #idleLimitMs: number
  #bodyBlocked = false
  #paused = false
  /** While lingering: since when, and what the client had not taken yet and had sent when it was looked at last, in bytes. */
  #lingeringMs = 0
  #unsent = 0
  #heard = 0

  constructor(socket: Socket, context: ClientContext) {
    super()
    const reader = new ReadBuffer()
    const taken = readInto(socket, reader, (bytes) => this.#read(reader, bytes))
    if (taken === undefined) socket.on('data', (bytes: Buffer) => this.#data(bytes))
    else {
      socket = taken
      this.#reader = reader
    }
    this.socket = socket
    this.#context = context
    this.identity = clientIdentity(socket.remoteAddress ?? '', context.secure ? 'https' : 'http')
    this.#phaseMs = context.clock.monotonic()
    this.#idleLimitMs = Math.min(context.headTimeoutMs, context.idleTimeoutMs)
    context.deadlines.set(this, this.#phaseMs + this.#idleLimitMs)
    socket.on('end', () => this.#ended())
    socket.on('drain', () => this.#drained())
    socket.on('error', () => {}) // 'close' follows
    socket.on('close', () => this.#closed())
  }

  /** Nothing is being served and nothing has begun to arrive. */
  get idle(): boolean {
    return this.#session ? this.#session.idle : this.#phase === 'idle'
  }

  /** Connections close behind the response under way (`stopping`); only HTTP/2 must be told. */
  drain(): void {
    this.#session?.drain()
  }

  open(
    head: RequestHead,
    revision: Revision,
    destination: Destination,
    context: ExchangeContext,
  ): Exchange {
    const body = this.#body!
    if (revision.target.protocol === 'http1') {
      const raw = new RawExchange(this, head, body, revision, destination, context)
      this.#opened = raw
      return raw
    }
    const side = new ClientConnectionSide(this, head, body, revision, destination, context)
    this.#opened = side
    return side.exchange
  }

  // -- for the exchange ---------------------------------------------------------------------------------------------

  /** The pod does not take body bytes now. */
  blockBody(): void {
    if (this.#bodyBlocked) return
    this.#bodyBlocked = true
    this.#flow()
  }

  unblockBody(): void {
    if (!this.#bodyBlocked) return
    this.#bodyBlocked = false
    this.#flow()
  }

  /** Bytes of the client go on; the client may be writing to their memory afterwards. False: `to` is full. */
  pass(bytes: Buffer, to: Socket): boolean {
    return this.#reader === undefined ? to.write(bytes) : this.#reader.pass(bytes, to)
  }

  /** The response is out. */
  completed(keepAlive: boolean, nowMs: number): void {
    this.#exchange = undefined
    this.#body = undefined
    this.#reader?.share()
    if (!keepAlive) {
      this.#linger()
      return
    }
    this.#phase = 'idle'
    this.#phaseMs = nowMs
    this.#idleLimitMs = this.#context.idleTimeoutMs
    if (this.slot < 0)
      this.#context.deadlines.set(this, this.#phaseMs + this.#context.idleTimeoutMs)
    if (this.#bodyBlocked || this.#paused) {
      this.#bodyBlocked = false
      this.#flow()
    }
    if (this.#pending) this.#advance()
    else if (this.#context.stopping) this.#linger()
  }

  /** Answers in the gateway's own words; `keepAlive` false when the rest of the request cannot be skipped. */
  answer(answer: Answer, head: RequestHead | undefined, keepAlive: boolean): void {
    const stay = keepAlive && !this.#context.stopping
    this.socket.write(answerText(answer, head?.method ?? 'GET', stay, head?.minor ?? 1), 'latin1')
    this.completed(stay, stay ? this.#context.clock.monotonic() : 0)
  }

  /** Bytes that arrived too early belong to the tunnel. */
  startTunnel(): void {
    const bytes = this.#pending
    this.#pending = undefined
    if (bytes) this.#exchange?.tunnel(bytes)
    this.#flow()
  }

  destroy(): void {
    this.socket.destroy()
  }

  // -- bytes --------------------------------------------------------------------------------------------------------

  #read(reader: ReadBuffer, bytes: Buffer): void {
    if (this.#session) {
      this.#session.data(bytes)
      return
    }
    this.#data(bytes)
    const pending = this.#pending
    if (pending !== undefined && reader.holds(pending)) this.#pending = Buffer.from(pending)
  }

  #data(bytes: Buffer): void {
    const exchange = this.#exchange
    if (exchange === undefined) {
      if (this.#phase === 'lingering' || this.#phase === 'closed') return
      this.#pending = this.#pending ? Buffer.concat([this.#pending, bytes]) : bytes
      this.#advance()
    } else if (exchange.tunnelling) exchange.tunnel(bytes)
    else if (this.#body!.done) this.#keep(bytes)
    else this.#feedBody(exchange, bytes)
  }

  /** Keeps bytes for later. */
  #keep(bytes: Buffer): void {
    this.#pending = this.#pending ? Buffer.concat([this.#pending, bytes]) : bytes
    this.#flow()
  }

  #feedBody(exchange: Served, bytes: Buffer): void {
    const body = this.#body!
    let end: number
    try {
      end = body.advance(bytes, 0, exchange.payload)
    } catch (error) {
      exchange.badBody(answerTo(error))
      return
    }
    exchange.body(end === bytes.length ? bytes : bytes.subarray(0, end))
    if (end < bytes.length) this.#keep(bytes.subarray(end))
  }

  /** Serves what is pending, request by request, until one is being served or more bytes are needed. */
  #advance(): void {
    while (this.#pending !== undefined && (this.#phase === 'idle' || this.#phase === 'head')) {
      // A client that sends requests but does not read the answers waits for itself.
      if (this.socket.writableNeedDrain) {
        this.#flow()
        return
      }
      try {
        if (!this.#nextHead()) return
      } catch (error) {
        this.#pending = undefined
        this.answer(answerTo(error), undefined, false)
        return
      }
    }
  }

  /** True when a whole head was there. */
  #nextHead(): boolean {
    const context = this.#context
    let bytes = this.#pending!
    // Empty lines before a request line are skipped (RFC 9112 2.2).
    let start = 0
    while (bytes[start] === 13 && bytes[start + 1] === 10) start += 2
    if (start > 0) {
      bytes = bytes.subarray(start)
      this.#searched = 0
    }
    const end = bytes.length === 0 ? -1 : findHeadEnd(bytes, Math.max(0, this.#searched - 3))
    if (end < 0 ? bytes.length > context.headBytes : end > context.headBytes)
      throw bytes.subarray(0, context.headBytes).includes(10)
        ? new HttpError(431, `the head is longer than ${context.headBytes} bytes`)
        : new HttpError(414, `the request line is longer than ${context.headBytes} bytes`)
    if (end < 0) {
      checkPartialHead(bytes, this.#searched, bytes.length)
      this.#searched = bytes.length
      this.#pending = bytes.length === 0 ? undefined : bytes
      if (this.#phase === 'idle' && bytes.length > 0) {
        this.#phase = 'head'
        this.#phaseMs = context.clock.monotonic()
        context.deadlines.set(this, this.#phaseMs + context.headTimeoutMs)
      }
      return false
    }
    this.#searched = 0
    // The preface of HTTP/2 looks like a head: `PRI * HTTP/2.0`.
    if (bytes[0] === 80 && bytes[1] === 82 && bytes[2] === 73 && this.#speaksHttp2(bytes))
      return false
    this.headMs = context.clock.monotonic()
    this.arrivedMs = this.#phase === 'head' ? this.#phaseMs : this.headMs
    const head = parseRequestHead(bytes, 0, end, context.headerCount)
    this.#pending = end === bytes.length ? undefined : bytes.subarray(end)
    this.#phase = 'busy'
    this.#begin(head)
    return true
  }

  /** Hands over to HTTP/2 when a connection begins with its preface (prior knowledge, RFC 9113 3.3). */
  #speaksHttp2(bytes: Buffer): boolean {
    if (this.headMs > 0 || bytes.toString('latin1', 0, preface.length) !== preface) return false
    const { socket } = this
    for (const event of ['data', 'end', 'drain', 'error', 'close']) socket.removeAllListeners(event)
    this.#context.deadlines.cancel(this)
    this.#pending = undefined
    this.#phase = 'closed'
    this.#session = new ClientSession(socket, this.#context, this, bytes)
    return true
  }

  #begin(head: RequestHead): void {
    const body = new Body(requestFraming(head), head.contentLength)
    this.#body = body
    const routed = this.#context.route(this, head)
    if (!('start' in routed)) {
      this.answer(routed, head, body.done && head.keepAlive)
      return
    }
    const exchange = this.#opened!
    this.#exchange = exchange
    const rest = this.#pending
    if (rest !== undefined && !body.done) {
      this.#pending = undefined
      this.#feedBody(exchange, rest)
    }
    if (!exchange.ended) exchange.start()
  }

  #flow(): void {
    const pause =
      this.#bodyBlocked ||
      (this.#pending !== undefined && this.#pending.length > maxPipelinedBytes) ||
      (this.#exchange === undefined && this.socket.writableNeedDrain)
    if (pause === this.#paused) return
    this.#paused = pause
    if (pause) this.socket.pause()
    else this.socket.resume()
  }

  #drained(): void {
    if (this.#exchange) this.#exchange.clientDrained()
    else {
      this.#flow()
      this.#advance()
    }
  }

  // -- ends ---------------------------------------------------------------------------------------------------------

  override expire(nowMs: number): void {
    const { headTimeoutMs, deadlines } = this.#context
    if (this.#phase === 'busy' || this.#phase === 'closed') return
    const limitMs =
      this.#phase === 'idle'
        ? this.#idleLimitMs
        : this.#phase === 'head'
          ? headTimeoutMs
          : this.#lingerLimitMs(nowMs)
    const dueMs = this.#phaseMs + limitMs
    if (nowMs < dueMs)
      deadlines.set(this, this.#phase === 'lingering' ? Math.min(dueMs, nowMs + lingerMs) : dueMs)
    else if (this.#phase === 'head')
      this.answer({ status: 408, body: 'the request head took too long' }, undefined, false)
    else this.socket.destroy()
  }

  /** A client that still takes the last answer, however slowly, gets all of it; one that still sends has some time for that. */
  #lingerLimitMs(nowMs: number): number {
    const { writableLength: left, bytesRead } = this.socket
    const sends = bytesRead !== this.#heard && nowMs - this.#lingeringMs < longestLingerMs
    if (left !== this.#unsent || sends) this.#phaseMs = nowMs
    this.#unsent = left
    this.#heard = bytesRead
    return left > 0 ? this.#context.idleTimeoutMs : lingerMs
  }

  /** Says no more; what the client still sends is thrown away for a while, so that it can read the last answer. */
  #linger(): void {
    if (this.#phase === 'closed') return
    this.#phase = 'lingering'
    this.#phaseMs = this.#context.clock.monotonic()
    this.#pending = undefined
    this.#bodyBlocked = false
    this.socket.end()
    this.#lingeringMs = this.#phaseMs
    this.#unsent = this.socket.writableLength
    this.#heard = this.socket.bytesRead
    this.#flow()
    this.#context.deadlines.set(this, this.#phaseMs + lingerMs)
  }

  /** The client sends no more. As in Go's server, that means it has gone, unless this is a tunnel. */
  #ended(): void {
    const exchange = this.#exchange
    if (exchange?.tunnelling) exchange.tunnelEnded()
    else if (exchange) {
      exchange.abort()
      this.socket.destroy()
    } else this.socket.end()
  }

  #closed(): void {
    this.#phase = 'closed'
    this.#pending = undefined
    this.#context.deadlines.cancel(this)
    const exchange = this.#exchange
    this.#exchange = undefined
    exchange?.abort()
    this.#context.closed(this)
  }
}

function answerTo(error: unknown): Answer {
  if (error instanceof HttpError) return { status: error.status, body: error.message }
  throw error
}
