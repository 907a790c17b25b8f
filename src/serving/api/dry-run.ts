/**
 * A dry run of a Service or Configuration goes one step further than its own rules: a Pod is made from the template and
 * admitted, not stored, so that `kubectl apply --dry-run=server` also finds what only Kubernetes would refuse.
 */
import { denied, validationWebhook } from '../../knative/admission.ts'
import type { AdmissionContext } from '../../kube/api/kind.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import { Pod } from '../../kube/api/pod.ts'
import { StatusError } from '../../kube/api/status-error.ts'
import type { Container } from './pod-spec.ts'
import type { RevisionTemplate } from './revision-spec.ts'

/** Does nothing unless the request is a dry run. Throws the webhook's denial. */
export function dryRunPod<T extends KubeObject>(
  template: RevisionTemplate,
  { metadata }: KubeObject,
  context: AdmissionContext<T>,
): void {
  if (!context.dryRun) return
  const {
    containerConcurrency: _concurrency,
    timeoutSeconds: _timeout,
    responseStartTimeoutSeconds: _responseStart,
    idleTimeoutSeconds: _idle,
    ...spec
  } = template.spec
  const pod: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: 'dry-run-validation',
      ...(metadata.namespace !== undefined && { namespace: metadata.namespace }),
      ...(template.metadata?.labels && { labels: template.metadata.labels }),
      ...(template.metadata?.annotations && { annotations: template.metadata.annotations }),
    },
    spec: { ...spec, containers: spec.containers.map(withoutProbes) },
  }
  try {
    Pod.admit?.(pod, {
      operation: 'CREATE',
      subresource: '',
      user: context.user,
      dryRun: true,
      nowMs: context.nowMs,
      read: (kind, key) => context.read(kind, key),
      allows: (asked) => context.allows(asked),
      list: (kind, namespace) => context.list(kind, namespace),
      warn: (text) => context.warn(text),
    })
  } catch (error) {
    throw denied(
      validationWebhook,
      'validation callback failed',
      `dry run failed with ${StatusError.from(error).message}: spec.template`,
    )
  }
}

/** Probes get their ports only when the Revision is deployed. */
function withoutProbes(container: Container): Container {
  const {
    readinessProbe: _readiness,
    livenessProbe: _liveness,
    startupProbe: _startup,
    ...rest
  } = container
  return rest
}
