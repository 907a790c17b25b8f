/**
 * The durable store: memory first, every change a row in an append-only table of node:sqlite, written by a thread of its
 * own (store-worker.ts) in groups, so that no fsync ever blocks this one.
 *
 * When the disk fails: the changes that were waiting stay visible, their `durable` rejects, and from then on every
 * write is refused with the same error. The changes are tried again every second; once they are durable writes are taken
 * again. So what can be read is never less than what will be on disk, nothing refused is ever visible, and what was
 * visible but rejected is lost only if the process ends before the disk recovers – its writers have been told.
 */
import { Worker } from 'node:worker_threads'
import { systemClock, type Clock } from '../../lib/clock.ts'
import { silent, type Log } from '../../lib/log.ts'
import type { KubeObject } from '../api/meta.ts'
import { deepFreeze } from './frozen.ts'
import { defaultHistoryLimit, LogIndex, type LogIndexOptions, type Staged } from './log-index.ts'
import type { Store, Write } from './store.ts'
import { storeFailure, StoreFull, StoreUnavailable } from './store-failure.ts'
import type { Chunk, Row } from './store-log.ts'
import type { FromWorker, ToWorker, WorkerOptions } from './store-worker.ts'

export interface SqliteStoreOptions extends LogIndexOptions {
  /** The database file; made, with its folder, when it is missing. SQLite puts `-wal` beside it. */
  readonly path: string
  readonly log?: Log
  /** For the pause before a failed commit is tried again. */
  readonly clock?: Clock
  /** Largest size of the file in bytes; default what the disk has. */
  readonly maxBytes?: number
  /** Called with the error when writes begin to be refused, and with undefined when they are taken again. */
  readonly onHealth?: (failure: Error | undefined) => void
}

export interface SqliteStore extends Store {
  /** Why writes are refused; undefined when all is well. */
  readonly failure: Error | undefined
  /** Sets the largest size of the file in bytes; 0 = what the disk has. */
  limit(maxBytes: number): void
}

/** Changes that may wait for the disk; also the revisions skipped after a crash, which none of them can exceed. */
const waitingCapacity = 65_536
/** Size as JSON of the changes that may wait for the disk. */
const waitingBytes = 256_000_000
const retryMs = 1_000

/** Opens the store at `path` and loads it. Rejects with StoreLocked, StoreCorrupt or StoreUnavailable. */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<SqliteStore> {
  const { path, historyLimit = defaultHistoryLimit, maxBytes = 0 } = options
  // The worker lies beside this file, as source or built.
  const file = import.meta.url.endsWith('.ts') ? './store-worker.ts' : './store-worker.js'
  const workerData: WorkerOptions = { path, historyLimit, maxBytes, gap: waitingCapacity + 1 }
  const worker = new Worker(new URL(file, import.meta.url), { workerData, name: 'store' })
  try {
    const { chunks, revision } = await loaded(worker, path)
    const index = new LogIndex(options, revision)
    for (const chunk of chunks) load(index, chunk, path)
    return new DurableStore(index, worker, options)
  } catch (thrown) {
    await worker.terminate()
    throw thrown
  }
}

function loaded(
  worker: Worker,
  path: string,
): Promise<{ chunks: readonly ParsedChunk[]; revision: number }> {
  const { promise, resolve, reject } = Promise.withResolvers<{
    chunks: readonly ParsedChunk[]
    revision: number
  }>()
  const chunks: ParsedChunk[] = []
  const take = (message: FromWorker): void => {
    if (message.type === 'chunk') {
      try {
        chunks.push(parsed(message.chunk))
      } catch (thrown) {
        reject(storeFailure('corrupt', path, String(thrown)))
      }
    } else if (message.type === 'open') resolve({ chunks, revision: message.revision })
    else if (message.type === 'failed') reject(storeFailure(message.kind, path, message.detail))
  }
  const broken = (why: unknown): void => reject(storeFailure('io', path, String(why)))
  worker.on('message', take)
  worker.on('error', broken)
  worker.on('exit', broken)
  return promise.finally(() => {
    worker.off('message', take)
    worker.off('error', broken)
    worker.off('exit', broken)
  })
}

interface ParsedChunk {
  readonly keys: readonly string[]
  readonly created: readonly number[]
  readonly objects: readonly unknown[]
}

/** Parsed as it comes, while the worker reads on. */
function parsed({ keys, created, values }: Chunk): ParsedChunk {
  const objects: unknown = JSON.parse(values)
  if (!Array.isArray(objects) || objects.length !== keys.length) throw new Error('rows are damaged')
  return { keys, created, objects }
}

function load(index: LogIndex, { keys, created, objects }: ParsedChunk, path: string): void {
  for (const [i, object] of objects.entries()) {
    const key = keys[i] ?? ''
    if (!isStored(object)) throw storeFailure('corrupt', path, `${key} is not an object of the API`)
    const revision = Number(object.metadata.resourceVersion)
    index.load(key, { object: deepFreeze(object), revision, created: created[i] ?? revision })
  }
}

function isStored(value: unknown): value is KubeObject {
  if (typeof value !== 'object' || value === null || !('metadata' in value)) return false
  const { metadata } = value
  return (
    typeof metadata === 'object' &&
    metadata !== null &&
    'resourceVersion' in metadata &&
    Number.isSafeInteger(Number(metadata.resourceVersion))
  )
}

/** Changes of one turn of the loop: posted together, durable together. */
class Batch {
  readonly rows: Row[] = []
  bytes = 0
  readonly #outcome = Promise.withResolvers<void>()

  constructor() {
    // Whoever does not wait for durability must not end the process by its failure.
    this.durable.catch(() => {})
  }

  get durable(): Promise<void> {
    return this.#outcome.promise
  }

  get last(): number {
    return this.rows.at(-1)?.[0] ?? 0
  }

  resolve(): void {
    this.#outcome.resolve()
  }

  reject(failure: Error): void {
    this.#outcome.reject(failure)
  }
}

class DurableStore implements SqliteStore {
  readonly #index: LogIndex
  readonly #worker: Worker
  readonly #path: string
  readonly #clock: Clock
  readonly #log: Log
  readonly #onHealth: (failure: Error | undefined) => void
  /** Collects what is written until the end of this turn. */
  #batch: Batch | undefined
  /** Posted and not answered yet, in order. */
  #posted: Batch[] = []
  #durableRevision: number
  #waitingBytes = 0
  #failure: Error | undefined
  #cancelRetry = (): void => {}
  #closed: Promise<void> | undefined
  readonly #ended = Promise.withResolvers<boolean>()

  constructor(index: LogIndex, worker: Worker, options: SqliteStoreOptions) {
    this.#index = index
    this.#worker = worker
    this.#path = options.path
    this.#clock = options.clock ?? systemClock
    this.#log = options.log ?? silent
    this.#onHealth = options.onHealth ?? (() => {})
    this.#durableRevision = index.revision
    worker.on('message', (message: FromWorker) => this.#hear(message))
    worker.on('error', (error) => this.#fail(storeFailure('io', this.#path, String(error))))
    worker.on('exit', () => {
      if (!this.#closed) this.#fail(storeFailure('io', this.#path, 'its thread has ended'))
      this.#ended.resolve(false)
    })
  }

  get revision() {
    return this.#index.revision
  }

  get compacted() {
    return this.#index.compacted
  }

  get failure() {
    return this.#failure
  }

  get(key: string) {
    return this.#index.get(key)
  }

  list(prefix: string, options?: { after?: string; limit?: number; at?: number }) {
    return this.#index.list(prefix, options)
  }

  count(prefix: string) {
    return this.#index.count(prefix)
  }

  put(key: string, object: KubeObject, expected?: number): Write {
    this.#check()
    return this.#write(this.#index.stagePut(key, object, expected))
  }

  delete(key: string, expected?: number, last?: KubeObject): Write {
    this.#check()
    return this.#write(this.#index.stageDelete(key, expected, last))
  }

  watch(prefix: string, after: number) {
    return this.#index.watch(prefix, after)
  }

  subscribe(listener: Parameters<Store['subscribe']>[0]) {
    return this.#index.subscribe(listener)
  }

  flushed(): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure)
    return (this.#batch ?? this.#posted.at(-1))?.durable ?? Promise.resolve()
  }

  limit(maxBytes: number): void {
    this.#post({ type: 'limit', maxBytes })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return (this.#closed ??= this.#close())
  }

  #check(): void {
    if (this.#failure) throw this.#failure
    if (this.#closed) throw new StoreUnavailable(`the store ${this.#path} is closed`)
    const waiting = this.#index.revision - this.#durableRevision
    if (waiting >= waitingCapacity || this.#waitingBytes >= waitingBytes)
      throw new StoreFull(`${waiting} changes wait for the disk of ${this.#path} already`)
  }

  #write(staged: Staged): Write {
    const { key, revision, object, existing, deleted } = staged
    // First what can throw: an object that is not JSON is refused, not half written.
    const value = deleted ? null : JSON.stringify(object)
    const bytes = value?.length ?? 0
    const row: Row = [revision, key, existing?.created ?? revision, existing?.revision ?? 0, value]
    if (!this.#batch) {
      this.#batch = new Batch()
      setImmediate(() => this.#send())
    }
    const { durable, rows } = this.#batch
    rows.push(row)
    this.#batch.bytes += bytes
    this.#waitingBytes += bytes
    this.#index.commit(staged, bytes)
    return { object, revision, durable }
  }

  #send(): void {
    const batch = this.#batch
    if (!batch) return
    this.#batch = undefined
    this.#post({ type: 'write', rows: batch.rows })
    if (this.#failure) batch.reject(this.#failure)
    else this.#posted.push(batch)
  }

  #post(message: ToWorker): void {
    this.#worker.postMessage(message)
  }

  #hear(message: FromWorker): void {
    switch (message.type) {
      case 'durable':
        return this.#landed(message.revision)
      case 'failed':
        return this.#fail(storeFailure(message.kind, this.#path, message.detail))
      case 'closed':
        return this.#ended.resolve(message.complete)
      case 'chunk':
      case 'open':
    }
  }

  #landed(revision: number): void {
    this.#durableRevision = revision
    for (let first = this.#posted[0]; first && first.last <= revision; first = this.#posted[0]) {
      this.#posted.shift()
      this.#waitingBytes -= first.bytes
      first.resolve()
    }
    if (!this.#failure) return
    this.#failure = undefined
    this.#waitingBytes = 0
    this.#cancelRetry()
    this.#log.info('the store is durable again', { path: this.#path, revision })
    this.#onHealth(undefined)
  }

  #fail(failure: Error): void {
    const first = !this.#failure
    this.#failure = failure
    for (const batch of this.#posted.splice(0)) batch.reject(failure)
    if (first) {
      this.#log.error('the store refuses writes', { path: this.#path, error: failure.message })
      this.#onHealth(failure)
    }
    this.#cancelRetry()
    if (!this.#closed)
      this.#cancelRetry = this.#clock.after(retryMs, () => this.#post({ type: 'retry' }))
  }

  async #close(): Promise<void> {
    this.#index.end()
    this.#send()
    this.#cancelRetry()
    this.#post({ type: 'close' })
    const complete = await this.#ended.promise
    if (!complete) {
      this.#log.error('the store was closed with changes that are not durable', {
        path: this.#path,
        durable: this.#durableRevision,
        revision: this.#index.revision,
      })
    }
    for (const batch of this.#posted.splice(0))
      batch.reject(new StoreUnavailable(`the store ${this.#path} is closed`))
    await this.#worker.terminate()
  }
}
