import assert from 'node:assert/strict'
import { test } from 'node:test'
import { controllerRef } from '../../../kube/api/meta.ts'
import type { Namespace } from '../../../kube/api/namespace.ts'
import type { Certificate } from '../../api/certificate.ts'
import { configDomain } from '../../api/config/domain.ts'
import { configNetwork } from '../../api/config/network.ts'
import { createReadConfig } from '../config.ts'
import { namespaceCertificateReconciler } from './namespace-certificate.ts'

const reconciler = namespaceCertificateReconciler(createReadConfig())

const namespace: Namespace = {
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name: 'shop', uid: 'u', labels: { tls: 'wild' } },
}
const selector = 'matchLabels:\n  tls: wild\n'

const plan = (
  network: Record<string, string>,
  domains: Record<string, string> = { 'example.com': '' },
  certificates: readonly Certificate[] = [],
) =>
  reconciler.plan(
    {
      namespace,
      certificates,
      network: configNetwork.parse(network),
      domains: configDomain.parse(domains),
    },
    0,
  )

const wanted = (...args: Parameters<typeof plan>) =>
  (plan(...args).apply ?? []).map(({ desired }) => {
    const { metadata, spec } = desired as Certificate
    return [metadata.name, metadata.labels, spec.dnsNames]
  })

const on = { 'external-domain-tls': 'Enabled', 'namespace-wildcard-cert-selector': selector }

test('a namespace that is picked gets a wildcard for each domain of everybody', () => {
  assert.deepEqual(
    wanted(on, {
      'example.com': '',
      'example.org': 'selector:\n  app: a\n',
      'svc.cluster.local': '',
      'example.net': '',
    }),
    [
      [
        'shop.example.com',
        { 'networking.knative.dev/wildcardDomain': 'example.com' },
        ['*.shop.example.com'],
      ],
      [
        'shop.example.net',
        { 'networking.knative.dev/wildcardDomain': 'example.net' },
        ['*.shop.example.net'],
      ],
    ],
  )
})

test('none without selector, match, or external-domain-tls', () => {
  assert.deepEqual(wanted({ 'external-domain-tls': 'Enabled' }), [])
  assert.deepEqual(wanted({ 'namespace-wildcard-cert-selector': selector }), [])
  assert.deepEqual(
    wanted({ ...on, 'namespace-wildcard-cert-selector': 'matchLabels:\n  tls: other\n' }),
    [],
  )
})

test('what is not wanted any more goes, what is not ours stays', () => {
  const certificate = (name: string, owner?: Namespace): Certificate => ({
    apiVersion: 'networking.internal.knative.dev/v1alpha1',
    kind: 'Certificate',
    metadata: {
      name,
      namespace: 'shop',
      ...(owner && { ownerReferences: [controllerRef(owner)] }),
    },
    spec: { dnsNames: ['*.shop.example.com'], secretName: name },
  })
  const { delete: gone = [] } = plan({}, {}, [certificate('a', namespace), certificate('b')])
  assert.deepEqual(
    gone.map(({ key }) => key.name),
    ['a'],
  )
})

test('hosts that do not begin with the name can have no wildcard', () => {
  const { error, apply } = plan({
    ...on,
    'domain-template': '{{.Namespace}}.{{.Name}}.{{.Domain}}',
  })
  assert.match(
    error?.message ?? '',
    /needs a domain-template that begins with "\{\{.Name\}\}\."; it renders "shop.\*.example.com"/,
  )
  assert.equal(apply, undefined)
})
