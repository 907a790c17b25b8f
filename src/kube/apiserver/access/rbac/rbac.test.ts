/** Who may do what by roles and bindings: a table, aggregation, escalation, and properties over random roles. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { SimClock } from '../../../../testing/sim-clock.ts'
import { inMemoryPlatform } from '../../../../testing/platform.ts'
import type { UserInfo } from '../../../api/kind.ts'
import { ClusterRole } from '../../../api/cluster-role.ts'
import { coreKinds } from '../../../api/kinds.ts'
import type { KubeObject } from '../../../api/meta.ts'
import { rbacGroup, type PolicyRule } from '../../../api/policy-rule.ts'
import { typedClient } from '../../../client/typed-client.ts'
import type { Attributes } from '../authorization.ts'
import { allows, missingRights, readyRule } from './rules.ts'
import { bootstrapPolicy } from './bootstrap.ts'

const apiVersion = `${rbacGroup}/v1`

type Rule = PolicyRule
const on = (verbs: string, resources: string, more: Partial<Rule> = {}): Rule => ({
  apiGroups: [''],
  resources: resources.split(' '),
  verbs: verbs.split(' '),
  ...more,
})

/** `get pods/log in a named x`: resource, subresource, namespace, name. */
const asks = (text: string): Attributes => {
  const [verb = '', what = '', namespace = '', name = '', group = ''] = text.split(' ')
  if (what.startsWith('/')) return { verb, path: what }
  const [resource = '', subresource = ''] = what.split('/')
  const none = (word: string) => (word === '-' ? '' : word)
  return { verb, resource, subresource, namespace: none(namespace), name: none(name), group }
}

const cases: readonly [string, Rule, string, boolean][] = [
  ['a verb', on('get', 'pods'), 'get pods a x', true],
  ['another verb', on('get', 'pods'), 'list pods a', false],
  ['every verb', on('*', 'pods'), 'bless pods a', true],
  ['another resource', on('get', 'pods'), 'get secrets a x', false],
  ['another group', on('get', 'pods'), 'get pods a x metrics.k8s.io', false],
  ['every group', on('get', 'pods', { apiGroups: ['*'] }), 'get pods a x metrics.k8s.io', true],
  ['a resource has not its subresources', on('get', 'pods'), 'get pods/log a x', false],
  ['a subresource has not its resource', on('get', 'pods/log'), 'get pods a x', false],
  ['a subresource', on('get', 'pods/log'), 'get pods/log a x', true],
  ['the subresource of every resource', on('update', '*/scale'), 'update things/scale a x', true],
  ['and not another', on('update', '*/scale'), 'update things/status a x', false],
  ['every resource has every subresource', on('get', '*'), 'get pods/log a x', true],
  ['a name', on('get', 'pods', { resourceNames: ['x'] }), 'get pods a x', true],
  ['another name', on('get', 'pods', { resourceNames: ['x'] }), 'get pods a y', false],
  ['no name', on('list', 'pods', { resourceNames: ['x'] }), 'list pods a', false],
  ['a list by name', on('list', 'pods', { resourceNames: ['x'] }), 'list pods a x', true],
  ['a path', { verbs: ['get'], nonResourceURLs: ['/metrics'] }, 'get /metrics', true],
  ['a path below', { verbs: ['get'], nonResourceURLs: ['/metrics'] }, 'get /metrics/x', false],
  ['paths below', { verbs: ['get'], nonResourceURLs: ['/apis/*'] }, 'get /apis/apps/v1', true],
  ['a prefix is no word', { verbs: ['get'], nonResourceURLs: ['/api*'] }, 'get /apis', true],
  ['every path', { verbs: ['*'], nonResourceURLs: ['*'] }, 'post /x', true],
  ['a path is no resource', { verbs: ['*'], nonResourceURLs: ['*'] }, 'get pods a x', false],
  ['a resource is no path', on('*', '*', { apiGroups: ['*'] }), 'get /metrics', false],
  ['nothing', {}, 'get pods a x', false],
]

for (const [what, rule, request, allowed] of cases)
  test(`rule: ${what}`, () => assert.equal(allows(readyRule(rule), asks(request)), allowed))

async function start() {
  const clock = new SimClock()
  const platform = inMemoryPlatform({ kinds: coreKinds, clock })
  const as = (user: UserInfo) => typedClient(platform.api, { user, durable: false })
  const kindOf = (kind: string) => coreKinds.find((each) => each.kind === kind)
  const object = (kind: string, name: string, rest: object): KubeObject => ({
    apiVersion,
    kind,
    metadata: { name, ...(!kind.startsWith('Cluster') && { namespace: 'default' }) },
    ...rest,
  })
  const make = (kind: string, name: string, rest: object, user?: UserInfo) => {
    const definition = kindOf(kind)
    assert.ok(definition)
    return (user ? as(user) : platform.client).create(definition, object(kind, name, rest))
  }
  const bind = (name: string, role: string, subject: object, user?: UserInfo) => {
    const [kind = '', roleName = ''] = role.split('/')
    const roleRef = { apiGroup: rbacGroup, kind, name: roleName }
    return make('RoleBinding', name, { roleRef, subjects: [subject] }, user)
  }
  const may = (user: UserInfo, request: string) =>
    platform.api.access.authorizer.authorize(user, asks(request)) === undefined
  return { ...platform, as, make, bind, may, object }
}

const jane: UserInfo = { username: 'jane', groups: ['devs', 'system:authenticated'] }
const user = (name: string) => ({ kind: 'User', apiGroup: rbacGroup, name })

test('bindings: to users, groups and accounts, in a namespace or everywhere, until they go', async () => {
  await using world = await start()
  await world.make('Role', 'r', { rules: [on('get', 'pods')] })
  await world.make('ClusterRole', 'c', { rules: [on('list', 'pods')] })
  await world.bind('u', 'Role/r', user('jane'))
  await world.bind('g', 'ClusterRole/c', { kind: 'Group', apiGroup: rbacGroup, name: 'devs' })
  assert.deepEqual(
    ['get pods default x', 'get pods other x', 'list pods default', 'list pods -'].map((request) =>
      world.may(jane, request),
    ),
    [true, false, true, false],
  )
  await world.bind('s', 'Role/r', { kind: 'ServiceAccount', name: 'bot' })
  const bot = { username: 'system:serviceaccount:default:bot', groups: [] }
  assert.ok(world.may(bot, 'get pods default x'))
  const roleRef = { apiGroup: rbacGroup, kind: 'ClusterRole', name: 'c' }
  await world.make('ClusterRoleBinding', 'all', { roleRef, subjects: [user('jane')] })
  assert.ok(world.may(jane, 'list pods -') && world.may(jane, 'list pods other'))
  assert.deepEqual(world.api.access.authorizer.explain(bot, asks('get pods default x')), {
    allowed: true,
    reason: 'RBAC: allowed by RoleBinding "s/default" of Role "r" to ServiceAccount "bot/default"',
  })
  const roles = coreKinds.find(({ kind }) => kind === 'RoleBinding')
  assert.ok(roles)
  await world.client.delete(roles, { namespace: 'default', name: 'u' })
  assert.ok(!world.may(jane, 'get pods default x'))
})

test('a binding to a role that is not there is told of in the refusal', async () => {
  await using world = await start()
  await world.bind('b', 'ClusterRole/nope', user('jane'))
  const refusal = world.api.access.authorizer.authorize(jane, asks('get pods default x'))
  assert.equal(
    refusal?.message,
    'pods "x" is forbidden: User "jane" cannot get resource "pods" in API group "" in the namespace "default": RBAC: clusterrole.rbac.authorization.k8s.io "nope" not found',
  )
})

test('a role made of others has what they have at once, and says so', async () => {
  await using world = await start()
  await world.bind('b', 'ClusterRole/view', user('jane'))
  assert.ok(world.may(jane, 'list pods default') && !world.may(jane, 'list secrets default'))
  assert.ok(!world.may(jane, 'list widgets default - ex.dev'))
  const labels = { [`${rbacGroup}/aggregate-to-view`]: 'true' }
  const rules = [on('list', 'widgets', { apiGroups: ['ex.dev'] })]
  await world.client.create<ClusterRole>(ClusterRole, {
    apiVersion,
    kind: 'ClusterRole',
    metadata: { name: 'widgets', labels },
    rules: [{ apiGroups: ['ex.dev'], resources: ['widgets'], verbs: ['list'] }],
  })
  assert.ok(world.may(jane, 'list widgets default - ex.dev'))
  // admin is made of edit, which is made of view.
  for (const name of ['view', 'edit', 'admin']) {
    const role = await world.client.get<ClusterRole>(ClusterRole, { namespace: '', name })
    assert.ok(
      role.rules?.some((rule) => rule.apiGroups?.includes('ex.dev')),
      name,
    )
  }
  assert.equal(rules.length, 1)
  await world.client.delete(ClusterRole, { namespace: '', name: 'widgets' })
  assert.ok(!world.may(jane, 'list widgets default - ex.dev'))
})

test('nobody gives what he has not', async () => {
  await using world = await start()
  await world.bind('b', 'ClusterRole/admin', user('jane'))
  const refused = (made: Promise<unknown>, message: string | RegExp) =>
    assert.rejects(made, { code: 403, message })
  await world.make('Role', 'fine', { rules: [on('get list', 'secrets')] }, jane)
  await refused(
    world.make('Role', 'esc', { rules: [on('get delete', 'nodes'), on('get', 'pods')] }, jane),
    'roles.rbac.authorization.k8s.io "esc" is forbidden: user "jane" (groups=["devs" "system:authenticated"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[""], Resources:["nodes"], Verbs:["get" "delete"]}',
  )
  await world.bind('ok', 'ClusterRole/view', user('joe'), jane)
  await refused(
    world.bind('more', 'ClusterRole/cluster-admin', user('joe'), jane),
    /rolebindings.rbac.authorization.k8s.io "more" is forbidden: .*not currently held:\n\{APIGroups:\["\*"\], Resources:\["\*"\], Verbs:\["\*"\]\}\n\{NonResourceURLs:\["\*"\], Verbs:\["\*"\]\}$/,
  )
  await assert.rejects(world.bind('lost', 'ClusterRole/nope', user('joe'), jane), {
    code: 404,
    message: 'clusterroles.rbac.authorization.k8s.io "nope" not found',
  })
  // Who may `bind` a role may, and who may `escalate` too.
  await world.make('Role', 'binder', {
    rules: [
      {
        apiGroups: [rbacGroup],
        resources: ['clusterroles'],
        verbs: ['bind'],
        resourceNames: ['cluster-admin'],
      },
      { apiGroups: [rbacGroup], resources: ['roles'], verbs: ['escalate'] },
    ],
  })
  await world.bind('binder', 'Role/binder', user('jane'))
  await world.bind('more', 'ClusterRole/cluster-admin', user('joe'), jane)
  await world.make('Role', 'esc', { rules: [on('get', 'nodes')] }, jane)
})

test('what a role may hold in the future nobody but an administrator gives', async () => {
  await using world = await start()
  await world.make('ClusterRole', 'writer', {
    rules: [on('*', 'clusterroles', { apiGroups: [rbacGroup] })],
  })
  const rules = [on('create', 'clusterroles', { apiGroups: [rbacGroup] })]
  await world.make('ClusterRole', 'maker', { rules })
  const roleRef = { apiGroup: rbacGroup, kind: 'ClusterRole', name: 'maker' }
  await world.make('ClusterRoleBinding', 'maker', { roleRef, subjects: [user('jane')] })
  const aggregationRule = { clusterRoleSelectors: [{ matchLabels: { a: 'b' } }] }
  await assert.rejects(world.make('ClusterRole', 'x', { aggregationRule }, jane), {
    message:
      'clusterroles.rbac.authorization.k8s.io "x" is forbidden: must have cluster-admin privileges to use an aggregationRule',
  })
})

test('default roles come back, with what they lost and without losing what they won', async () => {
  await using world = await start()
  const key = (name: string) => ({ namespace: '', name })
  const before = await world.client.get<ClusterRole>(ClusterRole, key('system:basic-user'))
  const [first, ...others] = before.rules ?? []
  assert.ok(first && others.length > 0)
  const extra = { apiGroups: ['x'], resources: ['y'], verbs: ['get'] }
  await world.client.update(ClusterRole, { ...before, rules: [...others, extra] })
  const off = await world.client.get<ClusterRole>(ClusterRole, key('system:discovery'))
  const annotations = { 'rbac.authorization.kubernetes.io/autoupdate': 'false' }
  await world.client.update(ClusterRole, {
    ...off,
    rules: [],
    metadata: { ...off.metadata, annotations },
  })
  await world.client.delete(ClusterRole, key('system:auth-delegator'))
  bootstrapPolicy(world)
  const after = await world.client.get<ClusterRole>(ClusterRole, key('system:basic-user'))
  assert.deepEqual(missingRights(after.rules ?? [], [...(before.rules ?? []), extra]), [])
  const kept = await world.client.get<ClusterRole>(ClusterRole, key('system:discovery'))
  assert.deepEqual(kept.rules, [])
  await world.client.get(ClusterRole, key('system:auth-delegator'))
  const { revision } = world.store
  bootstrapPolicy(world)
  assert.equal(world.store.revision, revision, 'nothing is written twice')
})

const word = fc.constantFrom('a', 'b', 'c', '*')
const list = fc.array(word, { maxLength: 3 })
const rules = fc.array(
  fc.oneof(
    fc.record({
      verbs: list,
      apiGroups: list,
      resources: fc.array(fc.constantFrom('a', 'b', 'a/b', '*/b', '*'), { maxLength: 3 }),
      resourceNames: fc.array(fc.constantFrom('x', 'y'), { maxLength: 2 }),
    }),
    fc.record({
      verbs: list,
      nonResourceURLs: fc.array(fc.constantFrom('/a', '/a/*', '*', '/b'), { maxLength: 2 }),
    }),
  ),
  { maxLength: 4 },
)
const anyRequest = fc.oneof(
  fc.record({ verb: word, path: fc.constantFrom('/a', '/a/c', '/b') }),
  fc.record({
    verb: word,
    group: word,
    resource: fc.constantFrom('a', 'b'),
    subresource: fc.constantFrom('', 'b', 'c'),
    namespace: fc.constant('n'),
    name: fc.constantFrom('', 'x', 'z'),
  }),
)

test('whoever lacks no right of some rules may do all that they allow', () => {
  fc.assert(
    fc.property(rules, rules, anyRequest, (held, wanted, request) => {
      if (missingRights(held, wanted).length > 0) return
      const may = (some: readonly Rule[]) =>
        some.map(readyRule).some((rule) => allows(rule, request))
      // A star as a word of the request is the one thing that a list of words does not cover.
      if (may(wanted)) assert.ok(may(held), JSON.stringify({ held, wanted, request }))
    }),
    { numRuns: 800 },
  )
})

test('everybody has his own rights', () => {
  fc.assert(fc.property(rules, (held) => assert.deepEqual(missingRights(held, held), [])))
})
