import assert from 'node:assert/strict'
import { test } from 'node:test'
import { controllerRef } from '../../../kube/api/meta.ts'
import { conditionOf } from '../../../knative/conditions.ts'
import { aRoute } from '../../../testing/serving.ts'
import type { Certificate } from '../../api/certificate.ts'
import { configDomain } from '../../api/config/domain.ts'
import { configNetwork } from '../../api/config/network.ts'
import { routeConditions, type Route } from '../../api/route.ts'
import { planCertificates } from './certificates.ts'
import { groupHosts } from './hosts.ts'

const nowMs = Date.UTC(2026, 0, 1)

interface Given {
  readonly network?: Record<string, string>
  readonly domain?: Record<string, string>
  readonly annotations?: Record<string, string>
  readonly labels?: Record<string, string>
  readonly tags?: readonly string[]
  readonly certificates?: (route: Route) => readonly Certificate[]
}

function plan(given: Given = {}) {
  const config = {
    network: configNetwork.parse({ 'external-domain-tls': 'Enabled', ...given.network }),
    domain: configDomain.parse(given.domain ?? { 'example.com': '' }),
  }
  const route = aRoute('hello', [], {
    uid: 'u',
    annotations: given.annotations ?? {},
    labels: given.labels ?? {},
  })
  const hosts = new Map(
    ['', ...(given.tags ?? [])].map((tag) => [tag, groupHosts(route, tag, false, config)]),
  )
  const certificates = new Map(
    (given.certificates?.(route) ?? []).map((one) => [one.metadata.name, one]),
  )
  const begun = routeConditions.begin({}, 1, nowMs)
  const result = planCertificates({ route, hosts, certificates, config }, begun, nowMs)
  const { status, reason, message } = conditionOf(result.status, 'CertificateProvisioned') ?? {}
  return {
    ...result,
    told: [status, reason, message].filter(Boolean).join(' | '),
    urls: [...result.hosts.values()].map(({ url }) => url),
    wanted: result.apply.map(({ desired }) => desired as Certificate),
  }
}

const certificate = (
  name: string,
  dnsName: string,
  ready: 'True' | 'False' | 'Unknown',
  owner?: Route,
  more: Partial<Certificate['metadata']> = {},
): Certificate => ({
  apiVersion: 'networking.internal.knative.dev/v1alpha1',
  kind: 'Certificate',
  metadata: {
    name,
    namespace: 'default',
    generation: 1,
    ...(owner && { ownerReferences: [controllerRef(owner)] }),
    ...more,
  },
  spec: { dnsNames: [dnsName], domain: 'hello.default.example.com', secretName: name },
  status: { observedGeneration: 1, conditions: [{ type: 'Ready', status: ready, reason: 'Why' }] },
})

const own = (ready: 'True' | 'False' | 'Unknown') => (route: Route) => [
  certificate('route-u', 'hello.default.example.com', ready, route),
]

test('off, opted out, and inside only: no certificate, and the condition says which', () => {
  const off = 'True | TLSNotEnabled | external-domain-tls is not enabled'
  assert.equal(plan({ network: { 'external-domain-tls': 'Disabled' } }).told, off)
  assert.equal(
    plan({ annotations: { 'networking.knative.dev/disable-external-domain-tls': 'true' } }).told,
    off,
  )
  assert.equal(
    plan({
      annotations: {
        'networking.knative.dev/disableAutoTLS': 'false',
        'networking.knative.dev/disable-external-domain-tls': 'true',
      },
    }).wanted.length,
    1,
    'the oldest spelling counts',
  )
  const inside = plan({ labels: { 'networking.knative.dev/visibility': 'cluster-local' } })
  assert.equal(inside.told, 'True | TLSNotEnabled | TLS is not enabled for cluster-local')
  assert.deepEqual(inside.apply, [])
})

test('one Certificate for each host outside, under the names that tools look for', () => {
  const { wanted, told, urls } = plan({
    tags: ['blue'],
    annotations: { team: 'a', 'networking.knative.dev/certificate-class': 'mine' },
  })
  assert.deepEqual(
    wanted.map(({ metadata, spec }) => [metadata.name, spec]),
    [
      [
        'route-u',
        {
          dnsNames: ['hello.default.example.com'],
          domain: 'hello.default.example.com',
          secretName: 'route-u',
        },
      ],
      [
        'route-u-69140905',
        {
          dnsNames: ['blue-hello.default.example.com'],
          domain: 'hello.default.example.com',
          secretName: 'route-u-69140905',
        },
      ],
    ],
  )
  assert.deepEqual(wanted[0]?.metadata.annotations, {
    team: 'a',
    'networking.knative.dev/certificate.class': 'mine',
  })
  assert.equal(wanted[0]?.metadata.labels?.['serving.knative.dev/route'], 'hello')
  assert.equal(told.split(' | ')[1], 'HTTPDowngrade')
  assert.deepEqual(urls, [
    'http://hello.default.example.com',
    'http://blue-hello.default.example.com',
  ])
})

test('a ready certificate puts https into the URL and the host into the KIngress', () => {
  const { told, urls, tls } = plan({ certificates: own('True') })
  assert.equal(told, 'True')
  assert.deepEqual(urls, ['https://hello.default.example.com'])
  assert.deepEqual(tls, [
    { hosts: ['hello.default.example.com'], secretName: 'route-u', secretNamespace: 'default' },
  ])
})

test('one that is not ready: http goes on where it may, otherwise the Route waits or fails', () => {
  const downgraded = plan({
    certificates: own('Unknown'),
    network: { 'default-external-scheme': 'https' },
  })
  assert.equal(
    downgraded.told,
    'True | HTTPDowngrade | Certificate route-u is not ready downgrade HTTP.',
  )
  assert.deepEqual(downgraded.urls, ['http://hello.default.example.com'])
  const redirected = { 'http-protocol': 'Redirected' }
  assert.equal(
    plan({ certificates: own('Unknown'), network: redirected }).told,
    'Unknown | CertificateNotReady | Certificate route-u is not ready: Why',
  )
  assert.equal(
    plan({ certificates: own('False'), network: redirected }).told,
    'False | CertificateProvisionFailed | Certificate route-u fails to be provisioned: Why',
  )
})

test('a certificate that was ready for another host counts only once it is for this one', () => {
  const { told, tls, wanted } = plan({
    certificates: (route) => [certificate('route-u', 'hello.default.old.com', 'True', route)],
  })
  assert.equal(told.split(' | ')[1], 'HTTPDowngrade')
  assert.deepEqual(tls, [])
  assert.deepEqual(wanted[0]?.spec.dnsNames, ['hello.default.example.com'])
})

test("somebody else's Certificate of the name stands in the way", () => {
  const { told, apply } = plan({
    certificates: () => [certificate('route-u', 'hello.default.example.com', 'True')],
  })
  assert.equal(
    told,
    "False | CertificateNotOwned | There is an existing certificate route-u that we don't own.",
  )
  assert.deepEqual(apply, [])
})

test("a namespace's wildcard serves, when it is of the Route's domain and covers the host", () => {
  const wildcard = (dnsName: string, domain: string) => () => [
    certificate('default.example.com', dnsName, 'True', undefined, {
      labels: { 'networking.knative.dev/wildcardDomain': domain },
    }),
  ]
  const good = plan({ certificates: wildcard('*.default.example.com', 'example.com') })
  assert.deepEqual(good.apply, [])
  assert.equal(good.tls[0]?.secretName, 'default.example.com')
  assert.deepEqual(good.urls, ['https://hello.default.example.com'])
  for (const [name, domain] of [
    ['*.default.example.com', 'example.org'],
    ['*.other.example.com', 'example.com'],
    ['*.example.com', 'example.com'],
  ] as const)
    assert.equal(plan({ certificates: wildcard(name, domain) }).wanted.length, 1, name)
})

test('certificates of hosts that are gone are deleted, with an event', () => {
  const { obsolete, events } = plan({
    certificates: (route) => [
      ...own('True')(route),
      certificate('route-u-1', 'old-hello.default.example.com', 'True', route),
    ],
  })
  assert.deepEqual(
    obsolete.map(({ key }) => key.name),
    ['route-u-1'],
  )
  assert.deepEqual(events, [
    {
      type: 'Normal',
      reason: 'Deleted',
      message: 'Deleted orphaned Knative Certificate default/route-u-1',
    },
  ])
})

test('https URLs show the https port of a domain that shows ports', () => {
  const domain = { 'example.com': 'port: 8080\nhttps-port: 8443\n' }
  assert.deepEqual(plan({ domain, certificates: own('True') }).urls, [
    'https://hello.default.example.com:8443',
  ])
  assert.deepEqual(plan({ domain, certificates: own('Unknown') }).urls, [
    'http://hello.default.example.com:8080',
  ])
})
