import assert from 'node:assert/strict'
import { test } from 'node:test'
import { controllerRef } from '../../../kube/api/meta.ts'
import { aDeployment } from '../../../testing/kube-objects.ts'
import { aPodAutoscaler, aRevision } from '../../../testing/serving.ts'
import { SimClock } from '../../../testing/sim-clock.ts'
import { configAutoscaler } from '../../api/config/autoscaler.ts'
import { configDeployment } from '../../api/config/deployment.ts'
import { configObservability } from '../../api/config/observability.ts'
import type { Revision, RevisionStatus } from '../../api/revision.ts'
import { createReadConfig } from '../config.ts'
import { createDigestResolver } from './digest-resolver.ts'
import { revisionReconciler, type World } from './revision.ts'

const nowMs = Date.UTC(2026, 0, 1)
const revision = aRevision('r')
const digests = new Map([['user-container', 'r/app@sha256:12']])

const reconciler = revisionReconciler(
  createReadConfig(),
  createDigestResolver({ clock: new SimClock(), resolve: (image) => Promise.resolve(image) }),
)

function plan(world: Partial<World> = {}) {
  const result = reconciler.plan(
    {
      revision,
      digests: { kind: 'resolved', digests },
      deployment: undefined,
      pod: undefined,
      autoscaler: undefined,
      config: {
        deployment: configDeployment.defaults,
        autoscaler: configAutoscaler.defaults,
        observability: configObservability.defaults,
      },
      ...world,
    },
    nowMs,
  )
  const status = result.status as RevisionStatus
  return {
    ...result,
    status,
    told: (status.conditions ?? []).map(({ type, status: value, reason }) =>
      [type, value, reason].filter(Boolean).join(' '),
    ),
    applied: (result.apply ?? []).map(
      ({ kind, desired }) => `${kind.kind} ${desired.metadata.name}`,
    ),
  }
}

test('nothing runs before the digests are known', () => {
  const { applied, told } = plan({ digests: { kind: 'pending' } })
  assert.deepEqual(applied, [])
  assert.deepEqual(told, [
    'ContainerHealthy Unknown',
    'Ready Unknown ResolvingDigests',
    'ResourcesAvailable Unknown ResolvingDigests',
  ])
})

test('a digest that cannot be found is told once and tried again when it is due', () => {
  const failed = (retryAtMs: number) =>
    ({ kind: 'failed', image: 'app:1', message: 'no such image', retryAtMs }) as const
  const first = plan({ digests: failed(nowMs + 2000) })
  assert.deepEqual(first.told, [
    'ContainerHealthy False ContainerMissing',
    'Ready False ContainerMissing',
    'ResourcesAvailable Unknown',
  ])
  assert.equal(first.requeueAfterMs, 2000)
  assert.deepEqual(
    first.events?.map(({ reason, message }) => [reason, message]),
    [['InternalError', 'failed to resolve image to digest: no such image']],
  )
  const again = plan({
    revision: { ...revision, status: first.status },
    digests: failed(nowMs - 1),
  })
  assert.deepEqual(again.events, [])
  assert.deepEqual(again.status, first.status)
  assert.equal(again.requeueAfterMs, undefined, 'no loop while the look-up runs')
})

test('with digests it wants a Deployment, an image cache and a PodAutoscaler', () => {
  const { applied, told, status } = plan()
  assert.deepEqual(applied, [
    'Deployment r-deployment',
    'Image r-cache-user-container',
    'PodAutoscaler r',
  ])
  assert.deepEqual(told, [
    'Active Unknown Deploying',
    'ContainerHealthy Unknown Deploying',
    'Ready Unknown Deploying',
    'ResourcesAvailable Unknown Deploying',
  ])
  assert.deepEqual(status.containerStatuses, [
    { name: 'user-container', imageDigest: 'r/app@sha256:12' },
  ])
  assert.equal(status.observedGeneration, 1)
})

test('becoming ready is an event, staying ready is none', () => {
  const owner = { ownerReferences: [controllerRef(revision)] }
  const deployment = aDeployment('r-deployment', 1)
  const pa = aPodAutoscaler('r')
  const running: Partial<World> = {
    deployment: {
      ...deployment,
      metadata: { ...deployment.metadata, ...owner },
      status: {
        readyReplicas: 1,
        availableReplicas: 1,
        conditions: [{ type: 'Progressing', status: 'True' }],
      },
    },
    autoscaler: {
      ...pa,
      metadata: { ...pa.metadata, ...owner },
      status: {
        serviceName: 'r',
        actualScale: 1,
        desiredScale: 1,
        conditions: [
          { type: 'Ready', status: 'True' },
          { type: 'ScaleTargetInitialized', status: 'True' },
        ],
      },
    },
  }
  const first = plan(running)
  assert.deepEqual(first.told, [
    'Active True',
    'ContainerHealthy True',
    'Ready True',
    'ResourcesAvailable True',
  ])
  assert.deepEqual(
    first.events?.map(({ reason }) => reason),
    ['RevisionReady'],
  )
  const again = plan({ ...running, revision: { ...revision, status: first.status } })
  assert.deepEqual(again.events, [])
  assert.deepEqual(again.status, first.status)
})

test('what an API server without admission leaves out is filled in in memory', () => {
  const bare = { ...revision, spec: { containers: [{ image: 'app@sha256:12' }] } }
  const reader = { get: () => undefined, list: () => [], owned: () => [] }
  const world = reconciler.observe(bare as unknown as Revision, reader, nowMs)
  const [container] = world.revision.spec.containers
  assert.equal(world.revision.spec.timeoutSeconds, 300)
  assert.equal(container?.name, 'user-container')
  assert.deepEqual(container?.readinessProbe, { successThreshold: 1, tcpSocket: { port: 0 } })
  assert.equal(reconciler.observe(revision, reader, nowMs).revision, revision)
})

test('children of somebody else are left alone', () => {
  const foreign = plan({ deployment: aDeployment('r-deployment', 1) })
  assert.deepEqual(foreign.applied, [])
  assert.equal(
    foreign.status.conditions?.find(({ type }) => type === 'ResourcesAvailable')?.message,
    'There is an existing Deployment "r-deployment" that we do not own.',
  )
  assert.ok(foreign.error)
})
