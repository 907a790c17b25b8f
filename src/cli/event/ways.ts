/** `ebb event show | trace`: the way of an event, and of all that came of it. */
import { systemClock } from '../../lib/clock.ts'
import { conditionOf } from '../../knative/conditions.ts'
import { brokerNamespaceOf, brokerOf, Trigger } from '../../eventing/api/eventing/trigger.ts'
import { Subscription } from '../../eventing/api/messaging/subscription.ts'
import type { SeenEvent, Selection } from '../../eventing/broker/following/selection.ts'
import type { Way } from '../../eventing/broker/following/way.ts'
import { UsageError } from '../command.ts'
import type { Inlet } from './api.ts'
import { selectionOf } from './selection.ts'
import { documentPrinter, inletsIn, linesOf, lookedAt, type Session } from './session.ts'
import { attributesOf, idOf, jsonText, plain, traceText, wayText, type AbsentAt } from './text.ts'

export async function show(session: Session, rest: readonly string[]): Promise<number> {
  const { out } = session
  const ways = await waysOf(session, oneOf(rest), 'ways')
  const print = await documentPrinter(session)
  if (print) for (const way of ways) print(way, plain(idOf(way)))
  else {
    const absentAt = await absentees(session, ways)
    for (const way of ways) {
      for (const line of jsonText(attributesOf(way))) out.print(line)
      for (const line of wayText(way, absentAt)) out.print(line)
    }
  }
  return 0
}

export async function trace(session: Session, rest: readonly string[]): Promise<number> {
  const found = await waysOf(session, oneOf(rest), 'trace')
  const ways = await withOtherNamespaces(session, found)
  const print = await documentPrinter(session)
  if (print) for (const way of ways) print(way, plain(idOf(way)))
  else for (const line of traceText(ways, await absentees(session, ways))) session.out.print(line)
  return 0
}

function oneOf([id, ...others]: readonly string[]): string {
  if (id === undefined || id === '' || others.length > 0)
    throw new UsageError('expected the ID of one event')
  return id
}

async function waysOf(
  session: Session,
  id: string,
  subresource: 'ways' | 'trace',
): Promise<readonly Way[]> {
  const selection = selectionOf(session.args, systemClock.now())
  const inlets = await lookedAt(session)
  const exact = await gathered(session, inlets, subresource, { ...selection, id })
  if (exact.length > 0) return exact
  const whole = await wholeId(session, inlets, selection, id)
  if (whole !== undefined)
    return await gathered(session, inlets, subresource, { ...selection, id: whole })
  const { args, namespace } = session
  const place = args.boolean('all-namespaces') ? 'here' : `in namespace ${namespace}`
  throw new Error(
    `no event ${id} is kept ${place}: it did not come here, or it is older than what is kept; \`ebb event list\` shows what came last, -A looks at all namespaces`,
  )
}

async function gathered(
  session: Session,
  inlets: readonly Inlet[],
  subresource: 'ways' | 'trace',
  selection: Selection,
): Promise<readonly Way[]> {
  const found = new Map<string, Way>()
  for await (const { found: way } of linesOf<Way>(session, inlets, subresource, selection))
    found.set(`${way.channel.uid}/${way.sequence}`, way)
  return inOrder([...found.values()])
}

const inOrder = (ways: readonly Way[]): readonly Way[] =>
  ways.toSorted((a, b) => a.atMs - b.atMs || a.sequence - b.sequence)

/** Events of one beginning that are looked at. */
const mostOfPrefix = 1000

/** The only id that begins so; undefined = there is none. */
async function wholeId(
  session: Session,
  inlets: readonly Inlet[],
  selection: Selection,
  idPrefix: string,
): Promise<string | undefined> {
  const ids = new Set<string>()
  const wanted = { ...selection, idPrefix, last: mostOfPrefix }
  for await (const { found } of linesOf<SeenEvent>(session, inlets, 'events', wanted))
    ids.add(idOf(found))
  const [only, ...others] = ids
  if (only === undefined || others.length === 0) return only
  const shown = [only, ...others].slice(0, 5).map(plain).join(', ')
  throw new Error(`${ids.size} ids begin with ${idPrefix}: ${shown}${ids.size > 5 ? ', …' : ''}`)
}

/** Asked at a time. */
const parallel = 8
const beforeMs = 3_600_000

/** What came of them elsewhere: the event engine looks only where the user was let in. */
async function withOtherNamespaces(
  session: Session,
  ways: readonly Way[],
): Promise<readonly Way[]> {
  const looked = new Set(ways.map(({ channel }) => channel.namespace))
  const all = await inletsIn(session, '').catch((): readonly Inlet[] => [])
  const rest = all.filter(({ namespace }) => !looked.has(namespace)).values()
  const traces = new Map<string, number>()
  for (const { trace, atMs } of ways) {
    // What it came of was there before it.
    const sinceMs = trace.parent === undefined ? atMs : atMs - beforeMs
    traces.set(trace.id, Math.min(traces.get(trace.id) ?? Infinity, sinceMs))
  }
  const more: Way[] = []
  const lane = async () => {
    for (const inlet of rest)
      for (const [traceId, sinceMs] of traces) {
        const found = await gathered(session, [inlet], 'ways', {
          traceId,
          sinceMs,
          limit: 1000,
        }).catch((): readonly Way[] => [])
        more.push(...found)
      }
  }
  await Promise.all(Array.from({ length: parallel }, lane))
  return inOrder([...ways, ...more])
}

/** Triggers and Subscriptions that were there and yet got nothing, as they are not ready. */
async function absentees({ client }: Session, ways: readonly Way[]): Promise<AbsentAt> {
  const namespaces = new Set(ways.map(({ channel }) => channel.namespace))
  const found = await Promise.all(
    [...namespaces].map(async (namespace) => {
      // Who may not see them is not told of them.
      const [triggers, subscriptions] = await Promise.all([
        client.list(Trigger, namespace).then(
          ({ items }) => items,
          () => [],
        ),
        client.list(Subscription, namespace).then(
          ({ items }) => items,
          () => [],
        ),
      ])
      return [
        ...triggers.map((trigger) => ({
          object: trigger,
          at: `Broker ${brokerNamespaceOf(trigger)}/${brokerOf(trigger)}`,
        })),
        ...subscriptions.map((subscription) => ({
          object: subscription,
          at: `Channel ${namespace}/${subscription.spec.channel?.name ?? ''}`,
        })),
      ]
    }),
  )
  return ({ channel: { kind, namespace, name }, fates, atMs }) =>
    found.flat().flatMap(({ object, at }) => {
      const { metadata } = object
      const ready = conditionOf(object.status, 'Ready')
      const isIt =
        at === `${kind} ${namespace}/${name}` &&
        ready?.status !== 'True' &&
        Date.parse(metadata.creationTimestamp ?? '') <= atMs &&
        !fates.some(({ uid }) => uid === metadata.uid)
      return isIt
        ? [{ name: metadata.name, why: ready?.message ?? ready?.reason ?? 'nothing is known yet' }]
        : []
    })
}
