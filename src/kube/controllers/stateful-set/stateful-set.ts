/**
 * Keeps the pods of a StatefulSet: each under its own name, made in order and taken away in the opposite one, brought to a
 * new template from the highest number down (upstream: pkg/controller/statefulset).
 */
import { ControllerRevision } from '../../api/controller-revision.ts'
import { Pod } from '../../api/pod.ts'
import { StatefulSet } from '../../api/stateful-set.ts'
import type { Apply, Delete, Plan, PlannedEvent, Reconciler } from '../../controller/reconciler.ts'
import { claim, type Claim } from '../claim.ts'
import { forgotten, historyOf } from '../history.ts'
import { isReady, isTerminated, readyForMs } from '../pod-state.ts'
import { claimsToDelete, deletion, newPod, ordinalOf, revisionOf } from './stateful-pod.ts'

interface World {
  readonly set: StatefulSet
  readonly pods: Claim<Pod>
  readonly revisions: readonly ControllerRevision[]
}

type Status = NonNullable<StatefulSet['status']>

export const statefulSet: Reconciler<StatefulSet, World> = {
  name: 'statefulset-controller',
  kind: StatefulSet,
  watches: [
    { kind: Pod, wake: 'owner' },
    { kind: ControllerRevision, wake: 'owner' },
  ],
  observe: (set, read) => ({
    set,
    pods: claim(Pod, set, set.spec.selector, read),
    revisions: read.owned(ControllerRevision, set),
  }),
  plan(world, nowMs): Plan {
    const { set, pods, revisions } = world
    const history = historyOf(set, revisions)
    const { spec, status } = set
    const { update } = history
    const known = status?.currentRevision
    const current = known && history.templates.has(known) ? known : update
    const steps = stepsOf(world, nowMs, current, history.update, (revision) => ({
      ...(history.templates.get(revision) ?? spec.template),
    }))
    const { generation } = set.metadata
    const own = steps.after
    const ofRevision = (revision: string) =>
      own.filter((pod) => revisionOf(pod) === revision).length
    const updated = ofRevision(update) + steps.made.filter((each) => each === update).length
    const replicas = spec.replicas ?? 1
    const ready = own.filter((pod) => isReady(pod) && !pod.metadata.deletionTimestamp)
    const minReadyMs = (spec.minReadySeconds ?? 0) * 1_000
    const available = ready.filter((pod) => (readyForMs(pod, nowMs) ?? 0) >= minReadyMs)
    const total = own.length + steps.made.length
    // Once all are of the new template, it is the current one.
    const complete =
      spec.updateStrategy?.type !== 'OnDelete' &&
      updated === total &&
      total === replicas &&
      ready.length === replicas
    const shown = complete ? update : current
    const currentCount =
      shown === update
        ? updated
        : ofRevision(shown) + steps.made.filter((each) => each === shown).length
    const next: Status = {
      ...(generation !== undefined && { observedGeneration: generation }),
      replicas: total,
      ...(ready.length > 0 && { readyReplicas: ready.length }),
      availableReplicas: available.length,
      ...(currentCount > 0 && { currentReplicas: currentCount }),
      ...(updated > 0 && { updatedReplicas: updated }),
      currentRevision: shown,
      updateRevision: update,
      collisionCount: status?.collisionCount ?? 0,
    }
    const inUse = new Set([current, update, ...own.map(revisionOf)])
    const waitMs = Math.min(
      ...ready.map((pod) => minReadyMs - (readyForMs(pod, nowMs) ?? 0)).filter((ms) => ms > 0),
    )
    return {
      apply: [...history.apply, ...steps.apply],
      patch: [...pods.patches, ...history.patch],
      delete: [...steps.delete, ...forgotten(set, revisions, inUse)],
      status: next,
      events: steps.events,
      ...(waitMs !== Infinity && { requeueAfterMs: waitMs }),
    }
  },
}

interface Steps {
  readonly apply: readonly Apply[]
  readonly delete: readonly Delete[]
  readonly events: readonly PlannedEvent[]
  /** Pods that there are when the steps are done, those on their way out among them. */
  readonly after: readonly Pod[]
  /** Revisions of the pods that are made. */
  readonly made: readonly string[]
}

type Template = NonNullable<StatefulSet['spec']['template']>

function stepsOf(
  { set, pods }: World,
  nowMs: number,
  current: string,
  update: string,
  templateOf: (revision: string) => Template,
): Steps {
  const { spec } = set
  const replicas = spec.replicas ?? 1
  const start = spec.ordinals?.start ?? 0
  const isParallel = spec.podManagementPolicy === 'Parallel'
  const partition = spec.updateStrategy?.rollingUpdate?.partition ?? 0
  const rolls = spec.updateStrategy?.type !== 'OnDelete'
  const minReadyMs = (spec.minReadySeconds ?? 0) * 1_000
  const isHealthy = (pod: Pod) =>
    isReady(pod) && !pod.metadata.deletionTimestamp && (readyForMs(pod, nowMs) ?? 0) >= minReadyMs

  const apply: Apply[] = []
  const deleted: Delete[] = []
  const events: PlannedEvent[] = []
  const made: string[] = []
  const byOrdinal = new Map<number, Pod>()
  const condemned: { readonly pod: Pod; readonly ordinal: number }[] = []
  for (const pod of pods.children) {
    const ordinal = ordinalOf(set, pod)
    if (ordinal === undefined) continue
    if (ordinal >= start && ordinal < start + replicas) byOrdinal.set(ordinal, pod)
    else condemned.push({ pod, ordinal })
  }
  const steps = (): Steps => ({
    apply,
    delete: deleted,
    events,
    made,
    after: [...byOrdinal.values(), ...condemned.map(({ pod }) => pod)],
  })
  const remove = (pod: Pod) => {
    const { name } = pod.metadata
    deleted.push(deletion(pod))
    const message = `delete Pod ${name} in StatefulSet ${set.metadata.name} successful`
    events.push({ type: 'Normal', reason: 'SuccessfulDelete', message })
  }
  if (set.metadata.deletionTimestamp) return steps()

  for (let ordinal = start; ordinal < start + replicas; ordinal++) {
    const pod = byOrdinal.get(ordinal)
    if (pod && isTerminated(pod) && !pod.metadata.deletionTimestamp) {
      remove(pod)
      events.push({
        type: 'Warning',
        reason: 'RecreatingFailedPod',
        message: `StatefulSet ${set.metadata.namespace ?? ''}/${set.metadata.name} is recreating failed Pod ${pod.metadata.name}`,
      })
      if (!isParallel) return steps()
    } else if (!pod) {
      // What is not to be rolled out yet comes again as it was.
      const old = rolls ? ordinal - start < partition : false
      const revision =
        old || (rolls && current !== update && isBelowWave(ordinal)) ? current : update
      apply.push(...newPod(set, ordinal, revision, templateOf(revision)))
      made.push(revision)
      if (!isParallel) return steps()
    } else if (!isHealthy(pod) && !isParallel) return steps()
  }
  // Highest first; in order, one at a time and none while another is on its way out.
  const highestFirst = condemned.toSorted((a, b) => b.ordinal - a.ordinal)
  for (const { pod, ordinal } of highestFirst) {
    if (pod.metadata.deletionTimestamp) {
      if (!isParallel) return steps()
      continue
    }
    remove(pod)
    deleted.push(...claimsToDelete(set, ordinal))
    if (!isParallel) return steps()
  }
  if (!rolls) return steps()
  for (let ordinal = start + replicas - 1; ordinal >= start + partition; ordinal--) {
    const pod = byOrdinal.get(ordinal)
    if (!pod) return steps()
    if (revisionOf(pod) !== update) {
      if (!pod.metadata.deletionTimestamp) remove(pod)
      return steps()
    }
    if (!isHealthy(pod)) return steps()
  }
  return steps()

  /** A rollout comes from above: below the first pod of the new template all are still as they were. */
  function isBelowWave(ordinal: number): boolean {
    for (let higher = ordinal + 1; higher < start + replicas; higher++) {
      const pod = byOrdinal.get(higher)
      if (pod && revisionOf(pod) !== update) return true
    }
    return false
  }
}
