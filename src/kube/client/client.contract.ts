/** What every way of reaching the API must do alike: in process and over HTTPS. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigMap } from '../api/config-map.ts'
import { Deployment } from '../api/deployment.ts'
import { keyOf, type KubeObject, type StringMap } from '../api/meta.ts'
import { Namespace } from '../api/namespace.ts'
import { Pod } from '../api/pod.ts'
import type { ApiResponse, WatchEvent } from '../api/protocol.ts'
import { StatusError, type StatusReason } from '../api/status-error.ts'
import type { TypedClient } from './typed-client.ts'

export interface Subject extends AsyncDisposable {
  readonly client: TypedClient
  /** The transport below: for what the client does not show, such as warnings. */
  readonly raw: (body: unknown) => Promise<ApiResponse>
}

export const aConfigMap = (
  name: string,
  data: StringMap = {},
  labels: StringMap = {},
): ConfigMap => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'default', labels },
  data,
})

const aPod = (name: string): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default' },
  spec: { containers: [{ name: 'c', image: 'i' }] },
})

const refused = (promise: Promise<unknown>, reason: StatusReason, code: number, text: RegExp) =>
  assert.rejects(promise, (error) => {
    assert.ok(error instanceof StatusError, String(error))
    assert.equal(error.reason, reason)
    assert.equal(error.code, code)
    assert.match(error.message, text)
    return true
  })

const named = (objects: readonly KubeObject[]) => objects.map(({ metadata }) => metadata.name)

/** Takes `count` events, then leaves the stream. */
async function take<T extends KubeObject>(events: AsyncIterable<WatchEvent<T>>, count: number) {
  const taken: string[] = []
  for await (const { type, object } of events) {
    if (type === 'BOOKMARK') continue
    taken.push(`${type} ${object.metadata.name}`)
    if (taken.length === count) break
  }
  return taken
}

export function clientContract(name: string, open: () => Promise<Subject>): void {
  const it = (what: string, run: (subject: Subject) => Promise<void>) =>
    void test(`${name}: ${what}`, async () => {
      await using subject = await open()
      await run(subject)
    })

  it('creates, reads, updates and deletes', async ({ client }) => {
    const made = await client.create(ConfigMap, aConfigMap('a', { x: '1' }))
    assert.equal(made.kind, 'ConfigMap')
    assert.ok(made.metadata.uid)
    assert.deepEqual(await client.get(ConfigMap, keyOf(made)), made)
    const changed = await client.update(ConfigMap, { ...made, data: { x: '2' } })
    assert.ok(Number(changed.metadata.resourceVersion) > Number(made.metadata.resourceVersion))
    await client.delete(ConfigMap, keyOf(made), {
      preconditions: { uid: made.metadata.uid ?? '' },
    })
    await refused(client.get(ConfigMap, keyOf(made)), 'NotFound', 404, /configmaps "a" not found/)
  })

  it('refuses with Kubernetes’ reasons, details and codes', async ({ client }) => {
    const made = await client.create(ConfigMap, aConfigMap('a'))
    await refused(client.create(ConfigMap, aConfigMap('a')), 'AlreadyExists', 409, /already exists/)
    await client.update(ConfigMap, { ...made, data: { x: '1' } })
    await refused(
      client.update(ConfigMap, { ...made, data: { x: '2' } }),
      'Conflict',
      409,
      /the object has been modified/,
    )
    await refused(
      client.delete(ConfigMap, keyOf(made), { preconditions: { uid: 'other' } }),
      'Conflict',
      409,
      /UID in the precondition/,
    )
    await refused(client.create(ConfigMap, aConfigMap('A b')), 'Invalid', 422, /metadata.name/)
    try {
      await client.get(ConfigMap, { namespace: 'default', name: 'none' })
    } catch (error) {
      assert.deepEqual(StatusError.from(error).details, { name: 'none', kind: 'configmaps' })
    }
  })

  it('lists by namespace, label and page, each item with its type', async ({ client }) => {
    for (const each of ['a', 'b', 'c'])
      await client.create(ConfigMap, aConfigMap(each, {}, { letter: each }))
    const all = await client.list(ConfigMap, 'default', { labelSelector: 'letter' })
    assert.deepEqual(named(all.items), ['a', 'b', 'c'])
    for (const item of all.items)
      assert.deepEqual([item.apiVersion, item.kind], ['v1', 'ConfigMap'])
    assert.ok(Number(all.metadata.resourceVersion) > 0)
    const some = await client.list(ConfigMap, '', { labelSelector: 'letter in (a,c)' })
    assert.deepEqual(named(some.items), ['a', 'c'])
    const first = await client.list(ConfigMap, 'default', { limit: 2 })
    assert.equal(first.items.length, 2)
    const rest = await client.list(ConfigMap, 'default', {
      limit: 2,
      continue: first.metadata.continue ?? '',
    })
    assert.deepEqual(named([...first.items, ...rest.items]), ['a', 'b', 'c', 'kube-root-ca.crt'])
    assert.equal(rest.metadata.continue, undefined)
  })

  it('patches by merge, JSON patch and strategic merge, and the scale', async ({ client }) => {
    const deployment = await client.create<Deployment>(Deployment, {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'web', namespace: 'default' },
      spec: {
        replicas: 1,
        selector: { matchLabels: { app: 'web' } },
        template: {
          metadata: { labels: { app: 'web' } },
          spec: { containers: [{ name: 'c', image: 'i:1' }] },
        },
      },
    })
    const key = keyOf(deployment)
    const merged = await client.patch(Deployment, key, {
      type: 'merge',
      body: { metadata: { annotations: { a: '1' } } },
    })
    assert.equal(merged.metadata.annotations?.a, '1')
    const replaced = await client.patch(Deployment, key, {
      type: 'json',
      body: [{ op: 'replace', path: '/spec/replicas', value: 2 }],
    })
    assert.equal(replaced.spec.replicas, 2)
    const strategic = await client.patch(Deployment, key, {
      type: 'strategic',
      body: { spec: { template: { spec: { containers: [{ name: 'c', image: 'i:2' }] } } } },
    })
    assert.equal(strategic.spec.template?.spec?.containers[0]?.image, 'i:2')
    await client.patch(Deployment, key, {
      type: 'merge',
      body: { spec: { replicas: 5 } },
      subresource: 'scale',
    })
    assert.equal((await client.get(Deployment, key)).spec.replicas, 5)
  })

  it('writes status apart from the rest, and subresources', async ({ client }) => {
    const pod = await client.create(Pod, aPod('p'))
    await client.subresource('create', Pod, keyOf(pod), 'binding', {
      apiVersion: 'v1',
      kind: 'Binding',
      metadata: { name: 'p' },
      target: { kind: 'Node', name: 'n1' },
    })
    const bound = await client.get(Pod, keyOf(pod))
    assert.equal(bound.spec.nodeName, 'n1')
    const status = { ...bound.status, phase: 'Running' }
    const spec = { ...bound.spec, nodeName: 'n2' }
    const written = await client.updateStatus<Pod>(Pod, { ...bound, spec, status })
    assert.equal(written.status?.phase, 'Running')
    assert.equal(written.spec.nodeName, 'n1')
  })

  it('reads cluster-scoped kinds', async ({ client }) => {
    const found = await client.get(Namespace, { namespace: '', name: 'default' })
    assert.equal(found.metadata.name, 'default')
    const { items } = await client.list(Namespace, '')
    assert.ok(named(items).includes('kube-system'))
  })

  it('dry runs leave nothing behind', async ({ client }) => {
    await client.create(ConfigMap, aConfigMap('a'), { dryRun: true })
    await refused(client.get(ConfigMap, keyOf(aConfigMap('a'))), 'NotFound', 404, /not found/)
    await client.create(ConfigMap, aConfigMap('a'))
    await client.delete(ConfigMap, keyOf(aConfigMap('a')), { dryRun: true })
    await client.get(ConfigMap, keyOf(aConfigMap('a')))
  })

  it('watches from a revision without gaps, and ends when told to', async ({ client }) => {
    const stop = new AbortController()
    const { metadata } = await client.list(ConfigMap, 'default')
    const { resourceVersion } = metadata
    const made = await client.create(ConfigMap, aConfigMap('a'))
    const events = await client.watch(ConfigMap, 'default', { resourceVersion }, stop.signal)
    const taken = take(events, 4)
    await client.update(ConfigMap, { ...made, data: { x: '1' } })
    await client.create(ConfigMap, aConfigMap('b'))
    await client.delete(ConfigMap, keyOf(made))
    assert.deepEqual(await taken, ['ADDED a', 'MODIFIED a', 'ADDED b', 'DELETED a'])
    const more = await client.watch(ConfigMap, 'default', { resourceVersion }, stop.signal)
    const ended = take(more, 100)
    stop.abort()
    assert.ok((await ended).length <= 4, 'it ends without an error')
  })

  it('a watch from long ago is Expired', async ({ client }) => {
    const watching = async () => {
      const signal = AbortSignal.timeout(10_000)
      const events = await client.watch(ConfigMap, '', { resourceVersion: '1' }, signal)
      await take(events, 1_000_000)
    }
    await refused(watching(), 'Expired', 410, /too old resource version/)
  })

  it('passes warnings on', async ({ raw }) => {
    const { code, warnings } = await raw({ ...aConfigMap('w'), bogus: 'a "quoted" thing' })
    assert.equal(code, 201)
    assert.deepEqual(warnings, ['unknown field "bogus"'])
  })
}
