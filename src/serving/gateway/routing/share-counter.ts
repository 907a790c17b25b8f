/**
 * Where a traffic split stands: how many requests it has sent so far. A split picks by this number alone
 * (`weighted-choice.ts`), so several workers that count on one number send the exact shares together. One worker counts
 * for itself; several put the numbers into shared memory.
 */

/** One split's number: 0 ≤ n < 2^32, then it starts again. */
export interface ShareCounter {
  /** Answers the number and adds one, in one atomic step. */
  next(): number
  /** The number, left as it is. */
  peek(): number
  /**
   * The weights changed from those that `before` identifies to those of `after` (hashes, unsigned 32 bits): adds
   * `jump(n)`, a whole number ≥ 0, so that the new sequence goes on where the old one fairly stands. Of several workers
   * only the first to come may add: who finds that the weights noted are not `before` does nothing. `before` 0: who
   * asks knows of none before; `after` is noted, nothing added.
   */
  change(before: number, after: number, jump: (n: number) => number): void
}

/** Hands out counters; the same key gives the same counter in each worker. */
export interface ShareCounters {
  /** `key` names one path of one host of one ingress. Only splits with two or more destinations ask. */
  counter(key: string): ShareCounter
  /** The split is gone. */
  release(key: string): void
}

class LocalShareCounter implements ShareCounter {
  #n = 0
  #weights = 0

  next(): number {
    const n = this.#n
    this.#n = (n + 1) >>> 0
    return n
  }

  peek(): number {
    return this.#n
  }

  change(before: number, after: number, jump: (n: number) => number): void {
    if (before !== 0 && this.#weights !== before) return
    this.#weights = after
    if (before !== 0) this.#n = (this.#n + jump(this.#n)) >>> 0
  }
}

/** Counters of one worker alone. */
export class LocalShareCounters implements ShareCounters {
  readonly #counters = new Map<string, ShareCounter>()

  counter(key: string): ShareCounter {
    let counter = this.#counters.get(key)
    if (counter === undefined) {
      counter = new LocalShareCounter()
      this.#counters.set(key, counter)
    }
    return counter
  }

  release(key: string): void {
    this.#counters.delete(key)
  }
}
