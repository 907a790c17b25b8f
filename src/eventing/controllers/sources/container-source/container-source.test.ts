import assert from 'node:assert/strict'
import { test } from 'node:test'
import { conditionOf } from '../../../../knative/conditions.ts'
import { Deployment } from '../../../../kube/api/deployment.ts'
import { Event } from '../../../../kube/api/event.ts'
import { coreKinds } from '../../../../kube/api/kinds.ts'
import { Service as CoreService } from '../../../../kube/api/service.ts'
import { startController } from '../../../../kube/controller/loop.ts'
import { servingKinds } from '../../../../serving/api/kinds.ts'
import { aDeployment } from '../../../../testing/kube-objects.ts'
import { inMemoryPlatform } from '../../../../testing/platform.ts'
import { SimClock } from '../../../../testing/sim-clock.ts'
import { ContainerSource } from '../../../api/sources/container-source.ts'
import { eventingKinds } from '../../../api/kinds.ts'
import { SinkBinding } from '../../../api/sources/sink-binding.ts'
import { sinkBindingAdmission } from '../sink-binding/admission.ts'
import type { SelectionMode } from '../sink-binding/selection.ts'
import { sinkBindingReconciler } from '../sink-binding/sink-binding.ts'
import { containerSourceReconciler } from './container-source.ts'

const key = (name: string) => ({ namespace: 'default', name })
const env = [
  { name: 'OWN', value: '1' },
  { name: 'K_SINK', value: 'by hand' },
]

async function withSource(
  mode: SelectionMode,
  body: (world: {
    readonly client: ReturnType<typeof inMemoryPlatform>['client']
    readonly advance: () => Promise<void>
    readonly create: () => Promise<unknown>
    readonly condition: (type: string) => Promise<readonly (string | undefined)[]>
    readonly events: () => Promise<readonly string[]>
  }) => Promise<void>,
): Promise<void> {
  const clock = new SimClock()
  await using platform = inMemoryPlatform({
    kinds: [...coreKinds, ...servingKinds, ...eventingKinds],
    clock,
    admission: sinkBindingAdmission(mode),
  })
  const { client } = platform
  await using _bindings = startController(sinkBindingReconciler(mode), platform)
  await using _sources = startController(containerSourceReconciler, platform)
  await body({
    client,
    advance: () => clock.advance(2_000),
    create: () =>
      client.create(ContainerSource, {
        apiVersion: 'sources.knative.dev/v1',
        kind: 'ContainerSource',
        metadata: { name: 'beat', namespace: 'default' },
        spec: {
          sink: { ref: { apiVersion: 'v1', kind: 'Service', name: 'sink' } },
          ceOverrides: { extensions: { colour: 'blue' } },
          template: { spec: { containers: [{ name: '', image: 'x', args: ['--period=1'], env }] } },
        },
      }),
    async condition(type) {
      const { status } = await client.get<ContainerSource>(ContainerSource, key('beat'))
      const found = conditionOf(status, type)
      return [found?.status, found?.reason, found?.message]
    },
    async events() {
      const { items } = await client.list<Event>(Event, 'default')
      return items
        .filter(({ involvedObject }) => involvedObject.kind === 'ContainerSource')
        .map(({ reason, message, count }) => `${reason}: ${message} (${count})`)
        .toSorted()
    },
  })
}

const available = async (
  client: ReturnType<typeof inMemoryPlatform>['client'],
  status: 'True' | 'False',
) => {
  const found = await client.get<Deployment>(Deployment, key('beat-deployment'))
  const conditions = [
    { type: 'Available', status, reason: `Minimum${status}`, message: 'of replicas' },
  ]
  await client.updateStatus(Deployment, { ...found, status: { ...found.status, conditions } })
}

test('a Deployment that knows the sink, with what the user gave it, and a status that follows it', async () => {
  await withSource('exclusion', async ({ client, advance, create, condition, events }) => {
    await create()
    await advance()
    assert.equal((await condition('SinkBindingReady'))[1], 'NotFound')
    assert.deepEqual(await condition('ReceiveAdapterReady'), [
      'Unknown',
      'DeploymentUnavailable',
      "The Deployment 'beat-deployment' is unavailable.",
    ])
    const metadata = { name: 'sink', namespace: 'default' }
    const spec = { ports: [{ port: 80 }] }
    await client.create(CoreService, { apiVersion: 'v1', kind: 'Service', metadata, spec })
    await advance()
    const deployment = await client.get<Deployment>(Deployment, key('beat-deployment'))
    assert.equal(deployment.metadata.generation, 1)
    assert.deepEqual(deployment.spec.selector.matchLabels, {
      'sources.knative.dev/containerSource': 'beat',
      'sources.knative.dev/source': 'container-source-controller',
    })
    const [container] = deployment.spec.template.spec?.containers ?? []
    assert.equal(container?.name, 'beat-0')
    assert.deepEqual(container.args, ['--period=1'])
    assert.deepEqual(container.env, [
      { name: 'OWN', value: '1' },
      { name: 'K_SINK', value: 'http://sink.default.svc.cluster.local' },
      { name: 'K_CE_OVERRIDES', value: '{"extensions":{"colour":"blue"}}' },
    ])
    await available(client, 'True')
    await advance()
    assert.equal((await condition('Ready'))[0], 'True')
    // Its program ends again and again.
    await available(client, 'False')
    await advance()
    assert.deepEqual(await condition('Ready'), ['False', 'MinimumFalse', 'of replicas'])

    await client.patch(Deployment, key('beat-deployment'), {
      type: 'merge',
      body: { spec: { replicas: 3 } },
    })
    await client.patch(ContainerSource, key('beat'), {
      type: 'merge',
      body: { spec: { template: { spec: { containers: [{ image: 'y' }] } } } },
    })
    await advance()
    const changed = await client.get<Deployment>(Deployment, key('beat-deployment'))
    assert.equal(changed.spec.template.spec?.containers[0]?.image, 'y')
    assert.equal(changed.spec.replicas, 3)
    assert.deepEqual(await events(), [
      'ContainerSourceDeploymentCreated: Deployment created "beat-deployment" (1)',
      'ContainerSourceDeploymentUpdated: Deployment updated "beat-deployment" (1)',
      'ContainerSourceReconciled: ContainerSource reconciled: "default/beat" (2)',
      'ContainerSourceSinkBindingCreated: SinkBinding created "beat-sinkbinding" (1)',
    ])
  })
})

test('its binding goes without a roll-out, as its Deployment may go with it', async () => {
  await withSource('inclusion', async ({ client, advance, create }) => {
    const metadata = { name: 'sink', namespace: 'default' }
    const spec = { ports: [{ port: 80 }] }
    await client.create(CoreService, { apiVersion: 'v1', kind: 'Service', metadata, spec })
    await create()
    await advance()
    const before = await client.get<Deployment>(Deployment, key('beat-deployment'))
    // It belongs to its binding, whoever else is left alone.
    const names = before.spec.template.spec?.containers[0]?.env?.map(({ name }) => name)
    assert.deepEqual(names, ['OWN', 'K_SINK', 'K_CE_OVERRIDES'])
    const binding = await client.get<SinkBinding>(SinkBinding, key('beat-sinkbinding'))
    await client.delete(SinkBinding, key('beat-sinkbinding'))
    await advance()
    const after = await client.get<Deployment>(Deployment, key('beat-deployment'))
    assert.equal(after.metadata.generation, before.metadata.generation)
    const again = await client.get<SinkBinding>(SinkBinding, key('beat-sinkbinding'))
    assert.notEqual(again.metadata.uid, binding.metadata.uid)
  })
})

test("somebody else's Deployment of the same name is left as it is", async () => {
  await withSource('exclusion', async ({ client, advance, create, events }) => {
    const foreign = await client.create<Deployment>(Deployment, aDeployment('beat-deployment', 1))
    await create()
    await advance()
    const found = await client.get<Deployment>(Deployment, key('beat-deployment'))
    assert.deepEqual(found.spec, foreign.spec)
    const about = 'Deployment "beat-deployment" is not owned by ContainerSource "beat"'
    assert.ok((await events()).some((text) => text.startsWith(`InternalError: ${about}`)))
  })
})

test('pods do not come before the token that they are to send', () => {
  const metadata = { name: 'beat', namespace: 'default', uid: 'u', generation: 1 }
  const sink = { uri: 'http://sink.example' }
  const kinds = (token: 'True' | 'Unknown') => {
    const { apply = [] } = containerSourceReconciler.plan(
      {
        source: {
          apiVersion: 'sources.knative.dev/v1',
          kind: 'ContainerSource',
          metadata,
          spec: { sink, template: { spec: { containers: [{ name: 'c', image: 'x' }] } } },
        },
        deployment: undefined,
        binding: {
          apiVersion: 'sources.knative.dev/v1',
          kind: 'SinkBinding',
          metadata: {
            name: 'beat-sinkbinding',
            namespace: 'default',
            ownerReferences: [
              { apiVersion: 'a/v1', kind: 'K', name: 'beat', uid: 'u', controller: true },
            ],
          },
          spec: { sink },
          status: {
            sinkUri: sink.uri,
            conditions: [{ type: 'OIDCTokenSecretCreated', status: token, lastTransitionTime: '' }],
          },
        },
      },
      0,
    )
    return apply.map(({ kind }) => kind.kind)
  }
  assert.deepEqual(kinds('Unknown'), ['SinkBinding'])
  assert.deepEqual(kinds('True'), ['SinkBinding', 'Deployment'])
})
