/**
 * Hot path. The streams of a connection: which are open, how each of them ends, and what is remembered of those that have (RFC 9113 5.1).
 */
import { Ended, EndedStreams } from './ended-streams.ts'
import { ErrorCode, errorName, Http2Error, protocolError } from './error.ts'
import type { FrameWriter } from './frame-writer.ts'
import { maxStreamId, maxWindowBytes } from './frames.ts'
import { Inflow } from './inflow.ts'
import type { Http2Limits } from './limits.ts'
import type { Http2Options } from './options.ts'
import { Outflow, type OutflowOwner } from './outflow.ts'
import { Http2Stream, nobody, type Http2StreamUser, type StreamOwner } from './stream.ts'
import { malformedPrice, type Tolerance } from './tolerance.ts'

export class Streams implements OutflowOwner {
  readonly inflow: Inflow
  readonly outflow: Outflow
  /** Server: the highest id that the client used. */
  lastPeerId = 0
  readonly #owner: StreamOwner
  readonly #options: Http2Options
  readonly #limits: Http2Limits
  readonly #writer: FrameWriter
  readonly #tolerance: Tolerance
  readonly #server: boolean
  readonly #open = new Map<number, Http2Stream>()
  readonly #ended = new EndedStreams()
  /** Client: the id of the next request. Server: unused. */
  #nextId = 1
  /** The connection is over. */
  #over = false

  constructor(
    owner: StreamOwner,
    options: Http2Options,
    limits: Http2Limits,
    writer: FrameWriter,
    tolerance: Tolerance,
  ) {
    this.#owner = owner
    this.#options = options
    this.#limits = limits
    this.#writer = writer
    this.#tolerance = tolerance
    this.#server = options.role === 'server'
    this.inflow = new Inflow(writer, limits)
    this.outflow = new Outflow(writer, this, limits.maxPendingBytes)
  }

  get size(): number {
    return this.#open.size
  }

  /** Client: ids are used up. */
  get exhausted(): boolean {
    return this.#nextId > maxStreamId
  }

  get(id: number): Http2Stream | undefined {
    return this.#open.get(id)
  }

  /** Client: opens the next stream of ours. */
  openOurs(user: Http2StreamUser, sendWindow: number): Http2Stream {
    const id = this.#nextId
    this.#nextId += 2
    return this.#add(id, user, sendWindow)
  }

  /** Server: opens the client's stream `lastPeerId`. */
  openPeers(sendWindow: number): Http2Stream {
    return this.#add(this.lastPeerId, nobody, sendWindow)
  }

  #add(id: number, user: Http2StreamUser, sendWindow: number): Http2Stream {
    const stream = new Http2Stream(this.#owner, id, user, sendWindow, this.inflow.streamWindow)
    this.#open.set(id, stream)
    return stream
  }

  // -- ids that are not open -----------------------------------------------------------------------------------------

  /** How a stream ended that is not open. */
  howEnded(id: number): Ended {
    return this.#ended.how(id)
  }

  /** A frame came for a stream that is not open: has it ever been? Throws Http2Error. */
  checkNotIdle(id: number, what: string): void {
    const known = this.#server ? id <= this.lastPeerId : id < this.#nextId
    if (!known || (id & 1) === 0)
      throw protocolError(`${what} on stream ${id}, which nobody opened`)
  }

  /** A stream is never opened. */
  skip(id: number, how: Ended): void {
    this.#ended.add(id, how)
  }

  /** Resets a stream that is not (or no longer) there. */
  refuse(id: number, code: number): void {
    this.#ended.add(id, Ended.byUs)
    this.#writer.reset(id, code)
  }

  /** The same where the peer broke the rules. Throws Http2Error when it did so too often. */
  refuseMalformed(id: number, code: number): void {
    this.#tolerance.spendResets(malformedPrice)
    this.refuse(id, code)
  }

  // -- windows -------------------------------------------------------------------------------------------------------

  /** WINDOW_UPDATE for a stream. Throws Http2Error. */
  widen(id: number, increment: number): void {
    const stream = this.#open.get(id)
    if (stream === undefined) {
      this.checkNotIdle(id, 'WINDOW_UPDATE')
      return
    }
    if (increment === 0) this.fail(stream, ErrorCode.protocolError, 'WINDOW_UPDATE of 0')
    else if (stream.sendWindow + increment > maxWindowBytes)
      this.fail(stream, ErrorCode.flowControlError, 'the window of the stream overflows')
    else {
      stream.sendWindow += increment
      this.outflow.widened(stream, this.#tolerance.nowMs)
    }
  }

  /** The peer's SETTINGS changed the windows of all streams. Throws Http2Error. */
  widenAll(change: number): void {
    if (change === 0) return
    for (const stream of this.#open.values()) {
      stream.sendWindow += change
      if (stream.sendWindow > maxWindowBytes)
        throw new Http2Error(ErrorCode.flowControlError, 'the window of a stream overflows')
      if (change > 0) this.outflow.widened(stream, this.#tolerance.nowMs)
    }
  }

  // -- ends ----------------------------------------------------------------------------------------------------------

  /** Our side ends once nothing is pending. */
  sendEnd(stream: Http2Stream): void {
    if (stream.endTrailers) this.#writer.trailers(stream.id, stream.endTrailers)
    else this.#writer.end(stream.id)
    this.localDone(stream)
  }

  /** All of our side is written. */
  localDone(stream: Http2Stream): void {
    if (stream.remoteEnded) this.#complete(stream)
    else if (this.#server) this.reset(stream, ErrorCode.noError)
  }

  /** All of the peer's side has come. */
  remoteDone(stream: Http2Stream): void {
    if (stream.localEnded && stream.pendingBytes === 0 && !stream.closed) this.#complete(stream)
  }

  #complete(stream: Http2Stream): void {
    this.#tolerance.earnReset()
    this.#remove(stream)
    this.#ended.add(stream.id, Ended.byPeer)
    if (!this.#server) this.#options.onCapacity?.()
  }

  /** Resets a stream of which its user knows. */
  reset(stream: Http2Stream, code: number): void {
    this.#remove(stream)
    this.refuse(stream.id, code)
    if (!this.#server) this.#options.onCapacity?.()
  }

  /** Ends a stream that cannot go on. */
  drop(stream: Http2Stream, error: Http2Error): void {
    this.reset(stream, error.code)
    stream.user.reset(error.code, error)
  }

  /** The peer broke the rules on a stream. Throws Http2Error when it did so too often. */
  fail(stream: Http2Stream, code: number, message: string): void {
    this.drop(stream, new Http2Error(code, message))
    this.#tolerance.spendResets(malformedPrice)
  }

  /** RST_STREAM has come. Throws Http2Error. */
  peerReset(id: number, code: number): void {
    if (id === 0) throw protocolError('RST_STREAM on stream 0')
    const stream = this.#open.get(id)
    if (stream === undefined) {
      this.checkNotIdle(id, 'RST_STREAM')
      this.#tolerance.spendNoise(1)
      return
    }
    this.#remove(stream)
    this.#ended.add(id, Ended.byPeer)
    stream.user.reset(code, new Http2Error(code, `the peer reset the stream (${errorName(code)})`))
    if (this.#server) this.#tolerance.spendResets(1)
    else this.#options.onCapacity?.()
  }

  /** Client: the peer leaves and has done nothing with the streams above `lastId`. */
  peerLeft(lastId: number, code: number): void {
    for (const stream of this.#open.values()) {
      if (stream.id <= lastId) continue
      this.#remove(stream)
      stream.user.reset(
        ErrorCode.refusedStream,
        new Http2Error(ErrorCode.refusedStream, `the peer is leaving (${errorName(code)})`),
      )
    }
  }

  /** Drops the streams that have waited for window longer than they may. */
  dropStalled(): void {
    const { stallMs } = this.#limits
    if (stallMs <= 0) return
    for (const stream of this.outflow.stalled(this.#tolerance.nowMs - stallMs))
      this.drop(
        stream,
        new Http2Error(ErrorCode.enhanceYourCalm, `no window for the body within ${stallMs} ms`),
      )
  }

  /** The connection is over. */
  endAll(code: number, reason: Error): void {
    this.#over = true
    for (const stream of this.#open.values()) {
      this.#forget(stream)
      stream.user.reset(code, reason)
    }
    this.#open.clear()
  }

  #remove(stream: Http2Stream): void {
    this.#forget(stream)
    this.#open.delete(stream.id)
  }

  /** Nothing more happens on a stream; its memory is let go and its share of the connection's window given back. */
  #forget(stream: Http2Stream): void {
    stream.closed = true
    stream.pending = undefined
    stream.pendingBytes = 0
    stream.endTrailers = undefined
    this.outflow.forget(stream)
    if (stream.held > 0) {
      if (!this.#over) this.inflow.giveBack(stream.held)
      stream.held = 0
    }
  }

  // -- what flows out ------------------------------------------------------------------------------------------------

  /** @internal See OutflowOwner. */
  pendingSent(stream: Http2Stream): void {
    this.sendEnd(stream)
  }

  /** @internal See OutflowOwner. */
  pendingOverflowed(stream: Http2Stream): void {
    const most = this.#limits.maxPendingBytes
    this.drop(
      stream,
      new Http2Error(ErrorCode.internalError, `more than ${most} bytes wait for the peer's window`),
    )
  }

  /** @internal See OutflowOwner. */
  dataSent(): void {
    this.#tolerance.earnNoise(3)
  }
}
