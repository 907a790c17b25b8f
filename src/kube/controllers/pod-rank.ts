/** Which pods go first when there are too many. */
import type { Pod } from '../api/pod.ts'
import { isReady, podCondition } from './pod-state.ts'

const phaseRank: Readonly<Record<string, number>> = { Pending: 0, Unknown: 1, Running: 2 }

/** Compares by the first rule that tells them apart; negative = `a` is deleted before `b`. */
export function compareForDeletion(a: Pod, b: Pod, nowMs: number): number {
  return (
    Number(Boolean(a.spec.nodeName)) - Number(Boolean(b.spec.nodeName)) ||
    phaseOf(a) - phaseOf(b) ||
    Number(isReady(a)) - Number(isReady(b)) ||
    deletionCost(a) - deletionCost(b) ||
    bucket(readySince(a), nowMs) - bucket(readySince(b), nowMs) ||
    restarts(b) - restarts(a) ||
    created(b) - created(a) ||
    (a.metadata.name < b.metadata.name ? -1 : 1)
  )
}

const phaseOf = (pod: Pod) => phaseRank[pod.status?.phase ?? 'Pending'] ?? 1

function deletionCost(pod: Pod): number {
  const cost = Number(pod.metadata.annotations?.['controller.kubernetes.io/pod-deletion-cost'] ?? 0)
  return Number.isFinite(cost) ? cost : 0
}

/** Ages that differ by less than a factor of two count as one, so that any of them may go. */
const bucket = (sinceMs: number, nowMs: number) =>
  sinceMs === Infinity ? -1 : Math.floor(Math.log2(Math.max(nowMs - sinceMs, 1) / 1000 + 1))

const readySince = (pod: Pod) =>
  isReady(pod) ? Date.parse(podCondition(pod, 'Ready')?.lastTransitionTime ?? '') || 0 : Infinity

const restarts = (pod: Pod) =>
  Math.max(0, ...(pod.status?.containerStatuses ?? []).map(({ restartCount }) => restartCount))

const created = (pod: Pod) => Date.parse(pod.metadata.creationTimestamp ?? '') || 0
