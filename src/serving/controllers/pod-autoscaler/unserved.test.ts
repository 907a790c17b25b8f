import assert from 'node:assert/strict'
import { test } from 'node:test'
import { conditionOf } from '../../../knative/conditions.ts'
import { aPodAutoscaler } from '../../../testing/serving.ts'
import type { PodAutoscalerStatus } from '../../api/pod-autoscaler.ts'
import { unservedPodAutoscalerReconciler as reconciler } from './unserved.ts'

const hpa = aPodAutoscaler('r', { 'autoscaling.knative.dev/class': 'hpa.autoscaling.knative.dev' })

test('the HPA class says that nobody serves it, and only that class', () => {
  assert.equal(reconciler.handles?.(hpa), true)
  assert.equal(reconciler.handles?.(aPodAutoscaler('r')), false)
  const status = reconciler.plan(hpa, 0).status as PodAutoscalerStatus
  const ready = conditionOf(status, 'Ready')
  assert.equal(ready?.status, 'Unknown')
  assert.equal(ready?.reason, 'NoAutoscaler')
})

test('conditions of one who serves the class stay', () => {
  const served = { ...hpa, status: { conditions: [{ type: 'Ready', status: 'True' as const }] } }
  assert.deepEqual(reconciler.plan(served, 0), {})
})
