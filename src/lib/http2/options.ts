/** How a connection is tied to the world around it: its socket, its time, and whoever hears of its streams. */
import type { RequestHead } from '../http1/head.ts'
import type { Http2Limits } from './limits.ts'
import type { Http2Stream, Http2StreamUser } from './stream.ts'

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
  /**
   * Server: a request came; answer by the stream's methods, now or later. For CONNECT `head.target` is the authority. Returns whoever is to
   * hear of the stream.
   */
  onStream?(stream: Http2Stream, head: RequestHead, endStream: boolean): Http2StreamUser
  /** The peer takes no new streams; those above `lastStreamId` were reset with REFUSED_STREAM. */
  onGoAway?(code: number, lastStreamId: number): void
  /** Client: a stream has ended or the peer allows more of them: `canRequest` may have become true. */
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
