/**
 * Hot path, security-critical. One HTTP/2 connection of either role (RFC 9113), without a socket: bytes go in by `receive`, bytes come
 * out through a sink. What hostile peers can make it hold or do is bounded by `limits.ts` and `budget.ts`.
 */
import { Budget } from './budget.ts'
import { Ended, EndedStreams } from './ended-streams.ts'
import { ErrorCode, errorName, Http2Error } from './error.ts'
import { FrameReader, type FrameHandler } from './frame-reader.ts'
import { FrameWriter } from './frame-writer.ts'
import {
  defaultFrameBytes,
  defaultWindowBytes,
  Flag,
  FrameType,
  maxStreamId,
  maxWindowBytes,
  readUint31,
  readUint32,
  Setting,
} from './frames.ts'
import { HeadBuilder } from './head.ts'
import { HpackDecoder } from './hpack/decoder.ts'
import { clientLimits, serverLimits, type Http2Limits } from './limits.ts'
import { Liveness } from './liveness.ts'
import type { Http2Options, RequestLine } from './options.ts'
import { Outflow, type OutflowOwner } from './outflow.ts'
import { PeerSettings } from './settings.ts'
import {
  Http2Stream,
  nobody,
  type Http2StreamUser,
  type OutgoingFields,
  type StreamOwner,
} from './stream.ts'

/** Our table of received fields, bytes. */
const headerTableBytes = 4096
/** Every server worth its name allows as many (RFC 9113 6.5.2 asks for no less). */
const guessedConcurrent = 100
/** What a malformed message costs: nobody sends one by accident. */
const malformedPrice = 10
/** How long a GOAWAY may take to reach a client before the final one follows, ms. */
const graceMs = 1000

export class Http2Connection implements FrameHandler, StreamOwner, OutflowOwner {
  /** Over: all methods are without effect. */
  closed = false
  readonly #server: boolean
  readonly #options: Http2Options
  readonly #limits: Http2Limits
  readonly #reader: FrameReader
  readonly #writer = new FrameWriter()
  readonly #decoder = new HpackDecoder(headerTableBytes)
  readonly #builder: HeadBuilder
  readonly #peer = new PeerSettings()
  readonly #streams = new Map<number, Http2Stream>()
  readonly #ended = new EndedStreams()
  readonly #outflow: Outflow
  readonly #liveness: Liveness
  readonly #resets: Budget
  readonly #noise: Budget
  /** Client: the id of the next request. Server: unused. */
  #nextId = 1
  /** Server: the highest id that the client used. */
  #lastPeerId = 0
  #receiveLeft: number
  #owed = 0
  /** The stream of the DATA frame that is passing; undefined: its bytes are for nobody. */
  #dataStream: Http2Stream | undefined
  #dataEnds = false
  #settingsSeen = false
  /** Calls into the connection that have not returned. */
  #depth = 0
  #flushPlanned = false
  #nowMs: number
  /** We end; GOAWAY has been sent, the final one when `finalGoAway`. */
  #leaving = false
  #leavingMs = 0
  #finalGoAway = false
  /** The peer takes no new streams. */
  #peerLeft = false
  readonly #flush = (): void => {
    this.#flushPlanned = false
    this.#write()
  }

  constructor(options: Http2Options) {
    this.#server = options.role === 'server'
    const limits = { ...(this.#server ? serverLimits : clientLimits), ...options.limits }
    const { nowMs } = options
    this.#options = options
    this.#limits = limits
    this.#reader = new FrameReader(
      this,
      this.#server,
      limits.maxHeaderListBytes + defaultFrameBytes,
    )
    this.#builder = new HeadBuilder(limits.maxHeaderListBytes, limits.maxFields)
    this.#resets = new Budget(limits.resetBurst, limits.resetsPerSecond, nowMs)
    this.#noise = new Budget(limits.noiseBurst, limits.noisePerSecond, nowMs)
    this.#nowMs = nowMs
    this.#outflow = new Outflow(this.#writer, this, limits.maxPendingBytes)
    this.#liveness = new Liveness(limits, this.#reader, this.#writer, nowMs)
    this.#receiveLeft = Math.max(limits.connectionWindowBytes, defaultWindowBytes)
    this.#depth++
    const writer = this.#writer
    if (!this.#server) writer.preface()
    writer.settings([
      this.#server
        ? [Setting.maxConcurrentStreams, limits.maxConcurrentStreams]
        : [Setting.enablePush, 0],
      [Setting.initialWindowSize, this.#streamWindow],
      [Setting.maxHeaderListSize, limits.maxHeaderListBytes],
    ])
    if (this.#receiveLeft > defaultWindowBytes)
      writer.windowUpdate(0, this.#receiveLeft - defaultWindowBytes)
    this.#leave()
  }

  get openStreams(): number {
    return this.#streams.size
  }

  /** How many streams the peer lets us open at once (client); a careful guess until its SETTINGS come. */
  get maxConcurrent(): number {
    return this.#settingsSeen ? this.#peer.maxConcurrentStreams : guessedConcurrent
  }

  /** Client: may a request be sent now (no GOAWAY, fewer open streams than the peer allows)? */
  get canRequest(): boolean {
    return (
      !this.closed &&
      !this.#leaving &&
      !this.#peerLeft &&
      this.#streams.size < this.maxConcurrent &&
      this.#nextId <= maxStreamId
    )
  }

  /** Client: nothing more can ever be requested here. */
  get exhausted(): boolean {
    return this.closed || this.#leaving || this.#peerLeft || this.#nextId > maxStreamId
  }

  /** Bytes from the socket, read-only; kept by nobody after the call. Never throws. */
  receive(bytes: Buffer, nowMs: number): void {
    if (this.closed) return
    this.#nowMs = nowMs
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
    this.#outflow.full = false
    this.#depth++
    this.#outflow.wake()
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
    const stream = new Http2Stream(
      this,
      this.#nextId,
      user,
      this.#peer.windowBytes,
      this.#streamWindow,
    )
    this.#nextId += 2
    stream.bodiless = line.method === 'HEAD'
    stream.headSent = true
    stream.localEnded = endStream
    this.#streams.set(stream.id, stream)
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
    this.#leavingMs = this.#nowMs
    this.#depth++
    if (this.#server && this.#settingsSeen) {
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
    this.#nowMs = nowMs
    this.#depth++
    const { stallMs } = this.#limits
    const fault = this.#liveness.check(nowMs)
    if (fault) this.destroy(fault)
    else {
      if (this.#leaving && !this.#finalGoAway && nowMs - this.#leavingMs > graceMs)
        this.#sendFinalGoAway()
      if (stallMs > 0)
        for (const stream of this.#outflow.stalled(nowMs - stallMs))
          this.#drop(
            stream,
            new Http2Error(
              ErrorCode.enhanceYourCalm,
              `no window for the body within ${stallMs} ms`,
            ),
          )
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
    if (error) this.#writer.goAway(this.#lastPeerId, code, error.message)
    this.#writer.flush(this.#options.sink)
    this.#options.sink.close()
    for (const stream of this.#streams.values()) {
      this.#forget(stream)
      stream.user.reset(code, reason)
    }
    this.#streams.clear()
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
    this.#noise.earn(1)
    if (end) this.#localDone(stream)
    this.#leave()
  }

  /** @internal See Http2Stream. */
  sendData(stream: Http2Stream, data: Buffer): boolean {
    if (stream.closed || stream.localEnded || data.length === 0) return true
    this.#depth++
    const roomy = this.#outflow.send(stream, data, this.#nowMs)
    this.#leave()
    return roomy
  }

  /** @internal See Http2Stream. */
  sendEnd(stream: Http2Stream, trailers: OutgoingFields | undefined): void {
    if (stream.closed || stream.localEnded) return
    this.#depth++
    stream.localEnded = true
    stream.endTrailers = trailers
    if (stream.pendingBytes === 0) this.#sendEndNow(stream)
    this.#leave()
  }

  /** @internal See Http2Stream. */
  sendReset(stream: Http2Stream, code: number): void {
    if (stream.closed) return
    this.#depth++
    this.#resetNow(stream, code)
    this.#leave()
  }

  /** @internal See Http2Stream. */
  giveBack(stream: Http2Stream, bytes: number): void {
    if (stream.closed || bytes <= 0) return
    bytes = Math.min(bytes, stream.held)
    stream.held -= bytes
    stream.owed += bytes
    this.#depth++
    this.#giveConnectionBack(bytes)
    if (!stream.remoteEnded && stream.owed >= this.#streamWindow >>> 1) {
      this.#writer.windowUpdate(stream.id, stream.owed)
      stream.receiveLeft += stream.owed
      stream.owed = 0
    }
    this.#leave()
  }

  /** @internal See OutflowOwner. */
  pendingSent(stream: Http2Stream): void {
    this.#sendEndNow(stream)
  }

  /** @internal See OutflowOwner. */
  pendingOverflowed(stream: Http2Stream): void {
    const most = this.#limits.maxPendingBytes
    this.#drop(
      stream,
      new Http2Error(ErrorCode.internalError, `more than ${most} bytes wait for the peer's window`),
    )
  }

  /** @internal See OutflowOwner. */
  dataSent(): void {
    this.#noise.earn(3)
  }

  // -- what the reader finds -----------------------------------------------------------------------------------------

  /** @internal See FrameHandler. */
  dataStart(streamId: number, flags: number, length: number): void {
    if (streamId === 0) throw protocolError('DATA on stream 0')
    if (length > this.#receiveLeft)
      throw new Http2Error(ErrorCode.flowControlError, 'DATA beyond the window of the connection')
    this.#receiveLeft -= length
    this.#dataStream = undefined
    this.#dataEnds = (flags & Flag.endStream) !== 0
    const stream = this.#streams.get(streamId)
    if (stream === undefined) {
      this.#checkNotIdle(streamId, 'DATA')
      if (this.#ended.how(streamId) !== Ended.byUs) this.#refuse(streamId, ErrorCode.streamClosed)
      else this.#spendNoise(1)
      return
    }
    if (stream.remoteEnded)
      this.#streamError(stream, ErrorCode.streamClosed, 'DATA after the end of the stream')
    else if (!stream.headReceived)
      this.#streamError(stream, ErrorCode.protocolError, 'DATA before the response')
    else if (length > stream.receiveLeft)
      this.#streamError(stream, ErrorCode.flowControlError, 'DATA beyond the window of the stream')
    else {
      stream.receiveLeft -= length
      this.#dataStream = stream
      if (length === 0 && !this.#dataEnds) this.#spendNoise(1)
    }
  }

  /** @internal See FrameHandler. */
  dataPiece(bytes: Buffer, last: boolean): void {
    const stream = this.#dataStream
    if (stream === undefined || stream.closed) {
      this.#giveConnectionBack(bytes.length)
      return
    }
    stream.held += bytes.length
    stream.received += bytes.length
    const ends = last && this.#dataEnds
    if (
      stream.expected >= 0 &&
      (stream.received > stream.expected || (ends && stream.received < stream.expected))
    ) {
      this.#streamError(
        stream,
        ErrorCode.protocolError,
        `the body is not of the ${stream.expected} bytes that Content-Length says`,
      )
      return
    }
    if (ends) stream.remoteEnded = true
    else if (bytes.length === 0) return
    stream.user.data(bytes, ends)
    if (ends) this.#remoteDone(stream)
  }

  /** @internal See FrameHandler. */
  dataEnd(padding: number): void {
    if (padding === 0) return
    this.#giveConnectionBack(padding)
    const stream = this.#dataStream
    if (stream === undefined || stream.closed) return
    stream.owed += padding
    // Padding is never the user's: it is given back here, when it is due.
    if (!stream.remoteEnded && stream.owed >= this.#streamWindow >>> 1) {
      this.#writer.windowUpdate(stream.id, stream.owed)
      stream.receiveLeft += stream.owed
      stream.owed = 0
    }
  }

  /** @internal See FrameHandler. */
  headerBlock(
    streamId: number,
    endStream: boolean,
    bytes: Buffer,
    start: number,
    end: number,
  ): void {
    if ((streamId & 1) === 0)
      throw protocolError(`HEADERS on stream ${streamId}, which nobody opened`)
    const builder = this.#builder
    builder.start()
    this.#decoder.decode(bytes, start, end, builder)
    const stream = this.#streams.get(streamId)
    if (stream !== undefined) {
      if (stream.remoteEnded)
        this.#streamError(stream, ErrorCode.streamClosed, 'HEADERS after the end of the stream')
      else if (stream.headReceived) this.#trailers(stream, endStream)
      else this.#response(stream, endStream)
    } else if (!this.#server) {
      this.#checkNotIdle(streamId, 'HEADERS')
      this.#spendNoise(1)
    } else if (streamId > this.#lastPeerId) this.#request(streamId, endStream)
    else {
      const how = this.#ended.how(streamId)
      if (how === Ended.byUs) this.#spendNoise(1)
      else if (how === Ended.byPeer)
        throw new Http2Error(
          ErrorCode.streamClosed,
          `HEADERS on stream ${streamId}, which has ended`,
        )
      else throw protocolError(`stream ${streamId} is opened after stream ${this.#lastPeerId}`)
    }
  }

  /** @internal See FrameHandler. */
  frame(
    type: number,
    flags: number,
    streamId: number,
    bytes: Buffer,
    start: number,
    length: number,
  ): void {
    switch (type) {
      case FrameType.windowUpdate:
        if (length !== 4) throw sizeError('WINDOW_UPDATE', length)
        this.#spendNoise(1)
        if (streamId === 0) this.#connectionWindow(readUint31(bytes, start))
        else this.#streamWindowUpdate(streamId, readUint31(bytes, start))
        return
      case FrameType.rstStream:
        if (length !== 4) throw sizeError('RST_STREAM', length)
        this.#peerReset(streamId, readUint32(bytes, start))
        return
      case FrameType.settings:
        if (streamId !== 0) throw protocolError('SETTINGS on a stream')
        if (length % 6 !== 0 || ((flags & Flag.ack) !== 0 && length > 0))
          throw sizeError('SETTINGS', length)
        if ((flags & Flag.ack) !== 0) {
          this.#liveness.settingsAcked = true
          this.#spendNoise(1)
        } else this.#settings(bytes, start, length)
        return
      case FrameType.ping:
        if (streamId !== 0) throw protocolError('PING on a stream')
        if (length !== 8) throw sizeError('PING', length)
        this.#spendNoise(1)
        if ((flags & Flag.ack) === 0) this.#writer.ping(true, bytes, start)
        else this.#liveness.pong(bytes, start)
        return
      case FrameType.goAway:
        if (streamId !== 0) throw protocolError('GOAWAY on a stream')
        if (length < 8) throw sizeError('GOAWAY', length)
        this.#spendNoise(1)
        this.#peerLeaves(readUint31(bytes, start), readUint32(bytes, start + 4))
        return
      case FrameType.priority:
        if (streamId === 0) throw protocolError('PRIORITY on stream 0')
        this.#spendNoise(1)
        if (length !== 5) {
          const stream = this.#streams.get(streamId)
          if (stream === undefined) throw sizeError('PRIORITY', length)
          this.#streamError(stream, ErrorCode.frameSizeError, 'PRIORITY is not of 5 bytes')
        } else if (readUint31(bytes, start) === streamId)
          throw protocolError(`stream ${streamId} depends on itself`)
        return
      case FrameType.pushPromise:
        throw protocolError('PUSH_PROMISE was never allowed')
      default:
        // Extensions are read over (RFC 9113 5.5).
        this.#spendNoise(1)
    }
  }

  // -- heads ---------------------------------------------------------------------------------------------------------

  #request(streamId: number, endStream: boolean): void {
    this.#lastPeerId = streamId
    if (this.#finalGoAway) {
      // Its id is above the one in GOAWAY: the client knows that nobody looks at it.
      this.#spendResets(1)
      this.#ended.add(streamId, Ended.byUs)
      return
    }
    if (this.#streams.size >= this.#limits.maxConcurrentStreams) {
      this.#spendResets(1)
      this.#refuseNow(streamId, ErrorCode.refusedStream)
      return
    }
    const head = this.#builder.request()
    if (head === undefined) {
      if (this.#builder.tooLarge) this.#answerTooLarge(streamId, endStream)
      else this.#refuse(streamId, ErrorCode.protocolError)
      return
    }
    if (endStream && head.contentLength > 0) {
      this.#refuse(streamId, ErrorCode.protocolError)
      return
    }
    const stream = new Http2Stream(
      this,
      streamId,
      nobody,
      this.#peer.windowBytes,
      this.#streamWindow,
    )
    stream.headReceived = true
    stream.remoteEnded = endStream
    stream.expected = head.contentLength
    this.#streams.set(streamId, stream)
    const user = this.#options.onStream?.(stream, head, endStream)
    if (user) stream.user = user
  }

  #answerTooLarge(streamId: number, endStream: boolean): void {
    this.#spendResets(malformedPrice)
    this.#writer.response(streamId, 431, noFields, true)
    if (endStream) this.#ended.add(streamId, Ended.byPeer)
    else this.#refuseNow(streamId, ErrorCode.noError)
  }

  #response(stream: Http2Stream, endStream: boolean): void {
    const head = this.#builder.response()
    if (head === undefined) {
      if (this.#builder.tooLarge)
        this.#streamError(
          stream,
          ErrorCode.enhanceYourCalm,
          `the head of the response has more than ${this.#limits.maxHeaderListBytes} bytes or ${this.#limits.maxFields} fields`,
        )
      else this.#streamError(stream, ErrorCode.protocolError, this.#builder.malformed)
      return
    }
    const { status } = head
    if (status < 200) {
      if (endStream || status === 101)
        this.#streamError(
          stream,
          ErrorCode.protocolError,
          `${status} ends no stream and switches none`,
        )
      else {
        this.#spendNoise(1)
        stream.user.informational(head)
      }
      return
    }
    stream.headReceived = true
    this.#noise.earn(1)
    if (!stream.bodiless && status !== 304 && status !== 204) {
      stream.expected = head.contentLength
      if (endStream && head.contentLength > 0) {
        this.#streamError(
          stream,
          ErrorCode.protocolError,
          `the body is not of the ${stream.expected} bytes that Content-Length says`,
        )
        return
      }
    } else stream.expected = 0
    if (endStream) stream.remoteEnded = true
    stream.user.headers(head, endStream)
    if (endStream) this.#remoteDone(stream)
  }

  #trailers(stream: Http2Stream, endStream: boolean): void {
    const fields = this.#builder.trailers()
    if (!endStream)
      this.#streamError(stream, ErrorCode.protocolError, 'trailers that do not end the stream')
    else if (fields === undefined)
      this.#streamError(
        stream,
        this.#builder.tooLarge ? ErrorCode.enhanceYourCalm : ErrorCode.protocolError,
        this.#builder.malformed || 'the trailers are too large',
      )
    else if (stream.expected >= 0 && stream.received !== stream.expected)
      this.#streamError(
        stream,
        ErrorCode.protocolError,
        `the body is not of the ${stream.expected} bytes that Content-Length says`,
      )
    else {
      stream.remoteEnded = true
      stream.user.trailers(fields)
      this.#remoteDone(stream)
    }
  }

  // -- windows -------------------------------------------------------------------------------------------------------

  get #streamWindow(): number {
    return Math.max(this.#limits.streamWindowBytes, defaultWindowBytes)
  }

  #connectionWindow(increment: number): void {
    if (increment === 0) throw protocolError('WINDOW_UPDATE of 0')
    this.#outflow.widen(increment, this.#nowMs)
  }

  #streamWindowUpdate(streamId: number, increment: number): void {
    const stream = this.#streams.get(streamId)
    if (stream === undefined) {
      this.#checkNotIdle(streamId, 'WINDOW_UPDATE')
      return
    }
    if (increment === 0) this.#streamError(stream, ErrorCode.protocolError, 'WINDOW_UPDATE of 0')
    else if (stream.sendWindow + increment > maxWindowBytes)
      this.#streamError(stream, ErrorCode.flowControlError, 'the window of the stream overflows')
    else {
      stream.sendWindow += increment
      this.#outflow.widened(stream, this.#nowMs)
    }
  }

  #giveConnectionBack(bytes: number): void {
    this.#owed += bytes
    if (this.#owed < Math.max(this.#limits.connectionWindowBytes, defaultWindowBytes) >>> 1) return
    this.#writer.windowUpdate(0, this.#owed)
    this.#receiveLeft += this.#owed
    this.#owed = 0
  }

  // -- settings, pings, farewells ------------------------------------------------------------------------------------

  #settings(bytes: Buffer, start: number, length: number): void {
    const peer = this.#peer
    const windowBytes = peer.windowBytes
    const most = this.maxConcurrent
    peer.apply(bytes, start, length, !this.#server)
    if (this.#settingsSeen) this.#spendNoise(10)
    this.#settingsSeen = true
    this.#writer.settingsAck()
    this.#writer.encoder.resize(peer.headerTableBytes)
    const change = peer.windowBytes - windowBytes
    if (change !== 0)
      for (const stream of this.#streams.values()) {
        stream.sendWindow += change
        if (stream.sendWindow > maxWindowBytes)
          throw new Http2Error(ErrorCode.flowControlError, 'the window of a stream overflows')
        if (change > 0) this.#outflow.widened(stream, this.#nowMs)
      }
    if (!this.#server && this.maxConcurrent > most) this.#options.onCapacity?.()
  }

  #sendFinalGoAway(): void {
    if (this.#finalGoAway) return
    this.#finalGoAway = true
    this.#writer.goAway(this.#lastPeerId, ErrorCode.noError, '')
  }

  #peerLeaves(lastStreamId: number, code: number): void {
    if (this.#server) return
    this.#peerLeft = true
    for (const stream of this.#streams.values()) {
      if (stream.id <= lastStreamId) continue
      this.#forget(stream)
      this.#streams.delete(stream.id)
      stream.user.reset(
        ErrorCode.refusedStream,
        new Http2Error(ErrorCode.refusedStream, `the peer is leaving (${errorName(code)})`),
      )
    }
    this.#options.onGoAway?.(code, lastStreamId)
  }

  // -- ends of streams -----------------------------------------------------------------------------------------------

  #sendEndNow(stream: Http2Stream): void {
    if (stream.endTrailers) this.#writer.trailers(stream.id, stream.endTrailers)
    else this.#writer.end(stream.id)
    this.#localDone(stream)
  }

  /** All of our side is written. */
  #localDone(stream: Http2Stream): void {
    if (stream.remoteEnded) this.#complete(stream)
    else if (this.#server) this.#resetNow(stream, ErrorCode.noError)
  }

  /** All of the peer's side has come. */
  #remoteDone(stream: Http2Stream): void {
    if (stream.localEnded && stream.pendingBytes === 0 && !stream.closed) this.#complete(stream)
  }

  #complete(stream: Http2Stream): void {
    this.#resets.earn(1)
    this.#forget(stream)
    this.#streams.delete(stream.id)
    this.#ended.add(stream.id, Ended.byPeer)
    if (!this.#server) this.#options.onCapacity?.()
  }

  /** Nothing more happens on a stream; its memory is let go and its share of the connection's window given back. */
  #forget(stream: Http2Stream): void {
    stream.closed = true
    stream.pending = undefined
    stream.pendingBytes = 0
    stream.endTrailers = undefined
    this.#outflow.forget(stream)
    if (stream.held > 0) {
      if (!this.closed) this.#giveConnectionBack(stream.held)
      stream.held = 0
    }
  }

  #resetNow(stream: Http2Stream, code: number): void {
    this.#forget(stream)
    this.#streams.delete(stream.id)
    this.#refuseNow(stream.id, code)
    if (!this.#server) this.#options.onCapacity?.()
  }

  #refuseNow(streamId: number, code: number): void {
    this.#ended.add(streamId, Ended.byUs)
    this.#writer.reset(streamId, code)
  }

  /** The peer broke the rules on a stream that is not (or no longer) there. */
  #refuse(streamId: number, code: number): void {
    this.#spendResets(malformedPrice)
    this.#refuseNow(streamId, code)
  }

  /** Ends a stream that cannot go on. */
  #drop(stream: Http2Stream, error: Http2Error): void {
    this.#resetNow(stream, error.code)
    stream.user.reset(error.code, error)
  }

  /** The peer broke the rules on a stream. */
  #streamError(stream: Http2Stream, code: number, message: string): void {
    this.#drop(stream, new Http2Error(code, message))
    this.#spendResets(malformedPrice)
  }

  #peerReset(streamId: number, code: number): void {
    if (streamId === 0) throw protocolError('RST_STREAM on stream 0')
    const stream = this.#streams.get(streamId)
    if (stream === undefined) {
      this.#checkNotIdle(streamId, 'RST_STREAM')
      this.#spendNoise(1)
      return
    }
    this.#forget(stream)
    this.#streams.delete(streamId)
    this.#ended.add(streamId, Ended.byPeer)
    stream.user.reset(code, new Http2Error(code, `the peer reset the stream (${errorName(code)})`))
    if (this.#server) this.#spendResets(1)
    else this.#options.onCapacity?.()
  }

  #checkNotIdle(streamId: number, what: string): void {
    const known = this.#server ? streamId <= this.#lastPeerId : streamId < this.#nextId
    if (!known || (streamId & 1) === 0)
      throw protocolError(`${what} on stream ${streamId}, which nobody opened`)
  }

  // -- bounds and output ---------------------------------------------------------------------------------------------

  #spendNoise(price: number): void {
    if (!this.#noise.spend(price, this.#nowMs))
      throw new Http2Error(ErrorCode.enhanceYourCalm, 'too many frames that carry nothing')
  }

  /** Only clients can make us work for nothing: a pod's resets end requests that someone asked for. */
  #spendResets(price: number): void {
    if (this.#server && !this.#resets.spend(price, this.#nowMs))
      throw new Http2Error(ErrorCode.enhanceYourCalm, 'too many streams are reset or malformed')
  }

  /** The end of every call into the connection: what was made is written, or will be soon. */
  #leave(): void {
    if (--this.#depth > 0 || this.closed) return
    const finished =
      this.#streams.size === 0 && ((this.#leaving && this.#finalGoAway) || this.#peerLeft)
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
    if (!this.#writer.flush(this.#options.sink)) this.#outflow.full = true
    this.#depth++
    this.#outflow.wake()
    this.#leave()
  }
}

const noFields: OutgoingFields = { names: [], values: [] }
const protocolError = (message: string): Http2Error =>
  new Http2Error(ErrorCode.protocolError, message)
const sizeError = (what: string, length: number): Http2Error =>
  new Http2Error(ErrorCode.frameSizeError, `${what} of ${length} bytes`)
