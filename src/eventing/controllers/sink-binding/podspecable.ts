/** Kinds with a pod template at `spec.template.spec`: what a SinkBinding may bind (contract eventing §6.2). */
import { DaemonSet } from '../../../kube/api/daemon-set.ts'
import { Deployment } from '../../../kube/api/deployment.ts'
import { Job } from '../../../kube/api/job.ts'
import type { Kind } from '../../../kube/api/kind.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import type { PodSpec } from '../../../kube/api/pod-spec.ts'
import { ReplicaSet } from '../../../kube/api/replica-set.ts'
import { StatefulSet } from '../../../kube/api/stateful-set.ts'
import type { Subject } from '../../api/sink-binding.ts'

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

/** Serving's kinds by name: the products know each other as objects alone. */
export const podspecableKinds = [
  Deployment,
  StatefulSet,
  DaemonSet,
  ReplicaSet,
  Job,
  named('serving.knative.dev', 'v1', 'Service', 'services'),
  named('serving.knative.dev', 'v1', 'Configuration', 'configurations'),
].map((kind) => erased(kind as Kind) as Kind<Podspecable>)

/** Its pods are fixed when it is made. */
export const isFixed = ({ group, kind }: Kind): boolean => group === 'batch' && kind === 'Job'

/** The kind that a subject names, in whatever version; undefined = none that is known here. */
export function subjectKind({ apiVersion = '', kind }: Subject): Kind<Podspecable> | undefined {
  const group = apiVersion.includes('/') ? (apiVersion.split('/')[0] ?? '') : ''
  return podspecableKinds.find((each) => each.kind === kind && each.group === group)
}
