/**
 * Hot path. The receiving half of a connection's flow control (RFC 9113 5.2, 6.9): what the peer may send, and when it may send as much
 * again. Its counterpart is `outflow.ts`.
 */
import { ErrorCode, Http2Error } from './error.ts'
import type { FrameWriter } from './frame-writer.ts'
import { defaultWindowBytes } from './frames.ts'
import type { Http2Limits } from './limits.ts'
import type { Http2Stream } from './stream.ts'

export class Inflow {
  /** What a new stream may receive, bytes. */
  readonly streamWindow: number
  readonly #writer: FrameWriter
  readonly #window: number
  /** What may come on all streams together. */
  #left: number
  /** Given back, not yet told to the peer. */
  #owed = 0

  constructor(writer: FrameWriter, limits: Http2Limits) {
    this.#writer = writer
    this.streamWindow = Math.max(limits.streamWindowBytes, defaultWindowBytes)
    this.#window = Math.max(limits.connectionWindowBytes, defaultWindowBytes)
    this.#left = this.#window
  }

  /** After our SETTINGS, which speak of streams alone: the window of the connection. */
  open(): void {
    if (this.#window > defaultWindowBytes)
      this.#writer.windowUpdate(0, this.#window - defaultWindowBytes)
  }

  /** DATA of `length` bytes begins. Throws Http2Error. */
  take(length: number): void {
    if (length > this.#left)
      throw new Http2Error(ErrorCode.flowControlError, 'DATA beyond the window of the connection')
    this.#left -= length
  }

  /** `bytes` that came are held no longer: the connection may receive as many again. */
  giveBack(bytes: number): void {
    this.#owed += bytes
    if (this.#owed < this.#window >>> 1) return
    this.#writer.windowUpdate(0, this.#owed)
    this.#left += this.#owed
    this.#owed = 0
  }

  /** The same for one stream, which is open; the connection's share is given back apart. */
  giveStreamBack(stream: Http2Stream, bytes: number): void {
    stream.owed += bytes
    if (stream.remoteEnded || stream.owed < this.streamWindow >>> 1) return
    this.#writer.windowUpdate(stream.id, stream.owed)
    stream.receiveLeft += stream.owed
    stream.owed = 0
  }
}
