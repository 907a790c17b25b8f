/**
 * The part of a store that lies in memory: the newest object of each key, the order of the keys, the recent changes, and
 * who is told of them. Both stores read from it; they differ in what happens to a change afterwards.
 */
import type { KubeObject } from '../api/meta.ts'
import { stamped } from './frozen.ts'
import { History } from './history.ts'
import { KeyOrder } from './key-order.ts'
import {
  Compacted,
  RevisionMismatch,
  type Change,
  type Page,
  type StoreKey,
  type Watch,
} from './store.ts'
import { Watchers } from './watchers.ts'

export const defaultHistoryLimit = 10_000
/** Of JSON; in memory objects are some three times as large. */
const historyBytes = 32_000_000

export interface LogIndexOptions {
  /** Changes kept for watches and for lists of the past. Default 10,000. */
  readonly historyLimit?: number
  /** Changes that a watch may be behind before it is ended with Compacted. Default 8,192. */
  readonly watchCapacity?: number
}

/** What a key holds. */
export interface Entry {
  readonly object: KubeObject
  readonly revision: number
  /** Revision of the ADDED that began this object's life. */
  readonly created: number
}

/** A change that has been checked but not made. */
export interface Staged {
  readonly key: StoreKey
  readonly revision: number
  readonly object: KubeObject
  readonly existing: Entry | undefined
  readonly deleted: boolean
}

export class LogIndex {
  readonly #entries = new Map<StoreKey, Entry>()
  readonly #order = new KeyOrder()
  readonly #history: History
  readonly #watchers: Watchers
  #revision: number

  constructor(
    { historyLimit = defaultHistoryLimit, watchCapacity = 8_192 }: LogIndexOptions = {},
    start = 0,
  ) {
    this.#history = new History(historyLimit, historyBytes, start)
    this.#watchers = new Watchers(watchCapacity)
    this.#revision = start
  }

  get revision(): number {
    return this.#revision
  }

  get compacted(): number {
    return this.#history.compacted
  }

  get(key: StoreKey): KubeObject | undefined {
    return this.#entries.get(key)?.object
  }

  /** Takes in what was stored before `start`; nobody is told. */
  load(key: StoreKey, entry: Entry): void {
    this.#order.add(key)
    this.#entries.set(key, entry)
  }

  /** Checks a put and stamps its object, changing nothing yet. Throws RevisionMismatch. */
  stagePut(key: StoreKey, object: KubeObject, expected: number | undefined): Staged {
    const existing = this.#expect(key, expected)
    const revision = this.#revision + 1
    return { key, revision, object: stamped(object, revision), existing, deleted: false }
  }

  /** Checks a delete and stamps the last state. Throws RevisionMismatch, also when there is nothing to delete. */
  stageDelete(key: StoreKey, expected: number | undefined, last: KubeObject | undefined): Staged {
    const existing = this.#expect(key, expected)
    if (!existing) throw new RevisionMismatch(key, expected, undefined)
    const revision = this.#revision + 1
    const object = stamped(last ?? existing.object, revision)
    return { key, revision, object, existing, deleted: true }
  }

  /** Makes a staged change, which must be the newest one staged, and tells everyone. `bytes`: its size as JSON, if known. */
  commit({ key, revision, object, existing, deleted }: Staged, bytes = 0): void {
    if (deleted) {
      this.#entries.delete(key)
      this.#order.delete(key)
    } else {
      if (!existing) this.#order.add(key)
      this.#entries.set(key, { object, revision, created: existing?.created ?? revision })
    }
    this.#revision = revision
    const change: Change = {
      type: deleted ? 'DELETED' : existing ? 'MODIFIED' : 'ADDED',
      key,
      object,
      ...(existing && { previous: existing.object }),
      revision,
    }
    this.#history.push(change, bytes)
    this.#watchers.publish(change)
  }

  count(prefix: string): number {
    let count = 0
    for (const { from, to } of this.#order.ranges(prefix)) count += to - from
    return count
  }

  /** As Store.list; a revision that is still to come reads as the newest. */
  list(
    prefix: string,
    options: { readonly after?: StoreKey; readonly limit?: number; readonly at?: number } = {},
  ): Page {
    const { after = '', limit = Infinity, at = this.#revision } = options
    if (at < this.compacted) throw new Compacted(at, this.compacted)
    const past = this.#undone(prefix, after, at)
    const ranges = this.#order.ranges(prefix, after)

    let total = 0
    for (const { from, to } of ranges) total += to - from
    for (const [key, object] of past) {
      total += (object ? 1 : 0) - (this.#entries.has(key) ? 1 : 0)
    }

    const items: KubeObject[] = []
    let last: StoreKey | undefined
    for (const key of merged(ranges, [...past.keys()].sort(byText))) {
      const object = past.has(key) ? past.get(key) : this.get(key)
      if (!object) continue
      if (items.length >= limit) break
      items.push(object)
      last = key
    }
    const remaining = total - items.length
    return {
      items,
      revision: Math.min(at, this.#revision),
      ...(remaining > 0 && last !== undefined && { next: last }),
      remaining,
    }
  }

  watch(prefix: string, after: number): Watch {
    if (after < this.compacted) throw new Compacted(after, this.compacted)
    const backlog: Change[] = []
    for (let revision = after + 1; revision <= this.#revision; revision++) {
      const change = this.#history.at(revision)
      if (change?.key.startsWith(prefix)) backlog.push(change)
    }
    const seen = Math.max(after, this.#revision)
    return this.#watchers.watch(prefix, seen, backlog, () => this.compacted)
  }

  subscribe(listener: (change: Change) => void): Disposable {
    return this.#watchers.subscribe(listener)
  }

  /** Ends all watches. */
  end(): void {
    this.#watchers.end()
  }

  #expect(key: StoreKey, expected: number | undefined): Entry | undefined {
    const existing = this.#entries.get(key)
    if (expected !== undefined && expected !== (existing?.revision ?? 0))
      throw new RevisionMismatch(key, expected, existing?.object)
    return existing
  }

  /** The keys behind `after` that changed since revision `at`, each with what it held then. */
  #undone(prefix: string, after: string, at: number): Map<StoreKey, KubeObject | undefined> {
    const past = new Map<StoreKey, KubeObject | undefined>()
    for (let revision = this.#revision; revision > at; revision--) {
      const change = this.#history.at(revision)
      if (change && change.key.startsWith(prefix) && change.key > after)
        past.set(change.key, change.previous)
    }
    return past
  }
}

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** The keys of ordered `ranges` and of `others`, in order, each once. */
function* merged(
  ranges: readonly { keys: readonly string[]; from: number; to: number }[],
  others: readonly string[],
): Generator<string> {
  let other = 0
  for (const { keys, from, to } of ranges) {
    for (let i = from; i < to; i++) {
      const key = keys[i] ?? ''
      for (let next = others[other]; next !== undefined && next <= key; next = others[++other]) {
        if (next < key) yield next
      }
      yield key
    }
  }
  for (; other < others.length; other++) yield others[other] ?? ''
}
