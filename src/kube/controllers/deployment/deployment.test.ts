import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { seededRandom, type Random } from '../../../lib/random.ts'
import { aDeployment } from '../../../testing/kube-objects.ts'
import { Deployment } from '../../api/deployment.ts'
import { keyOf } from '../../api/meta.ts'
import { Pod } from '../../api/pod.ts'
import { ReplicaSet } from '../../api/replica-set.ts'
import { simulate } from '../../controller/convergence.ts'
import { isReady } from '../pod-state.ts'
import { replicaSet } from '../replica-set.ts'
import { deployment } from './deployment.ts'
import { fences, shrinkOld, spread } from './rolling.ts'
import { templateHash } from './template-hash.ts'

const web = { namespace: 'default', name: 'web' }
const startMs = Date.UTC(2026, 0, 1)

/** A world of Deployments, ReplicaSets and pods, where the test plays the kubelet. */
class World {
  readonly #simulation
  readonly #random: Random
  nowMs = startMs

  constructor(seed = 1) {
    this.#random = seededRandom(seed)
    this.#simulation = simulate([deployment, replicaSet(this.#random)])
  }

  apply(spec: Deployment['spec'], annotations = {}) {
    const existing = this.#simulation.reader.get(Deployment, web)
    const plain = existing ?? aDeployment('web', 1)
    const metadata = {
      ...plain.metadata,
      annotations: { ...plain.metadata.annotations, ...annotations },
    }
    this.#simulation.put(Deployment, { ...plain, metadata, spec })
    this.settle()
  }

  settle() {
    this.#simulation.settle({ nowMs: this.nowMs, random: this.#random })
  }

  /** Lets pods become ready, or not. */
  ready(which: readonly Pod[], value = true) {
    for (const pod of which) {
      const lastTransitionTime = new Date(this.nowMs).toISOString()
      const conditions = [{ type: 'Ready', status: value ? 'True' : 'False', lastTransitionTime }]
      const now = this.#simulation.reader.get(Pod, keyOf(pod))
      if (now) this.#simulation.put(Pod, { ...now, status: { phase: 'Running', conditions } })
    }
    this.settle()
  }

  /** Time passes for everyone. */
  wait(ms: number) {
    this.nowMs += ms
    const now = this.deployment
    this.#simulation.put(Deployment, {
      ...now,
      metadata: { ...now.metadata, labels: { tick: String(this.nowMs) } },
    })
    this.settle()
  }

  get deployment(): Deployment {
    const found = this.#simulation.reader.get(Deployment, web)
    assert.ok(found)
    return found
  }

  get pods(): readonly Pod[] {
    return this.#simulation.reader.list(Pod, '')
  }

  get waiting(): readonly Pod[] {
    return this.pods.filter((pod) => !isReady(pod))
  }

  /** Sizes of the ReplicaSets, by the image they run. */
  get sizes(): Readonly<Record<string, number>> {
    const sets = this.#simulation.reader.list(ReplicaSet, '')
    return Object.fromEntries(
      sets.map(({ spec }) => [spec.template?.spec?.containers[0]?.image, spec.replicas ?? 1]),
    )
  }

  get sets(): readonly ReplicaSet[] {
    return this.#simulation.reader.list(ReplicaSet, '')
  }

  condition(type: string): string {
    const found = this.deployment.status?.conditions?.find((each) => each.type === type)
    return found ? `${found.status} ${found.reason}: ${found.message}` : 'none'
  }
}

const spec = (image: string, replicas: number, more: Partial<Deployment['spec']> = {}) => ({
  ...aDeployment('web', replicas).spec,
  template: {
    metadata: { labels: { app: 'web' } },
    spec: { containers: [{ name: 'main', image }] },
  },
  progressDeadlineSeconds: 600,
  revisionHistoryLimit: 10,
  ...more,
})

test('first rollout: conditions word for word', () => {
  const world = new World()
  world.apply(spec('a', 2))
  const [set] = world.sets
  const name = set?.metadata.name
  assert.equal(world.pods.length, 2)
  assert.equal(
    world.condition('Progressing'),
    `True ReplicaSetUpdated: ReplicaSet "${name}" is progressing.`,
  )
  assert.equal(
    world.condition('Available'),
    'False MinimumReplicasUnavailable: Deployment does not have minimum availability.',
  )
  assert.equal(world.deployment.status?.unavailableReplicas, 2)
  world.ready(world.pods)
  assert.equal(
    world.condition('Progressing'),
    `True NewReplicaSetAvailable: ReplicaSet "${name}" has successfully progressed.`,
  )
  assert.equal(
    world.condition('Available'),
    'True MinimumReplicasAvailable: Deployment has minimum availability.',
  )
  assert.equal(world.deployment.metadata.annotations?.['deployment.kubernetes.io/revision'], '1')
  assert.deepEqual(
    {
      hash: set?.metadata.labels?.['pod-template-hash'],
      selector: set?.spec.selector?.matchLabels,
    },
    {
      hash: name?.slice('web-'.length),
      selector: { app: 'web', 'pod-template-hash': name?.slice('web-'.length) },
    },
  )
})

test('a rollout that gets nowhere times out, and recovers', () => {
  const world = new World()
  world.apply(spec('a', 1))
  world.wait(599_000)
  assert.match(world.condition('Progressing'), /^True ReplicaSetUpdated/)
  world.wait(2_000)
  const [set] = world.sets
  assert.equal(
    world.condition('Progressing'),
    `False ProgressDeadlineExceeded: ReplicaSet "${set?.metadata.name}" has timed out progressing.`,
  )
  world.ready(world.pods)
  assert.match(world.condition('Progressing'), /^True NewReplicaSetAvailable/)
})

test('scaling to zero and back is no rollout: Progressing stays as it was', () => {
  const world = new World()
  world.apply(spec('a', 1))
  world.ready(world.pods)
  const before = world.condition('Progressing')
  world.apply(spec('a', 0))
  assert.equal(world.pods.length, 0)
  world.apply(spec('a', 1))
  assert.equal(world.pods.length, 1)
  assert.equal(world.condition('Progressing'), before)
  assert.match(world.condition('Available'), /^False/)
  world.wait(1_000_000)
  assert.equal(world.condition('Progressing'), before)
})

test('going back to an old template takes its ReplicaSet again, with the next revision number', () => {
  const world = new World()
  world.apply(spec('a', 1))
  world.ready(world.pods)
  world.apply(spec('b', 1))
  for (let i = 0; i < 5; i++) world.ready(world.waiting)
  assert.deepEqual(world.sizes, { a: 0, b: 1 })
  world.apply(spec('a', 1))
  for (let i = 0; i < 5; i++) world.ready(world.waiting)
  assert.deepEqual(world.sizes, { a: 1, b: 0 })
  const set = world.sets.find(({ spec }) => spec.replicas === 1)
  assert.equal(set?.metadata.annotations?.['deployment.kubernetes.io/revision'], '3')
  assert.equal(set?.metadata.annotations?.['deployment.kubernetes.io/revision-history'], '1')
  assert.equal(world.deployment.metadata.annotations?.['deployment.kubernetes.io/revision'], '3')
})

test('Recreate: old pods go before new ones come', () => {
  const world = new World()
  const strategy = { type: 'Recreate' }
  world.apply(spec('a', 3, { strategy }))
  world.ready(world.pods)
  world.apply(spec('b', 3, { strategy }))
  for (let i = 0; i < 5; i++) world.ready(world.waiting)
  assert.deepEqual(world.sizes, { a: 0, b: 3 })
  assert.match(world.condition('Progressing'), /^True NewReplicaSetAvailable/)
})

test('paused: a new template waits, replicas do not', () => {
  const world = new World()
  world.apply(spec('a', 2))
  world.ready(world.pods)
  world.apply(spec('b', 3, { paused: true }))
  assert.deepEqual(world.sizes, { a: 3 })
  assert.equal(world.condition('Progressing'), 'Unknown DeploymentPaused: Deployment is paused')
  world.apply(spec('b', 3))
  for (let i = 0; i < 10; i++) world.ready(world.waiting)
  assert.deepEqual(world.sizes, { a: 0, b: 3 })
})

test('history beyond the limit is forgotten', () => {
  const world = new World()
  for (const image of ['a', 'b', 'c', 'd']) {
    world.apply(spec(image, 1, { revisionHistoryLimit: 1 }))
    for (let i = 0; i < 5; i++) world.ready(world.waiting)
  }
  assert.deepEqual(world.sizes, { c: 0, d: 1 })
})

test('a refused pod shows as ReplicaFailure', () => {
  const world = new World()
  world.apply(spec('a', 1))
  const [set] = world.sets
  assert.ok(set)
  const failing = {
    ...set,
    status: {
      ...set.status,
      replicas: 0,
      conditions: [
        { type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message: 'quota' },
      ],
    },
  }
  const observed = deployment.observe(
    world.deployment,
    {
      get: () => undefined,
      list: () => [],
      owned: <T>() => [failing] as unknown as readonly T[],
    },
    startMs,
  )
  const { status } = deployment.plan(observed, startMs)
  const { conditions = [] } = status as NonNullable<Deployment['status']>
  const failure = conditions.find(({ type }) => type === 'ReplicaFailure')
  assert.deepEqual(
    [failure?.status, failure?.reason, failure?.message],
    ['True', 'FailedCreate', 'quota'],
  )
})

test('property: a rolling update never has too many pods, never too few that are available, and ends', () => {
  const bound = fc.oneof(
    fc.integer({ min: 0, max: 4 }),
    fc.integer({ min: 0, max: 100 }).map((percent) => `${percent}%`),
  )
  const settings = fc.record({
    replicas: fc.integer({ min: 0, max: 6 }),
    maxSurge: bound,
    maxUnavailable: bound,
    seed: fc.integer(),
  })
  fc.assert(
    fc.property(settings, ({ replicas, maxSurge, maxUnavailable, seed }) => {
      const world = new World(seed)
      const chance = seededRandom(seed)
      const strategy = { type: 'RollingUpdate', rollingUpdate: { maxSurge, maxUnavailable } }
      const limits = fences(replicas, maxSurge, maxUnavailable)
      world.apply(spec('a', replicas, { strategy }))
      world.ready(world.pods)
      world.apply(spec('b', replicas, { strategy }))
      for (let round = 0; round < 60; round++) {
        assert.ok(world.pods.length <= replicas + limits.maxSurge, 'too many pods')
        const available = world.pods.filter(isReady).length
        assert.ok(available >= replicas - limits.maxUnavailable, 'too few available')
        if (world.waiting.length === 0) break
        world.ready(world.waiting.filter(() => chance.next() < 0.5))
      }
      world.ready(world.waiting)
      for (let i = 0; i < 30; i++) world.ready(world.waiting)
      assert.deepEqual(world.sizes, { a: 0, b: replicas })
      assert.match(world.condition('Progressing'), /^True NewReplicaSetAvailable/)
    }),
    { numRuns: 40 },
  )
})

test('a change of replicas in the middle of a rollout is spread in proportion', () => {
  const share = (name: string, replicas: number) => ({
    name,
    replicas,
    available: replicas,
    createdMs: 0,
    annotatedMax: 13,
  })
  const sizes = spread([share('old', 9), share('new', 4)], 20, { maxSurge: 5, maxUnavailable: 0 })
  assert.deepEqual(Object.fromEntries(sizes), { old: 17, new: 8 })
  const none = spread([share('old', 9), share('new', 4)], 0, { maxSurge: 5, maxUnavailable: 0 })
  assert.deepEqual(Object.fromEntries(none), { old: 0, new: 0 })
})

test('pods that are not available are the first of the old to go', () => {
  const share = (name: string, replicas: number, available: number, createdMs = 0) => ({
    name,
    replicas,
    available,
    createdMs,
    annotatedMax: 0,
  })
  const sizes = shrinkOld([share('sick', 4, 1), share('well', 4, 4, 1)], share('new', 3, 3), 8, {
    maxSurge: 3,
    maxUnavailable: 2,
  })
  assert.equal(sizes.get('sick'), 0)
})

test('percentages: surge rounds up, unavailability down, and both zero still moves', () => {
  assert.deepEqual(fences(5, '25%', '25%'), { maxSurge: 2, maxUnavailable: 1 })
  assert.deepEqual(fences(1, 0, '0%'), { maxSurge: 0, maxUnavailable: 1 })
  assert.deepEqual(fences(2, 1, 9), { maxSurge: 1, maxUnavailable: 2 })
})

test('the hash does not depend on the order of fields', () => {
  assert.equal(
    templateHash({ a: 1, b: [{ c: 2, d: 3 }] }),
    templateHash({ b: [{ d: 3, c: 2 }], a: 1 }),
  )
  assert.notEqual(templateHash({ a: 1 }), templateHash({ a: 2 }))
  assert.notEqual(templateHash({ a: 1 }), templateHash({ a: 1 }, 1))
})
