/** The PodAutoscaler of a Revision, and how reachable the Revision is (contracts/serving 1.7, 2.5). */
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
 * Both the Revision's scale settings and the PodAutoscaler's own can be edited live. What changed on the Revision since
 * it was copied last goes over; what was edited on the PodAutoscaler stays until then.
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
  const copied = settingsIn(existing[annotation.copiedSettings])
  const kept = without(
    existing,
    (key) =>
      key === annotation.copiedSettings || (isScaleSetting(key) && copied[key] !== desired[key]),
  )
  const unchanged = (key: string) => isScaleSetting(key) && copied[key] === desired[key]
  return { ...kept, ...without(desired, unchanged) }
}

const isScaleSetting = (key: string): boolean => key.startsWith('autoscaling.knative.dev/')

/** The Revision's scale settings, as a note on its PodAutoscaler; nothing where there are none. */
function noteOf(annotations: StringMap): StringMap {
  const settings = without(annotations, (key) => !isScaleSetting(key))
  return Object.keys(settings).length > 0
    ? { [annotation.copiedSettings]: JSON.stringify(settings) }
    : {}
}

/** A note that someone spoilt counts as none: then the Revision's settings go over again. */
function settingsIn(note: string | undefined): Readonly<Record<string, unknown>> {
  if (note === undefined) return {}
  try {
    const settings: unknown = JSON.parse(note)
    return typeof settings === 'object' && settings !== null ? { ...settings } : {}
  } catch {
    return {}
  }
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
