/**
 * Brings a channel's events to one subscriber: to the subscriber, its answer to where answers go, and what fails for
 * good to the dead-letter sink. An event is settled when nothing is left to do for it, so that a crash at any point
 * means a second attempt and never a lost event.
 *
 * First attempts are made in order, the next when the one before has been answered, as senders that wait for their
 * answers expect; only a subscriber that falls behind gets several at a time (docs/decisions/020, "order of first
 * attempts"). Retries wait beside and overlap with newer events.
 */
import type { Clock } from '../../../lib/clock.ts'
import type { CloudEvent } from '../../cloudevents/cloud-event.ts'
import { textOf } from '../../cloudevents/cloud-event.ts'
import type { Headers, Message } from '../../cloudevents/http-binding.ts'
import type { EventLog, LoggedEvent, Subscription } from '../../log/event-log.ts'
import { inheritTtl, toDeadLetter, toReply, toSubscriber, understand } from './delivery.ts'
import type { Failure, Understood } from './delivery.ts'
import type { Destination, SubscriptionConfig, SubscriptionStats } from '../feed.ts'
import { compileFilter, type Filter } from './filters.ts'
import { withHop } from '../hops.ts'
import type { Journal, Step } from '../following/journal.ts'
import { Durations } from '../following/metrics.ts'
import { judge, longestWait, type AttemptResult } from './retry.ts'
import type { Sender } from './sender.ts'
import type { EventSpans } from '../following/spans.ts'
import type { StoredEvent } from '../stored-event.ts'
import { traceHeaders, traceOfDelivery, type Trace } from '../trace.ts'

export interface DispatcherDeps {
  readonly clock: Clock
  readonly sender: Sender
  /** Uid of the Broker or Channel. */
  readonly channel: string
  readonly log: EventLog
  readonly subscription: Subscription
  readonly decode: (event: LoggedEvent) => StoredEvent
  /** Whether the engine itself takes the events that are sent there. Default: never. */
  readonly isInlet?: (url: string) => boolean
  /** Puts an answer into the channel itself. */
  readonly reenter: (event: CloudEvent, answered: Headers, trace: Trace) => Promise<AttemptResult>
  /** Keeps what is given up; resolves when it is durable. */
  readonly park: (event: LoggedEvent, failure: Failure) => Promise<void>
  readonly journal: Journal
  readonly spans?: Pick<EventSpans, 'on' | 'sampled'>
  /** Makes a span of a step; called while `spans` is on. */
  readonly traced?: (
    subscription: SubscriptionConfig,
    event: LoggedEvent,
    step: Omit<Step, 'channel' | 'subscription'>,
  ) => void
}

/** Where an event is on its way. */
type State =
  | { readonly phase: 'subscriber'; readonly attempts: number }
  | {
      readonly phase: 'reply'
      readonly attempts: number
      readonly reply: CloudEvent
      readonly answered: Headers
    }
  | { readonly phase: 'deadLetter'; readonly attempts: number; readonly failure: Failure }

/** What comes next: nothing, or another step after a while. */
type Next = 'done' | 'parked' | { readonly state: State; readonly waitMs: number }

interface Task {
  readonly sequence: number
  /** Absent = it waited, and is read again: they may be many and large, and wait for hours. */
  readonly event?: LoggedEvent
  readonly state: State
  /** Of its order; '' for all where order is not asked for. */
  readonly key: string
}

/** Read ahead and filtered, to be sent. */
const queueLength = 256
/** Of what is read ahead, and of what is under way, beyond which no more is begun. */
const maxQueuedBytes = 16 << 20
const maxInFlightBytes = 64 << 20
/** Waiting to be tried again; more are not begun. */
const maxDeferred = 10_000
/** Behind by more than this, several first attempts are made at a time. */
const smallBacklog = 8
const defaultParallelism = 100
/** What can't be parked, on a full disk, is tried again so much later. */
const parkAgainMs = 5_000

export class Dispatcher implements AsyncDisposable {
  readonly #deps: DispatcherDeps
  #config: SubscriptionConfig
  #filter: Filter
  #queue: Task[] = []
  /** Due again. */
  #ready: Task[] = []
  /** Read ahead too; somebody waits for them. */
  #awaited: Task[] = []
  /** Ends the wait of each deferred event. */
  readonly #deferred = new Map<number, () => void>()
  /** How the events that were deferred before a restart stand. */
  readonly #before: Map<number, { readonly attempts: number; readonly notBeforeMs: number }>
  readonly #busyKeys = new Set<string>()
  readonly durations = new Durations()
  /** From when an event came in to its first attempt. */
  readonly waits = new Durations()
  #queuedBytes = 0
  #inFlight = 0
  #inFlightBytes = 0
  /** Of those, what somebody waits for: it does not hold up the others. */
  #awaitedInFlight = 0
  #taking = false
  readonly #stop = new AbortController()
  #closing = false
  #idle: (() => void) | undefined
  #counts = { delivered: 0, refused: 0, retried: 0, deadLettered: 0 }

  constructor(deps: DispatcherDeps, config: SubscriptionConfig) {
    this.#deps = deps
    this.#config = config
    this.#filter = compileFilter(config.filter ?? {})
    this.#before = new Map(deps.subscription.deferred.map((each) => [each.sequence, each]))
    this.#pump()
  }

  get config(): SubscriptionConfig {
    return this.#config
  }

  get stats(): SubscriptionStats {
    const { backlog } = this.#deps.subscription
    return { uid: this.#config.uid, ...this.#counts, backlog, deferred: this.#deferred.size }
  }

  /** What is not begun yet goes by the new configuration. */
  update(config: SubscriptionConfig): void {
    const sameFilter = JSON.stringify(config.filter) === JSON.stringify(this.#config.filter)
    this.#config = config
    if (!sameFilter) this.#filter = compileFilter(config.filter ?? {})
    this.#pump()
  }

  /** Why the event does not concern this subscription, if so. */
  refusal(event: CloudEvent) {
    return this.#filter(event)
  }

  isSettled(sequence: number): boolean {
    return this.#deps.subscription.isSettled(sequence)
  }

  #pump(): void {
    if (this.#closing || !this.#config.subscriber) return
    const most = this.#config.parallelism ?? defaultParallelism
    while (this.#awaitedInFlight < most) {
      const task = this.#awaited.shift()
      if (!task) break
      this.#awaitedInFlight++
      void this.#run(task).finally(() => {
        this.#awaitedInFlight--
        this.#pump()
      })
    }
    const slots = this.#slots()
    while (
      this.#inFlight - this.#awaitedInFlight < slots &&
      this.#inFlightBytes < maxInFlightBytes
    ) {
      const task = this.#nextTask()
      if (!task) break
      void this.#run(task)
    }
    const room =
      this.#queue.length + this.#awaited.length < queueLength / 2 &&
      this.#queuedBytes < maxQueuedBytes &&
      this.#deferred.size < maxDeferred
    if (!this.#taking && room) void this.#take()
  }

  #slots(): number {
    const most = this.#config.parallelism ?? defaultParallelism
    if (this.#config.order === 'ordered') return most
    const behind = this.#deps.subscription.backlog - this.#deferred.size - this.#inFlight
    return behind <= smallBacklog ? 1 : Math.min(most, Math.ceil(behind / 4))
  }

  #nextTask(): Task | undefined {
    for (const list of [this.#ready, this.#queue]) {
      const at =
        this.#config.order === 'ordered'
          ? list.findIndex(({ key }) => list === this.#ready || !this.#busyKeys.has(key))
          : 0
      const task = at < 0 ? undefined : list[at]
      if (!task) continue
      list.splice(at, 1)
      if (list === this.#queue) this.#queuedBytes -= sizeOf(task.event)
      return task
    }
    return undefined
  }

  async #take(): Promise<void> {
    this.#taking = true
    try {
      const events = await this.#deps.subscription.take(queueLength, this.#stop.signal)
      for (const event of events) this.#enqueue(event)
    } catch {
      // The disk can't be read at the moment.
      this.#deps.clock.after(parkAgainMs, () => {
        this.#taking = false
        this.#pump()
      })
      return
    }
    this.#taking = false
    this.#pump()
  }

  #enqueue(event: LoggedEvent): void {
    const stored = this.#decoded(event)
    if (!stored || this.#filter(stored.event)) {
      this.#counts.refused++
      this.#deps.subscription.settle(event.sequence)
      return
    }
    const key =
      this.#config.order === 'ordered' ? textOf(stored.event.attributes['partitionkey']) : ''
    const before = this.#before.get(event.sequence)
    this.#before.delete(event.sequence)
    const state: State = { phase: 'subscriber', attempts: before?.attempts ?? 0 }
    const waitMs = Math.min(
      (before?.notBeforeMs ?? 0) - this.#deps.clock.now(),
      // Whatever the clock of the machine was when that was noted.
      longestWait(state.attempts, this.#config.delivery),
    )
    const task = { sequence: event.sequence, event, state, key }
    if (before && waitMs > 0) this.#defer(task, waitMs)
    else if (this.#isAwaited(stored)) this.#awaited.push(task)
    else {
      this.#queue.push(task)
      this.#queuedBytes += sizeOf(event)
    }
  }

  #isAwaited({ event: { attributes } }: StoredEvent): boolean {
    const { awaited, order } = this.#config
    if (!awaited || order === 'ordered') return false
    return awaited.some((name) => Object.hasOwn(attributes, name))
  }

  /** Undefined = the payload is none of ours: damage that a checksum did not see. */
  #decoded(event: LoggedEvent): StoredEvent | undefined {
    try {
      return this.#deps.decode(event)
    } catch {
      return undefined
    }
  }

  async #run(task: Task): Promise<void> {
    const { sequence, key } = task
    this.#inFlight++
    this.#busyKeys.add(key)
    let { event, state } = task
    let bytes = 0
    try {
      event ??= await this.#readAgain(sequence)
      if (!event) {
        // Damage took it meanwhile: there is nothing left to do.
        this.#deps.subscription.settle(sequence)
        this.#busyKeys.delete(key)
        return
      }
      bytes = sizeOf(event)
      this.#inFlightBytes += bytes
      for (;;) {
        const next = await this.#step(event, state)
        if (this.#stop.signal.aborted) return
        if (next === 'done' || next === 'parked') {
          if (next === 'done') this.#note(event, { kind: 'done' })
          this.#deps.subscription.settle(event.sequence)
          this.#busyKeys.delete(key)
          return
        }
        state = next.state
        if (next.waitMs === 0) continue
        this.#note(event, { kind: 'waits', nextMs: this.#deps.clock.now() + next.waitMs })
        this.#defer({ sequence, state, key }, next.waitMs)
        return
      }
    } catch {
      // The disk can't be read at the moment.
      if (!this.#closing) this.#wait({ sequence, state, key }, parkAgainMs)
    } finally {
      this.#inFlight--
      this.#inFlightBytes -= bytes
      if (this.#inFlight === 0) this.#idle?.()
      this.#pump()
    }
  }

  #defer({ sequence, state, key }: Task, waitMs: number): void {
    const { clock, subscription } = this.#deps
    const notBeforeMs = clock.now() + waitMs
    if (state.phase === 'subscriber')
      subscription.defer({ sequence, attempts: state.attempts, notBeforeMs })
    if (this.#config.order === 'ordered') this.#busyKeys.add(key)
    this.#wait({ sequence, state, key }, waitMs)
  }

  #wait(task: Omit<Task, 'event'>, waitMs: number): void {
    const due = () => {
      this.#deferred.delete(task.sequence)
      this.#ready.push(task)
      this.#pump()
    }
    this.#deferred.set(task.sequence, this.#deps.clock.after(waitMs, due))
  }

  async #readAgain(sequence: number): Promise<LoggedEvent | undefined> {
    for await (const event of this.#deps.log.read({ from: sequence, to: sequence })) return event
    return undefined
  }

  async #step(event: LoggedEvent, state: State): Promise<Next> {
    try {
      const stored = this.#deps.decode(event)
      switch (state.phase) {
        case 'subscriber':
          return await this.#call(event, stored, state.attempts + 1)
        case 'reply':
          return await this.#answer(event, state, stored)
        case 'deadLetter':
          return await this.#bury(event, state, stored)
      }
    } catch (error) {
      // A fault of ours, which the same event would meet again: it is put aside with its reason, and the others go on.
      const url = this.#config.subscriber?.url ?? ''
      const result = { error: error instanceof Error ? error.message : 'unknown' }
      if (state.phase === 'deadLetter') return await this.#park(event, state.failure)
      return await this.#failed(event, { url, result })
    }
  }

  async #call(event: LoggedEvent, stored: StoredEvent, attempts: number): Promise<Next> {
    const { delivery, subscriber, reply: replyTo } = this.#config
    if (!subscriber) return { state: { phase: 'subscriber', attempts: attempts - 1 }, waitMs: 1000 }
    if (attempts === 1)
      this.waits.note(
        textOf(stored.event.attributes['type']),
        undefined,
        Math.max(this.#deps.clock.now() - event.timeMs, 0),
      )
    const sent = await this.#send(
      event,
      'subscriber',
      subscriber,
      toSubscriber(stored, this.#config, traceHeaders(this.#traceOf(event, stored))),
    )
    const { result, reply } = sent.understood
    const verdict = judge(result, attempts, delivery)
    if (verdict.kind === 'retry') {
      this.#counts.retried++
      return { state: { phase: 'subscriber', attempts }, waitMs: verdict.waitMs }
    }
    if (verdict.kind === 'failed')
      return await this.#failed(event, { url: subscriber.url, result, ...sent.failedBody })
    this.#counts.delivered++
    if (!reply || replyTo === undefined) return 'done'
    const back = this.#config.kind === 'Trigger' ? inheritTtl(reply, stored) : reply
    const state = { phase: 'reply', attempts: 0, reply: back, answered: sent.headers } as const
    return { state, waitMs: 0 }
  }

  async #answer(
    event: LoggedEvent,
    state: Extract<State, { phase: 'reply' }>,
    stored: StoredEvent,
  ): Promise<Next> {
    const { reply: to, delivery } = this.#config
    if (to === undefined) return 'done'
    const attempts = state.attempts + 1
    const trace = this.#traceOf(event, stored)
    if (to === 'channel') {
      const result = await this.#deps.reenter(state.reply, state.answered, trace)
      const verdict = judge(result, attempts, delivery)
      if (verdict.kind === 'delivered') return 'done'
      if (verdict.kind === 'retry')
        return { state: { ...state, attempts }, waitMs: Math.max(verdict.waitMs, 1) }
      return await this.#failed(event, { url: 'the broker', result })
    }
    const message = toReply(state.reply, state.answered, this.#config, traceHeaders(trace))
    const sent = await this.#send(event, 'reply', to, message)
    const { result } = sent.understood
    const verdict = judge(result, attempts, delivery)
    if (verdict.kind === 'delivered') return 'done'
    if (verdict.kind === 'retry') return { state: { ...state, attempts }, waitMs: verdict.waitMs }
    return await this.#failed(event, { url: to.url, result, ...sent.failedBody })
  }

  async #failed(event: LoggedEvent, failure: Failure): Promise<Next> {
    if (this.#config.deadLetter)
      return { state: { phase: 'deadLetter', attempts: 0, failure }, waitMs: 0 }
    return await this.#park(event, failure)
  }

  async #bury(
    event: LoggedEvent,
    state: Extract<State, { phase: 'deadLetter' }>,
    stored: StoredEvent,
  ): Promise<Next> {
    const { deadLetter, delivery } = this.#config
    if (!deadLetter) return await this.#park(event, state.failure)
    const attempts = state.attempts + 1
    const trace = traceHeaders(this.#traceOf(event, stored))
    const message = toDeadLetter(stored, state.failure, this.#config, trace)
    const sent = await this.#send(event, 'deadLetter', deadLetter, message)
    const verdict = judge(sent.understood.result, attempts, delivery)
    if (verdict.kind === 'retry') return { state: { ...state, attempts }, waitMs: verdict.waitMs }
    if (verdict.kind === 'failed') return await this.#park(event, state.failure)
    this.#counts.deadLettered++
    return 'done'
  }

  /** Nobody takes it: it is kept with its reason until somebody decides. */
  async #park(event: LoggedEvent, failure: Failure): Promise<Next> {
    try {
      await this.#deps.park(event, failure)
    } catch {
      return { state: { phase: 'deadLetter', attempts: 0, failure }, waitMs: parkAgainMs }
    }
    this.#counts.deadLettered++
    this.#note(event, { kind: 'parked', url: failure.url })
    return 'parked'
  }

  async #send(
    event: LoggedEvent,
    phase: 'subscriber' | 'reply' | 'deadLetter',
    to: Destination,
    first: Message,
  ): Promise<{
    readonly understood: Understood
    readonly headers: Headers
    readonly failedBody: { readonly body?: Buffer }
  }> {
    const { clock, sender, decode, isInlet } = this.#deps
    const stored = decode(event)
    const type = textOf(stored.event.attributes['type'])
    const message = isInlet?.(to.url) ? withHop(first, stored.passed) : first
    const { timeoutMs } = this.#config.delivery
    const startMs = clock.monotonic()
    const noted = (result: AttemptResult) => {
      const tookMs = clock.monotonic() - startMs
      this.durations.note(type, result.status ?? 0, tookMs)
      this.#note(event, {
        kind: 'attempt',
        phase,
        url: to.url,
        tookMs,
        ...(result.status !== undefined && { status: result.status }),
        ...((result.error ?? result.unusable) !== undefined && {
          error: result.error ?? result.unusable ?? '',
        }),
      })
    }
    try {
      const answer = await sender.send(to, message, {
        signal: this.#stop.signal,
        ...(timeoutMs !== undefined && { timeoutMs }),
      })
      const understood =
        phase === 'subscriber'
          ? understand(answer, this.#config, clock.now())
          : understand({ ...answer, headers: [], body: empty }, lenient(this.#config), clock.now())
      noted(understood.result)
      return { understood, headers: answer.headers, failedBody: { body: answer.body } }
    } catch (error) {
      // A message that can't even be sent would come again and again: it is a failure like others.
      const result = { error: error instanceof Error ? error.message : 'unknown' }
      noted(result)
      return { understood: { result }, headers: [], failedBody: {} }
    }
  }

  #traceOf({ sequence }: LoggedEvent, { trace }: StoredEvent): Trace {
    const { channel, spans } = this.#deps
    const place = { channel, sequence }
    return traceOfDelivery(place, this.#config.uid, trace, spans?.sampled(place, trace))
  }

  #note(
    event: LoggedEvent,
    step: Omit<Step, 'channel' | 'sequence' | 'subscription' | 'atMs'>,
  ): void {
    const { journal, channel, clock, spans, traced } = this.#deps
    const { sequence } = event
    const atMs = clock.now()
    journal({ channel, sequence, subscription: this.#config.uid, atMs, ...step })
    if (spans?.on) traced?.(this.#config, event, { sequence, atMs, ...step })
  }

  /** What is under way gets `graceMs` to end; what does not end is handed out again next time. */
  async close(graceMs: number): Promise<void> {
    const { clock, subscription } = this.#deps
    this.#closing = true
    for (const cancel of this.#deferred.values()) cancel()
    this.#queue = []
    this.#queuedBytes = 0
    this.#ready = []
    if (this.#inFlight > 0 && graceMs > 0)
      await new Promise<void>((resolve) => {
        const cancel = clock.after(graceMs, resolve)
        this.#idle = () => {
          cancel()
          resolve()
        }
      })
    this.#stop.abort()
    await subscription[Symbol.asyncDispose]()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close(0)
  }
}

const empty = Buffer.alloc(0)

const sizeOf = (event: LoggedEvent | undefined): number => event?.payload.length ?? 0

/** What answers to replies and dead letters say besides their status is nobody's business. */
const lenient = (config: SubscriptionConfig): SubscriptionConfig => ({
  ...config,
  kind: 'Subscription',
})
