import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigMap } from '../api/config-map.ts'
import { Event } from '../api/event.ts'
import { coreKinds } from '../api/kinds.ts'
import { keyOf, type KubeObject, type OwnerReference } from '../api/meta.ts'
import { Namespace } from '../api/namespace.ts'
import type { PropagationPolicy } from '../api/protocol.ts'
import { Secret } from '../api/secret.ts'
import { hasReason } from '../api/status-error.ts'
import type { Client } from '../client/client.ts'
import { inMemoryPlatform } from '../../testing/platform.ts'
import { settle, SimClock } from '../../testing/sim-clock.ts'
import { startGarbageCollector } from './garbage-collector.ts'
import { startNamespaceController } from './namespace.ts'
import { servedKinds } from './served-kinds.ts'

async function start() {
  const clock = new SimClock()
  const stack = new AsyncDisposableStack()
  const platform = stack.use(inMemoryPlatform({ kinds: coreKinds, clock }))
  const { client } = platform
  stack.use(
    startGarbageCollector({
      ...platform,
      kinds: servedKinds(coreKinds, platform.informers),
    }),
  )
  await settle()
  return {
    ...platform,
    clock,
    make: (name: string, owners: readonly OwnerReference[] = [], more = {}) =>
      client.create<ConfigMap>(ConfigMap, aConfigMap(name, owners, more)),
    remove: async (object: KubeObject, propagationPolicy: PropagationPolicy) => {
      await client.delete(ConfigMap, keyOf(object), { propagationPolicy })
      await settle(8)
    },
    names: () => names(client),
    [Symbol.asyncDispose]: () => stack[Symbol.asyncDispose](),
  }
}

const aConfigMap = (name: string, ownerReferences: readonly OwnerReference[] = [], more = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'default', ownerReferences, ...more },
})

const refTo = (owner: KubeObject, more: Partial<OwnerReference> = {}): OwnerReference => ({
  apiVersion: owner.apiVersion,
  kind: owner.kind,
  name: owner.metadata.name,
  uid: owner.metadata.uid ?? '',
  ...more,
})

async function names(client: Client): Promise<readonly string[]> {
  const { items } = await client.list(ConfigMap, 'default')
  return items.map(({ metadata }) => metadata.name).filter((name) => name !== 'kube-root-ca.crt')
}

test('background: the owner goes at once, then children and grandchildren', async () => {
  await using world = await start()
  const a = await world.make('a')
  const b = await world.make('b', [refTo(a)])
  await world.make('c', [refTo(b)])
  await world.make('other')
  await world.remove(a, 'Background')
  assert.deepEqual(await world.names(), ['other'])
})

test('an object with another living owner only loses the dead reference', async () => {
  await using world = await start()
  const a = await world.make('a')
  const b = await world.make('b')
  const c = await world.make('c', [refTo(a), refTo(b)])
  await world.remove(a, 'Background')
  const left = await world.client.get(ConfigMap, keyOf(c))
  assert.deepEqual(left.metadata.ownerReferences, [refTo(b)])
  await world.remove(b, 'Background')
  assert.deepEqual(await world.names(), [])
})

test('foreground: the owner waits for dependents that block it, and only for those', async () => {
  await using world = await start()
  const a = await world.make('a')
  const held = await world.make('held', [refTo(a, { blockOwnerDeletion: true })], {
    finalizers: ['ex.dev/hold'],
  })
  await world.make('free', [refTo(a)], { finalizers: ['ex.dev/hold'] })
  await world.remove(a, 'Foreground')
  assert.deepEqual(await world.names(), ['a', 'free', 'held'])
  const body = { metadata: { finalizers: null } }
  await world.client.patch(ConfigMap, keyOf(held), { type: 'merge', body })
  await settle(8)
  assert.deepEqual(await world.names(), ['free'])
  const free = await world.client.get(ConfigMap, { namespace: 'default', name: 'free' })
  assert.ok(free.metadata.deletionTimestamp, 'it is deleted when its owner is gone')
})

test('orphan: dependents stay without the reference, and the owner goes', async () => {
  await using world = await start()
  const a = await world.make('a')
  const b = await world.make('b', [refTo(a)])
  await world.remove(a, 'Orphan')
  assert.deepEqual(await world.names(), ['b'])
  assert.deepEqual((await world.client.get(ConfigMap, keyOf(b))).metadata.ownerReferences ?? [], [])
})

test('matching is by uid: a namesake of the owner does not save its dependents', async () => {
  await using world = await start()
  const a = await world.make('a')
  await world.make('late', [refTo({ ...a, metadata: { ...a.metadata, uid: 'not-this-one' } })])
  await settle(8)
  assert.deepEqual(await world.names(), ['a'])
})

test('an owner in another namespace is no owner: collected, and an event says why', async () => {
  await using world = await start()
  const { client } = world
  await client.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'far' } })
  const far = await client.create<Secret>(Secret, {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 's', namespace: 'far' },
  })
  await settle()
  await world.make('lost', [refTo(far)])
  await settle(8)
  assert.deepEqual(await world.names(), [])
  await world.clock.advance(100)
  const { items } = await client.list(Event, 'default')
  assert.deepEqual(
    items.map(({ reason, type }) => [type, reason]),
    [['Warning', 'OwnerRefInvalidNamespace']],
  )
})

test('an owner of a kind that is not served here keeps its dependents', async () => {
  await using world = await start()
  await world.make('kept', [{ apiVersion: 'ex.dev/v1', kind: 'Widget', name: 'w', uid: 'u' }])
  await settle(8)
  assert.deepEqual(await world.names(), ['kept'])
})

test('what was left behind while nobody collected is collected at the start', async () => {
  const clock = new SimClock()
  await using platform = inMemoryPlatform({ kinds: coreKinds, clock })
  const { client } = platform
  const a = await client.create<ConfigMap>(ConfigMap, aConfigMap('a'))
  await client.create<ConfigMap>(ConfigMap, aConfigMap('b', [refTo(a)]))
  await client.delete(ConfigMap, keyOf(a), { propagationPolicy: 'Background' })
  await using _collector = startGarbageCollector({
    ...platform,
    kinds: servedKinds(coreKinds, platform.informers),
  })
  await settle(8)
  assert.deepEqual(await names(client), [])
})

test('a namespace is emptied, tells what holds it, and goes', async () => {
  await using world = await start()
  await using _controller = startNamespaceController({
    ...world,
    kinds: servedKinds(coreKinds, world.informers),
  })
  const { client, clock } = world
  await client.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'n' } })
  const held: ConfigMap = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'held', namespace: 'n', finalizers: ['ex.dev/hold'] },
  }
  await client.create(ConfigMap, held)
  const key = { namespace: '', name: 'n' }
  await client.delete(Namespace, key)
  await settle(8)
  const { items } = await client.list(ConfigMap, 'n')
  assert.deepEqual(
    items.map(({ metadata }) => metadata.name),
    ['held'],
  )
  const leaving = await client.get(Namespace, key)
  const texts = Object.fromEntries(
    (leaving.status?.conditions ?? []).map(({ type, message }) => [type, message]),
  )
  assert.equal(leaving.status?.phase, 'Terminating')
  assert.equal(
    texts.NamespaceContentRemaining,
    'Some resources are remaining: configmaps has 1 resource instances',
  )
  assert.equal(
    texts.NamespaceFinalizersRemaining,
    'Some content in the namespace has finalizers remaining: ex.dev/hold in 1 resource instances',
  )
  const body = { metadata: { finalizers: null } }
  await client.patch(ConfigMap, keyOf(held), { type: 'merge', body })
  await settle(8)
  await clock.advance(1_000)
  await assert.rejects(client.get(Namespace, key), (error) => hasReason(error, 'NotFound'))
})
