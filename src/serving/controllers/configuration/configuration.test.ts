import assert from 'node:assert/strict'
import { test } from 'node:test'
import { controllerRef } from '../../../kube/api/meta.ts'
import { aConfiguration, aRevision, readyStatus } from '../../../testing/serving.ts'
import type { Configuration, ConfigurationStatus } from '../../api/configuration.ts'
import type { Revision } from '../../api/revision.ts'
import { configurationReconciler, type World } from './configuration.ts'

const nowMs = Date.UTC(2026, 0, 1)

const configuration = (generation: number, status: ConfigurationStatus = {}): Configuration => ({
  ...aConfiguration('hello', { metadata: { generation } }),
  status,
})

const revision = (
  generation: number,
  ready?: 'True' | 'False' | 'Unknown',
  name = `hello-0000${generation}`,
): Revision =>
  aRevision(name, ready, {
    labels: {
      'serving.knative.dev/configuration': 'hello',
      'serving.knative.dev/configurationGeneration': String(generation),
    },
    ownerReferences: [controllerRef(aConfiguration('hello'))],
  })

function plan(of: Configuration, revisions: readonly Revision[], named?: Revision) {
  const world: World = { configuration: of, revisions, named }
  const result = configurationReconciler.plan(world, nowMs)
  const status = result.status as ConfigurationStatus
  const ready = status.conditions?.find(({ type }) => type === 'Ready')
  return {
    ...result,
    created: status.latestCreatedRevisionName,
    ready: status.latestReadyRevisionName,
    told: [ready?.status, ready?.reason, ready?.message],
    reasons: (result.events ?? []).map(({ reason }) => reason),
  }
}

test('each generation becomes a Revision with labels and annotations', () => {
  const of = aConfiguration('hello', {
    annotations: { mine: 'yes' },
    metadata: {
      generation: 3,
      labels: { 'serving.knative.dev/service': 'hello', 'serving.knative.dev/serviceUID': 'us' },
      annotations: {
        'serving.knative.dev/lastModifier': 'me',
        'serving.knative.dev/routes': 'hello',
      },
    },
  })
  const { apply, created, told } = plan(of, [])
  assert.equal(created, 'hello-00003')
  assert.deepEqual(told, ['Unknown', undefined, undefined])
  assert.equal(apply?.[0]?.created?.message, 'Created Revision "hello-00003"')
  assert.deepEqual(apply?.[0]?.desired.metadata, {
    name: 'hello-00003',
    namespace: 'default',
    labels: {
      'serving.knative.dev/configuration': 'hello',
      'serving.knative.dev/configurationGeneration': '3',
      'serving.knative.dev/configurationUID': 'uid-hello',
      'serving.knative.dev/routingState': 'active',
      'serving.knative.dev/service': 'hello',
      'serving.knative.dev/serviceUID': 'us',
    },
    annotations: {
      mine: 'yes',
      'serving.knative.dev/creator': 'me',
      'serving.knative.dev/routingStateModified': '2026-01-01T00:00:00Z',
    },
    ownerReferences: [controllerRef(of)],
  })
})

test('a refusal to make it is told', () => {
  const { statusOnFailure } = plan(configuration(1), [])
  const status = statusOnFailure?.(
    Object.assign(new Error('no quota'), { reason: 'Forbidden' }) as never,
  ) as ConfigurationStatus
  const [ready] = status.conditions ?? []
  assert.equal(ready?.reason, 'RevisionFailed')
  assert.equal(ready?.message, 'Revision creation failed with message: no quota.')
})

test('the first ready Revision makes the Configuration ready', () => {
  const made = revision(1, 'True')
  const { created, ready, told, reasons } = plan(configuration(1), [made], made)
  assert.equal(created, 'hello-00001')
  assert.equal(ready, 'hello-00001')
  assert.equal(told[0], 'True')
  assert.deepEqual(reasons, ['ConfigurationReady', 'LatestReadyUpdate'])
})

test('a failing new Revision leaves the old one as the latest ready', () => {
  const old = revision(1, 'True')
  const failed = { ...revision(2), status: readyStatus('False', 'no image') }
  const { created, ready, told, reasons } = plan(
    configuration(2, { latestReadyRevisionName: 'hello-00001' }),
    [old, failed],
    failed,
  )
  assert.equal(created, 'hello-00002')
  assert.equal(ready, 'hello-00001')
  assert.deepEqual(told, [
    'False',
    'RevisionFailed',
    'Revision "hello-00002" failed with message: no image.',
  ])
  assert.deepEqual(reasons, ['LatestCreatedFailed'])
})

test('latest ready never goes back, and takes the newest that is ready', () => {
  const of = configuration(4, { latestReadyRevisionName: 'hello-00002' })
  const all = [revision(1, 'True'), revision(2, 'True'), revision(3, 'True'), revision(4)]
  assert.equal(plan(of, all, all[3]).ready, 'hello-00003')
  const onlyOld = [revision(1, 'True'), revision(2, 'Unknown'), revision(4)]
  assert.equal(plan(of, onlyOld, onlyOld[2]).ready, 'hello-00002')
})

test('a failure is told as an event once', () => {
  const failed = { ...revision(1), status: readyStatus('False', 'no image') }
  const first = plan(configuration(1), [failed], failed)
  const again = plan(configuration(1, first.status as ConfigurationStatus), [failed], failed)
  assert.deepEqual(again.reasons, [])
  assert.deepEqual(again.status, first.status)
})

test('a name that is taken is a failure without a retry', () => {
  const strange = aRevision('hello-00001', 'True')
  const { told, apply, error } = plan(configuration(1), [], strange)
  assert.deepEqual(told, [
    'False',
    'RevisionFailed',
    'Revision creation failed with message: revisions.serving.knative.dev "hello-00001" already exists.',
  ])
  assert.equal(apply, undefined)
  assert.equal(error, undefined)
})
