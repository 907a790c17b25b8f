/** Two tenants at zero in simulated time: one bursts, the other is served as if it were alone. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../../lib/random.ts'
import { SimClock } from '../../testing/sim-clock.ts'
import { Revision, type Claimant } from './admission/activator.ts'
import { QueueBudget } from './admission/breaker.ts'
import { Deadlines } from './exchange/deadlines.ts'
import { Drains } from './admission/drain.ts'
import type { RevisionTarget } from './feed.ts'
import { defaultLimits } from './gateway.ts'
import { RevisionMetrics } from './observability/metrics.ts'
import type { Pod } from './pod/pod.ts'
import { Stats } from './admission/stats.ts'

const target = (key: string, containerConcurrency: number, pods: number): RevisionTarget => ({
  key,
  service: key,
  configuration: key,
  protocol: 'http1',
  containerConcurrency,
  timeoutMs: 300_000,
  responseStartTimeoutMs: 0,
  idleTimeoutMs: 0,
  backends: Array.from({ length: pods }, (_, at) => ({
    host: `10.0.0.${at + 1}`,
    port: 8080,
    pod: `${key}-${at}`,
  })),
})

test('10,000 requests of one tenant at zero leave the other its room, its wake-up and its time', async () => {
  const clock = new SimClock()
  const woken: string[] = []
  const budget = new QueueBudget(defaultLimits.queueTotal)
  const context = {
    clock,
    random: seededRandom(1),
    deadlines: new Deadlines(clock),
    stats: new Stats(),
    budget,
    queueCapacity: defaultLimits.queuePerRevision,
    drains: new Drains(),
    metrics: (of: RevisionTarget) => new RevisionMetrics(of),
    wake: (revision: string) => void woken.push(revision),
  }
  const loud = new Revision(target('a/loud', 1, 0), context)
  const quiet = new Revision(target('b/quiet', 1, 0), context)
  const servedMs: { loud: number[]; quiet: number[] } = { loud: [], quiet: [] }
  /** Each request takes 10 ms at its pod. */
  const ask = (revision: Revision, served: number[]): 'full' | undefined => {
    const serve = (pod: Pod): void => {
      clock.after(10, () => {
        served.push(clock.monotonic())
        revision.release(pod)
      })
    }
    const claimant: Claimant = {
      queue: undefined,
      ahead: undefined,
      behind: undefined,
      granted: serve,
      revisionGone: () => assert.fail('no revision goes'),
    }
    const pod = revision.acquire(claimant)
    if (pod === 'full') return 'full'
    if (pod) serve(pod)
    return undefined
  }

  const burst = Array.from({ length: 12_000 }, () => ask(loud, servedMs.loud))
  assert.equal(burst.filter((answer) => answer === 'full').length, 2_000)
  const others = Array.from({ length: 100 }, () => ask(quiet, servedMs.quiet))
  assert.ok(others.every((answer) => answer === undefined))
  assert.deepEqual(woken, ['a/loud', 'b/quiet'], 'each is woken once, at once')

  // Both pods come after the same time.
  await clock.advance(100)
  loud.update(target('a/loud', 1, 1))
  quiet.update(target('b/quiet', 1, 1))
  await clock.advance(1_000)
  assert.equal(servedMs.quiet.length, 100)
  assert.equal(servedMs.quiet.at(-1), 1_100, 'its 100th answer comes as if it were alone')
  assert.equal(servedMs.loud.length, 100)
  assert.equal(budget.used, 10_000 - 101)
})
