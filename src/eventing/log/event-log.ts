/**
 * The log of one channel's events, with subscriptions: what a Broker, a Channel or a Sequence stands on. One interface
 * for the segments on this machine's disk (`segment-log.ts`) and for the backbones of larger installations (NATS
 * JetStream, Kafka, RabbitMQ); one contract suite (`event-log.contract.ts`).
 *
 * Events are bytes here: what is in them, whom they concern and how often to try is decided above.
 */

/** An event in the log. */
export interface LoggedEvent {
  /** Position in the log: 1, 2, 3 …; grows, without gaps unless a damaged disk took some. */
  readonly sequence: number
  /** When it was appended, milliseconds since the epoch. */
  readonly timeMs: number
  readonly payload: Uint8Array
}

/** An event that was tried and is to be tried again. */
export interface Deferred {
  readonly sequence: number
  /** How often it was tried. */
  readonly attempts: number
  /** When to try again, milliseconds since the epoch. */
  readonly notBeforeMs: number
}

/** Where a new subscription begins: with what comes after it, or with all that is there. */
export type Start = 'new' | 'earliest' | { readonly sequence: number }

/**
 * A durable place in the log. What was handed out and not settled is handed out again after a restart, so each event
 * is seen at least once.
 */
export interface Subscription extends AsyncDisposable {
  readonly name: string
  /** The lowest sequence that is not settled. */
  readonly floor: number
  /** Events that are not handed out yet, or were and are not settled. */
  readonly backlog: number
  /** Bytes on disk that its backlog keeps there, about: what can't be removed before it goes on; 0 without one. */
  readonly heldBytes: number
  /** What was deferred before a restart; each is handed out by `take` like the others, these say how it stands. */
  readonly deferred: readonly Deferred[]
  /**
   * The next events in order, at least one and at most `max`; waits until there is one. Each is handed out once until a
   * restart. Empty only when `signal` is aborted or the subscription closed.
   */
  take(max: number, signal?: AbortSignal): Promise<readonly LoggedEvent[]>
  isSettled(sequence: number): boolean
  /** The event is done with: delivered, filtered out, or laid into a dead-letter sink. Others before it may not be. */
  settle(sequence: number): void
  /** Notes that the event is to be tried again, so that a restart does not begin anew. */
  defer(deferred: Deferred): void
  /** Resolves when all that was settled and deferred so far survives a crash of this process. */
  flush(): Promise<void>
}

export interface Range {
  /** First sequence wanted. Default: the oldest there is. */
  readonly from?: number
  /** Last sequence wanted. Default: the newest at the time of the call. */
  readonly to?: number
  /** A hint: events appended before this moment are not wanted, and may be left out. */
  readonly sinceMs?: number
}

export interface Retention {
  /** Milliseconds. */
  readonly maxAgeMs?: number
  readonly maxBytes?: number
}

export interface EventLog extends AsyncDisposable {
  /** The oldest event that is kept; one more than `newest` in an empty log. */
  readonly oldest: number
  /** The newest event; 0 before the first. */
  readonly newest: number
  /** Bytes on disk. */
  readonly bytes: number
  /** It never grows beyond so many: `append` rejects instead. */
  readonly limitBytes: number
  /**
   * Resolves with the event's sequence when it is durable: a crash of the machine does not take it away. Rejects with
   * LogFullError or the disk's error when it is not kept; it may then be there nevertheless.
   */
  append(payload: Uint8Array): Promise<number>
  /** Opens the subscription of this name, made at `start` when it is new. One at a time may be open. */
  subscribe(name: string, start?: Start): Promise<Subscription>
  /** Forgets the subscription and its place. It must not be open. */
  unsubscribe(name: string): Promise<void>
  /** Names of all subscriptions there are, open or not. */
  subscriptions(): readonly string[]
  /** Events of the past, in order. Those that retention has removed are left out. */
  read(range?: Range): AsyncIterable<LoggedEvent>
  /** How long and how much is kept from now on of what every subscription has settled; absent = as from the start. */
  keep(retention: Retention): void
  /** Removes what is older or more than the retention allows, and settled by every subscription. */
  retain(): Promise<void>
}

/** No room: subscribers are so far behind that the log may not grow. */
export class LogFullError extends Error {
  override readonly name = 'LogFullError'
}
