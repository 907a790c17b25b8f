import assert from 'node:assert/strict'
import { test } from 'node:test'
import { controllerRef } from '../../../kube/api/meta.ts'
import { conditionOf } from '../../../knative/conditions.ts'
import type { Certificate } from '../../api/certificate.ts'
import { configNetwork } from '../../api/config/network.ts'
import { domainMappingConditions, type DomainMapping } from '../../api/domain-mapping.ts'
import { domainTls } from './tls.ts'

const mapping = (more: Partial<DomainMapping['spec']> = {}, annotations = {}): DomainMapping => ({
  apiVersion: 'serving.knative.dev/v1beta1',
  kind: 'DomainMapping',
  metadata: { name: 'www.shop.com', namespace: 'default', uid: 'u', generation: 1, annotations },
  spec: { ref: { kind: 'Service', name: 'shop' }, ...more },
})

const certificate = (ready: 'True' | 'False' | 'Unknown', owner?: DomainMapping): Certificate => ({
  apiVersion: 'networking.internal.knative.dev/v1alpha1',
  kind: 'Certificate',
  metadata: {
    name: 'www.shop.com',
    namespace: 'default',
    generation: 1,
    ...(owner && { ownerReferences: [controllerRef(owner)] }),
  },
  spec: { dnsNames: ['www.shop.com'], secretName: 'www.shop.com' },
  status: { observedGeneration: 1, conditions: [{ type: 'Ready', status: ready }] },
})

function plan(one: DomainMapping, network: Record<string, string> = {}, existing?: Certificate) {
  const begun = domainMappingConditions.begin({}, 1, 0)
  const config = configNetwork.parse({ 'external-domain-tls': 'Enabled', ...network })
  const result = domainTls(one, config, existing, begun, 0)
  const { status, reason, message } = conditionOf(result.status, 'CertificateProvisioned') ?? {}
  return { ...result, told: [status, reason, message].filter(Boolean).join(' | ') }
}

const redirected = { 'http-protocol': 'Redirected' }

test('a Certificate of its own name, asked for when external-domain-tls says so', () => {
  const { apply, told, scheme } = plan(mapping())
  const [wanted] = apply
  assert.ok(wanted)
  assert.deepEqual((wanted.desired as Certificate).spec, {
    dnsNames: ['www.shop.com'],
    domain: 'www.shop.com',
    secretName: 'www.shop.com',
  })
  assert.equal(told, 'True | HTTPDowngrade | Certificate www.shop.com is not ready downgrade HTTP.')
  assert.equal(scheme, 'http')
  const off = plan(mapping(), { 'external-domain-tls': 'Disabled' })
  assert.equal(off.told, 'True | TLSNotEnabled | external-domain-tls is not enabled')
  assert.deepEqual(off.apply, [])
  const out = plan(mapping({}, { 'networking.knative.dev/disable-external-domain-tls': 'true' }))
  assert.deepEqual(out.apply, [])
})

test('what its Certificate says, it says', () => {
  const one = mapping()
  const ready = plan(one, {}, certificate('True', one))
  assert.equal(ready.told, 'True')
  assert.equal(ready.scheme, 'https')
  assert.deepEqual(ready.tls, [
    { hosts: ['www.shop.com'], secretName: 'www.shop.com', secretNamespace: 'default' },
  ])
  assert.equal(
    plan(one, redirected, certificate('Unknown', one)).told,
    'Unknown | CertificateNotReady | Certificate www.shop.com is not ready.',
  )
  assert.equal(
    plan(one, redirected, certificate('False', one)).told,
    'False | CertificateProvisionFailed | Certificate www.shop.com failed to be provisioned.',
  )
  assert.equal(
    plan(one, {}, certificate('True')).told,
    "False | CertificateNotOwned | There is an existing certificate www.shop.com that we don't own.",
  )
})

test("a Secret of the user's own goes before, and the Certificate of before goes", () => {
  const one = mapping({ tls: { secretName: 'mine' } })
  const { told, tls, apply, obsolete } = plan(one, {}, certificate('True', one))
  assert.equal(
    told,
    'True | CertificateExternallyProvided | TLS certificate was provided externally',
  )
  assert.equal(tls[0]?.secretName, 'mine')
  assert.deepEqual(apply, [])
  assert.equal(obsolete[0]?.key.name, 'www.shop.com')
})
