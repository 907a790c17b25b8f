/**
 * Informers: one cache a kind, filled by list and kept by watch, shared by everyone in the process. Objects are held by
 * reference and indexed by namespace, by controller, and by label from the first time a label is asked for. Follows
 * client-go's reflector and shared informer, with one addition: what a controller has written enters the cache at once
 * (`wrote`), so nobody decides on a past that he himself has changed.
 */
import { rfc3339, sleep, type Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import { groupKind, type Kind } from '../api/kind.ts'
import { keyOf, type KubeObject, type ObjectKey, type StringMap } from '../api/meta.ts'
import type { WatchEvent } from '../api/protocol.ts'
import { hasReason } from '../api/status-error.ts'
import { Cache } from './cache.ts'
import type { Client } from './client.ts'

type ChangeType = 'ADDED' | 'MODIFIED' | 'DELETED'

/** Called once for each change, in order. `previous` is what the cache held before; on DELETED `object` is the last state. */
type ChangeHandler<T extends KubeObject> = (
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
interface CacheReader {
  get<T extends KubeObject>(kind: Kind<T>, key: ObjectKey): T | undefined
  list<T extends KubeObject>(kind: Kind<T>, namespace: string, labels?: StringMap): readonly T[]
  owned<T extends KubeObject>(kind: Kind<T>, owner: KubeObject): readonly T[]
}

export interface Informers extends AsyncDisposable {
  /** The informer of a kind; the first call starts it. */
  for<T extends KubeObject>(kind: Kind<T>): Informer<T>
  /**
   * Resolves when the informers of `kinds` (started by this, if need be), or all started so far, have their first list,
   * or when the informers are disposed.
   */
  synced(kinds?: readonly Kind[]): Promise<void>
  reader(): CacheReader
  /** Ends the informer of a kind that is not served any more, or not in this version. */
  forget(kind: Kind): void
}

export interface InformersOptions {
  readonly client: Client
  readonly clock: Clock
  readonly log: Log
  /** Objects a list page; 0 (default) = all in one answer, which in process costs nothing. */
  readonly pageSize?: number
  /** Kinds that the server may not have: as long as it has not, there are none of their objects. */
  readonly optional?: readonly Kind[]
}

/** Back-off between failed lists: 100 ms, doubling, at most 30 s. */
const firstDelayMs = 100
const maxDelayMs = 30_000
/** How long until a kind that the server does not have is asked for again. */
const missingKindMs = 60_000
/** The server ends a watch after this long, so that a connection that died unseen is noticed. */
const watchSeconds = 300

export function createInformers(options: InformersOptions): Informers {
  const running = new Map<string, RunningInformer>()
  /** The same by the kind itself: reads are many, and its name would have to be put together for each. */
  const byKind = new Map<Kind, RunningInformer>()
  const stop = new AbortController()

  const start = (kind: Kind): RunningInformer => {
    const known = byKind.get(kind)
    if (known) return known
    const name = groupKind(kind)
    let informer = running.get(name)
    if (!informer) {
      informer = new RunningInformer(kind, options, stop.signal)
      running.set(name, informer)
    }
    byKind.set(kind, informer)
    return informer
  }

  const informers: Informers = {
    // One informer a kind: the map's key carries the type.
    for: <T extends KubeObject>(kind: Kind<T>) => start(kind) as unknown as Informer<T>,
    async synced(kinds) {
      const waited = kinds ? kinds.map(start) : [...running.values()]
      await Promise.all(waited.map((informer) => informer.synced))
    },
    reader: () => reader,
    forget(kind) {
      const name = groupKind(kind)
      const informer = running.get(name)
      if (!informer) return
      running.delete(name)
      for (const [each, own] of byKind) if (own === informer) byKind.delete(each)
      informer.stop()
    },
    async [Symbol.asyncDispose]() {
      stop.abort()
      await Promise.all([...running.values()].map((informer) => informer.ended))
    },
  }
  const reader: CacheReader = {
    get: (kind, key) => informers.for(kind).get(key),
    list: (kind, namespace, labels) => informers.for(kind).list(namespace, labels),
    owned: (kind, owner) => informers.for(kind).owned(owner),
  }
  return informers
}

class RunningInformer implements Informer {
  readonly kind: Kind
  readonly synced: Promise<void>
  readonly ended: Promise<void>
  readonly #options: InformersOptions
  readonly #log: Log
  readonly #signal: AbortSignal
  readonly #cache = new Cache<KubeObject>()
  readonly #handlers = new Set<ChangeHandler<KubeObject>>()
  /** uids whose delete was accepted but not yet seen, with the time it was asked for. */
  readonly #leaving = new Map<string, string>()
  /** Everything up to here has been seen; an own write up to here is old news. */
  #revision = 0
  readonly #own = new AbortController()
  #markSynced = () => {}
  hasSynced = false

  constructor(kind: Kind, options: InformersOptions, signal: AbortSignal) {
    this.kind = kind
    this.#options = options
    this.#log = options.log.child({ informer: groupKind(kind) })
    this.#signal = AbortSignal.any([signal, this.#own.signal])
    this.synced = new Promise((resolve) => (this.#markSynced = resolve))
    this.ended = this.#run()
  }

  stop(): void {
    this.#own.abort()
    this.#handlers.clear()
  }

  get size(): number {
    return this.#cache.size
  }

  get(key: ObjectKey): KubeObject | undefined {
    return this.#cache.get(key)
  }

  list(namespace: string, labels?: StringMap): readonly KubeObject[] {
    return this.#cache.list(namespace, labels)
  }

  owned(owner: KubeObject): readonly KubeObject[] {
    return this.#cache.owned(owner)
  }

  values(): IterableIterator<KubeObject> {
    return this.#cache.values()
  }

  subscribe(handler: ChangeHandler<KubeObject>): Disposable {
    this.#handlers.add(handler)
    for (const object of this.#cache.values()) this.#call(handler, 'ADDED', object, undefined)
    return { [Symbol.dispose]: () => void this.#handlers.delete(handler) }
  }

  wrote(object: KubeObject): void {
    if (!this.hasSynced || revisionOf(object) <= this.#revision) return
    // An update that took the last finalizer away answers the object it has just removed.
    const { deletionTimestamp, finalizers, deletionGracePeriodSeconds } = object.metadata
    if (deletionTimestamp && !finalizers?.length && !deletionGracePeriodSeconds) return
    this.#put(object)
  }

  deleted(object: KubeObject, nowMs: number): void {
    const { uid, deletionTimestamp } = object.metadata
    const cached = this.#cache.get(keyOf(object))
    if (!uid || deletionTimestamp || cached?.metadata.uid !== uid) return
    if (cached.metadata.deletionTimestamp) return
    this.#leaving.set(uid, rfc3339(nowMs))
    this.#change(this.#leave(cached), cached)
  }

  async #run(): Promise<void> {
    let delayMs = firstDelayMs
    while (!this.#signal.aborted) {
      try {
        await this.#fill()
        delayMs = firstDelayMs
        while (!this.#signal.aborted) await this.#follow()
      } catch (error) {
        if (this.#signal.aborted) break
        if (hasReason(error, 'NotFound') && isAmong(this.kind, this.#options.optional)) {
          this.#log.info('the server does not have this kind')
          this.#markSynced()
          await sleep(this.#options.clock, missingKindMs, this.#signal)
          continue
        }
        if (hasReason(error, 'Expired', 'Gone')) {
          this.#log.debug('history is gone, listing again')
          if (delayMs === firstDelayMs) {
            delayMs *= 2
            continue
          }
        } else this.#log.info('list and watch failed, trying again', { error, delayMs })
        await sleep(this.#options.clock, delayMs, this.#signal)
        delayMs = Math.min(delayMs * 2, maxDelayMs)
      }
    }
    this.#markSynced()
  }

  /** Lists everything and makes the cache equal to it. */
  async #fill(): Promise<void> {
    const { client, pageSize = 0 } = this.#options
    const seen = new Map<string, KubeObject>()
    let revision = 0
    let next: string | undefined
    do {
      const page = pageSize > 0 ? { limit: pageSize, ...(next && { continue: next }) } : {}
      const list = await client.list(this.kind, '', page).catch((error: unknown) => {
        // The pages took longer than history lasts: then all of it in one answer.
        if (!next || !hasReason(error, 'Expired')) throw error
        seen.clear()
        return client.list(this.kind, '')
      })
      revision = Number(list.metadata.resourceVersion)
      for (const item of list.items) seen.set(textOf(item), item)
      next = list.metadata.continue
    } while (next && !this.#signal.aborted)
    if (this.#signal.aborted) return
    this.#revision = revision
    this.#leaving.clear()
    for (const cached of this.#cache.values()) {
      // What we wrote after the list was made is not in it, and that is no reason to forget it.
      if (!seen.has(textOf(cached)) && revisionOf(cached) <= revision) this.#remove(cached)
    }
    for (const item of seen.values()) this.#put(item)
    this.hasSynced = true
    this.#markSynced()
  }

  /** Applies one watch, until the server ends it. Throws when it breaks. */
  async #follow(): Promise<void> {
    const events = await this.#options.client.watch(
      this.kind,
      '',
      {
        resourceVersion: String(this.#revision),
        allowWatchBookmarks: true,
        timeoutSeconds: watchSeconds,
      },
      this.#signal,
    )
    const startMs = this.#options.clock.monotonic()
    let count = 0
    for await (const event of events) {
      if (this.#signal.aborted) return
      count++
      this.#apply(event)
    }
    // A server that ends watches at once must not make us spin.
    if (count === 0 && this.#options.clock.monotonic() - startMs < 1_000)
      await sleep(this.#options.clock, firstDelayMs, this.#signal)
  }

  #apply({ type, object }: WatchEvent): void {
    const revision = revisionOf(object)
    if (revision > this.#revision) this.#revision = revision
    if (type === 'BOOKMARK') return
    if (type !== 'DELETED') return this.#put(object)
    const cached = this.#cache.get(keyOf(object))
    if (!cached || revisionOf(cached) > revision) return
    this.#remove(object, cached)
  }

  #put(object: KubeObject): void {
    const cached = this.#cache.get(keyOf(object))
    if (!cached) return this.#change(this.#leave(object), undefined)
    if (cached.metadata.uid !== object.metadata.uid) {
      if (revisionOf(cached) > revisionOf(object)) return
      this.#remove(cached)
      return this.#change(this.#leave(object), undefined)
    }
    if (revisionOf(object) > revisionOf(cached)) this.#change(this.#leave(object), cached)
  }

  #change(object: KubeObject, previous: KubeObject | undefined): void {
    this.#cache.put(object)
    const type = previous ? 'MODIFIED' : 'ADDED'
    for (const handler of this.#handlers) this.#call(handler, type, object, previous)
  }

  #remove(object: KubeObject, previous: KubeObject = object): void {
    this.#cache.remove(keyOf(object))
    if (object.metadata.uid) this.#leaving.delete(object.metadata.uid)
    for (const handler of this.#handlers) this.#call(handler, 'DELETED', object, previous)
  }

  /** The object, marked as being deleted when we know that it is and it does not say so yet. */
  #leave(object: KubeObject): KubeObject {
    if (this.#leaving.size === 0) return object
    const { uid = '', deletionTimestamp } = object.metadata
    const since = this.#leaving.get(uid)
    if (!since) return object
    if (deletionTimestamp) {
      this.#leaving.delete(uid)
      return object
    }
    return Object.freeze({
      ...object,
      metadata: Object.freeze({ ...object.metadata, deletionTimestamp: since }),
    })
  }

  #call(
    handler: ChangeHandler<KubeObject>,
    type: ChangeType,
    object: KubeObject,
    previous: KubeObject | undefined,
  ): void {
    try {
      handler(type, object, previous)
    } catch (error) {
      this.#log.error('a handler of changes threw', { error, type, key: textOf(object) })
    }
  }
}

const isAmong = (kind: Kind, kinds: readonly Kind[] = []): boolean =>
  kinds.some((one) => groupKind(one) === groupKind(kind))

const textOf = ({ metadata }: KubeObject): string => `${metadata.namespace ?? ''}/${metadata.name}`

/** Revisions are decimal and of one counter; clients newer than 1.35 may compare them, so may we. */
const revisionOf = ({ metadata }: KubeObject): number => Number(metadata.resourceVersion ?? 0)
