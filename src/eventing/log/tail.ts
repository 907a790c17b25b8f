/**
 * The newest events of a log, in memory: subscribers that keep up never ask the disk. They lie there as they were
 * written, many in one piece, and are taken apart when somebody reads them: millions of small objects that live for a
 * second are what a garbage collector likes least.
 */
import type { LoggedEvent } from './event-log.ts'
import { headBytes } from './record.ts'

/** Records that were written together: sequences without a gap. */
export interface Batch {
  readonly first: number
  readonly last: number
  readonly timeMs: number
  /** Records, one behind the other. */
  readonly records: Buffer
}

const capacityBytes = 8 << 20
/** Of batches that were read last the events are kept: many subscribers read the same ones at about the same time. */
const mostRead = 32

export class Tail {
  #batches: Batch[] = []
  /** Batches before this index are gone; they are cut away now and then. */
  #start = 0
  #bytes = 0
  readonly #read = new Map<Batch, readonly LoggedEvent[]>()

  push(batch: Batch): void {
    this.#batches.push(batch)
    this.#bytes += batch.records.length
    for (let oldest; this.#bytes > capacityBytes; this.#bytes -= oldest.records.length) {
      oldest = this.#batches[this.#start]
      if (!oldest) break
      this.#read.delete(oldest)
      // The list is cut now and then, memory is given back at once.
      this.#batches[this.#start++] = gone
    }
    if (this.#start < 1024 || this.#start < this.#batches.length / 2) return
    this.#batches = this.#batches.slice(this.#start)
    this.#start = 0
  }

  /** Events from `sequence` on; undefined when it is not here any more, or not yet. */
  from(sequence: number, maxBytes: number): readonly LoggedEvent[] | undefined {
    let at = this.#batchOf(sequence)
    const first = this.#batches[at]
    if (!first || sequence < first.first) return undefined
    const events: LoggedEvent[] = []
    let bytes = 0
    for (
      let batch: Batch | undefined = first;
      batch && bytes < maxBytes;
      batch = this.#batches[++at]
    )
      for (const event of this.#eventsOf(batch)) {
        if (event.sequence < sequence) continue
        if (bytes >= maxBytes) break
        events.push(event)
        bytes += event.payload.length
      }
    return events
  }

  /** Index of the first batch that ends at `sequence` or later. */
  #batchOf(sequence: number): number {
    let low = this.#start
    let high = this.#batches.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#batches[middle]?.last ?? 0) < sequence) low = middle + 1
      else high = middle
    }
    return low
  }

  #eventsOf(batch: Batch): readonly LoggedEvent[] {
    const known = this.#read.get(batch)
    if (known) return known
    const events: LoggedEvent[] = []
    const { records, timeMs } = batch
    for (let at = 0, sequence = batch.first; at < records.length; sequence++) {
      const end = at + headBytes + records.readUInt32BE(at)
      events.push({ sequence, timeMs, payload: records.subarray(at + headBytes, end) })
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

const gone: Batch = { first: 0, last: 0, timeMs: 0, records: Buffer.alloc(0) }
