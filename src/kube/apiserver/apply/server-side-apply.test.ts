/** Applies and other writes as clients send them, over an API server in memory: who owns what, and what it is told. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silent } from '../../../lib/log.ts'
import { seededRandom } from '../../../lib/random.ts'
import { SimClock } from '../../../testing/sim-clock.ts'
import { coreKinds } from '../../api/kinds.ts'
import type { UnknownObject } from '../../api/meta.ts'
import type { ApiRequest, PatchType, Verb } from '../../api/protocol.ts'
import { StatusError } from '../../api/status-error.ts'
import { memoryStore } from '../../store/memory-store.ts'
import { createApiServer } from '../api-server.ts'
import { fieldsOf } from '../values.ts'
import type { Fields } from '../values.ts'
import { withManagedFields } from './tracking.ts'

function world() {
  const clock = new SimClock()
  const store = memoryStore()
  const server = createApiServer({
    store,
    kinds: coreKinds,
    clock,
    random: seededRandom(1),
    log: silent,
  })
  const send = (
    verb: Verb,
    resource: string,
    name: string,
    manager: string,
    more: Partial<ApiRequest> = {},
  ) =>
    server.handle({
      verb,
      group: resource === 'deployments' ? 'apps' : '',
      version: 'v1',
      resource,
      namespace: 'default',
      name,
      user: { username: 'admin', groups: ['system:masters'] },
      durable: true,
      ...more,
      options: { ...(manager && { fieldManager: manager }), ...more.options },
    })
  const object = async (...args: Parameters<typeof send>): Promise<UnknownObject> => {
    const { body } = await send(...args)
    assert.ok(typeof body === 'object' && body !== null && 'metadata' in body)
    return body as UnknownObject
  }
  const patch = (
    type: PatchType,
    resource: string,
    name: string,
    manager: string,
    body: unknown,
    more: Partial<ApiRequest> = {},
  ) => object('patch', resource, name, manager, { ...more, patchType: type, body })
  /** Managers as a client sees them: `manager/Operation/subresource` and fields. */
  const managers = async (resource: string, name: string): Promise<Record<string, unknown>> => {
    const kind = server.find(resource === 'deployments' ? 'apps' : '', 'v1', resource)
    assert.ok(kind)
    const shown = withManagedFields(kind, await object('get', resource, name, ''))
    return Object.fromEntries(
      (shown.metadata.managedFields ?? []).map((entry) => {
        const { manager, operation, subresource, fieldsV1 } = fieldsOf(entry)
        return [[manager, operation, subresource].filter(Boolean).join('/'), fieldsV1]
      }),
    )
  }
  return { clock, store, send, object, patch, managers }
}

const configMap = (data: Fields, metadata: Fields = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'x', ...metadata },
  data,
})
const deployment = (more: Fields = {}) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'd' },
  spec: {
    selector: { matchLabels: { a: 'b' } },
    template: {
      metadata: { labels: { a: 'b' } },
      spec: { containers: [{ name: 'c', image: 'i' }] },
    },
    ...more,
  },
})

async function refused(promise: Promise<unknown>, code: number, message: string | RegExp) {
  await assert.rejects(promise, (thrown: unknown) => {
    assert.ok(thrown instanceof StatusError, String(thrown))
    assert.equal(thrown.code, code, thrown.message)
    if (typeof message === 'string') assert.equal(thrown.message, message)
    else assert.match(thrown.message, message)
    return true
  })
}

test('apply makes, changes and takes away; nothing new leaves resourceVersion and time alone', async () => {
  const { clock, send, patch, managers } = world()
  const body = configMap({ a: '1', b: '2' })
  const first = await send('patch', 'configmaps', 'x', 'm1', { patchType: 'apply', body })
  assert.equal(first.code, 201)
  assert.deepEqual(await managers('configmaps', 'x'), {
    'm1/Apply': { 'f:data': { 'f:a': {}, 'f:b': {} } },
  })
  const made = await patch('apply', 'configmaps', 'x', 'm1', body)
  await clock.advance(5_000)
  const again = await patch('apply', 'configmaps', 'x', 'm1', body)
  assert.deepEqual(again, made)
  const less = await patch('apply', 'configmaps', 'x', 'm1', configMap({ a: '1' }))
  assert.deepEqual(less['data'], { a: '1' })
  assert.notEqual(less.metadata.resourceVersion, made.metadata.resourceVersion)
  // Another owner of the same value changes nothing but who owns it.
  const shared = await patch('apply', 'configmaps', 'x', 'm2', configMap({ a: '1' }))
  assert.notEqual(shared.metadata.resourceVersion, less.metadata.resourceVersion)
  assert.deepEqual(
    Object.keys(await managers('configmaps', 'x')),
    ['m2/Apply', 'm1/Apply'].toSorted(),
  )
})

test('dry run: as it would be, and nothing is kept', async () => {
  const { send, patch } = world()
  const options = { dryRun: true }
  const made = await send('patch', 'configmaps', 'x', 'm', {
    patchType: 'apply',
    body: configMap({ a: '1' }),
    options,
  })
  assert.equal(made.code, 201)
  await refused(send('get', 'configmaps', 'x', ''), 404, /not found/)
  await patch('apply', 'configmaps', 'x', 'm', configMap({ a: '1' }))
  const dry = await patch('apply', 'configmaps', 'x', 'm', configMap({ a: '2' }), { options })
  assert.deepEqual(dry['data'], { a: '2' })
  assert.deepEqual(fieldsOf((await send('get', 'configmaps', 'x', '')).body)['data'], { a: '1' })
})

test('updates take fields, from each other and from those who apply', async () => {
  const { patch, object, managers } = world()
  await patch('apply', 'configmaps', 'x', 'm1', configMap({ a: '1', b: '2' }))
  await patch('merge', 'configmaps', 'x', 'editor', { data: { a: '9', c: '3' } })
  assert.deepEqual(await managers('configmaps', 'x'), {
    'm1/Apply': { 'f:data': { 'f:b': {} } },
    'editor/Update': { 'f:data': { 'f:a': {}, 'f:c': {} } },
  })
  await refused(
    patch('apply', 'configmaps', 'x', 'm1', configMap({ a: '1', b: '2' })),
    409,
    'Apply failed with 1 conflict: conflict with "editor" using v1: .data.a',
  )
  const forced = await patch('apply', 'configmaps', 'x', 'm1', configMap({ a: '1', b: '2' }), {
    options: { force: true },
  })
  assert.deepEqual(forced['data'], { a: '1', b: '2', c: '3' })
  await patch('merge', 'configmaps', 'x', 'other', { data: { b: null } })
  assert.deepEqual(await managers('configmaps', 'x'), {
    'm1/Apply': { 'f:data': { 'f:a': {} } },
    'editor/Update': { 'f:data': { 'f:c': {} } },
  })
  const last = await object('get', 'configmaps', 'x', '')
  assert.deepEqual(last['data'], { a: '1', c: '3' })
})

test('who creates owns everything; in the store that is said shortly, to clients in full', async () => {
  const { object, managers, patch } = world()
  const made = await object('create', 'deployments', '', 'kubectl-create', { body: deployment() })
  assert.equal(JSON.stringify(made.metadata.managedFields).includes('fieldsV1'), false)
  const all = await managers('deployments', 'd')
  const fields = fieldsOf(all['kubectl-create/Update'])
  assert.deepEqual(fieldsOf(fields['f:spec'])['f:selector'], {})
  assert.equal(fieldsOf(fields['f:spec'])['.'], undefined)
  assert.deepEqual(fieldsOf(fieldsOf(fields['f:spec'])['f:strategy'])['f:rollingUpdate'], {
    '.': {},
    'f:maxSurge': {},
    'f:maxUnavailable': {},
  })
  assert.equal(fields['f:status'], undefined)
  // A second manager: now both are spelled out.
  await patch('merge', 'deployments', 'd', 'kubectl-label', { metadata: { labels: { x: 'y' } } })
  const two = await managers('deployments', 'd')
  assert.deepEqual(two['kubectl-label/Update'], {
    'f:metadata': { 'f:labels': { '.': {}, 'f:x': {} } },
  })
  assert.deepEqual(two['kubectl-create/Update'], fields)
})

test('status and scale have managers of their own', async () => {
  const { patch, managers, send } = world()
  await patch('apply', 'deployments', 'd', 'm', deployment({ replicas: 2 }))
  await patch(
    'merge',
    'deployments',
    'd',
    'controller',
    { status: { replicas: 1 } },
    { subresource: 'status' },
  )
  await patch(
    'merge',
    'deployments',
    'd',
    'scaler',
    { spec: { replicas: 3 } },
    { subresource: 'scale' },
  )
  const all = await managers('deployments', 'd')
  assert.deepEqual(all['controller/Update/status'], { 'f:status': { 'f:replicas': {} } })
  assert.deepEqual(all['scaler/Update/scale'], { 'f:spec': { 'f:replicas': {} } })
  assert.equal(fieldsOf(fieldsOf(all['m/Apply'])['f:spec'])['f:replicas'], undefined)
  await refused(
    patch('apply', 'deployments', 'd', 'm', deployment({ replicas: 2 })),
    409,
    'Apply failed with 1 conflict: conflict with "scaler" with subresource "scale" using apps/v1: .spec.replicas',
  )
  const scale = {
    apiVersion: 'autoscaling/v1',
    kind: 'Scale',
    metadata: { name: 'd' },
    spec: { replicas: 5 },
  }
  const options = { force: true }
  await send('patch', 'deployments', 'd', 'hpa', {
    patchType: 'apply',
    body: scale,
    subresource: 'scale',
    options,
  })
  const after = await managers('deployments', 'd')
  assert.deepEqual(after['hpa/Apply/scale'], { 'f:spec': { 'f:replicas': {} } })
  assert.equal(after['scaler/Update/scale'], undefined)
})

test('an object from before anyone was noted: the first apply names its past', async () => {
  const { store, patch, managers } = world()
  const old = {
    ...configMap({ a: '1', b: '2' }),
    metadata: { name: 'x', namespace: 'default', uid: 'u' },
  }
  store.put('configmaps/default/x', old)
  await patch('merge', 'configmaps', 'x', 'editor', { data: { c: '3' } })
  assert.deepEqual(await managers('configmaps', 'x'), {})
  await refused(
    patch('apply', 'configmaps', 'x', 'm', configMap({ a: '9' })),
    409,
    'Apply failed with 1 conflict: conflict with "before-first-apply" using v1: .data.a',
  )
  await patch('apply', 'configmaps', 'x', 'm', configMap({ a: '1' }))
  assert.deepEqual(Object.keys(await managers('configmaps', 'x')), [
    'm/Apply',
    'before-first-apply/Update',
  ])
})

test('managers are forgotten by [{}], replaced by a patch of them, and refused when they make no sense', async () => {
  const { patch, managers, object } = world()
  await patch('apply', 'configmaps', 'x', 'm', configMap({ a: '1' }))
  const metadata = { managedFields: [{}] }
  await patch('merge', 'configmaps', 'x', 'editor', { metadata })
  assert.deepEqual(await managers('configmaps', 'x'), {})
  await object('create', 'configmaps', '', 'kubectl-create', {
    body: { ...configMap({ b: '1' }), metadata: { name: 'y' } },
  })
  const own = { manager: 'mine', operation: 'Apply', apiVersion: 'v1', fieldsType: 'FieldsV1' }
  await patch('json', 'configmaps', 'y', 'whoever', [
    { op: 'test', path: '/metadata/managedFields/0/manager', value: 'kubectl-create' },
    {
      op: 'replace',
      path: '/metadata/managedFields',
      value: [{ ...own, fieldsV1: { 'f:data': { 'f:b': {} } } }],
    },
  ])
  assert.deepEqual(await managers('configmaps', 'y'), { 'mine/Apply': { 'f:data': { 'f:b': {} } } })
  await refused(
    patch('merge', 'configmaps', 'y', 'e', { metadata: { managedFields: [{ manager: 'x' }] } }),
    422,
    /metadata\.managedFields\[0\]\.operation: Invalid value: "": must be `Apply` or `Update`/,
  )
})

test('more than ten who update: the oldest become one', async () => {
  const { clock, patch, managers } = world()
  await patch('apply', 'configmaps', 'x', 'm', configMap({ a: '1' }))
  for (let i = 0; i < 14; i++) {
    await clock.advance(1000)
    await patch('merge', 'configmaps', 'x', `u${i}`, { data: { [`k${i}`]: '1' } })
  }
  const all = await managers('configmaps', 'x')
  assert.equal(Object.keys(all).filter((name) => name.includes('/Update')).length, 10)
  assert.deepEqual(all['ancient-changes/Update'], {
    'f:data': { 'f:k0': {}, 'f:k1': {}, 'f:k2': {}, 'f:k3': {}, 'f:k4': {} },
  })
})

test('what an apply may not be', async () => {
  const { send, patch } = world()
  const apply = (body: unknown, more: Partial<ApiRequest> = {}) =>
    send('patch', 'configmaps', 'x', 'm', { patchType: 'apply', body, ...more })
  await refused(
    send('patch', 'configmaps', 'x', '', { patchType: 'apply', body: configMap({}) }),
    422,
    'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
  )
  await refused(apply({ data: {} }), 400, 'invalid object type: /, Kind=')
  await refused(apply([]), 400, /error decoding YAML/)
  await refused(
    apply({ ...configMap({}), apiVersion: 'v2' }),
    400,
    'Incorrect version specified in apply patch. Specified patch version: v2, expected: v1',
  )
  await refused(
    apply(configMap({}, { managedFields: [] })),
    400,
    'metadata.managedFields must be nil',
  )
  await refused(apply(configMap({}, { name: 'y' })), 400, /does not match the name on the URL/)
  await refused(
    apply({ ...configMap({}), bogus: 1 }),
    500,
    'failed to create typed patch object (default/x; v1, Kind=ConfigMap): .bogus: field not declared in schema',
  )
  await patch('apply', 'configmaps', 'x', 'm', configMap({}))
  await refused(apply(configMap({}, { resourceVersion: '1' })), 409, /has been modified/)
  await refused(apply(configMap({}, { uid: 'other' })), 409, /UID/)
  await refused(
    send('patch', 'configmaps', 'x', 'm', {
      patchType: 'merge',
      body: {},
      options: { force: true },
    }),
    422,
    /force: Forbidden: may not be specified for non-apply patch/,
  )
})
