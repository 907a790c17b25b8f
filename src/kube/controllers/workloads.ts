/** Controllers of workloads and limits that not every platform uses: each is loaded with the first object of its kind. */
import { CronJob } from '../api/cron-job.ts'
import { DaemonSet } from '../api/daemon-set.ts'
import { HorizontalPodAutoscaler } from '../api/horizontal-pod-autoscaler.ts'
import { Job } from '../api/job.ts'
import type { Kind } from '../api/kind.ts'
import { Pod } from '../api/pod.ts'
import { PodDisruptionBudget } from '../api/pod-disruption-budget.ts'
import { ReplicationController } from '../api/replication-controller.ts'
import { ResourceQuota } from '../api/resource-quota.ts'
import { StatefulSet } from '../api/stateful-set.ts'
import { startController, type ControllerDeps } from '../controller/loop.ts'
import { lazily } from '../controller/lazily.ts'

interface Deps extends ControllerDeps {
  /** All kinds, for quotas that count them. */
  readonly kinds: readonly Kind[]
}

/** On pods that a Job has left; `job/job-pod.ts` is not loaded for the question. */
const jobFinalizer = 'batch.kubernetes.io/job-tracking'

export function startWorkloads(deps: Deps): AsyncDisposable {
  const started = new AsyncDisposableStack()
  const jobs = [
    { kind: Job },
    {
      kind: Pod,
      when: ({ metadata }: Pick<Pod, 'metadata'>) =>
        metadata.finalizers?.includes(jobFinalizer) ?? false,
    },
  ]
  started.use(lazily(jobs, deps, async () => (await import('./job/start.ts')).startJobs(deps)))
  started.use(
    lazily([{ kind: CronJob }], deps, async () => {
      const [{ cronJob }, { parseSchedule }] = await Promise.all([
        import('./cron-job/cron-job.ts'),
        import('./cron-job/schedule.ts'),
      ])
      return startController(cronJob(parseSchedule), deps)
    }),
  )
  started.use(
    lazily([{ kind: StatefulSet }], deps, async () =>
      startController((await import('./stateful-set/stateful-set.ts')).statefulSet, deps),
    ),
  )
  started.use(
    lazily([{ kind: DaemonSet }], deps, async () =>
      startController((await import('./daemon-set/daemon-set.ts')).daemonSet(deps.random), deps),
    ),
  )
  started.use(
    lazily([{ kind: ReplicationController }], deps, async () => {
      const { replicationController } = await import('./replication-controller.ts')
      return startController(replicationController(deps.random), deps)
    }),
  )
  started.use(
    lazily([{ kind: HorizontalPodAutoscaler }], deps, async () => {
      const { startHorizontalPodAutoscaler } = await import('./autoscaler/autoscaler.ts')
      return startHorizontalPodAutoscaler(deps)
    }),
  )
  started.use(
    lazily([{ kind: PodDisruptionBudget }], deps, async () =>
      startController((await import('./limits/disruption.ts')).disruption, deps),
    ),
  )
  started.use(
    lazily([{ kind: ResourceQuota }], deps, async () =>
      (await import('./limits/quota-status.ts')).startQuotaStatus(deps),
    ),
  )
  return started
}
