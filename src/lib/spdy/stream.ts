/**
 * One stream of a SPDY connection as a Duplex of Node's: ending it half-closes it, destroying it cancels it. The peers
 * that still speak SPDY do no flow control of their own, so a stream that is not read holds up its whole connection.
 */
import { Duplex } from 'node:stream'
import type { SpdyHeaders } from './header-block.ts'

/** What is kept of a stream that nobody reads, before its connection waits. */
const bufferBytes = 256 << 10

/** What a stream asks of its connection. */
export interface StreamOwner {
  send(streamId: number, chunk: Buffer, fin: boolean, done: (error?: Error | null) => void): void
  reply(streamId: number, headers: SpdyHeaders): void
  /** The stream is over; `cancel`: the other side does not know yet. */
  gone(streamId: number, cancel: boolean): void
}

export class SpdyStream extends Duplex {
  readonly id: number
  /** As the side that opened it said. */
  readonly headers: SpdyHeaders
  /** Resolves when the other side has accepted a stream that was opened here. */
  readonly accepted: Promise<void>
  readonly #owner: StreamOwner
  #accept: () => void = () => {}
  #resume: (() => void) | undefined
  #endedHere = false
  #endedThere = false
  #reset = false

  constructor(id: number, headers: SpdyHeaders, owner: StreamOwner) {
    super({ readableHighWaterMark: bufferBytes, allowHalfOpen: true })
    this.id = id
    this.headers = headers
    this.#owner = owner
    this.accepted = new Promise((resolve) => (this.#accept = resolve))
    // Cancelled by the other side: whoever reads or writes learns of it by the end.
    this.on('error', () => {})
  }

  /** Accepts a stream that the other side has opened. */
  reply(headers: SpdyHeaders = new Map()): void {
    this.#owner.reply(this.id, headers)
  }

  /** The other side has accepted it. For the connection. */
  wasAccepted(): void {
    this.#accept()
  }

  /** Bytes from the other side. Resolves when more may come; undefined = at once. For the connection. */
  receive(chunk: Buffer): Promise<void> | undefined {
    if (this.#endedThere || this.destroyed || this.push(chunk)) return undefined
    return new Promise((resolve) => (this.#resume = resolve))
  }

  /** The other side sends no more. For the connection. */
  receiveEnd(): void {
    if (this.#endedThere) return
    this.#endedThere = true
    this.push(null)
  }

  /** The other side has cancelled it. For the connection. */
  receiveReset(status: number): void {
    this.#reset = true
    // What has come to its end in order is still read.
    if (this.#endedThere && !this.readableEnded) {
      this.#owner.gone(this.id, false)
      this.once('end', () => this.destroy())
    } else this.destroy(new Error(`the stream was reset, status ${status}`))
  }

  override _read(): void {
    this.#resume?.()
    this.#resume = undefined
  }

  override _write(chunk: Buffer, _: string, done: (error?: Error | null) => void): void {
    this.#owner.send(this.id, chunk, false, done)
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#endedHere = true
    this.#owner.send(this.id, Buffer.alloc(0), true, done)
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this._read()
    this.#accept()
    this.#owner.gone(this.id, !this.#reset && !(this.#endedHere && this.#endedThere))
    done(error)
  }
}
