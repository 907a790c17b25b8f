import assert from 'node:assert/strict'
import test from 'node:test'
import { Service as CoreService } from '../../../kube/api/service.ts'
import { controllerOf } from '../../../kube/api/meta.ts'
import { ServiceAccount } from '../../../kube/api/service-account.ts'
import type { Kind, KindDefinition } from '../../../kube/api/kind.ts'
import { conditionOf, type ConditionedObject } from '../../../knative/conditions.ts'
import { fieldsOf, listOf, partsOf } from '../../../knative/old-form.ts'
import { eventingKinds } from '../../api/kinds.ts'
import { CronJobSource, KubernetesEventSource } from '../../api/former/former-sources.ts'
import { Broker } from '../../api/eventing/broker.ts'
import { Channel } from '../../api/messaging/channel.ts'
import { Subscription } from '../../api/messaging/subscription.ts'
import { broker, service, start } from '../world.fixture.ts'
// It is loaded when the first such object comes; simulated time does not wait for the disk.
import './start.ts'

const kindOf = (group: string, name: string): Kind<ConditionedObject> => {
  const found = eventingKinds.find((each) => each.group === group && each.kind === name)
  assert.ok(found, `${name} of ${group}`)
  return found as unknown as Kind<ConditionedObject>
}

const former = (group: string, kind: string, name: string, spec: object = {}) => ({
  apiVersion: `${group}/v1alpha1`,
  kind,
  metadata: { name },
  spec,
})

const k8sTrigger = {
  eventType: 'dev.knative.k8s.event',
  resource: 'k8sevents/dev.knative.k8s.event',
  service: 'k8sevents',
  parameters: { namespace: 'watched' },
}

test('a Flow of 2018 becomes a source, a channel and a subscription', async () => {
  await using world = await start()
  await world.create(service('wanting'))
  await world.client.create(ServiceAccount, {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'feed-sa', namespace: 'default' },
  })
  const { warnings } = await world.create(
    former('flows.knative.dev', 'Flow', 'f', {
      serviceAccountName: 'feed-sa',
      trigger: k8sTrigger,
      action: { target: { apiVersion: 'v1', kind: 'Service', name: 'wanting' } },
    }),
  )
  assert.match(warnings.join(), /Flow is deprecated/)
  await world.settle()
  await world.isReady(Channel, 'f')
  await world.isReady(Subscription, 'f')
  const source = await world.client.get(KubernetesEventSource, world.key('f'))
  assert.deepEqual(
    [source.spec['namespace'], source.spec['serviceAccountName'], source.spec.sink?.ref?.name],
    ['watched', 'feed-sa', 'f'],
  )
  const flow = await world.client.get(kindOf('flows.knative.dev', 'Flow'), world.key('f'))
  const states = ['ChannelReady', 'SubscriptionReady', 'ActionTargetResolved'].map(
    (type) => conditionOf(flow.status, type)?.status,
  )
  assert.deepEqual(states, ['True', 'True', 'True'])
  // What follows the API does not run here.
  assert.equal(conditionOf(flow.status, 'FeedReady')?.status, 'Unknown')
})

test('of a source that is not built in nothing is made, and what was made goes', async () => {
  await using world = await start()
  const flows = kindOf('flows.knative.dev', 'Flow')
  const action = { targetURI: 'http://example.test/' }
  await world.create(former('flows.knative.dev', 'Flow', 'f', { trigger: k8sTrigger, action }))
  await world.settle()
  await world.isReady(Channel, 'f')
  await world.client.patch(flows, world.key('f'), {
    type: 'merge',
    body: {
      spec: { trigger: { eventType: 'pullrequest', service: 'github', resource: 'a/b' } },
    },
  })
  await world.settle()
  const ready = await world.ready(flows, 'f')
  assert.deepEqual([ready?.status, ready?.reason], ['Unknown', 'LegacyKind'])
  assert.match(ready?.message ?? '', /"pullrequest" of "github".*webhook.*Broker/)
  for (const kind of [Channel, Subscription, KubernetesEventSource])
    await assert.rejects(world.client.get(kind as Kind, world.key('f')), /not found/)
})

test('a Flow leaves a channel alone that was there before', async () => {
  await using world = await start()
  const channel = { apiVersion: 'messaging.knative.dev/v1', kind: 'Channel' }
  await world.create({ ...channel, metadata: { name: 'f' } })
  await world.settle()
  const action = { targetURI: 'http://example.test/' }
  await world.create(former('flows.knative.dev', 'Flow', 'f', { trigger: k8sTrigger, action }))
  await world.settle()
  const ready = await world.ready(kindOf('flows.knative.dev', 'Flow'), 'f')
  assert.deepEqual([ready?.status, ready?.reason], ['False', 'NameTaken'])
  assert.match(ready?.message ?? '', /there is a Channel "f".*rename/)
  await assert.rejects(world.client.get(Subscription, world.key('f')), /not found/)
})

test('Feed and Bind of 2018: the sink is what they name', async () => {
  await using world = await start()
  await world.create(
    former('feeds.knative.dev', 'Feed', 'feed', {
      trigger: { clusterEventType: 'dev.knative.k8s.event' },
      action: { dnsName: 'aloha-channel' },
    }),
  )
  await world.create(
    former('eventing.elafros.dev', 'Bind', 'bind', {
      trigger: { eventType: 'receiveevent', resource: 'k8sevents/receiveevent' },
      action: { routeName: 'hello' },
    }),
  )
  await world.settle()
  const sinkOf = async (name: string) =>
    (await world.client.get(KubernetesEventSource, world.key(name))).spec.sink
  assert.equal((await sinkOf('feed'))?.uri, 'http://aloha-channel.default.svc.cluster.local/')
  assert.deepEqual((await sinkOf('bind'))?.ref, {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Route',
    name: 'hello',
  })
})

test('a Channel on the bus stub, its Subscription, its former address', async () => {
  await using world = await start()
  const group = 'channels.knative.dev'
  await world.create(former(group, 'ClusterBus', 'stub', { dispatcher: { name: 'dispatcher' } }))
  await world.create(former(group, 'Bus', 'gcppubsub'))
  await world.create(former(group, 'Channel', 'aloha', { clusterBus: 'stub' }))
  await world.create(former(group, 'Channel', 'answers', { bus: 'stub' }))
  const odd = await world.create(former(group, 'Channel', 'odd', { bus: 'gcppubsub' }))
  const long = 'a'.repeat(60)
  await world.create(former(group, 'Channel', long, { bus: 'stub' }))
  assert.match(odd.warnings.join(), /no bus "gcppubsub" here/)
  await world.create(
    former(group, 'Subscription', 's', {
      channel: 'aloha',
      subscriber: 'greeter',
      replyTo: 'answers',
    }),
  )
  await world.settle()
  const channels = kindOf(group, 'Channel')
  await world.isReady(channels, 'aloha')
  await world.isReady(channels, long)
  const { status } = partsOf(await world.client.get(channels, world.key('aloha')))
  assert.equal(status?.['domainInternal'], 'aloha-channel.default.svc.cluster.local')
  assert.equal(fieldsOf(status?.['service'])['name'], 'aloha-channel')
  const { spec } = await world.client.get(CoreService, world.key('aloha-channel'))
  assert.equal(spec.externalName, 'aloha-kn-channel.default.svc.cluster.local')
  await world.isReady(kindOf(group, 'Subscription'), 's')
  const made = await world.client.get(Subscription, world.key('s'))
  assert.equal(made.spec.subscriber?.uri, 'http://greeter.default.svc.cluster.local/')
  assert.equal(made.spec.reply?.ref?.name, 'answers')
  const buses = await Promise.all(
    [
      [kindOf(group, 'ClusterBus'), '', 'stub'] as const,
      [kindOf(group, 'Bus'), 'default', 'gcppubsub'] as const,
    ].map(async ([kind, namespace, name]) =>
      conditionOf((await world.client.get(kind, { namespace, name })).status, 'Ready'),
    ),
  )
  assert.deepEqual(
    buses.map((ready) => [ready?.status, ready?.reason]),
    [
      ['True', undefined],
      ['Unknown', 'LegacyKind'],
    ],
  )
})

test('what nothing serves says so, and what to use', async () => {
  await using world = await start()
  const advice = async (group: string, kind: string, spec: object) => {
    await world.create(former(group, kind, 'x', spec))
    await world.settle()
    const found = kindOf(group, kind)
    const key = { name: 'x', namespace: found.namespaced ? 'default' : '' }
    const ready = conditionOf((await world.client.get(found, key)).status, 'Ready')
    assert.deepEqual([ready?.status, ready?.reason], ['Unknown', 'LegacyKind'], kind)
    return ready?.message ?? ''
  }
  for (const kind of ['EventSource', 'ClusterEventSource'])
    assert.match(
      await advice('feeds.knative.dev', kind, { source: 'github' }),
      /"github".*ContainerSource/,
    )
  assert.match(
    await advice('eventing.elafros.dev', 'EventSource', { source: 'k8sevents' }),
    /built in/,
  )
  assert.match(
    await advice('feeds.knative.dev', 'ClusterEventType', { clusterEventSource: 'github' }),
    /v1beta2 EventType/,
  )
  assert.match(
    await advice('configs.internal.knative.dev', 'ConfigMapPropagation', {}),
    /kubectl apply/,
  )
})

test('what was never right is refused', async () => {
  await using world = await start()
  const refused: readonly [object, RegExp][] = [
    [former('flows.knative.dev', 'Flow', 'x'), /spec\.trigger\.eventType/],
    [
      former('flows.knative.dev', 'Flow', 'x', { trigger: { eventType: 'a' }, action: {} }),
      /spec\.action\.target, spec\.action\.targetURI/,
    ],
    [former('channels.knative.dev', 'Channel', 'x'), /expected exactly one.*spec\.bus/],
    [
      former('channels.knative.dev', 'Channel', 'x', { bus: 'stub', clusterBus: 'stub' }),
      /expected exactly one, got both/,
    ],
    [former('channels.knative.dev', 'Subscription', 'x'), /spec\.channel, spec\.subscriber/],
    [former('legacysources.knative.dev', 'CronJobSource', 'x', { schedule: 'x' }), /schedule/],
    [former('legacysources.knative.dev', 'SinkBinding', 'x', {}), /spec\.s(ink|ubject)/],
    [former('feeds.knative.dev', 'Feed', 'x', { trigger: 3, action: [] }), /spec\.action\.dnsName/],
    [
      former('feeds.knative.dev', 'Feed', 'x', {
        trigger: { eventType: 'k8s' },
        action: { dnsName: 'http://a b' },
      }),
      /invalid value: "http:\/\/a b": spec\.action\.dnsName/,
    ],
    [
      former('flows.knative.dev', 'Flow', 'x', {
        trigger: { eventType: 'k8s' },
        action: { targetURI: '::::' },
      }),
      /invalid value: ::::: spec\.action\.targetURI/,
    ],
    [
      former('channels.knative.dev', 'Subscription', 'x', {
        channel: '../x',
        subscriber: 'a/b',
        replyTo: {},
      }),
      /spec\.channel.*spec\.subscriber.*spec\.replyTo/s,
    ],
  ]
  for (const [object, text] of refused) await assert.rejects(world.create(object), text)
})

test('sources of legacysources.knative.dev are others of today by name', async () => {
  await using world = await start()
  await world.create(service('wanting'))
  const group = 'legacysources.knative.dev'
  const sink = { apiVersion: 'v1', kind: 'Service', name: 'wanting' }
  const spec = { schedule: '*/2 * * * *', data: '{"a":1}', sink }
  const { object, warnings } = await world.create(former(group, 'CronJobSource', 'c', spec))
  assert.deepEqual(object.spec, spec)
  assert.deepEqual(warnings, [
    `${group}/v1alpha1 CronJobSource is deprecated; use sources.knative.dev/v1 PingSource`,
  ])
  await world.settle()
  await world.isReady(CronJobSource, 'c')
  const kind = kindOf(group, 'CronJobSource')
  await world.isReady(kind, 'c')
  const { status } = partsOf(await world.client.get(kind, world.key('c')))
  assert.equal(status?.['sinkUri'], 'http://wanting.default.svc.cluster.local')
  await world.client.patch(kind, world.key('c'), {
    type: 'merge',
    body: { spec: { schedule: '* * * * *' } },
  })
  await world.settle()
  const made = await world.client.get(CronJobSource, world.key('c'))
  assert.equal(made.spec['schedule'], '* * * * *')
  for (const past of [group, 'sources.eventing.knative.dev']) {
    const name = past === group ? 'b' : 'd'
    await world.create(
      former(past, 'SinkBinding', name, {
        subject: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'x' },
        sink,
      }),
    )
    await world.settle()
    // There is no Deployment to bind; both say so.
    const said = [
      await world.ready(kindOf('sources.knative.dev', 'SinkBinding'), name),
      await world.ready(kindOf(past, 'SinkBinding'), name),
    ].map((each) => [each?.status, each?.reason])
    assert.deepEqual(said[1], said[0])
    assert.equal(said[0]?.[1], 'SubjectMissing')
  }
})

test('a Broker that was made in a version of then has its address of then', async () => {
  await using world = await start()
  const group = 'eventing.knative.dev'
  const { object } = await world.create(former(group, 'Broker', 'dev'))
  await world.create(broker('today'))
  await world.settle()
  assert.deepEqual(Object.keys(object.metadata.annotations ?? {}).sort(), [
    'eventing.knative.dev/broker.class',
    'eventing.knative.dev/creator',
    'eventing.knative.dev/lastModifier',
  ])
  await world.client.get(CoreService, world.key('dev-broker'))
  await assert.rejects(world.client.get(CoreService, world.key('today-broker')), /not found/)
  for (const [template, missing] of [
    [{ kind: 'InMemoryChannel' }, /missing field.*spec\.channelTemplateSpec\.apiVersion/],
    [3, /missing field.*apiVersion, spec\.channelTemplateSpec\.kind/],
  ] as const)
    await assert.rejects(
      world.create(former(group, 'Broker', 'x', { channelTemplateSpec: template })),
      missing,
    )
})

test('a Subscription to a channel of 2018 is one to the channel of today', async () => {
  await using world = await start()
  await world.create(former('eventing.knative.dev', 'Channel', 'c'))
  await world.create(
    former('messaging.knative.dev', 'Subscription', 's', {
      channel: { apiVersion: 'eventing.knative.dev/v1alpha1', kind: 'Channel', name: 'c' },
      subscriber: { uri: 'http://example.test/' },
    }),
  )
  await world.settle()
  await world.isReady(Subscription, 's')
  const read = await world.get(
    kindOf('messaging.knative.dev', 'Subscription') as unknown as KindDefinition,
    'v1alpha1',
    's',
  )
  assert.deepEqual(read.status?.['physicalSubscription'], {
    subscriberUri: 'http://example.test/',
    subscriberURI: 'http://example.test/',
  })
})

test('a CronJobSource says what it said', async () => {
  await using world = await start()
  const spec = { schedule: '* * * * *', sink: { uri: 'http://example.test/' } }
  await world.create(former('sources.eventing.knative.dev', 'CronJobSource', 'c', spec))
  await world.settle()
  await world.isReady(CronJobSource, 'c')
  const { status } = await world.client.get(CronJobSource, world.key('c'))
  for (const type of ['ValidSchedule', 'ValidResources', 'EventTypesProvided'])
    assert.equal(conditionOf(status, type)?.status, 'True', type)
})

test('a flow of today that is applied over the one that was made for an old one outlives it', async () => {
  await using world = await start()
  const old = kindOf('messaging.knative.dev', 'Sequence')
  const today = kindOf('flows.knative.dev', 'Sequence')
  const steps = [{ uri: 'http://one.test/' }]
  await world.create(former('messaging.knative.dev', 'Sequence', 's', { steps }))
  await world.settle()
  await world.isReady(today, 's')
  // As kubectl apply: the field, and the note of what was applied.
  await world.client.patch(today, world.key('s'), {
    type: 'merge',
    body: {
      metadata: { annotations: { 'kubectl.kubernetes.io/last-applied-configuration': '{}' } },
      spec: { steps: [...steps, { uri: 'http://two.test/' }] },
    },
  })
  await world.settle()
  const stepsNow = async () =>
    listOf(partsOf(await world.client.get(today, world.key('s'))).spec['steps']).length
  assert.equal(await stepsNow(), 2)
  await world.isReady(old, 's')
  const { status } = await world.client.get(old, world.key('s'))
  assert.match(conditionOf(status, 'Superseded')?.message ?? '', /can be deleted/)
  const told = await world.eventsOf('s')
  assert.equal(told.filter(({ reason }) => reason === 'Superseded').length, 1)
  await world.client.delete(old, world.key('s'))
  await world.settle()
  await world.isReady(today, 's')
  assert.equal(await stepsNow(), 2)
})

test('an old object whose name was taken is made when the other goes', async () => {
  await using world = await start()
  const steps = [{ uri: 'http://one.test/' }]
  const today = kindOf('flows.knative.dev', 'Sequence')
  const old = kindOf('messaging.knative.dev', 'Sequence')
  await world.create({
    apiVersion: 'flows.knative.dev/v1',
    kind: 'Sequence',
    metadata: { name: 's' },
    spec: { steps },
  })
  await world.create(former('messaging.knative.dev', 'Sequence', 's', { steps }))
  await world.settle()
  assert.equal((await world.ready(old, 's'))?.reason, 'NameTaken')
  await world.client.delete(today, world.key('s'))
  await world.settle()
  assert.notEqual((await world.ready(old, 's'))?.reason, 'NameTaken')
  const { uid } = (await world.client.get(old, world.key('s'))).metadata
  assert.equal(controllerOf(await world.client.get(today, world.key('s')))?.uid, uid)
})

test('a Broker with a channel template is applied as one of today', async () => {
  await using world = await start()
  const channelTemplateSpec = { apiVersion: 'messaging.knative.dev/v1', kind: 'InMemoryChannel' }
  await world.create(former('eventing.knative.dev', 'Broker', 'b', { channelTemplateSpec }))
  // As kubectl apply does of a Broker without a spec.
  const after = await world.client.patch(Broker, world.key('b'), {
    type: 'merge',
    body: { spec: null },
  })
  assert.equal(after.spec.config?.name, 'b-legacy-config')
  await world.settle()
  await world.isReady(Broker, 'b')
})

test('a Broker of today is applied as one of 2019 that asks for the channels it has', async () => {
  await using world = await start()
  await world.create({
    apiVersion: 'eventing.knative.dev/v1',
    kind: 'Broker',
    metadata: { name: 'b' },
    spec: {},
  })
  const before = await world.client.get(Broker, world.key('b'))
  const applied = (kind: string) =>
    world.client.patch({ ...Broker, version: 'v1alpha1' }, world.key('b'), {
      type: 'merge',
      body: {
        spec: { channelTemplateSpec: { apiVersion: 'messaging.knative.dev/v1alpha1', kind } },
      },
    })
  for (const _ of ['once', 'again']) await applied('InMemoryChannel')
  const after = await world.client.get(Broker, world.key('b'))
  assert.deepEqual(after.spec, before.spec)
  await world.settle()
  await world.isReady(Broker, 'b')
  await assert.rejects(applied('KafkaChannel'), /Immutable fields changed/)
})
