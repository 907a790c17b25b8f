/** Job: pods that run to their end, as many and as often as it takes (batch/v1). */
import type { Job as JobType } from 'kubernetes-types/batch/v1.js'
import { ageColumn, nameColumn, templateColumns } from './columns.ts'
import { changed } from './container.ts'
import type { AdmissionContext, KindDefinition } from './kind.ts'
import { podSpecProblems, defaultTemplate } from './pod-spec.ts'
import { humanDuration } from './printer.ts'
import { builtin } from './schema.ts'
import { selectorMatcher } from './selectors.ts'
import type { Stored } from './stored.ts'
import {
  canonicalJson,
  fill,
  notAllowed,
  notNegative,
  notSupported,
  refuseInvalid,
  required,
  sameJson,
  wrong,
  type Complaints,
} from './validation.ts'
import { selectorCell } from './workload.ts'

export type Job = Stored<JobType, 'spec'>
export type JobSpec = Job['spec']

/** Labels of a Job's pods; the two without a group are what older clients look for. */
const jobNameLabel = 'batch.kubernetes.io/job-name'
const jobUidLabel = 'batch.kubernetes.io/controller-uid'
const oldJobNameLabel = 'job-name'
const oldJobUidLabel = 'controller-uid'

/** The condition of that type that says True. */
export const jobCondition = ({ status }: Job, type: string) =>
  status?.conditions?.find((each) => each.type === type && each.status === 'True')

export const isFinishedJob = (job: Job): boolean =>
  jobCondition(job, 'Complete') !== undefined || jobCondition(job, 'Failed') !== undefined

const statusCell = (job: Job): string => {
  if (jobCondition(job, 'Complete')) return 'Complete'
  if (jobCondition(job, 'Failed')) return 'Failed'
  if (job.metadata.deletionTimestamp) return 'Terminating'
  if (jobCondition(job, 'Suspended')) return 'Suspended'
  if (jobCondition(job, 'FailureTarget')) return 'FailureTarget'
  if (jobCondition(job, 'SuccessCriteriaMet')) return 'SuccessCriteriaMet'
  return 'Running'
}

function completionsCell({ spec, status }: Job): string {
  const { completions, parallelism = 0 } = spec
  const succeeded = status?.succeeded ?? 0
  if (completions !== undefined) return `${succeeded}/${completions}`
  return parallelism > 1 ? `${succeeded}/1 of ${parallelism}` : `${succeeded}/1`
}

function durationCell({ status }: Job, nowMs: number): string {
  const { startTime, completionTime } = status ?? {}
  if (!startTime) return ''
  const endMs = completionTime ? Date.parse(completionTime) : nowMs
  return humanDuration(endMs - Date.parse(startTime))
}

export const Job: KindDefinition<Job> = {
  group: 'batch',
  version: 'v1',
  kind: 'Job',
  plural: 'jobs',
  singular: 'job',
  categories: ['all'],
  namespaced: true,
  description: 'A Job runs pods until enough of them have succeeded.',
  schema: builtin<Job>('io.k8s.api.batch.v1.Job'),
  flavour: 'builtin',
  hasStatus: true,
  hasGeneration: true,
  selectableFields: { 'status.successful': ({ status }) => String(status?.succeeded ?? 0) },
  columns: [
    nameColumn,
    {
      name: 'Status',
      type: 'string',
      description: 'How far the Job has come.',
      value: statusCell,
    },
    {
      name: 'Completions',
      type: 'string',
      description: 'Pods that have succeeded, of those that must.',
      value: completionsCell,
    },
    {
      name: 'Duration',
      type: 'string',
      description: 'How long it has run, or ran.',
      value: durationCell,
    },
    ageColumn,
    ...templateColumns,
    {
      name: 'Selector',
      type: 'string',
      priority: 1,
      description: 'Labels of its pods.',
      value: selectorCell,
    },
  ],
  admit(job, context) {
    if (context.subresource === 'status') return job
    const defaulted = changed(job, { spec: defaultJobSpec(job.spec ?? { template: {} }) })
    const own = context.operation === 'CREATE' ? withSelector(defaulted) : defaulted
    return refuseInvalid(Job, own, problems(own, context))
  },
}

/** A Job's spec with everything filled in but the selector, which needs the Job's uid. */
export function defaultJobSpec(spec: JobSpec): JobSpec {
  const once = spec.completions === undefined && spec.parallelism === undefined
  const filled = fill(spec, {
    ...(once && { completions: 1 }),
    parallelism: 1,
    backoffLimit: spec.backoffLimitPerIndex === undefined ? 6 : 2_147_483_647,
    completionMode: 'NonIndexed',
    suspend: false,
    podReplacementPolicy: spec.podFailurePolicy ? 'Failed' : 'TerminatingOrFailed',
    manualSelector: false,
  })
  return changed(filled, {
    ...(filled.template && { template: defaultTemplate(filled.template) }),
  })
}

/** The pods of a Job are its own by a label with its uid, unless it brings a selector of its own. */
function withSelector(job: Job): Job {
  if (job.spec.manualSelector) return job
  const { name, uid = '' } = job.metadata
  const { selector, template } = job.spec
  const labels = {
    ...template?.metadata?.labels,
    [jobUidLabel]: uid,
    [oldJobUidLabel]: uid,
    [jobNameLabel]: name,
    [oldJobNameLabel]: name,
  }
  return {
    ...job,
    spec: {
      ...job.spec,
      selector: selector ?? { matchLabels: { [jobUidLabel]: uid } },
      template: { ...template, metadata: { ...template?.metadata, labels } },
    },
  }
}

function* problems(job: Job, { old }: AdmissionContext<Job>): Complaints {
  const { spec } = job
  yield* jobSpecProblems(spec, 'spec')
  if (job.metadata.name.length > 63)
    yield wrong('metadata.name', job.metadata.name, 'must be no more than 63 characters')
  if (!spec.selector) yield required('spec.selector')
  else if (!selectorMatcher(spec.selector)(spec.template?.metadata?.labels))
    yield wrong(
      'spec.template.metadata.labels',
      spec.template?.metadata?.labels ?? {},
      '`selector` does not match template `labels`',
    )
  if (old) yield* changeProblems(job, old)
}

/** Complaints about what a Job and the template of a CronJob have in common. */
export function* jobSpecProblems(spec: JobSpec, at: string): Complaints {
  for (const field of [
    'parallelism',
    'completions',
    'activeDeadlineSeconds',
    'backoffLimit',
    'ttlSecondsAfterFinished',
    'backoffLimitPerIndex',
    'maxFailedIndexes',
  ] as const)
    yield* notNegative(`${at}.${field}`, spec[field])
  const { completionMode = 'NonIndexed', completions, template } = spec
  if (completionMode !== 'NonIndexed' && completionMode !== 'Indexed')
    yield notSupported(`${at}.completionMode`, completionMode, ['Indexed', 'NonIndexed'])
  if (completionMode === 'Indexed' && completions === undefined)
    yield required(`${at}.completions`, 'when completion mode is Indexed')
  if (completionMode !== 'Indexed')
    for (const field of ['backoffLimitPerIndex', 'maxFailedIndexes', 'successPolicy'] as const)
      if (spec[field] !== undefined)
        yield notAllowed(`${at}.${field}`, 'requires indexed completion mode')
  if (!template) return yield required(`${at}.template`)
  const policy = template.spec?.restartPolicy
  yield* podSpecProblems(template.spec ?? { containers: [] }, `${at}.template.spec`)
  if (policy === 'Always' || policy === undefined)
    yield required(`${at}.template.spec.restartPolicy`, 'valid values: "OnFailure", "Never"')
  if (spec.podFailurePolicy && policy !== 'Never' && policy !== 'Always')
    yield wrong(
      `${at}.template.spec.restartPolicy`,
      policy,
      'only "Never" is supported when podFailurePolicy is specified',
    )
  for (const [i, rule] of (spec.podFailurePolicy?.rules ?? []).entries()) {
    const here = `${at}.podFailurePolicy.rules[${i}]`
    if (!failureActions.includes(rule.action))
      yield rule.action
        ? notSupported(`${here}.action`, rule.action, failureActions)
        : required(
            `${here}.action`,
            `valid values: ${failureActions.map((each) => `"${each}"`).join(', ')}`,
          )
    if (rule.onExitCodes && rule.onPodConditions?.length)
      yield wrong(here, rule, 'specifying both OnExitCodes and OnPodConditions is not supported')
    else if (!rule.onExitCodes && !rule.onPodConditions?.length)
      yield wrong(here, rule, 'specifying one of OnExitCodes and OnPodConditions is required')
    const { operator, values = [] } = rule.onExitCodes ?? {}
    if (rule.onExitCodes && operator !== 'In' && operator !== 'NotIn')
      yield notSupported(`${here}.onExitCodes.operator`, operator, ['In', 'NotIn'])
    if (rule.onExitCodes && values.length === 0)
      yield wrong(`${here}.onExitCodes.values`, values, 'at least one value is required')
    if (operator === 'In' && values.includes(0))
      yield wrong(
        `${here}.onExitCodes.values[${values.indexOf(0)}]`,
        0,
        'must not be 0 for the In operator',
      )
  }
}

const failureActions = ['Count', 'FailIndex', 'FailJob', 'Ignore']

function* changeProblems({ spec }: Job, { spec: before, status }: Job): Complaints {
  const fixed = (field: string, now: unknown, then: unknown): Complaints =>
    immutable(`spec.${field}`, now, then)
  const elastic = spec.completionMode === 'Indexed' && spec.completions === spec.parallelism
  if (!elastic) yield* fixed('completions', spec.completions, before.completions)
  yield* fixed('selector', spec.selector, before.selector)
  // Where its pods go may be said until the first of them was made.
  const free = before.suspend === true && status?.startTime === undefined
  const bare = (template: JobSpec['template']) => {
    if (!free || !template) return template
    const {
      nodeSelector: _n,
      affinity: _a,
      tolerations: _t,
      schedulingGates: _g,
      ...rest
    } = template.spec ?? { containers: [] }
    return { metadata: {}, spec: rest }
  }
  if (!sameJson(bare(spec.template), bare(before.template)))
    yield* fixed('template', spec.template, before.template)
  yield* fixed('completionMode', spec.completionMode, before.completionMode)
  yield* fixed('podFailurePolicy', spec.podFailurePolicy, before.podFailurePolicy)
  yield* fixed('backoffLimitPerIndex', spec.backoffLimitPerIndex, before.backoffLimitPerIndex)
}

/** `field is immutable`, when it was changed. */
export function* immutable(field: string, now: unknown, before: unknown): Complaints {
  if (now === before || sameJson(now ?? null, before ?? null)) return
  yield {
    reason: 'FieldValueInvalid',
    field,
    detail: `Invalid value: ${canonicalJson(now ?? null)}: field is immutable`,
  }
}
