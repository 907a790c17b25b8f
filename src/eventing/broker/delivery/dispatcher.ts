/**
 * Brings a channel's events to one subscriber: to the subscriber, its answer to where answers go, and what fails for
 * good to the dead-letter sink. An event is settled when nothing is left to do for it, so that a crash at any point
 * means a second attempt and never a lost event.
 *
 * First attempts are made in order, the next when the one before has been answered, as senders that wait for their
 * answers expect; only a subscriber that falls behind gets several at a time (docs/decisions/020, "order of first
 * attempts"). Retries wait beside and overlap with newer events.
 */
import type { CloudEvent } from '../../cloudevents/cloud-event.ts'
import { textOf } from '../../cloudevents/cloud-event.ts'
import type { EventLog, LoggedEvent, Subscription } from '../../log/event-log.ts'
import type { SubscriptionConfig, SubscriptionStats } from '../feed.ts'
import type { Durations } from '../following/durations.ts'
import type { StoredEvent } from '../stored-event.ts'
import { compileFilter, type Filter } from './filters.ts'
import { EventMemory, type MemoryHolder } from './memory.ts'
import { longestWait } from './retry.ts'
import { parkAgainMs, Steps, type State, type StepsDeps } from './steps.ts'

export interface DispatcherDeps extends StepsDeps {
  readonly log: EventLog
  readonly subscription: Subscription
  /** Shared with the others; default: of its own. */
  readonly memory?: EventMemory
  /** Events can't be read at the moment; they are tried again. */
  readonly onUnreadable?: (error: unknown) => void
}

interface Task {
  readonly sequence: number
  /** Absent = it waited, and is read again: they may be many and large, and wait for hours. */
  readonly event?: LoggedEvent
  readonly state: State
  /** Of its order; undefined where order is not asked for. */
  readonly key: string | undefined
}

/** Read ahead and filtered, to be sent. */
const queueLength = 256
/** Of what is read ahead, and of what is under way, beyond which no more is begun. */
const maxQueuedBytes = 16 << 20
const maxInFlightBytes = 64 << 20
/** Waiting to be tried again, or for one that does; more are not begun. */
const maxDeferred = 10_000
/** Behind by more than this, several first attempts are made at a time. */
const smallBacklog = 8
const defaultParallelism = 100

export class Dispatcher implements AsyncDisposable {
  readonly #deps: DispatcherDeps
  #config: SubscriptionConfig
  /** Undefined = it can't be read; events wait, as for a subscriber that does not resolve. */
  #filter: Filter | undefined
  /** Why the filter can't be read, if so. */
  problem: string | undefined
  /** Why events can't be read at the moment. */
  unreadable: string | undefined
  /** The last event that was filtered, and the last that was so by a filter of before. */
  #filtered = 0
  #filteredBefore = 0
  #queue: Task[] = []
  /** Due again. */
  #ready: Task[] = []
  /** Read ahead too; somebody waits for them. */
  #awaited: Task[] = []
  /** Ends the wait of each deferred event. */
  readonly #deferred = new Map<number, () => void>()
  /** How the events that were deferred before a restart stand. */
  readonly #before: Map<number, { readonly attempts: number; readonly notBeforeMs: number }>
  /** Keys of order that have an event on its way, and those that wait until it is settled. */
  readonly #lines = new Map<string, Task[]>()
  /** In all lines together. */
  #inLine = 0
  #queuedBytes = 0
  readonly #memory: MemoryHolder
  #inFlight = 0
  #inFlightBytes = 0
  /** Of those, what somebody waits for: it does not hold up the others. */
  #awaitedInFlight = 0
  #taking = false
  readonly #stop = new AbortController()
  #closing = false
  #idle: (() => void) | undefined
  readonly #steps: Steps
  /** Filtered out. */
  #refused = 0

  constructor(deps: DispatcherDeps, config: SubscriptionConfig) {
    this.#deps = deps
    this.#config = config
    this.#memory = (deps.memory ?? new EventMemory()).holder()
    this.#steps = new Steps(deps, config, this.#stop.signal)
    this.#readFilter()
    this.#before = new Map(deps.subscription.deferred.map((each) => [each.sequence, each]))
    this.#pump()
  }

  get config(): SubscriptionConfig {
    return this.#config
  }

  get durations(): Durations {
    return this.#steps.durations
  }

  /** What events that wait for it keep on disk. */
  get heldBytes(): number {
    return this.#deps.subscription.heldBytes
  }

  /** The first event it is not done with. */
  get floor(): number {
    return this.#deps.subscription.floor
  }

  get waits(): Durations {
    return this.#steps.waits
  }

  get stats(): SubscriptionStats {
    const { backlog } = this.#deps.subscription
    return {
      uid: this.#config.uid,
      refused: this.#refused,
      ...this.#steps.counts,
      backlog,
      deferred: this.#deferred.size,
    }
  }

  /** What is not begun yet goes by the new configuration. */
  update(config: SubscriptionConfig): void {
    const sameFilter = JSON.stringify(config.filter) === JSON.stringify(this.#config.filter)
    this.#config = config
    this.#steps.config = config
    if (!sameFilter) {
      this.#readFilter()
      this.#filteredBefore = this.#filtered
    }
    this.#pump()
  }

  #readFilter(): void {
    try {
      this.#filter = compileFilter(this.#config.filter ?? {})
      this.problem = undefined
    } catch (error) {
      this.#filter = undefined
      const reason = error instanceof Error ? error.message : 'unknown'
      this.problem = `the filter can not be read, so that events wait: ${reason}`
    }
  }

  /** Why the event does not concern this subscription, if so. */
  refusal(event: CloudEvent) {
    return this.#filter?.(event)
  }

  isSettled(sequence: number): boolean {
    return this.#deps.subscription.isSettled(sequence)
  }

  #pump(): void {
    if (this.#closing || !this.#config.subscriber || !this.#filter) return
    const most = this.#config.parallelism ?? defaultParallelism
    while (this.#awaitedInFlight < most) {
      const task = this.#awaited.shift()
      if (!task) break
      this.#queued(-sizeOf(task.event))
      this.#awaitedInFlight++
      void this.#run(task, 'awaited').finally(() => {
        this.#awaitedInFlight--
        this.#pump()
      })
    }
    const slots = this.#slots()
    while (
      this.#inFlight - this.#awaitedInFlight < slots &&
      this.#inFlightBytes < maxInFlightBytes &&
      (this.#inFlight === 0 || this.#memory.hasRoom())
    ) {
      const task = this.#nextTask()
      if (!task) break
      void this.#run(task)
    }
    const room =
      this.#queue.length + this.#awaited.length < queueLength / 2 &&
      this.#queuedBytes < maxQueuedBytes &&
      (this.#queuedBytes === 0 || this.#memory.hasRoom()) &&
      this.#deferred.size + this.#inLine < maxDeferred
    if (!this.#taking && room) void this.#take()
  }

  /** So much more is read ahead. */
  #queued(bytes: number): void {
    this.#queuedBytes += bytes
    this.#memory.hold(bytes)
  }

  #slots(): number {
    const most = this.#config.parallelism ?? defaultParallelism
    if (this.#config.order === 'ordered') return most
    const behind = this.#deps.subscription.backlog - this.#deferred.size - this.#inFlight
    return behind <= smallBacklog ? 1 : Math.min(most, Math.ceil(behind / 4))
  }

  #nextTask(): Task | undefined {
    const task = this.#ready.shift() ?? this.#queue.shift()
    this.#queued(-sizeOf(task?.event))
    return task
  }

  async #take(): Promise<void> {
    this.#taking = true
    try {
      const events = await this.#deps.subscription.take(queueLength, this.#stop.signal)
      this.unreadable = undefined
      for (const event of events) this.#enqueue(event)
    } catch (error) {
      this.#unreadable(error)
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
    this.#filtered = event.sequence
    if (!stored || this.#filter?.(stored.event)) {
      this.#refused++
      this.#deps.subscription.settle(event.sequence)
      return
    }
    const key =
      this.#config.order === 'ordered' ? textOf(stored.event.attributes['partitionkey']) : undefined
    const before = this.#before.get(event.sequence)
    this.#before.delete(event.sequence)
    const state: State = { phase: 'subscriber', attempts: before?.attempts ?? 0 }
    if (key !== undefined && this.#stoodInLine(key, event, state)) return
    const waitMs = Math.min(
      (before?.notBeforeMs ?? 0) - this.#deps.clock.now(),
      // Whatever the clock of the machine was when that was noted.
      longestWait(state.attempts, this.#config.delivery),
    )
    const task = { sequence: event.sequence, event, state, key }
    if (before && waitMs > 0) this.#defer(task, waitMs)
    else {
      const list = this.#isAwaited(stored) ? this.#awaited : this.#queue
      list.push(task)
      this.#queued(sizeOf(event))
    }
  }

  /** False = the key was free, and is not any more. */
  #stoodInLine(key: string, event: LoggedEvent, state: State): boolean {
    const line = this.#lines.get(key)
    if (!line) {
      this.#lines.set(key, [])
      return false
    }
    const { sequence } = event
    // A few are kept, the others are read again: a key that is stuck may have thousands, and hold up no other.
    const bytes = sizeOf(event)
    const isKept = this.#inLine < queueLength && this.#queuedBytes + bytes < maxQueuedBytes / 2
    line.push({ sequence, state, key, ...(isKept && { event }) })
    this.#inLine++
    if (isKept) this.#queued(bytes)
    return true
  }

  /** The next of its key goes. */
  #release(key: string | undefined): void {
    if (key === undefined) return
    const next = this.#lines.get(key)?.shift()
    if (!next) {
      this.#lines.delete(key)
      return
    }
    this.#inLine--
    this.#ready.push(next)
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

  async #run(task: Task, awaited?: 'awaited'): Promise<void> {
    const { sequence, key } = task
    this.#inFlight++
    let { event, state } = task
    let bytes = 0
    try {
      event ??= await this.#readAgain(sequence)
      if (!event) {
        // Damage took it meanwhile: there is nothing left to do.
        this.#deps.subscription.settle(sequence)
        this.#release(key)
        return
      }
      bytes = sizeOf(event)
      this.#inFlightBytes += bytes
      this.#memory.hold(bytes)
      if (this.#isRefusedNow(event, state)) {
        this.#refused++
        this.#deps.subscription.settle(sequence)
        this.#release(key)
        return
      }
      for (;;) {
        const next = await this.#steps.take(event, state)
        if (this.#stop.signal.aborted) return
        if (next === 'done' || next === 'parked') {
          if (next === 'done') this.#steps.note(event, { kind: 'done' })
          this.#deps.subscription.settle(event.sequence)
          this.#release(key)
          return
        }
        state = next.state
        // A subscriber that is called again gives the others a turn, unless somebody waits for this one.
        if (next.waitMs === 0 && (awaited || state.phase !== 'subscriber')) continue
        if (next.waitMs > 0)
          this.#steps.note(event, { kind: 'waits', nextMs: this.#deps.clock.now() + next.waitMs })
        this.#defer({ sequence, state, key }, next.waitMs)
        return
      }
    } catch (error) {
      this.#unreadable(error)
      if (!this.#closing) this.#wait({ sequence, state, key }, parkAgainMs)
    } finally {
      this.#inFlight--
      this.#inFlightBytes -= bytes
      this.#memory.hold(-bytes)
      if (this.#inFlight === 0) this.#idle?.()
      this.#pump()
    }
  }

  /** The filter was changed after the event was read ahead. */
  #isRefusedNow(event: LoggedEvent, { phase, attempts }: State): boolean {
    if (event.sequence > this.#filteredBefore || phase !== 'subscriber' || attempts > 0)
      return false
    const stored = this.#decoded(event)
    return stored !== undefined && this.#filter?.(stored.event) !== undefined
  }

  #defer({ sequence, state, key }: Task, waitMs: number): void {
    const { clock, subscription } = this.#deps
    const notBeforeMs = clock.now() + waitMs
    if (state.phase === 'subscriber')
      subscription.defer({ sequence, attempts: state.attempts, notBeforeMs })
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
    for await (const event of this.#deps.log.read({ from: sequence, to: sequence })) {
      this.unreadable = undefined
      return event
    }
    return undefined
  }

  #unreadable(error: unknown): void {
    this.unreadable = error instanceof Error ? error.message : 'unknown'
    this.#deps.onUnreadable?.(error)
  }

  /** What is under way gets `graceMs` to end; what does not end is handed out again next time. */
  async close(graceMs: number): Promise<void> {
    const { clock, subscription } = this.#deps
    this.#closing = true
    for (const cancel of this.#deferred.values()) cancel()
    this.#queue = []
    this.#awaited = []
    this.#queued(-this.#queuedBytes)
    this.#memory.close()
    this.#ready = []
    this.#lines.clear()
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

const sizeOf = (event: LoggedEvent | undefined): number => event?.payload.length ?? 0
