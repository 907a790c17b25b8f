/**
 * Informers: one cache a kind, filled by list and kept by watch, shared by everyone in the process. Objects are held by
 * reference and indexed by namespace, by controller, and by label from the first time a label is asked for. Follows
 * client-go's reflector and shared informer, with one addition: what a controller has written enters the cache at once
 * (`wrote`), so nobody decides on a past that he himself has changed.
 */
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { Kind } from '../api/kind.ts'
import type { KubeObject, ObjectKey, StringMap } from '../api/meta.ts'
import type { Client } from './client.ts'

export type ChangeType = 'ADDED' | 'MODIFIED' | 'DELETED'

/** Called once for each change, in order. `previous` is what the cache held before; on DELETED `object` is the last state. */
export type ChangeHandler<T extends KubeObject> = (
  type: ChangeType,
  object: T,
  previous: T | undefined,
) => void

export interface Informer<T extends KubeObject = KubeObject> {
  readonly kind: Kind<T>
  /** True once the first list has arrived. */
  readonly hasSynced: boolean
  readonly size: number
  get(key: ObjectKey): T | undefined
  list(namespace: string, labels?: StringMap): readonly T[]
  owned(owner: KubeObject): readonly T[]
  values(): IterableIterator<T>
  /** Calls `handler` with ADDED for everything already there, then with every change. */
  subscribe(handler: ChangeHandler<T>): Disposable
  /** Takes the answer of one's own write into the cache, unless the watch is already past it. */
  wrote(object: T): void
  /** After an accepted delete: shows the object as being deleted until the watch says what became of it. */
  deleted(object: T, nowMs: number): void
}

/** Synchronous reads of the caches; the same shape as `controller/reconciler.ts` Reader. */
export interface CacheReader {
  get<T extends KubeObject>(kind: Kind<T>, key: ObjectKey): T | undefined
  list<T extends KubeObject>(kind: Kind<T>, namespace: string, labels?: StringMap): readonly T[]
  owned<T extends KubeObject>(kind: Kind<T>, owner: KubeObject): readonly T[]
}

export interface Informers extends AsyncDisposable {
  /** The informer of a kind; the first call starts it. */
  for<T extends KubeObject>(kind: Kind<T>): Informer<T>
  /** Resolves when all informers started so far have their first list, or when the informers are disposed. */
  synced(): Promise<void>
  reader(): CacheReader
}

export interface InformersOptions {
  readonly client: Client
  readonly clock: Clock
  readonly log: Log
  /** Objects a list page; 0 (default) = all in one answer, which in process costs nothing. */
  readonly pageSize?: number
}

export declare function createInformers(options: InformersOptions): Informers
