import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Secret } from '../../../kube/api/secret.ts'
import { conditionOf } from '../../../knative/conditions.ts'
import type { Ingress, IngressStatus } from '../../api/ingress.ts'
import { issue } from '../../../platform/access/certificate-issue.ts'
import { ingressReconciler } from './ingress.ts'

const { cert, key: privateKey } = await issue({
  subject: 'CN=test',
  hosts: ['a.b'],
  notBefore: new Date(1_000_000),
  notAfter: new Date(4_000_000),
})
const encode = (text: string) => Buffer.from(text).toString('base64')
const pair: Secret = {
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 's', namespace: 'ns' },
  data: { 'tls.crt': encode(cert), 'tls.key': encode(privateKey) },
}

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

test('a certificate that is out of date says so, and is looked at again when it will be', () => {
  const own: Ingress = {
    ...ingress(1),
    spec: { tls: [{ hosts: ['a.b'], secretName: 's', secretNamespace: 'ns' }] },
  }
  const key = { namespace: 'ns', name: 's' }
  const planned = (nowMs: number, secret: Secret | undefined) =>
    reconciler.plan(
      { ingress: own, acknowledged: true, secrets: [{ key, hosts: ['a.b'], secret }] },
      nowMs,
    )
  const said = (nowMs: number, secret: Secret | undefined = pair) => {
    const found = conditionOf(planned(nowMs, secret).status as IngressStatus, 'NetworkConfigured')
    return [found?.status, found?.reason, found?.message]
  }
  assert.equal(said(2_000_000)[0], 'True')
  assert.deepEqual(said(5_000_000), [
    'False',
    'CertificateExpired',
    'Secret ns/s for TLS of a.b: the certificate expired at 1970-01-01T01:06:40Z: put a new one into the Secret',
  ])
  assert.deepEqual(said(0).slice(0, 2), ['False', 'CertificateNotYetValid'])
  const missing = planned(0, undefined).status as IngressStatus
  assert.match(conditionOf(missing, 'Ready')?.message ?? '', /there is no such Secret/)
  assert.deepEqual(
    [0, 2_000_000, 5_000_000].map((nowMs) => planned(nowMs, pair).requeueAfterMs),
    [1_000_000, 2_000_000, undefined],
  )
})
