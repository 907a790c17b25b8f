/** What a PodAutoscaler says of itself. */
import { conditionOf } from '../../../knative/conditions.ts'
import { activeCondition, reportedDesiredScale } from '../../autoscaler/scale.ts'
import { podAutoscalerConditions, type PodAutoscalerStatus } from '../../api/pod-autoscaler.ts'

const conditions = podAutoscalerConditions

export const sksNotReady = (
  status: PodAutoscalerStatus,
  message: string,
  nowMs: number,
): PodAutoscalerStatus => conditions.markUnknown(status, 'SKSReady', 'NotReady', message, nowMs)

export const sksReady = (status: PodAutoscalerStatus, nowMs: number): PodAutoscalerStatus =>
  conditions.markTrue(status, 'SKSReady', nowMs)

export const notOwned = (
  status: PodAutoscalerStatus,
  kind: string,
  name: string,
  nowMs: number,
): PodAutoscalerStatus =>
  conditions.markFalse(
    status,
    'Active',
    'NotOwned',
    `There is an existing ${kind} "${name}" that we do not own.`,
    nowMs,
  )

/** Scales, ScaleTargetInitialized and Active. `want` -1 = the autoscaler has no wish yet. */
export function withScale(
  status: PodAutoscalerStatus,
  seen: { readonly want: number; readonly readyPods: number; readonly threshold: number },
  nowMs: number,
): PodAutoscalerStatus {
  const { want, readyPods, threshold } = seen
  let next: PodAutoscalerStatus = {
    ...status,
    actualScale: readyPods,
    desiredScale: reportedDesiredScale(want, status.desiredScale),
  }
  if (readyPods >= threshold && next.serviceName)
    next = conditions.markTrue(next, 'ScaleTargetInitialized', nowMs)
  const active = activeCondition({
    readyPods,
    want,
    threshold,
    active: conditionOf(status, 'Active')?.status ?? 'Unknown',
  })
  switch (active?.status) {
    case 'True':
      return conditions.markTrue(next, 'Active', nowMs)
    case 'False':
      return conditions.markFalse(next, 'Active', active.reason, active.message, nowMs)
    case 'Unknown':
      return conditions.markUnknown(next, 'Active', active.reason, active.message, nowMs)
    case undefined:
      return next
  }
}
