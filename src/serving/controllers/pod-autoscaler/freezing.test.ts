import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rfc3339 } from '../../../lib/clock.ts'
import type { Pod } from '../../../kube/api/pod.ts'
import type { ScaleStep } from '../../autoscaler/scale.ts'
import { freezeStep } from './freezing.ts'

const nowMs = Date.UTC(2026, 0, 1)
const minuteMs = 60_000

const pod = (name: string, annotations: Record<string, string> = {}, ready = true): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default', uid: `uid-${name}`, annotations },
  spec: { containers: [{ name: 'c', image: 'app:1' }] },
  status: { conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] },
})
const frozen = (name: string, sinceMs: number, more: Record<string, string> = {}) =>
  pod(name, { 'ebb.dev/frozen-since': rfc3339(nowMs - sinceMs), ...more }, false)

function freeze(step: ScaleStep, pods: readonly Pod[], freezeForMs = 10 * minuteMs) {
  const isReady = ({ status }: Pod) => status?.conditions?.[0]?.status === 'True'
  const { step: after, patch } = freezeStep(step, { pods, isReady, freezeForMs }, nowMs)
  const marks = patch.map(({ key, body }) => {
    const { annotations } = (body as { metadata: { annotations: Record<string, string | null> } })
      .metadata
    return [key.name, annotations]
  })
  return { ...after, marks }
}

const toZero: ScaleStep = { apply: 0, want: 0 }

test('the last pod is frozen instead of ended, once it is the only one', () => {
  assert.deepEqual(freeze(toZero, [pod('a')]), {
    apply: 1,
    want: 0,
    requeueAfterMs: 10 * minuteMs + 1_000,
    marks: [['a', { 'ebb.dev/frozen-since': rfc3339(nowMs) }]],
  })
  const two = freeze(toZero, [pod('a'), pod('b')])
  assert.deepEqual([two.apply, two.marks], [1, []])
})

test('without freezing, and without a pod that is ready, it goes to zero as always', () => {
  assert.deepEqual(freeze(toZero, [pod('a')], 0), { ...toZero, marks: [] })
  assert.deepEqual(freeze(toZero, [pod('a', {}, false)]), { ...toZero, marks: [] })
  assert.deepEqual(freeze(toZero, []), { ...toZero, marks: [] })
})

test('a frozen pod stays for its time and goes afterwards, or when the node has no room for it', () => {
  const early = freeze(toZero, [frozen('a', 4 * minuteMs)])
  assert.deepEqual([early.apply, early.requeueAfterMs], [1, 6 * minuteMs + 1_000])
  assert.equal(freeze(toZero, [frozen('a', 10 * minuteMs)]).apply, 0)
  const evicted = frozen('a', minuteMs, { 'ebb.dev/frozen-evicted': 'memory' })
  assert.equal(freeze(toZero, [evicted]).apply, 0)
  // Freezing was turned off meanwhile.
  assert.equal(freeze(toZero, [frozen('a', minuteMs)], 0).apply, 0)
})

test('its time goes by for an autoscaler that knows nothing yet, too', () => {
  const unknown: ScaleStep = { want: -1 }
  assert.deepEqual(freeze(unknown, [frozen('a', 4 * minuteMs)]), {
    want: -1,
    requeueAfterMs: 6 * minuteMs + 1_000,
    marks: [],
  })
  assert.equal(freeze(unknown, [frozen('a', 11 * minuteMs)]).apply, 0)
  assert.deepEqual(freeze(unknown, [pod('a')]), { ...unknown, marks: [] })
})

test('when a pod is wanted, what is frozen goes on', () => {
  const evicted = frozen('b', 0, { 'ebb.dev/frozen-evicted': 'memory' })
  const { apply, marks } = freeze({ apply: 3, want: 3 }, [frozen('a', minuteMs), evicted])
  assert.equal(apply, 3)
  assert.deepEqual(marks, [
    ['a', { 'ebb.dev/frozen-since': null }],
    ['b', { 'ebb.dev/frozen-since': null, 'ebb.dev/frozen-evicted': null }],
  ])
})
