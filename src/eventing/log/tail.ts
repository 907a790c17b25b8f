/**
 * The newest events of a log, in memory: subscribers that keep up never ask the disk. They lie there as they were
 * written, in slabs that are used again and again, and are copied out when somebody reads them: what lives for a second
 * and is allocated thousands of times a second is what a garbage collector likes least.
 */
import type { LoggedEvent } from './event-log.ts'
import { headBytes } from './record.ts'

/** Records that were written together: sequences without a gap. */
export interface Batch {
  readonly first: number
  readonly last: number
  readonly timeMs: number
  /** Records, one behind the other, where `place` said. */
  readonly records: Buffer
}

const slabBytes = 1 << 20
const mostSlabs = 8
/** The first slab: most channels have few events. */
const smallSlabBytes = 64 << 10
/** Of batches that were read last the events are kept: many subscribers read the same ones at about the same time. */
const mostRead = 32

interface Slab {
  readonly bytes: Buffer
  used: number
  /** What lies in it, in order. */
  batches: Batch[]
}

export class Tail {
  /** In the order of their batches; the last one is filled. */
  readonly #slabs: Slab[] = []
  readonly #read = new Map<Batch, readonly LoggedEvent[]>()

  /** Memory for the records of a batch, good for one `push`. */
  place(bytes: number): Buffer {
    if (bytes > slabBytes) return Buffer.allocUnsafeSlow(bytes)
    let slab = this.#slabs.at(-1)
    if (!slab || slab.used + bytes > slab.bytes.length) slab = this.#nextSlab(bytes)
    const start = slab.used
    slab.used += bytes
    return slab.bytes.subarray(start, slab.used)
  }

  #nextSlab(bytes: number): Slab {
    if (this.#slabs.length >= mostSlabs) {
      const oldest = this.#slabs.shift()
      for (const batch of oldest?.batches ?? []) this.#read.delete(batch)
      if (oldest && oldest.bytes.length === slabBytes) {
        oldest.used = 0
        oldest.batches = []
        this.#slabs.push(oldest)
        return oldest
      }
    }
    const size = this.#slabs.length === 0 && bytes <= smallSlabBytes ? smallSlabBytes : slabBytes
    const slab = { bytes: Buffer.allocUnsafeSlow(size), used: 0, batches: [] }
    this.#slabs.push(slab)
    return slab
  }

  /** `batch` is durable now. One that is larger than a slab is not kept: its readers ask the disk. */
  push(batch: Batch): void {
    if (batch.records.length <= slabBytes) this.#slabs.at(-1)?.batches.push(batch)
  }

  /** Events from `sequence` on, as many as follow without a gap; undefined when it is not here any more, or not yet. */
  from(sequence: number, maxBytes: number): readonly LoggedEvent[] | undefined {
    const events: LoggedEvent[] = []
    let bytes = 0
    let next = sequence
    for (const { batches } of this.#slabs) {
      if ((batches.at(-1)?.last ?? 0) < next) continue
      for (let at = indexOf(batches, next); at < batches.length; at++) {
        const batch = batches[at]
        if (!batch || batch.first > next) return events.length > 0 ? events : undefined
        for (const event of this.#eventsOf(batch)) {
          if (event.sequence < next) continue
          events.push(event)
          bytes += event.payload.length
          if (bytes >= maxBytes) return events
        }
        next = batch.last + 1
      }
    }
    return events.length > 0 ? events : undefined
  }

  #eventsOf(batch: Batch): readonly LoggedEvent[] {
    const known = this.#read.get(batch)
    if (known) return known
    const events: LoggedEvent[] = []
    const { records, timeMs } = batch
    for (let at = 0, sequence = batch.first; at < records.length; sequence++) {
      const end = at + headBytes + records.readUInt32BE(at)
      // A copy, as the slab will be written over.
      events.push({ sequence, timeMs, payload: Buffer.from(records.subarray(at + headBytes, end)) })
      at = end
    }
    this.#read.set(batch, events)
    if (this.#read.size > mostRead)
      for (const oldest of this.#read.keys()) {
        this.#read.delete(oldest)
        break
      }
    return events
  }
}

/** Of the first batch that ends at `sequence` or later. */
function indexOf(batches: readonly Batch[], sequence: number): number {
  let low = 0
  let high = batches.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((batches[middle]?.last ?? 0) < sequence) low = middle + 1
    else high = middle
  }
  return low
}
