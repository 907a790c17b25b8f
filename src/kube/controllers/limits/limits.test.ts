import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inMemoryPlatform } from '../../../testing/platform.ts'
import { SimClock } from '../../../testing/sim-clock.ts'
import { CronJob } from '../../api/cron-job.ts'
import { Job } from '../../api/job.ts'
import { coreKinds } from '../../api/kinds.ts'
import { Pod } from '../../api/pod.ts'
import { PodDisruptionBudget } from '../../api/pod-disruption-budget.ts'
import { ReplicaSet } from '../../api/replica-set.ts'
import { ResourceQuota } from '../../api/resource-quota.ts'
import { simulate } from '../../controller/convergence.ts'
import { startWorkloads } from '../workloads.ts'
import { disruption } from './disruption.ts'

const nowMs = Date.UTC(2026, 0, 2)

test('how many pods may be evicted, by number and by share', () => {
  const allowed = (spec: object, readyPods: number) => {
    const simulation = simulate([disruption])
    const labels = { app: 'a' }
    simulation.put(ReplicaSet, {
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      metadata: { name: 'rs', namespace: 'default' },
      spec: { replicas: 4, selector: { matchLabels: labels } },
    })
    const owner = simulation.reader.get(ReplicaSet, { namespace: 'default', name: 'rs' })
    for (let i = 0; i < 4; i++)
      simulation.put(Pod, {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: {
          name: `p${i}`,
          namespace: 'default',
          labels,
          ownerReferences: [
            {
              apiVersion: 'apps/v1',
              kind: 'ReplicaSet',
              name: 'rs',
              uid: owner?.metadata.uid ?? '',
              controller: true,
            },
          ],
        },
        spec: { containers: [] },
        status: {
          phase: 'Running',
          conditions: [{ type: 'Ready', status: i < readyPods ? 'True' : 'False' }],
        },
      })
    simulation.put(PodDisruptionBudget, {
      apiVersion: 'policy/v1',
      kind: 'PodDisruptionBudget',
      metadata: { name: 'b', namespace: 'default' },
      spec: { selector: { matchLabels: labels }, ...spec },
    })
    simulation.settle({ nowMs })
    const key = { namespace: 'default', name: 'b' }
    return simulation.reader.get(PodDisruptionBudget, key)?.status?.disruptionsAllowed
  }
  assert.equal(allowed({ minAvailable: 3 }, 4), 1)
  assert.equal(allowed({ minAvailable: 3 }, 3), 0)
  assert.equal(allowed({ minAvailable: '50%' }, 4), 2)
  assert.equal(allowed({ maxUnavailable: 1 }, 4), 1)
  assert.equal(allowed({ maxUnavailable: '30%' }, 4), 2)
  assert.equal(allowed({ maxUnavailable: 0 }, 4), 0)
})

test('controllers start with the first object: a quota is counted, a CronJob makes its Job in time', async () => {
  const clock = new SimClock()
  await using platform = inMemoryPlatform({ kinds: coreKinds, clock })
  const { client } = platform
  await using _ = startWorkloads({ ...platform, kinds: coreKinds })
  await client.create(ResourceQuota, {
    apiVersion: 'v1',
    kind: 'ResourceQuota',
    metadata: { name: 'q', namespace: 'default' },
    spec: { hard: { 'count/jobs.batch': '5', configmaps: '9' } },
  })
  const template = { spec: { containers: [{ name: 'c', image: 'i' }], restartPolicy: 'Never' } }
  await client.create(CronJob, {
    apiVersion: 'batch/v1',
    kind: 'CronJob',
    metadata: { name: 'c', namespace: 'default' },
    spec: { schedule: '* * * * *', timeZone: 'Etc/UTC', jobTemplate: { spec: { template } } },
  })
  const until = async (what: string, done: () => Promise<boolean>) => {
    for (let i = 0; i < 2_000; i++) {
      if (await done()) return
      await clock.advance(200)
      await new Promise((resolve) => setImmediate(resolve))
    }
    assert.fail(what)
  }
  await until('a Job', async () => (await client.list(Job, 'default')).items.length > 0)
  await until('its pod', async () => (await client.list(Pod, 'default')).items.length > 0)
  await until('the count', async () => {
    const { status } = await client.get(ResourceQuota, { namespace: 'default', name: 'q' })
    return Number(status?.used?.['count/jobs.batch']) > 0 && status?.used?.['configmaps'] === '1'
  })
})
