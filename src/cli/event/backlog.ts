/** `ebb event backlog`: who is behind, by how much and since when, and how full each log is. */
import type { Backlog } from '../../eventing/broker/following/backlog.ts'
import {
  channelOf,
  documentPrinter,
  linesOf,
  lookedAt,
  noMore,
  placeOf,
  type Session,
} from './session.ts'
import { backlogColumns, backlogRows, tableText } from './text.ts'

export async function backlog(session: Session, rest: readonly string[]): Promise<number> {
  noMore(rest)
  const { out } = session
  const print = await documentPrinter(session)
  const rows: (readonly string[])[] = []
  let isAnyBehind = false
  const inlets = await lookedAt(session)
  for await (const { inlet, found } of linesOf<Backlog>(session, inlets, 'backlog')) {
    isAnyBehind ||= found.subscriptions.some((each) => each.backlog > 0)
    if (print) print({ channel: channelOf(inlet), ...found }, inlet.name)
    else rows.push(...backlogRows(found, placeOf(session, inlet)))
  }
  if (print) return 0
  for (const line of tableText([backlogColumns, ...rows])) out.print(line)
  out.note(
    isAnyBehind
      ? '`ebb event trace ID` shows how attempts ended; a log that is full refuses events with 503.'
      : 'Nobody is behind.',
  )
  return 0
}
