import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigMap } from '../../../kube/api/config-map.ts'
import { coreKinds } from '../../../kube/api/kinds.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import { Namespace } from '../../../kube/api/namespace.ts'
import { RoleBinding } from '../../../kube/api/role-binding.ts'
import { Role } from '../../../kube/api/role.ts'
import { typedClient, type TypedClient } from '../../../kube/client/typed-client.ts'
import { silent } from '../../../lib/log.ts'
import { inMemoryPlatform } from '../../../testing/platform.ts'
import { settle, SimClock } from '../../../testing/sim-clock.ts'
import { createFollowers, type Wish } from './follow.ts'

const key = { namespace: 'default', name: 'source' }
const wish: Wish = {
  account: { namespace: 'default', name: 'watcher' },
  namespaces: ['default'],
  resources: [
    {
      group: '',
      version: 'v1',
      kind: 'ConfigMap',
      plural: 'configmaps',
      namespaced: true,
      labelSelector: 'follow=me',
    },
  ],
}
async function allow(client: TypedClient): Promise<void> {
  const rules = [{ apiGroups: [''], resources: ['configmaps'], verbs: ['get', 'list', 'watch'] }]
  const metadata = { name: 'watcher', namespace: 'default' }
  const rbac = 'rbac.authorization.k8s.io'
  await client.create(Role, { apiVersion: `${rbac}/v1`, kind: 'Role', metadata, rules })
  await client.create(RoleBinding, {
    apiVersion: `${rbac}/v1`,
    kind: 'RoleBinding',
    metadata,
    roleRef: { apiGroup: rbac, kind: 'Role', name: 'watcher' },
    subjects: [{ kind: 'ServiceAccount', name: 'watcher', namespace: 'default' }],
  })
}

const admin = { username: 'admin', groups: ['system:masters'] }
const map = (name: string, labels: Readonly<Record<string, string>>, text = '') => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'default', labels },
  data: { text },
})

test('changes that the account may see are told; what was there before is none', async () => {
  const clock = new SimClock()
  await using platform = inMemoryPlatform({ kinds: coreKinds, clock })
  const { client, api } = platform
  await using followers = createFollowers({
    clientAs: (user) => typedClient(api, { user, durable: false }),
    clock,
    log: silent,
  })
  const told: string[] = []
  const states: string[] = []
  followers.onState(() => states.push(followers.stateOf(key).kind))
  await client.create(ConfigMap, map('before', { follow: 'me' }))
  followers.follow(
    key,
    wish,
    async (type, { metadata }) => void told.push(`${type} ${metadata.name}`),
  )
  await settle(10)
  const state = followers.stateOf(key)
  assert.deepEqual(state, {
    kind: 'forbidden',
    missing:
      'User system:serviceaccount:default:watcher cannot get, list, watch resource "configmaps" in API group "" in Namespace "default"',
  })

  await allow(client)
  await clock.advance(20_000)
  await settle(10)
  assert.equal(followers.stateOf(key).kind, 'following')

  await client.create(ConfigMap, map('seen', { follow: 'me' }))
  await client.create(ConfigMap, map('other', { follow: 'not' }))
  await client.update(ConfigMap, map('seen', { follow: 'me' }, 'changed'))
  await client.delete(ConfigMap, { namespace: 'default', name: 'seen' })
  await settle(10)
  assert.deepEqual(told, ['add seen', 'update seen', 'delete seen'])
  assert.deepEqual(states, ['forbidden', 'following'])

  followers.follow(key, undefined)
  await client.create(ConfigMap, map('late', { follow: 'me' }))
  await settle(10)
  assert.equal(told.length, 3)
})

test('who goes on with other namespaces misses nothing of those that it had', async () => {
  const clock = new SimClock()
  await using platform = inMemoryPlatform({ kinds: coreKinds, clock })
  const { client, api } = platform
  await using followers = createFollowers({
    clientAs: () => typedClient(api, { user: admin, durable: false }),
    clock,
    log: silent,
  })
  const told: string[] = []
  const tell = async (type: string, { metadata }: KubeObject) =>
    void told.push(`${type} ${metadata.namespace ?? ''}/${metadata.name}`)
  followers.follow(key, wish, tell)
  await settle(10)
  // Its sink is away for a while.
  followers.follow(key, undefined)
  await client.create(ConfigMap, map('one', { follow: 'me' }))
  await settle(10)
  assert.deepEqual(told, [])
  followers.follow(key, { ...wish, namespaces: ['default', 'kube-system'] }, tell)
  await settle(10)
  assert.deepEqual(told, ['add default/one'])
  // Another source of the same name has not seen anything yet.
  followers.follow(key, undefined)
  await client.create(ConfigMap, map('two', { follow: 'me' }))
  followers.follow(key, { ...wish, uid: 'another' }, tell)
  await settle(10)
  assert.deepEqual(told, ['add default/one'])
  assert.equal(followers.stateOf(key).kind, 'following')
})

test('objects of no namespace are followed whatever the namespaces are; none is as good as any', async () => {
  const clock = new SimClock()
  await using platform = inMemoryPlatform({ kinds: coreKinds, clock })
  const { client, api } = platform
  await using followers = createFollowers({
    clientAs: () => typedClient(api, { user: admin, durable: false }),
    clock,
    log: silent,
  })
  const told: string[] = []
  const tell = async (type: string, { metadata }: KubeObject) =>
    void told.push(`${type} ${metadata.name}`)
  const { kind, plural } = Namespace
  const namespaces = {
    group: '',
    version: 'v1',
    kind,
    plural,
    namespaced: false,
    labelSelector: '',
  }
  followers.follow(key, { ...wish, namespaces: [], resources: [namespaces] }, tell)
  await settle(10)
  const metadata = { name: 'shop' }
  await client.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata })
  await settle(10)
  assert.deepEqual(told, ['add shop'])
  followers.follow(key, { ...wish, namespaces: [] }, tell)
  await settle(10)
  assert.equal(followers.stateOf(key).kind, 'following')
})

test('whose rights are taken away gets no further watch', async () => {
  const clock = new SimClock()
  await using platform = inMemoryPlatform({ kinds: coreKinds, clock })
  const { client } = platform
  await using followers = createFollowers({
    clientAs: (user) => typedClient(platform.api, { user, durable: false }),
    clock,
    log: silent,
  })
  await allow(client)
  followers.follow(key, wish, async () => {})
  await settle(10)
  assert.equal(followers.stateOf(key).kind, 'following')
  await client.delete(RoleBinding, { namespace: 'default', name: 'watcher' })
  // A watch takes five minutes, which the server in the same process ends on time.
  await clock.advance(400_000)
  await settle(10)
  assert.equal(followers.stateOf(key).kind, 'forbidden')
})

test('without a look at its rights first, their lack is a failure', async () => {
  const clock = new SimClock()
  await using platform = inMemoryPlatform({ kinds: coreKinds, clock })
  await using followers = createFollowers({
    clientAs: (user) => typedClient(platform.api, { user, durable: false }),
    clock,
    log: silent,
  })
  followers.follow(key, { ...wish, unchecked: true }, async () => {})
  await settle(10)
  const state = followers.stateOf(key)
  assert.equal(state.kind, 'failed')
  assert.match(state.kind === 'failed' ? state.problem : '', /cannot get, list, watch resource/)
  await allow(platform.client)
  await clock.advance(20_000)
  await settle(10)
  assert.equal(followers.stateOf(key).kind, 'following')
})
