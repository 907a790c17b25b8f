/**
 * Where recent events of a channel stand, by hash of their id: 4 bytes an event, so that an event that people ask for by
 * its id is found without reading the log. It says where to look; who looks compares.
 */
import { crc32 } from 'node:zlib'

const smallest = 256
/** Events that are known at most. */
const largest = 65_536

export class IdRing {
  #hashes = new Uint32Array(smallest)
  /** First and last sequence that are known, without a gap; none when last < first. */
  #first = 1
  #last = 0

  /** From here to `last` every event is known. */
  get first(): number {
    return this.#first
  }

  get last(): number {
    return this.#last
  }

  note(sequence: number, id: string): void {
    if (sequence !== this.#last + 1) this.#first = sequence
    const length = sequence - this.#first + 1
    if (length > this.#hashes.length && this.#hashes.length < largest) this.#grow()
    this.#hashes[sequence % this.#hashes.length] = crc32(id)
    this.#last = sequence
    if (length > this.#hashes.length) this.#first = sequence - this.#hashes.length + 1
  }

  /** Sequences that may have this id, the oldest first. */
  find(id: string): readonly number[] {
    const wanted = crc32(id)
    const found: number[] = []
    for (let sequence = this.#first; sequence <= this.#last; sequence++)
      if (this.#hashes[sequence % this.#hashes.length] === wanted) found.push(sequence)
    return found
  }

  #grow(): void {
    const before = this.#hashes
    this.#hashes = new Uint32Array(Math.min(before.length * 2, largest))
    for (let sequence = this.#first; sequence <= this.#last; sequence++)
      this.#hashes[sequence % this.#hashes.length] = before[sequence % before.length] ?? 0
  }
}
