/**
 * DELETE: preconditions, propagation finalizers, graceful leaving, finalizers that hold an object back, and its end.
 */
import { rfc3339 } from '../../../lib/clock.ts'
import { keyOf } from '../../api/meta.ts'
import type { KubeObject } from '../../api/meta.ts'
import type { ApiResponse } from '../../api/protocol.ts'
import { StatusError } from '../../api/status-error.ts'
import type { Write } from '../../store/store.ts'
import { admitDelete } from '../admission.ts'
import { hasSpecFinalizers } from './commit.ts'
import { answer, answerBody, isKind, settled, storedObject, unknownResource } from '../machinery.ts'
import type { Target } from '../machinery.ts'
import { requireDeletable } from '../namespaces.ts'
import { storeKey } from '../registry.ts'
import { equal, fieldsOf, open, without } from '../values.ts'

export async function remove(target: Target): Promise<ApiResponse> {
  if (target.subresource !== '') throw unknownResource()
  const old = storedObject(target)
  if (isKind(target.kind, '', 'Namespace')) requireDeletable(target)
  const { object, gone, writes } = removeNow(target, old)
  await settled(target, ...writes)
  if (!gone || answersObject.has(target.kind.group ? '' : target.kind.kind))
    return answer(target, 200, object)
  const { name, uid } = object.metadata
  return answerBody(target, 200, {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    details: {
      name,
      ...(target.kind.group && { group: target.kind.group }),
      kind: target.kind.plural,
      ...(uid !== undefined && { uid }),
    },
  })
}

/** Core kinds whose DELETE always answers the deleted object instead of a Status. */
const answersObject = new Set([
  'Pod',
  'Service',
  'ServiceAccount',
  'Namespace',
  'PersistentVolume',
  'PersistentVolumeClaim',
  'ResourceQuota',
  'PodTemplate',
])

interface Removed {
  readonly object: KubeObject
  /** False: it lingers, with a deletionTimestamp. */
  readonly gone: boolean
  readonly writes: readonly Write[]
}

/** One step of deleting `old`, which must have been read in this same synchronous step. */
export function removeNow(target: Target, old: KubeObject): Removed {
  checkPreconditions(target, old)
  admitDelete(target, old)
  const { kind, machinery, request } = target
  const nowMs = machinery.clock.now()
  const leaving = old.metadata.deletionTimestamp !== undefined
  const finalizers = finalizersFor(target, old)
  const grace = gracePeriod(target, old)
  const held = finalizers.length > 0 || (isKind(kind, '', 'Namespace') && hasSpecFinalizers(old))
  const key = storeKey(kind, keyOf(old))
  const expected = Number(old.metadata.resourceVersion)
  const dryRun = request.options.dryRun ?? false

  if (grace > 0 || held) {
    const next = terminating(target, old, finalizers, grace, nowMs)
    if (next === old || dryRun) return { object: next, gone: false, writes: [] }
    const write = machinery.store.put(key, next, expected)
    return { object: write.object, gone: false, writes: [write] }
  }
  if (dryRun) return { object: old, gone: true, writes: [] }
  // Watchers of a pod that left gracefully see its grace run out before it is gone.
  const last = leaving ? terminating(target, old, finalizers, 0, nowMs) : old
  if (last !== old && (old.metadata.deletionGracePeriodSeconds ?? 0) > 0) {
    const step = machinery.store.put(key, last, expected)
    const end = machinery.store.delete(key, step.revision)
    return { object: end.object, gone: true, writes: [step, end] }
  }
  const write = machinery.store.delete(key, expected)
  return { object: write.object, gone: true, writes: [write] }
}

function checkPreconditions({ kind, request, name }: Target, old: KubeObject): void {
  const { uid, resourceVersion } = request.options.preconditions ?? {}
  const refuse = (what: string, given: string, stored: string | undefined, happened: string) =>
    new StatusError(
      'Conflict',
      `Operation cannot be fulfilled on ${kind.kind} "${name}": the ${what} in the precondition (${given}) does not match the ${what} in record (${stored}). The object might have been ${happened}`,
      { name, ...(kind.group && { group: kind.group }), kind: kind.kind },
    )
  if (uid !== undefined && uid !== old.metadata.uid)
    throw refuse('UID', uid, old.metadata.uid, 'deleted and then recreated')
  if (resourceVersion !== undefined && resourceVersion !== old.metadata.resourceVersion)
    throw refuse('ResourceVersion', resourceVersion, old.metadata.resourceVersion, 'modified')
}

const foreground = 'foregroundDeletion'
const orphan = 'orphan'

/** The finalizers as the propagation policy wants them. The garbage collector takes its own two away again. */
function finalizersFor({ request }: Target, { metadata }: KubeObject): readonly string[] {
  const { finalizers = [] } = metadata
  const policy = request.options.propagationPolicy
  if (policy === undefined) return finalizers
  const others = finalizers.filter((each) => each !== foreground && each !== orphan)
  switch (policy) {
    case 'Foreground':
      return [...others, foreground]
    case 'Orphan':
      return [...others, orphan]
    case 'Background':
      return others.length === finalizers.length ? finalizers : others
  }
}

/** Seconds that the object still has; only pods that run somewhere have any. */
function gracePeriod({ kind, request }: Target, old: KubeObject): number {
  const wish = kind.gracefulDeletion?.(old)
  if (!wish || isIdlePod(old)) return 0
  const { deletionGracePeriodSeconds: left } = old.metadata
  const asked = request.options.gracePeriodSeconds
  if (left === undefined) return Math.max(asked ?? wish.gracePeriodSeconds, 0)
  // Already leaving: a further DELETE may only shorten the time.
  return asked === undefined ? left : Math.min(Math.max(asked, 0), left)
}

/** A pod that no node runs: not assigned yet, or finished. */
function isIdlePod(object: KubeObject): boolean {
  const { nodeName } = fieldsOf(open(object)['spec'])
  const { phase } = fieldsOf(open(object)['status'])
  return !nodeName || phase === 'Succeeded' || phase === 'Failed'
}

/** `old` marked as being deleted; `old` itself when the mark is there already. */
function terminating(
  { kind }: Target,
  old: KubeObject,
  finalizers: readonly string[],
  grace: number,
  nowMs: number,
): KubeObject {
  const { metadata } = old
  const first = metadata.deletionTimestamp === undefined
  const sameGrace = metadata.deletionGracePeriodSeconds === grace
  if (!first && sameGrace && equal(finalizers, metadata.finalizers ?? [])) return old
  const deletionTimestamp =
    first || !sameGrace ? rfc3339(nowMs + grace * 1000) : metadata.deletionTimestamp
  const next: KubeObject = {
    ...old,
    metadata: {
      ...without(metadata, 'finalizers'),
      deletionTimestamp,
      deletionGracePeriodSeconds: grace,
      ...(finalizers.length > 0 && { finalizers }),
      ...(first && kind.hasGeneration && { generation: (metadata.generation ?? 1) + 1 }),
    },
  }
  if (!isKind(kind, '', 'Namespace')) return next
  const status = { status: { ...fieldsOf(open(old)['status']), phase: 'Terminating' } }
  return { ...next, ...status }
}
