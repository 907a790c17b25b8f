import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Channel } from '../../api/messaging/channel.ts'
import type { EventPolicy } from '../../api/eventing/event-policy.ts'
import { InMemoryChannel } from '../../api/messaging/in-memory-channel.ts'
import type { Subscription } from '../../api/messaging/subscription.ts'
import { derivedPolicies, withAccounts } from './derived-policies.ts'

const owner = {
  apiVersion: 'flows.knative.dev/v1',
  kind: 'Sequence',
  metadata: { name: 's', namespace: 'ns', uid: 'u' },
}
const policy = (name: string, spec: EventPolicy['spec']): EventPolicy => ({
  apiVersion: 'eventing.knative.dev/v1alpha1',
  kind: 'EventPolicy',
  metadata: { name, namespace: 'ns', uid: name },
  spec,
})
const to = [{ ref: { apiVersion: 'flows.knative.dev/v1', kind: 'Sequence', name: 's' } }]
const behind = [
  { kind: InMemoryChannel, name: 'c0' },
  { kind: InMemoryChannel, name: 'c1', from: ['step-0'] },
]
const labels = { 'flows.knative.dev/sequence-name': 's' }

test('what holds for a flow is copied to its first channel, the others let in the step before', () => {
  const filters = [{ exact: { type: 't' } }]
  const holding = [
    policy('mine', { to, from: [{ sub: 'x' }], filters }),
    policy('everywhere', { from: [{ sub: 'y' }] }),
  ]
  const { apply, delete: gone } = derivedPolicies(owner, labels, behind, {
    isOn: true,
    holding,
    existing: [policy('s-ep-former', { to })],
  })
  const made = apply.map(({ desired }) => desired as EventPolicy)
  assert.deepEqual(
    made.map(({ metadata }) => metadata.name),
    ['s-ep-mine', 's-ep-c1'],
  )
  const [first, second] = made
  assert.deepEqual(first?.spec.to?.[0]?.ref?.name, 'c0')
  assert.deepEqual(first?.spec.filters, filters)
  assert.deepEqual(first?.metadata.labels, labels)
  assert.equal(first?.metadata.ownerReferences?.[0]?.uid, 'u')
  assert.deepEqual(second?.spec.from?.[0]?.ref?.name, 'step-0')
  assert.deepEqual(
    gone.map(({ key }) => key.name),
    ['s-ep-former'],
  )
})

test('all of them go with the feature', () => {
  const existing = [policy('s-ep-mine', { to }), policy('s-ep-c1', {})]
  const off = { isOn: false, holding: [], existing }
  const { apply, delete: gone } = derivedPolicies(owner, labels, behind, off)
  assert.deepEqual(apply, [])
  assert.equal(gone.length, 2)
  assert.ok(gone.every(({ kind }) => kind.kind === 'EventPolicy' && kind !== Channel))
})

test('a flow names the accounts of its Subscriptions, in order, while they have any', () => {
  const subscription = (name?: string): Subscription => ({
    apiVersion: 'messaging.knative.dev/v1',
    kind: 'Subscription',
    metadata: { name: 's' },
    spec: {},
    ...(name !== undefined && { status: { auth: { serviceAccountName: name } } }),
  })
  const status = withAccounts({}, [subscription('a'), undefined, subscription('b')])
  assert.deepEqual(status, { auth: { serviceAccountNames: ['a', 'b'] } })
  assert.deepEqual(withAccounts(status, [subscription()]), {})
})
