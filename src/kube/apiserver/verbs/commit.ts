/** The last step of every write to an existing object: silent when nothing changes, final when nothing holds it. */
import type { KubeObject } from '../../api/meta.ts'
import { keyOf } from '../../api/meta.ts'
import { StatusError } from '../../api/status-error.ts'
import type { Write } from '../../store/store.ts'
import type { Entry } from '../apply/managers.ts'
import { writtenEntries } from '../apply/managers.ts'
import { trackedUpdate, withEntries } from '../apply/tracking.ts'
import type { Target } from '../machinery.ts'
import { isKind } from '../machinery.ts'
import { bumpsGeneration } from '../metadata.ts'
import { storeKey } from '../registry.ts'
import { equal, fieldsOf, open, without } from '../values.ts'

export interface Committed {
  readonly object: KubeObject
  readonly writes: readonly Write[]
}

/**
 * Replaces `old` by `next`. Reading `old`, deciding and this call happen in one synchronous step, so there is no
 * race to retry: whoever calls must not have awaited anything since reading `old`.
 */
export function replace(
  target: Target,
  old: KubeObject,
  next: KubeObject,
  managers: Managers = {},
): Committed {
  const { kind, machinery, request } = target
  const generation = (old.metadata.generation ?? 1) + 1
  const isWish = target.subresource !== 'status' && bumpsGeneration(kind, old, next)
  const wished: KubeObject = isWish ? { ...next, metadata: { ...next.metadata, generation } } : next
  const { applied, requested } = managers
  const isSame = sameState(old, wished)
  if (isSame && !applied && !requested) return { object: old, writes: [] }
  const final = applied
    ? withEntries(wished, writtenEntries(applied))
    : target.subresource === 'binding'
      ? wished
      : trackedUpdate(target, old, wished, requested)
  if (isSame && sameManagers(old, final)) return { object: old, writes: [] }
  refuseTooLarge(target, final)
  if (request.options.dryRun) return { object: final, writes: [] }
  const key = storeKey(kind, keyOf(old))
  const expected = Number(old.metadata.resourceVersion)
  if (isReleased(target, final)) {
    const write = machinery.store.delete(key, expected, final)
    return { object: write.object, writes: [write] }
  }
  const write = machinery.store.put(key, final, expected)
  return { object: write.object, writes: [write] }
}

/** The field managers that a write itself says; otherwise they follow from what it changes. */
export interface Managers {
  /** After a server-side apply. */
  readonly applied?: readonly Entry[]
  /** As the client wants them, before this write is noted. */
  readonly requested?: readonly Entry[]
}

/** A write that would do nothing but put the clock forward is none. */
const sameManagers = (a: KubeObject, b: KubeObject): boolean =>
  equal(timeless(a.metadata.managedFields), timeless(b.metadata.managedFields))

const timeless = (entries: readonly unknown[] = []): readonly unknown[] =>
  entries.map((entry) => without(fieldsOf(entry), 'time'))

/** What etcd takes. */
const storedLimitBytes = 1.5 * 1024 * 1024

/** Refuses what Kubernetes' store would not take. The controllers' own writes are not measured: they copy no bodies. */
export function refuseTooLarge({ request }: Target, object: KubeObject): void {
  if (request.durable && JSON.stringify(object).length > storedLimitBytes)
    throw new StatusError('RequestEntityTooLarge', 'etcdserver: request is too large')
}

const sameState = (a: KubeObject, b: KubeObject): boolean =>
  equal(without(a, 'metadata'), without(b, 'metadata')) &&
  equal(
    without(a.metadata, 'resourceVersion', 'managedFields'),
    without(b.metadata, 'resourceVersion', 'managedFields'),
  )

/** True when an object that is being deleted has nothing left that holds it. */
function isReleased({ kind }: Target, { metadata, ...rest }: KubeObject): boolean {
  if (metadata.deletionTimestamp === undefined) return false
  if ((metadata.deletionGracePeriodSeconds ?? 0) > 0) return false
  if ((metadata.finalizers ?? []).length > 0) return false
  return !isKind(kind, '', 'Namespace') || !hasSpecFinalizers({ metadata, ...rest })
}

/** Namespaces are held by `spec.finalizers` too, until their content is gone. */
export function hasSpecFinalizers(namespace: KubeObject): boolean {
  const { finalizers } = fieldsOf(open(namespace)['spec'])
  return Array.isArray(finalizers) && finalizers.length > 0
}
