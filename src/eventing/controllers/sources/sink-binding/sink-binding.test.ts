import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CustomResourceDefinition } from '../../../../kube/api/custom-resource-definition.ts'
import { Deployment } from '../../../../kube/api/deployment.ts'
import { Job } from '../../../../kube/api/job.ts'
import { coreKinds } from '../../../../kube/api/kinds.ts'
import type { Kind } from '../../../../kube/api/kind.ts'
import type { KubeObject } from '../../../../kube/api/meta.ts'
import { Namespace } from '../../../../kube/api/namespace.ts'
import { Service as CoreService } from '../../../../kube/api/service.ts'
import { startController } from '../../../../kube/controller/loop.ts'
import { conditionOf, type Condition } from '../../../../knative/conditions.ts'
import { servingKinds } from '../../../../serving/api/kinds.ts'
import { aDeployment } from '../../../../testing/kube-objects.ts'
import { inMemoryPlatform, type InMemoryPlatform } from '../../../../testing/platform.ts'
import { SimClock } from '../../../../testing/sim-clock.ts'
import { eventingKinds } from '../../../api/kinds.ts'
import type { Destination } from '../../../api/duck/destination.ts'
import { SinkBinding, type Subject } from '../../../api/sources/sink-binding.ts'
import { sinkBindingAdmission } from './admission.ts'
import type { SelectionMode } from './selection.ts'
import { sinkBindingReconciler } from './sink-binding.ts'

const key = (name: string) => ({ namespace: 'default', name })
const labelled = (name: string): Deployment => {
  const made = aDeployment(name, 1)
  return { ...made, metadata: { ...made.metadata, labels: { sends: 'events' } } }
}
const envOf = ({ spec }: Pick<Deployment, 'spec'> | Pick<Job, 'spec'>) =>
  (spec.template.spec?.containers[0]?.env ?? []).map(({ name, value }) => `${name}=${value ?? ''}`)
const bound = ['K_SINK=http://sink.default.svc.cluster.local', 'K_CE_OVERRIDES=']

test('subjects are told their sink, old and new ones, and no more when the binding is gone', async () => {
  const clock = new SimClock()
  await using platform = inMemoryPlatform({
    kinds: [...coreKinds, ...servingKinds, ...eventingKinds],
    clock,
    admission: sinkBindingAdmission('exclusion'),
  })
  const { client } = platform
  const get = (name: string) => client.get<Deployment>(Deployment, key(name))
  await client.create(Deployment, labelled('old'))
  await client.create(SinkBinding, {
    apiVersion: 'sources.knative.dev/v1',
    kind: 'SinkBinding',
    metadata: { name: 'bind', namespace: 'default' },
    spec: {
      sink: { ref: { apiVersion: 'v1', kind: 'Service', name: 'sink' } },
      subject: {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        selector: { matchLabels: { sends: 'events' } },
      },
    },
  })
  const controller = startController(sinkBindingReconciler(), platform)
  await clock.advance(1_000)
  const status = async (type: string) =>
    conditionOf((await client.get<SinkBinding>(SinkBinding, key('bind'))).status, type)
  assert.equal((await status('SinkProvided'))?.reason, 'NotFound')
  assert.deepEqual(envOf(await get('old')), [])

  await client.create(CoreService, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'sink', namespace: 'default' },
    spec: { ports: [{ port: 80 }] },
  })
  await clock.advance(1_000)
  assert.equal((await status('Ready'))?.status, 'True')
  assert.deepEqual(envOf(await get('old')), bound)

  // A new one has it from the beginning, with whoever is not meant left alone.
  assert.deepEqual(envOf(await client.create<Deployment>(Deployment, labelled('new'))), bound)
  assert.deepEqual(envOf(await client.create<Deployment>(Deployment, aDeployment('other', 1))), [])
  const excluded = labelled('excluded')
  const labels = { ...excluded.metadata.labels, 'bindings.knative.dev/exclude': 'true' }
  const kept = await client.create<Deployment>(Deployment, {
    ...excluded,
    metadata: { ...excluded.metadata, labels },
  })
  assert.deepEqual(envOf(kept), [])

  await client.delete(SinkBinding, key('bind'))
  await clock.advance(1_000)
  assert.deepEqual(envOf(await get('old')), [])
  assert.deepEqual(envOf(await get('new')), [])
  await controller[Symbol.asyncDispose]()
})

test('a Job is told when it is made, and never after', async () => {
  const clock = new SimClock()
  await using platform = inMemoryPlatform({
    kinds: [...coreKinds, ...servingKinds, ...eventingKinds],
    clock,
    admission: sinkBindingAdmission('exclusion'),
  })
  const { client } = platform
  const binding = {
    apiVersion: 'sources.knative.dev/v1',
    kind: 'SinkBinding',
    metadata: { name: 'bind', namespace: 'default' },
    spec: {
      sink: { uri: 'http://sink.example' },
      subject: { apiVersion: 'batch/v1', kind: 'Job', name: 'work' },
    },
  }
  const controller = startController(sinkBindingReconciler(), platform)
  await client.create(SinkBinding, binding)
  await clock.advance(1_000)
  const missing = await client.get<SinkBinding>(SinkBinding, key('bind'))
  assert.equal(conditionOf(missing.status, 'Ready')?.reason, 'SubjectMissing')
  const pod = { restartPolicy: 'Never', containers: [{ name: 'c', image: 'x' }] }
  const job = await client.create<Job>(Job, {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name: 'work', namespace: 'default' },
    spec: { template: { spec: pod } },
  })
  assert.deepEqual(envOf(job), ['K_SINK=http://sink.example', 'K_CE_OVERRIDES='])
  await clock.advance(1_000)
  const found = await client.get<SinkBinding>(SinkBinding, key('bind'))
  assert.equal(conditionOf(found.status, 'Ready')?.status, 'True')
  await controller[Symbol.asyncDispose]()
})

const openAPIV3Schema = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }
const widgets: CustomResourceDefinition = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'widgets.example.com' },
  spec: {
    group: 'example.com',
    scope: 'Namespaced',
    names: { kind: 'Widget', plural: 'widgets', singular: 'widget', listKind: 'WidgetList' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: { openAPIV3Schema },
        subresources: { status: {} },
      },
    ],
  },
}
const Widget: Kind<KubeObject & Pick<Deployment, 'spec'> & { status?: unknown }> = {
  group: 'example.com',
  version: 'v1',
  kind: 'Widget',
  plural: 'widgets',
  namespaced: true,
}
const aWidget = (name: string) => ({
  apiVersion: 'example.com/v1',
  kind: 'Widget',
  metadata: { name, namespace: 'default' },
  spec: {
    selector: {},
    template: { metadata: {}, spec: { containers: [{ name: 'c', image: 'x' }] } },
  },
})

async function withPlatform(
  mode: SelectionMode,
  body: (platform: {
    readonly client: InMemoryPlatform['client']
    readonly advance: () => Promise<void>
    readonly condition: (type: string) => Promise<Condition | undefined>
    readonly bind: (subject: Subject, sink: Destination) => Promise<unknown>
  }) => Promise<void>,
): Promise<void> {
  const clock = new SimClock()
  await using platform = inMemoryPlatform({
    kinds: [...coreKinds, ...servingKinds, ...eventingKinds],
    clock,
    admission: sinkBindingAdmission(mode),
  })
  const { client } = platform
  await using _controller = startController(sinkBindingReconciler(mode), platform)
  await body({
    client,
    advance: () => clock.advance(2_000),
    condition: async (type) =>
      conditionOf((await client.get<SinkBinding>(SinkBinding, key('bind'))).status, type),
    bind: (subject, sink) =>
      client.create(SinkBinding, {
        apiVersion: 'sources.knative.dev/v1',
        kind: 'SinkBinding',
        metadata: { name: 'bind', namespace: 'default' },
        spec: { subject, sink },
      }),
  })
}

test('kinds that definitions bring are bound, and are sinks, whenever they come', async () => {
  await withPlatform('exclusion', async ({ client, advance, condition, bind }) => {
    const ref = { apiVersion: 'example.com/v1', kind: 'Widget', name: 'sink' }
    await bind({ apiVersion: 'example.com/v1', kind: 'Widget', name: 'old' }, { ref })
    await advance()
    assert.equal((await condition('Ready'))?.reason, 'NotFound')
    assert.match((await condition('Ready'))?.message ?? '', /objects of this kind have no address/)
    await client.create(CustomResourceDefinition, widgets)
    await advance()
    assert.match((await condition('Ready'))?.message ?? '', /widgets.example.com "sink" not found/)
    await client.create(Widget, aWidget('old'))
    const made = await client.create(Widget, aWidget('sink'))
    await advance()
    assert.match((await condition('SinkProvided'))?.message ?? '', /address not set/)
    await client.updateStatus(Widget, { ...made, status: { address: { url: 'http://one' } } })
    await advance()
    assert.equal((await condition('Ready'))?.status, 'True')
    const env = async () => envOf(await client.get(Widget, key('old')))
    assert.deepEqual(await env(), ['K_SINK=http://one', 'K_CE_OVERRIDES='])

    // In the moment they are stored, and again when the sink is somewhere else.
    await client.delete(Widget, key('old'))
    assert.deepEqual(envOf(await client.create(Widget, aWidget('old'))), [
      'K_SINK=http://one',
      'K_CE_OVERRIDES=',
    ])
    const latest = await client.get(Widget, key('sink'))
    await client.updateStatus(Widget, { ...latest, status: { address: { url: 'http://two/' } } })
    await advance()
    assert.deepEqual(await env(), ['K_SINK=http://two/', 'K_CE_OVERRIDES='])
    await client.delete(SinkBinding, key('bind'))
    await advance()
    assert.deepEqual(await env(), [])
  })
})

const label = (name: string, value = 'true') => ({
  metadata: { labels: { [`bindings.knative.dev/${name}`]: value } },
})

test('what is labelled so is left alone by both paths', async () => {
  await withPlatform('exclusion', async ({ client, advance, condition, bind }) => {
    await client.create(Deployment, labelled('old'))
    await client.patch(Deployment, key('old'), { type: 'merge', body: label('exclude') })
    await bind({ apiVersion: 'apps/v1', kind: 'Deployment', name: 'old' }, { uri: 'http://x' })
    await advance()
    const env = async () => envOf(await client.get<Deployment>(Deployment, key('old')))
    assert.deepEqual(await env(), [])
    assert.equal((await condition('SinkBindingAvailable'))?.reason, 'SubjectLeftAlone')
    assert.equal((await condition('Ready'))?.status, 'True')
    await client.patch(Deployment, key('old'), { type: 'merge', body: label('exclude', 'false') })
    await advance()
    assert.deepEqual(await env(), ['K_SINK=http://x', 'K_CE_OVERRIDES='])
  })
})

test('with inclusion only what is labelled, itself and its namespace, is bound', async () => {
  await withPlatform('inclusion', async ({ client, advance, bind }) => {
    await bind({ apiVersion: 'apps/v1', kind: 'Deployment', name: 'old' }, { uri: 'http://x' })
    await client.create(Deployment, labelled('old'))
    const env = async () => envOf(await client.get<Deployment>(Deployment, key('old')))
    await client.patch(Deployment, key('old'), { type: 'merge', body: label('include') })
    await advance()
    assert.deepEqual(await env(), [])
    const namespace = { namespace: '', name: 'default' }
    await client.patch(Namespace, namespace, { type: 'merge', body: label('include') })
    await advance()
    assert.deepEqual(await env(), ['K_SINK=http://x', 'K_CE_OVERRIDES='])
  })
})

test('a Job that is older than its binding is told of, and CronJobs are to be bound by their Jobs', async () => {
  await withPlatform('exclusion', async ({ client, advance, condition, bind }) => {
    const pod = { restartPolicy: 'Never', containers: [{ name: 'c', image: 'x' }] }
    await client.create<Job>(Job, {
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: { name: 'work', namespace: 'default' },
      spec: { template: { spec: pod } },
    })
    await bind({ apiVersion: 'batch/v1', kind: 'Job', name: 'work' }, { uri: 'http://x' })
    await advance()
    assert.equal((await condition('Ready'))?.reason, 'BindingFailed')
    assert.match((await condition('Ready'))?.message ?? '', /^Job work: made before this binding/)
    await client.delete(SinkBinding, key('bind'))
    await advance()
    await bind({ apiVersion: 'batch/v1', kind: 'CronJob', name: 'work' }, { uri: 'http://x' })
    await advance()
    assert.match((await condition('Ready'))?.message ?? '', /bind its Jobs, by a label/)
  })
})
