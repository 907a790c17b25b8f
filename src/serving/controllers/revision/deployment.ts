/** The Deployment that runs a Revision. Only another hash of it changes one that exists. */
import { Deployment } from '../../../kube/api/deployment.ts'
import { apiVersionOf } from '../../../kube/api/kind.ts'
import { controllerRef, type KubeObject } from '../../../kube/api/meta.ts'
import type { Apply } from '../../../kube/controller/reconciler.ts'
import { childName } from '../../../knative/child-name.ts'
import { parseDuration } from '../../../knative/duration.ts'
import { fnv32a } from '../../../knative/hash.ts'
import type { AutoscalerConfig } from '../../api/config/autoscaler.ts'
import type { DeploymentConfig } from '../../api/config/deployment.ts'
import { annotationSpellings, firstSpelling, label } from '../../api/names.ts'
import type { Revision } from '../../api/revision.ts'
import { deploymentAnnotations, revisionLabels } from '../copied-metadata.ts'
import { initialScaleOf } from '../pod-autoscaler/annotations.ts'
import { podTemplate } from './pod-template.ts'

export const deploymentName = (revision: string): string => childName(revision, '-deployment')

/** How long a Revision may take to come up. */
export function progressDeadlineMs(
  annotations: Readonly<Record<string, string>> | undefined,
  config: DeploymentConfig,
): number {
  const said = firstSpelling(annotations, annotationSpellings.progressDeadline)
  return (said && parseDuration(said.value)) || config.progressDeadlineMs
}

export function desiredDeployment(
  revision: Revision,
  digests: ReadonlyMap<string, string>,
  config: { readonly deployment: DeploymentConfig; readonly autoscaler: AutoscalerConfig },
): Deployment {
  const { name, namespace, uid } = revision.metadata
  const labels = revisionLabels(revision.metadata)
  const annotations = deploymentAnnotations(revision.metadata)
  const spec = {
    selector: { matchLabels: { [label.revisionUID]: uid ?? '' } },
    replicas: initialScaleOf(revision.metadata.annotations, config.autoscaler),
    progressDeadlineSeconds: Math.floor(
      progressDeadlineMs(revision.metadata.annotations, config.deployment) / 1000,
    ),
    revisionHistoryLimit: 0,
    strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0 } },
    template: podTemplate(revision, digests, config.deployment),
  }
  const hash = fnv32a(JSON.stringify([spec, labels, annotations])).toString(36)
  const deployment: KubeObject & { readonly spec: object } = {
    apiVersion: apiVersionOf(Deployment),
    kind: Deployment.kind,
    metadata: {
      name: deploymentName(name),
      ...(namespace && { namespace }),
      labels: { ...labels, [label.deploymentHash]: hash },
      annotations,
      ownerReferences: [controllerRef(revision)],
    },
    spec,
  }
  // The pod spec comes from a Revision's schema, which is a part of Kubernetes' own.
  return deployment as unknown as Deployment
}

/** Scale, and labels and annotations of others, stay as they are. */
export const applyDeployment = (desired: Deployment): Apply => ({
  kind: Deployment,
  desired,
  merge(found) {
    const existing = found as Deployment
    const { metadata } = desired
    if (
      existing.metadata.labels?.[label.deploymentHash] === metadata.labels?.[label.deploymentHash]
    )
      return existing
    const { replicas } = existing.spec
    return {
      ...existing,
      metadata: {
        ...existing.metadata,
        labels: { ...existing.metadata.labels, ...metadata.labels },
        annotations: { ...existing.metadata.annotations, ...metadata.annotations },
      },
      spec: {
        ...desired.spec,
        selector: existing.spec.selector,
        ...(replicas !== undefined && { replicas }),
      },
    }
  },
})
