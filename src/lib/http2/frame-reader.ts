/**
 * Hot path, security-critical. Cuts the bytes of a connection into frames (RFC 9113 4), however they arrive. Bodies pass as they come;
 * of every other frame at most one is held until it is whole, header blocks up to a limit.
 */
import { ErrorCode, Http2Error } from './error.ts'
import {
  defaultFrameBytes,
  Flag,
  frameHeaderBytes,
  FrameType,
  preface,
  readUint24,
  readUint31,
} from './frames.ts'

/** Gets what was cut out. All may throw Http2Error: the connection ends then. */
export interface FrameHandler {
  /** A DATA frame begins; `length` counts padding. */
  dataStart(streamId: number, flags: number, length: number): void
  /** Bytes of it; `last` with the last of its bytes, which may be none. */
  dataPiece(bytes: Buffer, last: boolean): void
  /** It has ended; so many of its bytes were padding. */
  dataEnd(padding: number): void
  /** A whole header block. */
  headerBlock(streamId: number, endStream: boolean, bytes: Buffer, start: number, end: number): void
  /** Any other frame: its payload is `length` bytes from `start`. */
  frame(
    type: number,
    flags: number,
    streamId: number,
    bytes: Buffer,
    start: number,
    length: number,
  ): void
}

/** CONTINUATION frames of one block; four full ones carry the largest block that is of use. */
const maxContinuations = 32
const nothing = Buffer.alloc(0)

export class FrameReader {
  /** Set: nothing more is read. */
  stopped = false
  /** Frames that were read, header blocks counting once. */
  completed = 0
  readonly #handler: FrameHandler
  readonly #maxBlockBytes: number
  #prefaceAt: number
  #first = true
  /** A frame of which more must come: its bytes so far, how many, and how many are needed to go on. */
  #held: Buffer = nothing
  #heldLength = 0
  #needed = 0
  /** Of the DATA frame that is passing. */
  #inData = false
  #dataLeft = 0
  #paddingLeft = 0
  #padding = 0
  /** The pad length has yet to come. */
  #padded = false
  /** A header block that CONTINUATION frames go on with. */
  #block: Buffer[] = []
  #blockStream = 0
  #blockBytes = 0
  #blockEndStream = false

  /** `expectPreface`: the peer is a client. */
  constructor(handler: FrameHandler, expectPreface: boolean, maxBlockBytes: number) {
    this.#handler = handler
    this.#prefaceAt = expectPreface ? 0 : preface.length
    this.#maxBlockBytes = maxBlockBytes
  }

  /** A frame (but DATA), a header block or the preface has begun and not ended. */
  get midway(): boolean {
    return this.#needed > 0 || this.#blockStream !== 0 || this.#prefaceAt < preface.length
  }

  /** Reads all of `bytes`. Throws Http2Error for what ends the connection. */
  read(bytes: Buffer): void {
    let at = 0
    const end = bytes.length
    if (this.#prefaceAt < preface.length) {
      while (at < end && this.#prefaceAt < preface.length)
        if (bytes[at++] !== preface[this.#prefaceAt++])
          throw protocolError('the connection does not begin with the preface of HTTP/2')
    }
    while (!this.stopped) {
      if (this.#inData) {
        at = this.#data(bytes, at)
        if (this.#inData) return
        continue
      }
      if (this.#needed > 0) {
        const take = Math.min(this.#needed - this.#heldLength, end - at)
        bytes.copy(this.#held, this.#heldLength, at, at + take)
        at += take
        this.#heldLength += take
        if (this.#heldLength < this.#needed) return
        const held = this.#held
        if (this.#needed === frameHeaderBytes) {
          const length = this.#check(held, 0)
          if (held[3] !== FrameType.data && length > 0) {
            this.#needed = frameHeaderBytes + length
            if (held.length < this.#needed) {
              this.#held = Buffer.allocUnsafeSlow(this.#needed)
              held.copy(this.#held, 0, 0, frameHeaderBytes)
            }
            continue
          }
        }
        this.#needed = 0
        this.#held = nothing
        this.#begin(held, 0, readUint24(held, 0))
        continue
      }
      if (at === end) return
      if (end - at >= frameHeaderBytes) {
        const length = this.#check(bytes, at)
        if (bytes[at + 3] === FrameType.data || end - at >= frameHeaderBytes + length) {
          this.#begin(bytes, at, length)
          at += frameHeaderBytes
          if (bytes[at - 6] !== FrameType.data) at += length
          continue
        }
        this.#needed = frameHeaderBytes + length
      } else this.#needed = frameHeaderBytes
      this.#held = Buffer.allocUnsafe(this.#needed)
      this.#heldLength = bytes.copy(this.#held, 0, at, end)
      return
    }
  }

  /** Looks at a frame's header and returns the length of its payload. */
  #check(bytes: Buffer, at: number): number {
    const length = readUint24(bytes, at)
    const type = bytes[at + 3]!
    if (this.#first) {
      if (type !== FrameType.settings || (bytes[at + 4]! & Flag.ack) !== 0)
        throw protocolError('the first frame is not SETTINGS')
      this.#first = false
    }
    if (length > defaultFrameBytes)
      throw new Http2Error(
        ErrorCode.frameSizeError,
        `a frame of ${length} bytes, at most ${defaultFrameBytes} are allowed`,
      )
    if (
      this.#blockStream !== 0 &&
      (type !== FrameType.continuation || readUint31(bytes, at + 5) !== this.#blockStream)
    )
      throw protocolError('a header block is interrupted')
    return length
  }

  /** Deals with the frame at `at`, which is whole unless it is DATA. */
  #begin(bytes: Buffer, at: number, length: number): void {
    const type = bytes[at + 3]!
    const flags = bytes[at + 4]!
    const streamId = readUint31(bytes, at + 5)
    const start = at + frameHeaderBytes
    if (type === FrameType.data) {
      this.#padded = (flags & Flag.padded) !== 0
      if (this.#padded && length === 0) throw sizeError('padded DATA')
      this.#handler.dataStart(streamId, flags, length)
      this.#inData = true
      this.#dataLeft = length
      this.#paddingLeft = 0
      this.#padding = 0
    } else if (type === FrameType.headers) this.#headers(streamId, flags, bytes, start, length)
    else if (type === FrameType.continuation) this.#continuation(flags, bytes, start, length)
    else {
      this.completed++
      this.#handler.frame(type, flags, streamId, bytes, start, length)
    }
  }

  /** Passes on what is there of a DATA frame; returns the index behind it. */
  #data(bytes: Buffer, at: number): number {
    if (this.#padded) {
      if (at === bytes.length) return at
      const padding = bytes[at++]!
      this.#padded = false
      this.#dataLeft--
      if (padding > this.#dataLeft) throw protocolError('DATA has more padding than payload')
      this.#dataLeft -= padding
      this.#paddingLeft = padding
      this.#padding = padding + 1
      if (this.#dataLeft === 0) this.#handler.dataPiece(nothing, true)
    } else if (this.#dataLeft === 0 && this.#paddingLeft === 0)
      this.#handler.dataPiece(nothing, true)
    if (this.#dataLeft > 0) {
      const take = Math.min(this.#dataLeft, bytes.length - at)
      if (take === 0) return at
      this.#dataLeft -= take
      this.#handler.dataPiece(bytes.subarray(at, at + take), this.#dataLeft === 0)
      at += take
      if (this.#dataLeft > 0) return at
    }
    const skip = Math.min(this.#paddingLeft, bytes.length - at)
    this.#paddingLeft -= skip
    if (this.#paddingLeft > 0) return at + skip
    this.#inData = false
    this.#handler.dataEnd(this.#padding)
    return at + skip
  }

  #headers(streamId: number, flags: number, bytes: Buffer, start: number, length: number): void {
    let end = start + length
    if ((flags & Flag.padded) !== 0) {
      if (length === 0) throw sizeError('padded HEADERS')
      end -= bytes[start++]!
      if (end < start) throw protocolError('HEADERS has more padding than payload')
    }
    if (streamId === 0) throw protocolError('HEADERS on stream 0')
    // Priorities are read over (5.3.2), but a stream that depends on itself was never right.
    if ((flags & Flag.priority) !== 0) {
      if (start + 5 > end) throw sizeError('HEADERS with priority')
      if (readUint31(bytes, start) === streamId)
        throw protocolError(`stream ${streamId} depends on itself`)
      start += 5
    }
    const endStream = (flags & Flag.endStream) !== 0
    if ((flags & Flag.endHeaders) !== 0) {
      this.completed++
      this.#handler.headerBlock(streamId, endStream, bytes, start, end)
      return
    }
    this.#blockStream = streamId
    this.#blockEndStream = endStream
    this.#blockBytes = 0
    this.#block = []
    this.#append(bytes, start, end)
  }

  #continuation(flags: number, bytes: Buffer, start: number, length: number): void {
    const streamId = this.#blockStream
    if (streamId === 0) throw protocolError('CONTINUATION without HEADERS')
    this.#append(bytes, start, start + length)
    if ((flags & Flag.endHeaders) === 0) return
    const block = Buffer.concat(this.#block)
    this.#block = []
    this.#blockStream = 0
    this.completed++
    this.#handler.headerBlock(streamId, this.#blockEndStream, block, 0, block.length)
  }

  #append(bytes: Buffer, start: number, end: number): void {
    this.#blockBytes += end - start
    if (this.#blockBytes > this.#maxBlockBytes || this.#block.length > maxContinuations)
      throw new Http2Error(
        ErrorCode.enhanceYourCalm,
        `a header block of more than ${this.#maxBlockBytes} bytes or ${maxContinuations} CONTINUATION frames`,
      )
    this.#block.push(Buffer.from(bytes.subarray(start, end)))
  }
}

const protocolError = (message: string): Http2Error =>
  new Http2Error(ErrorCode.protocolError, message)
const sizeError = (what: string): Http2Error =>
  new Http2Error(ErrorCode.frameSizeError, `${what} is too short`)
