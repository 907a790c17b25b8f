/**
 * EventTypes of what is seen, with the feature eventtype-auto-create (knative.dev/eventing `pkg/eventtype`): the engine
 * is asked now and then which types came into each Broker and channel. Made once; what users do with them is their
 * affair.
 */
import { apiVersionOf, type Kind } from '../../../kube/api/kind.ts'
import { ConfigMap } from '../../../kube/api/config-map.ts'
import { controllerOf, type KubeObject } from '../../../kube/api/meta.ts'
import { hasReason } from '../../../kube/api/status-error.ts'
import type { ControllerDeps } from '../../../kube/controller/loop.ts'
import type { Reader } from '../../../kube/controller/reconciler.ts'
import { md5 } from '../../../knative/hash.ts'
import { Broker } from '../../api/eventing/broker.ts'
import { featuresIn } from '../../api/config/read.ts'
import { EventType } from '../../api/eventing/event-type.ts'
import { InMemoryChannel } from '../../api/messaging/in-memory-channel.ts'
import type { ChannelTypes } from '../../broker/feed.ts'
import { askEngine } from '../engine/engine-question.ts'
import { nowAndThen } from '../now-and-then.ts'

/** How often the engine is asked. */
const everyMs = 2_000
/** Made in one go; the rest comes with the next. */
const mostAtOnce = 100

/** `et-<name>-<hash>`, as Knative names them. */
export function autoCreatedName(
  { type, source }: { readonly type: string; readonly source: string },
  { metadata: { namespace = '', name } }: KubeObject,
): string {
  return `et-${name}-${md5(type + source + namespace + name)}`
}

/** The EventTypes that these types want and that are not there. */
export function wantedEventTypes(
  seen: readonly ChannelTypes[],
  read: Pick<Reader, 'get'>,
): readonly EventType[] {
  return seen.flatMap(({ kind: name, namespace, name: channel, types }) => {
    const kind: Kind = name === 'Broker' ? Broker : InMemoryChannel
    const owner = read.get(kind, { namespace, name: channel })
    // What goes through a Broker's own channel was told where it came in.
    if (!owner || controllerOf(owner)?.kind === Broker.kind) return []
    return types
      .map((each) => eventType(each, kind, owner))
      .filter(({ metadata }) => !read.get(EventType, { namespace, name: metadata.name }))
  })
}

function eventType(seen: ChannelTypes['types'][number], kind: Kind, owner: KubeObject): EventType {
  const { namespace = '', name, uid = '' } = owner.metadata
  const { type, source, dataschema } = seen
  const reference = { apiVersion: apiVersionOf(kind), kind: kind.kind, name }
  return {
    apiVersion: apiVersionOf(EventType),
    kind: EventType.kind,
    metadata: {
      name: autoCreatedName(seen, owner),
      namespace,
      ownerReferences: [{ ...reference, uid }],
    },
    spec: {
      type,
      source,
      ...(dataschema && { schema: dataschema }),
      reference: { ...reference, namespace },
      description: 'Event Type auto-created by controller',
    },
  }
}

/**
 * Makes those that are not there, so many in one go. What is refused (a quota, a namespace that ends, a name too long) is
 * not asked for again until all others are there: it may hold nobody up. Rejects with the first refusal.
 */
export function createEventTypes(
  create: (eventType: EventType) => Promise<unknown>,
): (wanted: readonly EventType[]) => Promise<void> {
  let refused = new Set<string>()
  const keyOf = ({ metadata: { namespace = '', name } }: EventType) => `${namespace}/${name}`
  return async (wanted) => {
    if (wanted.every((each) => refused.has(keyOf(each)))) refused = new Set()
    const next = wanted.filter((each) => !refused.has(keyOf(each))).slice(0, mostAtOnce)
    const problems: unknown[] = []
    for (const each of next)
      await create(each).catch((error: unknown) => {
        if (hasReason(error, 'AlreadyExists') || hasReason(error, 'NotFound')) return
        refused.add(keyOf(each))
        problems.push(error)
      })
    if (problems.length > 0) throw problems[0]
  }
}

export function startAutoCreate(
  { client, informers, clock, log }: ControllerDeps,
  engineSocket: string,
): AsyncDisposable {
  const read = informers.reader()
  for (const kind of [EventType, Broker, InMemoryChannel, ConfigMap])
    informers.for<KubeObject>(kind)

  const make = createEventTypes((each) => client.create(EventType, each))
  const look = async (signal: AbortSignal) => {
    if (!featuresIn(read).eventTypeAutoCreate) return
    const seen = await askEngine<readonly ChannelTypes[]>(engineSocket, '/types', signal)
    await make(wantedEventTypes(seen, read))
  }
  return nowAndThen(clock, everyMs, look, (error) =>
    log.debug('EventTypes could not be made', { error }),
  )
}
