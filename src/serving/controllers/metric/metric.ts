/** Metric: the gateway measures every Revision without being asked, so a Metric is ready as soon as it is seen. */
import type { Reconciler } from '../../../kube/controller/reconciler.ts'
import { finish } from '../../../knative/conditions.ts'
import { Metric, metricConditions } from '../../api/metric.ts'

export const metricReconciler: Reconciler<Metric, Metric> = {
  name: 'metric-controller',
  kind: Metric,
  watches: [],
  observe: (metric) => metric,
  plan(metric, nowMs) {
    const { generation = 0 } = metric.metadata
    const begun = metricConditions.begin(metric.status ?? {}, generation, nowMs)
    const status = metricConditions.markTrue(begun, 'Ready', nowMs)
    return { status: finish(status, metric.status, generation, nowMs) }
  },
}
