/**
 * `ebb event tail`: events as they come in. It goes on over restarts of the event engine and of the API server, with
 * Brokers and channels that are made meanwhile, and without those that are deleted.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { hasReason } from '../../kube/api/status-error.ts'
import { systemClock } from '../../lib/clock.ts'
import type { SeenEvent, Selection } from '../../eventing/broker/following/selection.ts'
import { ApiAway, Missing, OutOfOrder, Unreached, type Inlet } from './api.ts'
import { selectionOf } from './selection.ts'
import {
  channelOf,
  documentPrinter,
  inletsIn,
  kindOf,
  lookedAt,
  named,
  noMore,
  placeOf,
  type Session,
} from './session.ts'
import { eventColumns, eventRow, idOf, plain, tableText } from './text.ts'

/** Of a usual line, so that columns stand still while lines come one by one. */
const usualWidths = [23, 16, 36, 24, 24]
const shownNames = 5

/** How long it waits before it asks again. */
interface Pace {
  readonly reconnectMs: number
  /** Between looks for Brokers and channels that are new. */
  readonly lookMs: number
}

const usualPace: Pace = { reconnectMs: 500, lookMs: 2000 }

export async function tail(
  session: Session,
  rest: readonly string[],
  pace = usualPace,
): Promise<number> {
  noMore(rest)
  const { args, out } = session
  const selection = selectionOf(args, systemClock.now())
  const sinceMs = selection.sinceMs ?? systemClock.now()
  const first = await lookedAt(session)
  const show = await shower(session, first)
  const following = new Set<string>()
  const failed = Promise.withResolvers<never>()
  failed.promise.catch(() => {})
  const follow = (inlet: Inlet, from?: number) => {
    const key = JSON.stringify(inlet)
    if (following.has(key)) return
    following.add(key)
    const wanted = { ...selection, ...(from !== undefined && { sinceMs }) }
    followed(session, inlet, { selection: wanted, from, show, pace })
      .then(() => following.delete(key))
      .catch(failed.reject)
  }
  for (const inlet of first) follow(inlet, selection.sinceMs === undefined ? undefined : 1)
  const one = named(session)
  const namespace = args.boolean('all-namespaces') ? '' : session.namespace
  for (;;) {
    await Promise.race([sleep(pace.lookMs), failed.promise])
    const now = one ? first : await inletsIn(session, namespace).catch((): readonly Inlet[] => [])
    for (const inlet of now) {
      if (!one && !following.has(JSON.stringify(inlet)))
        out.note(`Events of ${placeOf(session, inlet)} are shown too, as it is new.`)
      follow(inlet, 1)
    }
  }
}

interface Shower {
  event(inlet: Inlet, found: SeenEvent): void
  /** Why there are none for the time being; told once until the next event. */
  away(why: string): void
}

async function shower(session: Session, inlets: readonly Inlet[]): Promise<Shower> {
  const { out } = session
  const print = await documentPrinter(session)
  if (!print) {
    const names = inlets.slice(0, shownNames).map((inlet) => placeOf(session, inlet))
    const more = inlets.length > shownNames ? ` and ${inlets.length - shownNames} more` : ''
    out.note(`Waiting for events of ${names.join(', ')}${more}; Ctrl-C ends this.`)
    for (const line of tableText([eventColumns], usualWidths)) out.print(line)
  }
  let told = ''
  return {
    event(inlet, found) {
      told = ''
      if (print) print({ ...found, channel: channelOf(inlet) }, plain(idOf(found)))
      else
        for (const line of tableText([eventRow(found, placeOf(session, inlet))], usualWidths))
          out.print(line)
    },
    away(why) {
      if (told !== why) out.note(why)
      told = why
    },
  }
}

interface Following {
  readonly selection: Selection
  readonly from: number | undefined
  readonly show: Shower
  readonly pace: Pace
}

/** Goes on where it was, from `from` on, as long as its Broker or channel is there. */
async function followed(
  session: Session,
  inlet: Inlet,
  { selection, from, show, pace }: Following,
): Promise<void> {
  const sinceMs = selection.sinceMs ?? systemClock.now()
  let next = from
  let uid = await uidOf(session, inlet)
  for (;;) {
    const wanted = next === undefined ? selection : { ...selection, sinceMs, fromSequence: next }
    try {
      for await (const found of session.api.lines<SeenEvent>(inlet, 'tail', wanted)) {
        show.event(inlet, found)
        next = found.sequence + 1
      }
    } catch (error) {
      if (error instanceof Missing)
        return show.away(
          `${placeOf(session, inlet)} is not there any more; its events are shown when it is made again.`,
        )
      const isAway = error instanceof OutOfOrder || (error instanceof ApiAway && next !== undefined)
      if (!isAway && !(error instanceof Unreached)) throw error
      if (isAway) show.away(`${error.message} This goes on when it is back.`)
    }
    next ??= 1
    await sleep(pace.reconnectMs)
    const now = await uidOf(session, inlet)
    // Made anew it has a log of its own, which begins with 1.
    if (now !== undefined && uid !== undefined && now !== uid) next = 1
    uid = now ?? uid
  }
}

/** Undefined = that is not known just now, or not to be known by this user. */
const uidOf = ({ client }: Session, inlet: Inlet): Promise<string | undefined> =>
  client.get(kindOf(inlet), inlet).then(
    ({ metadata }) => metadata.uid,
    (error: unknown) => (hasReason(error, 'NotFound') ? '' : undefined),
  )
