/**
 * Empties a namespace that is being deleted and then lets it go, telling in its conditions what it still waits for.
 */
import { rfc3339 } from '../../lib/clock.ts'
import type { Kind } from '../api/kind.ts'
import { keyOf, type KubeObject } from '../api/meta.ts'
import { Namespace } from '../api/namespace.ts'
import { hasReason, qualifiedResource } from '../api/status-error.ts'
import type { TypedClient } from '../client/typed-client.ts'
import { semanticallyEqual } from '../controller/difference.ts'
import type { ControllerDeps } from '../controller/loop.ts'
import type { ServedKinds } from './served-kinds.ts'
import { startWorker } from './worker.ts'

const finalizer = 'kubernetes'

interface Deps extends ControllerDeps {
  readonly client: TypedClient
  readonly kinds: ServedKinds
}

interface Left {
  readonly kind: Kind
  readonly objects: readonly KubeObject[]
}

export function startNamespaceController(deps: Deps): AsyncDisposable {
  const { client, informers, clock } = deps
  const namespaces = informers.for(Namespace)
  // Pods go last: what they serve is taken down before them.
  const kinds = () =>
    deps.kinds
      .values()
      .filter(({ namespaced }) => namespaced)
      .toSorted((a, b) => Number(isPod(a)) - Number(isPod(b)))
  const terminating = new Set<string>()
  const subscriptions = new DisposableStack()

  const left = (name: string): readonly Left[] =>
    kinds()
      .map((kind) => ({ kind, objects: informers.for(kind).list(name) }))
      .filter(({ objects }) => objects.length > 0)

  const work = async (name: string): Promise<void> => {
    const namespace = namespaces.get({ namespace: '', name })
    if (!namespace?.metadata.deletionTimestamp) return
    for (const { kind, objects } of left(name))
      for (const object of objects)
        if (!object.metadata.deletionTimestamp) await remove(kind, object)
    const remaining = left(name)
    if (remaining.length > 0) return setConditions(namespace, remaining)
    if (await hasUnseen(name)) return
    const finalizers = (namespace.spec?.finalizers ?? []).filter((other) => other !== finalizer)
    try {
      await client.subresource('update', Namespace, keyOf(namespace), 'finalize', {
        ...namespace,
        spec: { ...namespace.spec, finalizers },
      })
    } catch (error) {
      if (!hasReason(error, 'NotFound')) throw error
    }
  }

  const remove = async (kind: Kind, object: KubeObject) => {
    try {
      const { uid } = object.metadata
      await client.delete(kind, keyOf(object), {
        propagationPolicy: 'Background',
        ...(uid && { preconditions: { uid } }),
      })
    } catch (error) {
      if (!hasReason(error, 'NotFound')) throw error
    }
    informers.for(kind).deleted(object, clock.now())
  }

  /** Asks the server itself, since a cache may be behind; what it finds comes by watch and wakes us. */
  const hasUnseen = async (name: string): Promise<boolean> => {
    for (const kind of kinds()) {
      const { items } = await client.list(kind, name, { limit: 1 }).catch((error: unknown) => {
        // A custom kind that has just gone has no objects.
        if (hasReason(error, 'NotFound')) return { items: [] }
        throw error
      })
      for (const item of items) {
        informers.for(kind).wrote(item)
        return true
      }
    }
    return false
  }

  const setConditions = async (namespace: Namespace, remaining: readonly Left[]) => {
    const conditions = conditionsOf(namespace, remaining, rfc3339(clock.now()))
    if (semanticallyEqual(conditions, namespace.status?.conditions)) return
    const status = { ...namespace.status, phase: 'Terminating', conditions }
    namespaces.wrote(await client.updateStatus<Namespace>(Namespace, { ...namespace, status }))
  }

  const queue = startWorker('namespace-controller', deps, work, () => terminating)
  const follow = (kind: Kind): void => {
    if (!kind.namespaced) return
    const subscription = informers
      .for(kind)
      .subscribe((_type, { metadata: { namespace = '' } }) => {
        if (terminating.size > 0 && terminating.has(namespace)) queue.add(namespace)
      })
    followed.set(kind, subscription)
  }
  const followed = new Map<Kind, Disposable>()
  const begin = async (): Promise<void> => {
    await informers.synced([Namespace, ...kinds()])
    // Definitions of custom kinds are among them: those kinds are known only now.
    await informers.synced(kinds())
    if (subscriptions.disposed) return
    subscriptions.use(
      namespaces.subscribe((type, { metadata }) => {
        if (type === 'DELETED') terminating.delete(metadata.name)
        else if (metadata.deletionTimestamp) {
          terminating.add(metadata.name)
          queue.add(metadata.name)
        }
      }),
    )
    for (const kind of kinds()) follow(kind)
    subscriptions.use(
      deps.kinds.follow({
        added: follow,
        removed(kind) {
          followed.get(kind)?.[Symbol.dispose]()
          followed.delete(kind)
          // They may have been all that a namespace waited for.
          for (const name of terminating) queue.add(name)
        },
      }),
    )
  }
  void begin()

  return {
    async [Symbol.asyncDispose]() {
      subscriptions.dispose()
      for (const subscription of followed.values()) subscription[Symbol.dispose]()
      await queue[Symbol.asyncDispose]()
    },
  }
}

const isPod = ({ group, kind }: Kind) => group === '' && kind === 'Pod'

type Condition = NonNullable<NonNullable<Namespace['status']>['conditions']>[number]

function conditionsOf(
  { status }: Namespace,
  remaining: readonly Left[],
  now: string,
): readonly Condition[] {
  const resources = remaining
    .map(
      ({ kind, objects }) => `${qualifiedResource(kind)} has ${objects.length} resource instances`,
    )
    .toSorted()
  const finalizers = new Map<string, number>()
  for (const { objects } of remaining)
    for (const { metadata } of objects)
      for (const each of metadata.finalizers ?? [])
        finalizers.set(each, (finalizers.get(each) ?? 0) + 1)
  const holders = [...finalizers]
    .map(([name, count]) => `${name} in ${count} resource instances`)
    .toSorted()
  const rows: readonly Omit<Condition, 'lastTransitionTime'>[] = [
    {
      type: 'NamespaceDeletionDiscoveryFailure',
      status: 'False',
      reason: 'ResourcesDiscovered',
      message: 'All resources successfully discovered',
    },
    {
      type: 'NamespaceDeletionGroupVersionParsingFailure',
      status: 'False',
      reason: 'ParsedGroupVersions',
      message: 'All legacy kube types successfully parsed',
    },
    {
      type: 'NamespaceDeletionContentFailure',
      status: 'False',
      reason: 'ContentDeleted',
      message: 'All content successfully deleted, may be waiting on finalization',
    },
    {
      type: 'NamespaceContentRemaining',
      status: 'True',
      reason: 'SomeResourcesRemain',
      message: `Some resources are remaining: ${resources.join(', ')}`,
    },
    holders.length > 0
      ? {
          type: 'NamespaceFinalizersRemaining',
          status: 'True',
          reason: 'SomeFinalizersRemain',
          message: `Some content in the namespace has finalizers remaining: ${holders.join(', ')}`,
        }
      : {
          type: 'NamespaceFinalizersRemaining',
          status: 'False',
          reason: 'ContentHasNoFinalizers',
          message: 'All content-preserving finalizers finished',
        },
  ]
  return rows.map((row) => {
    const before = status?.conditions?.find(({ type }) => type === row.type)
    const since = before?.status === row.status ? before.lastTransitionTime : undefined
    return { ...row, lastTransitionTime: since ?? now }
  })
}
