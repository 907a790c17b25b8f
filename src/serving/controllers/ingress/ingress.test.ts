import assert from 'node:assert/strict'
import { test } from 'node:test'
import { conditionOf } from '../../../knative/conditions.ts'
import type { Ingress, IngressStatus } from '../../api/ingress.ts'
import { ingressReconciler } from './ingress.ts'

const none = { [Symbol.dispose]() {} }
const reconciler = ingressReconciler({ acknowledged: () => false, onAcknowledged: () => none })
const ingress = (generation: number, status?: IngressStatus): Ingress => ({
  apiVersion: 'networking.internal.knative.dev/v1alpha1',
  kind: 'Ingress',
  metadata: { namespace: 'ns', name: 'app', generation },
  spec: { rules: [] },
  ...(status && { status }),
})
const statusOf = (object: Ingress, acknowledged: boolean): IngressStatus =>
  reconciler.plan({ ingress: object, acknowledged }, 0).status as IngressStatus

test('not Ready until the gateway routes by it, then with its load balancers', () => {
  const waiting = statusOf(ingress(1), false)
  const balancer = conditionOf(waiting, 'LoadBalancerReady')
  assert.deepEqual(
    [balancer?.status, balancer?.reason, balancer?.message],
    ['Unknown', 'Uninitialized', 'Waiting for load balancer to be ready'],
  )
  assert.equal(conditionOf(waiting, 'NetworkConfigured')?.status, 'True')
  assert.equal(conditionOf(waiting, 'Ready')?.status, 'Unknown')
  assert.equal(waiting.publicLoadBalancer, undefined)
  const ready = statusOf(ingress(1, waiting), true)
  assert.equal(conditionOf(ready, 'Ready')?.status, 'True')
  assert.equal(ready.observedGeneration, 1)
  assert.match(
    ready.privateLoadBalancer?.ingress?.[0]?.domainInternal ?? '',
    /svc\.cluster\.local$/,
  )
})

test('a new spec is Unknown again; a control plane that just started changes nothing', () => {
  const ready = statusOf(ingress(1), true)
  assert.equal(conditionOf(statusOf(ingress(1, ready), false), 'Ready')?.status, 'True')
  assert.equal(conditionOf(statusOf(ingress(2, ready), false), 'Ready')?.status, 'Unknown')
})
