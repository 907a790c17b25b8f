import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rfc3339 } from '../../../lib/clock.ts'
import { seededRandom } from '../../../lib/random.ts'
import { Job } from '../../api/job.ts'
import { Pod } from '../../api/pod.ts'
import { simulate } from '../../controller/convergence.ts'
import { indexesText, parseIndexes } from './indexes.ts'
import { job } from './job.ts'
import { leftPods } from './left-pods.ts'

const startMs = Date.UTC(2026, 0, 2)

const aJob = (spec: Partial<Job['spec']> = {}): Job => ({
  apiVersion: 'batch/v1',
  kind: 'Job',
  metadata: { name: 'j', namespace: 'default' },
  spec: {
    completions: 1,
    parallelism: 1,
    backoffLimit: 6,
    selector: { matchLabels: { job: 'j' } },
    template: {
      metadata: { labels: { job: 'j' } },
      spec: { containers: [{ name: 'c', image: 'i' }], restartPolicy: 'Never' },
    },
    ...spec,
  },
})

function start(spec: Partial<Job['spec']> = {}) {
  const simulation = simulate([job(seededRandom(1)), leftPods])
  const key = { namespace: 'default', name: 'j' }
  let nowMs = startMs
  simulation.put(Job, aJob(spec))
  const settle = (afterMs = 0) => {
    nowMs += afterMs
    const now = simulation.reader.get(Job, key)
    if (now && afterMs > 0)
      simulation.put(Job, {
        ...now,
        metadata: { ...now.metadata, annotations: { at: `${nowMs}` } },
      })
    simulation.settle({ nowMs })
  }
  settle()
  const pods = () => simulation.reader.list(Pod, 'default')
  const running = () => pods().filter(({ status }) => !status?.phase || status.phase === 'Running')
  const end = (pod: Pod | undefined, phase: 'Succeeded' | 'Failed', exitCode = 1) => {
    assert.ok(pod)
    const terminated = { exitCode, finishedAt: rfc3339(nowMs) }
    const containerStatuses = [
      { name: 'c', image: 'i', imageID: '', ready: false, restartCount: 0, state: { terminated } },
    ]
    simulation.put(Pod, { ...pod, status: { phase, containerStatuses } })
    settle()
  }
  const now = () => simulation.reader.get(Job, key)
  const conditions = () =>
    (now()?.status?.conditions ?? [])
      .filter(({ status }) => status === 'True')
      .map(({ type, reason }) => `${type} ${reason}`)
  return { simulation, settle, pods, running, end, now, conditions, key }
}

test('pods run as many at a time as allowed until enough have succeeded, each counted once', () => {
  const { running, end, now, conditions, pods } = start({ completions: 3, parallelism: 2 })
  assert.equal(running().length, 2)
  end(running()[0], 'Succeeded', 0)
  assert.equal(now()?.status?.succeeded, 1)
  assert.equal(running().length, 2)
  end(running()[0], 'Succeeded', 0)
  assert.equal(running().length, 1)
  assert.deepEqual(conditions(), [])
  end(running()[0], 'Succeeded', 0)
  assert.deepEqual(conditions(), [
    'SuccessCriteriaMet CompletionsReached',
    'Complete CompletionsReached',
  ])
  assert.equal(now()?.status?.succeeded, 3)
  assert.equal(now()?.status?.active, undefined)
  assert.ok(now()?.status?.completionTime)
  assert.ok(pods().every(({ metadata }) => !metadata.finalizers?.length))
})

test('a failed pod is followed by another after 10 s, then 20 s, until the limit', () => {
  const { running, end, settle, now, conditions } = start({ backoffLimit: 2 })
  end(running()[0], 'Failed')
  assert.equal(running().length, 0)
  settle(9_000)
  assert.equal(running().length, 0)
  settle(1_000)
  assert.equal(running().length, 1)
  end(running()[0], 'Failed')
  settle(19_000)
  assert.equal(running().length, 0)
  settle(1_000)
  end(running()[0], 'Failed')
  assert.equal(now()?.status?.failed, 3)
  assert.deepEqual(conditions(), [
    'FailureTarget BackoffLimitExceeded',
    'Failed BackoffLimitExceeded',
  ])
})

test('the deadline ends pods that run', () => {
  const { running, settle, conditions } = start({ activeDeadlineSeconds: 30 })
  settle(29_000)
  assert.equal(running().length, 1)
  settle(1_000)
  assert.deepEqual(conditions()[0], 'FailureTarget DeadlineExceeded')
  assert.ok(running().every(({ metadata }) => metadata.deletionTimestamp))
})

test('suspended: pods go and count for nothing; resumed: they come again', () => {
  const { simulation, running, now, settle, key, conditions } = start({
    parallelism: 2,
    completions: 2,
  })
  const suspend = (value: boolean) => {
    const found = simulation.reader.get(Job, key)
    assert.ok(found)
    simulation.put(Job, { ...found, spec: { ...found.spec, suspend: value } })
    settle()
  }
  suspend(true)
  assert.equal(running().length, 0)
  assert.equal(now()?.status?.failed, undefined)
  assert.equal(now()?.status?.startTime, undefined)
  assert.deepEqual(conditions(), ['Suspended JobSuspended'])
  suspend(false)
  assert.equal(running().length, 2)
  assert.deepEqual(conditions(), [])
})

test('Indexed: each index once, with its name, its number in the environment, and its place in the status', () => {
  const { running, end, now, conditions } = start({
    completionMode: 'Indexed',
    completions: 3,
    parallelism: 3,
  })
  const index = (i: number) =>
    running().find(
      ({ metadata }) =>
        metadata.annotations?.['batch.kubernetes.io/job-completion-index'] === String(i),
    )
  assert.match(index(1)?.metadata.name ?? '', /^j-1-[a-z0-9]{5}$/)
  assert.equal(index(1)?.spec.hostname, 'j-1')
  assert.equal(index(1)?.spec.containers[0]?.env?.[0]?.name, 'JOB_COMPLETION_INDEX')
  end(index(2), 'Succeeded', 0)
  end(index(0), 'Succeeded', 0)
  assert.equal(now()?.status?.completedIndexes, '0,2')
  end(index(1), 'Succeeded', 0)
  assert.equal(now()?.status?.completedIndexes, '0-2')
  assert.equal(conditions().at(-1), 'Complete CompletionsReached')
})

test('podFailurePolicy: one exit code fails the Job at once, another counts for nothing', () => {
  const policy: Job['spec']['podFailurePolicy'] = {
    rules: [
      { action: 'FailJob', onExitCodes: { operator: 'In', values: [42] } },
      { action: 'Ignore', onExitCodes: { operator: 'In', values: [7] } },
    ],
  }
  const ignored = start({ podFailurePolicy: policy, backoffLimit: 0 })
  ignored.end(ignored.running()[0], 'Failed', 7)
  assert.deepEqual(ignored.conditions(), [])
  assert.equal(ignored.running().length, 1)
  ignored.end(ignored.running()[0], 'Failed', 42)
  assert.equal(ignored.conditions().at(-1), 'Failed PodFailurePolicy')
  assert.match(
    ignored.now()?.status?.conditions?.[0]?.message ?? '',
    /^Container c for pod default\/j-\w+ failed with exit code 42 matching FailJob rule at index 0$/,
  )
})

test('ttlSecondsAfterFinished: it goes by itself, and its pods with it', () => {
  const { running, end, settle, now, pods } = start({ ttlSecondsAfterFinished: 60 })
  end(running()[0], 'Succeeded', 0)
  settle(59_000)
  assert.ok(now())
  settle(1_000)
  assert.equal(now(), undefined)
  settle()
  assert.equal(pods().length, 0)
})

test('pods of a deleted Job are not held back', () => {
  const { simulation, key, pods, settle } = start()
  simulation.delete(Job, key)
  settle()
  assert.ok(pods().every(({ metadata }) => !metadata.finalizers?.length))
})

test('sets of indexes as text', () => {
  for (const text of ['', '0', '0,1', '0-2,5', '1,3,5-9'])
    assert.equal(indexesText(parseIndexes(text)), text)
  assert.equal(parseIndexes('0-999999999').size, 100_000)
})
