import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rfc3339 } from '../../../lib/clock.ts'
import { CronJob } from '../../api/cron-job.ts'
import { scheduleProblem } from '../../api/cron-schedule.ts'
import { Job } from '../../api/job.ts'
import { simulate } from '../../controller/convergence.ts'
import { cronJob } from './cron-job.ts'
import { parseSchedule } from './schedule.ts'

const startMs = Date.UTC(2026, 0, 1)
const key = { namespace: 'default', name: 'c' }
const reconciler = cronJob(parseSchedule)

function start(spec: Partial<CronJob['spec']> = {}) {
  const simulation = simulate([reconciler])
  let nowMs = startMs
  const template = { spec: { containers: [{ name: 'c', image: 'i' }], restartPolicy: 'Never' } }
  simulation.put(CronJob, {
    apiVersion: 'batch/v1',
    kind: 'CronJob',
    metadata: { name: 'c', namespace: 'default' },
    spec: {
      schedule: '* * * * *',
      timeZone: 'Etc/UTC',
      jobTemplate: { spec: { template } },
      ...spec,
    },
  })
  const now = () => simulation.reader.get(CronJob, key)
  const at = (ms: number) => {
    nowMs = startMs + ms
    const object = now()
    assert.ok(object)
    simulation.put(CronJob, {
      ...object,
      metadata: { ...object.metadata, annotations: { at: `${ms}` } },
    })
    simulation.settle({ nowMs })
  }
  const jobs = () => simulation.reader.list(Job, 'default')
  const end = (job: Job | undefined, type: 'Complete' | 'Failed') => {
    assert.ok(job)
    const conditions = [{ type, status: 'True' }]
    const completionTime = rfc3339(nowMs)
    simulation.put(Job, {
      ...job,
      status: { conditions, completionTime, startTime: completionTime },
    })
    simulation.settle({ nowMs })
  }
  at(0)
  return { simulation, at, jobs, end, now }
}

test('a Job a minute, named by its time, and it looks again in time for the next', () => {
  const { at, jobs, now } = start()
  at(59_000)
  assert.equal(jobs().length, 0)
  at(60_100)
  assert.deepEqual(
    jobs().map(({ metadata }) => metadata.name),
    [`c-${startMs / 60_000 + 1}`],
  )
  assert.equal(now()?.status?.lastScheduleTime, '2026-01-01T00:01:00Z')
  assert.equal(now()?.status?.active?.length, 1)
  const cronJob_ = now()
  assert.ok(cronJob_)
  const plan = reconciler.plan({ cronJob: cronJob_, jobs: jobs() }, startMs + 70_000)
  assert.equal(plan.requeueAfterMs, 50_100)
})

test('missed times are made up for once, or not at all after the deadline', () => {
  const late = start()
  late.at(10 * 60_000)
  assert.equal(late.jobs().length, 1)
  const strict = start({ schedule: '0 * * * *', startingDeadlineSeconds: 10 })
  strict.at(61 * 60_000)
  assert.equal(strict.jobs().length, 0)
  strict.at(120 * 60_000 + 5_000)
  assert.equal(strict.jobs().length, 1)
})

test('Forbid waits, Replace ends the one before, Allow lets both run', () => {
  const count = (concurrencyPolicy: string) => {
    const { at, jobs } = start({ concurrencyPolicy })
    at(61_000)
    const [first] = jobs()
    at(121_000)
    return {
      count: jobs().length,
      kept: jobs().some(({ metadata }) => metadata.name === first?.metadata.name),
    }
  }
  assert.deepEqual(count('Forbid'), { count: 1, kept: true })
  assert.deepEqual(count('Replace'), { count: 1, kept: false })
  assert.deepEqual(count('Allow'), { count: 2, kept: true })
})

test('history: the newest are kept, and the last success is told', () => {
  const { at, jobs, end, now } = start({ successfulJobsHistoryLimit: 1, failedJobsHistoryLimit: 1 })
  for (const minute of [1, 2, 3]) {
    at(minute * 60_000 + 500)
    end(jobs().at(-1), 'Complete')
  }
  at(4 * 60_000 + 500)
  end(jobs().at(-1), 'Failed')
  assert.equal(jobs().length, 2)
  assert.equal(now()?.status?.lastSuccessfulTime, '2026-01-01T00:03:00Z')
  assert.equal(now()?.status?.active, undefined)
})

test('suspended: nothing is made', () => {
  const { at, jobs } = start({ suspend: true })
  at(600_000)
  assert.equal(jobs().length, 0)
})

test('a long absence with a schedule of every minute is looked over, not through', () => {
  const { at, jobs } = start()
  at(400 * 86_400_000)
  assert.equal(jobs().length, 1)
})

test('when a schedule names a time', () => {
  const next = (text: string, zone = 'Etc/UTC') =>
    rfc3339(parseSchedule(text, zone, startMs).next(startMs) ?? 0)
  const table: readonly (readonly [string, string, string?])[] = [
    ['*/15 * * * *', '2026-01-01T00:15:00Z'],
    ['@hourly', '2026-01-01T01:00:00Z'],
    ['0 9 * * mon', '2026-01-05T09:00:00Z'],
    ['0 0 13 * fri', '2026-01-02T00:00:00Z'],
    ['30 2 * feb *', '2026-02-01T02:30:00Z'],
    ['0 9 * * *', '2026-01-01T01:00:00Z', 'Asia/Shanghai'],
    ['@every 90m', '2026-01-01T01:30:00Z'],
  ]
  for (const [text, expected, zone] of table) assert.equal(next(text, zone), expected, text)
})

test('what is wrong with a schedule, in the words of upstream', () => {
  const table: readonly (readonly [string, string | undefined])[] = [
    ['* * * * *', undefined],
    ['0-30/5,45 1,2 ? JAN-mar sun', undefined],
    ['* * *', 'expected exactly 5 fields, found 3: [* * *]'],
    ['99 * * * *', 'end of range (99) above maximum (59): 99'],
    ['* * 0 * *', 'beginning of range (0) below minimum (1): 0'],
    ['5-1 * * * *', 'beginning of range (5) beyond end of range (1): 5-1'],
    ['*/0 * * * *', 'step of range should be a positive number: */0'],
    ['@often', 'unrecognized descriptor: @often'],
  ]
  for (const [text, expected] of table) assert.equal(scheduleProblem(text), expected, text)
})
