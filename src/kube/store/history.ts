/** The newest changes, in a ring: what watches replay and what a list of the recent past undoes. */
import type { Change } from './store.ts'

export class History {
  readonly #ring: Change[] = []
  readonly #limit: number
  readonly #start: number
  #newest: number

  /** Keeps `limit` changes; the first to come is of revision `start` + 1, and revisions have no gaps. */
  constructor(limit: number, start: number) {
    this.#limit = limit
    this.#start = start
    this.#newest = start
  }

  /** Everything after this revision is here. */
  get compacted(): number {
    return Math.max(this.#start, this.#newest - this.#limit)
  }

  push(change: Change): void {
    this.#newest = change.revision
    if (this.#limit > 0) this.#ring[this.#slot(change.revision)] = change
  }

  /** The change that made `revision`, if it is one after `compacted`. */
  at(revision: number): Change | undefined {
    return revision > this.compacted ? this.#ring[this.#slot(revision)] : undefined
  }

  #slot(revision: number): number {
    return (revision - this.#start - 1) % this.#limit
  }
}
