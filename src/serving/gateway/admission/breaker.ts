/**
 * Hot path. Requests waiting for a slot, first come first served, with a capacity for each revision and a room for all.
 * Follows what Knative's `queue/breaker.go` and the activator's throttler guarantee: never more than containerConcurrency at a pod,
 * at most 10,000 waiting, and 503 `pending request queue full` beyond.
 */
import type { WorkerMemory } from '../workers/worker-memory.ts'

/** Someone in a queue; a link of the list itself, so that waiting allocates nothing and leaving costs nothing. */
export interface Waiter {
  queue: WaitQueue | undefined
  ahead: Waiter | undefined
  behind: Waiter | undefined
}

/**
 * How many wait in all queues together. A queue may grow while it is shorter than the room that is left for everybody
 * (dynamic thresholds, Choudhury and Hahne 1998): one that bursts alone gets half of the room, two a third each, and
 * there is always room for one that has not waited yet.
 */
export class QueueBudget {
  readonly capacity: number
  /** Waiting here. */
  used = 0
  /** Counts over all workers; undefined = there is one. */
  readonly memory: WorkerMemory | undefined

  constructor(capacity: number, memory?: WorkerMemory) {
    this.capacity = capacity
    this.memory = memory
  }

  /** Room for waiting requests that nobody has taken. */
  get room(): number {
    return this.capacity - (this.memory?.totalWaiting ?? this.used)
  }
}

export class WaitQueue<W extends Waiter = Waiter> {
  readonly capacity: number
  readonly #budget: QueueBudget
  readonly #memory: WorkerMemory | undefined
  /** The revision's place in it. */
  readonly #place: number
  #first: W | undefined
  #last: W | undefined
  #size = 0

  /** `place`: of the revision in the budget's memory, if it has one. */
  constructor(capacity: number, budget: QueueBudget, place = -1) {
    this.capacity = capacity
    this.#budget = budget
    this.#memory = place < 0 ? undefined : budget.memory
    this.#place = place
  }

  get size(): number {
    return this.#size
  }

  /** Who is next. */
  get first(): W | undefined {
    return this.#first
  }

  /** Waiters of this revision at all workers. */
  get everywhere(): number {
    return this.#memory?.waiting(this.#place) ?? this.#size
  }

  /** False when the queue is full, or takes up its share of the room for all. */
  push(waiter: W): boolean {
    const waiting = this.everywhere
    if (waiting >= this.capacity || waiting >= this.#budget.room) return false
    waiter.queue = this as unknown as WaitQueue
    waiter.ahead = this.#last
    waiter.behind = undefined
    if (this.#last) this.#last.behind = waiter
    else this.#first = waiter
    this.#last = waiter
    this.#count()
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
    this.#count()
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
    this.#memory?.stopWaiting(this.#place)
  }

  #count(): void {
    this.#size++
    this.#budget.used++
    this.#memory?.startWaiting(this.#place)
  }
}
