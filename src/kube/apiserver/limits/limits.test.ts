import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SimClock } from '../../../testing/sim-clock.ts'
import { inMemoryPlatform } from '../../../testing/platform.ts'
import { ConfigMap } from '../../api/config-map.ts'
import { coreKinds, viewKinds } from '../../api/kinds.ts'
import { Event } from '../../api/event.ts'
import { EventsEvent } from '../../api/events-event.ts'
import { HorizontalPodAutoscaler } from '../../api/horizontal-pod-autoscaler.ts'
import { LimitRange } from '../../api/limit-range.ts'
import { Pod } from '../../api/pod.ts'
import { PodDisruptionBudget } from '../../api/pod-disruption-budget.ts'
import { PriorityClass } from '../../api/priority-class.ts'
import { ResourceQuota } from '../../api/resource-quota.ts'
import type { StatusError } from '../../api/status-error.ts'

const start = () => inMemoryPlatform({ kinds: [...coreKinds, ...viewKinds], clock: new SimClock() })

const aPod = (
  name: string,
  requests?: Readonly<Record<string, string>>,
  more: object = {},
): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default', labels: { app: 'a' } },
  spec: {
    containers: [{ name: 'c', image: 'i', ...(requests && { resources: { requests } }) }],
    ...more,
  },
})
const quota = (hard: Readonly<Record<string, string>>, more: object = {}): ResourceQuota => ({
  apiVersion: 'v1',
  kind: 'ResourceQuota',
  metadata: { name: 'q', namespace: 'default' },
  spec: { hard, ...more },
})
const refusal = (asked: Promise<unknown>): Promise<string> =>
  asked.then(
    () => 'none',
    (error: StatusError) => `${error.code} ${error.message}`,
  )

test('a quota of requests: said, counted and exceeded', async () => {
  await using platform = start()
  const { client } = platform
  await client.create(ResourceQuota, quota({ 'requests.cpu': '1', 'limits.memory': '1Gi' }))
  assert.equal(
    await refusal(client.create(Pod, aPod('a'))),
    '403 pods "a" is forbidden: failed quota: q: must specify limits.memory for: c; requests.cpu for: c',
  )
  await client.delete(ResourceQuota, { namespace: 'default', name: 'q' })
  await client.create(ResourceQuota, quota({ 'requests.cpu': '1' }))
  await client.create(Pod, aPod('a', { cpu: '600m' }))
  assert.equal(
    await refusal(client.create(Pod, aPod('b', { cpu: '0.5' }))),
    '403 pods "b" is forbidden: exceeded quota: q, requested: requests.cpu=500m, used: requests.cpu=600m, limited: requests.cpu=1',
  )
  await client.create(Pod, aPod('b', { cpu: '400m' }))
})

test('a quota counts objects of any kind, and ended pods no more', async () => {
  await using platform = start()
  const { client } = platform
  await client.create(ResourceQuota, quota({ pods: '1', configmaps: '1' }))
  const map = (name: string): ConfigMap => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace: 'default' },
  })
  // Beside the certificate that each namespace has.
  assert.match(
    await refusal(client.create(ConfigMap, map('m'))),
    /used: configmaps=1, limited: configmaps=1/,
  )
  const pod = await client.create(Pod, aPod('a'))
  assert.match(await refusal(client.create(Pod, aPod('b'))), /exceeded quota: q, requested: pods=1/)
  await client.updateStatus(Pod, { ...pod, status: { phase: 'Succeeded' } })
  await client.create(Pod, aPod('b'))
})

test('scopes: a quota for pods that end by themselves leaves others alone', async () => {
  await using platform = start()
  const { client } = platform
  await client.create(ResourceQuota, quota({ pods: '0' }, { scopes: ['Terminating'] }))
  await client.create(Pod, aPod('a'))
  assert.match(
    await refusal(client.create(Pod, aPod('b', undefined, { activeDeadlineSeconds: 5 }))),
    /exceeded quota/,
  )
})

test('a limit range fills in what is not said, and refuses too much', async () => {
  await using platform = start()
  const { client } = platform
  await client.create(LimitRange, {
    apiVersion: 'v1',
    kind: 'LimitRange',
    metadata: { name: 'l', namespace: 'default' },
    spec: {
      limits: [
        {
          type: 'Container',
          default: { cpu: '200m' },
          defaultRequest: { cpu: '100m' },
          max: { cpu: '1' },
        },
      ],
    },
  })
  const { spec, status, metadata } = await client.create(Pod, aPod('a'))
  assert.deepEqual(spec.containers[0]?.resources, {
    limits: { cpu: '200m' },
    requests: { cpu: '100m' },
  })
  assert.equal(status?.qosClass, 'Burstable')
  assert.equal(
    metadata.annotations?.['kubernetes.io/limit-ranger'],
    'LimitRanger plugin set: cpu request for container c; cpu limit for container c',
  )
  const greedy = aPod('b', undefined, {
    containers: [{ name: 'c', image: 'i', resources: { limits: { cpu: '2' } } }],
  })
  assert.equal(
    await refusal(client.create(Pod, greedy)),
    '403 pods "b" is forbidden: maximum cpu usage per Container is 1, but limit is 2',
  )
})

test('priorities: by name, by default, and none that does not exist', async () => {
  await using platform = start()
  const { client } = platform
  const named = (priorityClassName: string) => aPod('p', undefined, { priorityClassName })
  const { spec } = await client.create(Pod, named('system-node-critical'))
  assert.equal(spec.priority, 2_000_001_000)
  await client.delete(Pod, { namespace: 'default', name: 'p' })
  assert.equal(
    await refusal(client.create(Pod, named('nobody'))),
    '403 pods "p" is forbidden: no PriorityClass with name nobody was found',
  )
  await client.create(PriorityClass, {
    apiVersion: 'scheduling.k8s.io/v1',
    kind: 'PriorityClass',
    metadata: { name: 'usual' },
    value: 7,
    globalDefault: true,
  })
  assert.equal((await client.create(Pod, aPod('p'))).spec.priority, 7)
})

test('an eviction spends the budget, and waits when there is none', async () => {
  await using platform = start()
  const { client } = platform
  const budget = await client.create(PodDisruptionBudget, {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: { name: 'b', namespace: 'default' },
    spec: { minAvailable: 1, selector: { matchLabels: { app: 'a' } } },
  })
  await client.updateStatus(PodDisruptionBudget, {
    ...budget,
    status: {
      observedGeneration: 1,
      disruptionsAllowed: 1,
      currentHealthy: 2,
      desiredHealthy: 1,
      expectedPods: 2,
    },
  })
  const evict = async (name: string) => {
    const pod = await client.create(Pod, aPod(name))
    const conditions = [{ type: 'Ready', status: 'True' }]
    await client.updateStatus(Pod, { ...pod, status: { phase: 'Running', conditions } })
    const body = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name } }
    const key = { namespace: 'default', name }
    return client.subresource('create', Pod, key, 'eviction', body)
  }
  await evict('one')
  const spent = await client.get(PodDisruptionBudget, { namespace: 'default', name: 'b' })
  assert.equal(spent.status?.disruptionsAllowed, 0)
  assert.ok(spent.status?.disruptedPods?.['one'])
  assert.equal(
    await refusal(evict('two')),
    "429 Cannot evict pod as it would violate the pod's disruption budget.",
  )
})

test('Events under their other name are the same Events', async () => {
  await using platform = start()
  const { client } = platform
  await client.create(EventsEvent, {
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    metadata: { name: 'e', namespace: 'default' },
    regarding: { kind: 'Pod', name: 'p', namespace: 'default' },
    note: 'it happened',
    reason: 'Happened',
    type: 'Normal',
  } as never)
  const core = await client.get(Event, { namespace: 'default', name: 'e' })
  assert.equal(core.message, 'it happened')
  assert.equal(core.involvedObject.name, 'p')
  const { items } = await client.list(EventsEvent, 'default', { fieldSelector: 'regarding.name=p' })
  assert.equal(items.length, 1)
  assert.equal((items[0] as unknown as { note: string }).note, 'it happened')
  const patched = await client.patch(
    EventsEvent,
    { namespace: 'default', name: 'e' },
    {
      type: 'merge',
      body: {
        note: 'again',
        series: { count: 2, lastObservedTime: '2026-01-01T00:00:00.000000Z' },
      },
    },
  )
  assert.equal(patched.apiVersion, 'events.k8s.io/v1')
  assert.equal((await client.get(Event, { namespace: 'default', name: 'e' })).message, 'again')
})

test('an autoscaler of version 1 is one of version 2, and comes back with what it can not say', async () => {
  const v1 = HorizontalPodAutoscaler.versions?.[0]
  assert.ok(v1)
  const scaleTargetRef = { kind: 'Deployment', name: 'd', apiVersion: 'apps/v1' }
  const old = {
    apiVersion: 'autoscaling/v1',
    kind: 'HorizontalPodAutoscaler',
    metadata: { name: 'h', namespace: 'default' },
    spec: { scaleTargetRef, maxReplicas: 3, targetCPUUtilizationPercentage: 60 },
  }
  const stored = v1.toStorage(old, () => {}) as HorizontalPodAutoscaler
  assert.equal(stored.spec.metrics?.[0]?.resource?.target.averageUtilization, 60)
  assert.deepEqual(v1.fromStorage(stored), old)
  const memory = {
    type: 'Resource',
    resource: { name: 'memory', target: { type: 'AverageValue', averageValue: '1Gi' } },
  }
  const richer = {
    ...stored,
    spec: { ...stored.spec, metrics: [memory, ...(stored.spec.metrics ?? [])] },
  }
  const shown = v1.fromStorage(richer)
  assert.ok(shown.metadata.annotations?.['autoscaling.alpha.kubernetes.io/metrics'])
  assert.deepEqual(
    v1.toStorage(shown, () => {}),
    richer,
  )
})
