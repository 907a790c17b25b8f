/**
 * Who is told of changes: watches, each with a bounded queue of what it has not read yet, and synchronous listeners.
 * Watches are grouped by resource, so that a change costs only those that may care.
 */
import { Compacted, type Change, type Watch } from './store.ts'

type Listener = (change: Change) => void

export class Watchers {
  readonly #groups = new Map<string, Set<Watcher>>()
  readonly #listeners = new Set<Listener>()
  readonly #capacity: number
  readonly #unsent: Change[] = []
  #sending = false

  /** `capacity`: changes that a watch may be behind before it is ended. */
  constructor(capacity: number) {
    this.#capacity = capacity
  }

  /** Starts with `backlog`; `compacted` answers the oldest revision left, for the error of one that is too slow. */
  watch(prefix: string, after: number, backlog: Change[], compacted: () => number): Watch {
    const group = groupOf(prefix)
    const members = this.#groups.get(group) ?? new Set()
    this.#groups.set(group, members)
    const watcher = new Watcher(prefix, after, backlog, this.#capacity, compacted, () => {
      members.delete(watcher)
      if (members.size === 0 && this.#groups.get(group) === members) this.#groups.delete(group)
    })
    members.add(watcher)
    return watcher
  }

  subscribe(listener: Listener): Disposable {
    const own: Listener = (change) => listener(change) // the same function may be subscribed twice
    this.#listeners.add(own)
    return { [Symbol.dispose]: () => this.#listeners.delete(own) }
  }

  /** Tells everyone. A change made by a listener waits until all have heard of the one before. */
  publish(change: Change): void {
    this.#unsent.push(change)
    if (this.#sending) return
    this.#sending = true
    for (let next = this.#unsent.shift(); next; next = this.#unsent.shift()) this.#send(next)
    this.#sending = false
  }

  /** Ends every watch, without an error. */
  end(): void {
    for (const members of this.#groups.values()) {
      for (const watcher of members) watcher[Symbol.dispose]()
    }
    this.#listeners.clear()
  }

  #send(change: Change): void {
    for (const listener of this.#listeners) {
      try {
        listener(change)
      } catch (thrown) {
        // The change is made and the others must hear of it: a broken listener ends the process, not the write.
        queueMicrotask(() => {
          throw thrown
        })
      }
    }
    for (const group of [groupOf(change.key), '']) {
      for (const watcher of this.#groups.get(group) ?? []) watcher.push(change)
    }
  }
}

/** The resource with its slash, or '' for a prefix that does not name a whole one. */
const groupOf = (prefix: string): string => prefix.slice(0, prefix.indexOf('/') + 1)

class Watcher implements Watch, AsyncIterableIterator<Change> {
  readonly #prefix: string
  readonly #capacity: number
  readonly #compacted: () => number
  readonly #leave: () => void
  #after: number
  #queue: Change[]
  #head = 0
  #error: Compacted | undefined
  #ended = false
  #waiting: PromiseWithResolvers<IteratorResult<Change>>[] = []

  constructor(
    prefix: string,
    after: number,
    backlog: Change[],
    capacity: number,
    compacted: () => number,
    leave: () => void,
  ) {
    this.#prefix = prefix
    this.#after = after
    this.#queue = backlog
    this.#capacity = backlog.length + capacity
    this.#compacted = compacted
    this.#leave = leave
  }

  get changes(): AsyncIterable<Change> {
    return this
  }

  push(change: Change): void {
    if (change.revision <= this.#after || !change.key.startsWith(this.#prefix)) return
    const waiting = this.#waiting.shift()
    if (waiting) {
      this.#after = change.revision
      waiting.resolve({ value: change, done: false })
    } else if (!this.#isTooSlow()) this.#queue.push(change)
    else {
      this.#error = new Compacted(this.#after, this.#compacted())
      this[Symbol.dispose]()
    }
  }

  /** Too much is waiting, or what waits is no longer in the history: only that bounds its size. */
  #isTooSlow(): boolean {
    const oldest = this.#queue[this.#head]
    if (!oldest) return false
    return this.#queue.length - this.#head >= this.#capacity || oldest.revision <= this.#compacted()
  }

  next(): Promise<IteratorResult<Change>> {
    const change = this.#queue[this.#head]
    if (change) {
      this.#head++
      if (this.#head === this.#queue.length) {
        this.#queue = []
        this.#head = 0
      } else if (this.#head >= 1024 && this.#head * 2 >= this.#queue.length) {
        this.#queue = this.#queue.slice(this.#head)
        this.#head = 0
      }
      this.#after = change.revision
      return Promise.resolve({ value: change, done: false })
    }
    if (this.#error) {
      const error = this.#error
      this.#error = undefined
      return Promise.reject(error)
    }
    if (this.#ended) return Promise.resolve({ value: undefined, done: true })
    const waiting = Promise.withResolvers<IteratorResult<Change>>()
    this.#waiting.push(waiting)
    return waiting.promise
  }

  return(): Promise<IteratorResult<Change>> {
    this[Symbol.dispose]()
    return Promise.resolve({ value: undefined, done: true })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  [Symbol.dispose](): void {
    if (this.#ended) return
    this.#ended = true
    this.#queue = []
    this.#head = 0
    this.#leave()
    for (const { resolve } of this.#waiting.splice(0)) resolve({ value: undefined, done: true })
  }

  [Symbol.asyncDispose](): Promise<void> {
    this[Symbol.dispose]()
    return Promise.resolve()
  }
}
