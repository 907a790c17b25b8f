/**
 * Hot path, security-critical. An HTTP/2 client's connection: each of its streams is a request. What a client may hold open
 * or make the gateway do is bounded by the connection itself (`lib/http2/limits.ts`) and, over time, here.
 */
import type { Socket } from 'node:net'
import type { RequestHead } from '../../../lib/http1/head.ts'
import { Http2Connection } from '../../../lib/http2/connection.ts'
import type { Http2Stream, Http2StreamUser } from '../../../lib/http2/stream.ts'
import type { Client } from './accept.ts'
import type { ClientContext } from './client-connection.ts'
import { ClientStream } from './client-stream.ts'
import { Deadline } from '../exchange/deadlines.ts'
import { type ClientIdentity, clientIdentity } from '../exchange/outgoing-head.ts'
import { flushes } from '../pod/pod-session.ts'

const tickMs = 1000
/** How long a connection that is to end may take to send what is left. */
const lingerMs = 2000

export class ClientSession extends Deadline implements Client {
  readonly identity: ClientIdentity
  /** When the bytes that are being read came; monotonic milliseconds. */
  nowMs: number
  readonly #known: Client
  readonly #socket: Socket
  readonly #context: ClientContext
  readonly #connection: Http2Connection
  /** Since when no request is open; before the first request: since the connection is. */
  #idleSinceMs: number
  #served = false
  #endedMs = -1
  /** Since it has ended: bytes that the client had not taken when it was looked at last. */
  #unsent = 0

  /**
   * Takes over a socket that nobody else listens to. `known`: the client as `context.closed` knows it, if not as this; `first`:
   * bytes that were read already.
   */
  constructor(socket: Socket, context: ClientContext, known?: Client, first?: Buffer) {
    super()
    this.#known = known ?? this
    const { clock } = context
    this.#socket = socket
    this.#context = context
    this.identity = clientIdentity(socket.remoteAddress ?? '', context.secure ? 'https' : 'http')
    this.nowMs = clock.monotonic()
    this.#idleSinceMs = this.nowMs
    this.#connection = new Http2Connection({
      role: 'server',
      nowMs: this.nowMs,
      limits: { maxHeaderListBytes: context.headBytes, maxFields: context.headerCount },
      schedule: flushes.add,
      sink: {
        write: (bytes) => socket.write(bytes),
        close: () => this.#end(),
      },
      onStream: (stream, head, endStream) => this.#request(stream, head, endStream),
    })
    context.deadlines.set(this, this.nowMs + tickMs)
    socket.on('data', (bytes: Buffer) => this.data(bytes))
    // A client that has ended its side asks for nothing more; as in Go's server it is gone.
    socket.on('end', () => socket.destroy())
    socket.on('drain', () => this.#connection.drained())
    socket.on('error', () => {}) // 'close' follows
    socket.on('close', () => this.#closed())
    if (context.stopping) this.#connection.goAway()
    if (first) this.data(first)
  }

  get idle(): boolean {
    return this.#connection.openStreams === 0
  }

  drain(): void {
    this.#connection.goAway()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  override expire(nowMs: number): void {
    const connection = this.#connection
    if (connection.closed) {
      // A client that still takes what is left, however slowly, gets all of it.
      const left = this.#socket.writableLength
      if (left !== this.#unsent) this.#endedMs = nowMs
      this.#unsent = left
      const limitMs = left > 0 ? this.#context.idleTimeoutMs : lingerMs
      if (nowMs - this.#endedMs < limitMs) this.#context.deadlines.set(this, nowMs + tickMs)
      else this.#socket.destroy()
      return
    }
    this.nowMs = nowMs
    connection.tick(nowMs)
    const { headTimeoutMs, idleTimeoutMs } = this.#context
    if (connection.openStreams > 0) this.#idleSinceMs = nowMs
    const limitMs = this.#served ? idleTimeoutMs : Math.min(headTimeoutMs, idleTimeoutMs)
    if (nowMs - this.#idleSinceMs >= limitMs) connection.goAway()
    // Who does not answer the farewell has had its time.
    if (nowMs - this.#idleSinceMs >= limitMs + lingerMs) this.#socket.destroy()
    else this.#context.deadlines.set(this, nowMs + tickMs)
  }

  /** Bytes of the client, valid during the call. */
  data(bytes: Buffer): void {
    this.nowMs = this.#context.clock.monotonic()
    this.#connection.receive(bytes, this.nowMs)
  }

  #request(stream: Http2Stream, head: RequestHead, endStream: boolean): Http2StreamUser {
    this.#served = true
    this.#idleSinceMs = this.nowMs
    const user = new ClientStream(this, stream, head, endStream)
    // Calls back to the user can come at once.
    stream.user = user
    if (head.method === 'CONNECT') {
      user.answer({ status: 405, body: 'CONNECT is not served' })
      return user
    }
    const routed = this.#context.route(user, head)
    if ('start' in routed) routed.start()
    else user.answer(routed)
    return user
  }

  /** The connection has said its last: what is left is sent, then the socket ends. */
  #end(): void {
    this.#endedMs = this.nowMs
    this.#socket.destroySoon()
  }

  #closed(): void {
    this.#context.deadlines.cancel(this)
    this.#connection.destroy()
    this.#context.closed(this.#known)
  }
}
