import assert from 'node:assert/strict'
import { test } from 'node:test'
import { controllerRef } from '../../../kube/api/meta.ts'
import type { Service as CoreService } from '../../../kube/api/service.ts'
import { aRevision, aRoute } from '../../../testing/serving.ts'
import { configDomain } from '../../api/config/domain.ts'
import { configFeatures } from '../../api/config/features.ts'
import { configNetwork } from '../../api/config/network.ts'
import type { Ingress } from '../../api/ingress.ts'
import type { Route, RouteStatus } from '../../api/route.ts'
import { createReadConfig } from '../config.ts'
import { routeReconciler, type World } from './route.ts'

const nowMs = Date.UTC(2026, 0, 1)
const reconciler = routeReconciler(createReadConfig())

const traffic = [
  { revisionName: 'a', percent: 100 },
  { revisionName: 'b', percent: 0, tag: 'blue' },
]
const both = new Map(['a', 'b'].map((name) => [name, aRevision(name, 'True')]))

const config = (features: Record<string, string> = {}, network: Record<string, string> = {}) => ({
  domain: configDomain.parse({ 'example.com': '' }),
  features: configFeatures.parse(features),
  network: configNetwork.parse(network),
})

function plan(route: Route, world: Partial<World> = {}) {
  const result = reconciler.plan(
    {
      route,
      configurations: new Map(),
      revisions: both,
      ingress: undefined,
      services: new Map(),
      endpoints: new Map(),
      certificates: new Map(),
      config: config(),
      ...world,
    },
    nowMs,
  )
  const status = result.status as RouteStatus
  const ingress = result.apply?.find(({ kind }) => kind.kind === 'Ingress')?.desired as
    | Ingress
    | undefined
  return {
    ...result,
    status,
    ingress,
    told: (status.conditions ?? []).map(({ type, status: value, reason }) =>
      [type, value, reason].filter(Boolean).join(' '),
    ),
    services: (result.apply ?? [])
      .filter(({ kind }) => kind.kind === 'Service')
      .map(({ desired }) => desired as CoreService),
  }
}

/** The Ingress that a plan wanted, as it is stored once the gateway routes by it. */
const settled = (wanted: Ingress | undefined, status: Ingress['status'] = {}): Ingress => {
  assert.ok(wanted)
  return {
    ...wanted,
    metadata: { ...wanted.metadata, generation: 1 },
    status: {
      observedGeneration: 1,
      conditions: [{ type: 'Ready', status: 'True' }],
      ...status,
    },
  }
}

test('a Route wants a KIngress and a placeholder Service for each host', () => {
  const route = aRoute('hello', traffic, {
    labels: { team: 'a' },
    annotations: {
      mine: 'yes',
      'kubectl.kubernetes.io/last-applied-configuration': '{}',
      'networking.knative.dev/ingress-class': 'other',
    },
  })
  const { ingress, services, told, status } = plan(route)
  assert.deepEqual(told, [
    'AllTrafficAssigned True',
    'CertificateProvisioned True TLSNotEnabled',
    'IngressReady Unknown IngressNotConfigured',
    'Ready Unknown IngressNotConfigured',
  ])
  assert.equal(status.url, 'http://hello.default.example.com')
  assert.deepEqual(ingress?.metadata, {
    name: 'hello',
    namespace: 'default',
    labels: {
      team: 'a',
      'serving.knative.dev/route': 'hello',
      'serving.knative.dev/routeNamespace': 'default',
    },
    annotations: {
      mine: 'yes',
      'networking.knative.dev/ingress.class': 'other',
      'networking.internal.knative.dev/rollout': '{}',
      'networking.internal.knative.dev/tag-to-host': JSON.stringify({
        blue: [
          'blue-hello.default.example.com',
          'blue-hello.default',
          'blue-hello.default.svc',
          'blue-hello.default.svc.cluster.local',
        ],
      }),
    },
    ownerReferences: [controllerRef(route)],
  })
  assert.equal(ingress?.spec.httpOption, 'Enabled')
  assert.deepEqual(ingress?.spec.rules?.[1], {
    hosts: ['hello.default.example.com'],
    visibility: 'ExternalIP',
    http: {
      paths: [
        {
          splits: [
            {
              serviceNamespace: 'default',
              serviceName: 'a',
              servicePort: 80,
              percent: 100,
              appendHeaders: {
                'Knative-Serving-Revision': 'a',
                'Knative-Serving-Namespace': 'default',
              },
            },
          ],
        },
      ],
    },
  })
  assert.deepEqual(
    services.map(({ metadata, spec }) => [metadata.name, spec.type, spec.externalName]),
    [
      ['hello', 'ExternalName', 'hello.default.example.com'],
      ['blue-hello', 'ExternalName', 'blue-hello.default.example.com'],
    ],
  )
})

test('it is ready when the KIngress is, for the spec that is wanted now', () => {
  const route = aRoute('hello', traffic)
  const ingress = settled(plan(route).ingress)
  const ready = plan(route, { ingress })
  assert.equal(ready.told.at(-1), 'Ready True')
  assert.deepEqual(ready.status.traffic, [
    { revisionName: 'a', latestRevision: false, percent: 100 },
    {
      tag: 'blue',
      revisionName: 'b',
      latestRevision: false,
      percent: 0,
      url: 'http://blue-hello.default.example.com',
    },
  ])
  const moved = plan(aRoute('hello', [{ revisionName: 'b', percent: 100 }]), { ingress })
  assert.equal(moved.told.at(-1), 'Ready Unknown IngressNotConfigured')
  const again = plan({ ...route, status: ready.status }, { ingress })
  assert.deepEqual(again.status, ready.status)
})

test('a missing target leaves what runs as it is, and still says the URL', () => {
  const { apply, told, status } = plan(aRoute('hello', [{ revisionName: 'x', percent: 100 }]), {
    ingress: settled(plan(aRoute('hello', traffic)).ingress),
  })
  assert.equal(apply, undefined)
  assert.ok(told.includes('AllTrafficAssigned False RevisionMissing'))
  assert.equal(status.url, 'http://hello.default.example.com')
})

test('it has an address once somebody is behind it, and keeps it', () => {
  const address = { url: 'http://hello.default.svc.cluster.local' }
  const missing = aRoute('hello', [{ revisionName: 'x', percent: 100 }])
  assert.equal(plan(missing).status.address, undefined)
  const assigned = plan(aRoute('hello', traffic)).status
  assert.deepEqual(assigned.address, address)
  assert.deepEqual(plan({ ...missing, status: assigned }).status.address, address)
})

test('with the feature, a header chooses the tag', () => {
  const { ingress } = plan(aRoute('hello', traffic), {
    config: config({ 'tag-header-based-routing': 'enabled' }),
  })
  const paths = ingress?.spec.rules?.map(({ http }) =>
    http?.paths.map(({ headers, appendHeaders, splits }) => ({
      to: splits[0]?.serviceName,
      ...headers,
      ...appendHeaders,
    })),
  )
  const main = [
    { to: 'b', 'Knative-Serving-Tag': { exact: 'blue' } },
    { to: 'a', 'Knative-Serving-Default-Route': 'true' },
  ]
  const blue = [{ to: 'b', 'Knative-Serving-Tag': 'blue' }]
  assert.deepEqual(paths, [main, main, blue, blue])
})

test('a label on a placeholder hides its tag from the outside', () => {
  const route = aRoute('hello', traffic)
  const hidden: CoreService = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name: 'blue-hello',
      namespace: 'default',
      labels: { 'networking.knative.dev/visibility': 'cluster-local' },
      ownerReferences: [controllerRef(route)],
    },
    spec: {},
  }
  const { ingress, status } = plan(route, { services: new Map([['blue-hello', hidden]]) })
  assert.deepEqual(
    ingress?.spec.rules?.map(({ hosts, visibility }) => [hosts?.[0], visibility]),
    [
      ['hello.default', 'ClusterLocal'],
      ['hello.default.example.com', 'ExternalIP'],
      ['blue-hello.default', 'ClusterLocal'],
    ],
  )
  assert.equal(status.traffic?.[1]?.url, 'http://blue-hello.default.svc.cluster.local')
})

test('placeholders lead where the KIngress says, obsolete ones go, foreign ones stop everything', () => {
  const route = aRoute('hello', [{ revisionName: 'a', percent: 100 }])
  const own = (name: string, owned = true): [string, CoreService] => [
    name,
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: {
        name,
        namespace: 'default',
        ...(owned && { ownerReferences: [controllerRef(route)] }),
      },
      spec: { type: 'ExternalName', externalName: 'x' },
    },
  ]
  const { ingress } = plan(route)
  const byIp = plan(route, {
    ingress: settled(ingress, { privateLoadBalancer: { ingress: [{ ip: '10.1.1.1' }] } }),
    services: new Map([own('hello'), own('old-hello')]),
  })
  assert.deepEqual(
    byIp.services.map(({ spec }) => [spec.type, spec.clusterIP]),
    [['ClusterIP', 'None']],
  )
  assert.ok(byIp.apply?.some(({ kind }) => kind.kind === 'Endpoints'))
  assert.deepEqual(
    byIp.delete?.map(({ key }) => key.name),
    ['old-hello'],
  )
  const foreign = plan(route, { services: new Map([own('hello', false)]) })
  assert.equal(foreign.apply, undefined)
  assert.equal(
    foreign.status.conditions?.find(({ type }) => type === 'IngressReady')?.message,
    'There is an existing placeholder Service "hello" that we do not own.',
  )
})

test('what cannot be understood is an error, and the generation counts as seen', () => {
  const wrong = plan(
    aRoute('hello', traffic, { annotations: { 'networking.knative.dev/http-protocol': 'maybe' } }),
  )
  assert.equal(wrong.error?.message, 'incorrect http-protocol annotation: maybe')
  assert.equal(wrong.status.observedGeneration, 1)
  const long = plan(aRoute('a'.repeat(64), traffic))
  assert.ok(long.told.includes('AllTrafficAssigned False ErrorConfig'))
})
