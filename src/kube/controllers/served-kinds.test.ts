/** Custom kinds are collected and emptied out of namespaces like all others. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inMemoryPlatform } from '../../testing/platform.ts'
import { settle, SimClock } from '../../testing/sim-clock.ts'
import { CustomResourceDefinition } from '../api/custom-resource-definition.ts'
import type { Kind } from '../api/kind.ts'
import { coreKinds } from '../api/kinds.ts'
import { controllerRef, keyOf, type KubeObject } from '../api/meta.ts'
import { Namespace } from '../api/namespace.ts'
import { ConfigMap } from '../api/config-map.ts'
import { hasReason } from '../api/status-error.ts'
import { startGarbageCollector } from './garbage-collector.ts'
import { startNamespaceController } from './namespace.ts'
import { servedKinds } from './served-kinds.ts'

const Widget: Kind = {
  group: 'example.com',
  version: 'v1',
  kind: 'Widget',
  plural: 'widgets',
  namespaced: true,
}

const definition: CustomResourceDefinition = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'widgets.example.com' },
  spec: {
    group: 'example.com',
    scope: 'Namespaced',
    names: { plural: 'widgets', kind: 'Widget' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            type: 'object',
            'x-kubernetes-preserve-unknown-fields': true,
          } as object,
        },
      },
    ],
  },
}

const widget = (name: string, namespace = 'default', ownerReferences: object[] = []): KubeObject =>
  ({
    apiVersion: 'example.com/v1',
    kind: 'Widget',
    metadata: { name, namespace, ownerReferences },
  }) as KubeObject

async function start() {
  const platform = inMemoryPlatform({ kinds: coreKinds, clock: new SimClock() })
  const stack = new AsyncDisposableStack()
  stack.use(platform)
  const kinds = stack.use(servedKinds(coreKinds, platform.informers))
  stack.use(startGarbageCollector({ ...platform, kinds }))
  stack.use(startNamespaceController({ ...platform, kinds }))
  await settle(8)
  return { ...platform, kinds, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

const isGone = (read: Promise<unknown>): Promise<boolean> =>
  read.then(
    () => false,
    (thrown: unknown) => hasReason(thrown, 'NotFound'),
  )

test('dependents of custom objects go with them, and custom dependents with their owners', async () => {
  await using world = await start()
  const { client } = world
  await client.create(CustomResourceDefinition, definition)
  await settle(8)
  assert.ok(world.kinds.find('example.com', 'Widget'))
  const owner = await client.create(Widget, widget('owner'))
  await client.create(Widget, widget('child', 'default', [controllerRef(owner)]))
  await client.create(ConfigMap, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'child', namespace: 'default', ownerReferences: [controllerRef(owner)] },
  })
  await settle(8)
  await client.delete(Widget, keyOf(owner), { propagationPolicy: 'Background' })
  await settle(16)
  const child = { namespace: 'default', name: 'child' }
  assert.ok(await isGone(client.get(ConfigMap, child)))
  assert.ok(await isGone(client.get(Widget, child)))
})

test('a namespace goes after its custom objects; a definition takes its objects along', async () => {
  await using world = await start()
  const { client } = world
  await client.create(CustomResourceDefinition, definition)
  await client.create(Namespace, {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'n' },
  })
  await client.create(Widget, widget('a', 'n'))
  await client.create(Widget, widget('b'))
  await settle(8)
  await client.delete(Namespace, { namespace: '', name: 'n' })
  await settle(16)
  assert.ok(await isGone(client.get(Namespace, { namespace: '', name: 'n' })))
  assert.equal((await client.list(Widget, '')).items.length, 1)
  await client.delete(CustomResourceDefinition, { namespace: '', name: 'widgets.example.com' })
  await settle(16)
  assert.ok(
    await isGone(
      client.get(CustomResourceDefinition, { namespace: '', name: 'widgets.example.com' }),
    ),
  )
  assert.equal(world.kinds.find('example.com', 'Widget'), undefined)
  assert.equal(world.store.count('widgets.example.com/'), 0)
  assert.ok(await isGone(client.list(Widget, '')))
})
