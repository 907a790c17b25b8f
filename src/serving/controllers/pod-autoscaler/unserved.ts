/**
 * PodAutoscalers of the HPA class, whose autoscaler is a program of its own upstream and does not run here: they say so
 * in their conditions, instead of saying nothing for ever. One who does serve them overwrites it.
 */
import type { Reconciler } from '../../../kube/controller/reconciler.ts'
import { finish } from '../../../knative/conditions.ts'
import { annotation, hpaClass } from '../../api/names.ts'
import { PodAutoscaler, podAutoscalerConditions } from '../../api/pod-autoscaler.ts'

export const unservedPodAutoscalerReconciler: Reconciler<PodAutoscaler, PodAutoscaler> = {
  name: 'hpa-class-podautoscaler-controller',
  kind: PodAutoscaler,
  watches: [],
  handles: ({ metadata }) => metadata.annotations?.[annotation.autoscalingClass] === hpaClass,
  observe: (autoscaler) => autoscaler,
  plan({ metadata: { generation = 0 }, status: stored }, nowMs) {
    if (stored?.conditions?.length) return {}
    const begun = podAutoscalerConditions.begin(stored ?? {}, generation, nowMs)
    const message = `No autoscaler of class "${hpaClass}" runs here.`
    const status = podAutoscalerConditions.markUnknown(
      begun,
      'Active',
      'NoAutoscaler',
      message,
      nowMs,
    )
    return {
      status: finish(status, stored, generation, nowMs),
      events: [{ type: 'Warning', reason: 'NoAutoscaler', message }],
    }
  },
}
