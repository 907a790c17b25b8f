import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Service as CoreService } from '../../../kube/api/service.ts'
import { conditionOf } from '../../../knative/conditions.ts'
import { EventTransform } from '../../api/eventing/event-transform.ts'
import { service, start, willing } from '../world.fixture.ts'

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

test('a transform has no address without a Service of its own', async () => {
  await using it = await start()
  const theirs = service('t-jsonata')
  await it.create(theirs)
  for (const name of ['t', 'with.dots'])
    await it.create({
      apiVersion: 'eventing.knative.dev/v1alpha1',
      kind: 'EventTransform',
      metadata: { name },
      spec: { jsonata: { expression: '$' } },
    })
  await it.settle()
  const told = async (name: string) => {
    const { status } = await it.client.get(EventTransform, it.key(name))
    assert.equal(status?.address, undefined)
    const { status: is, reason, message = '' } = conditionOf(status, 'Ready') ?? {}
    assert.deepEqual([is, reason], ['False', 'NoURL'])
    return message
  }
  assert.match(await told('t'), /Service "t-jsonata" .*is not its own/)
  assert.match(await told('with.dots'), /"with.dots-jsonata".*DNS-1035 label/)
  const { spec } = await it.client.get(CoreService, it.key('t-jsonata'))
  assert.deepEqual(spec.selector, theirs.spec.selector)

  await it.client.delete(CoreService, it.key('t-jsonata'))
  await it.settle()
  await it.isReady(EventTransform, 't')
})
