import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Deployment } from '../../../kube/api/deployment.ts'
import { Job } from '../../../kube/api/job.ts'
import { coreKinds } from '../../../kube/api/kinds.ts'
import { Service as CoreService } from '../../../kube/api/service.ts'
import { startController } from '../../../kube/controller/loop.ts'
import { conditionOf } from '../../../knative/conditions.ts'
import { servingKinds } from '../../../serving/api/kinds.ts'
import { aDeployment } from '../../../testing/kube-objects.ts'
import { inMemoryPlatform } from '../../../testing/platform.ts'
import { SimClock } from '../../../testing/sim-clock.ts'
import { eventingKinds } from '../../api/kinds.ts'
import { SinkBinding } from '../../api/sink-binding.ts'
import { sinkBindingAdmission } from './admission.ts'
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
    admission: sinkBindingAdmission,
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
    admission: sinkBindingAdmission,
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
