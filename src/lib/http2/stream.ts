/**
 * Hot path. One request and its response on a connection (RFC 9113 5). The stream keeps the numbers; the connection moves the
 * bytes. Whoever works with it is its `user`.
 */
import type { Field } from '../http1/fields.ts'
import type { ResponseHead } from '../http1/head.ts'

/** Fields as received: arrays in step, names in lower case, no pseudo-headers. Any head of `http1/head.ts` is one. */
export interface HeaderFields {
  readonly names: readonly string[]
  readonly values: readonly string[]
  readonly ids: readonly Field[]
}

/**
 * Fields to send. Names in any letter case: they leave in lower case. Fields that belong to one HTTP/1.1 hop (Connection,
 * Keep-Alive, Proxy-Connection, Transfer-Encoding, Upgrade, HTTP2-Settings) and Host are left out by the connection
 * itself, so a head of HTTP/1.1 may be given as it is; fields that its `hopNames` lists must be removed before, and TE
 * may only say `trailers`.
 */
export interface OutgoingFields {
  readonly names: readonly string[]
  readonly values: readonly string[]
}

/**
 * What happens on a stream. A response may end before its request: a client that sees `endStream` while it has not ended its side must `end`
 * or `reset` the stream, else it stays open. Calls come out of `receive`, `drained`, `tick` and `destroy` of its connection, and out of a scheduled flush.
 */
export interface Http2StreamUser {
  /** Client: the final response (status >= 200) begins. */
  headers(head: ResponseHead, endStream: boolean): void
  /** Client: an interim response (1xx but 101). */
  informational(head: ResponseHead): void
  /**
   * Body bytes, valid during the call only. Give them back to the window with `stream.consumed(bytes.length)`, now or later: what is
   * not given back holds the sender. `bytes` is empty when only the end came.
   */
  data(bytes: Buffer, endStream: boolean): void
  /** The peer's side ends with these fields. */
  trailers(fields: HeaderFields): void
  /**
   * The stream is over before its end: the peer reset it, broke the protocol, or the connection is gone. Nothing follows. Not called after
   * the user's own `reset`. REFUSED_STREAM: the peer did nothing with the request; it may be sent again elsewhere.
   */
  reset(code: number, error: Error): void
  /** After `write` said false: there is room again. */
  writable(): void
}

/** What a stream asks of its connection. */
export interface StreamOwner {
  sendResponse(stream: Http2Stream, status: number, fields: OutgoingFields, end: boolean): void
  sendData(stream: Http2Stream, data: Buffer): boolean
  sendEnd(stream: Http2Stream, trailers: OutgoingFields | undefined): void
  sendReset(stream: Http2Stream, code: number): void
  giveBack(stream: Http2Stream, bytes: number): void
}

/** Until someone cares. */
export const nobody: Http2StreamUser = {
  headers() {},
  informational() {},
  data() {},
  trailers() {},
  reset() {},
  writable() {},
}

export class Http2Stream {
  readonly id: number
  user: Http2StreamUser
  /** Nothing more is sent or received. All methods are without effect. */
  closed = false
  /** The peer has ended its side. */
  remoteEnded = false
  /** We have ended our side; bytes may still wait for window. */
  localEnded = false
  /** We have sent the head of the final response. */
  headSent = false

  // -- for the connection alone ------------------------------------------------------------------------------------

  /** The head of the final response (client) or of the request (server) has come. */
  headReceived = false
  /** Bytes that the peer lets us send; below 0 after its setting shrank. */
  sendWindow: number
  /** Bytes that we let the peer send. */
  receiveLeft: number
  /** Given back by the user, not yet told to the peer. */
  owed = 0
  /** Received, not given back. */
  held = 0
  /** Content-Length of what comes, -1 = unknown or not to be checked. */
  expected = -1
  received = 0
  /** The request is HEAD: its response may have a Content-Length and no body. */
  bodiless = false
  /** Bytes that wait for window, oldest first; `pendingStart` bytes of the first have gone. */
  pending: Buffer[] | undefined
  pendingStart = 0
  pendingBytes = 0
  /** Sent after what is pending. */
  endTrailers: OutgoingFields | undefined
  /** Since when nothing of what is pending could go, ms; -1 = nothing waits. */
  stalledMs = -1
  /** The user was told to wait. */
  waiting = false
  readonly #owner: StreamOwner

  constructor(
    owner: StreamOwner,
    id: number,
    user: Http2StreamUser,
    sendWindow: number,
    receiveWindow: number,
  ) {
    this.#owner = owner
    this.id = id
    this.user = user
    this.sendWindow = sendWindow
    this.receiveLeft = receiveWindow
  }

  /**
   * Server: sends the response's head. Once. With `endStream` the response has no body.
   *
   * Writing the head, `write` and `end` one after the other costs no more than one call would: all of it leaves in one piece.
   */
  respond(status: number, fields: OutgoingFields, endStream: boolean): void {
    this.#owner.sendResponse(this, status, fields, endStream)
  }

  /** Server: sends an interim response (100, 103); before `respond`. */
  informational(status: number, fields: OutgoingFields): void {
    this.#owner.sendResponse(this, status, fields, false)
  }

  /**
   * Sends body bytes; they are copied, `data` may be reused at once. False: the peer's window or the socket is full; stop until
   * `user.writable()`. (What was given is kept and sent in either case.)
   */
  write(data: Buffer): boolean {
    return this.#owner.sendData(this, data)
  }

  /**
   * Ends our side, with trailers if given. A server whose client has not ended its request by then tells it to stop
   * (RST_STREAM with NO_ERROR, RFC 9113 8.1) once all is sent; the user hears no more of it then.
   */
  end(trailers?: OutgoingFields): void {
    this.#owner.sendEnd(this, trailers)
  }

  /** Drops the stream, what waits included. */
  reset(code: number): void {
    this.#owner.sendReset(this, code)
  }

  /** `bytes` of what `user.data` got have gone on: the peer may send as many again. */
  consumed(bytes: number): void {
    this.#owner.giveBack(this, bytes)
  }
}
