/**
 * Whose child is it: a controller owns the children that carry its reference and match its selector, adopts orphans
 * that match, and releases what no longer matches (Kubernetes' controller reference manager).
 */
import type { Kind } from '../api/kind.ts'
import { controllerOf, controllerRef, keyOf, type KubeObject } from '../api/meta.ts'
import type { Patch, Reader } from '../controller/reconciler.ts'
import { selectorMatcher, type LabelSelector } from '../api/selectors.ts'

export interface Claim<T extends KubeObject> {
  /** Owned before or adopted now. */
  readonly children: readonly T[]
  /** Adoptions and releases that make it so. */
  readonly patches: readonly Patch[]
}

export function claim<T extends KubeObject>(
  kind: Kind<T>,
  owner: KubeObject,
  selector: LabelSelector | undefined,
  read: Reader,
): Claim<T> {
  const matches = selectorMatcher(selector)
  const children: T[] = []
  const patches: Patch[] = []
  const setOwners = (child: T, ownerReferences: unknown) =>
    patches.push({
      kind,
      key: keyOf(child),
      // A whole list is written, so it must be this very child as it was looked at.
      body: {
        metadata: {
          uid: child.metadata.uid,
          resourceVersion: child.metadata.resourceVersion,
          ownerReferences,
        },
      },
    })
  for (const child of read.owned(kind, owner)) {
    if (matches(child.metadata.labels)) children.push(child)
    else if (!child.metadata.deletionTimestamp)
      setOwners(
        child,
        (child.metadata.ownerReferences ?? []).filter(({ uid }) => uid !== owner.metadata.uid),
      )
  }
  const namespace = owner.metadata.namespace ?? ''
  for (const orphan of read.list(kind, namespace, selector?.matchLabels)) {
    if (controllerOf(orphan) || orphan.metadata.deletionTimestamp) continue
    if (!matches(orphan.metadata.labels)) continue
    setOwners(orphan, [...(orphan.metadata.ownerReferences ?? []), controllerRef(owner)])
    children.push(orphan)
  }
  return { children, patches }
}
