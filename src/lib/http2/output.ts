/**
 * Hot path. The bytes that a connection is about to send, written frame after frame into slabs of memory. A slab goes to the sink in
 * parts and is never written to again where the sink has it, so nothing is copied a second time.
 */
import type { Http2Sink } from './options.ts'
import { defaultFrameBytes, frameHeaderBytes } from './frames.ts'

const firstSlabBytes = 4096
/** Four full frames of DATA. */
const slabBytes = 4 * (frameHeaderBytes + defaultFrameBytes)
const nothing = Buffer.alloc(0)

export class Output {
  /** The slab in use; what `reserve` promised may be written. */
  bytes: Buffer = nothing
  /** Where the next frame begins. Moved by the writer. */
  at = 0
  #start = 0
  #full: Buffer[] = []
  #fullBytes = 0

  /** Bytes that wait for `flush`. */
  get length(): number {
    return this.#fullBytes + this.at - this.#start
  }

  /** Makes room for `size` bytes in one piece at the returned index (= `at`) of `bytes`. */
  reserve(size: number): number {
    if (this.at + size > this.bytes.length) this.#change(size)
    return this.at
  }

  /** Gives everything to the sink. False: the sink is full. */
  flush(sink: Http2Sink): boolean {
    let roomy = true
    if (this.#full.length > 0) {
      const full = this.#full
      this.#full = []
      this.#fullBytes = 0
      for (const bytes of full) roomy = sink.write(bytes)
    }
    if (this.at > this.#start) {
      const part = this.bytes.subarray(this.#start, this.at)
      this.#start = this.at
      roomy = sink.write(part)
    }
    return roomy
  }

  /** Lets the memory go of a connection that rests. */
  release(): void {
    if (this.length > 0) return
    this.bytes = nothing
    this.at = 0
    this.#start = 0
  }

  #change(size: number): void {
    if (this.at > this.#start) {
      const part = this.bytes.subarray(this.#start, this.at)
      this.#full.push(part)
      this.#fullBytes += part.length
    }
    this.bytes = Buffer.allocUnsafeSlow(
      Math.max(size, this.bytes.length === 0 ? firstSlabBytes : slabBytes),
    )
    this.at = 0
    this.#start = 0
  }
}
