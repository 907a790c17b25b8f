/**
 * Garbage collection by owner references: dependents go when all their owners are gone,
 * before their owner does when it is deleted in the foreground, and stay, without the reference, when it is orphaned.
 * Owners are matched by uid. One owner that is not in the caches is asked for live before anything is deleted.
 */
import type { Clock } from '../../lib/clock.ts'
import { apiVersionOf, type Kind } from '../api/kind.ts'
import { keyOf, type KubeObject, type OwnerReference } from '../api/meta.ts'
import type { PropagationPolicy } from '../api/protocol.ts'
import { hasReason } from '../api/status-error.ts'
import type { ControllerDeps } from '../controller/loop.ts'
import type { WorkQueue } from '../controller/work-queue.ts'
import { OwnerGraph, type GraphNode } from './owner-graph.ts'
import type { ServedKinds } from './served-kinds.ts'
import { startWorker } from './worker.ts'

const foregroundFinalizer = 'foregroundDeletion'
const orphanFinalizer = 'orphan'
/** An owner that exists but has not come by watch yet is looked for again after this. */
const unseenOwnerMs = 1_000

export function startGarbageCollector(
  deps: ControllerDeps & { readonly kinds: ServedKinds },
): AsyncDisposable {
  return new Collector(deps)
}

type Standing = 'alive' | 'leaving' | 'gone' | 'unseen' | 'stranger'

class Collector implements AsyncDisposable {
  readonly #deps: ControllerDeps
  readonly #clock: Clock
  readonly #graph = new OwnerGraph()
  readonly #kinds: ServedKinds
  /** One for each kind that is followed. */
  readonly #followed = new Map<Kind, Disposable>()
  readonly #queue: WorkQueue
  readonly #subscriptions = new DisposableStack()

  constructor(deps: ControllerDeps & { readonly kinds: ServedKinds }) {
    this.#deps = deps
    this.#clock = deps.clock
    this.#kinds = deps.kinds
    this.#queue = startWorker('garbage-collector', deps, (uid) => this.#look(uid))
    void this.#begin()
  }

  async #begin(): Promise<void> {
    const { informers } = this.#deps
    await informers.synced(this.#kinds.values())
    // Among them are the definitions of custom kinds, which are known only now.
    const kinds = this.#kinds.values()
    await informers.synced(kinds)
    if (this.#subscriptions.disposed) return
    // All of the graph before the first question: else everything would look orphaned until its owner came by.
    for (const kind of kinds)
      for (const object of informers.for(kind).values()) this.#graph.put(kind, object)
    for (const kind of kinds) this.#follow(kind)
    const late = this.#kinds.values().filter((kind) => !kinds.includes(kind))
    for (const kind of late) this.#follow(kind)
    this.#subscriptions.use(
      this.#kinds.follow({
        added: (kind) => this.#follow(kind),
        removed: (kind) => this.#leave(kind),
      }),
    )
  }

  #leave(kind: Kind): void {
    const followed = this.#followed.get(kind)
    if (!followed) return
    this.#followed.delete(kind)
    followed[Symbol.dispose]()
    for (const object of this.#deps.informers.for(kind).values()) this.#graph.remove(object)
  }

  async [Symbol.asyncDispose]() {
    this.#subscriptions.dispose()
    for (const followed of this.#followed.values()) followed[Symbol.dispose]()
    await this.#queue[Symbol.asyncDispose]()
  }

  #follow(kind: Kind): void {
    const subscription = this.#deps.informers.for(kind).subscribe((type, object) => {
      const { uid = '' } = object.metadata
      if (type === 'DELETED') {
        this.#graph.remove(object)
        this.#queue.forget(uid)
        for (const { object: dependent } of this.#graph.dependents(uid))
          this.#queue.add(dependent.metadata.uid ?? '')
        this.#wakeOwners(object)
        return
      }
      this.#graph.put(kind, object)
      if (this.#isLeavingSlowly(object)) this.#queue.add(uid)
      if (object.metadata.deletionTimestamp) this.#wakeOwners(object)
      else if (this.#mayBeOrphan(object)) this.#queue.add(uid)
    })
    this.#followed.set(kind, subscription)
  }

  #isLeavingSlowly({ metadata: { deletionTimestamp, finalizers = [] } }: KubeObject): boolean {
    if (!deletionTimestamp) return false
    return finalizers.includes(foregroundFinalizer) || finalizers.includes(orphanFinalizer)
  }

  /** An owner is not there (yet), is leaving, or the reference does not fit it. */
  #mayBeOrphan(object: KubeObject): boolean {
    return (object.metadata.ownerReferences ?? []).some((ref) => {
      const owner = this.#graph.get(ref.uid)
      return !owner || !fits(ref, object, owner) || waitsForDependents(owner.object)
    })
  }

  /** An owner that is deleted in the foreground waits for this object. */
  #wakeOwners(object: KubeObject): void {
    for (const ref of object.metadata.ownerReferences ?? []) {
      const owner = this.#graph.get(ref.uid)
      if (owner && this.#isLeavingSlowly(owner.object)) this.#queue.add(ref.uid)
    }
  }

  async #look(uid: string): Promise<number | undefined> {
    const node = this.#graph.get(uid)
    if (!node) return undefined
    const { deletionTimestamp, finalizers = [] } = node.object.metadata
    if (!deletionTimestamp) return this.#collect(node)
    if (finalizers.includes(orphanFinalizer)) await this.#orphan(node)
    else if (finalizers.includes(foregroundFinalizer)) await this.#deleteDependents(node)
    return undefined
  }

  /** Deletes the object when no owner keeps it; otherwise takes dead references away. */
  async #collect(node: GraphNode): Promise<number | undefined> {
    const { object, kind } = node
    const refs = object.metadata.ownerReferences ?? []
    if (refs.length === 0) return undefined
    const standings = new Map<OwnerReference, Standing>()
    for (const ref of refs) standings.set(ref, await this.#standing(ref, node))
    const of = (standing: Standing) => refs.filter((ref) => standings.get(ref) === standing)
    const againMs = of('unseen').length > 0 ? unseenOwnerMs : undefined
    const keep = [...of('alive'), ...of('unseen'), ...of('stranger')]
    const dead = [...of('gone'), ...of('leaving')]
    if (dead.length === 0) return againMs
    if (keep.length > 0) {
      await this.#patch(node, { ownerReferences: keep })
      return againMs
    }
    const { finalizers = [], uid } = object.metadata
    const hasDependents = this.#graph.dependents(uid ?? '').length > 0
    await this.#delete(
      kind,
      object,
      of('leaving').length > 0 && hasDependents
        ? 'Foreground'
        : finalizers.includes(orphanFinalizer)
          ? 'Orphan'
          : finalizers.includes(foregroundFinalizer)
            ? 'Foreground'
            : 'Background',
    )
    return undefined
  }

  async #standing(ref: OwnerReference, dependent: GraphNode): Promise<Standing> {
    const known = this.#graph.get(ref.uid)
    if (known) {
      if (!fits(ref, dependent.object, known)) return this.#misfit(ref, dependent)
      return waitsForDependents(known.object) ? 'leaving' : 'alive'
    }
    const kind = this.#kinds.find(groupOf(ref.apiVersion), ref.kind)
    // A kind that is not served here may be served elsewhere: nobody may conclude from that that the owner is gone.
    if (!kind) return 'stranger'
    const namespace = kind.namespaced ? (dependent.object.metadata.namespace ?? '') : ''
    if (kind.namespaced && !namespace) return this.#misfit(ref, dependent)
    try {
      const owner = await this.#deps.client.get(kind, { namespace, name: ref.name })
      return owner.metadata.uid === ref.uid ? 'unseen' : 'gone'
    } catch (error) {
      if (hasReason(error, 'NotFound')) return 'gone'
      throw error
    }
  }

  #misfit(ref: OwnerReference, { object }: GraphNode): Standing {
    const { namespace = '' } = object.metadata
    const owner = `${ref.apiVersion}/${ref.kind}, namespace: ${namespace}, name: ${ref.name}, uid: ${ref.uid}`
    const message = `ownerRef [${owner}] does not exist in namespace "${namespace}"`
    this.#deps.recorder.event(
      object,
      { type: 'Warning', reason: 'OwnerRefInvalidNamespace', message },
      { component: 'garbage-collector-controller' },
    )
    return 'gone'
  }

  async #deleteDependents(owner: GraphNode): Promise<void> {
    const uid = owner.object.metadata.uid ?? ''
    const blocking = this.#graph
      .dependents(uid)
      .filter(({ object }) =>
        (object.metadata.ownerReferences ?? []).some(
          (ref) => ref.uid === uid && ref.blockOwnerDeletion === true,
        ),
      )
    if (blocking.length === 0) return this.#removeFinalizer(owner, foregroundFinalizer)
    for (const { object } of blocking)
      if (!object.metadata.deletionTimestamp) this.#queue.add(object.metadata.uid ?? '')
  }

  async #orphan(owner: GraphNode): Promise<void> {
    const uid = owner.object.metadata.uid ?? ''
    for (const dependent of this.#graph.dependents(uid)) {
      const refs = dependent.object.metadata.ownerReferences ?? []
      await this.#patch(dependent, { ownerReferences: refs.filter((ref) => ref.uid !== uid) })
    }
    await this.#removeFinalizer(owner, orphanFinalizer)
  }

  #removeFinalizer(node: GraphNode, finalizer: string): Promise<void> {
    const { finalizers = [] } = node.object.metadata
    return this.#patch(node, { finalizers: finalizers.filter((other) => other !== finalizer) })
  }

  async #patch({ kind, object }: GraphNode, metadata: Record<string, unknown>): Promise<void> {
    // A whole list is written, so it must be the one that was looked at.
    const { uid, resourceVersion } = object.metadata
    const body = { metadata: { uid, resourceVersion, ...metadata } }
    try {
      const stored = await this.#deps.client.patch(kind, keyOf(object), { type: 'merge', body })
      this.#deps.informers.for(kind).wrote(stored)
    } catch (error) {
      if (!hasReason(error, 'NotFound')) throw error
    }
  }

  async #delete(kind: Kind, object: KubeObject, policy: PropagationPolicy): Promise<void> {
    const { uid } = object.metadata
    try {
      await this.#deps.client.delete(kind, keyOf(object), {
        propagationPolicy: policy,
        ...(uid && { preconditions: { uid } }),
      })
      this.#deps.informers.for(kind).deleted(object, this.#clock.now())
    } catch (error) {
      if (!hasReason(error, 'NotFound')) throw error
    }
  }
}

const waitsForDependents = ({ metadata }: KubeObject): boolean =>
  metadata.deletionTimestamp !== undefined &&
  (metadata.finalizers ?? []).includes(foregroundFinalizer)

/** A reference fits when it names its owner rightly, and an owner in a namespace is in the dependent's own. */
function fits(ref: OwnerReference, dependent: KubeObject, { kind, object }: GraphNode): boolean {
  return (
    ref.kind === kind.kind &&
    groupOf(ref.apiVersion) === groupOf(apiVersionOf(kind)) &&
    ref.name === object.metadata.name &&
    (!kind.namespaced || object.metadata.namespace === dependent.metadata.namespace)
  )
}

const groupOf = (apiVersion: string): string =>
  apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : ''
