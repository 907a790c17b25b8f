/** The serving controllers together with Kubernetes' own, in memory and in simulated time: objects in, objects out. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigMap } from '../../kube/api/config-map.ts'
import { Deployment } from '../../kube/api/deployment.ts'
import { Event } from '../../kube/api/event.ts'
import { coreKinds } from '../../kube/api/kinds.ts'
import type { Kind, KindDefinition } from '../../kube/api/kind.ts'
import { keyOf, type KubeObject, type ObjectKey } from '../../kube/api/meta.ts'
import { Namespace } from '../../kube/api/namespace.ts'
import { Node } from '../../kube/api/node.ts'
import { Pod } from '../../kube/api/pod.ts'
import { Service as CoreService } from '../../kube/api/service.ts'
import { startKubeControllers } from '../../kube/controllers/controllers.ts'
import { StatusError } from '../../kube/api/status-error.ts'
import type { Client } from '../../kube/client/client.ts'
import { seededRandom, type Random } from '../../lib/random.ts'
import { conditionOf } from '../../knative/conditions.ts'
import { aNode } from '../../testing/kube-objects.ts'
import { inMemoryPlatform } from '../../testing/platform.ts'
import { aService, startFakeKubelet, type PodFate } from '../../testing/serving.ts'
import { SimClock } from '../../testing/sim-clock.ts'
import { createAutoscaler } from '../autoscaler/autoscaler.ts'
import { Configuration } from '../api/configuration.ts'
import { Ingress } from '../api/ingress.ts'
import { servingKinds } from '../api/kinds.ts'
import { PodAutoscaler } from '../api/pod-autoscaler.ts'
import { Revision } from '../api/revision.ts'
import { Route } from '../api/route.ts'
import { Service } from '../api/service.ts'
import { startServingControllers } from './controllers.ts'
import type { GatewayLink } from './ingress/feed-client.ts'
import { installServing } from './install.ts'

const hello = (name: string): ObjectKey => ({ namespace: 'default', name })

/**
 * A client whose writes go wrong now and then: refused, in conflict, or done without the answer arriving. `calm` ends it.
 */
function flaky(client: Client, random: Random): Client & { calm(): void } {
  let risk = 0.3
  const write = async <R>(name: string, run: () => Promise<R>): Promise<R> => {
    const dice = random.next()
    if (dice < risk / 3) throw new StatusError('InternalError', `${name}: the server is tired`)
    if (dice < (risk * 2) / 3) throw new StatusError('Conflict', `${name}: somebody was quicker`)
    const result = await run()
    if (dice < risk) throw new StatusError('Timeout', `${name}: no answer`)
    return result
  }
  return {
    get: (kind, key) => client.get(kind, key),
    list: (kind, namespace, options) => client.list(kind, namespace, options),
    watch: (kind, namespace, options, signal) => client.watch(kind, namespace, options, signal),
    create: (kind, object) => write('create', () => client.create(kind, object)),
    update: (kind, object) => write('update', () => client.update(kind, object)),
    updateStatus: (kind, object) => write('status', () => client.updateStatus(kind, object)),
    patch: (kind, key, patch) => write('patch', () => client.patch(kind, key, patch)),
    delete: (kind, key, options) => write('delete', () => client.delete(kind, key, options)),
    calm: () => {
      risk = 0
    },
  }
}

interface Options {
  /** Makes the controllers' writes go wrong, by chance. */
  readonly seed?: number
  readonly fateOf?: (pod: Pod) => PodFate
  readonly resolveDigest?: (image: string) => Promise<string>
}

async function startWorld({ fateOf, resolveDigest, seed }: Options = {}) {
  const clock = new SimClock()
  await using stack = new AsyncDisposableStack()
  const kinds = [...coreKinds, ...servingKinds] as readonly KindDefinition[]
  const platform = stack.use(inMemoryPlatform({ kinds, clock }))
  const { client } = platform
  for (const name of ['default', 'kube-system'])
    await client
      .create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } })
      .catch(() => {})
  await client.create(Node, aNode('ebb'))
  await installServing(client, {
    domain: 'localhost',
    domainPort: 8080,
    gateway: { host: '127.0.0.1', port: 8080 },
  })
  stack.use(startKubeControllers({ ...platform, kinds }))
  stack.use(startFakeKubelet(platform, fateOf))
  let decided = (_key: ObjectKey) => {}
  const autoscaler = createAutoscaler({
    clock,
    onDecision: (key) => {
      const [namespace = '', name = ''] = key.split('/')
      decided({ namespace, name })
    },
  })
  autoscaler.setConnected(true)
  stack.use(autoscaler.start())
  const noop = () => ({ [Symbol.dispose]: () => {} })
  const link: GatewayLink = {
    connected: true,
    hello: undefined,
    acknowledged: () => true,
    onAcknowledged: noop,
    onStats: noop,
    onWake: noop,
    onCold: noop,
    onCertificateWanted: noop,
    onConnected: noop,
    drain: () => Promise.resolve(),
    stop: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
  const troubled = seed === undefined ? undefined : flaky(client, seededRandom(seed))
  const controllers = stack.use(
    startServingControllers({
      ...platform,
      ...(troubled && { client: troubled }),
      autoscaler,
      link,
      gatewayReady: () => true,
      gateway: { host: '127.0.0.1', port: 8080 },
      resolveDigest: resolveDigest ?? ((image) => Promise.resolve(`${image}@sha256:12`)),
    }),
  )
  decided = controllers.decided
  const kept = stack.move()
  const get = <T extends KubeObject>(kind: Kind<T>, name: string) => client.get(kind, hello(name))
  return {
    clock,
    client,
    store: platform.store,
    autoscaler,
    get,
    calm: () => troubled?.calm(),
    /** Replaces the spec by what `change` makes of it. */
    edit: async (name: string, change: (service: Service) => Service) => {
      await client.update(Service, change(await get(Service, name)))
      await clock.advance(200)
    },
    /** Everything that is stored, by kind and name, with its revision. Events come and go. */
    versions: async () => {
      const found: Record<string, string | undefined> = {}
      for (const kind of kinds) {
        if (kind.kind === 'Event') continue
        for (const { metadata } of (await client.list(kind, '')).items)
          found[`${kind.kind} ${metadata.namespace ?? ''}/${metadata.name}`] =
            metadata.resourceVersion
      }
      return found
    },
    /** Lets everything happen that needs no time, or a little. */
    settle: () => clock.advance(200),
    pods: async () =>
      (await client.list(Pod, 'default')).items.filter(
        ({ metadata }) => !metadata.deletionTimestamp,
      ),
    ready: async (kind: Kind<Service> | Kind<Route> | Kind<Revision>, name: string) =>
      conditionOf((await get(kind as Kind<Service>, name)).status, 'Ready'),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}

test('a Service becomes ready without waiting for any timer', async () => {
  await using world = await startWorld()
  await world.client.create(Service, aService('hello'))
  await world.clock.advance(0)
  for (let i = 0; i < 50; i++) await world.clock.advance(0)
  const service = await world.get(Service, 'hello')
  assert.deepEqual(
    service.status?.conditions?.map(({ type, status, reason }) => [type, status, reason]),
    [
      ['ConfigurationsReady', 'True', undefined],
      ['Ready', 'True', undefined],
      ['RoutesReady', 'True', undefined],
    ],
  )
  assert.equal(service.status?.observedGeneration, 1)
  assert.equal(service.status?.url, 'http://hello.default.localhost:8080')
  assert.equal(service.status?.domain, 'hello.default.localhost')
  assert.deepEqual(service.status?.address, { url: 'http://hello.default.svc.cluster.local' })
  assert.deepEqual(service.status?.traffic, [
    { latestRevision: true, percent: 100, revisionName: 'hello-00001' },
  ])
  assert.equal(service.status?.latestReadyRevisionName, 'hello-00001')
  const revision = await world.get(Revision, 'hello-00001')
  assert.deepEqual(
    revision.status?.conditions?.map(({ type, status, severity }) => [type, status, severity]),
    [
      ['Active', 'True', 'Info'],
      ['ContainerHealthy', 'True', undefined],
      ['Ready', 'True', undefined],
      ['ResourcesAvailable', 'True', undefined],
    ],
  )
  assert.equal(revision.metadata.labels?.['serving.knative.dev/routingState'], 'active')
  assert.equal(revision.metadata.annotations?.['serving.knative.dev/routes'], 'hello')
  assert.deepEqual((await world.get(Route, 'hello')).metadata.finalizers, [
    'routes.serving.knative.dev',
  ])
})

test('a new template makes a new revision, and the traffic moves to it', async () => {
  await using world = await startWorld()
  await world.client.create(Service, aService('hello'))
  await world.settle()
  const service = await world.get(Service, 'hello')
  await world.client.update(Service, {
    ...service,
    spec: { ...service.spec, template: aService('hello', { image: 'app:2' }).spec.template },
  })
  await world.settle()
  const { status } = await world.get(Service, 'hello')
  assert.equal(conditionOf(status, 'Ready')?.status, 'True')
  assert.deepEqual(status?.traffic, [
    { latestRevision: true, percent: 100, revisionName: 'hello-00002' },
  ])
  const old = await world.get(Revision, 'hello-00001')
  assert.equal(old.metadata.labels?.['serving.knative.dev/routingState'], 'reserve')
  assert.equal(old.metadata.annotations?.['serving.knative.dev/routes'], undefined)
})

test('tags have hosts of their own, also with no share, and go with their Services', async () => {
  await using world = await startWorld()
  await world.client.create(Service, aService('hello', { annotations: { round: '1' } }))
  await world.settle()
  await world.edit('hello', (service) => ({
    ...service,
    spec: {
      template: aService('hello', { annotations: { round: '2' } }).spec.template,
      traffic: [
        { revisionName: 'hello-00001', percent: 80, tag: 'current' },
        { revisionName: 'hello-00002', percent: 20, tag: 'candidate' },
        { latestRevision: true, percent: 0, tag: 'latest' },
      ],
    },
  }))
  const { status } = await world.get(Service, 'hello')
  assert.equal(conditionOf(status, 'Ready')?.status, 'True')
  assert.deepEqual(
    status?.traffic?.map(({ tag, percent, url }) => [tag, percent, url]),
    [
      ['current', 80, 'http://current-hello.default.localhost:8080'],
      ['candidate', 20, 'http://candidate-hello.default.localhost:8080'],
      ['latest', 0, 'http://latest-hello.default.localhost:8080'],
    ],
  )
  const splits = async () =>
    Object.fromEntries(
      ((await world.get(Ingress, 'hello')).spec.rules ?? [])
        .filter(({ visibility }) => visibility === 'ExternalIP')
        .map(({ hosts, http }) => [
          hosts?.[0],
          http?.paths[0]?.splits.map(({ serviceName, percent }) => `${serviceName} ${percent}`),
        ]),
    )
  assert.deepEqual(await splits(), {
    'hello.default.localhost': ['hello-00001 80', 'hello-00002 20'],
    'candidate-hello.default.localhost': ['hello-00002 100'],
    'current-hello.default.localhost': ['hello-00001 100'],
    'latest-hello.default.localhost': ['hello-00002 100'],
  })
  const services = async () =>
    (await world.client.list(CoreService, 'default')).items
      .map(({ metadata }) => metadata.name)
      .filter((name) => name.endsWith('-hello'))
  assert.deepEqual(await services(), ['candidate-hello', 'current-hello', 'latest-hello'])

  await world.edit('hello', (service) => ({
    ...service,
    spec: { template: service.spec.template },
  }))
  assert.deepEqual(await services(), [])
  assert.deepEqual(Object.keys(await splits()), ['hello.default.localhost'])
})

test('with a rollout duration the traffic moves step by step, and Ready waits for its end', async () => {
  await using world = await startWorld()
  const annotations = { 'serving.knative.dev/rollout-duration': '20s' }
  await world.client.create(Service, aService('hello', { metadata: { annotations } }))
  await world.settle()
  await world.edit('hello', (service) => ({
    ...service,
    spec: { ...service.spec, template: aService('hello', { image: 'app:2' }).spec.template },
  }))
  const shares = async () =>
    ((await world.get(Service, 'hello')).status?.traffic ?? []).map(
      ({ revisionName, percent }) => `${revisionName} ${percent}`,
    )
  assert.deepEqual(await shares(), ['hello-00001 99', 'hello-00002 1'])
  assert.equal((await world.ready(Service, 'hello'))?.reason, 'RolloutInProgress')
  const seen = new Set<string>()
  for (let i = 0; i < 60 && (await world.ready(Service, 'hello'))?.status !== 'True'; i++) {
    await world.clock.advance(500)
    seen.add((await shares()).at(-1) ?? '')
  }
  assert.deepEqual(await shares(), ['hello-00002 100'])
  assert.equal((await world.ready(Service, 'hello'))?.status, 'True')
  assert.ok(seen.size > 15, [...seen].join())
})

test('a revision name can be used again for what it was, and for nothing else', async () => {
  await using world = await startWorld()
  const named = (image: string, revisionName: string) =>
    aService('hello', { image, revisionName }).spec.template
  await world.client.create(Service, aService('hello', { image: 'app:1', revisionName: 'hello-a' }))
  await world.settle()
  const use = (image: string, name: string) =>
    world.edit('hello', (service) => ({
      ...service,
      spec: { ...service.spec, template: named(image, name) },
    }))
  await use('app:2', 'hello-b')
  const traffic = async () => (await world.get(Service, 'hello')).status?.traffic?.[0]?.revisionName
  assert.equal(await traffic(), 'hello-b')
  await use('app:1', 'hello-a')
  assert.equal(await traffic(), 'hello-a')
  assert.equal((await world.ready(Service, 'hello'))?.status, 'True')
  await use('app:3', 'hello-b')
  assert.equal(await traffic(), 'hello-a')
  const { status } = await world.get(Service, 'hello')
  assert.equal(conditionOf(status, 'RoutesReady')?.reason, 'RevisionNameTaken')
  assert.equal(
    conditionOf(status, 'ConfigurationsReady')?.message,
    'Revision creation failed with message: revisions.serving.knative.dev "hello-b" already exists.',
  )
})

test('config-domain and the visibility label count at once', async () => {
  await using world = await startWorld()
  await world.client.create(Service, aService('hello'))
  await world.settle()
  await world.client.patch(
    ConfigMap,
    { namespace: 'knative-serving', name: 'config-domain' },
    { type: 'merge', body: { data: { 'example.com': '' } } },
  )
  await world.settle()
  const url = async () => (await world.get(Service, 'hello')).status?.url
  assert.equal(await url(), 'http://hello.default.example.com')
  await world.edit('hello', (service) => ({
    ...service,
    metadata: {
      ...service.metadata,
      labels: { 'networking.knative.dev/visibility': 'cluster-local' },
    },
  }))
  assert.equal(await url(), 'http://hello.default.svc.cluster.local')
  const rules = (await world.get(Ingress, 'hello')).spec.rules
  assert.deepEqual(
    rules?.map(({ visibility }) => visibility),
    ['ClusterLocal'],
  )
})

test('min-scale pods must all be ready before a revision is, and stay', async () => {
  let held = true
  await using world = await startWorld({
    fateOf: (pod) =>
      held && pod.metadata.name > 'hello-00001-deployment-'
        ? { kind: 'waits', reason: 'ContainerCreating', message: '' }
        : { kind: 'ready' },
  })
  const annotations = {
    'autoscaling.knative.dev/min-scale': '3',
    'autoscaling.knative.dev/initial-scale': '2',
  }
  await world.client.create(Service, aService('hello', { annotations }))
  await world.settle()
  assert.equal((await world.pods()).length, 3)
  assert.equal((await world.ready(Service, 'hello'))?.status, 'Unknown')
  held = false
  for (const pod of await world.pods())
    await world.client.delete(Pod, hello(pod.metadata.name), { gracePeriodSeconds: 0 })
  await world.settle()
  assert.equal((await world.ready(Service, 'hello'))?.status, 'True')
  await world.clock.advance(300_000)
  assert.equal((await world.pods()).length, 3)
})

test('reconciling everything again changes nothing', async () => {
  await using world = await startWorld()
  await world.client.create(Service, aService('hello'))
  await world.client.create(
    Service,
    aService('tagged', { traffic: [{ latestRevision: true, percent: 100, tag: 'live' }] }),
  )
  await world.clock.advance(300_000)
  const before = await world.versions()
  // All objects are looked at again after ten hours.
  await world.clock.advance(12 * 3_600_000)
  assert.deepEqual(await world.versions(), before)
})

/** What must be the same however one got there: everything but identities, versions and times. */
function essence(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(essence)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(
        ([key]) =>
          !/uid$|resourceVersion|Timestamp|Time$|^generation$|observedGeneration|managedFields|routingStateModified|hash|clusterIP/i.test(
            key,
          ),
      )
      .map(([key, field]) => [key, essence(field)]),
  )
}

test('whatever goes wrong on the way, the end is the same', async () => {
  const story = async (seed?: number) => {
    await using world = await startWorld(seed === undefined ? {} : { seed })
    await world.client.create(Service, aService('hello'))
    await world.clock.advance(20)
    await world.client.create(Service, aService('other'))
    await world.clock.advance(5_000)
    const hello = await world.get(Service, 'hello')
    await world.client.patch(Service, keyOf(hello), {
      type: 'merge',
      body: {
        spec: {
          template: aService('hello', { image: 'app:2' }).spec.template,
          traffic: [
            { revisionName: 'hello-00001', percent: 60, tag: 'old' },
            { latestRevision: true, percent: 40 },
          ],
        },
      },
    })
    await world.client.delete(Service, { namespace: 'default', name: 'other' })
    await world.clock.advance(5_000)
    world.calm()
    await world.clock.advance(1_200_000)
    const kinds = [...servingKinds, CoreService] as readonly Kind[]
    const lists = await Promise.all(kinds.map((kind) => world.client.list(kind, 'default')))
    const deployments = (await world.client.list(Deployment, 'default')).items
    return [
      ...lists.flatMap(({ items }) => items.map(essence)),
      ...deployments.map(({ metadata, spec }) => essence({ metadata, spec })),
    ]
  }
  const calm = await story()
  assert.ok(calm.length > 20, String(calm.length))
  for (const seed of [1, 2, 3, 4]) assert.deepEqual(await story(seed), calm, `SEED=${seed}`)
})

test('an image that cannot be found shows up the whole way, in the documented words', async () => {
  await using world = await startWorld({
    resolveDigest: () => Promise.reject(new Error('manifest unknown')),
  })
  await world.client.create(Service, aService('hello', { image: 'x/none' }))
  await world.settle()
  const why = 'Unable to fetch image "x/none": failed to resolve image to digest: manifest unknown'
  const told = async <T extends KubeObject & { readonly status?: object }>(
    kind: Kind<T>,
    name: string,
    type: string,
  ) => {
    const { status, reason, message } =
      conditionOf((await world.get(kind, name)).status, type) ?? {}
    return { status, reason, message }
  }
  assert.deepEqual(await told(Revision, 'hello-00001', 'ContainerHealthy'), {
    status: 'False',
    reason: 'ContainerMissing',
    message: why,
  })
  const failed = {
    status: 'False',
    reason: 'RevisionFailed',
    message: `Revision "hello-00001" failed with message: ${why}.`,
  }
  assert.deepEqual(await told(Configuration, 'hello', 'Ready'), failed)
  assert.deepEqual(await told(Service, 'hello', 'ConfigurationsReady'), failed)
  const missing = {
    status: 'False',
    reason: 'RevisionMissing',
    message: 'Configuration "hello" does not have any ready Revision.',
  }
  assert.deepEqual(await told(Route, 'hello', 'AllTrafficAssigned'), missing)
  assert.deepEqual(await told(Service, 'hello', 'Ready'), missing)
})

test('a program that ends at once fails its revision with the exit code, and the old one keeps the traffic', async () => {
  await using world = await startWorld({
    fateOf: (pod) =>
      pod.spec.containers[0]?.image?.startsWith('bad')
        ? { kind: 'exits', exitCode: 3, message: 'no such file' }
        : { kind: 'ready' },
  })
  await world.client.create(Service, aService('hello'))
  await world.settle()
  const service = await world.get(Service, 'hello')
  await world.client.update(Service, {
    ...service,
    spec: { ...service.spec, template: aService('hello', { image: 'bad:1' }).spec.template },
  })
  await world.settle()
  const healthy = conditionOf((await world.get(Revision, 'hello-00002')).status, 'ContainerHealthy')
  assert.equal(healthy?.reason, 'ExitCode3')
  assert.equal(healthy?.message, 'Container failed with: no such file')
  const { status } = await world.get(Service, 'hello')
  assert.equal(conditionOf(status, 'Ready')?.reason, 'RevisionFailed')
  assert.equal(conditionOf(status, 'RoutesReady')?.status, 'True')
  assert.equal(status?.traffic?.[0]?.revisionName, 'hello-00001')
  assert.equal(status?.latestCreatedRevisionName, 'hello-00002')
  assert.equal(status?.latestReadyRevisionName, 'hello-00001')
})

test('silence takes a revision to zero and leaves it ready; a request wakes it', async () => {
  await using world = await startWorld()
  const revision = 'default/hello-00001'
  await world.client.create(Service, aService('hello'))
  await world.settle()
  const load = async (seconds: number, concurrency: number) => {
    for (let i = 0; i < seconds; i++) {
      world.autoscaler.record([{ revision, concurrency, requestCount: concurrency, seconds: 1 }])
      await world.clock.advance(1000)
    }
  }
  await load(5, 1)
  assert.equal((await world.pods()).length, 1)
  await world.clock.advance(100_000)
  assert.deepEqual(await world.pods(), [])
  const { status } = await world.get(Revision, 'hello-00001')
  assert.equal(conditionOf(status, 'Ready')?.status, 'True')
  assert.equal(conditionOf(status, 'Active')?.reason, 'NoTraffic')
  assert.equal(status?.actualReplicas, 0)
  assert.equal((await world.ready(Service, 'hello'))?.status, 'True')

  const written: Record<string, number> = {}
  using _count = world.store.subscribe(({ object }) => {
    written[object.kind ?? ''] = (written[object.kind ?? ''] ?? 0) + 1
  })
  world.autoscaler.wake(revision)
  for (let i = 0; i < 20; i++) await world.clock.advance(0)
  assert.equal((await world.pods()).length, 1)
  const awake = await world.get(Revision, 'hello-00001')
  assert.equal(conditionOf(awake.status, 'Active')?.status, 'True')
  assert.equal(awake.status?.actualReplicas, 1)
  // Each write of a cold start takes time from the program that starts: none that the next one says again.
  const most = { Deployment: 2, ReplicaSet: 3, Pod: 3, Endpoints: 1, PodAutoscaler: 2, Revision: 2 }
  for (const [kind, times] of Object.entries(most))
    assert.ok((written[kind] ?? 0) <= times, `${kind} was written ${written[kind]} times`)
})

test('deleting a Service leaves nothing behind', async () => {
  await using world = await startWorld()
  await world.client.create(Service, aService('hello'))
  await world.settle()
  await world.client.delete(Service, hello('hello'))
  await world.clock.advance(5_000)
  for (const kind of [Service, Configuration, Route, Revision, Ingress, PodAutoscaler, Deployment])
    assert.deepEqual((await world.client.list(kind as Kind, 'default')).items, [], kind.kind)
})

test('the events are those people look for', async () => {
  await using world = await startWorld()
  await world.client.create(Service, aService('hello'))
  await world.clock.advance(5_000)
  const events = (await world.client.list(Event, 'default')).items.map(
    ({ involvedObject, reason, message }) => `${involvedObject.kind} ${reason} ${message}`,
  )
  for (const wanted of [
    'Service Created Created Configuration "hello"',
    'Service Created Created Route "hello"',
    'Configuration Created Created Revision "hello-00001"',
    'Configuration ConfigurationReady Configuration becomes ready',
    'Configuration LatestReadyUpdate LatestReadyRevisionName updated to "hello-00001"',
    'Revision RevisionReady Revision becomes ready upon all resources being ready',
    'Route FinalizerUpdate Updated "hello" finalizers',
    'Route Created Created placeholder service "hello"',
    'Route Created Created Ingress "hello"',
  ])
    assert.ok(events.includes(wanted), `${wanted}\n${events.join('\n')}`)
  assert.deepEqual(
    events.filter((event) => /InternalError|Failed/.test(event)),
    [],
  )
})
