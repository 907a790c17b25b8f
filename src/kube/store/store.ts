/**
 * The store: an append-only log of revisions seen as keys and values (kine's idea, kept in memory first). Reads
 * are synchronous and answer frozen objects by reference; writes are visible at once and durable a moment later.
 */
import type { KubeObject } from '../api/meta.ts'

/** `<plural>[.<group>]/<namespace>/<name>`; the namespace is empty for cluster-scoped objects. */
export type StoreKey = string

export interface Change {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly key: StoreKey
  /** The object after the change; for DELETED its last state, carrying the revision of the deletion. */
  readonly object: KubeObject
  /** The object before the change; absent on ADDED. */
  readonly previous?: KubeObject
  readonly revision: number
}

export interface Write {
  /** As stored: frozen, `metadata.resourceVersion` set to the new revision. */
  readonly object: KubeObject
  readonly revision: number
  /** Resolves when the change will survive kill -9 and power loss; rejects with StoreFull or an I/O error. */
  readonly durable: Promise<void>
}

export interface Page {
  readonly items: readonly KubeObject[]
  /** Revision the page is consistent with. */
  readonly revision: number
  /** Key to give as `after` for the next page; absent on the last one. */
  readonly next?: StoreKey
  /** How many follow after this page. */
  readonly remaining: number
}

export interface Watch extends Disposable {
  /** Changes in revision order, without gaps. */
  readonly changes: AsyncIterable<Change>
}

/**
 * `expected` of a write: a revision = only if the key's object is of it; 0 = only if the key is absent;
 * undefined = always. Otherwise throws RevisionMismatch.
 */
export interface Store extends AsyncDisposable {
  /** The newest revision; 0 for a new store. */
  readonly revision: number
  /** The oldest revision that a watch or an exact list can start from. */
  readonly compacted: number

  get(key: StoreKey): KubeObject | undefined
  /** Objects whose key starts with `prefix`, in key order. `at` = as of that revision (throws Compacted). */
  list(
    prefix: string,
    options?: { readonly after?: StoreKey; readonly limit?: number; readonly at?: number },
  ): Page
  /** Number of objects under a prefix. */
  count(prefix: string): number

  put(key: StoreKey, object: KubeObject, expected?: number): Write
  /** Removes the key; `last` is the final state that watchers see (default: the stored object). */
  delete(key: StoreKey, expected?: number, last?: KubeObject): Write

  /**
   * Changes under `prefix` after revision `after`. Throws Compacted when that is too old. A watcher that falls
   * more than the capacity behind is ended with Compacted, so that it cannot grow memory.
   */
  watch(prefix: string, after: number): Watch
  /** Calls `listener` synchronously with every change, in order. For caches in the same process. */
  subscribe(listener: (change: Change) => void): Disposable

  /** Resolves when everything written so far is durable. */
  flushed(): Promise<void>
}

/** The write's `expected` revision is not the key's. `current` is the stored object, if any. */
export class RevisionMismatch extends Error {
  override readonly name = 'RevisionMismatch'
  readonly current: KubeObject | undefined

  constructor(key: StoreKey, expected: number | undefined, current: KubeObject | undefined) {
    super(
      `${key} is at revision ${current?.metadata.resourceVersion ?? 'none'}, the write expected ${expected}`,
    )
    this.current = current
  }
}

/** History before `oldest` is gone; list again. */
export class Compacted extends Error {
  override readonly name = 'Compacted'
  readonly requested: number
  readonly oldest: number

  constructor(requested: number, oldest: number) {
    super(`too old resource version: ${requested} (${oldest})`)
    this.requested = requested
    this.oldest = oldest
  }
}
