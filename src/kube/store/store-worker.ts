/**
 * The thread that waits for the disk on behalf of the SQLite store: commits everything that has been posted in one
 * transaction, so that many writers share one fsync, and compacts in between.
 */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { failureKind, type FailureKind } from './store-failure.ts'
import { StoreLog, type Chunk, type Row, type StoreLogOptions } from './store-log.ts'

export interface WorkerOptions extends StoreLogOptions {
  /** Revisions skipped when the last process did not end well. */
  readonly gap: number
}

export type ToWorker =
  | { readonly type: 'write'; readonly rows: readonly Row[] }
  | { readonly type: 'retry' }
  | { readonly type: 'limit'; readonly maxBytes: number }
  | { readonly type: 'close' }

export type FromWorker =
  | { readonly type: 'chunk'; readonly chunk: Chunk }
  /** Everything has been sent; revisions go on from here. */
  | { readonly type: 'open'; readonly revision: number }
  | { readonly type: 'durable'; readonly revision: number }
  /** What was posted so far is kept and tried again with the next message. */
  | { readonly type: 'failed'; readonly kind: FailureKind; readonly detail: string }
  /** `complete` = nothing is lost. */
  | { readonly type: 'closed'; readonly complete: boolean }

if (parentPort) serve(parentPort, workerData as WorkerOptions)

function serve(port: NonNullable<typeof parentPort>, options: WorkerOptions): void {
  const post = (message: FromWorker): void => port.postMessage(message)
  const failed = (thrown: unknown): void => {
    const detail = thrown instanceof Error ? thrown.message : String(thrown)
    post({ type: 'failed', kind: failureKind(thrown), detail })
  }

  let log: StoreLog
  try {
    log = new StoreLog(options)
    const revision = log.begin(options.gap)
    for (const chunk of log.live()) post({ type: 'chunk', chunk })
    post({ type: 'open', revision })
  } catch (thrown) {
    failed(thrown)
    port.close()
    return
  }

  /** Not durable yet, in order. */
  let waiting: Row[] = []

  const commit = (): boolean => {
    try {
      log.append(waiting)
    } catch (thrown) {
      failed(thrown)
      return false
    }
    const last = waiting.at(-1)
    waiting = []
    if (last) post({ type: 'durable', revision: last[0] })
    return true
  }

  let closed = false
  let compacting = false
  /** Step by step, so that a commit never waits for more than one. */
  const compact = (): void => {
    compacting = false
    try {
      if (closed || !log.compact()) return
      compacting = true
      setImmediate(compact)
    } catch (thrown) {
      // Compaction needs room, too, on a disk that is full. The next commit tells whether there is any.
      if (failureKind(thrown) === 'corrupt') failed(thrown)
    }
  }

  const take = (message: ToWorker): boolean => {
    switch (message.type) {
      case 'write':
        for (const row of message.rows) waiting.push(row)
        return true
      case 'retry':
        return true
      case 'limit':
        log.limit(message.maxBytes)
        return true
      case 'close':
        return false
    }
  }

  port.on('message', (first: ToWorker) => {
    let open = take(first)
    for (let more = receiveMessageOnPort(port); open && more; more = receiveMessageOnPort(port)) {
      open = take(more.message as ToWorker)
    }
    const complete = commit()
    if (open) {
      if (!compacting) compact()
      return
    }
    closed = true
    let clean = complete
    try {
      log.close(complete)
    } catch {
      clean = false
    }
    post({ type: 'closed', complete: clean })
    port.close()
  })
}
