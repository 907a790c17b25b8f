/** One open subscription of a segment log: hands events out in order, and keeps its place on disk now and then. */
import type { Clock } from '../../lib/clock.ts'
import type { Cursor } from './cursor.ts'
import type { CursorFile } from './cursor-file.ts'
import type { Deferred, LoggedEvent, Subscription } from './event-log.ts'

export interface LogSubscriptionDeps {
  readonly name: string
  readonly cursor: Cursor
  readonly file: CursorFile
  readonly clock: Clock
  readonly newest: () => number
  /** Bytes on disk of an event and all behind it. */
  readonly bytesFrom: (sequence: number) => number
  /** Events from a sequence on, as many as lie together. */
  readonly read: (from: number) => Promise<readonly LoggedEvent[]>
  /** What is settled is on disk so much later, milliseconds: a crash meanwhile costs events seen twice. */
  readonly saveAfterMs: () => number
  readonly onFloor: (floor: number) => void
  readonly onClose: () => void
}

/** Places with many events that wait are long: they are saved less often. */
const bytesPerMs = 4096

export class LogSubscription implements Subscription {
  readonly name: string
  readonly #deps: LogSubscriptionDeps
  /** The next sequence to hand out. */
  #next: number
  #read: readonly LoggedEvent[] = []
  #wake: (() => void) | undefined
  #unsaved = false
  #cancelSave: (() => void) | undefined
  /** Of the place as it was saved last. */
  #savedBytes = 0
  #closed = false

  constructor(deps: LogSubscriptionDeps) {
    this.name = deps.name
    this.#deps = deps
    this.#next = deps.cursor.floor
  }

  get floor(): number {
    return this.#deps.cursor.floor
  }

  get backlog(): number {
    const { cursor, newest } = this.#deps
    return Math.max(newest() + 1 - cursor.floor - cursor.settledAbove, 0)
  }

  get heldBytes(): number {
    return this.backlog === 0 ? 0 : this.#deps.bytesFrom(this.floor)
  }

  get deferred(): readonly Deferred[] {
    return this.#deps.cursor.deferred
  }

  async take(max: number, signal?: AbortSignal): Promise<readonly LoggedEvent[]> {
    while (!this.#closed && !signal?.aborted) {
      const events = await this.#some(max)
      if (events.length > 0) return events
      await this.#appended(signal)
    }
    return []
  }

  async #some(max: number): Promise<readonly LoggedEvent[]> {
    const { cursor, newest, read } = this.#deps
    const events: LoggedEvent[] = []
    while (events.length === 0 && this.#next <= newest()) {
      if (this.#read.length === 0) this.#read = await read(this.#next)
      if (this.#read.length === 0) {
        this.#lost(newest())
        break
      }
      let used = 0
      for (const event of this.#read) {
        if (events.length >= max) break
        used++
        this.#lost(event.sequence - 1)
        this.#next = event.sequence + 1
        if (!cursor.isSettled(event.sequence)) events.push(event)
      }
      this.#read = this.#read.slice(used)
    }
    return events
  }

  /** Damage took what comes next, up to `last`: there is nothing to wait for. */
  #lost(last: number): void {
    for (; this.#next <= last; this.#next++) this.settle(this.#next)
  }

  #appended(signal: AbortSignal | undefined): Promise<void> {
    if (this.#closed || signal?.aborted || this.#next <= this.#deps.newest())
      return Promise.resolve()
    return new Promise((resolve) => {
      const done = () => {
        signal?.removeEventListener('abort', done)
        this.#wake = undefined
        resolve()
      }
      signal?.addEventListener('abort', done, { once: true })
      this.#wake = done
    })
  }

  /** There is more, or it ends. */
  wake(): void {
    this.#wake?.()
  }

  isSettled(sequence: number): boolean {
    return this.#deps.cursor.isSettled(sequence)
  }

  settle(sequence: number): void {
    const { cursor, onFloor } = this.#deps
    const before = cursor.floor
    cursor.settle(sequence)
    if (cursor.floor !== before) onFloor(cursor.floor)
    this.#saveSoon()
  }

  defer(deferred: Deferred): void {
    this.#deps.cursor.defer(deferred)
    this.#saveSoon()
  }

  #saveSoon(): void {
    this.#unsaved = true
    const afterMs = Math.max(this.#deps.saveAfterMs(), this.#savedBytes / bytesPerMs)
    this.#cancelSave ??= this.#deps.clock.after(afterMs, () => {
      this.#cancelSave = undefined
      try {
        if (this.#unsaved) this.#save()
      } catch {
        // A disk that is full keeps the old place, which costs events seen twice; the next change tries again.
      }
    })
  }

  async flush(): Promise<void> {
    if (this.#unsaved) this.#save()
  }

  #save(): void {
    this.#savedBytes = this.#deps.file.write(this.#deps.cursor)
    this.#unsaved = false
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#cancelSave?.()
    this.wake()
    await this.flush().catch(() => {})
    this.#deps.onClose()
  }
}
