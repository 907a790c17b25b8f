/**
 * Carries out the writes of a plan: apply, patch, delete, in this order, stopping at the first refusal. Each answer
 * enters the informer's cache at once; a conflict fetches the fresh object into it, so that the retry decides on it.
 */
import type { Clock } from '../../lib/clock.ts'
import type { Kind } from '../api/kind.ts'
import { keyOf, type KubeObject, type ObjectKey } from '../api/meta.ts'
import { hasReason, StatusError } from '../api/status-error.ts'
import type { Client } from '../client/client.ts'
import type { Informers } from '../client/informer.ts'
import { merged, mergePatch, semanticallyEqual } from './difference.ts'
import type { Apply, Delete, Patch, Plan, PlannedEvent } from './reconciler.ts'

export interface PlanWriter {
  /** Throws the first refusal. `written` is told of each object as it was stored. */
  carryOut(
    plan: Plan,
    about: KubeObject | undefined,
    emit: (event: PlannedEvent) => void,
    written?: (object: KubeObject) => void,
  ): Promise<void>
  /** Reads the object past the cache and puts it there. */
  refresh(kind: Kind, key: ObjectKey): Promise<void>
}

interface Deps {
  readonly client: Client
  readonly informers: Informers
  readonly clock: Clock
}

export function createPlanWriter({ client, informers, clock }: Deps): PlanWriter {
  /**
   * Stored objects that are what became of a desired one although they differ from it, because the server fills in
   * defaults: asking again would change nothing. Keyed by the stored object, so it is forgotten with it.
   */
  const settled = new WeakMap<KubeObject, string>()
  const settle = (apply: Apply, stored: KubeObject) => {
    const again = merged(apply, stored)
    if (again !== stored) settled.set(stored, JSON.stringify(again))
  }

  const refresh = async (kind: Kind, key: ObjectKey) => {
    try {
      informers.for(kind).wrote(await client.get(kind, key))
    } catch (error) {
      if (!hasReason(error, 'NotFound')) throw error
    }
  }

  /** Asks the server whether the name still belongs to this very object. */
  const isThere = async (kind: Kind, key: ObjectKey, uid: string): Promise<boolean> => {
    try {
      const live = await client.get(kind, key)
      informers.for(kind).wrote(live)
      return live.metadata.uid === uid
    } catch (error) {
      if (hasReason(error, 'NotFound')) return false
      throw error
    }
  }

  const create = async (apply: Apply, emit: (event: PlannedEvent) => void) => {
    const { kind, desired, created, createFailed } = apply
    try {
      const stored = await client.create(kind, desired)
      if (created) emit(created)
      return stored
    } catch (error) {
      if (hasReason(error, 'AlreadyExists')) await refresh(kind, keyOf(desired))
      else if (createFailed) {
        const text = error instanceof Error ? error.message : String(error)
        emit({ ...createFailed, message: createFailed.message + text })
      }
      throw error
    }
  }

  const applyOne = async (apply: Apply, emit: (event: PlannedEvent) => void) => {
    const { kind, desired } = apply
    const informer = informers.for(kind)
    const existing = informer.get(keyOf(desired))
    if (!existing) {
      const stored = await create(apply, emit)
      settle(apply, stored)
      informer.wrote(stored)
      return stored
    }
    const result = merged(apply, existing)
    if (result === existing) return undefined
    const known = settled.get(existing)
    if (known !== undefined && known === JSON.stringify(result)) return undefined
    try {
      const stored = await client.update(kind, result)
      if (stored.metadata.resourceVersion === existing.metadata.resourceVersion)
        settle(apply, existing)
      else {
        settle(apply, stored)
        informer.wrote(stored)
        if (apply.updated && stored.metadata.generation !== existing.metadata.generation)
          emit(apply.updated)
      }
      return stored
    } catch (error) {
      if (hasReason(error, 'Conflict')) await refresh(kind, keyOf(desired))
      throw error
    }
  }

  const patchOne = async ({ kind, key, body, subresource }: Patch) => {
    const informer = informers.for(kind)
    const existing = informer.get(key)
    if (existing && semanticallyEqual(mergePatch(existing, body), existing)) return undefined
    try {
      const stored = await client.patch(kind, key, {
        type: 'merge',
        body,
        ...(subresource && { subresource }),
      })
      if (stored.kind !== kind.kind) return undefined // a Scale
      informer.wrote(stored)
      return stored
    } catch (error) {
      if (hasReason(error, 'Conflict')) await refresh(kind, key)
      // It was there when the plan was made: word of its end is on its way, and wakes who must know.
      if (existing && hasReason(error, 'NotFound')) return undefined
      throw error
    }
  }

  const deleteOne = async ({ kind, key, uid }: Delete) => {
    const informer = informers.for(kind)
    const existing = informer.get(key)
    try {
      await client.delete(kind, key, {
        propagationPolicy: 'Background',
        ...(uid && { preconditions: { uid } }),
      })
    } catch (error) {
      // Gone already, or another object bears the name now: both are what was wanted.
      const gone =
        hasReason(error, 'NotFound') ||
        (uid && hasReason(error, 'Conflict') && !(await isThere(kind, key, uid)))
      if (!gone) throw error
    }
    if (existing && (!uid || existing.metadata.uid === uid)) informer.deleted(existing, clock.now())
  }

  return {
    refresh,
    async carryOut(plan, about, emit, written = () => {}) {
      for (const apply of plan.apply ?? []) {
        const stored = await applyOne(apply, emit)
        if (stored) written(stored)
      }
      for (const patch of plan.patch ?? []) {
        const stored = await patchOne(patch)
        if (stored) written(stored)
      }
      for (const gone of plan.delete ?? []) await deleteOne(gone)
      if (about === undefined && plan.error)
        throw new StatusError('InternalError', plan.error.message, {}, { cause: plan.error })
    },
  }
}
