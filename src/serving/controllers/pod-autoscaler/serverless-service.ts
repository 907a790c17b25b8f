/** The ServerlessService of a PodAutoscaler: whether the activator stands in front of the pods. */
import { apiVersionOf } from '../../../kube/api/kind.ts'
import { controllerRef } from '../../../kube/api/meta.ts'
import { annotation } from '../../api/names.ts'
import type { PodAutoscaler } from '../../api/pod-autoscaler.ts'
import { ServerlessService, type ServerlessServiceMode } from '../../api/serverless-service.ts'
import { without } from '../copied-metadata.ts'

export function desiredServerlessService(
  autoscaler: PodAutoscaler,
  mode: ServerlessServiceMode,
  numActivators: number,
): ServerlessService {
  const { name, namespace, labels, annotations } = autoscaler.metadata
  const { scaleTargetRef, protocolType } = autoscaler.spec
  return {
    apiVersion: apiVersionOf(ServerlessService),
    kind: ServerlessService.kind,
    metadata: {
      name,
      ...(namespace && { namespace }),
      ...(labels && { labels }),
      annotations: without(
        annotations,
        (key) => key === annotation.autoscalingMetric || key === annotation.copiedSettings,
      ),
      ownerReferences: [controllerRef(autoscaler)],
    },
    spec: { mode, numActivators, objectRef: scaleTargetRef, protocolType },
  }
}
