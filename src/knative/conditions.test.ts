import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  conditionOf,
  conditionSet,
  finish,
  isFailed,
  isReady,
  type ConditionsStatus,
} from './conditions.ts'

const route = conditionSet({ dependents: ['Assigned', 'Ingress', 'Certificate'] })
const t0 = Date.UTC(2026, 0, 1)
const empty: ConditionsStatus = {}
const ready = (status: ConditionsStatus) => {
  const { status: value, reason, message } = conditionOf(status, 'Ready') ?? {}
  return [value, reason, message]
}

test('initialising adds what is missing, sorted, as Unknown', () => {
  const { conditions } = route.initialize(empty, t0)
  assert.deepEqual(
    conditions?.map(({ type, status }) => [type, status]),
    [
      ['Assigned', 'Unknown'],
      ['Certificate', 'Unknown'],
      ['Ingress', 'Unknown'],
      ['Ready', 'Unknown'],
    ],
  )
})

test('a dependent that is new to a ready object starts True', () => {
  const before = { conditions: [{ type: 'Ready', status: 'True' as const }] }
  assert.equal(conditionOf(route.initialize(before, t0), 'Ingress')?.status, 'True')
})

test('Ready is True exactly when all dependents are', () => {
  let status = route.initialize(empty, t0)
  for (const type of ['Assigned', 'Ingress']) status = route.markTrue(status, type, t0)
  assert.deepEqual(ready(status), ['Unknown', undefined, undefined])
  status = route.markTrueWithReason(status, 'Certificate', 'TLSNotEnabled', 'off', t0)
  assert.deepEqual(ready(status), ['True', undefined, undefined])
  assert.equal(conditionOf(status, 'Certificate')?.reason, 'TLSNotEnabled')
})

test('the newest bad news is Ready’s reason; when it goes, the next is', () => {
  let status = route.initialize(empty, t0)
  status = route.markFalse(status, 'Assigned', 'A', 'first', t0)
  status = route.markFalse(status, 'Ingress', 'I', 'second', t0)
  assert.deepEqual(ready(status), ['False', 'I', 'second'])
  status = route.markTrue(status, 'Ingress', t0)
  assert.deepEqual(ready(status), ['False', 'A', 'first'])
  status = route.markTrue(status, 'Assigned', t0)
  assert.deepEqual(ready(status), ['Unknown', undefined, undefined])
})

test('Unknown beside a False leaves a False Ready as it is, and makes another one False with the new reason', () => {
  let status = route.initialize(empty, t0)
  status = route.markFalse(status, 'Assigned', 'A', 'a', t0)
  status = route.markUnknown(status, 'Ingress', 'I', 'i', t0)
  assert.deepEqual(ready(status), ['False', 'A', 'a'])
  const odd = {
    conditions: [
      { type: 'Assigned', status: 'False' as const, reason: 'A' },
      { type: 'Ready', status: 'Unknown' as const },
    ],
  }
  assert.deepEqual(ready(route.markUnknown(odd, 'Ingress', 'I', 'i', t0)), ['False', 'I', 'i'])
})

test('other conditions are informational and never touch Ready', () => {
  let status = route.initialize(empty, t0)
  for (const type of route.dependents) status = route.markTrue(status, type, t0)
  status = route.markFalse(status, 'Active', 'NoTraffic', 'idle', t0)
  assert.equal(conditionOf(status, 'Active')?.severity, 'Info')
  assert.deepEqual(ready(status), ['True', undefined, undefined])
  assert.equal(conditionOf(route.clear(status, 'Active'), 'Active'), undefined)
  assert.ok(conditionOf(route.clear(status, 'Ingress'), 'Ingress'), 'a dependent stays')
})

test('a new generation begins as unobserved', () => {
  const status = route.begin({ observedGeneration: 1 }, 2, t0)
  assert.deepEqual(ready(status), [
    'Unknown',
    'NewObservedGenFailure',
    'unsuccessfully observed a new generation',
  ])
  assert.deepEqual(ready(route.begin({ observedGeneration: 2 }, 2, t0)), [
    'Unknown',
    undefined,
    undefined,
  ])
})

test('times change only with their condition, in whole seconds', () => {
  const first = finish(
    route.markFalse(route.begin(empty, 1, t0), 'Ingress', 'I', 'i', t0),
    undefined,
    1,
    t0,
  )
  assert.deepEqual(
    new Set(first.conditions?.map((condition) => condition.lastTransitionTime)),
    new Set(['2026-01-01T00:00:00Z']),
  )
  const later = t0 + 5_500
  const marked = route.markTrue(route.begin(first, 1, later), 'Assigned', later)
  const second = finish(route.markFalse(marked, 'Ingress', 'I', 'i', later), first, 1, later)
  assert.deepEqual(
    second.conditions?.map(({ type, lastTransitionTime }) => [type, lastTransitionTime]),
    [
      ['Assigned', '2026-01-01T00:00:05Z'],
      ['Certificate', '2026-01-01T00:00:00Z'],
      ['Ingress', '2026-01-01T00:00:00Z'],
      ['Ready', '2026-01-01T00:00:00Z'],
    ],
  )
  assert.equal(second.observedGeneration, 1)
})

test('an object is ready or failed only as far as its generation was observed', () => {
  const object = (status: 'True' | 'False', observedGeneration: number) => ({
    apiVersion: 'v1',
    kind: 'X',
    metadata: { name: 'x', generation: 2 },
    status: { observedGeneration, conditions: [{ type: 'Ready', status }] },
  })
  assert.deepEqual(
    [isReady(object('True', 2)), isReady(object('True', 1)), isFailed(object('False', 2))],
    [true, false, true],
  )
  assert.equal(isFailed(object('False', 1)), false)
})

test('whatever is marked, marking everything True makes it ready, and marking twice changes nothing', () => {
  const mark = fc.record({
    type: fc.constantFrom('Assigned', 'Ingress', 'Certificate', 'Active'),
    to: fc.constantFrom('True', 'False', 'Unknown'),
  })
  fc.assert(
    fc.property(fc.array(mark, { maxLength: 12 }), (marks) => {
      let status = route.begin(empty, 1, t0)
      for (const { type, to } of marks) {
        const once =
          to === 'True'
            ? route.markTrue(status, type, t0)
            : to === 'False'
              ? route.markFalse(status, type, 'R', type, t0)
              : route.markUnknown(status, type, 'R', type, t0)
        status = once
        const types = (status.conditions ?? []).map((condition) => condition.type)
        assert.deepEqual(types, types.toSorted())
        assert.equal(new Set(types).size, types.length)
      }
      for (const type of route.dependents) status = route.markTrue(status, type, t0)
      assert.deepEqual(ready(status), ['True', undefined, undefined])
      assert.equal(route.markTrue(status, 'Ingress', t0), status)
    }),
  )
})
