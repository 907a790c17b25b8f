/** Kinds of Eventing, in memory: what each status says in each state of its world. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigMap } from '../../kube/api/config-map.ts'
import type { KindDefinition } from '../../kube/api/kind.ts'
import { Pod } from '../../kube/api/pod.ts'
import { conditionOf } from '../../knative/conditions.ts'
import { Broker } from '../api/eventing/broker.ts'
import { Channel } from '../api/messaging/channel.ts'
import { InMemoryChannel } from '../api/messaging/in-memory-channel.ts'
import {
  ClusterChannelProvisioner,
  LegacyChannel,
  LegacySubscription,
} from '../api/former/legacy-channel.ts'
import { Sequence } from '../api/flows/sequence.ts'
import { Subscription } from '../api/messaging/subscription.ts'
import { Trigger } from '../api/eventing/trigger.ts'
import { broker, service, start, toService } from './world.fixture.ts'

const system = (name: string) => ({ namespace: 'knative-eventing', name })
const reasons = (status: Parameters<typeof conditionOf>[0], ...types: readonly string[]) =>
  types.map((type) => {
    const { status: state, reason = '' } = conditionOf(status, type) ?? {}
    return [type, state, reason]
  })

test('kreference-mapping: objects without an address have the URL of a template', async () => {
  await using world = await start()
  const ref = { apiVersion: 'v1', kind: 'Pod', name: 'p' }
  await world.create({
    ...broker('b'),
    spec: { delivery: { deadLetterSink: { ref, uri: '/there' } } },
  })
  await world.settle()
  const sink = async () =>
    (await world.client.get(Broker, world.key('b'))).status?.deadLetterSinkUri
  assert.equal(await sink(), undefined)
  const template = 'https://{{ .SystemNamespace }}.example/{{.Namespace}}/{{.Name}}'
  const data = (name: string, body: object) =>
    world.client.patch(ConfigMap, system(name), { type: 'merge', body: { data: body } })
  await data('config-kreference-mapping', { 'Pod.v1': template })
  await world.settle()
  assert.equal(await sink(), undefined)
  await data('config-features', { 'kreference-mapping': 'enabled' })
  await world.settle()
  assert.equal(await sink(), undefined, 'the Pod is not there')
  await world.client.create(Pod, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', namespace: 'default' },
    spec: { containers: [{ name: 'c', image: 'i' }] },
  })
  await world.settle()
  assert.equal(await sink(), 'https://knative-eventing.example/there')
  await data('config-kreference-mapping', { 'Pod.v1': 'https://other.example/{{ .Name }}' })
  await world.settle()
  assert.equal(await sink(), 'https://other.example/there')
})

test('a Broker whose dead-letter sink is not there is not Ready until it is, and says so', async () => {
  await using world = await start()
  const spec = { delivery: { deadLetterSink: toService('dead') } }
  await world.create({ ...broker('b'), spec })
  await world.create({
    apiVersion: 'eventing.knative.dev/v1',
    kind: 'Trigger',
    metadata: { name: 't' },
    spec: { broker: 'b', subscriber: { uri: 'http://a.example' } },
  })
  await world.settle()
  const status = async () => (await world.client.get(Broker, world.key('b'))).status
  assert.deepEqual(reasons(await status(), 'DeadLetterSinkResolved', 'Addressable', 'Ready'), [
    ['DeadLetterSinkResolved', 'False', "Unable to get the dead letter sink's URI"],
    ['Addressable', 'Unknown', ''],
    ['Ready', 'Unknown', ''],
  ])
  assert.equal((await status())?.address, undefined)
  await world.create(service('dead'))
  await world.settle()
  await world.isReady(Broker, 'b')
  await world.isReady(Trigger, 't')
  const trigger = await world.client.get(Trigger, world.key('t'))
  assert.equal(trigger.status?.deadLetterSinkUri, 'http://dead.default.svc.cluster.local')
})

test('a Broker that was Ready stays so when its dead-letter sink goes; its Triggers say what is missing', async () => {
  await using world = await start()
  await world.create(broker('b'))
  await world.create({
    apiVersion: 'eventing.knative.dev/v1',
    kind: 'Trigger',
    metadata: { name: 't' },
    spec: { broker: 'b', subscriber: { uri: 'http://a.example' } },
  })
  await world.settle()
  await world.isReady(Broker, 'b')
  await world.client.patch(Broker, world.key('b'), {
    type: 'merge',
    body: { spec: { delivery: { deadLetterSink: toService('dead') } } },
  })
  await world.settle()
  await world.isReady(Broker, 'b')
  const { status } = await world.client.get(Trigger, world.key('t'))
  assert.deepEqual(reasons(status, 'DeadLetterSinkResolved', 'Ready'), [
    ['DeadLetterSinkResolved', 'False', "Broker b didn't set status.deadLetterSinkURI"],
    ['Ready', 'False', "Broker b didn't set status.deadLetterSinkURI"],
  ])
})

test('a Channel of a kind that nobody serves says which there are, and its Subscriptions wait', async () => {
  await using world = await start()
  await world.create({
    apiVersion: 'messaging.knative.dev/v1',
    kind: 'Channel',
    metadata: { name: 'c' },
    spec: {
      channelTemplate: { apiVersion: 'messaging.knative.dev/v1beta1', kind: 'KafkaChannel' },
    },
  })
  await world.create({
    apiVersion: 'messaging.knative.dev/v1',
    kind: 'Subscription',
    metadata: { name: 's' },
    spec: {
      channel: { apiVersion: 'messaging.knative.dev/v1', kind: 'Channel', name: 'c' },
      subscriber: { uri: 'http://a.example' },
    },
  })
  await world.create({
    apiVersion: 'messaging.knative.dev/v1',
    kind: 'Subscription',
    metadata: { name: 'k' },
    spec: {
      channel: { apiVersion: 'messaging.knative.dev/v1beta1', kind: 'KafkaChannel', name: 'c' },
      subscriber: { uri: 'http://a.example' },
    },
  })
  await world.settle()
  const message = async (
    kind: typeof Channel | typeof Subscription,
    name: string,
    type: string,
  ) => {
    const found = await world.client.get(kind, world.key(name))
    return conditionOf(found.status, type)
  }
  const backing = await message(Channel, 'c', 'BackingChannelReady')
  assert.equal(backing?.reason, 'ChannelFailure')
  assert.match(
    backing.message ?? '',
    /KafkaChannel of messaging.knative.dev\/v1beta1.*InMemoryChannel/,
  )
  const waits = await message(Subscription, 's', 'ReferencesResolved')
  assert.deepEqual([waits?.status, waits?.reason], ['Unknown', 'ChannelReferenceFailed'])
  assert.match(waits?.message ?? '', /Channel "c" is not ready.*KafkaChannel/)
  const strange = await message(Subscription, 'k', 'ReferencesResolved')
  assert.match(strange?.message ?? '', /KafkaChannel of messaging.knative.dev\/v1beta1/)
})

test('a Channel repeats all of its backing channel, dead-letter sink and addresses', async () => {
  await using world = await start()
  await world.create(service('dead'))
  const certificates = { CACerts: certificate, audience: 'me' }
  await world.create({
    apiVersion: 'messaging.knative.dev/v1',
    kind: 'Channel',
    metadata: { name: 'c' },
    spec: { delivery: { retry: 2, deadLetterSink: { ...toService('dead'), ...certificates } } },
  })
  await world.settle()
  await world.isReady(Channel, 'c')
  const { status } = await world.client.get(Channel, world.key('c'))
  assert.deepEqual(
    [status?.deadLetterSinkUri, status?.deadLetterSinkCACerts, status?.deadLetterSinkAudience],
    ['https://dead.default.svc.cluster.local', certificate, 'me'],
  )
  const behind = await world.client.get(InMemoryChannel, world.key('c'))
  assert.deepEqual(reasons(behind.status, 'DispatcherReady'), [['DispatcherReady', 'True', '']])
  assert.equal(conditionOf(behind.status, 'DispatcherReady')?.severity, 'Info')
  assert.equal(behind.spec.delivery?.retry, 2)
})

/** The outer form of one. */
const certificate = '-----BEGIN CERTIFICATE-----\nMAYwADAAAwA=\n-----END CERTIFICATE-----\n'

test('long names: parts of flows and Services of channels are cut as Knative cuts them', async () => {
  await using world = await start()
  const long = `a${'b'.repeat(60)}`
  await world.create({
    apiVersion: 'flows.knative.dev/v1',
    kind: 'Sequence',
    metadata: { name: long },
    spec: { steps: [{ uri: 'http://a.example' }] },
  })
  await world.settle()
  await world.isReady(Sequence, long)
  const { items } = await world.client.list(InMemoryChannel, 'default')
  const names = items.map(({ metadata }) => metadata.name)
  assert.match(names.join(), /^ab+[0-9a-f]{32}-kn-sequence-0$/)
  assert.ok(names.every((name) => name.length <= 63))
  assert.ok(items.every(({ status }) => new URL(status?.address?.url ?? '').hostname.length < 100))
})

test('what can not be resolved is told as an Event once', async () => {
  await using world = await start()
  await world.create({
    apiVersion: 'messaging.knative.dev/v1',
    kind: 'InMemoryChannel',
    metadata: { name: 'c' },
  })
  await world.create({
    apiVersion: 'messaging.knative.dev/v1',
    kind: 'Subscription',
    metadata: { name: 's' },
    spec: {
      channel: { apiVersion: 'messaging.knative.dev/v1', kind: 'InMemoryChannel', name: 'c' },
      subscriber: toService('gone'),
    },
  })
  await world.settle()
  await world.settle()
  const events = await world.eventsOf('s')
  assert.deepEqual(
    events.filter(({ type }) => type === 'Warning').map(({ reason, count }) => [reason, count]),
    [['SubscriberResolveFailed', 1]],
  )
  await world.create(service('gone'))
  await world.settle()
  await world.isReady(Subscription, 's')
  assert.ok((await world.eventsOf('s')).some(({ reason }) => reason === 'SubscriberSync'))
})

test('a Channel of 2018 with its provisioner, and a Subscription that only passes on', async () => {
  await using world = await start()
  const former = (kind: string, name: string, spec: object = {}) => ({
    apiVersion: 'eventing.knative.dev/v1alpha1',
    kind,
    metadata: { name },
    spec,
  })
  const provisioner = (name: string) => ({
    apiVersion: 'eventing.knative.dev/v1alpha1',
    kind: 'ClusterChannelProvisioner',
    name,
  })
  const at = (name: string) => ({
    apiVersion: 'eventing.knative.dev/v1alpha1',
    kind: 'Channel',
    name,
  })
  await world.create(former('ClusterChannelProvisioner', 'in-memory-channel'))
  await world.create(former('ClusterChannelProvisioner', 'kafka'))
  const { warnings } = await world.create(
    former('Channel', 'c', { provisioner: provisioner('in-memory-channel') }),
  )
  assert.match(warnings.join(), /use messaging.knative.dev\/v1 Channel/)
  await world.create(former('Channel', 'd'))
  await world.create(
    former('Channel', 'k', { provisioner: provisioner('kafka'), arguments: { NumPartitions: 3 } }),
  )
  await world.create(former('Subscription', 's', { channel: at('c'), reply: { channel: at('d') } }))
  await world.settle()
  const stored = async (kind: KindDefinition, name: string) =>
    await world.get(kind, 'v1alpha1', name)
  const channel = await stored(LegacyChannel.kind as unknown as KindDefinition, 'c')
  assert.deepEqual(channel.spec, { provisioner: provisioner('in-memory-channel') })
  assert.equal(
    Object(channel.status?.['address'])['hostname'],
    'c-kn-channel.default.svc.cluster.local',
  )
  assert.deepEqual(reasons(channel.status, 'Provisioned', 'Addressable', 'Ready'), [
    ['Provisioned', 'True', ''],
    ['Addressable', 'True', ''],
    ['Ready', 'True', ''],
  ])
  await world.isReady(LegacySubscription.kind, 's')
  const { spec } = await world.client.get(Subscription, world.key('s'))
  assert.deepEqual(
    [spec.channel?.apiVersion, spec.subscriber?.ref?.name],
    ['messaging.knative.dev/v1', 'd'],
  )
  const kafka = await world.client.get(Channel, world.key('k'))
  assert.deepEqual(kafka.spec.channelTemplate?.spec, { numPartitions: 3 })
  const states = await Promise.all(
    ['in-memory-channel', 'kafka'].map(async (name) => {
      const found = await world.client.get(ClusterChannelProvisioner, { namespace: '', name })
      return conditionOf(found.status, 'Ready')?.status
    }),
  )
  assert.deepEqual(states, ['True', 'False'])
  await world.create(former('Channel', 'odd', { provisioner: provisioner('toString') }))
  await world.create(former('Subscription', 'odd', { channel: at('c'), subscriber: { ref: 3 } }))
  await world.settle()
  await world.isReady(LegacyChannel.kind, 'odd')
  const refused = await world.ready(LegacySubscription.kind, 'odd')
  assert.deepEqual([refused?.status, refused?.reason], ['False', 'NotTaken'])
  assert.match(refused?.message ?? '', /spec\.subscriber\.ref/)
})

test('delivery of a Subscription: its own or that of the channel, and the nearest dead-letter sink', async () => {
  await using world = await start()
  for (const name of ['outer', 'inner']) await world.create(service(name))
  const channel = { apiVersion: 'messaging.knative.dev/v1', kind: 'Channel', name: 'c' }
  await world.create({
    apiVersion: channel.apiVersion,
    kind: 'Channel',
    metadata: { name: 'c' },
    spec: {
      delivery: {
        retry: 5,
        backoffPolicy: 'linear',
        backoffDelay: 'PT1S',
        deadLetterSink: toService('outer'),
      },
    },
  })
  const cases: readonly [string, object | undefined, object][] = [
    [
      'none',
      undefined,
      { retry: 5, backoffPolicy: 'linear', backoffDelay: 'PT1S', deadLetterSink: at('outer') },
    ],
    ['own', { retry: 2 }, { retry: 2, deadLetterSink: at('outer') }],
    [
      'sink',
      { format: 'json', timeout: 'PT3S', deadLetterSink: toService('inner') },
      { format: 'json', timeout: 'PT3S', deadLetterSink: at('inner') },
    ],
  ]
  for (const [name, delivery] of cases)
    await world.create({
      apiVersion: channel.apiVersion,
      kind: 'Subscription',
      metadata: { name },
      spec: { channel, subscriber: { uri: 'http://a.example' }, ...(delivery && { delivery }) },
    })
  await world.settle()
  const { spec } = await world.client.get(InMemoryChannel, world.key('c'))
  for (const [name, , wanted] of cases) {
    await world.isReady(Subscription, name)
    const entered = spec.subscribers?.find((each) => each.name === name)
    assert.deepEqual(entered?.delivery, wanted, name)
    const { status } = await world.client.get(Subscription, world.key(name))
    assert.equal(
      status?.physicalSubscription?.deadLetterSinkUri,
      entered?.delivery?.deadLetterSink?.uri,
    )
  }
})

const at = (name: string) => ({ uri: `http://${name}.default.svc.cluster.local` })

test('a field of delivery that there is not is refused, not left out', async () => {
  await using world = await start()
  const to = { uri: 'http://a.example' }
  const delivery = { retry: 1, backOffDelay: 'PT1S' }
  const channel = { apiVersion: 'messaging.knative.dev/v1', kind: 'Channel', name: 'c' }
  const brokerRef = { apiVersion: 'eventing.knative.dev/v1', kind: 'Broker', name: 'b' }
  const cases: readonly [apiVersion: string, kind: string, spec: object][] = [
    ['eventing.knative.dev/v1', 'Broker', { delivery }],
    ['eventing.knative.dev/v1', 'Trigger', { broker: 'b', subscriber: to, delivery }],
    ['eventing.knative.dev/v1alpha1', 'RequestReply', { brokerRef, delivery }],
    ['messaging.knative.dev/v1', 'Channel', { delivery }],
    ['messaging.knative.dev/v1', 'InMemoryChannel', { delivery }],
    ['messaging.knative.dev/v1', 'Subscription', { channel, subscriber: to, delivery }],
    ['flows.knative.dev/v1', 'Sequence', { steps: [{ ...to, delivery }] }],
    ['flows.knative.dev/v1', 'Parallel', { branches: [{ subscriber: to, delivery }] }],
  ]
  for (const [apiVersion, kind, spec] of cases)
    await assert.rejects(
      world.create({ apiVersion, kind, metadata: { name: 'x' }, spec }),
      /mutation failed: cannot decode incoming new object: json: unknown field "backOffDelay"/,
      kind,
    )
})
