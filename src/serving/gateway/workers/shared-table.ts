/**
 * Names to places in memory that threads share, so that each gateway worker finds the counts of a pod, a revision or a
 * split by its key without asking anybody. Open addressing over 64-bit hashes of the keys, which are told from each
 * other by nothing else; a place belongs to its key until every worker has let go of it. Asked off the hot path, when
 * the feed brings something new, under one lock.
 */

/** Words of an entry: two halves of the hash (both 0 = never used), and one bit for each worker that uses it. */
const entryWords = 3

/** Words that a table with this many places takes. */
export const tableWords = (capacity: number): number => capacity * entryWords

/** A lock in shared memory: 0, or who has it + 1. Held for some microseconds. */
export class SharedLock {
  readonly #words: Int32Array
  readonly #at: number

  constructor(words: Int32Array, at: number) {
    this.#words = words
    this.#at = at
  }

  /** Runs `work` alone. Waits by spinning: the main thread of a process may not sleep. */
  run<T>(worker: number, work: () => T): T {
    while (Atomics.compareExchange(this.#words, this.#at, 0, worker + 1) !== 0);
    try {
      return work()
    } finally {
      Atomics.store(this.#words, this.#at, 0)
    }
  }

  /** Frees the lock if this worker, which died, had it. */
  release(worker: number): void {
    Atomics.compareExchange(this.#words, this.#at, worker + 1, 0)
  }
}

export class SharedTable {
  readonly capacity: number
  readonly #words: Int32Array
  readonly #at: number
  readonly #lock: SharedLock

  constructor(words: Int32Array, at: number, capacity: number, lock: SharedLock) {
    this.#words = words
    this.#at = at
    this.capacity = capacity
    this.#lock = lock
  }

  /** The place of `key`, from now on used by `worker`; -1 when all are taken. `fresh` runs first when nobody had it. */
  acquire(worker: number, key: string, fresh?: (place: number) => void): number {
    const [high, low] = hashOf(key)
    return this.#lock.run(worker, () => {
      let free = -1
      for (let step = 0; step < this.capacity; step++) {
        const place = ((low >>> 0) + step) % this.capacity
        const at = this.#at + place * entryWords
        const words = this.#words
        if (words[at] === high && words[at + 1] === low && words[at + 2] !== 0) {
          words[at + 2]! |= 1 << worker
          return place
        }
        if (free < 0 && words[at + 2] === 0) free = place
        if (words[at] === 0 && words[at + 1] === 0) break
      }
      if (free < 0) return -1
      const at = this.#at + free * entryWords
      this.#words[at] = high
      this.#words[at + 1] = low
      fresh?.(free)
      this.#words[at + 2] = 1 << worker
      return free
    })
  }

  release(worker: number, place: number): void {
    this.#lock.run(worker, () => this.#release(worker, place))
  }

  /** Lets go of everything that a worker used. */
  forget(worker: number): void {
    this.#lock.run(worker, () => {
      for (let place = 0; place < this.capacity; place++)
        if ((this.#words[this.#at + place * entryWords + 2]! & (1 << worker)) !== 0)
          this.#release(worker, place)
    })
  }

  #release(worker: number, place: number): void {
    const words = this.#words
    words[this.#at + place * entryWords + 2]! &= ~(1 << worker)
    // A search must go past places that were used before; at the end of a run of them it need not.
    const after = this.#at + ((place + 1) % this.capacity) * entryWords
    if (words[after] !== 0 || words[after + 1] !== 0) return
    for (let step = 0; step < this.capacity; step++) {
      const at = this.#at + ((place - step + this.capacity) % this.capacity) * entryWords
      if (words[at + 2] !== 0 || (words[at] === 0 && words[at + 1] === 0)) return
      words[at] = 0
      words[at + 1] = 0
    }
  }
}

/** Two independent 32-bit hashes; never both 0. */
function hashOf(key: string): readonly [number, number] {
  let high = 0x811c9dc5
  let low = 0x2545f491
  for (let i = 0; i < key.length; i++) {
    const code = key.charCodeAt(i)
    high = Math.imul(high ^ code, 0x01000193)
    low = Math.imul(low ^ code, 0x5bd1e995)
    low ^= low >>> 13
  }
  high = Math.imul(high ^ (high >>> 16), 0x85ebca6b)
  low = Math.imul(low ^ (low >>> 15), 0x2c1b3c6d)
  return [(high ^ (high >>> 13)) | 0 || 1, (low ^ (low >>> 16)) | 0]
}
