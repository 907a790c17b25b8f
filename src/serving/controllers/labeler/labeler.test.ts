import assert from 'node:assert/strict'
import { test } from 'node:test'
import { aConfiguration, aRevision, aRoute, readyStatus } from '../../../testing/serving.ts'
import type { Revision } from '../../api/revision.ts'
import { labelerReconciler, type World } from './labeler.ts'

const nowMs = Date.UTC(2026, 0, 1)
const route = {
  ...aRoute('hello', [{ configurationName: 'c', latestRevision: true, percent: 100 }]),
  status: readyStatus('True'),
}

const revision = (name: string, routes: string, routingState: string): Revision =>
  aRevision(name, 'True', {
    labels: { 'serving.knative.dev/routingState': routingState },
    annotations: routes ? { 'serving.knative.dev/routes': routes } : {},
  })

const world = (change: Partial<World>): World => ({
  route,
  configurations: [],
  revisions: [],
  formerConfigurations: [],
  formerRevisions: [],
  ...change,
})

const patches = (change: Partial<World>) =>
  (labelerReconciler().plan(world(change), nowMs).patch ?? []).map(({ kind, key, body }) => [
    `${kind.kind} ${key.name}`,
    (body as { metadata: unknown }).metadata,
  ])

const now = { 'serving.knative.dev/routingStateModified': '2026-01-01T00:00:00Z' }

test('what a Route leads to carries its name, Revisions their state', () => {
  assert.deepEqual(
    patches({
      configurations: [aConfiguration('c')],
      revisions: [
        revision('new', '', 'pending'),
        revision('shared', 'a,z', 'active'),
        revision('known', 'hello', 'active'),
      ],
    }),
    [
      ['Configuration c', { annotations: { 'serving.knative.dev/routes': 'hello' } }],
      [
        'Revision new',
        {
          annotations: { 'serving.knative.dev/routes': 'hello', ...now },
          labels: { 'serving.knative.dev/routingState': 'active' },
        },
      ],
      ['Revision shared', { annotations: { 'serving.knative.dev/routes': 'a,hello,z' } }],
    ],
  )
})

test('what it no longer leads to goes into reserve, but not while the Route is on its way', () => {
  const former = {
    formerRevisions: [
      revision('old', 'hello', 'active'),
      revision('elsewhere', 'hello,other', 'active'),
    ],
  }
  assert.deepEqual(patches(former), [
    [
      'Revision old',
      {
        annotations: { 'serving.knative.dev/routes': null, ...now },
        labels: { 'serving.knative.dev/routingState': 'reserve' },
      },
    ],
    ['Revision elsewhere', { annotations: { 'serving.knative.dev/routes': 'other' } }],
  ])
  const moving = { ...route, status: readyStatus('Unknown') }
  assert.deepEqual(patches({ ...former, route: moving }), [])
})

test('a Route that goes takes its name from everything', () => {
  const plan = labelerReconciler().finalize?.(
    world({ revisions: [revision('r', 'hello', 'active')], configurations: [aConfiguration('c')] }),
    nowMs,
  )
  assert.equal(plan?.done, true)
  assert.deepEqual(
    plan?.patch?.map(({ key }) => key.name),
    ['r'],
  )
})
