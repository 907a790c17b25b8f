/**
 * Hot path, security-critical. One HTTP/2 connection of either role (RFC 9113), without a socket: bytes go in by `receive`, bytes come
 * out through a sink. It holds back nothing but what windows forbid to send.
 */
import type { RequestHead } from '../http1/head.ts'
import type { Http2Limits } from './limits.ts'
import type { Http2Stream, Http2StreamUser, OutgoingFields } from './stream.ts'

/** What a connection does to the outside. */
export interface Http2Sink {
  /** Sends bytes, which are the sink's from now on. False: the socket is full; call `drained()` when it is not. */
  write(bytes: Buffer): boolean
  /** Sends what was written, then ends the socket. Called once. */
  close(): void
}

export interface Http2Options {
  readonly role: 'server' | 'client'
  readonly limits?: Partial<Http2Limits>
  readonly sink: Http2Sink
  /** Monotonic milliseconds now. */
  readonly nowMs: number
  /**
   * Runs `flush` soon, once. What is to be sent is gathered until then, so that one write carries all of it; a gateway hands in
   * `FlushBatch.add`. Absent: everything is written at the end of the call that made it.
   */
  readonly schedule?: (flush: () => void) => void
  /** Server: a request came. Sets the stream's user and answers by its methods, now or later. */
  onStream?(stream: Http2Stream, head: RequestHead, endStream: boolean): Http2StreamUser
  /** The peer takes no new streams; those above `lastStreamId` were reset with REFUSED_STREAM. */
  onGoAway?(code: number, lastStreamId: number): void
  /** Client: streams have ended or the peer allows more of them: `canRequest` may have become true. */
  onCapacity?(): void
  /** The connection is over; all streams have been told. Without error: it ended as agreed. */
  onClosed?(error: Error | undefined): void
}

/** The pseudo-headers of a request. */
export interface RequestLine {
  readonly method: string
  readonly scheme: string
  readonly authority: string
  /** Path with query; `*` for OPTIONS. */
  readonly path: string
}

export interface Http2Connection {
  /** Bytes from the socket, read-only; kept by nobody after the call. Never throws. */
  receive(bytes: Buffer, nowMs: number): void
  /** The socket has room again. */
  drained(): void
  /** Client: may a request be sent now (no GOAWAY, fewer open streams than the peer allows)? */
  readonly canRequest: boolean
  /** Client: sends a request. Throws when `canRequest` is false. */
  request(
    line: RequestLine,
    fields: OutgoingFields,
    endStream: boolean,
    user: Http2StreamUser,
  ): Http2Stream
  readonly openStreams: number
  /** How many streams the peer lets us open (client). */
  readonly maxConcurrent: number
  readonly closed: boolean
  /** Finishes: no new streams, those open go on, then the sink is closed. Nothing that a client sent meanwhile is lost. */
  goAway(): void
  /** Measures that the peer is there: `pong` is called when the answer comes. False: too many are on the way. */
  ping(pong: () => void): boolean
  /** To be called about once a second: keep-alive, stalled streams, unanswered SETTINGS. */
  tick(nowMs: number): void
  /** Ends at once: with an error code GOAWAY is sent. The streams' users hear of it. Also for a socket that is gone. */
  destroy(error?: Error): void
}
