/** `ebb event`: sends events, shows where they went and why, and sends them again. */
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline/promises'
import { systemClock } from '../lib/clock.ts'
import { Broker } from '../eventing/api/broker.ts'
import { Channel } from '../eventing/api/channel.ts'
import { InMemoryChannel } from '../eventing/api/in-memory-channel.ts'
import type { ReplayResult, SeenEvent, Selection, Way } from '../eventing/broker/following.ts'
import { dataDirOf, layoutOf, type Layout } from '../platform/config.ts'
import { clientOf, type ConnectedClient } from './api-client.ts'
import { UsageError, type Arguments, type Command, type Output } from './command.ts'
import { eventApi, type EventApi, type Inlet } from './event-api.ts'
import { countOf, selectionFlags, selectionOf } from './event-selection.ts'
import { sendEvent, sendFlags, type Post } from './event-send.ts'
import { attributesOf, lineOf, traceText, wayText } from './event-text.ts'

interface Session {
  readonly api: EventApi
  readonly connection: ConnectedClient
  readonly layout: Layout
  readonly namespace: string
  readonly args: Arguments
  readonly out: Output
}

type Verb = (session: Session, rest: readonly string[]) => Promise<number>

export const event: Command = {
  name: 'event',
  usage: 'send | tail | list | show ID | trace ID | replay | dead-letters [redrive | discard] [N…]',
  summary: 'Events: send them, see where each went and why, send them again',
  details: [
    'Without --broker or --channel, tail, list, show, trace and dead-letters look at all of the namespace.',
    '',
    'Examples:',
    '  ebb event send --broker default --type order.placed --data \'{"id": 17}\'',
    '  ebb event tail --type order.placed',
    '  ebb event trace 5d1f…          which Triggers took it, which refused it and why, and what came of it',
    '  ebb event replay --broker default --since 1h --type order.placed --to-trigger billing',
    '  ebb event replay --broker default --id 17 --to http://localhost:9000/ --yes',
    '  ebb event dead-letters         what nobody took, with the reason',
    '  ebb event dead-letters redrive 3 4 --broker default',
  ].join('\n'),
  flags: {
    namespace: { type: 'string', value: 'NAMESPACE', short: 'n', description: 'default: default' },
    broker: { type: 'string', value: 'NAME', description: 'the Broker that is meant' },
    channel: { type: 'string', value: 'NAME', description: 'the Channel that is meant' },
    to: { type: 'string', value: 'URL', description: 'send, replay: where to' },
    'to-trigger': {
      type: 'string',
      value: 'NAME',
      description: 'replay: the Trigger or Subscription whose subscriber gets them',
    },
    trigger: {
      type: 'string',
      value: 'NAME',
      description: 'dead-letters: of this Trigger or Subscription',
    },
    all: { type: 'boolean', description: 'dead-letters redrive, discard: all of them' },
    ...selectionFlags,
    ...sendFlags,
    'dry-run': { type: 'boolean', description: 'replay, dead-letters: only count' },
    yes: { type: 'boolean', short: 'y', description: 'do not ask' },
    json: { type: 'boolean', description: 'print JSON, a document a line' },
  },
  positionals: [1, 1000],
  async run(args, out) {
    const [name = '', ...rest] = args.positionals
    const verb = verbs[name]
    if (!verb) throw new UsageError(`expected ${Object.keys(verbs).join(', ')}; found "${name}"`)
    const layout = layoutOf(dataDirOf(args.string('data-dir')))
    await using connection = await clientOf(layout.kubeconfig).catch((error: unknown) => {
      throw new Error(
        `no platform has been started in ${layout.dataDir}: run \`ebb up\` first, or give --data-dir`,
        { cause: error },
      )
    })
    const api = await eventApi(layout.kubeconfig)
    const namespace = args.string('namespace') ?? connection.namespace
    return await verb({ api, connection, layout, namespace, args, out }, rest)
  },
}

const verbs: Readonly<Record<string, Verb>> = {
  async send(session, rest) {
    noMore(rest)
    const { args, out } = session
    const to = args.string('to')
    await sendEvent(args, to === undefined ? await postTo(session) : { url: to }, out)
    return 0
  },

  async tail(session, rest) {
    noMore(rest)
    const selection = selectionOf(session.args, systemClock.now())
    const inlets = await lookedAt(session)
    await Promise.all(
      inlets.map(async (inlet) => {
        for await (const found of session.api.lines<SeenEvent>(inlet, 'tail', selection))
          printEvent(session, inlet, found)
      }),
    )
    return 0
  },

  async list(session, rest) {
    noMore(rest)
    const last = countOf(session.args, 'limit', 20)
    const selection = { ...selectionOf(session.args, systemClock.now()), last }
    const all: { readonly inlet: Inlet; readonly found: SeenEvent }[] = []
    for (const inlet of await lookedAt(session))
      for await (const found of session.api.lines<SeenEvent>(inlet, 'events', selection))
        all.push({ inlet, found })
    all.sort((a, b) => a.found.atMs - b.found.atMs)
    for (const { inlet, found } of all.slice(-last)) printEvent(session, inlet, found)
    return 0
  },

  async show(session, rest) {
    const ways = await waysOf(session, oneOf(rest), 'ways')
    for (const way of ways) {
      if (session.args.boolean('json')) session.out.print(JSON.stringify(way))
      else {
        session.out.print(JSON.stringify(attributesOf(way), null, 2))
        for (const line of wayText(way)) session.out.print(line)
      }
    }
    return 0
  },

  async trace(session, rest) {
    const ways = await waysOf(session, oneOf(rest), 'trace')
    if (session.args.boolean('json')) for (const way of ways) session.out.print(JSON.stringify(way))
    else for (const line of traceText(ways)) session.out.print(line)
    return 0
  },

  async replay(session, rest) {
    noMore(rest)
    const { api, args, out } = session
    const limit = args.string('limit')
    const selection: Selection = {
      ...selectionOf(args, systemClock.now()),
      ...(limit !== undefined && { last: countOf(args, 'limit', 0) }),
    }
    const subscription = args.string('to-trigger')
    const url = args.string('to')
    if ((subscription === undefined) === (url === undefined))
      throw new UsageError('expected either --to-trigger NAME or --to URL')
    const to = subscription === undefined ? { url: { url } } : { subscription }
    const inlet = await oneInlet(session)
    const replay = (dryRun: boolean) =>
      api.post<ReplayResult>(inlet, 'replay', { selection, to, dryRun })
    const { selected } = await replay(true)
    const target = subscription ?? url ?? ''
    if (args.boolean('dry-run') || selected === 0) {
      out.print(`${selected} event(s) would be sent to ${target}`)
      return 0
    }
    if (!(await agreed(session, `Send ${selected} event(s) to ${target}?`))) return 1
    return report(out, await replay(false), 'sent')
  },

  async 'dead-letters'(session, [verb, ...numbers]) {
    if (verb === undefined) return await listDeadLetters(session)
    if (verb !== 'redrive' && verb !== 'discard')
      throw new UsageError(`dead-letters: expected redrive or discard, found "${verb}"`)
    return await settleDeadLetters(session, verb === 'discard', numbers)
  },
}

function noMore(rest: readonly string[]): void {
  if (rest.length > 0) throw new UsageError(`expected no more arguments, found "${rest[0]}"`)
}

function oneOf([id, ...others]: readonly string[]): string {
  if (id === undefined || others.length > 0) throw new UsageError('expected the ID of one event')
  return id
}

function printEvent({ args, out }: Session, { name }: Inlet, found: SeenEvent): void {
  out.print(args.boolean('json') ? JSON.stringify(found) : lineOf(found, name))
}

/** The Broker or Channel that flags name. */
function named({ args, namespace }: Session): Inlet | undefined {
  const broker = args.string('broker')
  const channel = args.string('channel')
  if (broker !== undefined && channel !== undefined)
    throw new UsageError('expected --broker or --channel, found both')
  if (broker !== undefined) return { resource: 'brokers', namespace, name: broker }
  if (channel !== undefined) return { resource: 'channels', namespace, name: channel }
  return undefined
}

async function allOf({ connection, namespace }: Session): Promise<readonly Inlet[]> {
  const { client } = connection
  const [brokers, channels] = await Promise.all([
    client.list(Broker, namespace),
    client.list(InMemoryChannel, namespace),
  ])
  return [
    ...brokers.items.map(({ metadata: { name } }): Inlet => ({
      resource: 'brokers',
      namespace,
      name,
    })),
    ...channels.items.map(({ metadata: { name } }): Inlet => ({
      resource: 'inmemorychannels',
      namespace,
      name,
    })),
  ]
}

async function lookedAt(session: Session): Promise<readonly Inlet[]> {
  const one = named(session)
  if (one) return [await existing(session, one)]
  const all = await allOf(session)
  if (all.length > 0) return all
  throw new Error(
    `there is no Broker and no Channel in namespace ${session.namespace}: make one with kn broker create default, or give --namespace`,
  )
}

/** A Channel is what people write; an InMemoryChannel of that name serves as well. */
async function existing({ connection: { client } }: Session, inlet: Inlet): Promise<Inlet> {
  if (inlet.resource !== 'channels') return inlet
  const found = await client.get(Channel, inlet).catch(() => undefined)
  return found ? inlet : { ...inlet, resource: 'inmemorychannels' }
}

async function oneInlet(session: Session): Promise<Inlet> {
  const one = named(session)
  if (one) return await existing(session, one)
  const all = await lookedAt(session)
  const [only, ...others] = all.filter(({ resource }) => resource === 'brokers')
  if (only && others.length === 0) return only
  const names = all.map(({ resource, name }) =>
    resource === 'brokers' ? `--broker ${name}` : `--channel ${name}`,
  )
  throw new UsageError(`which one is meant? ${names.join(', ')}`)
}

/** The gateway's listener for names of the cluster leads there from this machine. */
async function postTo(session: Session): Promise<Post> {
  const inlet = await oneInlet(session)
  const kinds = { brokers: Broker, channels: Channel, inmemorychannels: InMemoryChannel }
  const { status } = await session.connection.client.get<Broker | Channel | InMemoryChannel>(
    kinds[inlet.resource] as typeof Broker,
    inlet,
  )
  const url = status?.address?.url
  if (url === undefined || url === '')
    throw new Error(`${inlet.name} has no address yet: see its conditions (kubectl describe)`)
  const { gatewayLocal } = JSON.parse(await readFile(session.layout.endpoints, 'utf8')) as {
    readonly gatewayLocal?: string
  }
  const { hostname, port } = URL.parse(gatewayLocal ?? '') ?? {}
  return { url, ...(hostname && { dial: { host: hostname, port: Number(port) } }) }
}

async function waysOf(
  session: Session,
  id: string,
  subresource: 'ways' | 'trace',
): Promise<readonly Way[]> {
  const selection = { ...selectionOf(session.args, systemClock.now()), id }
  const found = new Map<string, Way>()
  for (const inlet of await lookedAt(session))
    for await (const way of session.api.lines<Way>(inlet, subresource, selection))
      found.set(`${way.channel.uid}/${way.sequence}`, way)
  if (found.size === 0)
    throw new Error(
      `no event ${id} is kept in namespace ${session.namespace}: it did not come here, or it is older than what is kept`,
    )
  return [...found.values()].toSorted((a, b) => a.atMs - b.atMs || a.sequence - b.sequence)
}

interface ShownLetter extends SeenEvent {
  readonly number: number
  readonly subscription: string
  readonly name?: string
  readonly reason: Readonly<Record<string, string>>
}

async function listDeadLetters(session: Session): Promise<number> {
  const { args, out, api } = session
  const trigger = args.string('trigger')
  for (const inlet of await lookedAt(session))
    for await (const letter of api.lines<ShownLetter>(inlet, 'dead-letters')) {
      const subscription = letter.name ?? letter.subscription
      if (trigger !== undefined && trigger !== subscription) continue
      if (args.boolean('json')) {
        out.print(JSON.stringify(letter))
        continue
      }
      const { knativeerrordest = '', knativeerrorcode = '', knativeerrordata = '' } = letter.reason
      const said = Buffer.from(knativeerrordata, 'base64').toString('utf8').trim().slice(0, 200)
      out.print(`${letter.number}  ${lineOf(letter, inlet.name)}`)
      out.print(
        `   ${subscription} → ${knativeerrordest}: ${knativeerrorcode}${said === '' ? '' : ` ${JSON.stringify(said)}`}`,
      )
    }
  return 0
}

async function settleDeadLetters(
  session: Session,
  discard: boolean,
  given: readonly string[],
): Promise<number> {
  const { args, api, out } = session
  const numbers = given.map((text) => {
    if (!/^[1-9]\d{0,14}$/.test(text))
      throw new UsageError(`expected numbers of dead letters, found "${text}"`)
    return Number(text)
  })
  const subscription = args.string('trigger')
  if (numbers.length === 0 && subscription === undefined && !args.boolean('all'))
    throw new UsageError('which? expected numbers, --trigger NAME or --all')
  const inlet = await oneInlet(session)
  const settle = (dryRun: boolean) =>
    api.post<ReplayResult>(inlet, 'redrive', {
      ...(numbers.length > 0 && { numbers }),
      ...(subscription !== undefined && { subscription }),
      discard,
      dryRun,
    })
  const { selected } = await settle(true)
  const what = discard ? 'Let go of' : 'Send again'
  if (args.boolean('dry-run') || selected === 0) {
    out.print(`${selected} dead letter(s)`)
    return 0
  }
  if (!(await agreed(session, `${what} ${selected} dead letter(s)?`))) return 1
  const result = await settle(false)
  if (!discard) return report(out, result, 'sent again')
  out.print(`${result.selected} dead letter(s) let go`)
  return 0
}

/** Asks at a terminal; anywhere else --yes is needed. */
async function agreed({ args, out }: Session, question: string): Promise<boolean> {
  if (args.boolean('yes')) return true
  if (!process.stdin.isTTY) {
    out.note(`${question} Nobody is there to ask: give --yes`)
    return false
  }
  const asking = createInterface({ input: process.stdin, output: process.stderr })
  const answer = await asking.question(`${question} [y/N] `)
  asking.close()
  return /^y(es)?$/i.test(answer.trim())
}

function report(
  out: Output,
  { selected, delivered, failures }: ReplayResult,
  word: string,
): number {
  out.print(`${delivered} of ${selected} event(s) ${word}`)
  for (const { sequence, reason } of failures) out.note(`#${sequence}: ${reason}`)
  return delivered === selected ? 0 : 1
}
