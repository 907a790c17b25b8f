/**
 * Reconcilers without a server: a handful of objects in a map, the reconcilers woken in any order, their plans carried
 * out by the loop's own comparison. For property tests of every kind: planning twice changes nothing, and any order of
 * wake-ups ends in the same objects.
 */
import { randomInt, type Random } from '../../lib/random.ts'
import { apiVersionOf, groupKind, type Kind } from '../api/kind.ts'
import { controllerOf, keyOf, keyText, type KubeObject, type ObjectKey } from '../api/meta.ts'
import { Cache } from '../client/cache.ts'
import { merged, mergePatch, semanticallyEqual } from './difference.ts'
import type { Plan, Reader, Reconciler } from './reconciler.ts'

/** A reconciler of any kind and world. */
// eslint-disable-next-line typescript/no-explicit-any -- the world is the reconciler's own business
export type AnyReconciler = Reconciler<any, any>

export interface Simulation {
  readonly reader: Reader
  /** All objects, in the order of kind and key. */
  objects(): readonly KubeObject[]
  /** Stores an object as a user or another part of the platform would, and lets reconcilers know. */
  put<T extends KubeObject>(kind: Kind<T>, object: T): void
  delete(kind: Kind, key: ObjectKey): void
  /** Carries out what the reconcilers want until they want nothing more. Answers the number of rounds. */
  settle(options: SettleOptions): number
}

interface SettleOptions {
  readonly nowMs: number
  /** Which key is next. The default takes them as they come. */
  readonly random?: Random
  /** More rounds than this are taken for a loop without end and throw; default 1,000. */
  readonly maxRounds?: number
}

interface Stored {
  readonly kind: Kind
  readonly cache: Cache<KubeObject>
}

export function simulate(reconcilers: readonly AnyReconciler[]): Simulation {
  const kinds = new Map<string, Stored>()
  const waiting = new Map<string, { reconciler: AnyReconciler; key: ObjectKey }>()
  let revision = 0

  const stored = (kind: Kind): Stored => {
    const name = groupKind(kind)
    let entry = kinds.get(name)
    if (!entry) kinds.set(name, (entry = { kind, cache: new Cache<KubeObject>() }))
    return entry
  }

  const reader: Reader = {
    get: <T extends KubeObject>(kind: Kind<T>, key: ObjectKey) =>
      stored(kind).cache.get(key) as T | undefined,
    list: <T extends KubeObject>(kind: Kind<T>, namespace: string, labels = {}) =>
      stored(kind).cache.list(namespace, labels) as readonly T[],
    owned: <T extends KubeObject>(kind: Kind<T>, owner: KubeObject) =>
      stored(kind).cache.owned(owner) as readonly T[],
  }

  const wake = (reconciler: AnyReconciler, key: ObjectKey) =>
    void waiting.set(`${reconciler.name} ${keyText(key)}`, { reconciler, key })

  const changed = (kind: Kind, object: KubeObject) => {
    const name = groupKind(kind)
    for (const reconciler of reconcilers) {
      if (groupKind(reconciler.kind) === name) wake(reconciler, keyOf(object))
      for (const watch of reconciler.watches) {
        if (groupKind(watch.kind) !== name || watch.wake === 'none') continue
        if (watch.wake === 'all') {
          for (const each of stored(reconciler.kind).cache.values()) wake(reconciler, keyOf(each))
        } else if (watch.wake === 'owner') {
          const ref = controllerOf(object)
          if (ref?.kind === reconciler.kind.kind)
            wake(reconciler, { namespace: object.metadata.namespace ?? '', name: ref.name })
        } else for (const key of watch.wake(object, reader)) wake(reconciler, key)
      }
    }
  }

  /** Stores what differs, with the metadata a server would give it. Answers whether it did. */
  const store = (kind: Kind, object: KubeObject): boolean => {
    const { cache } = stored(kind)
    const previous = cache.get(keyOf(object))
    if (previous && semanticallyEqual(previous, object)) return false
    revision++
    const generation = previous?.metadata.generation ?? 0
    const same = previous && semanticallyEqual(content(previous), content(object))
    const next: KubeObject = {
      ...object,
      apiVersion: apiVersionOf(kind),
      kind: kind.kind,
      metadata: {
        creationTimestamp: '2026-01-01T00:00:00Z',
        ...object.metadata,
        // Names are unique here, so a uid made of them stays the same in any order of creation.
        uid: object.metadata.uid ?? `uid-${groupKind(kind)}-${keyText(keyOf(object))}`,
        generation: same ? generation : generation + 1,
        resourceVersion: String(revision),
      },
    }
    cache.put(next)
    changed(kind, next)
    return true
  }

  const remove = (kind: Kind, key: ObjectKey): boolean => {
    const { cache } = stored(kind)
    const object = cache.get(key)
    if (!object) return false
    if (object.metadata.finalizers?.length) {
      if (object.metadata.deletionTimestamp) return false
      const deletionTimestamp = '2026-01-01T00:00:00Z'
      return store(kind, { ...object, metadata: { ...object.metadata, deletionTimestamp } })
    }
    cache.remove(key)
    changed(kind, object)
    for (const other of kinds.values()) {
      for (const child of other.cache.owned(object)) remove(other.kind, keyOf(child))
    }
    return true
  }

  /** Carries out a plan; answers whether anything changed. */
  const carryOut = (plan: Plan): boolean => {
    let any = false
    for (const apply of plan.apply ?? []) {
      const existing = stored(apply.kind).cache.get(keyOf(apply.desired))
      if (store(apply.kind, existing ? merged(apply, existing) : apply.desired)) any = true
    }
    for (const { kind, key, body } of plan.patch ?? []) {
      const existing = stored(kind).cache.get(key)
      if (existing && store(kind, mergePatch(existing, body) as KubeObject)) any = true
    }
    for (const { kind, key } of plan.delete ?? []) if (remove(kind, key)) any = true
    return any
  }

  /** One reconcile; answers whether anything changed. */
  const reconcile = (reconciler: AnyReconciler, key: ObjectKey, nowMs: number): boolean => {
    const kind: Kind = reconciler.kind
    const current = (): KubeObject | undefined => stored(kind).cache.get(key)
    const object = current()
    if (!object) return carryOut(reconciler.gone?.(key, reader) ?? {})
    if (reconciler.handles && !reconciler.handles(object)) return false
    const { finalizer } = reconciler
    const { deletionTimestamp, finalizers = [] } = object.metadata
    if (deletionTimestamp) {
      if (!finalizer || !finalizers.includes(finalizer) || !reconciler.finalize) return false
      const plan = reconciler.finalize(reconciler.observe(object, reader, nowMs), nowMs)
      let any = carryOut(plan)
      if (plan.done) {
        const left = finalizers.filter((other) => other !== finalizer)
        const now = current() ?? object
        any = store(kind, { ...now, metadata: { ...now.metadata, finalizers: left } }) || any
        if (left.length === 0) remove(kind, key)
      }
      return any
    }
    let any = false
    if (finalizer && !finalizers.includes(finalizer)) {
      const metadata = { ...object.metadata, finalizers: [...finalizers, finalizer] }
      any = store(kind, { ...object, metadata })
    }
    const plan = reconciler.plan(reconciler.observe(current() ?? object, reader, nowMs), nowMs)
    any = carryOut(plan) || any
    const after = current()
    // As in the loop: who was woken by what he wrote says how it stands when he looks again.
    if (plan.statusCanWait && any && waiting.has(`${reconciler.name} ${keyText(key)}`)) return any
    if (plan.status !== undefined && after)
      any = store(kind, { ...after, status: plan.status } as KubeObject) || any
    return any
  }

  return {
    reader,
    objects: () =>
      [...kinds.keys()]
        .toSorted()
        .flatMap((name) =>
          [...(kinds.get(name)?.cache.values() ?? [])].toSorted((a, b) =>
            keyText(keyOf(a)) < keyText(keyOf(b)) ? -1 : 1,
          ),
        ),
    put: (kind, object) => void store(kind, object),
    delete: (kind, key) => void remove(kind, key),
    settle({ nowMs, random, maxRounds = 1_000 }) {
      let rounds = 0
      while (waiting.size > 0) {
        if (++rounds > maxRounds) {
          const keys = [...waiting.keys()].join(', ')
          throw new Error(`no end after ${maxRounds} rounds; still waiting: ${keys}`)
        }
        const names = [...waiting.keys()]
        const name = names[random ? randomInt(random, names.length) : 0] ?? ''
        const next = waiting.get(name)
        waiting.delete(name)
        if (next) reconcile(next.reconciler, next.key, nowMs)
      }
      // Quiet: now everyone looks again, and nobody may want anything.
      for (const reconciler of reconcilers) {
        for (const object of stored(reconciler.kind).cache.list('')) {
          if (reconcile(reconciler, keyOf(object), nowMs))
            throw new Error(
              `${reconciler.name} changes ${keyText(keyOf(object))} when it plans again`,
            )
        }
      }
      return rounds
    },
  }
}

/** Everything but metadata and status: what a change of means a new generation. */
function content(object: KubeObject): unknown {
  const { metadata: _, ...rest } = object
  if ('status' in rest) return { ...rest, status: undefined }
  return rest
}

/** Objects without what depends on how many writes it took and in which order: for comparing two ends. */
export const withoutHistory = (objects: readonly KubeObject[]): readonly unknown[] =>
  objects.map((object) => {
    const status = 'status' in object ? (object.status as object) : undefined
    return {
      ...object,
      metadata: { ...object.metadata, resourceVersion: undefined, generation: undefined },
      ...(status && { status: { ...status, observedGeneration: undefined } }),
    }
  })
