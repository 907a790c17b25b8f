/**
 * Looking back: which events went through a channel, what became of each, and sending them again. What is asked for is
 * read from the log and the journal; nothing here is on an event's way.
 */
import { sleep, type Clock } from '../../lib/clock.ts'
import { textOf } from '../cloudevents/cloud-event.ts'
import { formatJsonEvent } from '../cloudevents/json-format.ts'
import type { LoggedEvent } from '../log/event-log.ts'
import type { Channel } from './channel.ts'
import type { DeadLetter } from './dead-letters.ts'
import { toSubscriber } from './delivery.ts'
import type { Destination, SubscriptionConfig } from './feed.ts'
import { compileFilter, type Filtering, type Refusal } from './filters.ts'
import type { Step } from './journal.ts'
import { SendError, type Sender } from './sender.ts'
import type { StoredEvent } from './stored-event.ts'

/** Which events of a channel are meant; all that hold. */
export interface Selection {
  readonly fromSequence?: number
  readonly toSequence?: number
  /** Appended at or after, before or at; milliseconds since the epoch. */
  readonly sinceMs?: number
  readonly untilMs?: number
  readonly id?: string
  readonly filter?: Filtering
  /** The first so many. */
  readonly limit?: number
}

/** An event as it is shown. */
export interface SeenEvent {
  readonly sequence: number
  readonly atMs: number
  /** In the JSON format of CloudEvents. */
  readonly event: unknown
}

/** What became of an event at one subscription. */
export interface Fate {
  readonly uid: string
  readonly namespace: string
  readonly name: string
  /** `refused`: its filter did not want it; `waiting`: not begun; `trying`: not done with; `done`; `parked`. */
  readonly state: 'refused' | 'waiting' | 'trying' | 'done' | 'parked'
  /** The term of the filter that was false, by the filter as it is now. */
  readonly refusal?: Refusal
  readonly steps: readonly Step[]
}

export interface Way extends SeenEvent {
  readonly channel: { readonly kind: string; readonly namespace: string; readonly name: string }
  readonly fates: readonly Fate[]
}

/** Events that are selected, the oldest first. */
export async function* select(
  channel: Channel,
  selection: Selection,
): AsyncGenerator<{ readonly logged: LoggedEvent; readonly stored: StoredEvent }> {
  const { fromSequence, toSequence, sinceMs, untilMs, id, filter, limit = Infinity } = selection
  const refuses = compileFilter(filter ?? {})
  const range = {
    ...(fromSequence !== undefined && { from: fromSequence }),
    ...(toSequence !== undefined && { to: toSequence }),
  }
  let found = 0
  if (limit <= 0) return
  for await (const logged of channel.events.read(range)) {
    if (sinceMs !== undefined && logged.timeMs < sinceMs) continue
    if (untilMs !== undefined && logged.timeMs > untilMs) continue
    const stored = channel.decode(logged)
    if (id !== undefined && textOf(stored.event.attributes['id']) !== id) continue
    if (refuses(stored.event)) continue
    yield { logged, stored }
    if (++found >= limit) return
  }
}

export const seen = (logged: LoggedEvent, { event }: StoredEvent): SeenEvent => ({
  sequence: logged.sequence,
  atMs: logged.timeMs,
  event: JSON.parse(formatJsonEvent(event).toString('utf8')) as unknown,
})

/** What became of one event; `steps` are those of its channel and sequence. */
export function wayOf(
  channel: Channel,
  logged: LoggedEvent,
  stored: StoredEvent,
  steps: readonly Step[],
): Way {
  const { kind, namespace, name } = channel.config
  const fates = channel.dispatchers.map((dispatcher): Fate => {
    const { uid, namespace, name } = dispatcher.config
    const own = steps.filter(({ subscription }) => subscription === uid)
    const refusal = dispatcher.refusal(stored.event)
    const settled = dispatcher.isSettled(logged.sequence)
    const last = own.at(-1)
    const state =
      last?.kind === 'done' || last?.kind === 'parked'
        ? last.kind
        : own.length > 0
          ? 'trying'
          : refusal
            ? 'refused'
            : settled
              ? 'done'
              : 'waiting'
    return { uid, namespace, name, state, ...(refusal && { refusal }), steps: own }
  })
  return { ...seen(logged, stored), channel: { kind, namespace, name }, fates }
}

export interface ReplayResult {
  readonly selected: number
  readonly delivered: number
  readonly failures: readonly { readonly sequence: number; readonly reason: string }[]
}

/** Failures that are told one by one. */
const maxFailures = 100
/** Under way at a time. */
const replayParallelism = 8

/**
 * Sends selected events again, to the subscriber of a subscription as a delivery would, or to a URL; answers are not
 * taken. With `dryRun` it only counts.
 */
export async function replay(
  channel: Channel,
  selection: Selection,
  target: { readonly subscription: string } | { readonly url: Destination },
  deps: { readonly sender: Sender; readonly dryRun: boolean; readonly signal: AbortSignal },
): Promise<ReplayResult> {
  const config = targetOf(channel, target)
  let selected = 0
  let delivered = 0
  const failures: { sequence: number; reason: string }[] = []
  const underWay = new Set<Promise<void>>()
  const send = async (sequence: number, stored: StoredEvent) => {
    const reason = await deliver(stored, config, deps)
    if (reason === undefined) delivered++
    else if (failures.length < maxFailures) failures.push({ sequence, reason })
  }
  for await (const { logged, stored } of select(channel, selection)) {
    if (deps.signal.aborted) break
    selected++
    if (deps.dryRun) continue
    const sending: Promise<void> = send(logged.sequence, stored).finally(() =>
      underWay.delete(sending),
    )
    underWay.add(sending)
    if (underWay.size >= replayParallelism) await Promise.race(underWay)
  }
  await Promise.all(underWay)
  return { selected, delivered, failures }
}

function targetOf(
  channel: Channel,
  target: { readonly subscription: string } | { readonly url: Destination },
): SubscriptionConfig {
  const { namespace, kind } = channel.config
  if ('url' in target)
    return {
      uid: 'replay',
      kind: kind === 'Broker' ? 'Trigger' : 'Subscription',
      namespace,
      name: 'replay',
      subscriber: target.url,
      delivery: { retry: 0 },
    }
  const found = channel.dispatchers.find(({ config }) => config.uid === target.subscription)
  if (!found) throw new RangeError(`there is no subscription ${target.subscription} here`)
  return found.config
}

/** Undefined = it was taken; else why not. */
async function deliver(
  stored: StoredEvent,
  config: SubscriptionConfig,
  { sender, signal }: { readonly sender: Sender; readonly signal: AbortSignal },
): Promise<string | undefined> {
  if (!config.subscriber) return 'the subscriber does not resolve at the moment'
  try {
    const { timeoutMs } = config.delivery
    const { status } = await sender.send(config.subscriber, toSubscriber(stored, config), {
      signal,
      ...(timeoutMs !== undefined && { timeoutMs }),
    })
    return status >= 200 && status < 300 ? undefined : `answered ${status}`
  } catch (error) {
    if (error instanceof SendError) return error.message
    throw error
  }
}

/** Sends dead letters again to whom they were meant for; those that are taken are dealt with. */
export async function redrive(
  channel: Channel,
  wanted: (letter: DeadLetter) => boolean,
  deps: { readonly sender: Sender; readonly dryRun: boolean; readonly signal: AbortSignal },
): Promise<ReplayResult> {
  let selected = 0
  let delivered = 0
  const failures: { sequence: number; reason: string }[] = []
  for await (const letter of channel.deadLetters.list()) {
    if (deps.signal.aborted) break
    if (!wanted(letter)) continue
    selected++
    if (deps.dryRun) continue
    const config = channel.dispatchers.find(
      ({ config }) => config.uid === letter.subscription,
    )?.config
    const reason = config
      ? await deliver(letter.stored, config, deps)
      : 'its subscription is gone: name another target, or let it go'
    if (reason === undefined) {
      delivered++
      channel.deadLetters.settle(letter.number)
    } else if (failures.length < maxFailures) failures.push({ sequence: letter.sequence, reason })
  }
  return { selected, delivered, failures }
}

/** Events as they come in, until `signal` aborts. */
export async function* follow(
  channel: Channel,
  selection: Selection,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): AsyncGenerator<{ readonly logged: LoggedEvent; readonly stored: StoredEvent }> {
  let next = selection.fromSequence ?? channel.events.newest + 1
  while (!signal.aborted) {
    const { newest } = channel.events
    const range = { ...selection, fromSequence: next, toSequence: newest }
    for await (const each of select(channel, range)) {
      if (signal.aborted) return
      yield each
    }
    next = Math.max(next, newest + 1)
    await sleep(clock, followEveryMs, signal)
  }
}

const followEveryMs = 100
