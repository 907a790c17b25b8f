/** Knative objects that tests start from, and a node agent and a gateway that only pretend. */
import { rfc3339, type Clock } from '../lib/clock.ts'
import type { StringMap } from '../kube/api/meta.ts'
import { keyOf } from '../kube/api/meta.ts'
import { Pod } from '../kube/api/pod.ts'
import type { Client } from '../kube/client/client.ts'
import type { Informers } from '../kube/client/informer.ts'
import type { Configuration } from '../serving/api/configuration.ts'
import type { PodAutoscaler } from '../serving/api/pod-autoscaler.ts'
import type { Revision, RevisionStatus } from '../serving/api/revision.ts'
import type { Route } from '../serving/api/route.ts'
import type { Service } from '../serving/api/service.ts'
import type { TrafficTarget } from '../serving/api/traffic-target.ts'

const namespace = 'default'
const serving = 'serving.knative.dev/v1'

export interface ServiceOptions {
  readonly image?: string
  /** Of the template. */
  readonly annotations?: StringMap
  /** Of the template: the name of the Revision. */
  readonly revisionName?: string
  readonly traffic?: readonly TrafficTarget[]
  readonly metadata?: Partial<Service['metadata']>
}

const templateOf = ({ image = 'app:1', annotations, revisionName }: ServiceOptions) => ({
  ...((annotations || revisionName) && {
    metadata: { ...(annotations && { annotations }), ...(revisionName && { name: revisionName }) },
  }),
  spec: { containers: [{ name: 'user-container', image }] },
})

export const aService = (name: string, options: ServiceOptions = {}): Service => ({
  apiVersion: serving,
  kind: 'Service',
  metadata: { name, namespace, ...options.metadata },
  spec: {
    template: templateOf(options),
    ...(options.traffic && { traffic: options.traffic }),
  },
})

export const aConfiguration = (name: string, options: ServiceOptions = {}): Configuration => ({
  apiVersion: serving,
  kind: 'Configuration',
  metadata: { name, namespace, uid: `uid-${name}`, generation: 1, ...options.metadata },
  spec: { template: templateOf(options) },
})

/** `ready` undefined = it has no condition yet. */
export const aRevision = (
  name: string,
  ready?: 'True' | 'False' | 'Unknown',
  metadata: Partial<Revision['metadata']> = {},
): Revision => ({
  apiVersion: serving,
  kind: 'Revision',
  metadata: { name, namespace, uid: `uid-${name}`, generation: 1, ...metadata },
  spec: { containers: [{ name: 'user-container', image: 'app:1' }], timeoutSeconds: 300 },
  ...(ready && { status: readyStatus(ready) }),
})

export const readyStatus = (
  status: 'True' | 'False' | 'Unknown',
  message = '',
): RevisionStatus & { readonly observedGeneration: number } => ({
  observedGeneration: 1,
  conditions: [{ type: 'Ready', status, ...(message && { message }) }],
})

export const aRoute = (
  name: string,
  traffic: readonly TrafficTarget[],
  metadata: Partial<Route['metadata']> = {},
): Route => ({
  apiVersion: serving,
  kind: 'Route',
  metadata: { name, namespace, uid: `uid-${name}`, generation: 1, ...metadata },
  spec: { traffic },
})

export const aPodAutoscaler = (
  name: string,
  annotations: StringMap = {},
  spec: Partial<PodAutoscaler['spec']> = {},
): PodAutoscaler => ({
  apiVersion: 'autoscaling.internal.knative.dev/v1alpha1',
  kind: 'PodAutoscaler',
  metadata: {
    name,
    namespace,
    uid: `uid-${name}`,
    generation: 1,
    annotations,
    labels: { 'serving.knative.dev/revisionUID': `uid-rev-${name}` },
  },
  spec: {
    scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: `${name}-deployment` },
    protocolType: 'http1',
    ...spec,
  },
})

/** What becomes of a pod: it gets ready, it ends, or nothing happens. */
export type PodFate =
  | { readonly kind: 'ready' }
  | { readonly kind: 'exits'; readonly exitCode: number; readonly message: string }
  | { readonly kind: 'waits'; readonly reason: string; readonly message: string }

/** Gives every bound pod its fate, and removes pods that are being deleted, at once. */
export function startFakeKubelet(
  { client, informers, clock }: { client: Client; informers: Informers; clock: Clock },
  fateOf: (pod: Pod) => PodFate = () => ({ kind: 'ready' }),
): Disposable {
  const done = new Set<string>()
  return informers.for(Pod).subscribe((type, pod) => {
    if (type === 'DELETED') return
    if (pod.metadata.deletionTimestamp) {
      void client.delete(Pod, keyOf(pod), { gracePeriodSeconds: 0 }).catch(() => {})
      return
    }
    if (!pod.spec.nodeName || done.has(pod.metadata.uid ?? '')) return
    done.add(pod.metadata.uid ?? '')
    void client
      .updateStatus(Pod, { ...pod, status: statusOf(pod, fateOf(pod), clock) })
      .catch(() => {
        done.delete(pod.metadata.uid ?? '')
      })
  })
}

function statusOf(pod: Pod, fate: PodFate, clock: Clock): NonNullable<Pod['status']> {
  const lastTransitionTime = rfc3339(clock.now())
  const isReady = fate.kind === 'ready'
  const [container] = pod.spec.containers
  const common = { name: container?.name ?? '', image: container?.image ?? '', imageID: '' }
  const started = { startedAt: lastTransitionTime }
  return {
    phase: fate.kind === 'waits' ? 'Pending' : 'Running',
    podIP: '10.0.0.1',
    podIPs: [{ ip: '10.0.0.1' }],
    startTime: lastTransitionTime,
    conditions: [
      { type: 'PodScheduled', status: 'True', lastTransitionTime },
      { type: 'Ready', status: isReady ? 'True' : 'False', lastTransitionTime },
      { type: 'ContainersReady', status: isReady ? 'True' : 'False', lastTransitionTime },
    ],
    containerStatuses: [
      {
        ...common,
        ready: isReady,
        restartCount: fate.kind === 'exits' ? 1 : 0,
        state:
          fate.kind === 'ready'
            ? { running: started }
            : {
                waiting:
                  fate.kind === 'waits'
                    ? { reason: fate.reason, message: fate.message }
                    : { reason: 'CrashLoopBackOff', message: 'back-off restarting' },
              },
        ...(fate.kind === 'exits' && {
          lastState: {
            terminated: { exitCode: fate.exitCode, reason: 'Error', message: fate.message },
          },
        }),
      },
    ],
  }
}
