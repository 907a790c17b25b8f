import assert from 'node:assert/strict'
import { test } from 'node:test'
import { coreKinds } from '../../kube/api/kinds.ts'
import type { KubeObject, ObjectKey } from '../../kube/api/meta.ts'
import { Namespace } from '../../kube/api/namespace.ts'
import { Secret } from '../../kube/api/secret.ts'
import { Service as CoreService } from '../../kube/api/service.ts'
import type { Kind } from '../../kube/api/kind.ts'
import { StatusError } from '../../kube/api/status-error.ts'
import { Ingress } from '../../serving/api/ingress.ts'
import { servingKinds } from '../../serving/api/kinds.ts'
import type { FeedSource } from '../../serving/controllers/ingress/feed-client.ts'
import { createServiceTargets } from '../../serving/controllers/ingress/service-targets.ts'
import type { IngressRoute } from '../../serving/gateway/feed.ts'
import { inMemoryPlatform } from '../../testing/platform.ts'
import { settle, SimClock } from '../../testing/sim-clock.ts'
import { issue } from '../../platform/access/certificate-issue.ts'
import { Gateway } from '../api/gateway.ts'
import { HTTPRoute } from '../api/http-route.ts'
import type { HTTPRouteSpec } from '../api/http-route-spec.ts'
import { routingKinds } from '../api/kinds.ts'
import { ReferenceGrant } from '../api/reference-grant.ts'
import { VirtualService } from '../api/virtual-service.ts'
import type { VirtualServiceSpec } from '../api/virtual-service-spec.ts'
import { routeAdmission } from './admission.ts'
import { startRoutingControllers } from './controllers.ts'
import { installRouting } from './install.ts'
import { gatewayCertificates } from './listener-tls.ts'
import { createSharedHosts } from './shared-hosts.ts'

const service = (name: string, namespace = 'default', port = 80): CoreService => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace },
  spec: { selector: { app: name }, ports: [{ port }] },
})
const httpRoute = (name: string, spec: HTTPRouteSpec, namespace = 'default'): HTTPRoute => ({
  apiVersion: 'gateway.networking.k8s.io/v1',
  kind: 'HTTPRoute',
  metadata: { name, namespace },
  spec,
})
const virtualService = (name: string, spec: VirtualServiceSpec): VirtualService => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'VirtualService',
  metadata: { name, namespace: 'default' },
  spec,
})
const ingress = (host: string, namespace: string): Ingress => ({
  apiVersion: 'networking.internal.knative.dev/v1alpha1',
  kind: 'Ingress',
  metadata: { name: 'app', namespace, labels: { 'serving.knative.dev/route': 'app' } },
  spec: {
    rules: [
      {
        hosts: [host],
        visibility: 'ExternalIP',
        http: {
          paths: [
            {
              splits: [{ serviceNamespace: namespace, serviceName: 'app-00001', servicePort: 80 }],
            },
          ],
        },
      },
    ],
  },
})
const prefix = (value: string, name: string, port = 80) => ({
  matches: [{ path: { type: 'PathPrefix', value } }],
  backendRefs: [{ name, port }],
})

/** An API with routing controllers, and a gateway that says yes to everything while `answers`. */
async function platform({ admitted = true } = {}) {
  const clock = new SimClock()
  const stack = new AsyncDisposableStack()
  const memory = stack.use(
    inMemoryPlatform({
      kinds: [...coreKinds, ...servingKinds, ...routingKinds],
      clock,
      admission: admitted ? routeAdmission : [],
    }),
  )
  const { informers, client } = memory
  const source: FeedSource = {
    read: informers.reader(),
    synced: () => informers.synced(),
    onChange(kind, listener) {
      const subscription = informers.for(kind).subscribe((_type, object) => listener(object))
      return () => subscription[Symbol.dispose]()
    },
  }
  const targets = stack.use(createServiceTargets(source))
  const hosts = stack.use(createSharedHosts(source, targets))
  const gateway = { answers: true }
  const acknowledged = new Set<(key: ObjectKey) => void>()
  stack.use(
    startRoutingControllers({
      ...memory,
      hosts,
      link: {
        acknowledged: () => gateway.answers,
        onAcknowledged: (listener) => {
          acknowledged.add(listener)
          return { [Symbol.dispose]: () => void acknowledged.delete(listener) }
        },
      },
      gatewayAddress: '127.0.0.1',
    }),
  )
  await Promise.all(
    ['default', 'other'].map((name) =>
      client
        .create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } })
        .catch(() => {}),
    ),
  )
  await installRouting(client, 8080)
  await settle()
  const told = (host: string): IngressRoute | undefined => {
    for (const fact of hosts.all())
      if (fact.type === 'ingress' && fact.ingress.key === `~shared/${host}`) return fact.ingress
    return undefined
  }
  const paths = (host: string) =>
    told(host)?.rules.map(({ visibility, paths }) => [
      visibility,
      ...paths.map(({ path = '', splits }) => {
        const [split] = splits
        return `${path} ${split?.service ?? split?.revision ?? split?.host ?? split?.filters?.status ?? ''}`
      }),
    ])
  return {
    ...memory,
    source,
    clock,
    hosts,
    targets,
    gateway,
    told,
    paths,
    acknowledge: (key: ObjectKey) => acknowledged.forEach((listener) => listener(key)),
    async apply<T extends KubeObject>(kind: Kind<T>, ...objects: T[]): Promise<void> {
      for (const object of objects) await client.create(kind, object)
      await settle()
    },
    async conditions(name: string, namespace = 'default') {
      const { status } = await client.get(HTTPRoute, { namespace, name })
      return Object.fromEntries(
        (status?.parents[0]?.conditions ?? []).map(({ type, status, reason, message }) => [
          type,
          [status, reason, message] as const,
        ]),
      )
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

test('an HTTPRoute becomes the rules of its hosts, and its Service a target', async () => {
  await using world = await platform()
  await world.apply(CoreService, service('shop'), service('cart', 'default', 8080))
  await world.apply(
    HTTPRoute,
    httpRoute('shop', {
      parentRefs: [{ name: 'ebb', namespace: 'ebb' }],
      hostnames: ['shop.example.com'],
      rules: [prefix('/', 'shop'), prefix('/cart', 'cart', 8080)],
    }),
  )
  assert.deepEqual(world.paths('shop.example.com'), [
    ['ExternalIP', '/cart default/cart:8080', ' default/shop:80'],
  ])
  const { Accepted, ResolvedRefs } = await world.conditions('shop')
  assert.deepEqual(
    [Accepted?.slice(0, 2), ResolvedRefs?.slice(0, 2)],
    [
      ['True', 'Accepted'],
      ['True', 'ResolvedRefs'],
    ],
  )
  assert.equal(world.hosts.attachedRoutes({ namespace: 'ebb', name: 'ebb' }, 'http'), 1)
  const named = () =>
    [...world.targets.all()].map((fact) => fact.type === 'revision' && fact.revision.key)
  assert.deepEqual(named(), ['default/shop:80', 'default/cart:8080'])
  await world.client.delete(HTTPRoute, { namespace: 'default', name: 'shop' })
  await settle()
  assert.equal(world.paths('shop.example.com'), undefined)
  assert.deepEqual(named(), [])
  assert.equal(world.hosts.attachedRoutes({ namespace: 'ebb', name: 'ebb' }, 'http'), 0)
})

test('Accepted waits for the gateway', async () => {
  await using world = await platform()
  world.gateway.answers = false
  await world.apply(CoreService, service('shop'))
  await world.apply(
    HTTPRoute,
    httpRoute('shop', { hostnames: ['a.example'], rules: [prefix('/', 'shop')] }),
  )
  assert.deepEqual((await world.conditions('shop'))['Accepted']?.slice(0, 2), [
    'Unknown',
    'Pending',
  ])
  world.gateway.answers = true
  world.acknowledge({ namespace: '~shared', name: 'a.example' })
  await settle()
  assert.deepEqual((await world.conditions('shop'))['Accepted']?.slice(0, 2), ['True', 'Accepted'])
})

test('a backend that is not there answers 500 until it comes', async () => {
  await using world = await platform()
  await world.apply(
    HTTPRoute,
    httpRoute('shop', { hostnames: ['a.example'], rules: [prefix('/', 'late')] }),
  )
  assert.deepEqual(world.paths('a.example'), [['ExternalIP', ' 500']])
  assert.deepEqual((await world.conditions('shop'))['ResolvedRefs'], [
    'False',
    'BackendNotFound',
    'Service default/late is not there',
  ])
  await world.apply(CoreService, service('late'))
  assert.deepEqual(world.paths('a.example'), [['ExternalIP', ' default/late:80']])
  assert.deepEqual((await world.conditions('shop'))['ResolvedRefs']?.[0], 'True')
})

test('Services of other namespaces need a ReferenceGrant', async () => {
  await using world = await platform()
  await world.apply(CoreService, service('shop', 'other'))
  const rules = [{ backendRefs: [{ name: 'shop', namespace: 'other', port: 80 }] }]
  await world.apply(HTTPRoute, httpRoute('shop', { hostnames: ['a.example'], rules }))
  assert.deepEqual((await world.conditions('shop'))['ResolvedRefs']?.slice(0, 2), [
    'False',
    'RefNotPermitted',
  ])
  assert.deepEqual(world.paths('a.example'), [['ExternalIP', ' 500']])
  await world.apply(ReferenceGrant, {
    apiVersion: 'gateway.networking.k8s.io/v1beta1',
    kind: 'ReferenceGrant',
    metadata: { name: 'g', namespace: 'other' },
    spec: {
      from: [{ group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', namespace: 'default' }],
      to: [{ group: '', kind: 'Service' }],
    },
  })
  assert.deepEqual(world.paths('a.example'), [['ExternalIP', ' other/shop:80']])
  await world.client.delete(ReferenceGrant, { namespace: 'other', name: 'g' })
  await settle()
  assert.deepEqual(world.paths('a.example'), [['ExternalIP', ' 500']])
})

test('parents that are not there, do not allow the namespace or the host refuse the route', async () => {
  await using world = await platform()
  await world.apply(CoreService, service('shop'))
  const accepted = async (name: string, spec: HTTPRouteSpec) => {
    await world.apply(HTTPRoute, httpRoute(name, { rules: [prefix('/', 'shop')], ...spec }))
    return (await world.conditions(name))['Accepted']?.slice(0, 2)
  }
  const gateways = world.client
  await gateways.create(Gateway, {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: { name: 'narrow', namespace: 'other' },
    spec: {
      gatewayClassName: 'ebb',
      listeners: [
        { name: 'own', port: 80, protocol: 'HTTP' },
        {
          name: 'open',
          port: 81,
          protocol: 'HTTP',
          hostname: '*.open.example',
          allowedRoutes: { namespaces: { from: 'All' } },
        },
      ],
    },
  })
  const parent = { name: 'narrow', namespace: 'other' }
  const hostnames = ['a.example']
  assert.deepEqual(await accepted('a', { parentRefs: [{ name: 'nobody' }], hostnames }), [
    'False',
    'NoMatchingParent',
  ])
  assert.deepEqual(
    await accepted('b', { parentRefs: [{ ...parent, sectionName: 'own' }], hostnames }),
    ['False', 'NotAllowedByListeners'],
  )
  assert.deepEqual(await accepted('c', { parentRefs: [parent], hostnames }), [
    'False',
    'NoMatchingListenerHostname',
  ])
  assert.equal(world.paths('a.example'), undefined)
  assert.deepEqual(await accepted('d', { parentRefs: [parent] }), ['True', 'Accepted'])
  assert.deepEqual(world.paths('*.open.example'), [['ExternalIP', ' default/shop:80']])
  assert.deepEqual(
    await accepted('e', {
      parentRefs: [{ name: 'knative-local-gateway', namespace: 'knative-serving' }],
      hostnames,
    }),
    ['True', 'Accepted'],
  )
  assert.deepEqual(world.paths('a.example'), [['ClusterLocal', ' default/shop:80']])
})

const refusal = async (what: Promise<unknown>): Promise<string> => {
  const error = await what.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  assert.ok(error instanceof StatusError, 'it was not refused')
  assert.equal(error.code, 422)
  return error.message
}

test('the second claim of a match is refused when it is sent, naming the first', async () => {
  await using world = await platform()
  await world.apply(CoreService, service('shop'))
  await world.apply(
    VirtualService,
    virtualService('first', {
      hosts: ['a.example'],
      gateways: ['knative-serving/knative-ingress-gateway'],
      http: [
        { match: [{ uri: { prefix: '/login' } }], route: [{ destination: { host: 'shop' } }] },
      ],
    }),
  )
  const second = httpRoute('second', {
    hostnames: ['a.example'],
    rules: [prefix('/login', 'shop')],
  })
  assert.match(
    await refusal(world.client.create(HTTPRoute, second)),
    /spec\.rules: Forbidden: host a\.example, path prefix \/login: VirtualService default\/first has it already/,
  )
  const free = httpRoute('second', { hostnames: ['a.example'], rules: [prefix('/other', 'shop')] })
  const created = await world.client.create(HTTPRoute, free)
  assert.match(
    await refusal(world.client.update(HTTPRoute, { ...created, spec: second.spec })),
    /VirtualService default\/first has it already/,
  )
  await settle()
  assert.deepEqual(world.paths('a.example'), [
    ['ExternalIP', '/login default/shop:80', '/other default/shop:80'],
  ])
})

test('what slipped past is left out by age and says who has it, until that one goes', async () => {
  await using world = await platform({ admitted: false })
  await world.apply(CoreService, service('one'), service('two'))
  const spec = (name: string) => ({ hostnames: ['a.example'], rules: [prefix('/', name)] })
  await world.apply(HTTPRoute, httpRoute('z-first', spec('one')))
  await world.clock.advance(1000)
  await world.apply(HTTPRoute, httpRoute('a-second', spec('two')))
  assert.deepEqual(world.paths('a.example'), [['ExternalIP', ' default/one:80']])
  assert.deepEqual((await world.conditions('a-second'))['Accepted'], [
    'False',
    'Conflicted',
    'host a.example, any path: HTTPRoute default/z-first has it already',
  ])
  assert.equal((await world.conditions('z-first'))['Accepted']?.[0], 'True')
  await world.client.delete(HTTPRoute, { namespace: 'default', name: 'z-first' })
  await settle()
  assert.deepEqual(world.paths('a.example'), [['ExternalIP', ' default/two:80']])
  assert.equal((await world.conditions('a-second'))['Accepted']?.[0], 'True')
})

test('the host of a Service: its namespace may put rules before it, others may not use it', async () => {
  await using world = await platform()
  await world.apply(Ingress, ingress('app.example', 'default'))
  await world.apply(CoreService, service('shop'), service('shop', 'other'))
  const foreign = httpRoute(
    'r',
    { hostnames: ['app.example'], rules: [prefix('/x', 'shop')] },
    'other',
  )
  assert.match(
    await refusal(world.client.create(HTTPRoute, foreign)),
    /host app\.example belongs to Route default\/app: only routes of namespace default may use it/,
  )
  const key = { namespace: 'default', name: 'app' }
  const stored = await world.client.get(Ingress, key)
  assert.equal(world.hosts.taken('app.example', stored), false)
  const heard: ObjectKey[] = []
  world.hosts.onTaken((ingress) => heard.push(ingress))
  await world.apply(
    HTTPRoute,
    httpRoute('r', { hostnames: ['app.example'], rules: [prefix('/x', 'shop')] }),
  )
  assert.deepEqual(world.paths('app.example'), [
    ['ExternalIP', '/x default/shop:80'],
    ['ExternalIP', ' default/app-00001'],
  ])
  assert.equal(world.hosts.taken('app.example', stored), true)
  assert.deepEqual(heard, [key])
  await world.client.delete(HTTPRoute, { namespace: 'default', name: 'r' })
  await settle()
  assert.equal(world.hosts.taken('app.example', stored), false)
})

test("a host that two namespaces have is the older one's: routes of the other are refused", async () => {
  await using world = await platform()
  await world.apply(Ingress, ingress('app.example', 'other'))
  await world.clock.advance(1000)
  await world.apply(Ingress, ingress('app.example', 'default'))
  await world.apply(CoreService, service('shop'))
  const route = httpRoute('r', { hostnames: ['app.example'], rules: [prefix('/x', 'shop')] })
  assert.match(
    await refusal(world.client.create(HTTPRoute, route)),
    /belongs to Route other\/app: only routes of namespace other may use it/,
  )
})

test('a Service that gets a host which another namespace routes takes it', async () => {
  await using world = await platform()
  await world.apply(CoreService, service('shop'))
  await world.apply(
    HTTPRoute,
    httpRoute('r', { hostnames: ['app.example'], rules: [prefix('/', 'shop')] }),
  )
  await world.apply(Ingress, ingress('app.example', 'other'))
  assert.equal(world.paths('app.example'), undefined)
  assert.deepEqual((await world.conditions('r'))['Accepted']?.slice(0, 2), ['False', 'Conflicted'])
})

test('one Gateway, two listeners: plain HTTP is sent to https, and https has the app', async () => {
  await using world = await platform()
  await world.apply(CoreService, service('shop'))
  await world.apply(Gateway, {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: { name: 'shop', namespace: 'default' },
    spec: {
      gatewayClassName: 'ebb',
      listeners: [
        { name: 'http', port: 80, protocol: 'HTTP' },
        { name: 'https', port: 443, protocol: 'HTTPS' },
      ],
    },
  })
  const attached = (sectionName: string | undefined, rules: HTTPRouteSpec['rules']) =>
    httpRoute(sectionName ?? 'both', {
      parentRefs: [{ name: 'shop', ...(sectionName && { sectionName }) }],
      hostnames: ['shop.example'],
      ...(rules && { rules }),
    })
  const redirect = { type: 'RequestRedirect', requestRedirect: { scheme: 'https' } } as const
  await world.apply(HTTPRoute, attached('http', [{ filters: [redirect] }]))
  await world.apply(HTTPRoute, attached('https', [prefix('/', 'shop')]))
  const schemes = () =>
    world
      .told('shop.example')
      ?.rules.flatMap(({ paths }) =>
        paths.map(({ scheme, path = '', splits }) => [
          scheme,
          path,
          splits[0]?.service ?? 'redirect',
        ]),
      )
  assert.deepEqual(schemes(), [
    ['http', '', 'redirect'],
    ['https', '', 'default/shop:80'],
  ])
  // What asks for neither comes last.
  await world.apply(HTTPRoute, attached(undefined, [prefix('/', 'shop'), prefix('/x', 'shop')]))
  assert.deepEqual(
    schemes()?.map(([scheme, path]) => `${scheme} ${path}`),
    ['undefined /x', 'http ', 'https ', 'undefined '],
  )
  assert.match(
    await refusal(
      world.client.create(HTTPRoute, {
        ...attached('https', [prefix('/', 'shop')]),
        metadata: { name: 'again', namespace: 'default' },
      }),
    ),
    /host shop\.example, any path and scheme https: HTTPRoute default\/https has it already/,
  )
})

test('callers inside get the rules for them, and for the rest those for everybody', async () => {
  await using world = await platform()
  await world.apply(Ingress, ingress('app.example', 'default'))
  await world.apply(CoreService, service('public'), service('admin'))
  const hostnames = ['app.example']
  await world.apply(
    HTTPRoute,
    httpRoute('public', { hostnames, rules: [prefix('/x', 'public')] }),
    httpRoute('inside', {
      parentRefs: [{ name: 'knative-local-gateway', namespace: 'knative-serving' }],
      hostnames,
      rules: [prefix('/admin', 'admin')],
    }),
  )
  assert.deepEqual(world.paths('app.example'), [
    ['ExternalIP', '/x default/public:80'],
    ['ExternalIP', ' default/app-00001'],
    ['ClusterLocal', '/admin default/admin:80'],
    ['ClusterLocal', '/x default/public:80'],
    ['ClusterLocal', ' default/app-00001'],
  ])
})

test('an HTTPS listener shows the certificate of its Secret, and says what is wrong with it', async () => {
  await using world = await platform()
  const named: string[] = []
  using _certificates = gatewayCertificates(world.source, {
    name: (user, wanted) =>
      void named.push(
        `${user}: ${[...wanted].map(([secret, hosts]) => `${secret} ${hosts.join()}`).join()}`,
      ),
  })
  const key = { namespace: 'default', name: 'shop' }
  const listener = (name: string, port: number, more: object) => ({
    name,
    port,
    protocol: 'HTTPS',
    ...more,
  })
  await world.apply(Gateway, {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: key,
    spec: {
      gatewayClassName: 'ebb',
      listeners: [
        listener('own', 443, { tls: { certificateRefs: [{ name: 'pair' }] } }),
        listener('foreign', 444, {
          hostname: 'b.example',
          tls: { certificateRefs: [{ name: 'pair', namespace: 'other' }] },
        }),
        listener('none', 445, {}),
        listener('raw', 446, { tls: { mode: 'Passthrough' } }),
      ],
    },
  })
  const said = async () => {
    const { status } = await world.client.get(Gateway, key)
    const find = (
      conditions: readonly { type: string; status: string; reason: string }[] = [],
      type: string,
    ) => {
      const found = conditions.find((one) => one.type === type)
      return `${found?.status} ${found?.reason}`
    }
    return [
      find(status?.conditions, 'Programmed'),
      ...(status?.listeners ?? []).map(
        ({ conditions }) =>
          `${find(conditions, 'Programmed')}, ${find(conditions, 'ResolvedRefs')}`,
      ),
    ]
  }
  assert.deepEqual(await said(), [
    'False Invalid',
    'False Invalid, False InvalidCertificateRef',
    'False Invalid, False RefNotPermitted',
    'False Invalid, False InvalidCertificateRef',
    'False Invalid, False InvalidCertificateRef',
  ])
  assert.equal(named.at(-1), 'Gateway default/shop: ')
  const pair = await issue({
    subject: 'CN=test',
    hosts: ['a.example', '*.a.example'],
    notBefore: new Date(0),
    notAfter: new Date(world.clock.now() + 60_000),
  })
  const encode = (text: string) => Buffer.from(text).toString('base64')
  const secret = (namespace: string): Secret => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'pair', namespace },
    data: { 'tls.crt': encode(pair.cert), 'tls.key': encode(pair.key) },
  })
  await world.apply(Secret, secret('default'), secret('other'))
  assert.equal(named.at(-1), 'Gateway default/shop: default/pair a.example,*.a.example')
  assert.deepEqual((await said()).slice(0, 3), [
    'True Programmed',
    'True Programmed, True ResolvedRefs',
    'False Invalid, False RefNotPermitted',
  ])
  await world.apply(ReferenceGrant, {
    apiVersion: 'gateway.networking.k8s.io/v1beta1',
    kind: 'ReferenceGrant',
    metadata: { name: 'g', namespace: 'other' },
    spec: {
      from: [{ group: 'gateway.networking.k8s.io', kind: 'Gateway', namespace: 'default' }],
      to: [{ group: '', kind: 'Secret' }],
    },
  })
  assert.equal(
    named.at(-1),
    'Gateway default/shop: default/pair a.example,*.a.example,other/pair b.example',
  )
  assert.equal((await said())[2], 'True Programmed, True ResolvedRefs')
  await world.clock.advance(61_000)
  assert.equal((await said())[1], 'True Programmed, False InvalidCertificateRef')
  await world.client.delete(Gateway, key)
  await settle()
  assert.equal(named.at(-1), 'Gateway default/shop: ')
})
