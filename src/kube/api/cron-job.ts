/** CronJob: a Job at each time that a schedule names (batch/v1). */
import type { CronJob as CronJobType } from 'kubernetes-types/batch/v1.js'
import { ageColumn, nameColumn } from './columns.ts'
import { changed } from './container.ts'
import { scheduleProblem } from './cron-schedule.ts'
import { defaultJobSpec, jobSpecProblems } from './job.ts'
import type { Column, KindDefinition } from './kind.ts'
import { commaList, humanAge } from './printer.ts'
import { builtin } from './schema.ts'
import { selectorText } from './selectors.ts'
import type { Stored } from './stored.ts'
import {
  fill,
  notNegative,
  notSupported,
  refuseInvalid,
  required,
  wrong,
  type Complaints,
} from './validation.ts'

export type CronJob = Stored<CronJobType, 'spec'>

const containersOf = ({ spec }: CronJob) => spec.jobTemplate?.spec?.template?.spec?.containers ?? []

const wide = (
  name: string,
  description: string,
  value: Column<CronJob>['value'],
): Column<CronJob> => ({ name, type: 'string', priority: 1, description, value })

export const CronJob: KindDefinition<CronJob> = {
  group: 'batch',
  version: 'v1',
  kind: 'CronJob',
  plural: 'cronjobs',
  singular: 'cronjob',
  shortNames: ['cj'],
  categories: ['all'],
  namespaced: true,
  description: 'A CronJob makes a Job whenever its schedule says so.',
  schema: builtin<CronJob>('io.k8s.api.batch.v1.CronJob'),
  flavour: 'builtin',
  hasStatus: true,
  hasGeneration: true,
  columns: [
    nameColumn,
    {
      name: 'Schedule',
      type: 'string',
      description: 'When Jobs are made, in cron form.',
      value: ({ spec }) => spec.schedule,
    },
    {
      name: 'Timezone',
      type: 'string',
      description: 'The time zone of the schedule.',
      value: ({ spec }) => spec.timeZone ?? '<none>',
    },
    {
      name: 'Suspend',
      type: 'boolean',
      description: 'Whether no Jobs are made for now.',
      value: ({ spec }) => (spec.suspend ? 'True' : 'False'),
    },
    {
      name: 'Active',
      type: 'integer',
      description: 'Jobs that run.',
      value: ({ status }) => status?.active?.length ?? 0,
    },
    {
      name: 'Last Schedule',
      type: 'string',
      description: 'How long ago a Job was made.',
      value: ({ status }, nowMs) =>
        status?.lastScheduleTime ? humanAge(status.lastScheduleTime, nowMs) : '<none>',
    },
    ageColumn,
    wide('Containers', 'Names of the containers in the template.', (job) =>
      commaList(containersOf(job).map(({ name }) => name)),
    ),
    wide('Images', 'Images of the containers in the template.', (job) =>
      commaList(containersOf(job).map(({ image }) => image ?? '')),
    ),
    wide('Selector', 'Labels of its pods.', ({ spec }) =>
      spec.jobTemplate?.spec?.selector ? selectorText(spec.jobTemplate.spec.selector) : '<none>',
    ),
  ],
  admit(job, { subresource, operation }) {
    if (subresource === 'status') return job
    const spec = fill(job.spec ?? {}, {
      concurrencyPolicy: 'Allow',
      suspend: false,
      successfulJobsHistoryLimit: 3,
      failedJobsHistoryLimit: 1,
    })
    const template = spec.jobTemplate?.spec
    const defaulted = changed(job, {
      spec: changed(spec, {
        ...(template && {
          jobTemplate: changed(spec.jobTemplate, { spec: defaultTemplateSpec(template) }),
        }),
      }),
    })
    return refuseInvalid(CronJob, defaulted, problems(defaulted, operation))
  },
}

/** A Job template gets the defaults of its pods; what a Job alone has is filled in when one is made. */
function defaultTemplateSpec(spec: NonNullable<CronJob['spec']['jobTemplate']['spec']>) {
  const { template } = defaultJobSpec(spec)
  return changed(spec, { ...(template && { template }) })
}

function* problems({ spec, metadata }: CronJob, operation: string): Complaints {
  if (operation === 'CREATE' && metadata.name.length > 52)
    yield wrong('metadata.name', metadata.name, 'must be no more than 52 characters')
  const { schedule, timeZone } = spec
  if (!schedule) yield required('spec.schedule')
  else if (/TZ=/.test(schedule))
    yield wrong(
      'spec.schedule',
      schedule,
      'cannot use TZ or CRON_TZ in schedule, use timeZone field instead',
    )
  else {
    const problem = scheduleProblem(schedule)
    if (problem) yield wrong('spec.schedule', schedule, problem)
  }
  if (timeZone !== undefined && !isTimeZone(timeZone))
    yield wrong('spec.timeZone', timeZone, `unknown time zone ${timeZone}`)
  const { concurrencyPolicy } = spec
  if (!['Allow', 'Forbid', 'Replace'].includes(concurrencyPolicy ?? ''))
    yield notSupported('spec.concurrencyPolicy', concurrencyPolicy, ['Allow', 'Forbid', 'Replace'])
  yield* notNegative('spec.startingDeadlineSeconds', spec.startingDeadlineSeconds)
  yield* notNegative('spec.successfulJobsHistoryLimit', spec.successfulJobsHistoryLimit)
  yield* notNegative('spec.failedJobsHistoryLimit', spec.failedJobsHistoryLimit)
  if (!spec.jobTemplate?.spec) yield required('spec.jobTemplate.spec.template')
  else yield* jobSpecProblems(spec.jobTemplate.spec, 'spec.jobTemplate.spec')
}

/** Named as the time zone database names it; `Local` is whatever the server's is, and refused. */
function isTimeZone(name: string): boolean {
  if (name === '' || name.toLowerCase() === 'local' || !/^[A-Za-z][\w+-]*(\/[\w+-]+)*$/.test(name))
    return false
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== ''
  } catch {
    return false
  }
}
