import assert from 'node:assert/strict'
import { test } from 'node:test'
import { StatusError } from '../../../kube/api/status-error.ts'
import type { EventType } from '../../api/eventing/event-type.ts'
import { createEventTypes } from './auto-create.ts'

const types = (names: readonly string[]): readonly EventType[] =>
  names.map((name) => ({
    apiVersion: 'eventing.knative.dev/v1beta2',
    kind: 'EventType',
    metadata: { namespace: 'default', name },
    spec: { type: 't' },
  }))

test('EventTypes that are refused hold no others up, and are asked for again', async () => {
  const hostile = Array.from({ length: 150 }, (_, i) => `refused-${i}`)
  const wanted = [...hostile, 'good']
  const made: string[] = []
  const asked: string[] = []
  const make = createEventTypes(async ({ metadata: { name } }) => {
    asked.push(name)
    if (name !== 'good') throw new StatusError('Forbidden', 'exceeded quota')
    made.push(name)
  })
  await assert.rejects(make(types(wanted)), /exceeded quota/)
  await assert.rejects(make(types(wanted)), /exceeded quota/)
  assert.deepEqual(made, ['good'])
  assert.equal(asked.length, wanted.length)
  await assert.rejects(make(types(hostile)), /exceeded quota/)
  assert.equal(asked.length, wanted.length + 100)
})
