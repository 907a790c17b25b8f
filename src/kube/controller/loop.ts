/**
 * The reconcile loop: takes a key off the queue, lets the reconciler observe and plan, and carries the plan out. What
 * it writes enters the informers' caches at once, so the next round sees it; what equals the stored object is not
 * written. Follows knative/pkg's generated reconcilers (finalizers, status, events) over client-go's work queue.
 */
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { Random } from '../../lib/random.ts'
import { groupKind, type Kind } from '../api/kind.ts'
import { controllerOf, keyOf, keyText, type KubeObject, type ObjectKey } from '../api/meta.ts'
import { hasReason, StatusError } from '../api/status-error.ts'
import type { Client } from '../client/client.ts'
import type { Informers } from '../client/informer.ts'
import type { Recorder } from '../client/recorder.ts'
import { followCustomKinds, groupOf, type CustomKinds } from './custom-kinds.ts'
import { semanticallyEqual } from './difference.ts'
import { createPlanWriter } from './plan-writer.ts'
import type { QueueMetrics } from './queue-metrics.ts'
import type { Plan, PlannedEvent, Reader, Reconciler, Wake } from './reconciler.ts'
import { createWorkQueue } from './work-queue.ts'

interface ControllerConfig {
  /** Keys reconciled at the same time; default 16. */
  readonly concurrency?: number
  /** Keys waiting at most; default 100,000. */
  readonly capacity?: number
}

export interface ControllerDeps {
  readonly client: Client
  readonly informers: Informers
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly recorder: Recorder
  readonly config?: ControllerConfig
  /** Where work queues are counted. */
  readonly queueMetrics?: QueueMetrics
}

/** Every object is looked at again after this long, more or less, as upstream does. */
const resyncMs = 36_000_000

/** Already told to the user; only the retry is left to do. */
class Reported extends Error {}

/** Starts a reconciler. It begins once the caches of its kinds are filled. */
export function startController<T extends KubeObject, World>(
  reconciler: Reconciler<T, World>,
  deps: ControllerDeps,
): AsyncDisposable {
  const { client, informers, clock, random, recorder, config } = deps
  const { kind, name, finalizer, urgent = false } = reconciler
  const log = deps.log.child({ controller: name })
  const own = informers.for(kind)
  const disposables = new DisposableStack()
  const custom = reconciler.customKinds && followCustom(reconciler.customKinds)
  const read = declaredOnly(reconciler, informers.reader(), custom)
  const writer = createPlanWriter(deps)
  let disposed = false
  /** Keys whose last round has left its status to the next one. */
  const owing = new Set<string>()

  const emit = (about: KubeObject, event: PlannedEvent) =>
    recorder.event(about, event, { component: name })

  const work = async (text: string) => {
    const key = parseKey(text)
    const object = own.get(key)
    try {
      if (!object) owing.delete(text)
      const requeueAfterMs = await (object ? reconcile(object) : tidy(key))
      queue.forget(text)
      if (requeueAfterMs !== undefined) queue.addAfter(text, requeueAfterMs)
    } catch (thrown) {
      if (disposed) return
      if (object && own.get(key) === undefined) {
        // It was deleted under our hands; what came of that is not worth telling.
      } else if (isStale(thrown) || thrown instanceof Reported) {
        log.debug('reconcile is tried again', { key: text, error: thrown })
      } else {
        log.info('reconcile failed and is tried again', { key: text, error: thrown })
        const message = thrown instanceof Error ? thrown.message : String(thrown)
        if (object) emit(object, { type: 'Warning', reason: 'InternalError', message })
      }
      queue.retry(text)
    }
  }

  const tidy = async (key: ObjectKey): Promise<number | undefined> => {
    const plan = reconciler.gone?.(key, read)
    if (plan) await writer.carryOut(plan, undefined, () => {})
    return plan?.requeueAfterMs
  }

  const reconcile = async (found: T): Promise<number | undefined> => {
    if (reconciler.handles && !reconciler.handles(found)) return undefined
    const { deletionTimestamp, finalizers = [] } = found.metadata
    if (deletionTimestamp) {
      if (!finalizer || !finalizers.includes(finalizer) || !reconciler.finalize) return undefined
      const nowMs = clock.now()
      const plan = reconciler.finalize(await observe(found, nowMs), nowMs)
      const object = await carryOut(plan, found)
      const left = finalizers.filter((other) => other !== finalizer)
      if (plan.done) await setFinalizers(object, left)
      return plan.requeueAfterMs
    }
    const object =
      finalizer && !finalizers.includes(finalizer)
        ? await setFinalizers(found, [...finalizers, finalizer])
        : found
    const nowMs = clock.now()
    const plan = reconciler.plan(await observe(object, nowMs), nowMs)
    await carryOut(plan, object)
    return plan.requeueAfterMs
  }

  /** The world of one moment. Kinds that are met for the first time are waited for, and all is looked at again. */
  const observe = (object: T, nowMs: number): World | Promise<World> => {
    const world = reconciler.observe(object, read, nowMs)
    const filled = custom?.pending()
    return filled ? filled.then(() => reconciler.observe(object, read, nowMs)) : world
  }

  /** Carries out a plan with its status and events; answers the object as it is then. */
  const carryOut = async (plan: Plan, object: T): Promise<T> => {
    const text = keyText(keyOf(object))
    const owes = owing.delete(text)
    let current = object
    let refusal: unknown
    let wroteAny = false
    try {
      await writer.carryOut(
        plan,
        object,
        (event) => emit(object, event),
        (written) => {
          wroteAny = true
          if (written.metadata.uid === current.metadata.uid) current = written as T
        },
      )
    } catch (thrown) {
      if (isStale(thrown)) throw thrown
      refusal = thrown
    }
    // What was written above may be what a request waits for: whoever goes on from there goes first.
    if (urgent && plan.status !== undefined && hasWrites(plan)) {
      await turn()
      // The status is of what was observed, whoever has changed something else meanwhile.
      const latest = own.get(keyOf(object))
      if (latest && latest.metadata.uid === current.metadata.uid) current = latest
    }
    const status =
      refusal !== undefined && plan.statusOnFailure
        ? plan.statusOnFailure(StatusError.from(refusal))
        : plan.status
    // Never twice in a row: whoever always finds something to write must be seen doing so.
    const canWait = plan.statusCanWait && wroteAny && refusal === undefined && !owes
    if (canWait && queue.isAgain(text)) owing.add(text)
    else if (status !== undefined) current = await setStatus(current, status)
    if (refusal !== undefined) throw refusal
    for (const event of plan.events ?? []) emit(object, event)
    if (plan.error) throw plan.error
    return current
  }

  const setStatus = async (object: T, status: unknown): Promise<T> => {
    if (semanticallyEqual(status, 'status' in object ? object.status : undefined)) return object
    try {
      const written = await client.updateStatus(kind, { ...object, status })
      own.wrote(written)
      return written
    } catch (error) {
      if (hasReason(error, 'Conflict')) await writer.refresh(kind, keyOf(object))
      if (isStale(error) || hasReason(error, 'NotFound')) throw error
      const text = error instanceof Error ? error.message : String(error)
      const message = `Failed to update status for "${object.metadata.name}": ${text}`
      emit(object, { type: 'Warning', reason: 'UpdateFailed', message })
      throw new Reported(text, { cause: error })
    }
  }

  const setFinalizers = async (object: T, finalizers: readonly string[]): Promise<T> => {
    const { resourceVersion } = object.metadata
    const body = { metadata: { finalizers, ...(resourceVersion && { resourceVersion }) } }
    const written = await client.patch(kind, keyOf(object), { type: 'merge', body })
    own.wrote(written)
    const message = `Updated "${object.metadata.name}" finalizers`
    emit(object, { type: 'Normal', reason: 'FinalizerUpdate', message })
    return written
  }

  const queue = createWorkQueue({
    clock,
    log,
    work,
    name,
    metrics: deps.queueMetrics,
    all: function* () {
      for (const object of own.values()) yield keyText(keyOf(object))
    },
    ...config,
  })
  const wake = (key: ObjectKey, hurry = false) => queue.add(keyText(key), hurry)
  const wakeAll = () => {
    for (const object of own.values()) wake(keyOf(object))
  }

  const begin = () => {
    if (disposed) return
    disposables.use(
      own.subscribe((type, object) => {
        if (type !== 'DELETED' || reconciler.gone) wake(keyOf(object), urgent)
        else queue.forget(keyText(keyOf(object)))
      }),
    )
    for (const watched of reconciler.watches) {
      const how = watched.wake
      if (how === 'none') continue
      const handler =
        how === 'all' ? wakeAll : how === 'owner' ? wakeOwner : woken(how, watched.urgent)
      disposables.use(informers.for(watched.kind).subscribe(handler))
    }
    if (reconciler.connect) disposables.use(reconciler.connect((key) => wake(key, urgent)))
    resync()
  }

  const wakeOwner = (_type: string, object: KubeObject, previous?: KubeObject) => {
    const owner = ownerKey(object)
    if (owner) wake(owner)
    const before = previous && previous !== object && ownerKey(previous)
    if (before && before.name !== owner?.name) wake(before)
  }

  const ownerKey = (object: KubeObject): ObjectKey | undefined => {
    const ref = controllerOf(object)
    if (!ref || ref.kind !== kind.kind || groupOf(ref.apiVersion) !== kind.group) return undefined
    return { namespace: kind.namespaced ? (object.metadata.namespace ?? '') : '', name: ref.name }
  }

  const woken =
    (how: Wake, hurry = false) =>
    (_type: string, object: KubeObject, previous?: KubeObject) => {
      for (const key of how(object, read)) wake(key, hurry)
      if (previous && previous !== object) for (const key of how(previous, read)) wake(key, hurry)
    }

  function followCustom(how: Wake): CustomKinds {
    return disposables.use(
      followCustomKinds({
        informers,
        changed: (object, previous) => woken(how)('MODIFIED', object, previous),
        defined: () => wakeAll(),
      }),
    )
  }

  let cancelResync = () => {}
  const resync = () => {
    cancelResync = clock.after(resyncMs * (1 + random.next() / 10), () => {
      wakeAll()
      resync()
    })
  }

  log.debug('controller starts', { kind: groupKind(kind) })
  void informers.synced([kind, ...reconciler.watches.map((watched) => watched.kind)]).then(begin)

  return {
    async [Symbol.asyncDispose]() {
      disposed = true
      cancelResync()
      disposables.dispose()
      await queue[Symbol.asyncDispose]()
    },
  }
}

/** Reads of kinds that nobody waits for would find nothing, or something old, and look right: better they fail. */
function declaredOnly<T extends KubeObject, World>(
  { name, kind, watches }: Reconciler<T, World>,
  read: Reader,
  custom: CustomKinds | undefined,
): Reader {
  const declared = new Set([kind, ...watches.map((watched) => watched.kind)].map(groupKind))
  const known = new Set<Kind>()
  const checked = <K extends Kind>(asked: K): K => {
    if (known.has(asked)) return asked
    if (!declared.has(groupKind(asked)))
      throw new Error(`${name} reads ${groupKind(asked)}, which is not among its watches`)
    known.add(asked)
    return asked
  }
  return {
    get: (asked, key) => read.get(checked(asked), key),
    list: (asked, namespace, labels) => read.list(checked(asked), namespace, labels),
    owned: (asked, owner) => read.owned(checked(asked), owner),
    ...(custom && {
      custom(reference) {
        const found = custom.find(reference)
        if (found) known.add(found)
        return found
      },
    }),
  }
}

const hasWrites = ({ apply, patch }: Plan): boolean => Boolean(apply?.length || patch?.length)

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Refusals that only say that the cache is behind: the next round will see better. */
const isStale = (thrown: unknown): boolean =>
  hasReason(thrown, 'Conflict', 'AlreadyExists') ||
  (thrown instanceof StatusError &&
    (thrown.details.causes ?? []).some(({ reason }) => reason === 'NamespaceTerminating'))

const parseKey = (text: string): ObjectKey => {
  const slash = text.indexOf('/')
  return slash < 0
    ? { namespace: '', name: text }
    : { namespace: text.slice(0, slash), name: text.slice(slash + 1) }
}
