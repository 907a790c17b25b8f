/** The last step of every write to an existing object: silent when nothing changes, final when nothing holds it. */
import type { KubeObject } from '../api/meta.ts'
import { keyOf } from '../api/meta.ts'
import type { Write } from '../store/store.ts'
import type { Target } from './machinery.ts'
import { isKind } from './machinery.ts'
import { bumpsGeneration } from './metadata.ts'
import { storeKey } from './registry.ts'
import { equal, fieldsOf, open, without } from './values.ts'

export interface Committed {
  readonly object: KubeObject
  readonly writes: readonly Write[]
}

/**
 * Replaces `old` by `next`. Reading `old`, deciding and this call happen in one synchronous step, so there is no
 * race to retry: whoever calls must not have awaited anything since reading `old`.
 */
export function replace(target: Target, old: KubeObject, next: KubeObject): Committed {
  const { kind, machinery, request } = target
  const generation = (old.metadata.generation ?? 1) + 1
  const isWish = target.subresource !== 'status' && bumpsGeneration(kind, old, next)
  const final: KubeObject = isWish ? { ...next, metadata: { ...next.metadata, generation } } : next
  if (sameState(old, final)) return { object: old, writes: [] }
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
