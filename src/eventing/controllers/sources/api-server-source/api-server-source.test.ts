import assert from 'node:assert/strict'
import { test } from 'node:test'
import { conditionOf } from '../../../../knative/conditions.ts'
import { CustomResourceDefinition } from '../../../../kube/api/custom-resource-definition.ts'
import { coreKinds } from '../../../../kube/api/kinds.ts'
import type { KubeObject } from '../../../../kube/api/meta.ts'
import { Event } from '../../../../kube/api/event.ts'
import { Namespace } from '../../../../kube/api/namespace.ts'
import { typedClient } from '../../../../kube/client/typed-client.ts'
import { startController } from '../../../../kube/controller/loop.ts'
import { servingKinds } from '../../../../serving/api/kinds.ts'
import { inMemoryPlatform } from '../../../../testing/platform.ts'
import { SimClock } from '../../../../testing/sim-clock.ts'
import { ApiServerSource } from '../../../api/sources/api-server-source.ts'
import {
  asApiServerSource,
  FormerApiServerSource,
  KubernetesEventSource,
} from '../../../api/former/former-sources.ts'
import { eventingKinds } from '../../../api/kinds.ts'
import {
  createFollowers,
  type FollowState,
  type Followers,
  type Wish,
} from '../../../sources/api-server/follow.ts'
import { apiServerSourceReconciler, type Form } from './api-server-source.ts'

const source = (spec: Partial<ApiServerSource['spec']>): ApiServerSource => ({
  apiVersion: 'sources.knative.dev/v1',
  kind: 'ApiServerSource',
  metadata: { name: 'source', namespace: 'default' },
  spec: { sink: { uri: 'http://sink' }, resources: [{ apiVersion: 'v1', kind: 'Pod' }], ...spec },
})
const key = { namespace: 'default', name: 'source' }

const form: Form<ApiServerSource> = {
  kind: ApiServerSource,
  modern: (each) => each,
  types: () => ['type'],
}

async function withSource(
  spec: Partial<ApiServerSource['spec']>,
  body: (world: {
    readonly client: ReturnType<typeof inMemoryPlatform>['client']
    readonly advance: () => Promise<void>
    readonly get: () => Promise<ApiServerSource>
    readonly wish: () => Wish | undefined
    readonly become: (state: FollowState) => Promise<void>
  }) => Promise<void>,
): Promise<void> {
  const clock = new SimClock()
  await using platform = inMemoryPlatform({
    kinds: [...coreKinds, ...servingKinds, ...eventingKinds],
    clock,
  })
  const { client } = platform
  let wished: Wish | undefined
  let state: FollowState = { kind: 'starting' }
  let changed = () => {}
  const followers: Followers = {
    follow: (_key, wish) => void (wished = wish),
    forget: () => void (wished = undefined),
    stateOf: () => state,
    onState(listener) {
      changed = () => listener({ ...key, name: `ApiServerSource.sources.knative.dev/${key.name}` })
      return { [Symbol.dispose]() {} }
    },
    async [Symbol.asyncDispose]() {},
  }
  await using _controller = startController(
    apiServerSourceReconciler(form, { followers, tell: () => async () => {} }),
    platform,
  )
  await client.create(ApiServerSource, source(spec))
  await clock.advance(1_000)
  await body({
    client,
    advance: () => clock.advance(1_000),
    get: () => client.get<ApiServerSource>(ApiServerSource, key),
    wish: () => wished,
    async become(next) {
      state = next
      changed()
      await clock.advance(1_000)
    },
  })
}

const namespace = (name: string, labels = {}) => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name, labels },
})

test('namespaces are those that a selector finds, in order; an empty one finds all with one watch', async () => {
  const env = { env: 'test' }
  await withSource(
    { namespaceSelector: { matchLabels: env } },
    async ({ client, advance, get, wish }) => {
      assert.deepEqual((await get()).status?.namespaces, [])
      await client.create(Namespace, namespace('shop', env))
      await client.create(Namespace, namespace('bank', env))
      await client.create(Namespace, namespace('other'))
      await advance()
      assert.deepEqual((await get()).status?.namespaces, ['bank', 'shop'])
      assert.deepEqual(wish()?.namespaces, ['bank', 'shop'])
      await client.patch(
        Namespace,
        { namespace: '', name: 'shop' },
        {
          type: 'merge',
          body: { metadata: { labels: { env: null } } },
        },
      )
      await advance()
      assert.deepEqual((await get()).status?.namespaces, ['bank'])
    },
  )
  await withSource({ namespaceSelector: {} }, async ({ get, wish }) => {
    const { namespaces = [] } = (await get()).status ?? {}
    assert.ok(namespaces.includes('default') && namespaces.includes('kube-system'))
    assert.deepEqual(namespaces, namespaces.toSorted())
    assert.deepEqual(wish()?.namespaces, [''])
  })
})

const oxen = (): CustomResourceDefinition => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'oxen.example.com' },
  spec: {
    group: 'example.com',
    scope: 'Cluster',
    names: { kind: 'Ox', plural: 'oxen', singular: 'ox', listKind: 'OxList' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: 'object' } },
      },
    ],
  },
})

test('what is followed goes by the name that the API has for it, whenever that is known', async () => {
  const resources = [
    { apiVersion: 'v1', kind: 'Node' },
    { apiVersion: 'example.com/v1', kind: 'Ox', selector: { matchLabels: { a: 'b' } } },
    { apiVersion: 'messaging.knative.dev/v1', kind: 'InMemoryChannel' },
  ]
  await withSource({ resources }, async ({ client, advance, wish }) => {
    const seen = () =>
      wish()?.resources.map(({ plural, namespaced, labelSelector }) => [
        plural,
        namespaced,
        labelSelector,
      ])
    const others = [
      ['nodes', false, ''],
      ['inmemorychannels', true, ''],
    ] as const
    assert.deepEqual(seen(), [others[0], ['oxs', true, 'a=b'], others[1]])
    await client.create(CustomResourceDefinition, oxen())
    await advance()
    assert.deepEqual(seen(), [others[0], ['oxen', false, 'a=b'], others[1]])
  })
})

test('missing rights are said, in a condition and in one Event, until they are granted', async () => {
  await withSource({}, async ({ client, get, become }) => {
    const missing = 'User u cannot get resource "pods"'
    await become({ kind: 'forbidden', missing })
    const permissions = conditionOf((await get()).status, 'SufficientPermissions')
    assert.deepEqual([permissions?.status, permissions?.reason], ['False', undefined])
    assert.equal(permissions?.message, missing)
    await become({ kind: 'forbidden', missing })
    const { items } = await client.list<KubeObject & { message?: string; count?: number }>(
      { group: '', version: 'v1', kind: 'Event', plural: 'events', namespaced: true },
      'default',
    )
    const about = items.filter(({ message }) => message === `insufficient permissions: ${missing}`)
    assert.deepEqual(
      about.map(({ count }) => count),
      [1],
    )
    await become({ kind: 'following' })
    assert.equal(conditionOf((await get()).status, 'Ready')?.status, 'True')
    await become({ kind: 'failed', problem: 'gone' })
    const ready = conditionOf((await get()).status, 'Ready')
    assert.deepEqual([ready?.status, ready?.reason], ['False', 'WatchFailed'])
  })
})

test('sources of two kinds may have one name', async () => {
  const clock = new SimClock()
  await using platform = inMemoryPlatform({
    kinds: [...coreKinds, ...servingKinds, ...eventingKinds],
    clock,
  })
  const { client, api, log } = platform
  const user = { username: 'admin', groups: ['system:masters'] }
  await using followers = createFollowers({
    clientAs: () => typedClient(api, { user, durable: false }),
    clock,
    log,
  })
  const told: string[] = []
  const deps = {
    followers,
    tell: (_source: ApiServerSource, _sink: unknown) => async (_type: string, about: KubeObject) =>
      void told.push(about.metadata.name),
  }
  await using _one = startController(
    apiServerSourceReconciler({ ...form, kind: FormerApiServerSource }, deps),
    platform,
  )
  const kind = KubernetesEventSource
  await using _other = startController(
    apiServerSourceReconciler({ kind, modern: asApiServerSource, types: () => [] }, deps),
    platform,
  )
  await client.create(KubernetesEventSource, {
    apiVersion: 'sources.eventing.knative.dev/v1alpha1',
    kind: 'KubernetesEventSource',
    metadata: key,
    spec: { sink: { uri: 'http://sink' } },
  })
  await clock.advance(5_000)
  await client.create(Event, {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: 'happened', namespace: 'default' },
    involvedObject: { kind: 'Pod', name: 'p', namespace: 'default' },
  })
  await clock.advance(1_000)
  assert.ok(told.includes('happened'), told.join(' '))
  await client.create(FormerApiServerSource, {
    ...source({}),
    apiVersion: 'sources.eventing.knative.dev/v1alpha1',
  })
  await clock.advance(1_000)
  await client.delete(FormerApiServerSource, key)
  await clock.advance(1_000)
  const found = await client.get(KubernetesEventSource, key)
  assert.equal(conditionOf(found.status, 'Ready')?.status, 'True')
})
