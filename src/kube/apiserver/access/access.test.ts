/** The door over real connections: impersonation, reviews, the audit log, metrics, health, leases. */
import assert from 'node:assert/strict'
import { request as httpRequest } from 'node:http'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import fc from 'fast-check'
import { silent } from '../../../lib/log.ts'
import { seededRandom } from '../../../lib/random.ts'
import { SimClock } from '../../../testing/sim-clock.ts'
import { coreKinds } from '../../api/kinds.ts'
import { rbacGroup } from '../../api/policy-rule.ts'
import { memoryStore } from '../../store/memory-store.ts'
import { createApiServer } from '../api-server.ts'
import { authenticator, serveHttp } from '../http/http.ts'
import { fieldsOf, type Fields } from '../values.ts'
import { openAudit } from './audit/audit.ts'
import { auditPolicy } from './audit/policy.ts'

async function start(
  options: { policy?: object; failure?: () => string | undefined; seats?: number } = {},
) {
  const clock = new SimClock()
  const api = createApiServer({
    store: memoryStore(),
    kinds: coreKinds,
    clock,
    random: seededRandom(1),
    log: silent,
    ...(options.seats !== undefined && { access: { readSeats: options.seats } }),
  })
  const lines: Fields[] = []
  const http = await serveHttp({
    api,
    host: '127.0.0.1',
    port: 0,
    log: silent,
    clock,
    ...(options.policy && {
      audit: openAudit({
        clock,
        policy: auditPolicy({ apiVersion: 'audit.k8s.io/v1', kind: 'Policy', ...options.policy }),
        write: (line) => lines.push(fieldsOf(JSON.parse(line))),
      }),
    }),
    ...(options.failure && { storeHealth: options.failure }),
    authenticate: authenticator({
      accounts: api.access.tokens,
      tokens: new Map([
        ['root', { username: 'admin', groups: ['system:masters'] }],
        ['jane', { username: 'jane', groups: ['devs'] }],
      ]),
    }),
  })
  const send = (
    method: string,
    path: string,
    { body, token = 'root', headers = [] }: Sent = {},
  ): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const bytes = body && JSON.stringify(body)
      const all = [
        ...(token ? ['authorization', `Bearer ${token}`] : []),
        ...(bytes
          ? ['content-type', patchType(method), 'content-length', String(Buffer.byteLength(bytes))]
          : []),
        'host',
        'x',
        ...headers,
      ]
      const request = httpRequest(`${http.url}${path}`, { method, agent: false, headers: all })
      request.on('error', reject).on('response', (response) => {
        void text(response).then((answered) => {
          const isJson = response.headers['content-type']?.startsWith('application/json') === true
          const json = isJson && answered !== '' ? fieldsOf(JSON.parse(answered)) : {}
          resolve({
            code: response.statusCode ?? 0,
            text: answered,
            json,
            headers: response.headers,
          })
        })
      })
      request.end(bytes)
    })
  return {
    api,
    clock,
    lines,
    send,
    async [Symbol.asyncDispose]() {
      await http[Symbol.asyncDispose]()
      api[Symbol.dispose]()
    },
  }
}
interface Sent {
  readonly body?: object
  readonly token?: string
  /** Name, value, name, value…, as they are to be sent. */
  readonly headers?: readonly string[]
}
interface Answer {
  readonly code: number
  readonly text: string
  readonly json: Fields
  readonly headers: NodeJS.Dict<string | string[]>
}
const patchType = (method: string) =>
  method === 'PATCH' ? 'application/apply-patch+yaml' : 'application/json'

const selfReview = '/apis/authentication.k8s.io/v1/selfsubjectreviews'
const role = (rules: readonly object[]) => ({
  apiVersion: `${rbacGroup}/v1`,
  kind: 'ClusterRole',
  metadata: { name: 'r' },
  rules,
})
const bound = {
  apiVersion: `${rbacGroup}/v1`,
  kind: 'ClusterRoleBinding',
  metadata: { name: 'r' },
  roleRef: { apiGroup: rbacGroup, kind: 'ClusterRole', name: 'r' },
  subjects: [{ kind: 'User', name: 'jane' }],
}
type World = Awaited<ReturnType<typeof start>>
async function janeMay({ send }: World, ...rules: readonly object[]): Promise<void> {
  const made = await send('POST', `/apis/${rbacGroup}/v1/clusterroles`, { body: role(rules) })
  assert.equal(made.code, 201, made.text)
  await send('POST', `/apis/${rbacGroup}/v1/clusterrolebindings`, { body: bound })
}

test('each part of another identity has to be allowed', async () => {
  await using world = await start()
  const { send } = world
  await janeMay(
    world,
    { apiGroups: [''], resources: ['users'], resourceNames: ['joe'], verbs: ['impersonate'] },
    { apiGroups: [''], resources: ['groups'], resourceNames: ['a, b'], verbs: ['impersonate'] },
    {
      apiGroups: ['authentication.k8s.io'],
      resources: ['userextras/scopes'],
      resourceNames: ['read'],
      verbs: ['impersonate'],
    },
  )
  const as = (...headers: string[]) =>
    send('POST', selfReview, { token: 'jane', body: {}, headers })
  const joe = await as(
    'Impersonate-User',
    'joe',
    'Impersonate-Group',
    'a, b',
    'Impersonate-Extra-Scopes',
    'read',
  )
  assert.deepEqual(fieldsOf(joe.json['status'])['userInfo'], {
    username: 'joe',
    groups: ['a, b', 'system:authenticated'],
    extra: { scopes: ['read'] },
  })
  const refused = async (message: string, ...headers: string[]) => {
    const { code, json } = await as(...headers)
    assert.deepEqual([code, json['message']], [403, message])
  }
  await refused(
    'users "bob" is forbidden: User "jane" cannot impersonate resource "users" in API group "" at the cluster scope',
    'Impersonate-User',
    'bob',
  )
  await refused(
    'groups "system:masters" is forbidden: User "jane" cannot impersonate resource "groups" in API group "" at the cluster scope',
    'Impersonate-User',
    'joe',
    'Impersonate-Group',
    'system:masters',
  )
  await refused(
    'uids.authentication.k8s.io "7" is forbidden: User "jane" cannot impersonate resource "uids" in API group "authentication.k8s.io" at the cluster scope',
    'Impersonate-User',
    'joe',
    'Impersonate-Uid',
    '7',
  )
  await refused(
    'serviceaccounts "x" is forbidden: User "jane" cannot impersonate resource "serviceaccounts" in API group "" in the namespace "n"',
    'Impersonate-User',
    'system:serviceaccount:n:x',
  )
  const nobody = await as('Impersonate-Group', 'a, b')
  assert.deepEqual([nobody.code, /without impersonating a user/.test(nobody.text)], [500, true])
  const root = await send('POST', selfReview, {
    body: {},
    headers: ['Impersonate-User', 'system:serviceaccount:n:x'],
  })
  assert.deepEqual(fieldsOf(fieldsOf(root.json['status'])['userInfo'])['groups'], [
    'system:serviceaccounts',
    'system:serviceaccounts:n',
    'system:authenticated',
  ])
})

test('reviews: what somebody may, all that one may, whose a token is', async () => {
  await using world = await start()
  const { send } = world
  await janeMay(world, { apiGroups: [''], resources: ['pods'], verbs: ['get'] })
  const may = (kind: string, spec: object, token?: string, namespace = '') =>
    send(
      'POST',
      `/apis/authorization.k8s.io/v1/${namespace && `namespaces/${namespace}/`}${kind}`,
      { body: { spec }, ...(token && { token }) },
    )
  const pods = { verb: 'get', resource: 'pods', namespace: 'n' }
  const own = await may('selfsubjectaccessreviews', { resourceAttributes: pods }, 'jane')
  assert.deepEqual(own.json['status'], {
    allowed: true,
    reason: 'RBAC: allowed by ClusterRoleBinding "r" of ClusterRole "r" to User "jane"',
  })
  const other = await may('subjectaccessreviews', { resourceAttributes: pods, user: 'joe' })
  assert.deepEqual(other.json['status'], { allowed: false })
  assert.equal((await may('subjectaccessreviews', { resourceAttributes: pods })).code, 422)
  assert.equal((await may('subjectaccessreviews', { user: 'joe' })).code, 422)
  assert.equal(
    (await may('subjectaccessreviews', { resourceAttributes: pods, user: 'joe' }, 'jane')).code,
    403,
  )
  const local = { resourceAttributes: pods, user: 'jane' }
  assert.equal((await may('localsubjectaccessreviews', local, undefined, 'default')).code, 422)
  const here = await may('localsubjectaccessreviews', local, undefined, 'n')
  assert.equal(fieldsOf(here.json['status'])['allowed'], true)
  const all = await may('selfsubjectrulesreviews', { namespace: 'n' }, 'jane')
  const { resourceRules, nonResourceRules, incomplete } = fieldsOf(all.json['status'])
  assert.ok(Array.isArray(resourceRules) && Array.isArray(nonResourceRules))
  assert.ok(
    resourceRules.some(
      (rule) => JSON.stringify(rule) === '{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}',
    ),
  )
  assert.equal(incomplete, false)

  const path = '/api/v1/namespaces/default/serviceaccounts/default/token'
  const asked = await send('POST', path, { body: { spec: { audiences: ['vault'] } } })
  const token = fieldsOf(asked.json['status'])['token']
  const review = (spec: object) =>
    send('POST', '/apis/authentication.k8s.io/v1/tokenreviews', { body: { spec } })
  const good = await review({ token, audiences: ['x', 'vault'] })
  const { authenticated, audiences, user } = fieldsOf(good.json['status'])
  assert.deepEqual(
    [authenticated, audiences, fieldsOf(user)['username']],
    [true, ['vault'], 'system:serviceaccount:default:default'],
  )
  const bad = await review({ token })
  assert.deepEqual(
    [bad.code, bad.json['status']],
    [201, { user: {}, error: 'invalid bearer token' }],
  )
  assert.equal((await send('GET', '/api', { token: String(token) })).code, 401)
})

test('who may patch or update does not make by it what he may not create', async () => {
  await using world = await start()
  const { send } = world
  await janeMay(
    world,
    { apiGroups: [''], resources: ['configmaps'], verbs: ['patch', 'update', 'get'] },
    { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['update'] },
  )
  const path = '/api/v1/namespaces/default/configmaps/c?fieldManager=t'
  const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'c' }, data: { a: 'b' } }
  const applied = await send('PATCH', path, { token: 'jane', body })
  assert.deepEqual(
    [applied.code, applied.json['message']],
    [
      403,
      'configmaps "c" is forbidden: User "jane" cannot create resource "configmaps" in API group "" in the namespace "default"',
    ],
  )
  const lease = { metadata: { name: 'l' }, spec: {} }
  const leases = '/apis/coordination.k8s.io/v1/namespaces/default/leases/l'
  assert.equal((await send('PUT', leases, { token: 'jane', body: lease })).code, 403)
  assert.equal((await send('PATCH', path, { body })).code, 201)
  const changed = { ...body, data: { a: 'c' } }
  assert.equal((await send('PATCH', path, { token: 'jane', body: changed })).code, 200)
})

test('the audit log has what the policy wants of it', async () => {
  await using world = await start({
    policy: {
      omitStages: ['RequestReceived'],
      rules: [
        { level: 'None', nonResourceURLs: ['/healthz*', '/version'] },
        { level: 'RequestResponse', resources: [{ resources: ['configmaps'] }], verbs: ['create'] },
        { level: 'Request', resources: [{ resources: ['serviceaccounts/token'] }] },
        { level: 'Metadata', userGroups: ['devs'] },
      ],
    },
  })
  const { send, lines } = world
  await send('GET', '/healthz')
  await send('GET', '/api')
  const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'c' } }
  await send('POST', '/api/v1/namespaces/default/configmaps', { body })
  await send('GET', '/api/v1/namespaces/default/pods/x?pretty=1', {
    token: 'jane',
    headers: ['user-agent', 'test/1'],
  })
  await send('POST', '/api/v1/namespaces/default/serviceaccounts/default/token', {
    body: { spec: { audiences: [] } },
    headers: ['Impersonate-User', 'joe'],
  })
  assert.deepEqual(
    lines.map((line) => [line['level'], line['verb'], fieldsOf(line['responseStatus'])['code']]),
    [
      ['RequestResponse', 'create', 201],
      ['Metadata', 'get', 403],
      ['Request', 'create', 403],
    ],
  )
  const [made, refused, asJoe] = lines
  assert.equal(fieldsOf(fieldsOf(made?.['responseObject'])['metadata'])['name'], 'c')
  assert.deepEqual(made?.['requestObject'], body)
  const { auditID, ...rest } = refused ?? {}
  assert.match(String(auditID), /^[0-9a-f-]{36}$/)
  assert.deepEqual(rest, {
    kind: 'Event',
    apiVersion: 'audit.k8s.io/v1',
    level: 'Metadata',
    stage: 'ResponseComplete',
    requestURI: '/api/v1/namespaces/default/pods/x?pretty=1',
    verb: 'get',
    user: { username: 'jane', groups: ['devs', 'system:authenticated'] },
    sourceIPs: ['127.0.0.1'],
    userAgent: 'test/1',
    objectRef: { resource: 'pods', namespace: 'default', name: 'x', apiVersion: 'v1' },
    responseStatus: {
      metadata: {},
      status: 'Failure',
      message:
        'pods "x" is forbidden: User "jane" cannot get resource "pods" in API group "" in the namespace "default"',
      reason: 'Forbidden',
      details: { name: 'x', kind: 'pods' },
      code: 403,
    },
    requestReceivedTimestamp: '2026-01-01T00:00:00.000000Z',
    stageTimestamp: '2026-01-01T00:00:00.000000Z',
    annotations: { 'authorization.k8s.io/decision': 'forbid', 'authorization.k8s.io/reason': '' },
  })
  assert.equal(fieldsOf(asJoe?.['user'])['username'], 'admin')
  assert.equal(fieldsOf(asJoe?.['impersonatedUser'])['username'], 'joe')
  assert.ok(!('responseObject' in (asJoe ?? {})), 'no token stands in the log')
})

test('policies that nobody can follow say where they are wrong', () => {
  const wrong = (policy: object, message: RegExp) =>
    assert.throws(
      () => auditPolicy({ apiVersion: 'audit.k8s.io/v1', kind: 'Policy', ...policy }),
      message,
    )
  wrong({ kind: 'Polisy', rules: [] }, /expected apiVersion audit.k8s.io\/v1 and kind Policy/)
  wrong({}, /rules: expected at least one rule/)
  wrong({ rules: [{ level: 'All' }] }, /rules\[0\].level: expected None, Metadata, Request/)
  wrong(
    { rules: [{ level: 'None', verb: ['get'] }] },
    /rules\[0\].verb: not known; there are level/,
  )
  wrong({ rules: [{ level: 'None' }], omitStages: ['X'] }, /omitStages: expected RequestReceived/)
  wrong({ rules: [{ level: 'None', users: 'x' }] }, /rules\[0\].users: expected a list of texts/)
})

test('metrics count requests by what is served, not by what is asked', async () => {
  await using world = await start()
  const { send } = world
  await send('GET', '/api/v1/namespaces/default/pods')
  for (let i = 0; i < 20; i++) await send('GET', `/apis/g${i}.dev/v1/things${i}`)
  await send('GET', '/api', { token: 'wrong' })
  assert.equal((await send('GET', '/metrics', { token: 'jane' })).code, 403)
  const { text: page } = await send('GET', '/metrics')
  assert.match(
    page,
    /apiserver_request_total\{verb="LIST",group="",version="v1",resource="pods",subresource="",scope="namespace",component="apiserver",code="200",dry_run=""\} 1\n/,
  )
  assert.match(
    page,
    /apiserver_request_total\{verb="LIST",group="",version="",resource="",[^}]*code="404",dry_run=""\} 20\n/,
  )
  assert.match(
    page,
    /apiserver_request_duration_seconds_count\{verb="LIST",group="",version="v1",resource="pods",[^}]*\} 1\n/,
  )
  assert.match(page, /authentication_attempts\{result="failure"\} 1\n/)
  assert.match(page, /apiserver_current_inflight_requests\{request_kind="readOnly"\} \d/)
  assert.doesNotMatch(page, /things/)
})

test('health: lists, single checks, exclusions, a store that takes nothing', async () => {
  let failure: string | undefined
  await using world = await start({ failure: () => failure })
  const get = async (path: string) => {
    const { code, text: answered } = await world.send('GET', path)
    return `${code} ${answered}`
  }
  assert.equal(await get('/livez'), '200 ok')
  assert.equal(await get('/readyz/etcd'), '200 ok')
  assert.equal(await get('/readyz/nothing'), '404 404 page not found\n')
  const list = await get('/healthz?verbose')
  assert.match(list, /^200 \[\+\]ping ok\n\[\+\]log ok\n\[\+\]etcd ok\n[^]*healthz check passed\n$/)
  failure = 'the disk is full'
  assert.match(
    await get('/readyz'),
    /^500 \[\+\]ping ok\n[^]*\[-\]etcd failed: reason withheld\n[^]*readyz check failed\n$/,
  )
  assert.match(await get('/readyz/etcd'), /^500 internal server error: etcd failed/)
  assert.equal(await get('/readyz?exclude=etcd'), '200 ok')
  assert.match(
    await get('/readyz?verbose&exclude=etcd&exclude=no'),
    /\[\+\]etcd excluded: ok\n[^]*warn: some health checks cannot be excluded: no matches for "no"\nreadyz check passed/,
  )
})

test('a lease is led by one: who comes with an old version is told to look again', async () => {
  await using world = await start()
  const { send } = world
  const path = '/apis/coordination.k8s.io/v1/namespaces/default/leases'
  const lease = (holder: string, renewTime: string) => ({
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name: 'leader' },
    spec: {
      holderIdentity: holder,
      leaseDurationSeconds: 15,
      acquireTime: '2026-01-01T00:00:00.000000Z',
      renewTime,
      leaseTransitions: 0,
    },
  })
  const first = await send('POST', path, { body: lease('a', '2026-01-01T00:00:00.123456Z') })
  assert.equal(first.code, 201)
  assert.equal(fieldsOf(first.json['spec'])['renewTime'], '2026-01-01T00:00:00.123456Z')
  assert.equal(
    (await send('POST', path, { body: lease('b', '2026-01-01T00:00:01.000000Z') })).code,
    409,
  )
  const renewed = { ...lease('a', '2026-01-01T00:00:02.000001Z'), metadata: first.json['metadata'] }
  const second = await send('PUT', `${path}/leader`, { body: renewed })
  assert.equal(second.code, 200)
  const stolen = { ...lease('b', '2026-01-01T00:00:03.000000Z'), metadata: first.json['metadata'] }
  const late = await send('PUT', `${path}/leader`, { body: stolen })
  assert.deepEqual([late.code, late.json['reason']], [409, 'Conflict'])
  const taken = { ...stolen, metadata: second.json['metadata'] }
  assert.equal((await send('PUT', `${path}/leader`, { body: taken })).code, 200)
  const unconditional = await send('PUT', `${path}/leader`, {
    body: lease('c', '2026-01-01T00:00:04.000000Z'),
  })
  assert.equal(unconditional.code, 422)
})

test('whatever stands in the headers, the answer is one of the door', async () => {
  await using world = await start()
  const value = fc.string({
    unit: fc.constantFrom('a', '.', '=', ' ', ',', ':', '"', '%', '/'),
    maxLength: 40,
  })
  const header = fc.constantFrom(
    'authorization',
    'impersonate-user',
    'impersonate-group',
    'impersonate-uid',
    'impersonate-extra-a%2f',
    'sec-websocket-protocol',
  )
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(header, value), { maxLength: 6 }),
      value,
      async (headers, token) => {
        const { code } = await world.send('GET', '/api/v1/pods', {
          token: '',
          headers: [...headers.flat(), 'authorization', `Bearer ${token}`],
        })
        assert.ok([401, 403, 400, 500].includes(code), String(code))
      },
    ),
    { numRuns: 60 },
  )
  const many = Array.from({ length: 300 }, (_, i) => ['Impersonate-Group', `g${i}`]).flat()
  const groups = await world.send('GET', '/api', { headers: ['Impersonate-User', 'x', ...many] })
  assert.equal(groups.code, 400)
  assert.equal((await world.send('GET', '/api', { token: 'x'.repeat(50_000) })).code, 401)
})

test('more than a line has room for is told to come back; what is cheap or has no end is not', async () => {
  await using world = await start({ seats: 1 })
  const { send, api, clock } = world
  const seat = await api.access.priority.enter(
    { username: 'admin', groups: ['system:masters'] },
    '',
    { verb: 'get', path: undefined, longRunning: false, mutating: false },
    { setHeader: () => {}, req: { url: '/apis' } },
    new AbortController().signal,
  )
  const waiting = send('GET', '/api')
  await until(() => api.access.priority.inFlight.waiting === 1)
  assert.equal((await send('GET', '/livez')).code, 200)
  assert.equal((await send('POST', selfReview, { body: {} })).code, 201, 'writes have their own')
  await clock.advance(30_000)
  const refused = await waiting
  assert.deepEqual(
    [refused.code, refused.headers['retry-after'], refused.json['reason']],
    [429, '1', 'TooManyRequests'],
  )
  seat?.()
  const answered = await send('GET', '/api')
  assert.deepEqual(
    [answered.code, answered.headers['x-kubernetes-pf-flowschema-uid']],
    [200, 'cluster-admins'],
  )
})

test('a right to one name is no right to the others, however one asks', async () => {
  await using world = await start()
  const { send } = world
  const rule = { apiGroups: [''], resources: ['configmaps'], resourceNames: ['mine'] }
  await janeMay(world, { ...rule, verbs: ['get', 'list', 'watch', 'deletecollection'] })
  const list = (selector: string, path = '/api/v1/namespaces/default/configmaps') =>
    send('GET', `${path}?fieldSelector=${encodeURIComponent(selector)}`, { token: 'jane' })
  assert.equal((await list('metadata.name=mine')).code, 200)
  assert.equal((await list('metadata.namespace=default,metadata.name==mine')).code, 200)
  for (const selector of [
    '',
    'metadata.name!=mine',
    'metadata.name=other',
    'metadata.name=mine,metadata.name=other',
    'metadata.namespace!=x\\,metadata.name=mine',
    'metadata.name=mine\\,',
    'xmetadata.name=mine',
  ])
    assert.equal((await list(selector)).code, 403, selector)
})

test('no path leads around the roles', async () => {
  await using world = await start()
  const { send } = world
  const body = { metadata: { name: 'hidden' }, stringData: { a: 'marker-text' } }
  const secrets = '/api/v1/namespaces/default/secrets'
  assert.equal((await send('POST', secrets, { body })).code, 201)
  const words = [
    'api',
    'apis',
    'v1',
    'namespaces',
    'default',
    'secrets',
    'hidden',
    'watch',
    'status',
    'proxy',
    'apps',
    'deployments',
    '..',
    '.',
    '',
    '%2e%2e',
    '%2F',
    'a%2Fb',
    'default%2Fsecrets',
    'metrics',
    'openapi',
    'v3',
    'version',
    ';',
    '%00',
    '*',
  ]
  const tail = fc.constantFrom(
    '',
    '/',
    '?watch=1&timeoutSeconds=0',
    '?limit=1',
    '?fieldSelector=metadata.name%3Dhidden',
    '?pretty=true',
    '?x=/openapi',
  )
  const method = fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS')
  const start_ = fc.constantFrom(
    '/',
    '/api/v1/',
    '/api/v1/namespaces/default/',
    '/apis/apps/v1/',
    '//',
  )
  const open = /^\/(?:api|apis|openapi|version|healthz|livez|readyz)(?:\/|$)/
  await fc.assert(
    fc.asyncProperty(
      method,
      start_,
      fc.array(fc.constantFrom(...words), { maxLength: 6 }),
      tail,
      async (verb, begin, segments, end) => {
        const path = `${begin}${segments.join('/')}${end}`
        const answer = await send(verb, path, {
          token: 'jane',
          ...(verb !== 'GET' && verb !== 'HEAD' && { body: {} }),
        })
        assert.doesNotMatch(answer.text, /marker-text|bWFya2VyLXRleH/)
        if (answer.code >= 300) return
        // What everybody may read: discovery, OpenAPI, version, health.
        assert.ok(verb === 'GET' || verb === 'HEAD', `${verb} ${path}: ${answer.code}`)
        // As the client sends it, and then as the server takes it: `//./*/api` becomes `//*/api`, which is `/api` of a host.
        const sent = new URL(`http://localhost${path}`).pathname
        const { pathname } = new URL(sent, 'http://localhost')
        assert.match(pathname, open)
        assert.notEqual(answer.json['kind'], 'SecretList')
        assert.ok(
          !('items' in answer.json) || pathname === '/api' || pathname === '/apis',
          pathname,
        )
      },
    ),
    { numRuns: 150 },
  )
  assert.equal((await send('GET', `${secrets}/hidden`)).code, 200, 'it is still there')
})

async function until(check: () => boolean): Promise<void> {
  while (!check()) await new Promise((resolve) => setImmediate(resolve))
}
