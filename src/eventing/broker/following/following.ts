/**
 * Looking back: which events went through a channel, what became of each, and sending them again. What is asked for is
 * read from the log and the journal; nothing here is on an event's way.
 */
import { sleep, type Clock } from '../../../lib/clock.ts'
import { textOf } from '../../cloudevents/cloud-event.ts'
import { formatJsonEvent } from '../../cloudevents/json-format.ts'
import type { LoggedEvent } from '../../log/event-log.ts'
import type { Channel } from '../channel.ts'
import type { DeadLetter } from '../delivery/dead-letters.ts'
import { complaintOf, toSubscriber } from '../delivery/delivery.ts'
import type { Destination, SubscriptionConfig } from '../feed.ts'
import { compileFilter, type Filtering, type Refusal } from '../delivery/filters.ts'
import type { Journal, Step } from './journal.ts'
import { SendError, type Sender } from '../delivery/sender.ts'
import { bytesOfId, type StoredEvent } from '../stored-event.ts'
import { parentOf, spanOf, traceIdOf } from '../trace.ts'

/** Which events of a channel are meant; all that hold. */
export interface Selection {
  readonly fromSequence?: number
  readonly toSequence?: number
  /** Appended at or after, before or at; milliseconds since the epoch. */
  readonly sinceMs?: number
  readonly untilMs?: number
  readonly id?: string
  /** How its id begins. */
  readonly idPrefix?: string
  /** Of the trace it belongs to, 32 hexadecimal digits. */
  readonly traceId?: string
  readonly filter?: Filtering
  /** The first so many. */
  readonly limit?: number
  /** The last so many, `maxLast` at most. */
  readonly last?: number
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
  /** Of its deliveries: events that came of them have it as `parent`. */
  readonly span: string
  /** Where it goes; absent while that does not resolve. */
  readonly subscriber?: string
  /**
   * `refused`: its filter did not want it; `before`: it came before the subscription was there; `waiting`: not begun;
   * `trying`: not done with; `done`; `parked`: a dead letter; `discarded`: one that was let go.
   */
  readonly state: 'refused' | 'before' | 'waiting' | 'trying' | 'done' | 'parked' | 'discarded'
  /** The subscription is not there any more: this is what was noted of it, and its name is unknown. */
  readonly gone?: true
  /** The term of the filter that was false, by the filter as it is now. */
  readonly refusal?: Refusal
  readonly steps: readonly Step[]
}

export interface Way extends SeenEvent {
  readonly channel: {
    readonly uid: string
    readonly kind: string
    readonly namespace: string
    readonly name: string
  }
  /** The trace it belongs to, and the span that it came of. */
  readonly trace: { readonly id: string; readonly parent?: string }
  readonly fates: readonly Fate[]
}

/** An event, and what it is. */
export interface Found {
  readonly logged: LoggedEvent
  readonly stored: StoredEvent
}

/** Events that are selected, the oldest first. */
export async function* select(channel: Channel, selection: Selection): AsyncGenerator<Found> {
  const { last, ...rest } = selection
  if (last !== undefined) return yield* selectLast(channel, rest, last)
  const { fromSequence, toSequence, sinceMs, untilMs, id, idPrefix, traceId, filter } = selection
  const { limit = Infinity } = selection
  const refuses = compileFilter(filter ?? {})
  const idBytes = id === undefined ? undefined : bytesOfId(id)
  const { uid } = channel.config
  let found = 0
  if (limit <= 0) return
  for await (const logged of placesOf(channel, { fromSequence, toSequence, sinceMs, id })) {
    if (sinceMs !== undefined && logged.timeMs < sinceMs) continue
    if (untilMs !== undefined && logged.timeMs > untilMs) continue
    // Much cheaper than reading what the event says, as most are others.
    if (idBytes && bytesOf(logged).indexOf(idBytes) < 0) continue
    const stored = decoded(channel, logged)
    if (!stored) continue
    const ownId = textOf(stored.event.attributes['id'])
    if (id !== undefined && ownId !== id) continue
    if (idPrefix !== undefined && !ownId.startsWith(idPrefix)) continue
    if (
      traceId !== undefined &&
      traceIdOf({ channel: uid, sequence: logged.sequence }, stored.trace) !== traceId
    )
      continue
    if (refuses(stored.event)) continue
    yield { logged, stored }
    if (++found >= limit) return
  }
}

/** Undefined = it is none of ours: damage that a checksum did not see. It may not hide all others. */
function decoded(channel: Channel, logged: LoggedEvent): StoredEvent | undefined {
  try {
    return channel.decode(logged)
  } catch {
    return undefined
  }
}

const bytesOf = ({ payload }: LoggedEvent): Buffer =>
  Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)

interface Places {
  readonly fromSequence: number | undefined
  readonly toSequence: number | undefined
  readonly sinceMs: number | undefined
  readonly id: string | undefined
}

/** Where selected events can be: of an id, where it was seen in this run, and all that is older. */
async function* placesOf(
  { events, ids }: Channel,
  { fromSequence, toSequence, sinceMs, id }: Places,
): AsyncGenerator<LoggedEvent> {
  const from = fromSequence ?? 1
  const to = Math.min(toSequence ?? Infinity, events.newest)
  const more = sinceMs === undefined ? {} : { sinceMs }
  if (id === undefined) return yield* events.read({ from, to, ...more })
  const known = { first: ids.first, last: ids.last, places: ids.find(id) }
  yield* events.read({ from, to: Math.min(to, known.first - 1), ...more })
  for (const sequence of known.places)
    if (sequence >= from && sequence <= to) yield* events.read({ from: sequence, to: sequence })
  yield* events.read({ from: Math.max(from, known.last + 1), to, ...more })
}

/** Their places are held while they are looked for. */
export const maxLast = 1_000_000

/** Looked at first for the last of many, and twice as many each time after. */
const firstWindow = 256

async function* selectLast(
  channel: Channel,
  selection: Selection,
  last: number,
): AsyncGenerator<Found> {
  const oldest = Math.max(selection.fromSequence ?? 1, channel.events.oldest)
  let to = Math.min(selection.toSequence ?? Infinity, channel.events.newest)
  // Places alone: events may be large, and many are asked for.
  let found: number[] = []
  for (let window = firstWindow; found.length < last && to >= oldest; window *= 2) {
    const from = Math.max(to - window + 1, oldest)
    const here: number[] = []
    const range = { ...selection, fromSequence: from, toSequence: to }
    for await (const { logged } of select(channel, range)) here.push(logged.sequence)
    found = [...here, ...found].slice(-last)
    to = from - 1
  }
  for (const sequence of found)
    yield* select(channel, { fromSequence: sequence, toSequence: sequence })
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
  const place = { channel: channel.config.uid, sequence: logged.sequence }
  const fates = channel.dispatchers.map((dispatcher): Fate => {
    const { uid, namespace, name, subscriber, createdMs } = dispatcher.config
    const own = steps.filter(({ subscription }) => subscription === uid)
    const refusal = dispatcher.refusal(stored.event)
    const untouched = () => {
      if (createdMs !== undefined && logged.timeMs < createdMs) return 'before'
      if (refusal) return 'refused'
      return dispatcher.isSettled(logged.sequence) ? 'done' : 'waiting'
    }
    return {
      uid,
      namespace,
      name,
      span: spanOf(place, uid),
      ...(subscriber && { subscriber: subscriber.url }),
      state: stateAfter(own) ?? untouched(),
      ...(refusal && { refusal }),
      steps: own,
    }
  })
  const known = new Set(fates.map(({ uid }) => uid))
  for (const [uid, own] of Map.groupBy(steps, ({ subscription }) => subscription))
    if (!known.has(uid))
      fates.push({
        uid,
        namespace,
        ...(uid === replayUid ? { name: 'replay' } : { name: '', gone: true }),
        span: spanOf(place, uid),
        state: stateAfter(own) ?? 'done',
        steps: own,
      })
  const parent = parentOf(stored.trace)
  return {
    ...seen(logged, stored),
    channel: { uid: channel.config.uid, kind, namespace, name },
    trace: {
      id: traceIdOf(place, stored.trace),
      ...(parent !== undefined && { parent }),
    },
    fates,
  }
}

/** By what was noted last of its own deliveries; undefined = there was none. */
function stateAfter(steps: readonly Step[]): Fate['state'] | undefined {
  const last = steps.findLast(({ phase }) => phase !== 'replay')
  if (!last) return undefined
  const { kind } = last
  return kind === 'done' || kind === 'parked' || kind === 'discarded' ? kind : 'trying'
}

export interface ReplayResult {
  readonly selected: number
  readonly delivered: number
  readonly failures: readonly SendFailure[]
}

export interface SendFailure {
  readonly sequence: number
  /** Of the dead letter, if it is one. */
  readonly number?: number
  readonly reason: string
}

/** What sending again takes. */
export interface AgainDeps {
  readonly sender: Sender
  readonly clock: Clock
  readonly journal: Journal
  readonly dryRun: boolean
  readonly signal: AbortSignal
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
  deps: AgainDeps,
): Promise<ReplayResult> {
  const config = targetOf(channel, target)
  let selected = 0
  let delivered = 0
  const failures: SendFailure[] = []
  const underWay = new Set<Promise<void>>()
  const send = async (sequence: number, stored: StoredEvent) => {
    const reason = await deliver(channel, { sequence, stored }, config, deps)
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

/** Stands for whom a URL of a replay belongs to. */
const replayUid = 'replay'

function targetOf(
  channel: Channel,
  target: { readonly subscription: string } | { readonly url: Destination },
): SubscriptionConfig {
  const { namespace, kind } = channel.config
  if ('url' in target)
    return {
      uid: replayUid,
      kind: kind === 'Broker' ? 'Trigger' : 'Subscription',
      namespace,
      name: 'replay',
      subscriber: target.url,
      delivery: { retry: 0 },
    }
  return subscriptionOf(channel, target.subscription)
}

/** By uid or name. Throws RangeError with the names there are. */
export function subscriptionOf(
  { config, dispatchers }: Channel,
  named: string,
): SubscriptionConfig {
  const found = dispatchers.find(({ config: { uid, name } }) => uid === named || name === named)
  if (found) return found.config
  const noun = config.kind === 'Broker' ? 'Trigger' : 'Subscription'
  const names = dispatchers.map(({ config: { name } }) => name)
  const shown = [...names.slice(0, shownNames), ...(names.length > shownNames ? ['…'] : [])]
  throw new RangeError(
    `there is no ${noun} ${named} of ${config.kind} ${config.name}; ${shown.length > 0 ? `there are ${shown.join(', ')}` : 'there is none at all'}`,
  )
}

const shownNames = 10

/** Undefined = it was taken; else why not. */
async function deliver(
  channel: Channel,
  { sequence, stored }: { readonly sequence: number; readonly stored: StoredEvent },
  config: SubscriptionConfig,
  { sender, signal, clock, journal }: AgainDeps,
): Promise<string | undefined> {
  const { subscriber } = config
  if (!subscriber) return 'the subscriber does not resolve at the moment'
  const startMs = clock.monotonic()
  const note = (result: { readonly status?: number; readonly error?: string }) =>
    journal({
      channel: channel.config.uid,
      sequence,
      subscription: config.uid,
      atMs: clock.now(),
      kind: 'attempt',
      phase: 'replay',
      url: subscriber.url,
      tookMs: clock.monotonic() - startMs,
      ...result,
    })
  try {
    const { timeoutMs } = config.delivery
    const { status, body } = await sender.send(subscriber, toSubscriber(stored, config), {
      signal,
      ...(timeoutMs !== undefined && { timeoutMs }),
    })
    const complaint = status < 300 ? undefined : complaintOf(body)
    note({ status, ...(complaint !== undefined && { error: complaint }) })
    if (status >= 200 && status < 300) return undefined
    return `answered ${status}${complaint === undefined ? '' : ` ${JSON.stringify(complaint)}`}`
  } catch (error) {
    if (!(error instanceof SendError)) throw error
    note({ error: error.message })
    return error.message
  }
}

/** Sends dead letters again to whom they were meant for; those that are taken are dealt with. */
export async function redrive(
  channel: Channel,
  wanted: (letter: DeadLetter) => boolean,
  deps: AgainDeps,
): Promise<ReplayResult> {
  let selected = 0
  let delivered = 0
  const failures: SendFailure[] = []
  for await (const letter of channel.deadLetters.list()) {
    if (deps.signal.aborted) break
    if (!wanted(letter)) continue
    selected++
    if (deps.dryRun) continue
    const config = channel.dispatchers.find(
      ({ config }) => config.uid === letter.subscription,
    )?.config
    const reason = config
      ? await deliver(channel, letter, config, deps)
      : 'its Trigger or Subscription is gone: replay the event to another, or discard the dead letter'
    if (reason === undefined) {
      delivered++
      settleLetter(channel, letter, 'done', deps)
    } else if (failures.length < maxFailures) {
      const { sequence, number } = letter
      failures.push({ sequence, number, reason })
    }
  }
  return { selected, delivered, failures }
}

/** Lets dead letters go; answers how many. */
export async function discard(
  channel: Channel,
  wanted: (letter: DeadLetter) => boolean,
  deps: Pick<AgainDeps, 'clock' | 'journal'>,
): Promise<ReplayResult> {
  let selected = 0
  for await (const letter of channel.deadLetters.list()) {
    if (!wanted(letter)) continue
    selected++
    settleLetter(channel, letter, 'discarded', deps)
  }
  return { selected, delivered: 0, failures: [] }
}

function settleLetter(
  channel: Channel,
  { number, sequence, subscription }: DeadLetter,
  kind: 'done' | 'discarded',
  { clock, journal }: Pick<AgainDeps, 'clock' | 'journal'>,
): void {
  channel.deadLetters.settle(number)
  journal({ channel: channel.config.uid, sequence, subscription, atMs: clock.now(), kind })
}

export interface FollowDeps {
  readonly clock: Clock
  readonly signal: AbortSignal
  /** Whether the channel is still the one that is meant. Default: always. */
  readonly isThere?: () => boolean
}

/** Events as they come in, until `signal` aborts, the channel is gone, or no more can be meant. */
export async function* follow(
  channel: Channel,
  selection: Selection,
  { clock, signal, isThere = () => true }: FollowDeps,
): AsyncGenerator<Found> {
  const { limit = Infinity, toSequence = Infinity, untilMs = Infinity } = selection
  let next = selection.fromSequence ?? channel.events.newest + 1
  let found = 0
  while (!signal.aborted && isThere() && found < limit && next <= toSequence) {
    const isLast = clock.now() > untilMs
    const newest = Math.min(channel.events.newest, toSequence)
    const range = { ...selection, fromSequence: next, toSequence: newest, limit: limit - found }
    for await (const each of select(channel, range)) {
      if (signal.aborted) return
      found++
      yield each
    }
    if (isLast) return
    next = Math.max(next, newest + 1)
    if (found < limit && next <= toSequence) await sleep(clock, followEveryMs, signal)
  }
}

const followEveryMs = 100
