import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { rfc3339 } from '../../../lib/clock.ts'
import type { AutoscalerSpec } from '../../api/horizontal-pod-autoscaler.ts'
import type { Pod } from '../../api/pod.ts'
import type { PodMetrics } from '../../api/pod-metrics.ts'
import { decide, freshState, type ScalingState } from './behavior.ts'
import { proposeReplicas } from './replicas.ts'

const startMs = Date.UTC(2026, 0, 1)
const spec = (more: Partial<AutoscalerSpec> = {}): AutoscalerSpec => ({
  scaleTargetRef: { kind: 'Deployment', name: 'd' },
  minReplicas: 1,
  maxReplicas: 100,
  ...more,
})

/** The sizes that come of wishes, one each 15 seconds. */
function follow(wishes: readonly number[], from: number, rules: AutoscalerSpec = spec()) {
  let state: ScalingState = freshState
  let current = from
  return wishes.map((wish, i) => {
    const outcome = decide(rules, current, wish, state, startMs + i * 15_000)
    state = outcome.state
    current = outcome.replicas
    return current
  })
}

test('up: at most four more or twice as many each 15 s', () => {
  assert.deepEqual(follow([50, 50, 50, 50, 50], 1), [5, 10, 20, 40, 50])
})

test('down: only when the wishes of five minutes agree', () => {
  const sizes = follow(
    Array.from({ length: 22 }, () => 2),
    10,
  )
  assert.deepEqual(sizes.slice(0, 1), [2])
  const afterHigh = follow([10, ...Array.from({ length: 21 }, () => 2)], 10)
  assert.equal(afterHigh.lastIndexOf(10), 19)
  assert.equal(afterHigh[20], 2)
})

test('what holds it back is told', () => {
  const { able, replicas, state } = decide(spec(), 5, 5, freshState, startMs)
  assert.equal(able.reason, 'ReadyForNewScale')
  assert.equal(replicas, 5)
  const held = decide(spec(), 5, 2, state, startMs + 15_000)
  assert.deepEqual([held.replicas, held.able.reason], [5, 'ScaleDownStabilized'])
  const limited = (current: number, wish: number, rules = spec()) =>
    decide(rules, current, wish, freshState, startMs).limited.reason
  assert.equal(limited(5, 6), 'DesiredWithinRange')
  assert.equal(limited(5, 50), 'ScaleUpLimit')
  assert.equal(limited(5, 50, spec({ maxReplicas: 6 })), 'TooManyReplicas')
  assert.equal(limited(5, 1, spec({ minReplicas: 3 })), 'TooFewReplicas')
})

test('behavior: one pod a minute down, none up', () => {
  const rules = spec({
    behavior: {
      scaleDown: {
        stabilizationWindowSeconds: 0,
        policies: [{ type: 'Pods', value: 1, periodSeconds: 60 }],
      },
      scaleUp: { selectPolicy: 'Disabled' },
    },
  })
  assert.deepEqual(follow([1, 1, 1, 1, 1], 5, rules), [4, 4, 4, 4, 3])
  assert.deepEqual(follow([9, 9], 5, rules), [5, 5])
})

test('whatever is asked for, the size stays within its bounds', () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(1_000), { maxLength: 40 }),
      fc.integer({ min: 1, max: 10 }),
      fc.integer({ min: 0, max: 20 }),
      (wishes, minReplicas, span) => {
        const maxReplicas = minReplicas + span
        const sizes = follow(wishes, minReplicas, spec({ minReplicas, maxReplicas }))
        for (const size of sizes) assert.ok(size >= minReplicas && size <= maxReplicas)
      },
    ),
    { numRuns: 100 },
  )
})

const aPod = (
  name: string,
  more: { readonly ready?: boolean; readonly cpu?: string } = {},
): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default' },
  spec: {
    containers: [{ name: 'c', image: 'i', resources: { requests: { cpu: more.cpu ?? '100m' } } }],
  },
  status: {
    phase: 'Running',
    startTime: rfc3339(startMs - 10_000),
    conditions: [{ type: 'Ready', status: more.ready === false ? 'False' : 'True' }],
  },
})

const using = (name: string, cpu: string): PodMetrics => ({
  apiVersion: 'metrics.k8s.io/v1beta1',
  kind: 'PodMetrics',
  metadata: { name, namespace: 'default' },
  timestamp: '',
  window: '15s',
  containers: [{ name: 'c', usage: { cpu } }],
})

const half = { name: 'cpu', target: { type: 'Utilization', averageUtilization: 50 } }

test('as many as the use asks for; a tenth more or less changes nothing', () => {
  const replicas = (...use: readonly string[]) => {
    const names = use.map((_, i) => `p${i}`)
    const metrics = names.map((name, i) => using(name, use[i] ?? '0'))
    return proposeReplicas(
      half,
      names.length,
      names.map((name) => aPod(name)),
      metrics,
      startMs,
    )
  }
  assert.equal(replicas('100m').replicas, 2)
  assert.equal(replicas('54m').replicas, 1)
  assert.equal(replicas('56m').replicas, 2)
  assert.equal(replicas('10m', '10m').replicas, 1)
  assert.deepEqual(replicas('30m', '50m').current, { averageUtilization: 40, averageValue: '40m' })
})

test('of whom nothing is known: down as if they used everything, up as if they used nothing', () => {
  const pods = [aPod('a'), aPod('b')]
  assert.equal(proposeReplicas(half, 2, pods, [using('a', '10m')], startMs).replicas, 2)
  assert.equal(proposeReplicas(half, 2, pods, [using('a', '90m')], startMs).replicas, 2)
  const starting = [aPod('a'), aPod('b', { ready: false })]
  const both = [using('a', '300m'), using('b', '0')]
  assert.equal(proposeReplicas(half, 2, starting, both, startMs).replicas, 6)
})

test('what is missing is said in the words of upstream', () => {
  const silent = aPod('a')
  const without: Pod = { ...silent, spec: { containers: [{ name: 'c', image: 'i' }] } }
  assert.throws(
    () => proposeReplicas(half, 1, [without], [using('a', '1m')], startMs),
    /missing request for cpu in container c of Pod a/,
  )
  assert.throws(() => proposeReplicas(half, 1, [silent], [], startMs), /did not receive metrics/)
})
