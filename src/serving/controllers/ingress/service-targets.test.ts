import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EndpointSlice } from '../../../kube/api/endpoint-slice.ts'
import { Endpoints } from '../../../kube/api/endpoints.ts'
import { groupKind, type Kind } from '../../../kube/api/kind.ts'
import { keyOf, keyText, type KubeObject, type ObjectKey } from '../../../kube/api/meta.ts'
import { Service as CoreService } from '../../../kube/api/service.ts'
import type { FeedSource } from './feed-client.ts'
import type { Fact } from './feed-part.ts'
import { serviceMeaning, serviceTarget } from './service-target.ts'
import { createServiceTargets } from './service-targets.ts'

const service = (spec: CoreService['spec'], metadata: object = {}): CoreService => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'shop', namespace: 'default', ...metadata },
  spec,
})
const plain = service({
  ports: [
    { name: 'web', port: 80 },
    { name: 'grpc-api', port: 81 },
  ],
})
const endpoints: Endpoints = {
  apiVersion: 'v1',
  kind: 'Endpoints',
  metadata: { name: 'shop', namespace: 'default' },
  subsets: [
    {
      addresses: [{ ip: '10.0.0.2', targetRef: { uid: 'u2', name: 'p2' } }, { ip: '10.0.0.1' }],
      notReadyAddresses: [{ ip: '10.0.0.3' }],
      ports: [
        { name: 'web', port: 8080 },
        { name: 'grpc-api', port: 9090 },
      ],
    },
  ],
}

test('what a Service means: a Route’s placeholder, a Revision’s, a name inside, its pods', () => {
  const owner = {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Route',
    name: 'shop',
    uid: 'r',
    controller: true,
  }
  const placeholder = service(
    { type: 'ExternalName', externalName: 'istio-ingressgateway.istio-system.svc.cluster.local' },
    { labels: { 'serving.knative.dev/route': 'shop' }, ownerReferences: [owner] },
  )
  assert.deepEqual(serviceMeaning(placeholder, 80), { host: 'shop.default.svc.cluster.local' })
  const public_ = service(
    { ports: [{ port: 80 }] },
    {
      labels: {
        'serving.knative.dev/revision': 'shop-00001',
        'networking.internal.knative.dev/serviceType': 'Public',
      },
    },
  )
  assert.deepEqual(serviceMeaning(public_, 80), { revision: 'default/shop-00001' })
  const named = (externalName: string) => service({ type: 'ExternalName', externalName })
  assert.deepEqual(serviceMeaning(named('a.b.svc.cluster.local'), 80), {
    host: 'a.b.svc.cluster.local',
  })
  assert.equal(serviceMeaning(named('example.com'), 80), undefined)
  assert.deepEqual(serviceMeaning(plain, 81), { service: 'default/shop:81' })
  assert.equal(serviceMeaning(plain, 82), undefined)
  // A label alone, without a Route behind it, is anybody's.
  const pretender = service(
    { ports: [{ port: 80 }] },
    { labels: { 'serving.knative.dev/route': 'x' } },
  )
  assert.deepEqual(serviceMeaning(pretender, 80), { service: 'default/shop:80' })
})

test('ready addresses behind a port, from Endpoints or from slices', () => {
  const backends = [
    { host: '10.0.0.1', port: 8080, pod: '' },
    { host: '10.0.0.2', port: 8080, pod: 'u2', podName: 'p2' },
  ]
  const target = serviceTarget(plain, 80, endpoints, [])
  assert.equal(target.key, 'default/shop:80')
  assert.equal(target.kind, 'service')
  assert.equal(target.protocol, 'http1')
  assert.deepEqual(target.backends, backends)
  assert.equal(serviceTarget(plain, 81, endpoints, []).protocol, 'h2c')
  const slice: EndpointSlice = {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'shop-x', namespace: 'default' },
    addressType: 'IPv4',
    endpoints: [
      { addresses: ['10.0.0.2'], targetRef: { uid: 'u2', name: 'p2' } },
      { addresses: ['10.0.0.1'], conditions: { ready: true } },
      { addresses: ['10.0.0.3'], conditions: { ready: false } },
    ],
    ports: [{ name: 'web', port: 8080 }],
  }
  assert.deepEqual(serviceTarget(plain, 80, undefined, [slice]).backends, backends)
  assert.deepEqual(serviceTarget(plain, 80, undefined, []).backends, [])
})

test('only Services that somebody names are told, and only as long as somebody does', async () => {
  const objects = new Map<string, KubeObject>()
  const listeners = new Map<string, (object: KubeObject) => void>()
  const source: FeedSource = {
    read: {
      get: <T extends KubeObject>(kind: Kind<T>, key: ObjectKey) =>
        objects.get(`${groupKind(kind)} ${keyText(key)}`) as T | undefined,
      list: () => [],
      owned: () => [],
    },
    synced: () => Promise.resolve(),
    onChange(kind, listener) {
      listeners.set(groupKind(kind), listener)
      return () => listeners.delete(groupKind(kind))
    },
  }
  const put = (kind: Kind, object: KubeObject) => {
    objects.set(`${groupKind(kind)} ${keyText(keyOf(object))}`, object)
    listeners.get(groupKind(kind))?.(object)
  }
  using targets = createServiceTargets(source)
  await targets.synced()
  const facts: Fact[] = []
  targets.onChange((fact) => facts.push(fact))
  const told = () =>
    facts
      .splice(0)
      .map((fact) =>
        fact.type === 'revision' ? `${fact.revision.key} ${fact.revision.backends.length}` : fact,
      )
  put(CoreService, plain)
  put(Endpoints, endpoints)
  assert.deepEqual(told(), [])
  targets.name('a', ['default/shop:80'])
  targets.name('b', ['default/shop:80', 'default/late:80'])
  assert.deepEqual(told(), ['default/shop:80 2'])
  put(Endpoints, { ...endpoints, subsets: [] } as Endpoints)
  assert.deepEqual(told(), ['default/shop:80 0'])
  put(CoreService, { ...plain, metadata: { ...plain.metadata, name: 'late' } })
  assert.deepEqual(told(), ['default/late:80 0'])
  targets.name('a', [])
  assert.deepEqual(told(), [])
  targets.name('b', [])
  assert.deepEqual(told(), [
    { type: 'revision-gone', key: 'default/shop:80' },
    { type: 'revision-gone', key: 'default/late:80' },
  ])
})
