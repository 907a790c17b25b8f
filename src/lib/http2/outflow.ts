/**
 * Hot path. The sending half of a connection's flow control (RFC 9113 5.2, 6.9): bodies go as far as the windows of stream and
 * connection reach, the rest waits, and whoever was told to wait hears when there is room.
 */
import { ErrorCode, Http2Error } from './error.ts'
import type { FrameWriter } from './frame-writer.ts'
import { defaultFrameBytes, defaultWindowBytes, maxWindowBytes } from './frames.ts'
import type { Http2Stream } from './stream.ts'

/** More output than this and writers are told to wait. */
const fullBytes = 131_072

export interface OutflowOwner {
  /** All that waited on a stream has gone, and we have ended our side. */
  pendingSent(stream: Http2Stream): void
  /** More waits on a stream than may. */
  pendingOverflowed(stream: Http2Stream): void
  /** A frame of a body was sent. */
  dataSent(): void
}

export class Outflow {
  /** The socket takes no more for now. */
  full = false
  readonly #writer: FrameWriter
  readonly #owner: OutflowOwner
  readonly #maxPendingBytes: number
  /** Streams whose users were told to wait. */
  readonly #waiting = new Set<Http2Stream>()
  #window = defaultWindowBytes

  constructor(writer: FrameWriter, owner: OutflowOwner, maxPendingBytes: number) {
    this.#writer = writer
    this.#owner = owner
    this.#maxPendingBytes = maxPendingBytes
  }

  /** Sends body bytes or keeps them. False: the stream's user is to wait. */
  send(stream: Http2Stream, data: Buffer, nowMs: number): boolean {
    const sent = stream.pendingBytes === 0 ? this.#send(stream, data, 0) : 0
    if (sent < data.length) this.#keep(stream, data, sent, nowMs)
    const roomy = stream.pendingBytes === 0 && !this.full && this.#writer.length < fullBytes
    if (!roomy && !stream.waiting && !stream.closed) {
      stream.waiting = true
      this.#waiting.add(stream)
    }
    return roomy
  }

  /** The peer lets the connection send `increment` more. Throws Http2Error. */
  widen(increment: number, nowMs: number): void {
    this.#window += increment
    if (this.#window > maxWindowBytes)
      throw new Http2Error(ErrorCode.flowControlError, 'the window of the connection overflows')
    for (const stream of this.#waiting) {
      if (this.#window <= 0) break
      if (stream.pendingBytes === 0) continue
      this.#sendPending(stream, nowMs)
      // To the end of the row, so that nobody starves.
      if (stream.pendingBytes > 0 && this.#window <= 0 && stream.sendWindow > 0) {
        this.#waiting.delete(stream)
        this.#waiting.add(stream)
      }
    }
    this.wake()
  }

  /** The stream's window has grown. */
  widened(stream: Http2Stream, nowMs: number): void {
    if (stream.pendingBytes > 0) this.#sendPending(stream, nowMs)
    if (stream.waiting) this.wake()
  }

  /** Tells those who wait and have nothing pending that there is room. */
  wake(): void {
    if (this.full || this.#waiting.size === 0) return
    for (const stream of this.#waiting) {
      if (stream.pendingBytes > 0) continue
      this.forget(stream)
      if (!stream.closed && !stream.localEnded) stream.user.writable()
      if (this.full || this.#writer.length >= fullBytes) return
    }
  }

  /** The stream waits no longer. */
  forget(stream: Http2Stream): void {
    if (!stream.waiting) return
    stream.waiting = false
    this.#waiting.delete(stream)
  }

  /** The streams on which nothing has gone since `beforeMs`, though something waits. */
  stalled(beforeMs: number): Http2Stream[] {
    const found: Http2Stream[] = []
    for (const stream of this.#waiting)
      if (stream.stalledMs >= 0 && stream.stalledMs < beforeMs) found.push(stream)
    return found
  }

  /** Sends from `from` what windows allow; returns the index behind it. */
  #send(stream: Http2Stream, data: Buffer, from: number): number {
    while (from < data.length) {
      const left = data.length - from
      const length = Math.min(left, stream.sendWindow, this.#window, defaultFrameBytes)
      if (length <= 0) return from
      this.#writer.data(stream.id, data, from, length)
      stream.sendWindow -= length
      this.#window -= length
      this.#owner.dataSent()
      from += length
    }
    return from
  }

  #keep(stream: Http2Stream, data: Buffer, from: number, nowMs: number): void {
    const bytes = data.length - from
    if (stream.pendingBytes + bytes > this.#maxPendingBytes) {
      this.#owner.pendingOverflowed(stream)
      return
    }
    if (stream.pendingBytes === 0) stream.stalledMs = nowMs
    ;(stream.pending ??= []).push(Buffer.from(data.subarray(from)))
    stream.pendingBytes += bytes
  }

  #sendPending(stream: Http2Stream, nowMs: number): void {
    const { pending } = stream
    while (pending !== undefined && pending.length > 0) {
      const bytes = pending[0]!
      const sent = this.#send(stream, bytes, stream.pendingStart)
      if (sent > stream.pendingStart) stream.stalledMs = nowMs
      stream.pendingBytes -= sent - stream.pendingStart
      stream.pendingStart = sent
      if (sent < bytes.length) return
      pending.shift()
      stream.pendingStart = 0
    }
    stream.stalledMs = -1
    if (stream.localEnded && !stream.closed) this.#owner.pendingSent(stream)
  }
}
