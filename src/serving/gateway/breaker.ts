/**
 * Hot path. Requests waiting for a slot, first come first served, with a capacity for each revision and one for all.
 * Follows what Knative's `queue/breaker.go` and the activator's throttler guarantee: never more than containerConcurrency at a pod,
 * at most 10,000 waiting, and 503 `pending request queue full` beyond.
 */

/** Someone in a queue; a link of the list itself, so that waiting allocates nothing and leaving costs nothing. */
export interface Waiter {
  queue: WaitQueue | undefined
  ahead: Waiter | undefined
  behind: Waiter | undefined
}

/** How many wait in all queues together. */
export class QueueBudget {
  readonly capacity: number
  used = 0

  constructor(capacity: number) {
    this.capacity = capacity
  }
}

export class WaitQueue<W extends Waiter = Waiter> {
  readonly capacity: number
  readonly #budget: QueueBudget
  #first: W | undefined
  #last: W | undefined
  #size = 0

  constructor(capacity: number, budget: QueueBudget) {
    this.capacity = capacity
    this.#budget = budget
  }

  get size(): number {
    return this.#size
  }

  /** False when the queue, or all queues together, are full. */
  push(waiter: W): boolean {
    if (this.#size >= this.capacity || this.#budget.used >= this.#budget.capacity) return false
    waiter.queue = this as unknown as WaitQueue
    waiter.ahead = this.#last
    waiter.behind = undefined
    if (this.#last) this.#last.behind = waiter
    else this.#first = waiter
    this.#last = waiter
    this.#size++
    this.#budget.used++
    return true
  }

  /** Puts back one that had been served already: it keeps its place at the front, whatever the capacity says. */
  unshift(waiter: W): void {
    waiter.queue = this as unknown as WaitQueue
    waiter.ahead = undefined
    waiter.behind = this.#first
    if (this.#first) this.#first.ahead = waiter
    else this.#last = waiter
    this.#first = waiter
    this.#size++
    this.#budget.used++
  }

  shift(): W | undefined {
    const first = this.#first
    if (first) this.remove(first)
    return first
  }

  /** Takes a waiter out, wherever it stands. Harmless when it does not wait here. */
  remove(waiter: W): void {
    if (waiter.queue !== (this as unknown as WaitQueue)) return
    const { ahead, behind } = waiter
    if (ahead) ahead.behind = behind
    else this.#first = behind as W | undefined
    if (behind) behind.ahead = ahead
    else this.#last = ahead as W | undefined
    waiter.queue = undefined
    waiter.ahead = undefined
    waiter.behind = undefined
    this.#size--
    this.#budget.used--
  }
}
