/** `ebb event list`: the last events of Brokers and Channels. */
import { systemClock } from '../../lib/clock.ts'
import type { SeenEvent } from '../../eventing/broker/following/selection.ts'
import type { Inlet } from './api.ts'
import { countOf, selectionOf } from './selection.ts'
import {
  channelOf,
  documentPrinter,
  linesOf,
  lookedAt,
  noMore,
  placeOf,
  type Session,
} from './session.ts'
import { eventColumns, eventRow, idOf, plain, tableText } from './text.ts'

export async function list(session: Session, rest: readonly string[]): Promise<number> {
  noMore(rest)
  const { args, out } = session
  const last = countOf(args, 'limit', 20)
  const selection = { ...selectionOf(args, systemClock.now()), last }
  const all: { readonly inlet: Inlet; readonly found: SeenEvent }[] = []
  const inlets = await lookedAt(session)
  for await (const each of linesOf<SeenEvent>(session, inlets, 'events', selection)) all.push(each)
  all.sort((a, b) => a.found.atMs - b.found.atMs)
  const shown = all.slice(-last)
  const print = await documentPrinter(session)
  if (print)
    for (const { inlet, found } of shown)
      print({ ...found, channel: channelOf(inlet) }, plain(idOf(found)))
  else if (shown.length === 0) out.note(`No events found ${whereText(session)}.`)
  else {
    const rows = shown.map(({ inlet, found }) => eventRow(found, placeOf(session, inlet)))
    for (const line of tableText([eventColumns, ...rows])) out.print(line)
  }
  return 0
}

function whereText({ args, namespace }: Session): string {
  if (args.boolean('all-namespaces')) return 'that these flags mean'
  return `in namespace ${namespace} that these flags mean; -A looks at all namespaces`
}
