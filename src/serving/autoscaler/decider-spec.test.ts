import assert from 'node:assert/strict'
import { test } from 'node:test'
import { configAutoscaler, type AutoscalerConfig } from '../api/config/autoscaler.ts'
import type { PodAutoscaler } from '../api/pod-autoscaler.ts'
import { deciderSpec } from './decider-spec.ts'
import type { DeciderSpec } from './decide.ts'

const defaults: AutoscalerConfig = configAutoscaler.parse({})
const annotated = (values: Readonly<Record<string, string>>) =>
  Object.fromEntries(
    Object.entries(values).map(([name, value]) => [`autoscaling.knative.dev/${name}`, value]),
  )
const podAutoscaler = (
  annotations: Readonly<Record<string, string>> = {},
  spec: Partial<PodAutoscaler['spec']> = {},
) => ({
  metadata: { name: 'hello', namespace: 'default', annotations: annotated(annotations) },
  spec: {
    protocolType: 'http1' as const,
    scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'hello-deployment' },
    ...spec,
  },
})

test('the defaults', () => {
  assert.deepEqual(deciderSpec(podAutoscaler(), defaults), {
    metric: 'concurrency',
    aggregation: 'linear',
    stableWindowMs: 60_000,
    panicWindowMs: 6_000,
    targetValue: 70,
    totalValue: 100,
    targetBurstCapacity: 211,
    panicThreshold: 2,
    maxScaleUpRate: 1000,
    maxScaleDownRate: 2,
    scaleDownDelayMs: 0,
    activationScale: 0,
    initialScale: 1,
    reachable: true,
  } satisfies DeciderSpec)
})

test('target, capacity and utilisation', () => {
  const values = (
    annotations: Readonly<Record<string, string>>,
    containerConcurrency?: number,
    config: Partial<AutoscalerConfig> = {},
  ) => {
    const { totalValue, targetValue } = deciderSpec(
      podAutoscaler(
        annotations,
        containerConcurrency === undefined ? {} : { containerConcurrency },
      ),
      { ...defaults, ...config },
    )
    return [totalValue, targetValue]
  }
  assert.deepEqual(values({}, 10), [10, 7])
  assert.deepEqual(values({ target: '5' }, 10), [5, 3.5])
  assert.deepEqual(values({ target: '50' }, 10), [10, 7])
  assert.deepEqual(values({ target: '50' }, 0), [50, 35])
  assert.deepEqual(values({ metric: 'rps' }), [200, 140])
  assert.deepEqual(values({ metric: 'rps', target: '50' }, 10), [50, 35])
  assert.deepEqual(
    values({ metric: 'rps' }, 0, { containerConcurrencyTargetPercentage: 50 }),
    [200, 140],
    'rps is aimed at 70 % whatever is configured',
  )
  assert.deepEqual(values({}, 0, { containerConcurrencyTargetPercentage: 50 }), [100, 50])
  assert.deepEqual(values({ 'target-utilization-percentage': '90' }), [100, 90])
  assert.deepEqual(values({ metric: 'rps', targetUtilizationPercentage: '90' }), [200, 180])
  assert.deepEqual(values({ target: '0.01', 'target-utilization-percentage': '1' }), [0.01, 0.01])
})

test('windows', () => {
  const windows = (window: string, percentage: string) => {
    const annotations = { window, 'panic-window-percentage': percentage }
    const { stableWindowMs, panicWindowMs } = deciderSpec(podAutoscaler(annotations), defaults)
    return [stableWindowMs, panicWindowMs]
  }
  assert.deepEqual(windows('60s', '10'), [60_000, 6_000])
  assert.deepEqual(windows('10s', '10'), [10_000, 1_000])
  assert.deepEqual(windows('60s', '51'), [60_000, 31_000])
  assert.deepEqual(windows('10m', '10'), [600_000, 60_000])
  assert.deepEqual(windows('6s', '1'), [6_000, 1_000])
  assert.deepEqual(windows('100000h', '5000'), [3_600_000, 3_600_000], 'bounded in any case')
  assert.deepEqual(windows('1ns', '-3'), [6_000, 1_000])
})

test('the other annotations', () => {
  const spec = deciderSpec(
    podAutoscaler(
      {
        'metric-aggregation-algorithm': 'weighted-exponential',
        'target-burst-capacity': '-1',
        'panic-threshold-percentage': '150',
        'scale-down-delay': '15m',
        'activation-scale': '3',
        'initial-scale': '4',
      },
      { reachability: 'Unreachable' },
    ),
    defaults,
  )
  assert.deepEqual(
    [
      spec.aggregation,
      spec.targetBurstCapacity,
      spec.panicThreshold,
      spec.scaleDownDelayMs,
      spec.activationScale,
      spec.initialScale,
      spec.reachable,
    ],
    ['weightedExponential', -1, 1.5, 900_000, 3, 4, false],
  )
})

test('an initial scale of zero counts only where it is allowed', () => {
  const zero = podAutoscaler({ 'initial-scale': '0' })
  assert.equal(deciderSpec(zero, { ...defaults, initialScale: 2 }).initialScale, 2)
  assert.equal(deciderSpec(zero, { ...defaults, allowZeroInitialScale: true }).initialScale, 0)
})
