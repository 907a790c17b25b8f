/**
 * What is different, and what would be written: the pure half of carrying out a plan. Absent, null and empty mean the
 * same, as for Kubernetes' semantic equality, so that nothing is written for the sake of an empty list.
 */
import type { KubeObject, ObjectMeta, OwnerReference } from '../api/meta.ts'
import type { Apply } from './reconciler.ts'

type Tree = Readonly<Record<string, unknown>>

const isTree = (value: unknown): value is Tree =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null) return true
  if (Array.isArray(value)) return value.length === 0
  if (typeof value !== 'object') return false
  for (const field of Object.values(value)) if (!isEmpty(field)) return false
  return true
}

/** Deep equality in which absent, null, `[]` and `{}` are one. */
export function semanticallyEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (Array.isArray(a) && Array.isArray(b))
    return a.length === b.length && a.every((item, i) => semanticallyEqual(item, b[i]))
  if (isTree(a) && isTree(b)) {
    for (const key in a) if (!semanticallyEqual(a[key], b[key])) return false
    for (const key in b) if (!(key in a) && !isEmpty(b[key])) return false
    return true
  }
  return isEmpty(a) && isEmpty(b)
}

/** RFC 7396: `patch` laid over `target`; null removes. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isTree(patch)) return patch
  const result: Record<string, unknown> = isTree(target) ? { ...target } : {}
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key]
    else result[key] = mergePatch(result[key], value)
  }
  return result
}

/** What to store for an `Apply` whose object exists: `existing` itself when nothing would change. */
export function merged({ desired, merge }: Apply, existing: KubeObject): KubeObject {
  const result = merge ? merge(existing) : overwrite(existing, desired)
  return result === existing || semanticallyEqual(result, existing) ? existing : result
}

/** Everything is as desired but metadata, which contains it, and status, which is not ours here. */
function overwrite(existing: KubeObject, desired: KubeObject): KubeObject {
  const { labels, annotations, ownerReferences } = desired.metadata
  const metadata: ObjectMeta = {
    ...existing.metadata,
    ...(labels && { labels: { ...existing.metadata.labels, ...labels } }),
    ...(annotations && { annotations: { ...existing.metadata.annotations, ...annotations } }),
    ...(ownerReferences && {
      ownerReferences: withOwners(existing.metadata.ownerReferences ?? [], ownerReferences),
    }),
  }
  return {
    ...desired,
    metadata,
    ...('status' in existing && { status: existing.status }),
  }
}

/** A reference replaces the one to the same object, or to one of the same name that no longer lives. */
function withOwners(
  existing: readonly OwnerReference[],
  desired: readonly OwnerReference[],
): readonly OwnerReference[] {
  const replaced = (ref: OwnerReference) =>
    desired.some(
      ({ uid, kind, name, apiVersion }) =>
        uid === ref.uid ||
        (kind === ref.kind && name === ref.name && apiVersion === ref.apiVersion),
    )
  const kept = existing.filter((ref) => !replaced(ref))
  return kept.length === 0 ? desired : [...kept, ...desired]
}
