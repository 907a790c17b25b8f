import assert from 'node:assert/strict'
import { test } from 'node:test'
import { controllerRef } from '../../../kube/api/meta.ts'
import type { Condition } from '../../../knative/conditions.ts'
import { aService } from '../../../testing/serving.ts'
import type { Configuration } from '../../api/configuration.ts'
import type { Route } from '../../api/route.ts'
import type { Service, ServiceStatus } from '../../api/service.ts'
import { desiredConfiguration } from './configuration.ts'
import { desiredRoute } from './route.ts'
import { serviceReconciler, type World } from './service.ts'

const nowMs = Date.UTC(2026, 0, 1)
const service: Service = aService('hello', {
  metadata: {
    uid: 'u1',
    generation: 2,
    labels: { team: 'a' },
    annotations: {
      'kubectl.kubernetes.io/last-applied-configuration': '{}',
      'serving.knative.dev/rollout-duration': '10s',
      'serving.knative.dev/creator': 'me',
    },
  },
})

const ready = (status: Condition['status'], reason?: string): Condition => ({
  type: 'Ready',
  status,
  ...(reason && { reason, message: `because ${reason}` }),
})

const configuration = (of: Service, condition?: Condition, latest?: string): Configuration => {
  const wanted = desiredConfiguration(of, undefined)
  return {
    ...wanted,
    metadata: { ...wanted.metadata, generation: 1 },
    status: {
      observedGeneration: condition ? 1 : 0,
      conditions: condition ? [condition] : [],
      ...(latest && { latestReadyRevisionName: latest, latestCreatedRevisionName: latest }),
    },
  }
}
const route = (of: Service, condition?: Condition, revision?: string): Route => {
  const wanted = desiredRoute(of)
  return {
    ...wanted,
    metadata: { ...wanted.metadata, generation: 1 },
    status: {
      observedGeneration: condition ? 1 : 0,
      conditions: condition ? [condition] : [],
      url: 'http://hello.default.example.com',
      ...(revision && {
        traffic: [{ revisionName: revision, percent: 100, latestRevision: true }],
      }),
    },
  }
}

function plan(world: Partial<World>) {
  const result = serviceReconciler.plan(
    { service, configuration: undefined, route: undefined, named: undefined, ...world },
    nowMs,
  )
  const status = result.status as ServiceStatus
  return {
    ...result,
    status,
    told: (status.conditions ?? []).map(({ type, status: value, reason }) =>
      [type, value, reason].filter(Boolean).join(' '),
    ),
    applied: (result.apply ?? []).map(({ kind }) => kind.kind),
  }
}

test('a new Service wants both children, labelled and annotated', () => {
  const { apply, told, status } = plan({})
  assert.equal(status.observedGeneration, 2)
  assert.deepEqual(told, [
    'ConfigurationsReady Unknown OutOfDate',
    'Ready Unknown OutOfDate',
    'RoutesReady Unknown OutOfDate',
  ])
  assert.deepEqual(
    apply?.map(({ desired }) => desired.metadata),
    [
      {
        name: 'hello',
        namespace: 'default',
        labels: {
          team: 'a',
          'serving.knative.dev/service': 'hello',
          'serving.knative.dev/serviceUID': 'u1',
        },
        annotations: {
          'serving.knative.dev/creator': 'me',
          'serving.knative.dev/routes': 'hello',
        },
        ownerReferences: [controllerRef(service)],
      },
      {
        name: 'hello',
        namespace: 'default',
        labels: { team: 'a', 'serving.knative.dev/service': 'hello' },
        annotations: {
          'serving.knative.dev/creator': 'me',
          'serving.knative.dev/rollout-duration': '10s',
        },
        ownerReferences: [controllerRef(service)],
      },
    ],
  )
  assert.deepEqual(
    apply?.map(({ created }) => created?.message),
    ['Created Configuration "hello"', 'Created Route "hello"'],
  )
  const wanted = apply?.[1]?.desired as Route | undefined
  assert.deepEqual(wanted?.spec.traffic, [
    { configurationName: 'hello', latestRevision: true, percent: 100 },
  ])
})

test('conditions repeat those of the children', () => {
  const told = (config: Condition, of: Condition, latest = 'r1', serving = 'r1') =>
    plan({
      configuration: configuration(service, config, latest),
      route: route(service, of, serving),
    }).told
  assert.deepEqual(told(ready('True'), ready('True')), [
    'ConfigurationsReady True',
    'Ready True',
    'RoutesReady True',
  ])
  assert.deepEqual(told(ready('False', 'RevisionFailed'), ready('False', 'RevisionMissing')), [
    'ConfigurationsReady False RevisionFailed',
    'Ready False RevisionMissing',
    'RoutesReady False RevisionMissing',
  ])
  assert.deepEqual(told(ready('True'), ready('True'), 'r2', 'r1'), [
    'ConfigurationsReady True',
    'Ready Unknown TrafficNotMigrated',
    'RoutesReady Unknown TrafficNotMigrated',
  ])
})

test('children of somebody else are left alone', () => {
  const strange = { ...configuration(service, ready('True')), metadata: { name: 'hello' } }
  const first = plan({ configuration: strange })
  assert.deepEqual(first.applied, [])
  assert.deepEqual(first.told, [
    'ConfigurationsReady False NotOwned',
    'Ready False NotOwned',
    'RoutesReady Unknown',
  ])
  assert.match(first.error?.message ?? '', /does not own configuration/)
  const second = plan({
    configuration: configuration(service, ready('True'), 'r'),
    route: { ...route(service, ready('True')), metadata: { name: 'hello' } },
  })
  assert.deepEqual(second.applied, ['Configuration'])
  assert.equal(
    second.status.conditions?.find(({ type }) => type === 'RoutesReady')?.message,
    'There is an existing Route "hello" that we do not own.',
  )
})

test('direct edits of a child are taken back, other Routes of the Configuration are not forgotten', () => {
  const current = configuration(service, ready('True'), 'r1')
  const edited: Configuration = {
    ...current,
    metadata: {
      ...current.metadata,
      labels: { mine: 'yes' },
      annotations: { ...current.metadata.annotations, 'serving.knative.dev/routes': 'other' },
    },
  }
  const [apply] = plan({ configuration: edited }).apply ?? []
  const { metadata } = apply?.merge?.(edited) ?? {}
  assert.equal(metadata?.labels?.['mine'], undefined)
  assert.equal(metadata?.annotations?.['serving.knative.dev/routes'], 'hello,other')
})

test('with a revision name of its own the Route waits until the Configuration has settled', () => {
  const named = aService('hello', { revisionName: 'hello-a', metadata: { uid: 'u1' } })
  assert.deepEqual(plan({ service: named }).applied, ['Configuration'])
  assert.deepEqual(
    plan({ service: named, configuration: configuration(named, ready('True'), 'hello-a') }).applied,
    ['Configuration', 'Route'],
  )
})
