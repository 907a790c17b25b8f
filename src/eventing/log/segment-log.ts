/**
 * The log of one channel on this machine's disk: segments of records, the last of which grows. Appends are gathered
 * while the disk is busy with those before (group commit), so that one `fdatasync` serves many senders; nobody is
 * answered, and no subscriber sees an event, before it. Nothing that a subscription has not settled is ever removed:
 * beyond `limitBytes` the log refuses to grow instead.
 */
import { join } from 'node:path'
import type { Clock } from '../../lib/clock.ts'
import { Cursor } from './cursor.ts'
import { CursorFile } from './cursor-file.ts'
import { machineDisk, type Disk } from './disk.ts'
import { LogFullError } from './event-log.ts'
import type { EventLog, LoggedEvent, Range, Retention, Start, Subscription } from './event-log.ts'
import { LogSubscription } from './log-subscription.ts'
import { headBytes, maxPayloadBytes, writeRecord } from './record.ts'
import { recover } from './recovery.ts'
import { Segment, type Damage } from './segment.ts'
import { Tail } from './tail.ts'

export interface SegmentLogOptions {
  /** A folder of its own; made when it is missing. */
  readonly directory: string
  readonly clock: Clock
  /** Default: the machine's. */
  readonly disk?: Disk
  /** A segment is followed by the next when it has this size. Default 64 MiB. */
  readonly segmentBytes?: number
  /** Settled events are kept so long, milliseconds. Default: a week. */
  readonly maxAgeMs?: number
  /** Settled events are removed, the oldest first, while the log is larger. Default 1 GiB. */
  readonly maxBytes?: number
  /** The log never grows beyond this. Default 16 GiB. */
  readonly limitBytes?: number
  /** What may wait for the disk. Default 64 MiB. */
  readonly maxWaitingBytes?: number
  /** Hears of what is not as it was written. */
  readonly onDamage?: (damage: Damage) => void
}

type Settings = Required<SegmentLogOptions>

const mebibyte = 2 ** 20
const defaults = {
  disk: machineDisk,
  segmentBytes: 64 * mebibyte,
  maxAgeMs: 7 * 24 * 3_600_000,
  maxBytes: 1024 * mebibyte,
  limitBytes: 16 * 1024 * mebibyte,
  maxWaitingBytes: 64 * mebibyte,
  onDamage: () => {},
}
/** Retention removes whole files: so that little is kept beyond it, each has no more than this share of what is kept. */
const keptFiles = 4
const smallestFileBytes = mebibyte
const shortestFileMs = 60_000
/** Beyond so many, as subscriptions that are far behind make them, files are as large as they may be. */
const fewFiles = 16
/** Written before one `fdatasync`. */
const batchBytes = 8 * mebibyte
/** For each subscription: so that a few are saved soon, and many take no more of the machine than a few. */
const saveMs = 1
const longestSaveMs = 100
/** Read at a time for a subscription. */
const readBytes = mebibyte

interface Waiting {
  readonly payload: Uint8Array
  readonly resolve: (sequence: number) => void
  readonly reject: (error: unknown) => void
}

/** Opens the log in a folder, mending what a crash left. Throws what the disk says. */
export async function openSegmentLog(options: SegmentLogOptions): Promise<SegmentLog> {
  const whole: Settings = { ...defaults, ...options }
  const { segments, floors } = await recover(whole)
  return new SegmentLog(whole, segments, floors)
}

export class SegmentLog implements EventLog {
  readonly #options: Settings
  #retention: Required<Retention>
  readonly #segments: Segment[]
  /** The lowest sequence each subscription has not settled, open or not. */
  readonly #floors: Map<string, number>
  readonly #open = new Map<string, LogSubscription>()
  readonly #tail = new Tail()
  #waiting: Waiting[] = []
  #waitingBytes = 0
  #committing: Promise<void> | undefined
  #retaining: Promise<void> = Promise.resolve()
  #newest: number
  #closed = false
  /** What a failed write left: bytes behind the last event to be cut off, or a file that is not to be trusted any more. */
  #doubt: 'end' | 'file' | undefined
  /** The newest file's name survives a crash of the machine. */
  #isNamed = true

  constructor(options: Settings, segments: Segment[], floors: Map<string, number>) {
    this.#options = options
    this.#retention = this.#possible(options)
    this.#segments = segments
    this.#floors = floors
    this.#newest = this.#active.last
  }

  get oldest(): number {
    return this.#segments[0]?.first ?? 1
  }

  get newest(): number {
    return this.#newest
  }

  get bytes(): number {
    return this.#bytesFrom(0)
  }

  get limitBytes(): number {
    return this.#options.limitBytes
  }

  /** Of whole files. */
  #bytesFrom(sequence: number): number {
    return this.#segments.reduce((sum, { last, size }) => (last < sequence ? sum : sum + size), 0)
  }

  append(payload: Uint8Array): Promise<number> {
    const refusal = this.#refusal(payload.length)
    if (refusal) return Promise.reject(refusal)
    this.#waitingBytes += payload.length
    return new Promise((resolve, reject) => {
      this.#waiting.push({ payload, resolve, reject })
      // Not at once: what other connections bring in the same turn of the loop goes along.
      this.#committing ??= new Promise<void>((done) =>
        setImmediate(() => void this.#commitAll(done)),
      )
    })
  }

  #refusal(length: number): Error | undefined {
    if (this.#closed) return new Error('the event log is closed')
    if (length > maxPayloadBytes)
      return new RangeError(`an event of ${length} bytes is too large: at most ${maxPayloadBytes}`)
    const { maxWaitingBytes, limitBytes } = this.#options
    if (this.#waitingBytes + length > maxWaitingBytes)
      return new LogFullError(
        `${this.#waitingBytes} bytes of events wait for the disk already: try again later`,
      )
    if (this.bytes + this.#waitingBytes + length > limitBytes)
      return new LogFullError(
        `the event log has ${this.bytes} bytes, of at most ${limitBytes}: ${this.#behind()}`,
      )
    return undefined
  }

  #behind(): string {
    const [name, floor] = [...this.#floors].toSorted(([, a], [, b]) => a - b)[0] ?? []
    return name === undefined || floor === undefined
      ? 'allow it more, or keep events for less time'
      : `subscription ${name} has ${this.#newest - floor + 1} events to go`
  }

  async #commitAll(done: () => void): Promise<void> {
    while (this.#waiting.length > 0) await this.#commit(this.#nextBatch())
    // In the same step as the look at what waits: an append that comes now begins anew.
    this.#committing = undefined
    done()
  }

  #nextBatch(): readonly Waiting[] {
    if (this.#waitingBytes <= batchBytes) {
      const all = this.#waiting
      this.#waiting = []
      this.#waitingBytes = 0
      return all
    }
    let bytes = 0
    const end = this.#waiting.findIndex(({ payload }) => (bytes += payload.length) > batchBytes)
    const batch =
      end < 1 ? this.#waiting.splice(0, end === 0 ? 1 : Infinity) : this.#waiting.splice(0, end)
    for (const { payload } of batch) this.#waitingBytes -= payload.length
    return batch
  }

  async #commit(batch: readonly Waiting[]): Promise<void> {
    const timeMs = this.#options.clock.now()
    try {
      await this.#makeReady()
    } catch (error) {
      for (const { reject } of batch) reject(error)
      return
    }
    const segment = this.#active
    const { last: before, size } = segment
    try {
      const records = this.#records(batch, before + 1, timeMs)
      this.#doubt = 'end'
      segment.append(records, { sequence: before + batch.length, timeMs })
      this.#doubt = 'file'
      await segment.sync()
      this.#doubt = undefined
      this.#newest = segment.last
      this.#tail.push({ first: before + 1, last: segment.last, timeMs, records })
      let sequence = before
      for (const { resolve } of batch) resolve(++sequence)
      for (const subscription of this.#open.values()) subscription.wake()
    } catch (error) {
      for (const { reject } of batch) reject(error)
      segment.forgetAfter(before, size)
      // What fails is tried again with the next append, whose sender is told what the disk says.
      await this.#mend().catch(() => {})
    }
  }

  /** Makes the newest file one that can be written. Throws what the disk says. */
  async #makeReady(): Promise<void> {
    await this.#mend()
    if (this.#isFull(this.#active)) await this.#roll()
    if (!this.#isNamed) await this.#name()
  }

  /**
   * After a failed write what was not promised is cut off. After a failed sync the kernel counts pages as written that
   * are not, so that another sync of them says nothing: a new file is begun.
   */
  async #mend(): Promise<void> {
    if (!this.#doubt) return
    const segment = this.#active
    const doubt = this.#doubt
    this.#doubt = 'file'
    await segment.cut()
    if (doubt === 'file' && segment.last >= segment.first) await this.#roll()
    this.#doubt = undefined
  }

  #isFull({ first, last, size, firstTimeMs }: Segment): boolean {
    const { segmentBytes, clock } = this.#options
    if (last < first) return false
    if (size >= segmentBytes) return true
    if (this.#segments.length >= fewFiles) return false
    const { maxAgeMs, maxBytes } = this.#retention
    const ageMs = clock.now() - firstTimeMs
    return (
      size >= Math.max(maxBytes / keptFiles, smallestFileBytes) ||
      ageMs >= Math.max(maxAgeMs / keptFiles, shortestFileMs)
    )
  }

  /** All in one piece: copying them costs less than handing many to the kernel. */
  #records(batch: readonly Waiting[], first: number, timeMs: number): Buffer {
    let bytes = 0
    for (const { payload } of batch) bytes += headBytes + payload.length
    const records = this.#tail.place(bytes)
    let at = 0
    let sequence = first
    for (const { payload } of batch) at = writeRecord(records, at, sequence++, timeMs, payload)
    return records
  }

  async #roll(): Promise<void> {
    const { disk, directory } = this.#options
    this.#segments.push(await Segment.create(disk, directory, this.#active.last + 1))
    this.#isNamed = false
    await this.#name()
    // At once, as events may come faster than anybody looks now and then; what fails is tried again with the next.
    this.#retaining = this.#retaining.then(() => this.retain()).catch(() => {})
  }

  async #name(): Promise<void> {
    const { disk, directory } = this.#options
    await disk.syncFolder(directory)
    this.#isNamed = true
  }

  /** Begins the next file while nothing is appended. */
  #rollAside(): void {
    if (this.#closed || this.#committing) return
    this.#committing = new Promise<void>((done) => {
      const commitAll = () => void this.#commitAll(done)
      // What fails is tried again the next time.
      this.#roll().then(commitAll, commitAll)
    })
  }

  get #active(): Segment {
    const segment = this.#segments.at(-1)
    if (!segment) throw new Error('an event log has at least one segment')
    return segment
  }

  async subscribe(name: string, start: Start = 'new'): Promise<Subscription> {
    if (this.#open.has(name)) throw new Error(`subscription ${name} is open already`)
    const { disk, directory } = this.#options
    const places = join(directory, 'cursors')
    const file = new CursorFile(disk, places, name)
    const known = this.#floors.has(name)
    const cursor = known ? ((await file.read()) ?? new Cursor(1)) : new Cursor(this.#place(start))
    cursor.raise(this.oldest)
    if (!known) {
      // Both of its sides have their place on the disk from now on, however full that becomes.
      file.write(cursor)
      file.write(cursor)
      await file.sync()
      await disk.syncFolder(places)
    }
    const subscription = new LogSubscription({
      name,
      cursor,
      file,
      clock: this.#options.clock,
      newest: () => this.#newest,
      bytesFrom: (sequence) => this.#bytesFrom(sequence),
      read: (from) => this.#readSome(from, readBytes),
      saveAfterMs: () => Math.min(saveMs * this.#open.size, longestSaveMs),
      onFloor: (floor) => void this.#floors.set(name, floor),
      onClose: () => void this.#open.delete(name),
    })
    this.#floors.set(name, cursor.floor)
    this.#open.set(name, subscription)
    return subscription
  }

  #place(start: Start): number {
    if (start === 'new') return this.#newest + 1
    if (start === 'earliest') return this.oldest
    return Math.min(Math.max(start.sequence, this.oldest), this.#newest + 1)
  }

  async unsubscribe(name: string): Promise<void> {
    if (this.#open.has(name)) throw new Error(`subscription ${name} is open: close it first`)
    this.#floors.delete(name)
    const { disk, directory } = this.#options
    await new CursorFile(disk, join(directory, 'cursors'), name).remove()
  }

  subscriptions(): readonly string[] {
    return [...this.#floors.keys()]
  }

  async *read(range: Range = {}): AsyncGenerator<LoggedEvent> {
    const to = Math.min(range.to ?? this.#newest, this.#newest)
    let next = Math.max(range.from ?? 1, this.oldest)
    const { sinceMs } = range
    if (sinceMs !== undefined) {
      const at = this.#segments.findIndex(({ lastTimeMs }) => lastTimeMs >= sinceMs)
      const found = at < 0 ? this.#segments.at(-1) : this.#segments[at]
      next = Math.max(next, found?.first ?? 1)
    }
    while (next <= to) {
      // One alone is read alone: what waited to be tried again comes so, and there may be thousands.
      const events = await this.#readSome(next, next === to ? 1 : readBytes)
      for (const event of events) {
        if (event.sequence > to) return
        yield event
        next = event.sequence + 1
      }
      if (events.length === 0) return
    }
  }

  /** Durable events from `sequence` on, as many as lie together; none = there are none. */
  async #readSome(sequence: number, maxBytes: number): Promise<readonly LoggedEvent[]> {
    const recent = this.#tail.from(sequence, maxBytes)
    if (recent) return recent
    const at = this.#segments.findLastIndex(({ first }) => first <= sequence)
    for (const segment of this.#segments.slice(Math.max(at, 0))) {
      const events = await segment.read(sequence, maxBytes).catch((error: unknown) => {
        // Retention may take a file away while somebody reads what is settled in it.
        if (this.#segments.includes(segment)) throw error
        return []
      })
      const durable = events.filter((event) => event.sequence <= this.#newest)
      if (durable.length > 0) return durable
    }
    return []
  }

  keep(retention: Retention): void {
    this.#retention = this.#possible({ ...this.#options, ...retention })
  }

  /** What is kept beyond need never takes the room of new events: some is left while old files are removed. */
  #possible({ maxAgeMs, maxBytes }: Required<Retention>): Required<Retention> {
    const { limitBytes, segmentBytes } = this.#options
    return { maxAgeMs, maxBytes: Math.min(maxBytes, Math.max(limitBytes - 2 * segmentBytes, 0)) }
  }

  async retain(): Promise<void> {
    const settled = Math.min(...this.#floors.values(), this.#newest + 1)
    const { maxAgeMs, maxBytes } = this.#retention
    const oldMs = this.#options.clock.now() - maxAgeMs
    for (;;) {
      const [oldest, next] = this.#segments
      if (!oldest || oldest.last >= settled) return
      if (!next) {
        // Nothing comes any more: what was last grows old too.
        if (oldest.last >= oldest.first && oldest.lastTimeMs < oldMs) this.#rollAside()
        return
      }
      if (oldest.lastTimeMs >= oldMs && this.bytes <= maxBytes) return
      this.#segments.shift()
      await oldest.close()
      await this.#options.disk.remove(oldest.path)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    await this.#committing
    await this.#retaining
    for (const subscription of this.#open.values()) await subscription[Symbol.asyncDispose]()
    for (const segment of this.#segments) await segment.close()
  }
}
