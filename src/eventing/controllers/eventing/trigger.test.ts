import assert from 'node:assert/strict'
import { test } from 'node:test'
import { conditionOf, type Condition } from '../../../knative/conditions.ts'
import { Trigger, type TriggerStatus } from '../../api/eventing/trigger.ts'
import { broker, willing } from '../world.fixture.ts'
import { triggerReconciler, type World } from './trigger.ts'

const day = 24 * 3_600_000
const startMs = Date.parse('2026-01-01T00:00:00Z')

const condition = (
  type: string,
  status: Condition['status'],
  more: Pick<Condition, 'reason' | 'message'> = {},
): Condition => ({
  type,
  status,
  ...more,
  lastTransitionTime: new Date(startMs).toISOString(),
})

test('the place of a subscriber that stays away is given up after a week', () => {
  const reconciler = triggerReconciler(willing)
  const before: TriggerStatus = {
    observedGeneration: 1,
    conditions: [
      condition('SubscriberResolved', 'False', {
        reason: "Unable to get the Subscriber's URI",
        message: 'gone',
      }),
      condition('SubscriptionReady', 'True'),
    ],
  }
  const world: World = {
    trigger: {
      apiVersion: 'eventing.knative.dev/v1',
      kind: Trigger.kind,
      metadata: { name: 't', namespace: 'ns', uid: 't', generation: 1 },
      spec: { broker: 'b', subscriber: { uri: 'http://a' } },
      status: before,
    },
    broker: {
      ...broker('b', { spec: {} }),
      metadata: {
        name: 'b',
        annotations: { 'eventing.knative.dev/broker.class': 'MTChannelBasedBroker' },
      },
      spec: {},
      status: { conditions: [condition('Ready', 'True')] },
    },
    subscriber: { problem: 'gone' },
    served: true,
    dependency: { status: 'True', reason: '', message: '' },
    identity: {
      wanted: false,
      account: { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 't' } },
      existing: undefined,
    },
  }
  const after = (days: number, of: TriggerStatus = before) => {
    const trigger = { ...world.trigger, status: of }
    const plan = reconciler.plan({ ...world, trigger }, startMs + days * day)
    return { ...plan, status: plan.status as TriggerStatus }
  }
  const kept = after(6)
  assert.equal(conditionOf(kept.status, 'SubscriptionReady')?.status, 'True')
  assert.equal(kept.requeueAfterMs, day)
  const given = after(7)
  assert.equal(conditionOf(given.status, 'SubscriptionReady')?.reason, 'NotSubscribed')
  assert.equal(given.requeueAfterMs, undefined)
})
