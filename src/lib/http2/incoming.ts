/**
 * Hot path, security-critical. What comes in on a connection, frame by frame (RFC 9113 5, 6, 8): who may send what and when, and what
 * it means for the streams and for the connection.
 */
import { Ended } from './ended-streams.ts'
import { ErrorCode, Http2Error, protocolError } from './error.ts'
import type { FrameHandler } from './frame-reader.ts'
import type { FrameWriter } from './frame-writer.ts'
import { Flag, FrameType, readUint31, readUint32 } from './frames.ts'
import { HeadBuilder } from './head.ts'
import { HpackDecoder } from './hpack/decoder.ts'
import type { Inflow } from './inflow.ts'
import type { Http2Limits } from './limits.ts'
import type { Liveness } from './liveness.ts'
import type { Http2Options } from './options.ts'
import { PeerSettings } from './settings.ts'
import type { Http2Stream, OutgoingFields } from './stream.ts'
import type { Streams } from './streams.ts'
import { malformedPrice, type Tolerance } from './tolerance.ts'

/** Our table of received fields, bytes. */
const headerTableBytes = 4096
/** Every server worth its name allows as many (RFC 9113 6.5.2 asks for no less). */
const guessedConcurrent = 100

export class Incoming implements FrameHandler {
  /** What the peer allows us. */
  readonly peer = new PeerSettings()
  /** Its SETTINGS have come. */
  settingsSeen = false
  /** The peer takes no new streams. */
  peerLeft = false
  /** Server: requests are looked at; false once our final GOAWAY has told the client which was the last. */
  takesRequests = true
  readonly #options: Http2Options
  readonly #limits: Http2Limits
  readonly #server: boolean
  readonly #streams: Streams
  readonly #inflow: Inflow
  readonly #tolerance: Tolerance
  readonly #writer: FrameWriter
  readonly #liveness: Liveness
  readonly #decoder = new HpackDecoder(headerTableBytes)
  readonly #builder: HeadBuilder
  /** The stream of the DATA frame that is passing; undefined: its bytes are for nobody. */
  #dataStream: Http2Stream | undefined
  #dataEnds = false

  constructor(
    options: Http2Options,
    limits: Http2Limits,
    streams: Streams,
    tolerance: Tolerance,
    writer: FrameWriter,
    liveness: Liveness,
  ) {
    this.#options = options
    this.#limits = limits
    this.#server = options.role === 'server'
    this.#streams = streams
    this.#inflow = streams.inflow
    this.#tolerance = tolerance
    this.#writer = writer
    this.#liveness = liveness
    this.#builder = new HeadBuilder(limits.maxHeaderListBytes, limits.maxFields)
  }

  /** How many streams the peer lets us open at once (client); a careful guess until its SETTINGS come. */
  get maxConcurrent(): number {
    return this.settingsSeen ? this.peer.maxConcurrentStreams : guessedConcurrent
  }

  /** @internal See FrameHandler. */
  dataStart(streamId: number, flags: number, length: number): void {
    if (streamId === 0) throw protocolError('DATA on stream 0')
    this.#inflow.take(length)
    this.#dataStream = undefined
    this.#dataEnds = (flags & Flag.endStream) !== 0
    const stream = this.#streams.get(streamId)
    if (stream === undefined) {
      this.#streams.checkNotIdle(streamId, 'DATA')
      if (this.#streams.howEnded(streamId) !== Ended.byUs)
        this.#streams.refuseMalformed(streamId, ErrorCode.streamClosed)
      else this.#tolerance.spendNoise(1)
      return
    }
    if (stream.remoteEnded)
      this.#streams.fail(stream, ErrorCode.streamClosed, 'DATA after the end of the stream')
    else if (!stream.headReceived)
      this.#streams.fail(stream, ErrorCode.protocolError, 'DATA before the response')
    else if (length > stream.receiveLeft)
      this.#streams.fail(stream, ErrorCode.flowControlError, 'DATA beyond the window of the stream')
    else {
      stream.receiveLeft -= length
      this.#dataStream = stream
      if (length === 0 && !this.#dataEnds) this.#tolerance.spendNoise(1)
    }
  }

  /** @internal See FrameHandler. */
  dataPiece(bytes: Buffer, last: boolean): void {
    const stream = this.#dataStream
    if (stream === undefined || stream.closed) {
      this.#inflow.giveBack(bytes.length)
      return
    }
    stream.held += bytes.length
    stream.received += bytes.length
    const ends = last && this.#dataEnds
    if (
      stream.expected >= 0 &&
      (stream.received > stream.expected || (ends && stream.received < stream.expected))
    ) {
      this.#streams.fail(
        stream,
        ErrorCode.protocolError,
        `the body is not of the ${stream.expected} bytes that Content-Length says`,
      )
      return
    }
    if (ends) stream.remoteEnded = true
    else if (bytes.length === 0) return
    stream.user.data(bytes, ends)
    if (ends) this.#streams.remoteDone(stream)
  }

  /** @internal See FrameHandler. */
  dataEnd(padding: number): void {
    if (padding === 0) return
    this.#inflow.giveBack(padding)
    const stream = this.#dataStream
    if (stream === undefined || stream.closed) return
    // Padding is never the user's: it is given back here, when it is due.
    this.#inflow.giveStreamBack(stream, padding)
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
        this.#streams.fail(stream, ErrorCode.streamClosed, 'HEADERS after the end of the stream')
      else if (stream.headReceived) this.#trailers(stream, endStream)
      else this.#response(stream, endStream)
    } else if (!this.#server) {
      this.#streams.checkNotIdle(streamId, 'HEADERS')
      this.#tolerance.spendNoise(1)
    } else if (streamId > this.#streams.lastPeerId) this.#request(streamId, endStream)
    else {
      const how = this.#streams.howEnded(streamId)
      if (how === Ended.byUs) this.#tolerance.spendNoise(1)
      else if (how === Ended.byPeer)
        throw new Http2Error(
          ErrorCode.streamClosed,
          `HEADERS on stream ${streamId}, which has ended`,
        )
      else
        throw protocolError(`stream ${streamId} is opened after stream ${this.#streams.lastPeerId}`)
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
        this.#tolerance.spendNoise(1)
        if (streamId === 0) this.#widen(readUint31(bytes, start))
        else this.#streams.widen(streamId, readUint31(bytes, start))
        return
      case FrameType.rstStream:
        if (length !== 4) throw sizeError('RST_STREAM', length)
        this.#streams.peerReset(streamId, readUint32(bytes, start))
        return
      case FrameType.settings:
        if (streamId !== 0) throw protocolError('SETTINGS on a stream')
        if (length % 6 !== 0 || ((flags & Flag.ack) !== 0 && length > 0))
          throw sizeError('SETTINGS', length)
        if ((flags & Flag.ack) !== 0) {
          this.#liveness.settingsAcked = true
          this.#tolerance.spendNoise(1)
        } else this.#settings(bytes, start, length)
        return
      case FrameType.ping:
        if (streamId !== 0) throw protocolError('PING on a stream')
        if (length !== 8) throw sizeError('PING', length)
        this.#tolerance.spendNoise(1)
        if ((flags & Flag.ack) === 0) this.#writer.ping(true, bytes, start)
        else this.#liveness.pong(bytes, start)
        return
      case FrameType.goAway:
        if (streamId !== 0) throw protocolError('GOAWAY on a stream')
        if (length < 8) throw sizeError('GOAWAY', length)
        this.#tolerance.spendNoise(1)
        this.#peerLeaves(readUint31(bytes, start), readUint32(bytes, start + 4))
        return
      case FrameType.priority:
        if (streamId === 0) throw protocolError('PRIORITY on stream 0')
        this.#tolerance.spendNoise(1)
        if (length !== 5) {
          const stream = this.#streams.get(streamId)
          if (stream === undefined) throw sizeError('PRIORITY', length)
          this.#streams.fail(stream, ErrorCode.frameSizeError, 'PRIORITY is not of 5 bytes')
        } else if (readUint31(bytes, start) === streamId)
          throw protocolError(`stream ${streamId} depends on itself`)
        return
      case FrameType.pushPromise:
        throw protocolError('PUSH_PROMISE was never allowed')
      default:
        // Extensions are read over (RFC 9113 5.5).
        this.#tolerance.spendNoise(1)
    }
  }

  // -- heads ---------------------------------------------------------------------------------------------------------

  #request(streamId: number, endStream: boolean): void {
    this.#streams.lastPeerId = streamId
    if (!this.takesRequests) {
      // Its id is above the one in GOAWAY: the client knows that nobody looks at it.
      this.#tolerance.spendResets(1)
      this.#streams.skip(streamId, Ended.byUs)
      return
    }
    if (this.#streams.size >= this.#limits.maxConcurrentStreams) {
      this.#tolerance.spendResets(1)
      this.#streams.refuse(streamId, ErrorCode.refusedStream)
      return
    }
    const head = this.#builder.request()
    if (head === undefined) {
      if (this.#builder.tooLarge) this.#answerTooLarge(streamId, endStream)
      else this.#streams.refuseMalformed(streamId, ErrorCode.protocolError)
      return
    }
    if (endStream && head.contentLength > 0) {
      this.#streams.refuseMalformed(streamId, ErrorCode.protocolError)
      return
    }
    const stream = this.#streams.openPeers(this.peer.windowBytes)
    stream.headReceived = true
    stream.remoteEnded = endStream
    stream.expected = head.contentLength
    const user = this.#options.onStream?.(stream, head, endStream)
    if (user) stream.user = user
  }

  #answerTooLarge(streamId: number, endStream: boolean): void {
    this.#tolerance.spendResets(malformedPrice)
    this.#writer.response(streamId, 431, noFields, true)
    if (endStream) this.#streams.skip(streamId, Ended.byPeer)
    else this.#streams.refuse(streamId, ErrorCode.noError)
  }

  #response(stream: Http2Stream, endStream: boolean): void {
    const head = this.#builder.response()
    if (head === undefined) {
      if (this.#builder.tooLarge)
        this.#streams.fail(
          stream,
          ErrorCode.enhanceYourCalm,
          `the head of the response has more than ${this.#limits.maxHeaderListBytes} bytes or ${this.#limits.maxFields} fields`,
        )
      else this.#streams.fail(stream, ErrorCode.protocolError, this.#builder.malformed)
      return
    }
    const { status } = head
    if (status < 200) {
      if (endStream || status === 101)
        this.#streams.fail(
          stream,
          ErrorCode.protocolError,
          `${status} ends no stream and switches none`,
        )
      else {
        this.#tolerance.spendNoise(1)
        stream.user.informational(head)
      }
      return
    }
    stream.headReceived = true
    this.#tolerance.earnNoise(1)
    if (!stream.bodiless && status !== 304 && status !== 204) {
      stream.expected = head.contentLength
      if (endStream && head.contentLength > 0) {
        this.#streams.fail(
          stream,
          ErrorCode.protocolError,
          `the body is not of the ${stream.expected} bytes that Content-Length says`,
        )
        return
      }
    } else stream.expected = 0
    if (endStream) stream.remoteEnded = true
    stream.user.headers(head, endStream)
    if (endStream) this.#streams.remoteDone(stream)
  }

  #trailers(stream: Http2Stream, endStream: boolean): void {
    const fields = this.#builder.trailers()
    if (!endStream)
      this.#streams.fail(stream, ErrorCode.protocolError, 'trailers that do not end the stream')
    else if (fields === undefined)
      this.#streams.fail(
        stream,
        this.#builder.tooLarge ? ErrorCode.enhanceYourCalm : ErrorCode.protocolError,
        this.#builder.malformed || 'the trailers are too large',
      )
    else if (stream.expected >= 0 && stream.received !== stream.expected)
      this.#streams.fail(
        stream,
        ErrorCode.protocolError,
        `the body is not of the ${stream.expected} bytes that Content-Length says`,
      )
    else {
      stream.remoteEnded = true
      stream.user.trailers(fields)
      this.#streams.remoteDone(stream)
    }
  }

  // -- windows, settings, farewells ----------------------------------------------------------------------------------

  #widen(increment: number): void {
    if (increment === 0) throw protocolError('WINDOW_UPDATE of 0')
    this.#streams.outflow.widen(increment, this.#tolerance.nowMs)
  }

  #settings(bytes: Buffer, start: number, length: number): void {
    const { peer } = this
    const windowBytes = peer.windowBytes
    const most = this.maxConcurrent
    peer.apply(bytes, start, length, !this.#server)
    if (this.settingsSeen) this.#tolerance.spendNoise(10)
    this.settingsSeen = true
    this.#writer.settingsAck()
    this.#writer.encoder.resize(peer.headerTableBytes)
    this.#streams.widenAll(peer.windowBytes - windowBytes)
    if (!this.#server && this.maxConcurrent > most) this.#options.onCapacity?.()
  }

  #peerLeaves(lastStreamId: number, code: number): void {
    if (this.#server) return
    this.peerLeft = true
    this.#streams.peerLeft(lastStreamId, code)
    this.#options.onGoAway?.(code, lastStreamId)
  }
}

const noFields: OutgoingFields = { names: [], values: [] }
const sizeError = (what: string, length: number): Http2Error =>
  new Http2Error(ErrorCode.frameSizeError, `${what} of ${length} bytes`)
