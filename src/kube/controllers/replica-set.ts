/**
 * Keeps a ReplicaSet's number of pods: creates what is missing, deletes what is too much, replaces what has ended.
 * The behaviour of kube-controller-manager's replicaset controller. Creation stops at
 * the first refusal, which is stricter than upstream's slow start and has the same purpose.
 */
import { rfc3339 } from '../../lib/clock.ts'
import { randomName, type Random } from '../../lib/random.ts'
import { controllerRef, keyOf, type KubeObject, type ObjectKey } from '../api/meta.ts'
import { Pod } from '../api/pod.ts'
import { ReplicaSet } from '../api/replica-set.ts'
import { selectorMatcher } from '../api/selectors.ts'
import type { StatusError } from '../api/status-error.ts'
import type { Apply, Plan, Reader, Reconciler } from '../controller/reconciler.ts'
import { claim, type Claim } from './claim.ts'
import { compareForDeletion } from './pod-rank.ts'
import { isActive, isReady, readyForMs } from './pod-state.ts'

interface World {
  readonly replicaSet: ReplicaSet
  readonly pods: Claim<Pod>
  /** As many new names as pods are missing: chance is drawn here, so that the plan is pure. */
  readonly names: readonly string[]
}

/** Pods created or deleted in one go at most. */
const maxBurst = 500

export const replicaSet = (random: Random): Reconciler<ReplicaSet, World> => ({
  name: 'replicaset-controller',
  urgent: true,
  kind: ReplicaSet,
  watches: [
    { kind: Pod, wake: 'owner' },
    { kind: Pod, wake: orphanWakes },
  ],

  observe(replicaSet, read) {
    const pods = claim(Pod, replicaSet, replicaSet.spec.selector, read)
    const missing = (replicaSet.spec.replicas ?? 1) - pods.children.filter(isActive).length
    const names = Array.from({ length: Math.min(Math.max(missing, 0), maxBurst) }, () =>
      podName(replicaSet, random),
    )
    return { replicaSet, pods, names }
  },

  plan({ replicaSet, pods, names }, nowMs): Plan {
    const active = pods.children.filter(isActive)
    const surplus = active.length - (replicaSet.spec.replicas ?? 1)
    const doomed =
      surplus > 0
        ? active
            .toSorted((a, b) => compareForDeletion(a, b, nowMs))
            .slice(0, Math.min(surplus, maxBurst))
        : []
    const left = doomed.length > 0 ? active.filter((pod) => !doomed.includes(pod)) : active
    const status = statusOf(replicaSet, left, names.length, nowMs)
    const unavailable = nextAvailableMs(replicaSet, left, nowMs)
    return {
      apply: names.map((name) => newPod(replicaSet, name)),
      patch: pods.patches,
      delete: doomed.map((pod) => ({
        kind: Pod,
        key: keyOf(pod),
        ...(pod.metadata.uid && { uid: pod.metadata.uid }),
      })),
      status,
      statusOnFailure: (refusal) => withFailure(replicaSet, pods, refusal, nowMs),
      events: doomed.map((pod) => ({
        type: 'Normal' as const,
        reason: 'SuccessfulDelete',
        message: `Deleted pod: ${pod.metadata.name}`,
      })),
      ...(unavailable !== undefined && { requeueAfterMs: unavailable }),
    }
  },
})

/** A pod without a controller may be wanted by any ReplicaSet of its namespace that selects it. */
function* orphanWakes(changed: KubeObject, read: Reader): Iterable<ObjectKey> {
  const { metadata } = changed
  if (metadata.ownerReferences?.some(({ controller }) => controller)) return
  if (metadata.deletionTimestamp) return
  for (const each of read.list(ReplicaSet, metadata.namespace ?? ''))
    if (selectorMatcher(each.spec.selector)(metadata.labels)) yield keyOf(each)
}

/** Generated names leave room for their suffix within 63 characters. */
const podName = ({ metadata }: ReplicaSet, random: Random) =>
  `${`${metadata.name}-`.slice(0, 58)}${randomName(random)}`

function newPod(owner: ReplicaSet, name: string): Apply {
  const { metadata = {}, spec } = owner.spec.template ?? {}
  const { labels, annotations, finalizers } = metadata
  const pod: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      generateName: `${owner.metadata.name}-`,
      ...(owner.metadata.namespace && { namespace: owner.metadata.namespace }),
      ...(labels && { labels }),
      ...(annotations && { annotations }),
      ...(finalizers && { finalizers }),
      ownerReferences: [controllerRef(owner)],
    },
    spec: spec ?? { containers: [] },
  }
  return {
    kind: Pod,
    desired: pod,
    merge: (existing) => existing,
    created: { type: 'Normal', reason: 'SuccessfulCreate', message: `Created pod: ${name}` },
    createFailed: { type: 'Warning', reason: 'FailedCreate', message: 'Error creating: ' },
  }
}

type Status = NonNullable<ReplicaSet['status']>

/** The status after the plan was carried out: `coming` pods are new and not ready. */
function statusOf(owner: ReplicaSet, pods: readonly Pod[], coming: number, nowMs: number): Status {
  const templateLabels = owner.spec.template?.metadata?.labels ?? {}
  const fullyLabeled = pods.filter((pod) =>
    selectorMatcher({ matchLabels: templateLabels })(pod.metadata.labels),
  ).length
  const ready = pods.filter(isReady).length
  const minReadyMs = (owner.spec.minReadySeconds ?? 0) * 1_000
  const available = pods.filter((pod) => (readyForMs(pod, nowMs) ?? -1) >= minReadyMs).length
  const conditions = (owner.status?.conditions ?? []).filter(
    ({ type }) => type !== 'ReplicaFailure',
  )
  const { generation } = owner.metadata
  return {
    replicas: pods.length + coming,
    ...(fullyLabeled + coming > 0 && { fullyLabeledReplicas: fullyLabeled + coming }),
    ...(ready > 0 && { readyReplicas: ready }),
    ...(available > 0 && { availableReplicas: available }),
    ...(generation !== undefined && { observedGeneration: generation }),
    ...(conditions.length > 0 && { conditions }),
  }
}

/** A refused create or delete shows as condition ReplicaFailure; Deployments and Revisions pass it on to the user. */
function withFailure(
  owner: ReplicaSet,
  pods: Claim<Pod>,
  refusal: StatusError,
  nowMs: number,
): Status {
  const active = pods.children.filter(isActive)
  const status = statusOf(owner, active, 0, nowMs)
  const known = owner.status?.conditions?.find(({ type }) => type === 'ReplicaFailure')
  const condition = known ?? {
    type: 'ReplicaFailure',
    status: 'True',
    reason: active.length < (owner.spec.replicas ?? 1) ? 'FailedCreate' : 'FailedDelete',
    message: refusal.message,
    lastTransitionTime: rfc3339(nowMs),
  }
  return { ...status, conditions: [...(status.conditions ?? []), condition] }
}

/** When the next ready pod will have been ready for `minReadySeconds`. */
function nextAvailableMs(
  owner: ReplicaSet,
  pods: readonly Pod[],
  nowMs: number,
): number | undefined {
  const minReadyMs = (owner.spec.minReadySeconds ?? 0) * 1_000
  const waits = pods
    .map((pod) => readyForMs(pod, nowMs))
    .filter((readyMs) => readyMs !== undefined && readyMs < minReadyMs)
    .map((readyMs) => minReadyMs - (readyMs ?? 0))
  return waits.length > 0 ? Math.min(...waits) : undefined
}
