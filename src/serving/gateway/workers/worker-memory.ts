/**
 * Hot path. What several gateway workers must agree on, in memory that their threads share: requests at each pod that
 * has a limit, requests that wait for each revision, and positions in traffic splits. All of it is atomic counters; each
 * worker reaches them through its own `WorkerMemory`. With one worker none of this exists.
 *
 * Each worker also notes its own part of every count, so that what a crashed worker held can be given back.
 */
import type { ShareCounter, ShareCounters } from '../routing/share-counter.ts'
import { SharedLock, SharedTable, tableWords } from './shared-table.ts'

/** How much fits; untouched pages of it take no memory. What does not fit is counted by each worker alone. */
export interface MemorySize {
  /** At most 31. */
  readonly workers: number
  readonly revisions: number
  readonly pods: number
  readonly splits: number
}

export const memorySize = (workers: number): MemorySize => ({
  workers,
  revisions: 32_768,
  pods: 65_536,
  splits: 65_536,
})

/** Where each kind of count begins, in 32-bit words. */
function layout({ workers, revisions, pods, splits }: MemorySize) {
  let words = 0
  const take = (count: number): number => {
    const at = words
    words += count
    return at
  }
  const mailWords = Math.ceil(revisions / 32)
  return {
    lock: take(1),
    total: take(1),
    bells: take(workers),
    mail: take(mailWords * workers),
    mailWords,
    revisions: take(tableWords(revisions)),
    turns: take(revisions),
    waiting: take(revisions),
    waitingOf: take(revisions * workers),
    pods: take(tableWords(pods)),
    slots: take(pods),
    slotsOf: take(pods * workers),
    splits: take(tableWords(splits)),
    positions: take(splits),
    weights: take(splits),
    words,
  }
}

/** New memory, all zero; it can be sent to threads. */
export const createMemory = (size: MemorySize): SharedArrayBuffer =>
  new SharedArrayBuffer(layout(size).words * 4)

/** The shared counts as one worker sees them. Places are those that `acquire…` answered. */
export class WorkerMemory implements ShareCounters {
  readonly worker: number
  readonly size: MemorySize
  readonly #words: Int32Array
  readonly #at: ReturnType<typeof layout>
  readonly #revisions: SharedTable
  readonly #pods: SharedTable
  readonly #splits: SharedTable
  /** What to call when a bell rings, by revision. */
  readonly #rung = new Map<number, () => void>()
  readonly #splitPlaces = new Map<string, number>()
  #closed = false

  constructor(buffer: SharedArrayBuffer, size: MemorySize, worker: number) {
    const words = new Int32Array(buffer)
    const at = layout(size)
    const lock = new SharedLock(words, at.lock)
    this.#words = words
    this.#at = at
    this.#revisions = new SharedTable(words, at.revisions, size.revisions, lock)
    this.#pods = new SharedTable(words, at.pods, size.pods, lock)
    this.#splits = new SharedTable(words, at.splits, size.splits, lock)
    this.size = size
    this.worker = worker
  }

  // -- slots at pods ------------------------------------------------------------------------------------------------

  /** The place of a pod's count; -1 = there is none left. */
  acquirePod(key: string): number {
    return this.#pods.acquire(this.worker, key)
  }

  /** This worker has no request at the pod any more and sends none. */
  releasePod(pod: number): void {
    this.#pods.release(this.worker, pod)
  }

  /** Takes a slot of a pod, unless all workers together have taken `limit`. */
  take(pod: number, limit: number): boolean {
    const words = this.#words
    const at = this.#at.slots + pod
    // Not added and taken back: for a moment others would see a free slot as taken.
    for (let taken = Atomics.load(words, at); taken < limit;) {
      const found = Atomics.compareExchange(words, at, taken, taken + 1)
      if (found === taken) {
        words[this.#own(pod)]!++
        return true
      }
      taken = found
    }
    return false
  }

  give(pod: number): void {
    this.#words[this.#own(pod)]!--
    Atomics.sub(this.#words, this.#at.slots + pod, 1)
  }

  /** Slots of a pod that are taken, by whomever. */
  occupied(pod: number): number {
    return Atomics.load(this.#words, this.#at.slots + pod)
  }

  #own(pod: number): number {
    return this.#at.slotsOf + this.worker * this.size.pods + pod
  }

  // -- waiting requests ---------------------------------------------------------------------------------------------

  /** The place of a revision's counts; -1 = there is none left. `rung` is called when a worker says that a slot came free. */
  acquireRevision(key: string, rung: () => void): number {
    const place = this.#revisions.acquire(this.worker, key)
    if (place >= 0) this.#rung.set(place, rung)
    return place
  }

  /** Nobody waits for it here any more. */
  releaseRevision(revision: number): void {
    this.#rung.delete(revision)
    this.#revisions.release(this.worker, revision)
  }

  startWaiting(revision: number): void {
    const words = this.#words
    Atomics.add(words, this.#at.total, 1)
    Atomics.add(words, this.#at.waiting + revision, 1)
    Atomics.add(words, this.#waitingOf(this.worker, revision), 1)
  }

  stopWaiting(revision: number): void {
    const words = this.#words
    Atomics.sub(words, this.#waitingOf(this.worker, revision), 1)
    Atomics.sub(words, this.#at.waiting + revision, 1)
    Atomics.sub(words, this.#at.total, 1)
  }

  /** Requests that wait, of all revisions at all workers. */
  get totalWaiting(): number {
    return Atomics.load(this.#words, this.#at.total)
  }

  /** Requests that wait for the revision at all workers. */
  waiting(revision: number): number {
    return Atomics.load(this.#words, this.#at.waiting + revision)
  }

  #waitingOf(worker: number, revision: number): number {
    return this.#at.waitingOf + worker * this.size.revisions + revision
  }

  /**
   * Who is to have a slot that came free: the workers at which somebody waits for the revision, in turn. -1 = nobody
   * waits.
   */
  nextInTurn(revision: number): number {
    const words = this.#words
    const { workers } = this.size
    if (this.waiting(revision) <= 0) return -1
    const turn = Atomics.load(words, this.#at.turns + revision)
    for (let step = 1; step <= workers; step++) {
      const worker = (turn + step) % workers
      if (Atomics.load(words, this.#waitingOf(worker, revision)) <= 0) continue
      Atomics.store(words, this.#at.turns + revision, worker)
      return worker
    }
    return -1
  }

  // -- bells --------------------------------------------------------------------------------------------------------

  /** Tells a worker that a slot of this revision came free. */
  ring(worker: number, revision: number): void {
    const words = this.#words
    const bit = 1 << (revision & 31)
    const at = this.#at.mail + worker * this.#at.mailWords + (revision >>> 5)
    // Rung and not looked at yet: the worker will see this slot too.
    if ((Atomics.or(words, at, bit) & bit) !== 0) return
    Atomics.add(words, this.#at.bells + worker, 1)
    Atomics.notify(words, this.#at.bells + worker)
  }

  /** Rings at all other workers where somebody waits for the revision; false when nobody does. */
  ringOthers(revision: number): boolean {
    let someone = false
    for (let worker = 0; worker < this.size.workers; worker++) {
      if (worker === this.worker) continue
      if (Atomics.load(this.#words, this.#waitingOf(worker, revision)) <= 0) continue
      this.ring(worker, revision)
      someone = true
    }
    return someone
  }

  /** Hears the bells that other workers ring, until closed. */
  listen(): void {
    const bell = this.#at.bells + this.worker
    const listen = (): void => {
      while (!this.#closed) {
        const seen = Atomics.load(this.#words, bell)
        this.#takeMail()
        const next = Atomics.waitAsync(this.#words, bell, seen)
        if (!next.async) continue
        void next.value.then(listen)
        return
      }
    }
    listen()
  }

  #takeMail(): void {
    const words = this.#words
    const { mail, mailWords } = this.#at
    const start = mail + this.worker * mailWords
    for (let word = 0; word < mailWords; word++) {
      if (words[start + word] === 0) continue
      let bits = Atomics.exchange(words, start + word, 0)
      while (bits !== 0) {
        const bit = 31 - Math.clz32(bits)
        bits &= ~(1 << bit)
        this.#rung.get(word * 32 + bit)?.()
      }
    }
  }

  /** Listens to no bells any more. */
  close(): void {
    this.#closed = true
    const bell = this.#at.bells + this.worker
    Atomics.add(this.#words, bell, 1)
    Atomics.notify(this.#words, bell)
  }

  // -- traffic splits -----------------------------------------------------------------------------------------------

  /** As `ShareCounters` says. With no place left the worker counts for itself. */
  counter(key: string): ShareCounter {
    const place = this.#splits.acquire(this.worker, key, (fresh) => {
      this.#words[this.#at.positions + fresh] = 0
      this.#words[this.#at.weights + fresh] = 0
    })
    if (place >= 0) this.#splitPlaces.set(key, place)
    return place < 0
      ? new SharedShareCounter(new Int32Array(2), 0, 1)
      : new SharedShareCounter(this.#words, this.#at.positions + place, this.#at.weights + place)
  }

  release(key: string): void {
    const place = this.#splitPlaces.get(key)
    if (place === undefined) return
    this.#splitPlaces.delete(key)
    this.#splits.release(this.worker, place)
  }

  // -- for the main thread ------------------------------------------------------------------------------------------

  /** Gives back everything that this worker held when it died, and tells the others. Some milliseconds. */
  forget(): void {
    const words = this.#words
    const { revisions, pods, workers } = this.size
    new SharedLock(words, this.#at.lock).release(this.worker)
    for (let pod = 0; pod < pods; pod++) {
      const held = words[this.#own(pod)]!
      if (held === 0) continue
      words[this.#own(pod)] = 0
      Atomics.sub(words, this.#at.slots + pod, held)
    }
    for (let revision = 0; revision < revisions; revision++) {
      const waited = Atomics.exchange(words, this.#waitingOf(this.worker, revision), 0)
      if (waited === 0) continue
      Atomics.sub(words, this.#at.waiting + revision, waited)
      Atomics.sub(words, this.#at.total, waited)
    }
    for (const table of [this.#revisions, this.#pods, this.#splits]) table.forget(this.worker)
    for (let revision = 0; revision < revisions; revision++) {
      if (this.waiting(revision) <= 0) continue
      for (let worker = 0; worker < workers; worker++)
        if (worker !== this.worker) this.ring(worker, revision)
    }
  }
}

class SharedShareCounter implements ShareCounter {
  readonly #words: Int32Array
  readonly #position: number
  readonly #weights: number

  constructor(words: Int32Array, position: number, weights: number) {
    this.#words = words
    this.#position = position
    this.#weights = weights
  }

  next(): number {
    return Atomics.add(this.#words, this.#position, 1) >>> 0
  }

  peek(): number {
    return Atomics.load(this.#words, this.#position) >>> 0
  }

  change(before: number, after: number, jump: (n: number) => number): void {
    if (before === 0) {
      Atomics.store(this.#words, this.#weights, after | 0)
      return
    }
    const found = Atomics.compareExchange(this.#words, this.#weights, before | 0, after | 0)
    if (found >>> 0 === before >>> 0) Atomics.add(this.#words, this.#position, jump(this.peek()))
  }
}
