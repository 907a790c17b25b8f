/** One Broker or Channel at work: its log, its dispatchers, its dead letters. */
import { join } from 'node:path'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { CloudEvent } from '../cloudevents/cloud-event.ts'
import type { Headers } from '../cloudevents/http-binding.ts'
import { machineDisk, type Disk } from '../log/disk.ts'
import type { EventLog, LoggedEvent } from '../log/event-log.ts'
import type { Damage } from '../log/segment.ts'
import { openSegmentLog } from '../log/segment-log.ts'
import { DeadLetters } from './delivery/dead-letters.ts'
import { enterBroker } from './delivery/delivery.ts'
import { Dispatcher } from './delivery/dispatcher.ts'
import type { EventMemory } from './delivery/memory.ts'
import type { Guard, Guards } from './authorization/guard.ts'
import type {
  ChannelConfig,
  EngineWarning,
  Gate,
  SubscriptionConfig,
  SubscriptionStats,
} from './feed.ts'
import { passThrough } from './headers.ts'
import type { Inlet } from './ingress/ingress.ts'
import type { Journal } from './following/journal.ts'
import { SeenTypes } from './ingress/seen-types.ts'
import type { AttemptResult } from './delivery/retry.ts'
import type { Sender } from './delivery/sender.ts'
import { decodeStored, encodeStored, type StoredEvent } from './stored-event.ts'
import { nanoTime } from './nano-time.ts'
import { textOf } from '../cloudevents/cloud-event.ts'
import { IdRing } from './following/id-ring.ts'
import type { EventSpans } from './following/spans.ts'
import { damageToldMs, warningsOf, type FoundDamage } from './following/warnings.ts'
import type { Trace } from './trace.ts'

export interface ChannelDeps {
  /** A folder of its own. */
  readonly directory: string
  /** Default: the machine's. */
  readonly disk?: Disk
  readonly clock: Clock
  readonly log: Log
  readonly sender: Sender
  readonly journal: Journal
  readonly spans?: EventSpans
  /** Whether the engine itself takes the events that are sent to a URL. */
  readonly isInlet?: (url: string) => boolean
  /** Shared with the other channels. */
  readonly memory?: EventMemory
  /** Of one file of its log. */
  readonly segmentBytes?: number
}

/** Under way when a channel is closed: so long to end. */
const graceMs = 5_000
/** Of what is damaged, the last few are told. */
const maxDamages = 8

export class Channel implements Inlet, AsyncDisposable {
  config: ChannelConfig
  readonly events: EventLog
  readonly deadLetters: DeadLetters
  readonly types = new SeenTypes()
  /** Where events of this run stand. */
  readonly ids = new IdRing()
  /** Who may send here; undefined = everybody. */
  guard: Guard | undefined
  #gate = ''
  readonly #deps: ChannelDeps
  readonly #dispatchers = new Map<string, Dispatcher>()
  /** Of subscriptions that were removed: what is under way ends. */
  readonly #leaving = new Map<string, { dispatcher: Dispatcher; gone: Promise<void> }>()
  /** Of what subscriptions look at now: one event, decoded once for all of them. */
  readonly #decoded = new WeakMap<LoggedEvent, StoredEvent>()
  readonly #damages: readonly FoundDamage[]

  private constructor(
    config: ChannelConfig,
    deps: ChannelDeps,
    events: EventLog,
    deadLetters: DeadLetters,
    damages: readonly FoundDamage[],
  ) {
    this.config = config
    this.#damages = damages
    this.#deps = deps
    this.events = events
    this.deadLetters = deadLetters
  }

  /** Opens the log, mending what a crash left; subscriptions come with `update`. */
  static async open(config: ChannelConfig, deps: ChannelDeps): Promise<Channel> {
    const { directory, disk = machineDisk, clock, log, segmentBytes } = deps
    const damages: FoundDamage[] = []
    const onDamage = (damage: Damage) => {
      log.error('a file of events is damaged: what is readable goes on', { ...damage })
      damages.push({ ...damage, foundMs: clock.now() })
      if (damages.length > maxDamages) damages.shift()
    }
    const open = (folder: string, more: object) =>
      openSegmentLog({
        directory: join(directory, folder),
        disk,
        clock,
        ...more,
        onDamage,
      })
    const size = segmentBytes === undefined ? {} : { segmentBytes }
    const events = await open('events', size)
    try {
      const deadLetters = await DeadLetters.open(await open('dead-letters', size))
      return new Channel(config, deps, events, deadLetters, damages)
    } catch (error) {
      await events[Symbol.asyncDispose]()
      throw error
    }
  }

  get kind(): ChannelConfig['kind'] {
    return this.config.kind
  }

  append(stored: StoredEvent): Promise<number> {
    const { spans, clock } = this.#deps
    const startMs = spans?.on ? clock.now() : 0
    return this.events.append(encodeStored(stored)).then((sequence) => {
      if (spans?.on) spans.received(this.config, sequence, stored, startMs)
      this.types.note(stored.event)
      this.ids.note(sequence, textOf(stored.event.attributes['id']))
      return sequence
    })
  }

  decode(event: LoggedEvent): StoredEvent {
    let stored = this.#decoded.get(event)
    if (!stored) this.#decoded.set(event, (stored = decodeStored(event.payload)))
    return stored
  }

  /** From now on this gate holds; its filters are compiled when it is another. */
  guarded(gate: Gate | undefined, guards: Guards | undefined): void {
    const text = JSON.stringify(gate ?? null)
    if (text === this.#gate) return
    this.#gate = text
    this.guard = guards?.guard(gate)
  }

  get dispatchers(): readonly Dispatcher[] {
    return [...this.#dispatchers.values()]
  }

  get stats(): readonly SubscriptionStats[] {
    return this.dispatchers.map(({ stats }) => stats)
  }

  get warnings(): readonly EngineWarning[] {
    const sinceMs = this.#deps.clock.now() - damageToldMs
    return warningsOf({
      config: this.config,
      limitBytes: this.events.limitBytes,
      deadLetterBytes: this.deadLetters.heldBytes,
      subscriptions: this.dispatchers,
      damages: this.#damages.filter(({ foundMs }) => foundMs >= sinceMs),
    })
  }

  /** Resolves when every new subscription has its place: events that come later are its own. */
  async update(config: ChannelConfig): Promise<void> {
    this.config = config
    this.events.keep(config.retention ?? {})
    const wanted = new Map(config.subscriptions.map((each) => [each.uid, each]))
    for (const [uid, dispatcher] of this.#dispatchers) {
      const next = wanted.get(uid)
      if (next) {
        dispatcher.update(next)
        continue
      }
      this.#dispatchers.delete(uid)
      this.#leave(uid, dispatcher)
    }
    // Also those that were removed while nobody was looking.
    for (const uid of this.events.subscriptions())
      if (!wanted.has(uid) && !this.#leaving.has(uid)) await this.events.unsubscribe(uid)
    for (const each of config.subscriptions)
      if (!this.#dispatchers.has(each.uid)) {
        await this.#leaving.get(each.uid)?.gone
        await this.#subscribe(each)
      }
  }

  /** Nobody waits for it: a subscriber that hangs must not keep what else was changed. */
  #leave(uid: string, dispatcher: Dispatcher): void {
    const gone = dispatcher
      .close(graceMs)
      .then(() => this.events.unsubscribe(uid))
      .catch((error: unknown) => {
        // Tried again with the next configuration.
        this.#deps.log.error('the place of a removed subscription stays', { uid, error })
      })
      .finally(() => this.#leaving.delete(uid))
    this.#leaving.set(uid, { dispatcher, gone })
  }

  async #subscribe(config: SubscriptionConfig): Promise<void> {
    const { clock, log, sender, journal, spans, isInlet, memory } = this.#deps
    const subscription = await this.events.subscribe(config.uid, config.start ?? 'new')
    const dispatcher = new Dispatcher(
      {
        clock,
        sender,
        journal,
        ...(spans && {
          spans,
          traced: (subscription, event, step) =>
            spans.step(this.config, subscription, event, this.decode(event), step),
        }),
        channel: this.config.uid,
        log: this.events,
        subscription,
        decode: (event) => this.decode(event),
        ...(isInlet && { isInlet }),
        ...(memory && { memory }),
        onUnreadable: (error) =>
          log.error('events can not be read: they wait and are tried again', {
            channel: `${this.config.namespace}/${this.config.name}`,
            subscription: config.name,
            error,
          }),
        address: () => this.config.address ?? `/${this.config.namespace}/${this.config.name}`,
        reenter: (event, answered, trace) => this.#reenter(event, answered, trace),
        park: (event, failure) =>
          this.deadLetters.add(event, config.uid, failure, this.decode(event)),
      },
      config,
    )
    this.#dispatchers.set(config.uid, dispatcher)
  }

  /** An answer goes through the same door as any event, without the way there. */
  async #reenter(event: CloudEvent, answered: Headers, trace: Trace): Promise<AttemptResult> {
    const entered = this.kind === 'Broker' ? enterBroker(event, nanoTime(this.#deps.clock)) : event
    if (!entered) return { status: 400, error: 'it has gone its last round: the loop ends here' }
    try {
      await this.append({ event: entered, passed: passThrough(answered), trace })
      return { status: 202 }
    } catch (error) {
      return { status: 500, error: error instanceof Error ? error.message : 'unknown' }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const leaving = [...this.#leaving.values()].map(({ gone }) => gone)
    await Promise.all([...leaving, ...this.dispatchers.map((each) => each.close(graceMs))])
    await this.deadLetters[Symbol.asyncDispose]()
    await this.events[Symbol.asyncDispose]()
  }

  /** Closes it and forgets its events. */
  async remove(): Promise<void> {
    const leaving = [...this.#leaving.values()].map(({ dispatcher }) => dispatcher)
    await Promise.all([...this.dispatchers, ...leaving].map((each) => each.close(0)))
    await this[Symbol.asyncDispose]()
    const { disk = machineDisk, directory } = this.#deps
    await disk.remove(directory)
  }
}
