import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Event } from '../../../../kube/api/event.ts'
import { inMemoryPlatform } from '../../../../testing/platform.ts'
import { SimClock } from '../../../../testing/sim-clock.ts'
import { PingSource } from '../../../api/sources/ping-source.ts'
import type { LostEvents } from '../../../broker/feed.ts'
import { kinds } from '../../world.fixture.ts'
import { startLostPings } from './lost-pings.ts'

test('a source whose events were lost says so, in Events that are counted', async () => {
  const clock = new SimClock()
  await using platform = inMemoryPlatform({ kinds, clock })
  const lost: LostEvents[] = []
  let asked = 0
  await using _lost = startLostPings(platform, async () => {
    asked++
    return lost.splice(0)
  })
  await clock.advance(20_000)
  assert.equal(asked, 0, 'there is no source')
  const { metadata } = await platform.client.create(PingSource, {
    apiVersion: 'sources.knative.dev/v1',
    kind: 'PingSource',
    metadata: { name: 'ping', namespace: 'default' },
    spec: { sink: { uri: 'http://sink.example' } },
  })
  const { uid = '' } = metadata
  const told = async () =>
    (await platform.client.list(Event, 'default')).items.map(
      ({ type, reason, message, count }) => `${type} ${reason} ${count}: ${message}`,
    )
  const one = { uid, namespace: 'default', name: 'ping', count: 1, reason: 'it answered 400' }
  for (const each of [one, one, { ...one, count: 3 }, { ...one, uid: 'of before' }]) {
    lost.push(each)
    await clock.advance(10_000)
  }
  await platform.recorder.flushed()
  assert.deepEqual((await told()).toSorted(), [
    'Warning EventLost 1: 3 events were not delivered: it answered 400',
    'Warning EventLost 2: an event was not delivered: it answered 400',
  ])
})
