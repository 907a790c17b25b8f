/**
 * The newest changes, in a ring: what watches replay and what a list of the recent past undoes. Bounded by number and by
 * size, since one object may be a thousand times as large as another.
 */
import type { Change } from './store.ts'

export class History {
  readonly #ring: (Change | undefined)[] = []
  readonly #sizes: number[] = []
  readonly #limit: number
  readonly #limitBytes: number
  readonly #start: number
  #newest: number
  #compacted: number
  #bytes = 0

  /** Keeps `limit` changes; the first to come is of revision `start` + 1, and revisions have no gaps. */
  constructor(limit: number, limitBytes: number, start: number) {
    this.#limit = limit
    this.#limitBytes = limitBytes
    this.#start = start
    this.#newest = start
    this.#compacted = start
  }

  /** Everything after this revision is here. */
  get compacted(): number {
    return this.#compacted
  }

  /** `bytes`: about how large the object is; 0 = not known. */
  push(change: Change, bytes: number): void {
    this.#newest = change.revision
    while (this.#newest - this.#compacted > this.#limit) this.#dropOldest()
    if (this.#limit === 0) return
    const slot = this.#slot(change.revision)
    this.#ring[slot] = change
    this.#sizes[slot] = bytes
    this.#bytes += bytes
    while (this.#bytes > this.#limitBytes && this.#compacted < this.#newest) this.#dropOldest()
  }

  /** The change that made `revision`, if it is one after `compacted`. */
  at(revision: number): Change | undefined {
    return revision > this.#compacted ? this.#ring[this.#slot(revision)] : undefined
  }

  #dropOldest(): void {
    this.#compacted++
    if (this.#limit === 0) return
    const slot = this.#slot(this.#compacted)
    this.#bytes -= this.#sizes[slot] ?? 0
    this.#sizes[slot] = 0
    this.#ring[slot] = undefined
  }

  #slot(revision: number): number {
    return (revision - this.#start - 1) % this.#limit
  }
}
