/** The controllers of Eventing together, in memory and in simulated time, with an engine that takes everything. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parseAllDocuments } from 'yaml'
import { ConfigMap } from '../../kube/api/config-map.ts'
import type { Kind, KindDefinition } from '../../kube/api/kind.ts'
import type { KubeObject, ObjectKey } from '../../kube/api/meta.ts'
import { Service as CoreService } from '../../kube/api/service.ts'
import { StatusError } from '../../kube/api/status-error.ts'
import { conditionOf } from '../../knative/conditions.ts'
import { Broker } from '../api/eventing/broker.ts'
import { EventPolicy } from '../api/eventing/event-policy.ts'
import { EventType } from '../api/eventing/event-type.ts'
import { InMemoryChannel } from '../api/messaging/in-memory-channel.ts'
import { Parallel } from '../api/flows/parallel.ts'
import { PingSource } from '../api/sources/ping-source.ts'
import { Sequence } from '../api/flows/sequence.ts'
import { Subscription } from '../api/messaging/subscription.ts'
import { Trigger } from '../api/eventing/trigger.ts'
import { engineConfig } from './engine/engine-config.ts'
import { wantedEventTypes } from './eventing/auto-create.ts'
import { broker, kinds, service, start, toService, willing } from './world.fixture.ts'

test('a Sequence: a channel and a Subscription a step, one leading into the next', async () => {
  await using world = await start()
  for (const name of ['first', 'second', 'last']) await world.create(service(name))
  await world.create({
    apiVersion: 'flows.knative.dev/v1',
    kind: 'Sequence',
    metadata: { name: 's' },
    spec: {
      steps: [{ ...toService('first'), delivery: { retry: 3 } }, toService('second')],
      reply: toService('last'),
    },
  })
  await world.settle()
  const { status } = await world.client.get(Sequence, world.key('s'))
  await world.isReady(Sequence, 's')
  assert.deepEqual(status?.address, {
    url: 'http://s-kn-sequence-0-kn-channel.default.svc.cluster.local',
  })
  assert.deepEqual(
    status?.channelStatuses?.map(({ channel }) => channel?.name),
    ['s-kn-sequence-0', 's-kn-sequence-1'],
  )
  const { items } = await world.client.list(Subscription, 'default')
  assert.deepEqual(
    items.map(({ metadata, spec, status: own }) => [
      metadata.name,
      spec.channel?.name,
      own?.physicalSubscription?.subscriberUri,
      own?.physicalSubscription?.replyUri,
      spec.delivery?.retry,
    ]),
    [
      [
        's-kn-sequence-0',
        's-kn-sequence-0',
        'http://first.default.svc.cluster.local',
        'http://s-kn-sequence-1-kn-channel.default.svc.cluster.local',
        3,
      ],
      [
        's-kn-sequence-1',
        's-kn-sequence-1',
        'http://second.default.svc.cluster.local',
        'http://last.default.svc.cluster.local',
        undefined,
      ],
    ],
  )
  // A step less: what is over goes.
  await world.client.patch(Sequence, world.key('s'), {
    type: 'merge',
    body: { spec: { steps: [toService('second')] } },
  })
  await world.settle()
  const left = await world.client.list(InMemoryChannel, 'default')
  assert.deepEqual(
    left.items.map(({ metadata }) => metadata.name),
    ['s-kn-sequence-0'],
  )
  const subscriptions = await world.client.list(Subscription, 'default')
  assert.equal(subscriptions.items.length, 1)
  assert.deepEqual(subscriptions.items[0]?.spec.subscriber?.ref?.name, 'second')
  await world.isReady(Sequence, 's')
})

test('a Parallel: filters answer into the channels of their branches', async () => {
  await using world = await start()
  for (const name of ['even', 'a', 'b', 'end']) await world.create(service(name))
  await world.create({
    apiVersion: 'flows.knative.dev/v1',
    kind: 'Parallel',
    metadata: { name: 'p' },
    spec: {
      branches: [
        { filter: toService('even'), subscriber: toService('a') },
        { subscriber: toService('b'), reply: toService('a') },
      ],
      reply: toService('end'),
    },
  })
  await world.settle()
  await world.isReady(Parallel, 'p')
  const { status } = await world.client.get(Parallel, world.key('p'))
  assert.deepEqual(status?.address, {
    url: 'http://p-kn-parallel-kn-channel.default.svc.cluster.local',
  })
  const host = (name: string) => `http://${name}.default.svc.cluster.local`
  const { items } = await world.client.list(Subscription, 'default')
  assert.deepEqual(
    items.map(({ metadata, spec, status: own }) => [
      metadata.name,
      spec.channel?.name,
      own?.physicalSubscription?.subscriberUri,
      own?.physicalSubscription?.replyUri,
    ]),
    [
      ['p-kn-parallel-0', 'p-kn-parallel-0', host('a'), host('end')],
      ['p-kn-parallel-1', 'p-kn-parallel-1', host('b'), host('a')],
      ['p-kn-parallel-filter-0', 'p-kn-parallel', host('even'), host('p-kn-parallel-0-kn-channel')],
      ['p-kn-parallel-filter-1', 'p-kn-parallel', host('p-kn-parallel-1-kn-channel'), undefined],
    ],
  )
})

test('a flow whose channels nobody serves says so', async () => {
  await using world = await start()
  const channelTemplate = { apiVersion: 'messaging.knative.dev/v1beta1', kind: 'KafkaChannel' }
  await world.create({
    apiVersion: 'flows.knative.dev/v1',
    kind: 'Sequence',
    metadata: { name: 's' },
    spec: { channelTemplate, steps: [{ uri: 'http://a.example' }] },
  })
  await world.settle()
  const ready = await world.ready(Sequence, 's')
  assert.equal(ready?.reason, 'ChannelsNotReady')
  assert.match(ready?.message ?? '', /no channel kind KafkaChannel/)
})

test('a Sequence says which subscribers are missing', async () => {
  await using world = await start()
  const step = (name: string) => ({
    ref: { apiVersion: 'serving.knative.dev/v1', kind: 'Service', name },
  })
  await world.create({
    apiVersion: 'flows.knative.dev/v1',
    kind: 'Sequence',
    metadata: { name: 's' },
    spec: { steps: ['a', 'b', 'c', 'd', 'e'].map(step) },
  })
  await world.settle()
  const ready = await world.ready(Sequence, 's')
  assert.match(
    ready?.message ?? '',
    /^Subscriptions are not ready yet, or there are none; .*default\/a: .*"a" not found; .*"b" not found; .*"c" not found; 2 more$/,
  )
})

test('a Broker of 2019: its template is a ConfigMap, its old address leads to it', async () => {
  await using world = await start()
  const template = { apiVersion: 'messaging.knative.dev/v1alpha1', kind: 'InMemoryChannel' }
  const { warnings } = await world.create({
    apiVersion: 'eventing.knative.dev/v1alpha1',
    kind: 'Broker',
    metadata: {
      name: 'b',
      annotations: { 'eventing.knative.dev/broker.class': 'ChannelBasedBroker' },
    },
    spec: { channelTemplateSpec: template },
  })
  assert.deepEqual(warnings, [
    'eventing.knative.dev/v1alpha1 Broker is deprecated; use eventing.knative.dev/v1 Broker',
  ])
  await world.settle()
  await world.isReady(Broker, 'b')
  const config = await world.client.get(ConfigMap, world.key('b-legacy-config'))
  assert.match(config.data?.['channel-template-spec'] ?? '', /kind: InMemoryChannel/)
  const { spec } = await world.client.get(CoreService, world.key('b-broker'))
  assert.equal(spec.externalName, 'broker-ingress.knative-eventing.svc.cluster.local')
  const old = await world.get(Broker as unknown as KindDefinition, 'v1alpha1', 'b')
  assert.deepEqual(old.spec['channelTemplateSpec'], template)
  assert.equal(old.spec['config'], undefined)
  assert.deepEqual(old.status?.['address'], {
    name: 'http',
    url: 'http://broker-ingress.knative-eventing.svc.cluster.local/default/b',
    hostname: 'broker-ingress.knative-eventing.svc.cluster.local',
  })
})

test('a Broker whose configuration is missing, and comes', async () => {
  await using world = await start()
  const config = { apiVersion: 'v1', kind: 'ConfigMap', name: 'mine' }
  await world.create(broker('b', { spec: { config } }))
  await world.create(broker('odd', { spec: { config: { ...config, kind: 'Secret' } } }))
  await world.settle()
  const ready = await world.ready(Broker, 'b')
  assert.deepEqual(
    [ready?.status, ready?.reason, ready?.message],
    [
      'False',
      'ChannelTemplateFailed',
      'Error on setting up the ChannelTemplate: configmap "mine" not found in namespace default',
    ],
  )
  assert.equal((await world.ready(Broker, 'odd'))?.reason, 'ChannelTemplateFailed')
  await world.create({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'mine' },
    data: { channelTemplateSpec: 'apiVersion: messaging.knative.dev/v1\nkind: InMemoryChannel' },
  })
  await world.settle()
  await world.isReady(Broker, 'b')
})

test('a Trigger without its subscriber does not wait for the engine', async () => {
  const taken = new Set<string | undefined>()
  await using world = await start({ ...willing, serves: (uid) => taken.has(uid) })
  await world.create(broker('default'))
  const { metadata } = await world.client.get(Broker, { namespace: 'default', name: 'default' })
  taken.add(metadata.uid)
  await world.create({
    apiVersion: 'eventing.knative.dev/v1',
    kind: 'Trigger',
    metadata: { name: 't' },
    spec: {
      broker: 'default',
      subscriber: { ref: { apiVersion: 'v1', kind: 'Service', name: 'none' } },
    },
  })
  await world.settle()
  assert.equal((await world.ready(Trigger, 't'))?.reason, "Unable to get the Subscriber's URI")
  // The engine was never told of it, so it is not the one that is late.
  const { status } = await world.client.get(Trigger, { namespace: 'default', name: 't' })
  const subscribed = status?.conditions?.find(({ type }) => type === 'SubscriptionReady')
  assert.deepEqual([subscribed?.status, subscribed?.reason], ['Unknown', 'NotSubscribed'])
})

test('a Trigger keeps its place while its subscriber is away', async () => {
  let isTaken = true
  const nobody = { gateway: undefined, engine: undefined }
  const served = new Set<string>()
  const listeners = new Set<() => void>()
  await using world = await start({
    ...willing,
    serves: (uid) => served.has(uid),
    onServed(listener) {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
  })
  /** The engine is told what is wanted, until nothing changes any more. */
  const settle = async () => {
    for (let round = 0; round < 4; round++) {
      await world.settle()
      served.clear()
      for (const { uid, subscriptions } of engineConfig(world.read, nobody).channels) {
        served.add(uid)
        if (isTaken) for (const each of subscriptions) served.add(each.uid)
      }
      for (const listener of listeners) listener()
    }
    await world.settle()
  }
  const subscribed = async () => {
    const { status, metadata } = await world.client.get(Trigger, world.key('t'))
    const [channel] = engineConfig(world.read, nobody).channels
    const mine = channel?.subscriptions.find(({ uid }) => uid === metadata.uid)
    return [
      mine && (mine.subscriber?.url ?? 'waits'),
      conditionOf(status, 'SubscriptionReady')?.status,
      conditionOf(status, 'Ready')?.reason,
    ]
  }
  await world.create(broker('default'))
  await world.create({
    apiVersion: 'eventing.knative.dev/v1',
    kind: 'Trigger',
    metadata: { name: 't' },
    spec: { broker: 'default', subscriber: toService('s') },
  })
  await settle()
  const gone = "Unable to get the Subscriber's URI"
  assert.deepEqual(await subscribed(), [undefined, 'Unknown', gone])
  await world.create(service('s'))
  await settle()
  assert.deepEqual(await subscribed(), ['http://s.default.svc.cluster.local', 'True', undefined])

  await world.client.delete(CoreService, world.key('s'))
  await settle()
  assert.deepEqual(await subscribed(), ['waits', 'True', gone])
  // Also when the engine, or the whole platform, is started again meanwhile and has not been told yet.
  isTaken = false
  await settle()
  assert.deepEqual(await subscribed(), ['waits', 'Unknown', gone])
  isTaken = true
  await settle()
  assert.deepEqual(await subscribed(), ['waits', 'True', gone])
  await world.create(service('s'))
  await settle()
  assert.deepEqual(await subscribed(), ['http://s.default.svc.cluster.local', 'True', undefined])
})

test('a Trigger waits for the source that it depends on', async () => {
  await using world = await start()
  await world.create(broker('default'))
  await world.create({
    apiVersion: 'eventing.knative.dev/v1',
    kind: 'Trigger',
    metadata: {
      name: 't',
      annotations: {
        'knative.dev/dependency': JSON.stringify({
          apiVersion: 'sources.knative.dev/v1',
          kind: 'PingSource',
          name: 'ping',
        }),
      },
    },
    spec: { broker: 'default', subscriber: { uri: 'http://a.example' } },
  })
  await world.settle()
  assert.equal((await world.ready(Trigger, 't'))?.reason, 'DependencyDoesNotExist')
  await world.create({
    apiVersion: 'sources.knative.dev/v1',
    kind: 'PingSource',
    metadata: { name: 'ping' },
    spec: {
      sink: { ref: { apiVersion: 'eventing.knative.dev/v1', kind: 'Broker', name: 'default' } },
    },
  })
  await world.settle()
  await world.isReady(PingSource, 'ping')
  await world.isReady(Trigger, 't')
})

test('Brokers come by themselves where they are asked for, once', async () => {
  await using world = await start()
  const { client } = world
  const namespace = (name: string, labels: Readonly<Record<string, string>>) =>
    world.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } })
  await namespace('today', { 'eventing.knative.dev/injection': 'enabled' })
  await namespace('former', { 'knative-eventing-injection': 'enabled' })
  await namespace('not', { 'eventing.knative.dev/injection': 'disabled' })
  await namespace('selected', { team: 'a' })
  await world.create({
    apiVersion: 'eventing.knative.dev/v1alpha1',
    kind: 'Trigger',
    metadata: { name: 't', annotations: { 'knative-eventing-injection': 'enabled' } },
    spec: { subscriber: { uri: 'http://a.example' } },
  })
  await world.settle()
  const brokers = async () =>
    (await client.list(Broker, '')).items.map(
      ({ metadata }) => `${metadata.namespace}/${metadata.name}`,
    )
  assert.deepEqual((await brokers()).sort(), ['default/default', 'former/default', 'today/default'])
  const made = await client.get(Broker, { namespace: 'today', name: 'default' })
  assert.equal(made.metadata.labels?.['eventing.knative.dev/injected'], 'true')
  await client.patch(
    ConfigMap,
    { namespace: 'knative-eventing', name: 'config-sugar' },
    {
      type: 'merge',
      body: { data: { 'namespace-selector': 'matchLabels: { team: a }' } },
    },
  )
  await world.settle()
  assert.ok((await brokers()).includes('selected/default'))
})

test('an EventType says whether its reference is there', async () => {
  await using world = await start()
  const type = (name: string, spec: object) =>
    world.create({
      apiVersion: 'eventing.knative.dev/v1beta2',
      kind: 'EventType',
      metadata: { name },
      spec,
    })
  await type('free', { type: 'a' })
  await type('bound', {
    type: 'a',
    reference: { apiVersion: 'eventing.knative.dev/v1', kind: 'Broker', name: 'b' },
  })
  await type('strange', { type: 'a', reference: { apiVersion: 'x.dev/v1', kind: 'Y', name: 'b' } })
  await world.settle()
  assert.deepEqual(
    [await world.ready(EventType, 'bound'), await world.ready(EventType, 'strange')].map((each) => [
      each?.status,
      each?.reason,
    ]),
    [
      ['False', 'ResourceDoesNotExist'],
      ['Unknown', 'ReferenceGetFailed'],
    ],
  )
  await world.isReady(EventType, 'free')
  await world.create(broker('b'))
  await world.settle()
  await world.isReady(EventType, 'bound')
  const today = await world.get(EventType as unknown as KindDefinition, 'v1beta3', 'bound')
  assert.deepEqual(today.spec['attributes'], [
    { name: 'specversion', required: true },
    { name: 'id', required: true },
    { name: 'type', required: true, value: 'a' },
    { name: 'source', required: true },
  ])
})

test('what a source sends into an object is an EventType, as long as it does', async () => {
  await using world = await start()
  await world.create(broker('b'))
  const sink = { ref: { apiVersion: 'eventing.knative.dev/v1', kind: 'Broker', name: 'b' } }
  await world.create({
    apiVersion: 'sources.knative.dev/v1',
    kind: 'PingSource',
    metadata: { name: 'ping' },
    spec: { sink },
  })
  await world.settle()
  const { items } = await world.client.list(EventType, 'default')
  assert.deepEqual(
    items.map(({ spec, metadata }) => [
      spec.type,
      spec.source,
      spec.reference?.name,
      metadata.labels?.['eventing.knative.dev/sourceName'],
    ]),
    [['dev.knative.sources.ping', '/apis/v1/namespaces/default/pingsources/ping', 'b', 'ping']],
  )
  await world.client.patch(PingSource, world.key('ping'), {
    type: 'merge',
    body: { spec: { sink: { ref: null, uri: 'http://a.example' } } },
  })
  await world.settle()
  assert.deepEqual((await world.client.list(EventType, 'default')).items, [])
})

test('EventTypes of what the engine has seen', async () => {
  await using world = await start()
  await world.create(broker('b'))
  const owner = await world.client.get(Broker, world.key('b'))
  const objects = new Map<string, KubeObject>([[`Broker default/b`, owner]])
  const read = {
    get: <T extends KubeObject>(kind: Kind<T>, { namespace, name }: ObjectKey) =>
      objects.get(`${kind.kind} ${namespace}/${name}`) as T | undefined,
  }
  const types = [{ type: 'a', source: '/s', dataschema: 'http://d' }]
  const seen = [
    { kind: 'Broker' as const, namespace: 'default', name: 'b', types },
    { kind: 'Channel' as const, namespace: 'default', name: 'gone', types },
  ]
  const [first, ...others] = wantedEventTypes(seen, read)
  assert.ok(first)
  assert.deepEqual(others, [])
  const { warnings } = await world.create(first)
  assert.deepEqual(warnings, [])
  assert.match(first.metadata.name, /^et-b-[0-9a-f]{32}$/)
  objects.set(`EventType default/${first.metadata.name}`, first)
  assert.deepEqual(wantedEventTypes(seen, read), [])
  await world.settle()
  await world.isReady(EventType, first.metadata.name)
})

test('EventPolicies follow the feature that they need', async () => {
  await using world = await start()
  const policy = {
    apiVersion: 'eventing.knative.dev/v1alpha1',
    kind: 'EventPolicy',
    metadata: { name: 'p' },
    spec: { from: [{ sub: 'system:serviceaccount:default:*' }] },
  }
  await assert.rejects(world.create(policy), /oidc-authentication feature not enabled/)
  const features = { namespace: 'knative-eventing', name: 'config-features' }
  const set = (value: string) =>
    world.client.patch(ConfigMap, features, {
      type: 'merge',
      body: { data: { 'authentication-oidc': value } },
    })
  await assert.rejects(
    set('maybe'),
    (error) =>
      error instanceof StatusError &&
      error.message.includes('config.webhook.eventing.knative.dev') &&
      error.message.includes('authentication-oidc'),
  )
  await set('Enabled')
  await world.create(policy)
  await world.settle()
  await world.isReady(EventPolicy, 'p')
  const { status } = await world.client.get(EventPolicy, world.key('p'))
  assert.deepEqual(status?.from, ['system:serviceaccount:default:*'])
  await world.create(broker('b'))
  await world.settle()
  const policies = async () => {
    const object = await world.client.get(Broker, world.key('b'))
    const condition = conditionOf(object.status, 'EventPoliciesReady')
    return [condition?.status, condition?.reason ?? '', object.status?.policies?.length ?? 0]
  }
  assert.deepEqual(await policies(), ['True', '', 1])
  await world.client.delete(EventPolicy, world.key('p'))
  await world.settle()
  assert.deepEqual(await policies(), ['True', 'DefaultAuthorizationMode', 0])
  await world.create(policy)
  await set('disabled')
  await world.settle()
  assert.deepEqual(await policies(), ['True', 'OIDCDisabled', 0])
  assert.equal((await world.ready(EventPolicy, 'p'))?.reason, 'OIDCAuthenticationDisabled')
})

const book = join(import.meta.dirname, '..', '..', '..', 'test', 'book')
const folders = readdirSync(book).filter((name) => /^(18|19|2[0-6])-/.test(name))

/** Systems that those serve who have them. */
const isElsewhere = ({ apiVersion, kind }: KubeObject): boolean =>
  apiVersion.startsWith('sources.eventing.knative.dev/') &&
  !kinds.some((each) => each.kind === kind && apiVersion.startsWith(`${each.group}/`))

for (const folder of folders)
  test(`walk-through ${folder}: its manifests are taken as they are`, async () => {
    await using world = await start()
    for (const file of readdirSync(join(book, folder))) {
      // Of two forms of one object the printed one is taken.
      if (/\.(sample|corrected|branches)\.yaml$/.test(file)) continue
      // The reader is to fill in where his images are.
      const text = readFileSync(join(book, folder, file), 'utf8').replace(
        '{yourrepo}',
        'me.example',
      )
      for (const document of parseAllDocuments(text.replace('{yournamespace}', 'images'))) {
        const object = document.toJS() as KubeObject | null
        if (!object || isElsewhere(object)) continue
        const mistaken = JSON.stringify(object).includes('containerers')
        if (mistaken) await assert.rejects(world.create(object), /container/)
        else await world.create(object)
      }
    }
    await world.settle()
    const flows = await world.client.list(Sequence, '')
    const parallels = await world.client.list(Parallel, '')
    if (/-sequence-/.test(folder)) assert.ok(flows.items.length > 0)
    if (/-parallel-/.test(folder)) assert.ok(parallels.items[0]?.spec.branches?.length === 2)
  })
