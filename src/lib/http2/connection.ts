/**
 * Hot path, security-critical. One HTTP/2 connection of either role (RFC 9113), without a socket: bytes go in by `receive`, bytes come
 * out through a sink. `incoming.ts` understands what comes, `streams.ts` knows the streams; here are requests, answers, and the end. What
 * hostile peers can make it hold or do is bounded by `limits.ts` and `tolerance.ts`.
 */
import { ErrorCode, Http2Error } from './error.ts'
import { FrameReader } from './frame-reader.ts'
import { FrameWriter } from './frame-writer.ts'
import { defaultFrameBytes, maxStreamId, Setting } from './frames.ts'
import { Incoming } from './incoming.ts'
import { clientLimits, serverLimits, type Http2Limits } from './limits.ts'
import { Liveness } from './liveness.ts'
import type { Http2Options, RequestLine } from './options.ts'
import type { Http2Stream, Http2StreamUser, OutgoingFields, StreamOwner } from './stream.ts'
import { Streams } from './streams.ts'
import { Tolerance } from './tolerance.ts'

/** How long a GOAWAY may take to reach a client before the final one follows, ms. */
const graceMs = 1000

export class Http2Connection implements StreamOwner {
  /** Over: all methods are without effect. */
  closed = false
  readonly #server: boolean
  readonly #options: Http2Options
  readonly #writer = new FrameWriter()
  readonly #tolerance: Tolerance
  readonly #streams: Streams
  readonly #liveness: Liveness
  readonly #incoming: Incoming
  readonly #reader: FrameReader
  /** Calls into the connection that have not returned. */
  #depth = 0
  #flushPlanned = false
  /** We end; GOAWAY has been sent, the final one once nobody looks at requests. */
  #leaving = false
  #leavingMs = 0
  readonly #flush = (): void => {
    this.#flushPlanned = false
    this.#write()
  }

  constructor(options: Http2Options) {
    this.#server = options.role === 'server'
    const limits: Http2Limits = {
      ...(this.#server ? serverLimits : clientLimits),
      ...options.limits,
    }
    const { nowMs } = options
    const writer = this.#writer
    this.#options = options
    this.#tolerance = new Tolerance(this.#server, limits, nowMs)
    this.#streams = new Streams(this, options, limits, writer, this.#tolerance)
    this.#liveness = new Liveness(limits, writer, nowMs)
    this.#incoming = new Incoming(
      options,
      limits,
      this.#streams,
      this.#tolerance,
      writer,
      this.#liveness,
    )
    this.#reader = new FrameReader(
      this.#incoming,
      this.#server,
      limits.maxHeaderListBytes + defaultFrameBytes,
    )
    this.#depth++
    if (!this.#server) writer.preface()
    writer.settings([
      this.#server
        ? [Setting.maxConcurrentStreams, limits.maxConcurrentStreams]
        : [Setting.enablePush, 0],
      [Setting.initialWindowSize, this.#streams.inflow.streamWindow],
      [Setting.maxHeaderListSize, limits.maxHeaderListBytes],
    ])
    this.#streams.inflow.open()
    this.#leave()
  }

  get openStreams(): number {
    return this.#streams.size
  }

  /** How many streams the peer lets us open at once (client); a careful guess until its SETTINGS come. */
  get maxConcurrent(): number {
    return this.#incoming.maxConcurrent
  }

  /** Client: may a request be sent now (no GOAWAY, fewer open streams than the peer allows)? */
  get canRequest(): boolean {
    return !this.exhausted && this.#streams.size < this.maxConcurrent
  }

  /** Client: nothing more can ever be requested here. */
  get exhausted(): boolean {
    return this.closed || this.#leaving || this.#incoming.peerLeft || this.#streams.exhausted
  }

  /** Bytes from the socket, read-only; kept by nobody after the call. Never throws. */
  receive(bytes: Buffer, nowMs: number): void {
    if (this.closed) return
    this.#tolerance.nowMs = nowMs
    this.#liveness.heardMs = nowMs
    this.#depth++
    try {
      this.#reader.read(bytes)
    } catch (error) {
      this.destroy(error instanceof Error ? error : new Error(String(error)))
    }
    this.#leave()
  }

  /** The socket has room again. */
  drained(): void {
    if (this.closed) return
    this.#streams.outflow.full = false
    this.#depth++
    this.#streams.outflow.wake()
    this.#leave()
  }

  /** Client: sends a request. Throws when `canRequest` is false. */
  request(
    line: RequestLine,
    fields: OutgoingFields,
    endStream: boolean,
    user: Http2StreamUser,
  ): Http2Stream {
    if (this.#server || !this.canRequest)
      throw new Error('this connection takes no request now; ask canRequest first')
    const stream = this.#streams.openOurs(user, this.#incoming.peer.windowBytes)
    stream.bodiless = line.method === 'HEAD'
    stream.headSent = true
    stream.localEnded = endStream
    this.#depth++
    const { method, scheme, authority, path } = line
    this.#writer.request(stream.id, method, scheme, authority, path, fields, endStream)
    this.#leave()
    return stream
  }

  /** Finishes: no new streams, those open go on, then the sink is closed. Nothing that a client sent meanwhile is lost. */
  goAway(): void {
    if (this.closed || this.#leaving) return
    this.#leaving = true
    this.#leavingMs = this.#tolerance.nowMs
    this.#depth++
    if (this.#server && this.#incoming.settingsSeen) {
      // The answer to the PING tells that the client knows; until then its requests are served (RFC 9113 6.8).
      this.#writer.goAway(maxStreamId, ErrorCode.noError, '')
      this.#liveness.ping(() => this.#sendFinalGoAway())
    } else this.#sendFinalGoAway()
    this.#leave()
  }

  /** Measures that the peer is there: `pong` is called when the answer comes. False: too many are on the way. */
  ping(pong: () => void): boolean {
    if (this.closed) return false
    this.#depth++
    const sent = this.#liveness.ping(pong)
    this.#leave()
    return sent
  }

  /** To be called about once a second: keep-alive, stalled streams, unanswered SETTINGS. */
  tick(nowMs: number): void {
    if (this.closed) return
    this.#tolerance.nowMs = nowMs
    this.#depth++
    const fault = this.#liveness.check(nowMs, this.#reader)
    if (fault) this.destroy(fault)
    else {
      if (this.#leaving && this.#incoming.takesRequests && nowMs - this.#leavingMs > graceMs)
        this.#sendFinalGoAway()
      this.#streams.dropStalled()
      if (this.#streams.size === 0) this.#writer.release()
    }
    this.#leave()
  }

  /**
   * Ends at once. For an Http2Error its code is sent in GOAWAY, for other errors INTERNAL_ERROR, without an error nothing. The streams'
   * users hear of it. Also for a socket that is gone.
   */
  destroy(error?: Error): void {
    if (this.closed) return
    this.closed = true
    this.#reader.stopped = true
    const reason = error ?? new Http2Error(ErrorCode.cancel, 'the connection is closed')
    const code = reason instanceof Http2Error ? reason.code : ErrorCode.internalError
    if (error) this.#writer.goAway(this.#streams.lastPeerId, code, error.message)
    this.#writer.flush(this.#options.sink)
    this.#options.sink.close()
    this.#streams.endAll(code, reason)
    this.#options.onClosed?.(error)
  }

  // -- what streams ask for ------------------------------------------------------------------------------------------

  /** @internal See Http2Stream. */
  sendResponse(stream: Http2Stream, status: number, fields: OutgoingFields, end: boolean): void {
    if (stream.closed || stream.headSent) return
    this.#depth++
    if (status >= 200) stream.headSent = true
    if (end) stream.localEnded = true
    this.#writer.response(stream.id, status, fields, end)
    this.#tolerance.earnNoise(1)
    if (end) this.#streams.localDone(stream)
    this.#leave()
  }

  /** @internal See Http2Stream. */
  sendData(stream: Http2Stream, data: Buffer): boolean {
    if (stream.closed || stream.localEnded || data.length === 0) return true
    this.#depth++
    const roomy = this.#streams.outflow.send(stream, data, this.#tolerance.nowMs)
    this.#leave()
    return roomy
  }

  /** @internal See Http2Stream. */
  sendEnd(stream: Http2Stream, trailers: OutgoingFields | undefined): void {
    if (stream.closed || stream.localEnded) return
    this.#depth++
    stream.localEnded = true
    stream.endTrailers = trailers
    if (stream.pendingBytes === 0) this.#streams.sendEnd(stream)
    this.#leave()
  }

  /** @internal See Http2Stream. */
  sendReset(stream: Http2Stream, code: number): void {
    if (stream.closed) return
    this.#depth++
    this.#streams.reset(stream, code)
    this.#leave()
  }

  /** @internal See Http2Stream. */
  giveBack(stream: Http2Stream, bytes: number): void {
    if (stream.closed || bytes <= 0) return
    bytes = Math.min(bytes, stream.held)
    stream.held -= bytes
    this.#depth++
    const { inflow } = this.#streams
    inflow.giveBack(bytes)
    inflow.giveStreamBack(stream, bytes)
    this.#leave()
  }

  // -- ends and output -----------------------------------------------------------------------------------------------

  #sendFinalGoAway(): void {
    if (!this.#incoming.takesRequests) return
    this.#incoming.takesRequests = false
    this.#writer.goAway(this.#streams.lastPeerId, ErrorCode.noError, '')
  }

  /** The end of every call into the connection: what was made is written, or will be soon. */
  #leave(): void {
    if (--this.#depth > 0 || this.closed) return
    const finished =
      this.#streams.size === 0 && (!this.#incoming.takesRequests || this.#incoming.peerLeft)
    if (finished) {
      this.destroy()
      return
    }
    if (this.#writer.length === 0) return
    const { schedule } = this.#options
    if (schedule === undefined) this.#write()
    else if (!this.#flushPlanned) {
      this.#flushPlanned = true
      schedule(this.#flush)
    }
  }

  #write(): void {
    if (this.closed || this.#writer.length === 0) return
    if (!this.#writer.flush(this.#options.sink)) this.#streams.outflow.full = true
    this.#depth++
    this.#streams.outflow.wake()
    this.#leave()
  }
}
