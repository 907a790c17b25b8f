import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigMap } from '../../../../kube/api/config-map.ts'
import { Secret } from '../../../../kube/api/secret.ts'
import { ServiceAccount } from '../../../../kube/api/service-account.ts'
import { conditionOf } from '../../../../knative/conditions.ts'
import { Broker } from '../../../api/eventing/broker.ts'
import { RequestReply } from '../../../api/eventing/request-reply.ts'
import { Trigger } from '../../../api/eventing/trigger.ts'
import { broker, start } from '../../world.fixture.ts'
import { askedKeys } from './asked-keys.ts'
import { keysSecret } from './keys.ts'
import { awaitedIn, requestReplyConfig } from './request-reply.ts'

const requestReply = (spec: object = {}, name = 'r') => ({
  apiVersion: 'eventing.knative.dev/v1alpha1',
  kind: 'RequestReply',
  metadata: { name },
  spec: {
    brokerRef: { apiVersion: 'eventing.knative.dev/v1', kind: 'Broker', name: 'b' },
    ...spec,
  },
})

async function world() {
  const started = await start()
  const { client, key } = started
  return {
    ...started,
    found: (name = 'r') => client.get(RequestReply, key(name)),
    trigger: () => client.get(Trigger, key('r0-1')),
    secret: () => client.get(Secret, keysSecret),
    condition: async (type: string) => {
      const { status } = await client.get(RequestReply, key('r'))
      const { status: is, reason = '', message = '' } = conditionOf(status, type) ?? {}
      return [is, reason, message]
    },
    [Symbol.asyncDispose]: () => started[Symbol.asyncDispose](),
  }
}

test('a RequestReply has a key, a Trigger and an address, and takes its Broker from its status', async () => {
  await using it = await world()
  await it.create(broker('b'))
  await it.create(requestReply({ replyAttribute: 'answers', delivery: { retry: 3 } }))
  await it.settle()
  const object = await it.found()
  const { status } = object
  const types = ['Ready', 'TriggersReady', 'Addressable', 'BrokerReady', 'EventPoliciesReady']
  for (const type of types) assert.equal(conditionOf(status, type)?.status, 'True', type)
  assert.equal(conditionOf(status, 'EventPoliciesReady')?.reason, 'NotImplemented')
  assert.deepEqual(status?.address, {
    name: 'http',
    url: 'http://request-reply.knative-eventing.svc.cluster.local/default/r',
  })
  assert.deepEqual([status.desiredReplicas, status.readyReplicas], [1, 1])
  const brokerUrl = 'http://broker-ingress.knative-eventing.svc.cluster.local/default/b'
  assert.deepEqual(status.annotations, { 'knative.dev/brokerAddress': brokerUrl })

  const { metadata, spec } = await it.trigger()
  assert.equal(metadata.ownerReferences?.[0]?.uid, object.metadata.uid)
  assert.equal(metadata.labels?.['eventing.knative.dev/RequestReply.name'], 'r')
  assert.deepEqual(spec, {
    broker: 'b',
    filter: {},
    filters: [
      {
        cesql: 'KN_VERIFY_CORRELATION_ID(answers, "r", "default", "request-reply-keys", 0, 1)',
      },
    ],
    subscriber: {
      uri: 'http://request-reply.knative-eventing.svc.cluster.local/default/r/reply',
    },
    delivery: { retry: 3 },
  })

  const { data = {} } = await it.secret()
  assert.deepEqual(Object.keys(data), ['default.r.key-0'])
  const [key = ''] = Object.values(data)
  assert.equal(Buffer.from(key, 'base64').length, 32)
  const read = { get: () => ({ data }) as never }
  assert.deepEqual(
    requestReplyConfig(object, read, (url) => (url === undefined ? url : { url })),
    {
      uid: object.metadata.uid,
      namespace: 'default',
      name: 'r',
      correlationAttribute: 'correlationid',
      replyAttribute: 'answers',
      timeoutMs: 30_000,
      keys: [key],
      broker: { url: brokerUrl },
    },
  )
  assert.deepEqual(askedKeys(spec.filters ?? [], read), { 'default.r': [key] })
  const listing = { list: () => [object, object] as never }
  const own: Broker = { ...object, metadata: { name: 'b' }, spec: {} }
  assert.deepEqual(awaitedIn(own, listing), ['answers', 'correlationid'])
  assert.equal(awaitedIn({ ...own, metadata: { name: 'c' } }, listing), undefined)
  const deep = [
    { all: [{ not: { cesql: "kn_verify_correlation_id (x, 'r','default', 's',0,1)" } }] },
  ]
  assert.deepEqual(askedKeys(deep, read), { 'default.r': [key] })
  assert.deepEqual(askedKeys([{ cesql: "type = 'x'" }], read), {})
})

test('with authentication it has an account, and its Broker gets tokens of it', async () => {
  await using it = await world()
  await it.create(broker('b'))
  await it.create(requestReply())
  await it.settle()
  const account = 'r-oidc-eventing.knative.dev-requestreply'
  const found = () => it.client.get(ServiceAccount, it.key(account))
  await assert.rejects(found(), /not found/)
  const turn = (on: string) =>
    it.client.patch(
      ConfigMap,
      { namespace: 'knative-eventing', name: 'config-features' },
      { type: 'merge', body: { data: { 'authentication-oidc': on } } },
    )
  await turn('enabled')
  await it.settle()
  await found()
  const object = await it.found()
  const audience = 'eventing.knative.dev/broker/default/b'
  assert.equal(object.status?.annotations?.['knative.dev/brokerAudience'], audience)
  const to = (url?: string, _caCerts?: string, meant?: string, as?: string) =>
    url && meant && as ? { url, audience: meant, account: as } : undefined
  const read = { get: () => undefined }
  const { broker: sentTo } = requestReplyConfig(object, read, to) ?? {}
  assert.deepEqual([sentTo?.audience, sentTo?.account], [audience, `default/${account}`])
  await turn('disabled')
  await it.settle()
  await assert.rejects(found(), /not found/)
})

test('attributes that can not carry a mark are refused', async () => {
  await using it = await world()
  for (const [spec, reason] of [
    [{ correlationAttribute: 'replyid' }, /replyid: spec.replyAttribute\nexpected another/],
    [{ correlationAttribute: 'time' }, /invalid value: time: spec.correlationAttribute/],
    [{ replyAttribute: '' }, /invalid value: : spec.replyAttribute/],
    [{ timeout: 'PT0S' }, /invalid value: PT0S: spec.timeout/],
  ] as const)
    await assert.rejects(it.create(requestReply(spec)), reason)
})

test('it waits for its Broker, follows it to another one, and says whose the Trigger is', async () => {
  await using it = await world()
  await it.create(requestReply())
  await it.settle()
  assert.deepEqual(await it.condition('BrokerReady'), [
    'Unknown',
    'NotFound',
    'could not get broker: broker.eventing.knative.dev "b" not found',
  ])
  assert.deepEqual(await it.condition('TriggersReady'), [
    'False',
    'TriggersNotReady',
    'not all triggers are ready yet: r0-1: Broker "b" does not exist',
  ])
  await it.create(broker('b'))
  await it.settle()
  await it.isReady(RequestReply, 'r')

  await it.create(broker('other'))
  const object = await it.found()
  const { uid } = (await it.trigger()).metadata
  const brokerRef = { ...object.spec.brokerRef, name: 'other' }
  await it.client.update(RequestReply, { ...object, spec: { ...object.spec, brokerRef } })
  await it.settle()
  const moved = await it.trigger()
  assert.equal(moved.spec.broker, 'other')
  assert.notEqual(moved.metadata.uid, uid)
  await it.isReady(RequestReply, 'r')
  await it.client.delete(Broker, it.key('other'))
  await it.settle()
  assert.equal((await it.found()).status?.annotations?.['knative.dev/brokerAddress'], undefined)

  await it.create({ ...requestReply(), metadata: { name: 'second' } })
  await it.create({
    apiVersion: 'eventing.knative.dev/v1',
    kind: 'Trigger',
    metadata: { name: 'third0-1' },
    spec: { broker: 'b', subscriber: { uri: 'http://elsewhere' } },
  })
  await it.create({ ...requestReply(), metadata: { name: 'third' } })
  await it.settle()
  const { status } = await it.found('third')
  const triggers = conditionOf(status, 'TriggersReady')
  assert.equal(triggers?.reason, 'TriggerReconcileError')
  assert.match(triggers.message ?? '', /third0-1 that is not owned by RequestReply third/)
})

test('keys: others stay, one that nobody can use is followed by a new one, those of the deleted go', async () => {
  await using it = await world()
  await it.create(broker('b'))
  await it.create({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: keysSecret,
    data: { 'default.r.key-4': 'AAAA', 'default.r.x.key-0': 'AAAA', more: 'AAAA' },
  })
  await it.create(requestReply())
  await it.settle()
  const { data = {} } = await it.secret()
  const others = { 'default.r.key-4': 'AAAA', 'default.r.x.key-0': 'AAAA', more: 'AAAA' }
  assert.deepEqual({ ...data, 'default.r.key-5': '' }, { ...others, 'default.r.key-5': '' })
  assert.equal(Buffer.from(data['default.r.key-5'] ?? '', 'base64').length, 32)

  const newer = Buffer.alloc(32, 9).toString('base64')
  await it.client.update(Secret, {
    ...(await it.secret()),
    data: { ...data, 'default.r.key-10': newer },
  })
  await it.settle()
  const found = await it.secret()
  assert.equal(Object.keys(found.data ?? {}).length, 5)
  const read = { get: () => found as never }
  const { keys } = requestReplyConfig(await it.found(), read, () => undefined) ?? {}
  assert.deepEqual(keys, [newer, data['default.r.key-5'], 'AAAA'], 'the newest first')

  await it.client.delete(RequestReply, it.key('r'))
  await it.settle()
  assert.deepEqual((await it.secret()).data, { 'default.r.x.key-0': 'AAAA', more: 'AAAA' })
})
