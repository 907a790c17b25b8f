import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KubeObject } from '../../../kube/api/meta.ts'
import type { Kind } from '../../../kube/api/kind.ts'
import type { ClusterDomainClaim } from '../../api/cluster-domain-claim.ts'
import { configNetwork } from '../../api/config/network.ts'
import type {
  DomainMapping,
  DomainMappingSpec,
  DomainMappingStatus,
} from '../../api/domain-mapping.ts'
import type { Ingress } from '../../api/ingress.ts'
import { createReadConfig } from '../config.ts'
import { domainMappingReconciler, type World } from './domain-mapping.ts'
import { resolveReference } from './reference.ts'

const mapping = (spec: DomainMappingSpec = {}): DomainMapping => ({
  apiVersion: 'serving.knative.dev/v1beta1',
  kind: 'DomainMapping',
  metadata: { name: 'www.example.org', namespace: 'default', uid: 'u', generation: 1 },
  spec: { ref: { apiVersion: 'serving.knative.dev/v1', kind: 'Service', name: 'shop' }, ...spec },
})
const claim = (namespace: string): ClusterDomainClaim => ({
  apiVersion: 'networking.internal.knative.dev/v1alpha1',
  kind: 'ClusterDomainClaim',
  metadata: { name: 'www.example.org', uid: 'c' },
  spec: { namespace },
})
const reference = { host: 'shop.default.svc.cluster.local', service: 'shop', port: 80 }
const world = (more: Partial<World> = {}): World => ({
  mapping: mapping(),
  claim: claim('default'),
  reference,
  ingress: undefined,
  network: configNetwork.defaults,
  ...more,
})
const reconciler = domainMappingReconciler(createReadConfig())
const plan = (more: Partial<World> = {}) => {
  const made = reconciler.plan(world(more), 0)
  const { conditions = [], ...status } = made.status as DomainMappingStatus
  return {
    ...made,
    status,
    conditions: Object.fromEntries(
      conditions.map(({ type, status, reason = '', message = '' }) => [
        type,
        [status, reason, message].filter(Boolean).join(' '),
      ]),
    ),
  }
}

test('the KIngress leads the domain to the routes of what it maps, and keeps its name for the program', () => {
  const { apply = [], conditions, status } = plan()
  assert.equal(status.url, 'http://www.example.org')
  assert.deepEqual(status.address, { url: 'http://www.example.org' })
  const ingress = apply[0]?.desired as Ingress
  assert.deepEqual(ingress.metadata.labels, {
    'serving.knative.dev/domainMappingUID': 'u',
    'serving.knative.dev/domainMappingNamespace': 'default',
  })
  assert.deepEqual(ingress.spec.rules, [
    {
      hosts: ['www.example.org'],
      visibility: 'ExternalIP',
      http: {
        paths: [
          {
            rewriteHost: 'shop.default.svc.cluster.local',
            splits: [
              {
                serviceNamespace: 'default',
                serviceName: 'shop',
                servicePort: 80,
                percent: 100,
                appendHeaders: { 'K-Original-Host': 'www.example.org' },
              },
            ],
          },
        ],
      },
    },
  ])
  assert.equal(conditions['DomainClaimed'], 'True')
  assert.equal(conditions['ReferenceResolved'], 'True')
  assert.equal(
    conditions['IngressReady'],
    'Unknown IngressNotConfigured Ingress has not yet been reconciled.',
  )
})

test('without a claim it takes none, unless it may', () => {
  const taken =
    'False DomainAlreadyClaimed The domain name is already in use by another DomainMapping'
  const none = { claim: undefined }
  assert.equal(plan(none).conditions['DomainClaimed'], taken)
  assert.match(String(plan(none).error?.message), /^no ClusterDomainClaim found for domain/)
  assert.equal(plan(none).apply, undefined)
  const network = { ...configNetwork.defaults, autocreateClusterDomainClaims: true }
  const { apply = [], conditions, statusOnFailure } = plan({ ...none, network })
  assert.deepEqual(
    apply.map(({ desired }) => [desired.kind, desired.metadata.name]),
    [
      ['ClusterDomainClaim', 'www.example.org'],
      ['Ingress', 'www.example.org'],
    ],
  )
  assert.equal(conditions['DomainClaimed'], 'True')
  assert.ok(statusOnFailure)
  assert.equal(plan({ claim: claim('other'), network }).conditions['DomainClaimed'], taken)
})

test('the end: only a claim that it may have made goes with it', () => {
  const network = { ...configNetwork.defaults, autocreateClusterDomainClaims: true }
  const ends = (more: Partial<World>) => reconciler.finalize?.(world(more), 0).delete?.length ?? 0
  assert.equal(ends({ network }), 1)
  assert.equal(ends({}), 0)
  assert.equal(ends({ network, claim: claim('other') }), 0)
})

test('a Secret of one’s own makes it https', () => {
  const {
    apply = [],
    conditions,
    status,
  } = plan({
    mapping: mapping({ tls: { secretName: 'mine' } }),
  })
  assert.equal(status.url, 'https://www.example.org')
  assert.equal(
    conditions['CertificateProvisioned'],
    'True CertificateExternallyProvided TLS certificate was provided externally',
  )
  const ingress = apply[0]?.desired as Ingress
  assert.deepEqual(ingress.spec.tls, [
    { hosts: ['www.example.org'], secretName: 'mine', secretNamespace: 'default' },
  ])
})

test('references: what is not there, has no address, or lies elsewhere', () => {
  const ref = { apiVersion: 'serving.knative.dev/v1', kind: 'Service', name: 'shop' }
  const with_ = (...objects: object[]) => ({
    get: <T extends KubeObject>(kind: Kind<T>) =>
      (objects as KubeObject[]).find(
        ({ apiVersion }) => (apiVersion === 'v1') === (kind.group === ''),
      ) as T | undefined,
  })
  const problem = (read: ReturnType<typeof with_>, other: object = {}) => {
    const resolved = resolveReference({ ...ref, ...other }, 'default', read)
    return 'problem' in resolved ? resolved.problem : resolved
  }
  const service = (url?: string) => ({
    apiVersion: ref.apiVersion,
    metadata: {},
    ...(url && { status: { address: { url } } }),
  })
  assert.equal(
    problem(with_()),
    'failed to get object default/shop: services.serving.knative.dev "shop" not found',
  )
  assert.match(
    JSON.stringify(problem(with_(service()))),
    /^"address not set for &ObjectReference\{Kind:Service,/,
  )
  assert.equal(
    problem(with_(service('http://shop.default.svc.cluster.local/x'))),
    'resolved URI "http://shop.default.svc.cluster.local/x" contains a path',
  )
  assert.equal(
    problem(with_(service('http://example.com'))),
    'resolved URI "http://example.com" must be of the form {name}.{namespace}.svc.cluster.local',
  )
  assert.equal(
    problem(with_(service('http://shop.other.svc.cluster.local'))),
    'resolved URI "http://shop.other.svc.cluster.local" must be in same namespace as DomainMapping',
  )
  assert.deepEqual(problem(with_(service('http://shop.default.svc.cluster.local'))), reference)
  assert.match(JSON.stringify(problem(with_(), { kind: 'Broker' })), /^"failed to get lister for/)
  assert.deepEqual(
    problem(with_({ apiVersion: 'v1', spec: { ports: [{ port: 8080 }] } }), {
      apiVersion: 'v1',
    }),
    { ...reference, port: 8080 },
  )
})

test('a domain that somebody has already is not taken from them', () => {
  const rival: Ingress = {
    apiVersion: 'networking.internal.knative.dev/v1alpha1',
    kind: 'Ingress',
    metadata: {
      name: 'hello',
      namespace: 'other',
      labels: { 'serving.knative.dev/service': 'hello' },
    },
    spec: { rules: [{ hosts: ['WWW.example.org'] }] },
  }
  const { apply = [], conditions, error } = plan({ rival })
  assert.deepEqual(apply, [])
  const text = 'The domain name is already in use by Service other/hello'
  assert.equal(conditions['DomainClaimed'], `False DomainAlreadyClaimed ${text}`)
  assert.equal(conditions['Ready'], `False DomainAlreadyClaimed ${text}`)
  assert.equal(error?.message, text)
})
