/** A revision's admission while the feed changes its pods. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../../../lib/random.ts'
import { SimClock } from '../../../testing/sim-clock.ts'
import { Revision, type Claimant } from './activator.ts'
import { QueueBudget } from './breaker.ts'
import { Deadlines } from '../exchange/deadlines.ts'
import { Drains } from './drain.ts'
import type { RevisionTarget } from '../feed.ts'
import { RevisionMetrics } from '../observability/metrics.ts'
import type { Pod } from '../pod/pod.ts'
import { Stats } from './stats.ts'
import { createMemory, WorkerMemory } from '../workers/worker-memory.ts'

const target = (names: readonly string[]): RevisionTarget => ({
  key: 'default/a',
  service: 'a',
  configuration: 'a',
  protocol: 'http1',
  containerConcurrency: 1,
  timeoutMs: 300_000,
  responseStartTimeoutMs: 0,
  idleTimeoutMs: 0,
  backends: names.map((pod, at) => ({ host: `10.0.0.${at + 1}`, port: 8080, pod })),
})

function setUp(memory?: WorkerMemory) {
  const clock = new SimClock()
  const drains = new Drains()
  const revision = new Revision(target(['one']), {
    clock,
    random: seededRandom(1),
    deadlines: new Deadlines(clock),
    stats: new Stats(),
    budget: new QueueBudget(10, memory),
    queueCapacity: 10,
    drains,
    metrics: (of) => new RevisionMetrics(of),
    wake: () => {},
    ...(memory && { memory }),
  })
  const granted: Pod[] = []
  const claimant = (): Claimant => ({
    queue: undefined,
    ahead: undefined,
    behind: undefined,
    granted: (pod) => void granted.push(pod),
    revisionGone: () => {},
  })
  return { revision, drains, granted, claimant }
}

/** Takes the only slot. */
function acquire(revision: Revision, claimant: Claimant): Pod {
  const pod = revision.acquire(claimant)
  assert.ok(pod && pod !== 'full')
  return pod
}

test('a pod that leaves the feed and comes back still has its requests', () => {
  const { revision, granted, claimant } = setUp()
  const pod = acquire(revision, claimant())
  revision.update(target([]))
  revision.update(target(['one']))
  assert.equal(revision.acquire(claimant()), undefined, 'its only slot is taken')
  assert.deepEqual(granted, [])
  revision.release(pod)
  assert.deepEqual(granted, [pod])
})

test('a pod that is to be stopped does not come back', () => {
  const { revision, drains, claimant } = setUp()
  const pod = acquire(revision, claimant())
  let drained = false
  drains.drain(pod.address, () => (drained = true))
  revision.update(target([]))
  revision.update(target(['one']))
  assert.equal(pod.leaving, true)
  revision.release(pod)
  assert.equal(drained, true)
})

test('another pod of the same address begins with all its slots', () => {
  const { revision, claimant } = setUp()
  const pod = acquire(revision, claimant())
  revision.update(target(['another']))
  assert.notEqual(acquire(revision, claimant()), pod)
})

test('two workers that begin to wait at the same moment do not wait for each other', async () => {
  const size = { workers: 2, revisions: 8, pods: 8, splits: 8 }
  const buffer = createMemory(size)
  const memories = [0, 1].map((worker) => new WorkerMemory(buffer, size, worker)) as [
    WorkerMemory,
    WorkerMemory,
  ]
  const [one, other] = [setUp(memories[0]), setUp(memories[1])]
  for (const memory of memories) memory.listen()
  const held = acquire(one.revision, one.claimant())
  // The slot comes free before anybody sees that the other waits; the next request here does see it.
  const startWaiting = memories[1].startWaiting.bind(memories[1])
  memories[1].startWaiting = (revision) => {
    memories[1].startWaiting = startWaiting
    one.revision.release(held)
    startWaiting(revision)
    assert.equal(one.revision.acquire(one.claimant()), undefined)
  }
  const pod = other.revision.acquire(other.claimant())
  assert.ok(pod === undefined || pod !== 'full')
  if (pod) other.revision.release(pod)
  const granted = () => [...one.granted, ...other.granted].length + (pod ? 1 : 0)
  for (let turn = 0; turn < 10_000 && granted() < 1; turn++)
    await new Promise((resolve) => setImmediate(resolve))
  assert.ok(granted() >= 1, 'both wait beside a free slot')
  for (const { revision, granted: pods } of [one, other])
    for (const each of pods) revision.release(each)
  for (let turn = 0; turn < 10_000 && granted() < 2; turn++)
    await new Promise((resolve) => setImmediate(resolve))
  assert.equal(granted(), 2)
  for (const memory of memories) memory.close()
})
