/**
 * Events that nobody took, neither their subscriber nor a dead-letter sink, each with the reason: a log of its own, so
 * that they outlive the channel's retention and wait for somebody to decide.
 */
import type { LoggedEvent, Subscription, EventLog } from '../../log/event-log.ts'
import { errorExtensions, type Failure } from './delivery.ts'
import { decodeStored, encodeStored, type StoredEvent } from '../stored-event.ts'

export interface DeadLetter {
  /** Its place among the dead letters of the channel. */
  readonly number: number
  /** Its place in the channel's log. */
  readonly sequence: number
  /** Of the Trigger or Subscription whose subscriber did not take it. */
  readonly subscription: string
  readonly atMs: number
  /** `knativeerrordest`, `knativeerrorcode`, `knativeerrordata`: what a dead-letter sink would have been told. */
  readonly reason: Readonly<Record<string, string>>
  readonly stored: StoredEvent
}

/** Header names that carry what we note; they are of no sender, as theirs are lower case. */
const note = 'Ebb-Dead-Letter'

interface Note {
  readonly sequence: number
  readonly subscription: string
  readonly reason: Readonly<Record<string, string>>
}

export class DeadLetters implements AsyncDisposable {
  readonly #log: EventLog
  readonly #open: Subscription

  private constructor(log: EventLog, open: Subscription) {
    this.#log = log
    this.#open = open
  }

  /** `log` is closed with it, or at once when this rejects. */
  static async open(log: EventLog): Promise<DeadLetters> {
    try {
      return new DeadLetters(log, await log.subscribe('open', 'earliest'))
    } catch (error) {
      await log[Symbol.asyncDispose]()
      throw error
    }
  }

  get count(): number {
    return this.#open.backlog
  }

  /** What they keep on disk. */
  get heldBytes(): number {
    return this.#open.heldBytes
  }

  /** Resolves when it is durable. */
  async add(
    { sequence }: LoggedEvent,
    subscription: string,
    failure: Failure,
    { event, passed }: StoredEvent,
  ): Promise<void> {
    const noted: Note = { sequence, subscription, reason: errorExtensions(failure) }
    await this.#log.append(
      encodeStored({ event, passed: [...passed, [note, JSON.stringify(noted)]] }),
    )
  }

  /** Those that are not dealt with, the oldest first. */
  async *list(): AsyncGenerator<DeadLetter> {
    for await (const { sequence: number, timeMs, payload } of this.#log.read({
      from: this.#open.floor,
    })) {
      if (this.#open.isSettled(number)) continue
      const { event, passed } = decodeStored(payload)
      const text = passed.find(([name]) => name === note)?.[1]
      if (text === undefined) continue
      const { sequence, subscription, reason } = JSON.parse(text) as Note
      const stored = { event, passed: passed.filter(([name]) => name !== note) }
      yield { number, sequence, subscription, atMs: timeMs, reason, stored }
    }
  }

  /** It is dealt with: delivered after all, or let go. */
  settle(number: number): void {
    this.#open.settle(number)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#open[Symbol.asyncDispose]()
    await this.#log[Symbol.asyncDispose]()
  }
}
