import assert from 'node:assert/strict'
import { test } from 'node:test'
import { conditionOf } from '../../../knative/conditions.ts'
import { EventTransform } from '../../api/eventing/event-transform.ts'
import { start, willing } from '../world.fixture.ts'

test('a transform says that it misses its sink, not that the engine has not taken it', async () => {
  // As the engine, which is not told of a transform that has nowhere to send to.
  await using it = await start({ ...willing, serves: () => false })
  await it.create({
    apiVersion: 'eventing.knative.dev/v1alpha1',
    kind: 'EventTransform',
    metadata: { name: 't' },
    spec: {
      jsonata: { expression: '$' },
      sink: { ref: { apiVersion: 'v1', kind: 'Service', name: 'nobody' } },
    },
  })
  await it.settle()
  const { status } = await it.client.get(EventTransform, it.key('t'))
  for (const type of ['Ready', 'TransformationReady', 'JsonataSinkBindingReady']) {
    const { status: is, reason, message } = conditionOf(status, type) ?? {}
    assert.deepEqual([type, is, reason], [type, 'False', 'NotFound'])
    assert.match(message ?? '', /services "nobody" not found/)
  }
  assert.equal(status?.address, undefined)
})
