/** The Metric of a PodAutoscaler: what is measured, for those who look. */
import { apiVersionOf } from '../../../kube/api/kind.ts'
import { controllerRef } from '../../../kube/api/meta.ts'
import type { DeciderSpec } from '../../autoscaler/decide.ts'
import { Metric } from '../../api/metric.ts'
import { annotation } from '../../api/names.ts'
import type { PodAutoscaler } from '../../api/pod-autoscaler.ts'
import { without } from '../copied-metadata.ts'

const nsPerMs = 1_000_000

export function desiredMetric(
  autoscaler: PodAutoscaler,
  spec: DeciderSpec,
  privateServiceName: string,
): Metric {
  const { name, namespace, labels, annotations } = autoscaler.metadata
  return {
    apiVersion: apiVersionOf(Metric),
    kind: Metric.kind,
    metadata: {
      name,
      ...(namespace && { namespace }),
      ...(labels && { labels }),
      annotations: without(annotations, (key) => key === annotation.copiedSettings),
      ownerReferences: [controllerRef(autoscaler)],
    },
    spec: {
      stableWindow: spec.stableWindowMs * nsPerMs,
      panicWindow: spec.panicWindowMs * nsPerMs,
      // With the activator always in the path its own counts are all there is.
      scrapeTarget: spec.targetBurstCapacity === -1 ? '' : privateServiceName,
    },
  }
}
