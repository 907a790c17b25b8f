/** The PodAutoscaler of a Revision, and how reachable the Revision is. */
import type { Deployment } from '../../../kube/api/deployment.ts'
import { apiVersionOf } from '../../../kube/api/kind.ts'
import { controllerRef, type StringMap } from '../../../kube/api/meta.ts'
import type { Apply } from '../../../kube/controller/reconciler.ts'
import { conditionOf } from '../../../knative/conditions.ts'
import { annotation, label } from '../../api/names.ts'
import { PodAutoscaler, type Reachability } from '../../api/pod-autoscaler.ts'
import type { Revision, RevisionStatus } from '../../api/revision.ts'
import { autoscalerAnnotations, revisionLabels, without } from '../copied-metadata.ts'
import { deploymentName } from './deployment.ts'
import { protocolOf } from './pod-template.ts'

export function desiredPodAutoscaler(
  revision: Revision,
  reachability: Reachability,
): PodAutoscaler {
  const { name, namespace } = revision.metadata
  const annotations = autoscalerAnnotations(revision.metadata)
  return {
    apiVersion: apiVersionOf(PodAutoscaler),
    kind: PodAutoscaler.kind,
    metadata: {
      name,
      ...(namespace && { namespace }),
      labels: revisionLabels(revision.metadata),
      annotations: { ...annotations, ...noteOf(annotations) },
      ownerReferences: [controllerRef(revision)],
    },
    spec: {
      containerConcurrency: revision.spec.containerConcurrency ?? 0,
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: deploymentName(name) },
      protocolType: protocolOf(revision),
      ...(reachability && { reachability }),
    },
  }
}

/**
 * Both the Revision's scale settings and the PodAutoscaler's own can be edited live: what was edited on the
 * PodAutoscaler stays until the Revision's settings change, then those go over as a whole (a mixture of both could
 * contradict itself). Class and metric, which admission fills in, stay where the Revision says nothing.
 */
export const applyPodAutoscaler = (desired: PodAutoscaler): Apply => ({
  kind: PodAutoscaler,
  desired,
  merge: (existing) => ({
    ...existing,
    metadata: {
      ...existing.metadata,
      labels: { ...existing.metadata.labels, ...desired.metadata.labels },
      annotations: mergedAnnotations(
        existing.metadata.annotations ?? {},
        desired.metadata.annotations ?? {},
      ),
    },
    spec: desired.spec,
  }),
})

function mergedAnnotations(existing: StringMap, desired: StringMap): StringMap {
  const note = annotation.copiedSettings
  if (existing[note] === desired[note])
    return { ...existing, ...without(desired, (key) => isScaleSetting(key)) }
  const overtaken = (key: string) =>
    key === note ||
    (isScaleSetting(key) &&
      key !== annotation.autoscalingClass &&
      key !== annotation.autoscalingMetric)
  return { ...without(existing, overtaken), ...desired }
}

const isScaleSetting = (key: string): boolean => key.startsWith('autoscaling.knative.dev/')

/** The Revision's scale settings, as a note on its PodAutoscaler; nothing where there are none. */
function noteOf(annotations: StringMap): StringMap {
  const settings = Object.entries(annotations)
    .filter(([key]) => isScaleSetting(key))
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
  return settings.length > 0
    ? { [annotation.copiedSettings]: JSON.stringify(Object.fromEntries(settings)) }
    : {}
}

/**
 * Whether traffic can come. A Revision whose pods have all failed counts as unreachable, so that minimum and initial
 * scale no longer hold and it goes to zero.
 */
export function reachabilityOf(
  { metadata }: Revision,
  status: RevisionStatus,
  deployment: Deployment | undefined,
): Reachability {
  const failed = ['ResourcesAvailable', 'ContainerHealthy'].some(
    (type) => conditionOf(status, type)?.status === 'False',
  )
  const wanted = deployment?.spec.replicas ?? 0
  const ready = deployment?.status?.readyReplicas ?? 0
  if (failed && deployment && wanted > 0 && ready === 0) return 'Unreachable'
  switch (metadata.labels?.[label.routingState]) {
    case 'active':
      return 'Reachable'
    case 'reserve':
      return 'Unreachable'
    default:
      return ''
  }
}
