import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigMap } from '../../../kube/api/config-map.ts'
import { coreKinds } from '../../../kube/api/kinds.ts'
import { RoleBinding } from '../../../kube/api/role-binding.ts'
import { Role } from '../../../kube/api/role.ts'
import { typedClient } from '../../../kube/client/typed-client.ts'
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
      labelSelector: 'follow=me',
    },
  ],
}
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
