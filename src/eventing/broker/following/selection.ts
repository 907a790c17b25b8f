/**
 * Which events of a channel are meant, and these events: those that lie in its log, or those that come in from now on.
 * Nothing here is on an event's way.
 */
import { sleep, type Clock } from '../../../lib/clock.ts'
import { textOf } from '../../cloudevents/cloud-event.ts'
import { formatJsonEvent } from '../../cloudevents/json-format.ts'
import type { LoggedEvent } from '../../log/event-log.ts'
import type { Channel } from '../channel.ts'
import { compileFilter, type Filtering } from '../delivery/filters.ts'
import { bytesOfId, type StoredEvent } from '../stored-event.ts'
import { traceIdOf } from '../trace.ts'

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
