/** What has a pod template at `spec.template.spec`: what a SinkBinding may bind (knative.dev/pkg duck/v1 PodSpecable). */
import { DaemonSet } from '../../../../kube/api/daemon-set.ts'
import { Deployment } from '../../../../kube/api/deployment.ts'
import { isFinishedJob, Job } from '../../../../kube/api/job.ts'
import type { Kind } from '../../../../kube/api/kind.ts'
import { ReplicationController } from '../../../../kube/api/replication-controller.ts'
import type { KubeObject } from '../../../../kube/api/meta.ts'
import type { PodSpec } from '../../../../kube/api/pod-spec.ts'
import { ReplicaSet } from '../../../../kube/api/replica-set.ts'
import { StatefulSet } from '../../../../kube/api/stateful-set.ts'
import { groupOf } from '../../../../kube/controller/custom-kinds.ts'
import type { Reader } from '../../../../kube/controller/reconciler.ts'
import type { Subject } from '../../../api/sources/sink-binding.ts'

export interface Podspecable extends KubeObject {
  readonly spec?: { readonly template?: { readonly spec?: PodSpec } }
}

const named = (group: string, version: string, kind: string, plural: string): Kind => ({
  group,
  version,
  kind,
  plural,
  namespaced: true,
})

const erased = ({ group, version, kind, plural }: Kind): Kind => named(group, version, kind, plural)

/** Those that are always there; Serving's by name: the products know each other as objects alone. */
export const podspecableKinds = [
  Deployment,
  StatefulSet,
  DaemonSet,
  ReplicaSet,
  ReplicationController,
  Job,
  named('serving.knative.dev', 'v1', 'Service', 'services'),
  named('serving.knative.dev', 'v1', 'Configuration', 'configurations'),
].map((kind) => erased(kind as Kind) as Kind<Podspecable>)

/** Its pods are fixed when it is made. */
export const isFixed = ({ group, kind }: Kind): boolean => group === 'batch' && kind === 'Job'

/** It makes no pods any more. */
export const isFinished = (object: Podspecable): boolean =>
  object.kind === Job.kind && isFinishedJob(object as Job)

/** Whether a subject speaks of objects of this kind, in whatever version. */
export const isSubjectOf = (
  { apiVersion, kind }: Subject,
  of: { readonly group: string; readonly kind: string },
): boolean => kind === of.kind && groupOf(apiVersion) === of.group

/** Its template lies deeper. */
export const isCronJob = (subject: Subject): boolean =>
  isSubjectOf(subject, { group: 'batch', kind: 'CronJob' })

/** The kind that a subject names, in whatever version; undefined = nobody serves it. */
export const subjectKind = (
  subject: Subject,
  read: Pick<Reader, 'custom'>,
): Kind<Podspecable> | undefined =>
  podspecableKinds.find((each) => isSubjectOf(subject, each)) ??
  (isCronJob(subject) ? undefined : (read.custom?.(subject) as Kind<Podspecable> | undefined))

/** Undefined = it is not that; other kinds call other things by these names. */
export function podOf(object: Podspecable): PodSpec | undefined {
  const pod = object.spec?.template?.spec
  return Array.isArray(pod?.containers) ? pod : undefined
}
