/**
 * What is to be done for one event of one subscription, a step at a time: call the subscriber, take its answer to where
 * answers go, bury what fails for good or keep it as a dead letter. Each step says what comes next, and when.
 */
import type { Clock } from '../../../lib/clock.ts'
import type { CloudEvent } from '../../cloudevents/cloud-event.ts'
import { textOf } from '../../cloudevents/cloud-event.ts'
import type { Headers, Message } from '../../cloudevents/http-binding.ts'
import type { LoggedEvent } from '../../log/event-log.ts'
import type { Destination, SubscriptionConfig } from '../feed.ts'
import type { Journal, Step } from '../following/journal.ts'
import { Durations } from '../following/durations.ts'
import type { EventSpans } from '../following/spans.ts'
import { withHop } from '../hops.ts'
import type { StoredEvent } from '../stored-event.ts'
import { traceHeaders, traceOfDelivery, type Trace } from '../trace.ts'
import {
  complaintOf,
  inheritTtl,
  toDeadLetter,
  toReply,
  toSubscriber,
  understand,
} from './delivery.ts'
import type { Failure, Understood } from './delivery.ts'
import { judge, type AttemptResult } from './retry.ts'
import type { Sender } from './sender.ts'

export interface StepsDeps {
  readonly clock: Clock
  readonly sender: Sender
  /** Uid of the Broker or Channel. */
  readonly channel: string
  readonly decode: (event: LoggedEvent) => StoredEvent
  /** Whether the engine itself takes the events that are sent there. Default: never. */
  readonly isInlet?: (url: string) => boolean
  /** URL of the Broker or Channel, for what is said of answers that it did not take. */
  readonly address: () => string
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
export type State =
  | { readonly phase: 'subscriber'; readonly attempts: number }
  | {
      readonly phase: 'reply'
      readonly attempts: number
      readonly reply: CloudEvent
      readonly answered: Headers
    }
  | { readonly phase: 'deadLetter'; readonly attempts: number; readonly failure: Failure }

/** What comes next: nothing, or another step after a while. */
export type Next = 'done' | 'parked' | { readonly state: State; readonly waitMs: number }

/** What can't be parked, on a full disk, is tried again so much later. */
export const parkAgainMs = 5_000

export class Steps {
  /** Attempts that begin go by it. */
  config: SubscriptionConfig
  readonly counts = { delivered: 0, retried: 0, deadLettered: 0 }
  readonly durations = new Durations()
  /** From when an event came in to its first attempt. */
  readonly waits = new Durations()
  readonly #deps: StepsDeps
  readonly #signal: AbortSignal

  /** `signal` ends what is under way. */
  constructor(deps: StepsDeps, config: SubscriptionConfig, signal: AbortSignal) {
    this.#deps = deps
    this.config = config
    this.#signal = signal
  }

  async take(event: LoggedEvent, state: State): Promise<Next> {
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
      const url = this.config.subscriber?.url ?? ''
      const result = { error: error instanceof Error ? error.message : 'unknown' }
      if (state.phase === 'deadLetter') return await this.#park(event, state.failure)
      return await this.#failed(event, { url, result })
    }
  }

  async #call(event: LoggedEvent, stored: StoredEvent, attempts: number): Promise<Next> {
    const { delivery, subscriber, reply: replyTo } = this.config
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
      toSubscriber(stored, this.config, traceHeaders(this.#traceOf(event, stored))),
    )
    const { result, reply } = sent.understood
    const verdict = judge(result, attempts, delivery)
    if (verdict.kind === 'retry') {
      this.counts.retried++
      return { state: { phase: 'subscriber', attempts }, waitMs: verdict.waitMs }
    }
    if (verdict.kind === 'failed')
      return await this.#failed(event, { url: subscriber.url, result, ...sent.failedBody })
    this.counts.delivered++
    if (!reply || replyTo === undefined) return 'done'
    const back = this.config.kind === 'Trigger' ? inheritTtl(reply, stored) : reply
    const state = { phase: 'reply', attempts: 0, reply: back, answered: sent.headers } as const
    return { state, waitMs: 0 }
  }

  async #answer(
    event: LoggedEvent,
    state: Extract<State, { phase: 'reply' }>,
    stored: StoredEvent,
  ): Promise<Next> {
    const { reply: to, delivery } = this.config
    if (to === undefined) return 'done'
    const attempts = state.attempts + 1
    const trace = this.#traceOf(event, stored)
    if (to === 'channel') {
      const result = await this.#deps.reenter(state.reply, state.answered, trace)
      const verdict = judge(result, attempts, delivery)
      if (verdict.kind === 'delivered') return 'done'
      if (verdict.kind === 'retry')
        return { state: { ...state, attempts }, waitMs: Math.max(verdict.waitMs, 1) }
      // Nothing was sent, so nothing was noted yet.
      this.note(event, { kind: 'attempt', phase: 'reply', url: this.#deps.address(), ...result })
      const body = result.error === undefined ? {} : { body: Buffer.from(result.error) }
      return await this.#failed(event, { url: this.#deps.address(), result, ...body })
    }
    const message = toReply(state.reply, state.answered, this.config, traceHeaders(trace))
    const sent = await this.#send(event, 'reply', to, message)
    const { result } = sent.understood
    const verdict = judge(result, attempts, delivery)
    if (verdict.kind === 'delivered') return 'done'
    if (verdict.kind === 'retry') return { state: { ...state, attempts }, waitMs: verdict.waitMs }
    return await this.#failed(event, { url: to.url, result, ...sent.failedBody })
  }

  async #failed(event: LoggedEvent, failure: Failure): Promise<Next> {
    if (this.config.deadLetter)
      return { state: { phase: 'deadLetter', attempts: 0, failure }, waitMs: 0 }
    return await this.#park(event, failure)
  }

  async #bury(
    event: LoggedEvent,
    state: Extract<State, { phase: 'deadLetter' }>,
    stored: StoredEvent,
  ): Promise<Next> {
    const { deadLetter, delivery } = this.config
    if (!deadLetter) return await this.#park(event, state.failure)
    const attempts = state.attempts + 1
    const trace = traceHeaders(this.#traceOf(event, stored))
    const message = toDeadLetter(stored, state.failure, this.config, trace)
    const sent = await this.#send(event, 'deadLetter', deadLetter, message)
    const verdict = judge(sent.understood.result, attempts, delivery)
    if (verdict.kind === 'retry') return { state: { ...state, attempts }, waitMs: verdict.waitMs }
    if (verdict.kind === 'failed') return await this.#park(event, state.failure)
    this.counts.deadLettered++
    return 'done'
  }

  /** Nobody takes it: it is kept with its reason until somebody decides. */
  async #park(event: LoggedEvent, failure: Failure): Promise<Next> {
    try {
      await this.#deps.park(event, failure)
    } catch {
      return { state: { phase: 'deadLetter', attempts: 0, failure }, waitMs: parkAgainMs }
    }
    this.counts.deadLettered++
    this.note(event, { kind: 'parked', url: failure.url })
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
    const { timeoutMs } = this.config.delivery
    const startMs = clock.monotonic()
    const noted = (result: AttemptResult, body: Buffer = empty) => {
      const tookMs = clock.monotonic() - startMs
      this.durations.note(type, result.status ?? 0, tookMs)
      const { error, unusable, status = 0 } = result
      const problem = error ?? unusable ?? (status >= 300 ? complaintOf(body) : undefined)
      this.note(event, {
        kind: 'attempt',
        phase,
        url: to.url,
        tookMs,
        ...(result.status !== undefined && { status: result.status }),
        ...(problem !== undefined && { error: problem }),
      })
    }
    try {
      const answer = await sender.send(to, message, {
        signal: this.#signal,
        tooLong: 'cut',
        ...(timeoutMs !== undefined && { timeoutMs }),
      })
      const understood =
        phase === 'subscriber'
          ? understand(answer, this.config, clock.now())
          : understand({ ...answer, headers: [], body: empty }, lenient(this.config), clock.now())
      noted(understood.result, answer.body)
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
    return traceOfDelivery(place, this.config.uid, trace, spans?.sampled(place, trace))
  }

  /** What was done goes to the journal, and becomes a span. */
  note(
    event: LoggedEvent,
    step: Omit<Step, 'channel' | 'sequence' | 'subscription' | 'atMs'>,
  ): void {
    const { journal, channel, clock, spans, traced } = this.#deps
    const { sequence } = event
    const atMs = clock.now()
    journal({ channel, sequence, subscription: this.config.uid, atMs, ...step })
    if (spans?.on) traced?.(this.config, event, { sequence, atMs, ...step })
  }
}

const empty = Buffer.alloc(0)

/** What answers to replies and dead letters say besides their status is nobody's business. */
const lenient = (config: SubscriptionConfig): SubscriptionConfig => ({
  ...config,
  kind: 'Subscription',
})
