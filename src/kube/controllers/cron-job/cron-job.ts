/**
 * Makes Jobs at the times of a schedule, not more of them at once than allowed, and forgets the oldest ones
 * (upstream: pkg/controller/cronjob). A missed time is made up for once, unless it is too long ago.
 */
import { rfc3339 } from '../../../lib/clock.ts'
import { CronJob } from '../../api/cron-job.ts'
import { isFinishedJob, Job, jobCondition } from '../../api/job.ts'
import { controllerRef, keyOf } from '../../api/meta.ts'
import {
  normal,
  warning,
  type Apply,
  type Delete,
  type Plan,
  type PlannedEvent,
  type Reconciler,
} from '../../controller/reconciler.ts'
import type { Schedule } from './schedule.ts'

interface World {
  readonly cronJob: CronJob
  /** Jobs that it controls. */
  readonly jobs: readonly Job[]
}

export type ParseSchedule = (
  text: string,
  timeZone: string | undefined,
  anchorMs: number,
) => Schedule

const scheduledAnnotation = 'batch.kubernetes.io/cronjob-scheduled-timestamp'
/** More missed times than this are told of, for something is wrong then. */
const manyMissed = 100
/** Missed times that are looked at one by one; beyond that the walk starts near the end. */
const maxWalk = 1_000

export const cronJob = (parse: ParseSchedule): Reconciler<CronJob, World> => ({
  name: 'cronjob-controller',
  kind: CronJob,
  watches: [{ kind: Job, wake: 'owner' }],
  observe: (cronJob, read) => ({ cronJob, jobs: read.owned(Job, cronJob) }),
  plan({ cronJob, jobs }, nowMs): Plan {
    const { spec, metadata } = cronJob
    const events: PlannedEvent[] = []
    const known = followed(cronJob, jobs, events)
    const history = expired(cronJob, jobs)
    for (const { key } of history)
      events.push(normal('SuccessfulDelete', `Deleted job ${key.name}`))
    if (spec.suspend) return { delete: history, events, status: known }

    let schedule: Schedule
    const madeMs = Date.parse(metadata.creationTimestamp ?? '') || 0
    try {
      schedule = parse(spec.schedule, spec.timeZone, madeMs)
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      const message = `unparseable schedule: ${spec.schedule} : ${why}`
      return {
        delete: history,
        status: known,
        events: [...events, warning('UnparseableSchedule', message)],
      }
    }
    const requeue = (): Pick<Plan, 'requeueAfterMs'> => {
      const next = schedule.next(nowMs)
      // A moment later, so that the time has come for certain.
      return next === undefined ? {} : { requeueAfterMs: next - nowMs + 100 }
    }
    const due = latestDue(cronJob, schedule, madeMs, nowMs)
    const rest = (more: readonly PlannedEvent[] = []): Plan => ({
      delete: history,
      status: known,
      events: [...events, ...more],
      ...requeue(),
    })
    if (due.atMs === undefined) return rest()
    if (due.missed > manyMissed)
      events.push(
        warning(
          'TooManyMissedTimes',
          `too many missed start times: ${due.missed}. Set or decrease .spec.startingDeadlineSeconds or check clock skew`,
        ),
      )
    const { startingDeadlineSeconds: deadline } = spec
    if (deadline !== undefined && due.atMs + deadline * 1_000 < nowMs)
      return rest([
        warning(
          'MissSchedule',
          `Missed scheduled time to start a job: ${new Date(due.atMs).toUTCString()}`,
        ),
      ])
    const name = `${metadata.name}-${Math.floor(due.atMs / 60_000)}`
    if (jobs.some((each) => each.metadata.name === name) || isLast(cronJob, due.atMs)) return rest()
    const active = known.active ?? []
    if (spec.concurrencyPolicy === 'Forbid' && active.length > 0)
      return rest([
        normal(
          'JobAlreadyActive',
          'Not starting job because prior execution is running and concurrency policy is Forbid',
        ),
      ])
    const replaced = spec.concurrencyPolicy === 'Replace' ? active : []
    const job = newJob(cronJob, name, due.atMs)
    return {
      apply: [job],
      delete: [
        ...history,
        ...replaced.map(({ namespace = '', name: old = '', uid }): Delete => ({
          kind: Job,
          key: { namespace, name: old },
          ...(uid && { uid }),
        })),
      ],
      status: {
        ...known,
        active: [
          ...active.filter((each) => !replaced.includes(each)),
          reference({ ...job.desired, kind: Job.kind }),
        ],
        lastScheduleTime: rfc3339(due.atMs),
      },
      statusOnFailure: () => known,
      events: [
        ...events,
        ...replaced.map(({ name: old }) => normal('SuccessfulDelete', `Deleted job ${old}`)),
      ],
      ...requeue(),
    }
  },
})

type Status = NonNullable<CronJob['status']>
type Reference = NonNullable<Status['active']>[number]

const reference = ({ metadata }: Pick<Job, 'metadata'> & { readonly kind: string }): Reference => ({
  apiVersion: 'batch/v1',
  kind: Job.kind,
  name: metadata.name,
  ...(metadata.namespace && { namespace: metadata.namespace }),
  ...(metadata.uid && { uid: metadata.uid }),
  ...(metadata.resourceVersion && { resourceVersion: metadata.resourceVersion }),
})

/** The status by the Jobs that there are: which run, and when one last came to a good end. */
function followed({ status = {} }: CronJob, jobs: readonly Job[], events: PlannedEvent[]): Status {
  const listed = status.active ?? []
  const isListed = (job: Job) => listed.find(({ name }) => name === job.metadata.name)
  const isOwn = ({ metadata }: Job) => metadata.annotations?.[scheduledAnnotation] !== undefined
  // Those that somebody made by hand in its name are not waited for.
  const running = jobs.filter((job) => !isFinishedJob(job) && isOwn(job))
  for (const job of jobs)
    if (!isFinishedJob(job) && !isOwn(job))
      events.push(
        warning(
          'UnexpectedJob',
          `Saw a job that the controller did not create or forgot: ${job.metadata.name}`,
        ),
      )
  for (const job of jobs)
    if (isListed(job) && isFinishedJob(job)) {
      const condition = jobCondition(job, 'Complete') ? 'Complete' : 'Failed'
      events.push(
        normal(
          'SawCompletedJob',
          `Saw completed job: ${job.metadata.name}, condition: ${condition}`,
        ),
      )
    }
  for (const { name = '' } of listed)
    if (!jobs.some((job) => job.metadata.name === name))
      events.push(normal('MissingJob', `Active job went missing: ${name}`))
  const ends = jobs.flatMap((job) =>
    jobCondition(job, 'Complete') ? [job.status?.completionTime ?? ''] : [],
  )
  const lastSuccess = [status.lastSuccessfulTime ?? '', ...ends].toSorted().at(-1)
  const { active: _, ...others } = status
  return {
    ...others,
    ...(running.length > 0 && {
      active: running.map((job) => {
        const known = isListed(job)
        return known?.uid === job.metadata.uid && known ? known : reference(job)
      }),
    }),
    ...(lastSuccess && { lastSuccessfulTime: lastSuccess }),
  }
}

/** Finished Jobs beyond what is to be kept, the oldest first. */
function expired({ spec }: CronJob, jobs: readonly Job[]): readonly Delete[] {
  const oldestFirst = (type: 'Complete' | 'Failed') =>
    jobs
      .filter((job) => jobCondition(job, type) && !job.metadata.deletionTimestamp)
      .toSorted((a, b) =>
        `${a.status?.startTime ?? ''}${a.metadata.name}` <
        `${b.status?.startTime ?? ''}${b.metadata.name}`
          ? -1
          : 1,
      )
  const beyond = (type: 'Complete' | 'Failed', limit: number) => {
    const all = oldestFirst(type)
    return all.slice(0, Math.max(0, all.length - limit))
  }
  return [
    ...beyond('Complete', spec.successfulJobsHistoryLimit ?? 3),
    ...beyond('Failed', spec.failedJobsHistoryLimit ?? 1),
  ].map((job) => ({
    kind: Job,
    key: keyOf(job),
    ...(job.metadata.uid && { uid: job.metadata.uid }),
  }))
}

/** The last time that has come since the last Job, and how many there were. */
function latestDue(
  { spec, status }: CronJob,
  schedule: Schedule,
  madeMs: number,
  nowMs: number,
): { readonly atMs?: number; readonly missed: number } {
  let fromMs = Date.parse(status?.lastScheduleTime ?? '') || madeMs
  const { startingDeadlineSeconds: deadline } = spec
  if (deadline !== undefined) fromMs = Math.max(fromMs, nowMs - deadline * 1_000)
  let atMs: number | undefined
  let missed = 0
  for (;;) {
    const next = schedule.next(atMs ?? fromMs)
    if (next === undefined || next > nowMs) break
    missed++
    const stepMs = next - (atMs ?? fromMs)
    atMs = next
    // A long absence is not walked through minute by minute: on from where only a few steps are left.
    if (missed === maxWalk) {
      const skipped = Math.floor((nowMs - next) / Math.max(stepMs, 1_000))
      if (skipped > maxWalk) {
        missed += skipped
        atMs = nowMs - stepMs * 2
      }
    } else if (missed > 2 * maxWalk + 10 && stepMs <= 0) break
  }
  return { missed, ...(atMs !== undefined && { atMs }) }
}

const isLast = ({ status }: CronJob, atMs: number): boolean =>
  status?.lastScheduleTime !== undefined && Date.parse(status.lastScheduleTime) >= atMs

function newJob(cronJob: CronJob, name: string, atMs: number): Apply & { readonly desired: Job } {
  const { metadata: template = {}, spec } = cronJob.spec.jobTemplate
  const { namespace } = cronJob.metadata
  const desired: Job = {
    apiVersion: 'batch/v1',
    kind: Job.kind,
    metadata: {
      name,
      ...(namespace && { namespace }),
      ...(template.labels && { labels: template.labels }),
      annotations: { ...template.annotations, [scheduledAnnotation]: rfc3339(atMs) },
      ownerReferences: [controllerRef(cronJob)],
    },
    spec: spec ?? { template: {} },
  }
  return {
    kind: Job,
    desired,
    merge: (existing) => existing,
    created: { type: 'Normal', reason: 'SuccessfulCreate', message: `Created job ${name}` },
    createFailed: { type: 'Warning', reason: 'FailedCreate', message: 'Error creating job: ' },
  }
}
