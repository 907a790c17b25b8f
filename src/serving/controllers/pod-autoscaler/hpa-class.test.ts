import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Deployment } from '../../../kube/api/deployment.ts'
import type { HorizontalPodAutoscaler } from '../../../kube/api/horizontal-pod-autoscaler.ts'
import { conditionOf } from '../../../knative/conditions.ts'
import { aPodAutoscaler } from '../../../testing/serving.ts'
import { configAutoscaler } from '../../api/config/autoscaler.ts'
import type { PodAutoscaler, PodAutoscalerStatus } from '../../api/pod-autoscaler.ts'
import { createReadConfig } from '../config.ts'
import { hpaClassReconciler, isScaledByRequests } from './hpa-class.ts'

const reconciler = hpaClassReconciler(createReadConfig())
const config = createReadConfig()(
  { get: () => undefined, list: () => [], owned: () => [] },
  configAutoscaler,
)
const ofClass = (more: Readonly<Record<string, string>> = {}) =>
  aPodAutoscaler('r', {
    'autoscaling.knative.dev/class': 'hpa.autoscaling.knative.dev',
    'autoscaling.knative.dev/metric': 'cpu',
    ...more,
  })

const deployment = (cpu?: string): Deployment => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'r-deployment' },
  spec: {
    selector: {},
    template: {
      spec: {
        containers: [{ name: 'c', image: 'i', ...(cpu && { resources: { requests: { cpu } } }) }],
      },
    },
  },
})

const planOf = (autoscaler: PodAutoscaler, cpu?: string) =>
  reconciler.plan(
    { autoscaler, sks: undefined, hpa: undefined, deployment: deployment(cpu), config },
    0,
  )
function specOf(autoscaler: PodAutoscaler, cpu?: string) {
  const desired = planOf(autoscaler, cpu).apply?.[0]?.desired
  assert.ok(desired)
  return (desired as HorizontalPodAutoscaler).spec
}

test('it serves its class, but for what is scaled by requests', () => {
  assert.equal(reconciler.handles?.(ofClass()), true)
  assert.equal(reconciler.handles?.(aPodAutoscaler('r')), false)
  const byRequests = ofClass({ 'autoscaling.knative.dev/metric': 'concurrency' })
  assert.equal(reconciler.handles?.(byRequests), false)
  assert.equal(isScaledByRequests(byRequests), true)
})

test('cpu is percent of the request, and of 400m where nothing is requested', () => {
  const target = (cpu?: string) =>
    specOf(ofClass({ 'autoscaling.knative.dev/target': '70' }), cpu).metrics?.[0]?.resource?.target
  assert.deepEqual(target('200m'), { type: 'Utilization', averageUtilization: 70 })
  assert.deepEqual(target(), { type: 'AverageValue', averageValue: '280m' })
})

test('memory is mebibytes a pod', () => {
  const spec = specOf(
    ofClass({ 'autoscaling.knative.dev/metric': 'memory', 'autoscaling.knative.dev/target': '75' }),
  )
  assert.equal(spec.metrics?.[0]?.resource?.target.averageValue, '75Mi')
})

test('bounds: never zero, and unbounded by default', () => {
  const bounds = (more: Readonly<Record<string, string>>) => {
    const { minReplicas, maxReplicas } = specOf(ofClass(more))
    return [minReplicas, maxReplicas]
  }
  assert.deepEqual(bounds({}), [1, 2_147_483_647])
  assert.deepEqual(
    bounds({ 'autoscaling.knative.dev/min-scale': '2', 'autoscaling.knative.dev/max-scale': '3' }),
    [2, 3],
  )
})

test('active at once, and initialized when the ServerlessService is ready', () => {
  const status = planOf(ofClass()).status as PodAutoscalerStatus
  assert.equal(conditionOf(status, 'Active')?.status, 'True')
  assert.equal(conditionOf(status, 'SKSReady')?.status, 'Unknown')
})
