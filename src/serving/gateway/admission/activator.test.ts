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

function setUp() {
  const clock = new SimClock()
  const drains = new Drains()
  const revision = new Revision(target(['one']), {
    clock,
    random: seededRandom(1),
    deadlines: new Deadlines(clock),
    stats: new Stats(),
    budget: new QueueBudget(10),
    queueCapacity: 10,
    drains,
    metrics: (of) => new RevisionMetrics(of),
    wake: () => {},
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
