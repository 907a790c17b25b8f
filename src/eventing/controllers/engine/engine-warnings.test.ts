import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Event } from '../../../kube/api/event.ts'
import { inMemoryPlatform } from '../../../testing/platform.ts'
import { SimClock } from '../../../testing/sim-clock.ts'
import { Broker } from '../../api/eventing/broker.ts'
import type { EngineWarning } from '../../broker/feed.ts'
import { kinds } from '../world.fixture.ts'
import { startEngineWarnings } from './engine-warnings.ts'

test('what the engine warns of is told on the object, again only when it changes or after half an hour', async () => {
  const clock = new SimClock()
  await using platform = inMemoryPlatform({ kinds, clock })
  let warnings: readonly EngineWarning[] = []
  let asked = 0
  await using _warnings = startEngineWarnings(platform, async () => {
    asked++
    return warnings
  })
  await clock.advance(120_000)
  assert.equal(asked, 0, 'there is nothing to warn of')
  const { metadata } = await platform.client.create(Broker, {
    apiVersion: 'eventing.knative.dev/v1',
    kind: 'Broker',
    metadata: { name: 'b', namespace: 'default' },
    spec: {},
  })
  const { uid = '' } = metadata
  const about = { uid, kind: 'Broker', namespace: 'default', name: 'b' } as const
  const half = { ...about, reason: 'EventsPileUp', message: '50 %' } as const
  const told = async () => {
    await platform.recorder.flushed()
    return (await platform.client.list(Event, 'default')).items
      .map(({ type, reason, message, count }) => `${type} ${reason} ${message} ${count}`)
      .toSorted()
  }
  warnings = [half, { ...half, uid: 'of before', message: 'not for this one' }]
  await clock.advance(300_000)
  assert.deepEqual(await told(), ['Warning EventsPileUp 50 % 1'])
  warnings = [{ ...half, message: '60 %' }]
  await clock.advance(60_000)
  assert.deepEqual(await told(), ['Warning EventsPileUp 50 % 1', 'Warning EventsPileUp 60 % 1'])
  warnings = []
  await clock.advance(60_000)
  warnings = [{ ...half, message: '60 %' }]
  await clock.advance(60_000)
  assert.equal((await told()).at(-1), 'Warning EventsPileUp 60 % 2')
  await clock.advance(1_900_000)
  assert.equal((await told()).length, 3, 'it is news again')
})
