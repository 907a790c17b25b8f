import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../../lib/random.ts'
import { keyOf, type OwnerReference } from '../api/meta.ts'
import { Pod } from '../api/pod.ts'
import { ReplicaSet } from '../api/replica-set.ts'
import { StatusError } from '../api/status-error.ts'
import { simulate } from '../controller/convergence.ts'
import { compareForDeletion } from './pod-rank.ts'
import { replicaSet } from './replica-set.ts'

const nowMs = Date.UTC(2026, 0, 2)
const agoText = (seconds: number) => new Date(nowMs - seconds * 1_000).toISOString()

const aSet = (replicas: number, more: Partial<ReplicaSet['spec']> = {}): ReplicaSet => ({
  apiVersion: 'apps/v1',
  kind: 'ReplicaSet',
  metadata: { name: 'web-1', namespace: 'default' },
  spec: {
    replicas,
    selector: { matchLabels: { app: 'web' } },
    template: {
      metadata: { labels: { app: 'web' }, annotations: { note: 'x' } },
      spec: { containers: [{ name: 'c', image: 'i' }] },
    },
    ...more,
  },
})

interface PodOptions {
  readonly ready?: boolean
  readonly readySeconds?: number
  readonly phase?: string
  readonly node?: string
  readonly cost?: string
  readonly restarts?: number
  readonly age?: number
  readonly labels?: Readonly<Record<string, string>>
  readonly owner?: OwnerReference
}

const aPod = (name: string, options: PodOptions = {}): Pod => {
  const {
    ready = true,
    readySeconds = 100,
    phase = 'Running',
    node = 'n1',
    cost,
    age = 100,
  } = options
  const { labels = { app: 'web' }, restarts = 0, owner } = options
  const status = ready ? 'True' : 'False'
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: 'default',
      labels,
      creationTimestamp: agoText(age),
      ...(cost && { annotations: { 'controller.kubernetes.io/pod-deletion-cost': cost } }),
      ...(owner && { ownerReferences: [owner] }),
    },
    spec: { containers: [{ name: 'c', image: 'i' }], ...(node && { nodeName: node }) },
    status: {
      phase,
      conditions: [{ type: 'Ready', status, lastTransitionTime: agoText(readySeconds) }],
      containerStatuses: [{ name: 'c', image: 'i', imageID: '', ready, restartCount: restarts }],
    },
  }
}

function start(set: ReplicaSet, pods: readonly Pod[] = []) {
  const simulation = simulate([replicaSet(seededRandom(1))])
  for (const pod of pods) simulation.put(Pod, pod)
  simulation.put(ReplicaSet, set)
  simulation.settle({ nowMs })
  return {
    simulation,
    pods: () => simulation.reader.list(Pod, ''),
    status: () => simulation.reader.get(ReplicaSet, keyOf(set))?.status,
  }
}

test('creates what is missing, from the template, as its own', () => {
  const { pods, status } = start(aSet(3))
  assert.equal(pods().length, 3)
  for (const { metadata, spec } of pods()) {
    assert.match(metadata.name, /^web-1-[bcdfghjklmnpqrstvwxz2456789]{5}$/)
    assert.equal(metadata.generateName, 'web-1-')
    assert.deepEqual(metadata.annotations, { note: 'x' })
    assert.equal(metadata.ownerReferences?.[0]?.blockOwnerDeletion, true)
    assert.equal(spec.containers[0]?.image, 'i')
  }
  assert.equal(status()?.replicas, 3)
  assert.equal(status()?.readyReplicas, undefined)
})

test('adopts orphans that match, releases children that do not', () => {
  const { simulation, pods } = start(aSet(2), [aPod('orphan'), aPod('stranger', { labels: {} })])
  assert.equal(pods().length, 3, 'one new pod beside the two')
  const orphan = pods().find(({ metadata }) => metadata.name === 'orphan')
  assert.equal(orphan?.metadata.ownerReferences?.[0]?.name, 'web-1')
  assert.ok(orphan)
  simulation.put(Pod, { ...orphan, metadata: { ...orphan.metadata, labels: { app: 'debug' } } })
  simulation.settle({ nowMs })
  const released = pods().find(({ metadata }) => metadata.name === 'orphan')
  assert.deepEqual(released?.metadata.ownerReferences, [])
  assert.equal(pods().length, 4, 'and another one took its place')
})

test('pods that have ended are replaced', () => {
  const { simulation, pods, status } = start(aSet(1))
  const [pod] = pods()
  assert.ok(pod)
  simulation.put(Pod, { ...pod, status: { phase: 'Failed' } })
  simulation.settle({ nowMs })
  assert.equal(pods().length, 2)
  assert.equal(status()?.replicas, 1)
})

test('available is ready for minReadySeconds, and it looks again then', () => {
  const set = aSet(1, { minReadySeconds: 60 })
  const plan = (readySeconds: number) => {
    const reconciler = replicaSet(seededRandom(1))
    const children = [aPod('p', { readySeconds })]
    return reconciler.plan({ replicaSet: set, pods: { children, patches: [] }, names: [] }, nowMs)
  }
  const early = plan(20)
  assert.equal((early.status as ReplicaSet['status'])?.availableReplicas, undefined)
  assert.equal(early.requeueAfterMs, 40_000)
  const late = plan(60)
  assert.equal((late.status as ReplicaSet['status'])?.availableReplicas, 1)
  assert.equal(late.requeueAfterMs, undefined)
})

test('a refused pod becomes condition ReplicaFailure, which keeps its first time and goes with success', () => {
  const reconciler = replicaSet(seededRandom(1))
  const pods = { children: [], patches: [] }
  const world = { replicaSet: aSet(1), pods, names: ['web-1-aaaaa'] }
  const plan = reconciler.plan(world, nowMs)
  assert.equal(plan.apply?.[0]?.createFailed?.message, 'Error creating: ')
  const failed = plan.statusOnFailure?.(new StatusError('Forbidden', 'exceeded quota'))
  const { conditions = [], replicas } = failed as NonNullable<ReplicaSet['status']>
  assert.equal(replicas, 0)
  assert.deepEqual(conditions, [
    {
      type: 'ReplicaFailure',
      status: 'True',
      reason: 'FailedCreate',
      message: 'exceeded quota',
      lastTransitionTime: '2026-01-02T00:00:00Z',
    },
  ])
  const again = reconciler.plan(
    { ...world, replicaSet: { ...aSet(1), status: { replicas: 0, conditions } } },
    nowMs + 60_000,
  )
  const later = again.statusOnFailure?.(new StatusError('Forbidden', 'still'))
  assert.deepEqual((later as ReplicaSet['status'])?.conditions, conditions)
  assert.equal((again.status as ReplicaSet['status'])?.conditions, undefined)
})

test('which pod goes first', () => {
  const table: readonly [string, PodOptions, PodOptions][] = [
    ['unassigned before assigned', { node: '' }, {}],
    ['Pending before Running', { phase: 'Pending' }, {}],
    ['not ready before ready', { ready: false }, {}],
    ['cheap before dear', { cost: '-5' }, { cost: '5' }],
    ['ready for a short time before long', { readySeconds: 1 }, { readySeconds: 10_000 }],
    ['restarted more often before less', { restarts: 3 }, { restarts: 1 }],
    ['new before old', { age: 1 }, { age: 50 }],
    ['the first rule decides', { node: '', cost: '100' }, { cost: '0' }],
  ]
  for (const [rule, first, second] of table) {
    const a = aPod('z', first)
    const b = aPod('a', second)
    assert.ok(compareForDeletion(a, b, nowMs) < 0, rule)
    assert.ok(compareForDeletion(b, a, nowMs) > 0, rule)
  }
})

test('scaling down deletes the least useful pods and says so', () => {
  const { simulation, pods, status } = start(aSet(3))
  for (const [i, pod] of pods().entries())
    simulation.put(Pod, { ...aPod(pod.metadata.name, { ready: i > 0 }), metadata: pod.metadata })
  const sick = pods()[0]?.metadata.name
  simulation.put(ReplicaSet, { ...aSet(2), metadata: { ...aSet(2).metadata } })
  simulation.settle({ nowMs })
  assert.equal(pods().length, 2)
  assert.ok(!pods().some(({ metadata }) => metadata.name === sick))
  assert.equal(status()?.readyReplicas, 2)
})
