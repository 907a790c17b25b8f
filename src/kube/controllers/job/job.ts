/**
 * Runs a Job to its end: pods as many at a time as it allows, again with back-off when they fail, counted exactly once
 * (upstream: pkg/controller/job). A pod keeps a finalizer until it stands in the status, so that
 * none is forgotten whoever deletes it and whenever this process ends.
 */
import { rfc3339 } from '../../../lib/clock.ts'
import { randomName, type Random } from '../../../lib/random.ts'
import { isFinishedJob, Job, jobCondition } from '../../api/job.ts'
import { keyOf } from '../../api/meta.ts'
import { Pod } from '../../api/pod.ts'
import type { Delete, Patch, Plan, PlannedEvent, Reconciler } from '../../controller/reconciler.ts'
import { claim, type Claim } from '../claim.ts'
import { isReady } from '../pod-state.ts'
import { verdictOf } from './failure-policy.ts'
import { indexesText, parseIndexes } from './indexes.ts'
import {
  endedMs,
  hasSucceeded,
  indexOf,
  isIndexed,
  isOver,
  isTracked,
  newPod,
  restartsOf,
  trackingFinalizer,
} from './job-pod.ts'

interface World {
  readonly job: Job
  readonly pods: Claim<Pod>
  /** Ends of names for new pods: chance is drawn here, so that the plan is pure. */
  readonly suffixes: readonly string[]
}

type Status = NonNullable<Job['status']>
type Condition = NonNullable<Status['conditions']>[number]

/** What is known of the pods that have ended. */
interface Counts {
  readonly succeeded: number
  readonly failed: number
  /** With those that do not stand in the numbers yet. */
  readonly allSucceeded: number
  readonly allFailed: number
  /** Uids whose pods are counted next, as the status has them. */
  readonly waiting: { readonly succeeded?: readonly string[]; readonly failed?: readonly string[] }
  readonly uncounted: ReadonlySet<string>
  readonly completed: ReadonlySet<number>
  readonly failedPods: readonly Pod[]
  readonly failedIndexes: ReadonlySet<number>
}

/** Pods created in one go at most. */
const maxBurst = 500
const firstDelayMs = 10_000
const maxDelayMs = 360_000

export const job = (random: Random): Reconciler<Job, World> => ({
  name: 'job-controller',
  kind: Job,
  watches: [{ kind: Pod, wake: 'owner' }],
  handles: ({ spec }) => !spec.managedBy || spec.managedBy === 'kubernetes.io/job-controller',
  observe(job, read) {
    const pods = claim(Pod, job, job.spec.selector, read)
    const { parallelism = 1 } = job.spec
    const suffixes = isFinishedJob(job)
      ? []
      : Array.from({ length: Math.min(parallelism, maxBurst) }, () => randomName(random))
    return { job, pods, suffixes }
  },
  plan: (world, nowMs) => new Round(world, nowMs).plan(),
})

/** The pods that are to be rid of their finalizer: whoever holds them has counted them, or needs not. */
export const untracked = (pod: Pod): Patch => ({
  kind: Pod,
  key: keyOf(pod),
  body: {
    metadata: {
      uid: pod.metadata.uid,
      resourceVersion: pod.metadata.resourceVersion,
      finalizers: (pod.metadata.finalizers ?? []).filter((each) => each !== trackingFinalizer),
    },
  },
})

/** One look at a Job. */
class Round {
  readonly #job: Job
  readonly #suffixes: readonly string[]
  readonly #nowMs: number
  readonly #pods: readonly Pod[]
  readonly #patch: Patch[]
  readonly #delete: Delete[] = []
  readonly #events: PlannedEvent[] = []
  #conditions: readonly Condition[]
  #requeueMs = Infinity

  constructor({ job, pods, suffixes }: World, nowMs: number) {
    this.#job = job
    this.#suffixes = suffixes
    this.#nowMs = nowMs
    this.#pods = pods.children
    this.#patch = [...pods.patches]
    this.#conditions = job.status?.conditions ?? []
  }

  plan(): Plan {
    const { spec, status = {} } = this.#job
    if (isFinishedJob(this.#job)) return this.#tidy()
    const wasSuspended = this.#has('Suspended')
    let startTime = status.startTime
    if (spec.suspend) startTime = undefined
    else startTime ??= rfc3339(this.#nowMs)

    const counts = this.#count()
    const live = this.#pods.filter((pod) => !isOver(pod))
    const active = live.filter(({ metadata }) => !metadata.deletionTimestamp)
    const terminating = live.length - active.length

    this.#judge(counts, active, startTime)
    let creating: readonly (number | undefined)[] = []
    let removed = 0
    const isEnding = this.#has('FailureTarget') || this.#has('SuccessCriteriaMet')
    if (isEnding) {
      for (const pod of active) this.#remove(pod, false)
      removed = active.length
      if (live.length === 0 && counts.uncounted.size === 0) this.#finish()
    } else if (spec.suspend) {
      for (const pod of active) this.#remove(pod, true)
      removed = active.length
      if (!wasSuspended) this.#suspended('True', 'JobSuspended', 'Job suspended', 'Suspended')
    } else {
      if (wasSuspended) this.#suspended('False', 'JobResumed', 'Job resumed', 'Resumed')
      const surplus = active.length - this.#wanted(counts, active.length)
      for (const pod of surplus > 0 ? this.#leastWorth(active).slice(0, surplus) : []) {
        this.#remove(pod, true)
        removed++
      }
      creating = this.#missing(counts, active, -surplus - this.#heldBack(terminating))
    }
    const apply = creating.map((index, i) => newPod(this.#job, this.#suffixes[i] ?? '', index))
    const stillActive = active.length - removed
    const ready = removed === active.length ? 0 : active.filter(isReady).length
    const next: Status = {
      ...(startTime && { startTime }),
      ...(this.#conditions.length > 0 && { conditions: [...this.#conditions] }),
      ...(stillActive + apply.length > 0 && { active: stillActive + apply.length }),
      ready: Math.min(ready, stillActive),
      terminating: terminating + removed,
      ...(counts.succeeded > 0 && { succeeded: counts.succeeded }),
      ...(counts.failed > 0 && { failed: counts.failed }),
      uncountedTerminatedPods: counts.waiting,
      ...(isIndexed(this.#job) &&
        counts.completed.size > 0 && {
          completedIndexes: indexesText(counts.completed),
        }),
      ...(spec.backoffLimitPerIndex !== undefined && {
        failedIndexes: indexesText(counts.failedIndexes),
      }),
      ...(this.#has('Complete') && { completionTime: rfc3339(this.#nowMs) }),
    }
    return {
      apply,
      patch: this.#patch,
      delete: this.#delete,
      status: next,
      // What was not made is not there: the rest is as it would have been.
      statusOnFailure: () => ({ ...next, active: stillActive }),
      events: this.#events,
      ...(this.#requeueMs !== Infinity && { requeueAfterMs: Math.max(this.#requeueMs, 0) }),
    }
  }

  /**
   * Takes pods that have ended into the counts, in two steps: first their uids stand in the status, then they lose their
   * finalizer and the numbers grow.
   */
  #count(): Counts {
    const { status = {} } = this.#job
    const before = status.uncountedTerminatedPods ?? {}
    const noted = new Set([...(before.succeeded ?? []), ...(before.failed ?? [])])
    const waiting: { succeeded?: string[]; failed?: string[] } = {}
    for (const pod of this.#pods) {
      const { uid = '' } = pod.metadata
      if (!isTracked(pod)) continue
      if (noted.has(uid)) this.#patch.push(untracked(pod))
      else if (isOver(pod)) {
        if (!hasSucceeded(pod) && verdictOf(this.#job, pod).action === 'Ignore')
          this.#patch.push(untracked(pod))
        else (waiting[hasSucceeded(pod) ? 'succeeded' : 'failed'] ??= []).push(uid)
      }
    }
    const indexed = isIndexed(this.#job)
    const completed = parseIndexes(status.completedIndexes)
    for (const pod of indexed ? this.#pods.filter(hasSucceeded) : []) {
      const index = indexOf(pod)
      if (index !== undefined && index < (this.#job.spec.completions ?? 0)) completed.add(index)
    }
    const failedPods = this.#pods.filter(
      (pod) => isOver(pod) && !hasSucceeded(pod) && verdictOf(this.#job, pod).action !== 'Ignore',
    )
    const succeeded = indexed
      ? completed.size
      : (status.succeeded ?? 0) + (before.succeeded?.length ?? 0)
    const failed = (status.failed ?? 0) + (before.failed?.length ?? 0)
    return {
      succeeded,
      failed,
      allSucceeded: succeeded + (indexed ? 0 : (waiting.succeeded?.length ?? 0)),
      allFailed: failed + (waiting.failed?.length ?? 0),
      waiting,
      uncounted: new Set([...(waiting.succeeded ?? []), ...(waiting.failed ?? [])]),
      completed,
      failedPods,
      failedIndexes: this.#failedIndexes(failedPods),
    }
  }

  #failedIndexes(failedPods: readonly Pod[]): Set<number> {
    const { spec, status } = this.#job
    const failed = parseIndexes(status?.failedIndexes)
    const limit = spec.backoffLimitPerIndex
    if (limit === undefined) return failed
    const counts = new Map<number, number>()
    for (const pod of failedPods) {
      const index = indexOf(pod)
      if (index === undefined) continue
      const count = (counts.get(index) ?? 0) + 1
      counts.set(index, count)
      if (count > limit || verdictOf(this.#job, pod).action === 'FailIndex') failed.add(index)
    }
    return failed
  }

  /** Whether it is decided how the Job ends. */
  #judge(counts: Counts, active: readonly Pod[], startTime: string | undefined): void {
    if (this.#has('FailureTarget') || this.#has('SuccessCriteriaMet')) return
    const { spec } = this.#job
    const { completions, backoffLimit = 6, activeDeadlineSeconds: deadline } = spec
    const policy = counts.failedPods
      .map((pod) => verdictOf(this.#job, pod))
      .find(({ action }) => action === 'FailJob')
    if (policy) return this.#fail('PodFailurePolicy', policy.message)
    const restarts = active.reduce((sum, pod) => sum + restartsOf(pod), 0)
    const perRestart = spec.template.spec?.restartPolicy === 'OnFailure'
    const exceeded =
      counts.allFailed > backoffLimit ||
      (perRestart && (backoffLimit === 0 ? restarts > 0 : restarts >= backoffLimit))
    if (exceeded)
      return this.#fail('BackoffLimitExceeded', 'Job has reached the specified backoff limit')
    if (deadline !== undefined && startTime && !spec.suspend) {
      const leftMs = Date.parse(startTime) + deadline * 1_000 - this.#nowMs
      if (leftMs <= 0)
        return this.#fail('DeadlineExceeded', 'Job was active longer than specified deadline')
      this.#lookAgain(leftMs)
    }
    const { maxFailedIndexes } = spec
    if (maxFailedIndexes !== undefined && counts.failedIndexes.size > maxFailedIndexes)
      return this.#fail(
        'MaxFailedIndexesExceeded',
        'Job has exceeded the specified maximal number of failed indexes',
      )
    const rule = this.#successRule(counts.completed)
    if (rule >= 0) return this.#succeed('SuccessPolicy', `Matched rules at index ${rule}`)
    if (
      completions !== undefined &&
      counts.failedIndexes.size > 0 &&
      counts.failedIndexes.size + counts.completed.size >= completions
    )
      return this.#fail('FailedIndexes', 'Job has failed indexes')
    const enough =
      completions === undefined
        ? counts.allSucceeded > 0 && active.length === 0
        : counts.allSucceeded >= completions
    if (enough && (completions !== 0 || active.length === 0))
      this.#succeed('CompletionsReached', 'Reached expected number of succeeded pods')
  }

  #successRule(completed: ReadonlySet<number>): number {
    return (this.#job.spec.successPolicy?.rules ?? []).findIndex(
      ({ succeededIndexes, succeededCount }) => {
        const asked = succeededIndexes === undefined ? undefined : parseIndexes(succeededIndexes)
        const done = asked
          ? [...asked].filter((index) => completed.has(index)).length
          : completed.size
        return done >= (succeededCount ?? asked?.size ?? Infinity)
      },
    )
  }

  #wanted(counts: Counts, active: number): number {
    const { parallelism = 1, completions } = this.#job.spec
    if (completions === undefined)
      return counts.allSucceeded > 0 ? Math.min(active, parallelism) : parallelism
    const left = completions - counts.allSucceeded - counts.failedIndexes.size
    return Math.min(parallelism, Math.max(0, left))
  }

  /** Pods on their way out keep their places where only failed ones are replaced. */
  #heldBack(terminating: number): number {
    return this.#job.spec.podReplacementPolicy === 'Failed' ? terminating : 0
  }

  /** The completion indexes, or as many times nothing, of the pods to make now. */
  #missing(
    counts: Counts,
    active: readonly Pod[],
    wanted: number,
  ): readonly (number | undefined)[] {
    if (wanted <= 0) return []
    const waitMs = this.#backoffMs(counts.failedPods)
    if (waitMs > 0) {
      this.#lookAgain(waitMs)
      return []
    }
    const count = Math.min(wanted, this.#suffixes.length)
    if (!isIndexed(this.#job)) return Array.from({ length: count }, () => undefined)
    const busy = new Set(active.map(indexOf))
    const free: number[] = []
    for (let i = 0; i < (this.#job.spec.completions ?? 0) && free.length < count; i++)
      if (!busy.has(i) && !counts.completed.has(i) && !counts.failedIndexes.has(i)) free.push(i)
    return free
  }

  /** How long to wait after the failures since the last success: 10 s, doubling, at most six minutes. */
  #backoffMs(failedPods: readonly Pod[]): number {
    const lastSuccess = Math.max(0, ...this.#pods.filter(hasSucceeded).map(endedMs))
    const since = failedPods.map(endedMs).filter((ms) => ms > lastSuccess)
    if (since.length === 0) return 0
    const delayMs = Math.min(firstDelayMs * 2 ** (since.length - 1), maxDelayMs)
    return Math.max(...since) + delayMs - this.#nowMs
  }

  /** Who has come least far goes first. */
  #leastWorth(active: readonly Pod[]): readonly Pod[] {
    return active.toSorted(
      (a, b) =>
        Number(isReady(a)) - Number(isReady(b)) ||
        (indexOf(b) ?? 0) - (indexOf(a) ?? 0) ||
        (b.metadata.creationTimestamp ?? '').localeCompare(a.metadata.creationTimestamp ?? ''),
    )
  }

  /** `forget`: it counts for nothing, since nobody but the Job itself took it away. */
  #remove(pod: Pod, forget: boolean): void {
    const { name, uid } = pod.metadata
    if (forget && isTracked(pod)) this.#patch.push(untracked(pod))
    this.#delete.push({ kind: Pod, key: keyOf(pod), ...(uid && { uid }) })
    this.#events.push({
      type: 'Normal',
      reason: 'SuccessfulDelete',
      message: `Deleted pod: ${name}`,
    })
  }

  #has(type: string): boolean {
    return this.#conditions.some((each) => each.type === type && each.status === 'True')
  }

  #condition(type: string, status: string, reason: string, message: string): void {
    const now = rfc3339(this.#nowMs)
    const condition = { type, status, reason, message, lastProbeTime: now, lastTransitionTime: now }
    this.#conditions = [...this.#conditions.filter((each) => each.type !== type), condition]
  }

  #suspended(status: string, reason: string, message: string, event: string): void {
    this.#condition('Suspended', status, reason, message)
    this.#events.push({ type: 'Normal', reason: event, message })
  }

  #fail(reason: string, message: string): void {
    this.#condition('FailureTarget', 'True', reason, message)
  }

  #succeed(reason: string, message: string): void {
    this.#condition('SuccessCriteriaMet', 'True', reason, message)
  }

  /** All pods have ended and are counted. */
  #finish(): void {
    const target = this.#conditions.find((each) => each.type === 'FailureTarget')
    if (target) {
      const { reason = '', message = '' } = target
      this.#condition('Failed', 'True', reason, message)
      this.#events.push({ type: 'Warning', reason, message })
      return
    }
    const met = this.#conditions.find((each) => each.type === 'SuccessCriteriaMet')
    this.#condition('Complete', 'True', met?.reason ?? '', met?.message ?? '')
    this.#events.push({ type: 'Normal', reason: 'Completed', message: 'Job completed' })
  }

  /** A finished Job holds nothing back, and goes when its time has come. */
  #tidy(): Plan {
    for (const pod of this.#pods) if (isTracked(pod)) this.#patch.push(untracked(pod))
    const end = jobCondition(this.#job, 'Complete') ?? jobCondition(this.#job, 'Failed')
    const { ttlSecondsAfterFinished: ttl } = this.#job.spec
    if (ttl === undefined) return { patch: this.#patch }
    const leftMs = (Date.parse(end?.lastTransitionTime ?? '') || 0) + ttl * 1_000 - this.#nowMs
    if (leftMs > 0) return { patch: this.#patch, requeueAfterMs: leftMs }
    const { uid } = this.#job.metadata
    return {
      patch: this.#patch,
      delete: [{ kind: Job, key: keyOf(this.#job), ...(uid && { uid }) }],
    }
  }

  #lookAgain(afterMs: number): void {
    this.#requeueMs = Math.min(this.#requeueMs, afterMs)
  }
}
