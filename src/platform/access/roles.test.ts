/** Who may edit a namespace may edit what Knative and Tekton have in it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silent } from '../../lib/log.ts'
import { seededRandom } from '../../lib/random.ts'
import { createAccess } from '../../kube/apiserver/access/access.ts'
import { memoryStore } from '../../kube/store/memory-store.ts'
import type { Store } from '../../kube/store/store.ts'
import { SimClock } from '../../testing/sim-clock.ts'
import { productRoles } from './roles.ts'

/** A user of the name of a role has it in `default`. */
function bind(store: Store, name: string): void {
  const binding = {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'RoleBinding',
    metadata: { name, namespace: 'default' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
    subjects: [{ kind: 'User', name }],
  }
  store.put(`rolebindings.rbac.authorization.k8s.io/default/${name}`, binding)
}

test('admin, edit and view reach the kinds of the products', () => {
  const store = memoryStore()
  for (const name of ['admin', 'edit', 'view']) bind(store, name)
  using access = createAccess({
    store,
    clock: new SimClock(),
    random: seededRandom(1),
    log: silent,
    rootCA: '',
    servesRoles: true,
    policy: productRoles(),
  })
  const may = (username: string, verb: string, resource: string, group: string): boolean =>
    access.authorizer.authorize(
      { username, groups: [] },
      { verb, group, resource, subresource: '', namespace: 'default', name: 'x' },
    ) === undefined
  for (const [resource, group] of [
    ['services', 'serving.knative.dev'],
    ['brokers', 'eventing.knative.dev'],
    ['taskruns', 'tekton.dev'],
  ] as const) {
    const rights = ['admin', 'edit', 'view'].map((user) => [
      may(user, 'get', resource, group),
      may(user, 'update', resource, group),
    ])
    assert.deepEqual(
      rights,
      [
        [true, true],
        [true, true],
        [true, false],
      ],
      resource,
    )
  }
})

test('roles of all kinds of a sort: who has one may resolve, or subscribe to, each of them', () => {
  const store = memoryStore()
  const roles = [
    'addressable-resolver',
    'channelable-manipulator',
    'source-observer',
    'crossnamespace-subscriber',
  ]
  for (const name of roles) bind(store, name)
  using access = createAccess({
    store,
    clock: new SimClock(),
    random: seededRandom(1),
    log: silent,
    rootCA: '',
    servesRoles: true,
    policy: productRoles(),
  })
  const who = (verb: string, group: string, resource: string): readonly string[] =>
    roles.filter(
      (username) =>
        access.authorizer.authorize(
          { username, groups: [] },
          { verb, group, resource, subresource: '', namespace: 'default', name: 'x' },
        ) === undefined,
    )
  assert.deepEqual(who('get', 'eventing.knative.dev', 'brokers'), ['addressable-resolver'])
  assert.deepEqual(who('get', 'serving.knative.dev', 'services'), ['addressable-resolver'])
  assert.deepEqual(who('patch', 'messaging.knative.dev', 'inmemorychannels'), [
    'channelable-manipulator',
  ])
  assert.deepEqual(who('list', 'sources.knative.dev', 'pingsources'), ['source-observer'])
  assert.deepEqual(who('knsubscribe', 'messaging.knative.dev', 'channels'), [
    'crossnamespace-subscriber',
  ])
})
