import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Service as CoreService } from '../../../kube/api/service.ts'
import { conditionOf } from '../../../knative/conditions.ts'
import { InMemoryChannel } from '../../api/messaging/in-memory-channel.ts'
import { service, start } from '../world.fixture.ts'

const channel = (name: string) => ({
  apiVersion: 'messaging.knative.dev/v1',
  kind: 'InMemoryChannel',
  metadata: { name },
})

test("a channel does not take somebody else's Service, and says so until that is gone", async () => {
  await using it = await start()
  const told = async () => {
    const { status } = await it.client.get(InMemoryChannel, it.key('c'))
    const { status: is, reason, message } = conditionOf(status, 'ChannelServiceReady') ?? {}
    return [is, reason, message, status?.address?.url]
  }
  const theirs = service('c-kn-channel')
  await it.create(theirs)
  await it.create(channel('c'))
  await it.settle()
  assert.deepEqual(await told(), [
    'False',
    'ChannelServiceFailed',
    'Channel Service failed: inmemorychannel: default/c does not own Service: "c-kn-channel"',
    undefined,
  ])
  const { spec } = await it.client.get(CoreService, it.key('c-kn-channel'))
  assert.deepEqual(spec.selector, theirs.spec.selector)
  assert.deepEqual(
    (await it.eventsOf('c')).map(({ type, reason }) => [type, reason]),
    [['Warning', 'InternalError']],
  )

  await it.client.delete(CoreService, it.key('c-kn-channel'))
  await it.settle()
  await it.isReady(InMemoryChannel, 'c')
})

test('a channel whose name makes no host is not Ready', async () => {
  await using it = await start()
  await it.create(channel('with.dots'))
  await it.settle()
  const { status } = await it.client.get(InMemoryChannel, it.key('with.dots'))
  const ready = conditionOf(status, 'Ready')
  assert.deepEqual([ready?.status, ready?.reason], ['False', 'ChannelServiceFailed'])
  assert.match(
    ready?.message ?? '',
    /^Channel Service failed: .*"with.dots-kn-channel".*DNS-1035 label/,
  )
  assert.equal(status?.address, undefined)
})
