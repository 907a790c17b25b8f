/** The newest events of a log, in memory: subscribers that keep up never ask the disk. */
import type { LoggedEvent } from './event-log.ts'

const capacityBytes = 8 << 20
/** Stands where one was: the list is cut now and then, memory is given back at once. */
const gone: LoggedEvent = { sequence: 0, timeMs: 0, payload: new Uint8Array() }

export class Tail {
  #events: LoggedEvent[] = []
  /** Events before this index are gone; they are cut away now and then. */
  #start = 0
  #bytes = 0

  push(events: readonly LoggedEvent[]): void {
    for (const event of events) {
      this.#events.push(event)
      this.#bytes += event.payload.length
    }
    for (let oldest; this.#bytes > capacityBytes; this.#bytes -= oldest.payload.length) {
      oldest = this.#events[this.#start]
      if (!oldest) break
      this.#events[this.#start++] = gone
    }
    if (this.#start < 1024 || this.#start < this.#events.length / 2) return
    this.#events = this.#events.slice(this.#start)
    this.#start = 0
  }

  /** Events from `sequence` on; undefined when some of them are not here any more, or none are there yet. */
  from(sequence: number, maxBytes: number): readonly LoggedEvent[] | undefined {
    const first = this.#events[this.#start]
    if (!first || sequence < first.sequence) return undefined
    const at = this.#start + sequence - first.sequence
    // After damage or a failed write sequences may have gaps: then the disk is asked.
    if (this.#events[at]?.sequence !== sequence) return undefined
    let bytes = 0
    let end = at
    while (end < this.#events.length && bytes < maxBytes)
      bytes += this.#events[end++]?.payload.length ?? 0
    return this.#events.slice(at, end)
  }
}
