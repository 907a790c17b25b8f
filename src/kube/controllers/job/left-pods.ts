/** Pods of Jobs that are gone, or going: nobody will count them any more, so nothing holds them back. */
import { Job } from '../../api/job.ts'
import { controllerOf, keyOf, type KubeObject, type ObjectKey } from '../../api/meta.ts'
import { Pod } from '../../api/pod.ts'
import type { Plan, Reader, Reconciler } from '../../controller/reconciler.ts'
import { isTracked, trackingFinalizer } from './job-pod.ts'
import { untracked } from './job.ts'

interface World {
  readonly pod: Pod
  readonly counted: boolean
}

export const leftPods: Reconciler<Pod, World> = {
  name: 'job-orphan-controller',
  kind: Pod,
  finalizer: trackingFinalizer,
  handles: isTracked,
  watches: [{ kind: Job, wake: podsOf }],
  observe(pod, read) {
    const owner = controllerOf(pod)
    const job =
      owner?.kind === 'Job'
        ? read.get(Job, { namespace: pod.metadata.namespace ?? '', name: owner.name })
        : undefined
    const counted =
      job !== undefined && job.metadata.uid === owner?.uid && !job.metadata.deletionTimestamp
    return { pod, counted }
  },
  plan: ({ pod, counted }): Plan => (counted ? {} : { patch: [untracked(pod)] }),
  finalize: ({ pod, counted }) => ({
    ...(!counted && { patch: [untracked(pod)] }),
    done: false,
  }),
}

function* podsOf(job: KubeObject, read: Reader): Iterable<ObjectKey> {
  for (const pod of read.owned(Pod, job)) if (isTracked(pod)) yield keyOf(pod)
}
