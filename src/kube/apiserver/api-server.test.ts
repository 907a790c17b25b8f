/** The API machinery driven as clients drive it: requests as values, over a store in memory and a clock that stands. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { silent } from '../../lib/log.ts'
import { seededRandom } from '../../lib/random.ts'
import { SimClock } from '../../testing/sim-clock.ts'
import type { KindDefinition } from '../api/kind.ts'
import { coreKinds } from '../api/kinds.ts'
import type { KubeObject, UnknownObject } from '../api/meta.ts'
import type { ApiRequest, ApiResponse, RequestOptions, Verb, WatchEvent } from '../api/protocol.ts'
import { integer, list, object, string } from '../api/schema.ts'
import { StatusError } from '../api/status-error.ts'
import { memoryStore } from '../store/memory-store.ts'
import { StoreFull } from '../store/store-failure.ts'
import { createApiServer } from './api-server.ts'
import type { ApiServer } from './api-server.ts'
import { fieldsOf } from './values.ts'

/** A custom kind with every feature that the machinery knows. */
const widgetSchema = object({
  spec: object({ size: integer(), replicas: integer({ default: 1 }), tags: list(string()) }),
  status: object({ phase: string(), replicas: integer() }),
})
const Widget: KindDefinition = {
  group: 'ex.dev',
  version: 'v1',
  kind: 'Widget',
  plural: 'widgets',
  singular: 'widget',
  namespaced: true,
  description: 'A widget.',
  schema: widgetSchema,
  flavour: 'custom',
  columns: [],
  hasStatus: true,
  hasGeneration: true,
  versions: [
    {
      version: 'v1alpha1',
      schema: object({ spec: object({ extent: integer() }) }),
      deprecationWarning: 'ex.dev/v1alpha1 Widget is old',
      toStorage: ({ metadata, ...rest }) =>
        widget(metadata.name, { size: Number(fieldsOf(spec(rest))['extent'] ?? 0) }, metadata),
      fromStorage: (stored) => ({
        apiVersion: 'ex.dev/v1alpha1',
        kind: 'Widget',
        metadata: stored.metadata,
        spec: { extent: fieldsOf(spec(stored))['size'] },
      }),
    },
  ],
  scale: {
    replicas: (stored) => Number(fieldsOf(spec(stored))['replicas']),
    withReplicas: (stored, replicas) =>
      Object.assign({ ...stored }, { spec: { ...fieldsOf(spec(stored)), replicas } }),
    statusReplicas: () => 0,
    selector: () => 'app=w',
  },
}

const spec = (of: object): unknown => ('spec' in of ? of.spec : undefined)
const status = (of: object): unknown => ('status' in of ? of.status : undefined)
const widget = (
  name: string,
  spec: object = {},
  metadata: Partial<KubeObject['metadata']> = {},
): UnknownObject => ({
  apiVersion: 'ex.dev/v1',
  kind: 'Widget',
  metadata: { ...metadata, name },
  spec,
})
const configMap = (
  name: string,
  data: Record<string, string> = {},
  metadata: Partial<KubeObject['metadata']> = {},
): UnknownObject => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { ...metadata, name }, data })
const pod = (name: string, nodeName?: string): UnknownObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: { containers: [{ name: 'c', image: 'busybox' }], ...(nodeName && { nodeName }) },
})

interface World {
  readonly server: ApiServer
  readonly clock: SimClock
  readonly store: ReturnType<typeof memoryStore>
  /** `send('create', 'configmaps', '', {body})`: in namespace default, as an administrator. */
  readonly send: (...request: Sent) => Promise<ApiResponse>
  /** The same, answering the object in the body. */
  readonly object: (...request: Sent) => Promise<UnknownObject>
}
type Sent = [verb: Verb, resource: string, name?: string, more?: Partial<ApiRequest>]

function world(historyLimit = 1000): World {
  const store = memoryStore({ historyLimit })
  const clock = new SimClock()
  const server = createApiServer({
    store,
    kinds: [...coreKinds, Widget],
    clock,
    random: seededRandom(1),
    log: silent,
    rootCA: 'PEM',
  })
  const clusterScoped = new Set(['namespaces', 'nodes'])
  const send: World['send'] = (verb, resource, name = '', more = {}) =>
    server.handle({
      verb,
      group: groups[resource] ?? '',
      version: 'v1',
      resource,
      namespace: clusterScoped.has(resource) ? '' : 'default',
      name,
      options: {},
      user: { username: 'admin', groups: ['system:masters'] },
      durable: true,
      ...more,
    })
  return {
    server,
    clock,
    store,
    send,
    object: async (...args) => asObject((await send(...args)).body),
  }
}
const groups: Record<string, string> = {
  widgets: 'ex.dev',
  deployments: 'apps',
  leases: 'coordination.k8s.io',
}

function asObject(body: unknown): UnknownObject {
  assert.ok(typeof body === 'object' && body !== null && 'metadata' in body)
  return body as UnknownObject
}
const itemsOf = (response: ApiResponse): readonly UnknownObject[] =>
  fieldsOf(response.body)['items'] as readonly UnknownObject[]
const namesOf = (response: ApiResponse): string[] =>
  itemsOf(response).map(({ metadata }) => metadata.name)

/** Asserts code and message of a refusal. */
async function refused(promise: Promise<unknown>, code: number, message: string | RegExp) {
  await assert.rejects(promise, (thrown: unknown) => {
    assert.ok(thrown instanceof StatusError, String(thrown))
    assert.equal(thrown.code, code, thrown.message)
    if (typeof message === 'string') assert.equal(thrown.message, message)
    else assert.match(thrown.message, message)
    return true
  })
}

/** The next `count` events of a watch. */
async function take(response: ApiResponse, count: number): Promise<WatchEvent[]> {
  assert.ok(response.events)
  const events: WatchEvent[] = []
  for await (const event of response.events) {
    events.push(event)
    if (events.length === count) break
  }
  return events
}
const brief = (events: readonly WatchEvent[]): string[] =>
  events.map(({ type, object }) => `${type} ${object.metadata.name}`.trim())

test('a new server has the first namespaces, each with its account and root certificate', async () => {
  const { send, object } = world()
  assert.deepEqual(namesOf(await send('list', 'namespaces')), [
    'default',
    'kube-node-lease',
    'kube-public',
    'kube-system',
  ])
  const root = await object('get', 'configmaps', 'kube-root-ca.crt', { namespace: 'kube-public' })
  assert.deepEqual(root['data'], { 'ca.crt': 'PEM' })
  await object('get', 'serviceaccounts', 'default', { namespace: 'default' })
})

test('create gives identity, and a second create of the name is refused', async () => {
  const { object, send } = world()
  const made = await object('create', 'configmaps', '', {
    body: configMap('a', { k: 'v' }, { uid: 'mine', generation: 7, deletionTimestamp: 'x' }),
  }).catch(async () =>
    object('create', 'configmaps', '', {
      body: configMap('a', { k: 'v' }, { uid: 'mine', generation: 7 }),
    }),
  )
  assert.match(made.metadata.uid ?? '', /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-/)
  assert.equal(made.metadata.creationTimestamp, '2026-01-01T00:00:00Z')
  assert.equal(made.metadata.namespace, 'default')
  assert.equal(made.metadata.generation, undefined)
  assert.ok(Number(made.metadata.resourceVersion) > 0)
  await refused(
    send('create', 'configmaps', '', { body: configMap('a') }),
    409,
    'configmaps "a" already exists',
  )
  await refused(
    send('create', 'configmaps', '', { namespace: 'nope', body: configMap('a') }),
    404,
    'namespaces "nope" not found',
  )
  await refused(
    send('create', 'configmaps', '', { body: configMap('b', {}, { namespace: 'other' }) }),
    400,
    'the namespace of the provided object does not match the namespace sent on the request',
  )
  await refused(
    send('create', 'configmaps', '', { body: configMap('') }),
    422,
    'ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required',
  )
  await refused(
    send('create', 'configmaps', '', { body: configMap('A_b') }),
    422,
    /^ConfigMap "A_b" is invalid: metadata.name: Invalid value: "A_b": a lowercase RFC 1123 subdomain/,
  )
  await refused(
    send('create', 'configmaps', '', { body: configMap('c', {}, { resourceVersion: '3' }) }),
    500,
    'resourceVersion should not be set on objects to be created',
  )
})

test('generateName appends five letters', async () => {
  const { object } = world()
  const { metadata } = await object('create', 'configmaps', '', {
    body: configMap('', {}, { generateName: 'x-' }),
  })
  assert.match(metadata.name, /^x-[bcdfghjklmnpqrstvwxz2456789]{5}$/)
})

test('updates lock by resourceVersion; a write that changes nothing is silent', async () => {
  const { object, send, store } = world()
  const first = await object('create', 'configmaps', '', { body: configMap('a', { k: '1' }) })
  const second = await object('update', 'configmaps', 'a', {
    body: { ...first, data: { k: '2' } },
  })
  assert.notEqual(second.metadata.resourceVersion, first.metadata.resourceVersion)
  await refused(
    send('update', 'configmaps', 'a', { body: { ...first, data: { k: '3' } } }),
    409,
    'Operation cannot be fulfilled on configmaps "a": the object has been modified; please apply your changes to the latest version and try again',
  )
  const before = store.revision
  const same = await object('update', 'configmaps', 'a', { body: second })
  assert.equal(same.metadata.resourceVersion, second.metadata.resourceVersion)
  assert.equal(store.revision, before)
  // Built-in kinds take a PUT without resourceVersion: the last one wins.
  await send('update', 'configmaps', 'a', { body: configMap('a', { k: '4' }) })
  await refused(
    send('update', 'configmaps', 'a', { body: configMap('a', {}, { uid: 'other' }) }),
    409,
    /Precondition failed: UID in precondition: other/,
  )
  await refused(
    send('update', 'configmaps', 'zz', { body: configMap('zz') }),
    404,
    'configmaps "zz" not found',
  )
  await refused(
    send('update', 'configmaps', 'a', { body: configMap('b') }),
    400,
    'the name of the object (b) does not match the name on the URL (a)',
  )
})

test('custom kinds: status is a writer of its own, generation counts the spec', async () => {
  const { object, send } = world()
  const made = await object('create', 'widgets', '', {
    body: { ...widget('w', { size: 1 }), status: { phase: 'Lie' } },
  })
  assert.equal(made['status'], undefined)
  assert.deepEqual(made['spec'], { size: 1, replicas: 1 })
  assert.equal(made.metadata.generation, 1)
  const withStatus = await object('update', 'widgets', 'w', {
    subresource: 'status',
    body: {
      ...made,
      metadata: { ...made.metadata, labels: { a: 'b' } },
      spec: { size: 9 },
      status: { phase: 'Ready' },
    },
  })
  assert.deepEqual(
    [withStatus['spec'], withStatus['status'], withStatus.metadata.labels],
    [{ size: 1, replicas: 1 }, { phase: 'Ready' }, undefined],
  )
  assert.equal(withStatus.metadata.generation, 1)
  const changed = await object('update', 'widgets', 'w', {
    body: { ...withStatus, spec: { size: 2 }, status: { phase: 'Lie' } },
  })
  assert.equal(changed.metadata.generation, 2)
  assert.deepEqual(changed['status'], { phase: 'Ready' })
  await refused(
    send('update', 'widgets', 'w', { body: widget('w', { size: 3 }) }),
    422,
    'widgets.ex.dev "w" is invalid: metadata.resourceVersion: Invalid value: 0x0: must be specified for an update',
  )
})

test('an old version is converted on the way in and out, with a warning', async () => {
  const { send, object } = world()
  const made = await send('create', 'widgets', '', {
    version: 'v1alpha1',
    body: {
      apiVersion: 'ex.dev/v1alpha1',
      kind: 'Widget',
      metadata: { name: 'w' },
      spec: { extent: 5 },
    },
  })
  assert.deepEqual(spec(asObject(made.body)), { extent: 5 })
  assert.deepEqual(made.warnings, ['ex.dev/v1alpha1 Widget is old'])
  assert.deepEqual((await object('get', 'widgets', 'w'))['spec'], { size: 5, replicas: 1 })
  const list = await send('list', 'widgets', '', { version: 'v1alpha1' })
  assert.deepEqual(
    itemsOf(list).map((each) => each.apiVersion),
    ['ex.dev/v1alpha1'],
  )
})

test('field validation: Ignore, Warn and Strict', async () => {
  const { send } = world()
  const body = { ...configMap('a'), bogus: 1 }
  const asked = (options: RequestOptions, more = {}) =>
    send('create', 'configmaps', '', { body, options: { ...options, dryRun: true }, ...more })
  assert.equal((await asked({ fieldValidation: 'Ignore' })).warnings, undefined)
  const warned = await asked({}, { duplicateFields: ['data.a'] })
  assert.deepEqual(warned.warnings, ['unknown field "bogus"', 'duplicate field "data.a"'])
  assert.equal(fieldsOf(warned.body)['bogus'], undefined)
  await refused(
    asked({ fieldValidation: 'Strict' }, { duplicateFields: ['data.a'] }),
    400,
    'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "bogus", duplicate field "data.a"',
  )
  await refused(
    send('create', 'configmaps', '', { body: { ...configMap('a'), data: { a: 1 } } }),
    400,
    /^ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal number into Go struct field ConfigMap.data of type string/,
  )
  await refused(
    send('create', 'widgets', '', { body: widget('w', { size: 'big' }) }),
    422,
    /^Widget.ex.dev "w" is invalid: spec.size: Invalid value: "string": spec.size in body must be of type integer: "string"/,
  )
})

test('dry run answers as if, and stores nothing', async () => {
  const { object, send, store } = world()
  const before = store.revision
  const made = await object('create', 'widgets', '', {
    body: widget('w'),
    options: { dryRun: true },
  })
  assert.ok(made.metadata.uid)
  assert.equal(made.metadata.resourceVersion, undefined)
  await send('delete', 'configmaps', 'kube-root-ca.crt', { options: { dryRun: true } })
  assert.equal(store.revision, before)
  await refused(send('get', 'widgets', 'w'), 404, 'widgets.ex.dev "w" not found')
})

test('patches: JSON, merge, strategic; 415 where they do not apply', async () => {
  const { object, send } = world()
  await object('create', 'configmaps', '', { body: configMap('a', { x: '1', y: '2' }) })
  const json = await object('patch', 'configmaps', 'a', {
    patchType: 'json',
    body: [
      { op: 'test', path: '/data/x', value: '1' },
      { op: 'replace', path: '/data/z', value: '3' },
      { op: 'remove', path: '/data/y' },
    ],
  })
  assert.deepEqual(json['data'], { x: '1', z: '3' })
  await refused(
    send('patch', 'configmaps', 'a', {
      patchType: 'json',
      body: [{ op: 'remove', path: '/data/nope' }],
    }),
    422,
    'the server rejected our request due to an error in our request',
  )
  const merged = await object('patch', 'configmaps', 'a', {
    patchType: 'merge',
    body: { data: { x: null, w: '4' } },
  })
  assert.deepEqual(merged['data'], { z: '3', w: '4' })
  const strategic = await object('patch', 'configmaps', 'a', {
    patchType: 'strategic',
    body: { data: { $patch: 'replace', only: 'me' } },
  })
  assert.deepEqual(strategic['data'], { only: 'me' })
  await refused(
    send('patch', 'configmaps', 'a', {
      patchType: 'merge',
      body: { metadata: { resourceVersion: '1' }, data: { q: '1' } },
    }),
    409,
    /the object has been modified/,
  )
  await object('create', 'widgets', '', { body: widget('w') })
  await refused(
    send('patch', 'widgets', 'w', { patchType: 'strategic', body: { spec: { size: 1 } } }),
    415,
    /application\/merge-patch\+json/,
  )
  await refused(send('patch', 'widgets', 'w', { body: {} }), 415, '415: Unsupported Media Type')
  await refused(
    send('patch', 'widgets', 'w', {
      patchType: 'merge',
      body: { spec: { bogus: 1 } },
      options: { fieldValidation: 'Strict' },
    }),
    422,
    /strict decoding error: unknown field "spec.bogus"$/,
  )
})

test('scale is read and written beside the object', async () => {
  const { object, send } = world()
  const made = await object('create', 'widgets', '', { body: widget('w') })
  const scale = await object('get', 'widgets', 'w', { subresource: 'scale' })
  assert.deepEqual(
    [scale.kind, scale['spec'], scale['status']],
    ['Scale', { replicas: 1 }, { replicas: 0, selector: 'app=w' }],
  )
  const patched = await object('patch', 'widgets', 'w', {
    subresource: 'scale',
    patchType: 'merge',
    body: { spec: { replicas: 4 } },
  })
  assert.deepEqual(patched['spec'], { replicas: 4 })
  const now = await object('get', 'widgets', 'w')
  assert.deepEqual([now['spec'], now.metadata.generation], [{ replicas: 4 }, 2])
  await refused(
    send('update', 'widgets', 'w', {
      subresource: 'scale',
      body: { ...scale, spec: { replicas: 2 } },
    }),
    409,
    /the object has been modified/,
  )
  assert.notEqual(made.metadata.resourceVersion, now.metadata.resourceVersion)
})

test('finalizers hold an object; the update that takes the last one away ends it', async () => {
  const { object, send, store } = world()
  await object('create', 'widgets', '', { body: widget('w', {}, { finalizers: ['ex.dev/hold'] }) })
  const watched = take(
    await send('watch', 'widgets', '', { options: { resourceVersion: String(store.revision) } }),
    2,
  )
  const marked = await object('delete', 'widgets', 'w')
  assert.equal(marked.metadata.deletionTimestamp, '2026-01-01T00:00:00Z')
  assert.deepEqual([marked.metadata.deletionGracePeriodSeconds, marked.metadata.generation], [0, 2])
  // A second DELETE changes nothing.
  const again = await object('delete', 'widgets', 'w')
  assert.equal(again.metadata.resourceVersion, marked.metadata.resourceVersion)
  await refused(
    send('update', 'widgets', 'w', {
      body: {
        ...marked,
        metadata: { ...marked.metadata, finalizers: ['ex.dev/hold', 'y.dev/z'] },
      },
    }),
    422,
    /metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers \[\]string\{"y.dev\/z"\}/,
  )
  await object('patch', 'widgets', 'w', {
    patchType: 'merge',
    body: { metadata: { finalizers: [] } },
  })
  await refused(send('get', 'widgets', 'w'), 404, /not found/)
  assert.deepEqual(brief(await watched), ['MODIFIED w', 'DELETED w'])
})

test('delete answers a Status, checks preconditions, and knows its propagation finalizers', async () => {
  const { object, send } = world()
  await object('create', 'configmaps', '', { body: configMap('a') })
  await refused(
    send('delete', 'configmaps', 'a', { options: { preconditions: { uid: 'x' } } }),
    409,
    /^Operation cannot be fulfilled on ConfigMap "a": the UID in the precondition \(x\) does not match the UID in record/,
  )
  const gone = await send('delete', 'configmaps', 'a')
  assert.equal(fieldsOf(gone.body)['status'], 'Success')
  await refused(send('delete', 'configmaps', 'a'), 404, 'configmaps "a" not found')

  await object('create', 'widgets', '', { body: widget('w') })
  const waiting = await object('delete', 'widgets', 'w', {
    options: { propagationPolicy: 'Foreground' },
  })
  assert.deepEqual(waiting.metadata.finalizers, ['foregroundDeletion'])
  const last = await send('delete', 'widgets', 'w', {
    options: { propagationPolicy: 'Background' },
  })
  assert.equal(fieldsOf(last.body)['status'], 'Success')
})

test('a pod on a node leaves gracefully; one that runs nowhere goes at once', async () => {
  const { object, send, clock } = world()
  await object('create', 'pods', '', { body: pod('idle') })
  await object('delete', 'pods', 'idle')
  await refused(send('get', 'pods', 'idle'), 404, /not found/)

  const made = await object('create', 'pods', '', { body: pod('p', 'node') })
  const watched = take(
    await send('watch', 'pods', '', {
      options: { resourceVersion: made.metadata.resourceVersion ?? '' },
    }),
    4,
  )
  const marked = await object('delete', 'pods', 'p')
  assert.equal(marked.metadata.deletionTimestamp, '2026-01-01T00:00:30Z')
  assert.equal(marked.metadata.deletionGracePeriodSeconds, 30)
  const shorter = await object('delete', 'pods', 'p', { options: { gracePeriodSeconds: 5 } })
  assert.equal(shorter.metadata.deletionGracePeriodSeconds, 5)
  const longer = await object('delete', 'pods', 'p', { options: { gracePeriodSeconds: 60 } })
  assert.equal(longer.metadata.deletionGracePeriodSeconds, 5)
  await clock.advance(1000)
  await object('delete', 'pods', 'p', { options: { gracePeriodSeconds: 0 } })
  assert.deepEqual(brief(await watched), ['MODIFIED p', 'MODIFIED p', 'MODIFIED p', 'DELETED p'])
})

test('binding assigns a pod once; eviction deletes it', async () => {
  const { object, send } = world()
  await object('create', 'pods', '', { body: pod('p') })
  const binding = { subresource: 'binding', body: { target: { kind: 'Node', name: 'n1' } } }
  assert.equal((await send('create', 'pods', 'p', binding)).code, 201)
  assert.equal(fieldsOf(spec(await object('get', 'pods', 'p')))['nodeName'], 'n1')
  await refused(send('create', 'pods', 'p', binding), 409, /already assigned to node/)
  await send('create', 'pods', 'p', { subresource: 'eviction', body: {} })
  assert.ok((await object('get', 'pods', 'p')).metadata.deletionTimestamp)
})

test('namespaces: furnished when made, closed while terminating, gone when finalized', async () => {
  const { object, send } = world()
  const ns = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team' } }
  const made = await object('create', 'namespaces', '', { body: ns })
  assert.deepEqual(
    [made.metadata.labels, made['spec'], made['status']],
    [
      { 'kubernetes.io/metadata.name': 'team' },
      { finalizers: ['kubernetes'] },
      { phase: 'Active' },
    ],
  )
  await object('get', 'serviceaccounts', 'default', { namespace: 'team' })
  await refused(
    send('delete', 'namespaces', 'default'),
    403,
    'namespaces "default" is forbidden: this namespace may not be deleted',
  )
  const leaving = await object('delete', 'namespaces', 'team')
  assert.equal(fieldsOf(status(leaving))['phase'], 'Terminating')
  await refused(
    send('create', 'configmaps', '', { namespace: 'team', body: configMap('a') }),
    403,
    'configmaps "a" is forbidden: unable to create new content in namespace team because it is being terminated',
  )
  await object('update', 'namespaces', 'team', {
    subresource: 'finalize',
    body: { ...leaving, spec: { finalizers: [] } },
  })
  await refused(send('get', 'namespaces', 'team'), 404, 'namespaces "team" not found')
  await refused(
    send('deletecollection', 'namespaces'),
    405,
    'the server does not allow this method on the requested resource',
  )
})

test('lists select, page consistently and count what remains', async () => {
  const { object, send, store } = world()
  for (const name of ['a', 'b', 'c', 'd', 'e'])
    await object('create', 'widgets', '', {
      body: widget(name, {}, { labels: { odd: String('ace'.includes(name)) } }),
    })
  const listed = async (options: RequestOptions) => send('list', 'widgets', '', { options })
  assert.deepEqual(namesOf(await listed({ labelSelector: 'odd=true' })), ['a', 'c', 'e'])
  assert.deepEqual(namesOf(await listed({ fieldSelector: 'metadata.name=b' })), ['b'])
  assert.deepEqual(namesOf(await listed({ fieldSelector: 'metadata.name!=b,metadata.name!=c' })), [
    'a',
    'd',
    'e',
  ])
  await refused(listed({ fieldSelector: 'spec.foo=1' }), 400, 'field label not supported: spec.foo')
  await refused(listed({ labelSelector: 'a b' }), 400, /^unable to parse requirement: found 'b'/)

  const first = await listed({ limit: 2 })
  const { metadata } = fieldsOf(first.body) as { metadata: Record<string, unknown> }
  assert.deepEqual([namesOf(first), metadata['remainingItemCount']], [['a', 'b'], 3])
  // The pages show one moment, whatever happens between them.
  await object('create', 'widgets', '', { body: widget('bb') })
  await send('delete', 'widgets', 'd')
  const second = await listed({ limit: 2, continue: String(metadata['continue']) })
  assert.deepEqual(namesOf(second), ['c', 'd'])
  const odd = await listed({ limit: 1, labelSelector: 'odd=true' })
  const oddMeta = fieldsOf(fieldsOf(odd.body)['metadata'])
  assert.equal(oddMeta['remainingItemCount'], undefined)
  assert.deepEqual(
    namesOf(
      await listed({
        limit: 2,
        labelSelector: 'odd=true',
        continue: String(oddMeta['continue']),
      }),
    ),
    ['c', 'e'],
  )
  await refused(
    listed({ continue: String(metadata['continue']), resourceVersion: '3' }),
    400,
    'specifying resource version is not allowed when using continue',
  )
  await refused(listed({ continue: 'rubbish' }), 400, /^invalid continue token/)
  assert.equal(
    fieldsOf(fieldsOf((await listed({})).body)['metadata'])['resourceVersion'],
    String(store.revision),
  )
  const deleted = await send('deletecollection', 'widgets', '', {
    options: { labelSelector: 'odd=true' },
  })
  assert.deepEqual(namesOf(deleted), ['a', 'c', 'e'])
  assert.deepEqual(namesOf(await listed({})), ['b', 'bb'])
})

test('a list of the past is exact, and refused when its history is gone', async () => {
  const { object, send, store } = world(10)
  await object('create', 'widgets', '', { body: widget('a') })
  const then = String(store.revision)
  await object('create', 'widgets', '', { body: widget('b') })
  const exact = { resourceVersion: then, resourceVersionMatch: 'Exact' }
  assert.deepEqual(namesOf(await send('list', 'widgets', '', { options: exact })), ['a'])
  for (let i = 0; i < 25; i++)
    await object('create', 'configmaps', '', { body: configMap(`c${i}`) })
  await refused(
    send('list', 'widgets', '', { options: exact }),
    410,
    'The resourceVersion for the provided list is too old.',
  )
  const events = await send('watch', 'widgets', '', { options: { resourceVersion: '1' } })
  await refused(take(events, 1), 410, /^too old resource version: 1 \(\d+\)$/)
})

test('a read of the future waits three seconds', async () => {
  const { send, store, clock, object } = world()
  const next = String(store.revision + 1)
  const early = send('get', 'namespaces', 'default', { options: { resourceVersion: next } })
  await clock.advance(1000)
  await object('create', 'configmaps', '', { body: configMap('a') })
  assert.equal((await early).code, 200)
  const never = send('list', 'widgets', '', { options: { resourceVersion: '999' } })
  const outcome = refused(never, 504, /^Timeout: Too large resource version: 999, current: \d+$/)
  await clock.advance(3001)
  await outcome
})

test('a watch begins with what is there, follows transitions of its selector, and bookmarks', async () => {
  const { send, object, clock, store } = world()
  await object('create', 'widgets', '', { body: widget('a', {}, { labels: { on: 'y' } }) })
  const abort = new AbortController()
  const response = await send('watch', 'widgets', '', {
    options: { labelSelector: 'on=y', allowWatchBookmarks: true, timeoutSeconds: 90 },
    signal: abort.signal,
  })
  const events: WatchEvent[] = []
  const reading = (async () => {
    for await (const event of response.events ?? []) events.push(event)
  })()
  await clock.advance(0)
  const patch = (name: string, on: string | null) =>
    object('patch', 'widgets', name, {
      patchType: 'merge',
      body: { metadata: { labels: { on } } },
    })
  await object('create', 'widgets', '', { body: widget('b') })
  await patch('b', 'y')
  await patch('a', null)
  await clock.advance(60_000)
  assert.deepEqual(brief(events), ['ADDED a', 'ADDED b', 'DELETED a', 'BOOKMARK'])
  const left = events[2]?.object.metadata
  assert.deepEqual(left?.labels, { on: 'y' })
  assert.equal(left?.resourceVersion, String(store.revision))
  assert.equal(events[3]?.object.metadata.resourceVersion, String(store.revision))
  // The end of the time: one more bookmark, then the stream closes by itself.
  await clock.advance(30_000)
  await reading
  assert.deepEqual(brief(events.slice(4)), ['BOOKMARK'])
  abort.abort()
})

test('sendInitialEvents ends the initial state with a marked bookmark', async () => {
  const { send } = world()
  const options: RequestOptions = {
    sendInitialEvents: true,
    resourceVersionMatch: 'NotOlderThan',
    allowWatchBookmarks: true,
  }
  const events = await take(await send('watch', 'namespaces', '', { options }), 5)
  assert.deepEqual(
    events.map(({ type }) => type),
    ['ADDED', 'ADDED', 'ADDED', 'ADDED', 'BOOKMARK'],
  )
  assert.deepEqual(events[4]?.object.metadata.annotations, { 'k8s.io/initial-events-end': 'true' })
  await refused(
    send('watch', 'namespaces', '', { options: { sendInitialEvents: true } }),
    422,
    /sendInitialEvents requires setting resourceVersionMatch to NotOlderThan$/,
  )
})

test('an aborted watch ends quietly', async () => {
  const { send } = world()
  const abort = new AbortController()
  const response = await send('watch', 'widgets', '', { signal: abort.signal })
  const reading = (async () => {
    let count = 0
    for await (const _ of response.events ?? []) count++
    return count
  })()
  abort.abort()
  assert.equal(await reading, 0)
})

test('reads hand out the stored objects themselves', async () => {
  const { send, object } = world()
  await object('create', 'widgets', '', { body: widget('w') })
  const one = (await send('get', 'widgets', 'w')).body
  assert.equal(itemsOf(await send('list', 'widgets'))[0], one)
})

test('reviews answer who one is and what one may', async () => {
  const { server } = world()
  const ask = async (groupName: string, resource: string, groups: string[]) =>
    fieldsOf(
      (
        await server.handle({
          verb: 'create',
          group: groupName,
          version: 'v1',
          resource,
          options: {},
          durable: true,
          user: { username: 'u', groups },
          body: { spec: { resourceAttributes: { verb: 'get', resource: 'pods' } } },
        })
      ).body,
    )['status']
  assert.deepEqual(
    await ask('authorization.k8s.io', 'selfsubjectaccessreviews', ['system:masters']),
    { allowed: true },
  )
  assert.deepEqual(await ask('authorization.k8s.io', 'selfsubjectaccessreviews', ['devs']), {
    allowed: false,
  })
  assert.deepEqual(await ask('authentication.k8s.io', 'selfsubjectreviews', ['devs']), {
    userInfo: { username: 'u', groups: ['devs'] },
  })
})

test('what is not served is not found', async () => {
  const { send } = world()
  const text = 'the server could not find the requested resource'
  await refused(send('get', 'gadgets', 'x'), 404, text)
  await refused(send('get', 'configmaps', 'kube-root-ca.crt', { subresource: 'scale' }), 404, text)
  await refused(send('get', 'pods', 'default/x'), 404, /not found$/)
})

test('a write that cannot reach the disk is refused to callers outside, with the reason', async () => {
  const memory = memoryStore()
  const full = (): Promise<void> => Promise.reject(new Error('no space left on device'))
  const server = createApiServer({
    store: { ...memory, put: (...write) => ({ ...memory.put(...write), durable: full() }) },
    kinds: [Widget],
    clock: new SimClock(),
    random: seededRandom(1),
    log: silent,
  })
  const create = (name: string, durable: boolean) =>
    server.handle({
      verb: 'create',
      group: 'ex.dev',
      version: 'v1',
      resource: 'widgets',
      namespace: 'default',
      options: {},
      user: { username: 'admin', groups: [] },
      durable,
      body: widget(name),
    })
  await refused(
    create('a', true),
    500,
    'Internal error occurred: the change could not be saved to disk: no space left on device',
  )
  // A controller does not wait for the disk, so it is not told either.
  assert.equal((await create('b', false)).code, 201)
})

test('a full disk refuses writes with a word about it, and reads go on', async () => {
  const memory = memoryStore()
  let full: Error | undefined
  const server = createApiServer({
    store: {
      ...memory,
      put: (...write) => {
        if (full) throw full
        return memory.put(...write)
      },
    },
    kinds: [Widget],
    clock: new SimClock(),
    random: seededRandom(1),
    log: silent,
  })
  const base = { group: 'ex.dev', version: 'v1', resource: 'widgets', namespace: 'default' }
  const rest = { options: {}, user: { username: 'admin', groups: [] }, durable: true }
  const create = (name: string) =>
    server.handle({ ...base, ...rest, verb: 'create', body: widget(name) })
  await create('a')
  full = new StoreFull('no room for the store /x: disk I/O error. Free some disk space.')
  await refused(
    create('b'),
    503,
    'the change could not be saved to disk: no room for the store /x: disk I/O error. Free some disk space.',
  )
  const read = await server.handle({ ...base, ...rest, verb: 'get', name: 'a' })
  assert.equal(read.code, 200)
})

test('annotations are limited, and count as desired state of Deployments only', async () => {
  const { object, send } = world()
  await refused(
    send('create', 'configmaps', '', {
      body: configMap('a', {}, { annotations: { big: 'x'.repeat(256 * 1024) } }),
    }),
    422,
    /metadata.annotations: Too long: may not be more than 262144 bytes$/,
  )
  const deployment = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'd' },
    spec: {
      selector: { matchLabels: { a: 'b' } },
      template: {
        metadata: { labels: { a: 'b' } },
        spec: { containers: [{ name: 'c', image: 'i' }] },
      },
    },
  }
  await object('create', 'deployments', '', { body: deployment })
  await object('create', 'widgets', '', { body: widget('w') })
  const noted = await object('patch', 'deployments', 'd', {
    patchType: 'merge',
    subresource: 'status',
    body: { metadata: { labels: { x: 'y' }, annotations: { revision: '1' } } },
  })
  assert.deepEqual(
    [noted.metadata.generation, noted.metadata.annotations, noted.metadata.labels],
    [1, { revision: '1' }, undefined],
  )
  const body = { metadata: { annotations: { a: 'b' } } }
  const patched = await object('patch', 'deployments', 'd', { patchType: 'merge', body })
  const other = await object('patch', 'widgets', 'w', { patchType: 'merge', body })
  assert.deepEqual([patched.metadata.generation, other.metadata.generation], [2, 1])
})

test('property: whatever a merge patch says, the server keeps the identity or refuses', async () => {
  const { send, object } = world()
  const made = await object('create', 'widgets', '', { body: widget('w', { size: 1 }) })
  await fc.assert(
    fc.asyncProperty(
      fc.record(
        { metadata: fc.jsonValue(), spec: fc.jsonValue(), status: fc.jsonValue() },
        { requiredKeys: [] },
      ),
      async (body) => {
        try {
          await send('patch', 'widgets', 'w', { patchType: 'merge', body })
        } catch (thrown) {
          assert.ok(thrown instanceof StatusError && thrown.code < 500, String(thrown))
        }
        const { metadata } = await object('get', 'widgets', 'w')
        assert.deepEqual(
          [metadata.name, metadata.namespace, metadata.uid, metadata.creationTimestamp],
          ['w', 'default', made.metadata.uid, made.metadata.creationTimestamp],
        )
      },
    ),
  )
})
