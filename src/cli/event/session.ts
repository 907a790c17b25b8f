/** What every verb of `ebb event` begins with: which API, which namespace, which Brokers and Channels are meant. */
import { existsSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { Broker, classOf } from '../../eventing/api/eventing/broker.ts'
import { Channel } from '../../eventing/api/messaging/channel.ts'
import { InMemoryChannel } from '../../eventing/api/messaging/in-memory-channel.ts'
import { brokerClass } from '../../eventing/api/names.ts'
import type { Kind } from '../../kube/api/kind.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import { dataDirOf, layoutOf, type Layout } from '../../platform/config.ts'
import { clientOf, type ConnectedClient } from '../api-client.ts'
import { UsageError, type Arguments, type Output } from '../command.ts'
import { eventApi, OutOfOrder, type EventApi, type Inlet } from './api.ts'
import type { Selection } from '../../eventing/broker/following/selection.ts'

export interface Session extends AsyncDisposable {
  readonly api: EventApi
  readonly client: ConnectedClient['client']
  readonly layout: Layout
  readonly namespace: string
  readonly args: Arguments
  readonly out: Output
  /** What was told to be left out. */
  readonly leftOut: Set<string>
}

export async function openSession(args: Arguments, out: Output): Promise<Session> {
  const given = args.string('kubeconfig')
  const beside = given === undefined ? undefined : dirname(resolve(given))
  const own = layoutOf(dataDirOf(args.string('data-dir')))
  // A platform's own kubeconfig lies in its directory, beside what says where its gateway listens.
  const layout =
    beside !== undefined && existsSync(layoutOf(beside).endpoints) ? layoutOf(beside) : own
  const path = given ?? layout.kubeconfig
  const connection = await clientOf(path).catch((error: unknown) => {
    if (given !== undefined && existsSync(given)) throw error
    if (given !== undefined)
      throw new Error(`--kubeconfig ${given}: there is no such file; \`ebb kubeconfig\` prints one`)
    throw new Error(
      `no platform has been started in ${layout.dataDir}: run \`ebb up\` first, or give --data-dir`,
      { cause: error },
    )
  })
  return {
    api: await eventApi(path),
    client: connection.client,
    layout,
    namespace: args.string('namespace') ?? connection.namespace,
    args,
    out,
    leftOut: new Set(),
    [Symbol.asyncDispose]: () => connection[Symbol.asyncDispose](),
  }
}

/** The Broker or Channel that flags name. */
export function named({ args, namespace }: Session): Inlet | undefined {
  const broker = args.string('broker')
  const channel = args.string('channel')
  if (broker !== undefined && channel !== undefined)
    throw new UsageError('expected --broker or --channel, found both')
  if (broker !== undefined) return { resource: 'brokers', namespace, name: broker }
  if (channel !== undefined) return { resource: 'channels', namespace, name: channel }
  return undefined
}

const kinds = { brokers: Broker, channels: Channel, inmemorychannels: InMemoryChannel }

export const kindOf = ({ resource }: Inlet): Kind<Broker | Channel | InMemoryChannel> =>
  // Each is read, none written.
  kinds[resource] as Kind<KubeObject> as Kind<Broker | Channel | InMemoryChannel>

/** All there are that have events here; `''` = of all namespaces. */
export async function inletsIn(
  { client }: Pick<Session, 'client'>,
  namespace: string,
): Promise<readonly Inlet[]> {
  const of = async <T extends KubeObject>(
    kind: Kind<T>,
    resource: Inlet['resource'],
    isServed: (object: T) => boolean = () => true,
  ) =>
    (await client.list(kind, namespace)).items.filter(isServed).map(({ metadata }): Inlet => ({
      resource,
      namespace: metadata.namespace ?? namespace,
      name: metadata.name,
    }))
  const found = await Promise.all([
    of(Broker, 'brokers', (broker) => classOf(broker) === brokerClass.multiTenant),
    of(InMemoryChannel, 'inmemorychannels'),
  ])
  return found.flat()
}

/** What is looked at: what flags name, else all of the namespace, or of all namespaces. */
export async function lookedAt(session: Session): Promise<readonly Inlet[]> {
  const { args, namespace } = session
  const one = named(session)
  if (one) return [await existing(session, one)]
  const isAll = args.boolean('all-namespaces')
  const all = await inletsIn(session, isAll ? '' : namespace)
  if (all.length > 0) return all
  const elsewhere = isAll ? [] : await namespacesWithAny(session)
  throw new Error(
    elsewhere.length > 0
      ? `there is no Broker and no Channel in namespace ${namespace}; there are in ${elsewhere.join(', ')}: give --namespace`
      : `there is no Broker and no Channel ${isAll ? 'yet' : `in namespace ${namespace}`}: \`kubectl label namespace ${namespace} eventing.knative.dev/injection=enabled\` makes Broker default there`,
  )
}

/** Documents of each in turn. Of several, one that is out of order is told of and left out. */
export async function* linesOf<T>(
  { api, out, leftOut }: Pick<Session, 'api' | 'out' | 'leftOut'>,
  inlets: readonly Inlet[],
  subresource: Parameters<EventApi['lines']>[1],
  selection?: Selection,
): AsyncGenerator<{ readonly inlet: Inlet; readonly found: T }> {
  for (const inlet of inlets)
    try {
      for await (const found of api.lines<T>(inlet, subresource, selection)) yield { inlet, found }
    } catch (error) {
      if (!(error instanceof OutOfOrder) || inlets.length === 1) throw error
      if (!leftOut.has(error.message)) out.note(`left out: ${error.message}`)
      leftOut.add(error.message)
    }
}

const shownNames = 10
const shownNamespaces = 10

/** None when the user may not know. */
async function namespacesWithAny(session: Session): Promise<readonly string[]> {
  const all = await inletsIn(session, '').catch((): readonly Inlet[] => [])
  return [...new Set(all.map(({ namespace }) => namespace))].toSorted().slice(0, shownNamespaces)
}

/** A Channel is what people write; an InMemoryChannel of that name serves as well. */
async function existing(session: Session, inlet: Inlet): Promise<Inlet> {
  const isBroker = inlet.resource === 'brokers'
  const behind: Inlet = { ...inlet, resource: 'inmemorychannels' }
  if (await isThere(session, isBroker ? Broker : Channel, inlet)) return inlet
  if (!isBroker && (await isThere(session, InMemoryChannel, behind))) return behind
  const others = (await inletsIn(session, inlet.namespace))
    .filter(({ resource }) => (resource === 'brokers') === isBroker)
    .map(({ name }) => name)
  const noun = isBroker ? 'Broker' : 'Channel'
  const there = others.length > 0 ? `there are ${others.join(', ')}` : 'there is none at all'
  throw new Error(`there is no ${noun} ${inlet.name} in namespace ${inlet.namespace}; ${there}`)
}

/** What may not be asked is left to the request that follows. */
async function isThere<T extends KubeObject>(
  { client }: Session,
  kind: Kind<T>,
  inlet: Inlet,
): Promise<boolean> {
  return await client.get(kind, inlet).then(
    () => true,
    (error: unknown) => !(error instanceof Error && error.message.endsWith('not found')),
  )
}

/** For what concerns just one: what flags name, else the only Broker, else the only Channel. */
export async function oneInlet(session: Session): Promise<Inlet> {
  const one = named(session)
  if (one) return await existing(session, one)
  const all = await lookedAt(session)
  const brokers = all.filter(({ resource }) => resource === 'brokers')
  const [only, ...others] = brokers.length > 0 ? brokers : all
  if (only && others.length === 0) return only
  const names = all.map(({ resource, namespace, name }) =>
    [
      ...(session.args.boolean('all-namespaces') ? [`-n ${namespace}`] : []),
      resource === 'brokers' ? `--broker ${name}` : `--channel ${name}`,
    ].join(' '),
  )
  const more = names.length > shownNames ? ['…'] : []
  throw new UsageError(`which one is meant? ${[...names.slice(0, shownNames), ...more].join(', ')}`)
}

/** How an object is named beside its events. */
export const placeOf = ({ args }: Session, { namespace, name }: Inlet): string =>
  args.boolean('all-namespaces') ? `${namespace}/${name}` : name

/** As documents of `show` and `trace` have it. */
export const channelOf = ({ resource, namespace, name }: Inlet) => ({
  kind: resource === 'brokers' ? 'Broker' : 'Channel',
  namespace,
  name,
})

export const isAsked = ({ args }: Session): 'json' | 'yaml' | 'name' | 'text' => {
  const asked = args.boolean('json') ? 'json' : (args.string('output') ?? 'text')
  if (asked === 'json' || asked === 'yaml' || asked === 'name' || asked === 'text') return asked
  throw new UsageError(`--output: expected json, yaml or name, found "${asked}"`)
}

/** Prints documents as -o asks for them; undefined = it asks for text. */
export async function documentPrinter(
  session: Session,
): Promise<((value: object, name: string) => void) | undefined> {
  const { out } = session
  switch (isAsked(session)) {
    case 'text':
      return undefined
    case 'json':
      return (value) => out.print(JSON.stringify(value))
    case 'name':
      return (_, name) => out.print(name)
    case 'yaml': {
      const { stringify } = await import('yaml')
      return (value) => out.print(`---\n${stringify(value).trimEnd()}`)
    }
  }
}

export function noMore(rest: readonly string[]): void {
  if (rest.length > 0) throw new UsageError(`expected no more arguments, found "${rest[0]}"`)
}
