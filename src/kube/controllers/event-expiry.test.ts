import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rfc3339 } from '../../lib/clock.ts'
import { inMemoryPlatform } from '../../testing/platform.ts'
import { settle, SimClock } from '../../testing/sim-clock.ts'
import { Event } from '../api/event.ts'
import { coreKinds } from '../api/kinds.ts'
import { startEventExpiry } from './event-expiry.ts'

const anEvent = (name: string, clock: SimClock): Event => ({
  apiVersion: 'v1',
  kind: 'Event',
  metadata: { name, namespace: 'default' },
  involvedObject: { kind: 'Pod', name: 'p', namespace: 'default' },
  reason: 'Tested',
  message: name,
  type: 'Normal',
  lastTimestamp: rfc3339(clock.now()),
})

test('an event goes an hour after it was last seen', async () => {
  const clock = new SimClock()
  await using platform = inMemoryPlatform({ kinds: coreKinds, clock })
  const { client } = platform
  const names = async () =>
    (await client.list(Event, 'default')).items.map(({ metadata }) => metadata.name)
  await client.create(Event, anEvent('old', clock))
  await using _expiry = startEventExpiry(platform)
  await clock.advance(1_800_000)
  const renewed = await client.create(Event, anEvent('renewed', clock))
  await client.create(Event, anEvent('new', clock))
  await clock.advance(1_500_000)
  assert.deepEqual(await names(), ['new', 'old', 'renewed'])
  const lastTimestamp = rfc3339(clock.now())
  await client.update(Event, { ...renewed, lastTimestamp })
  await clock.advance(360_000)
  assert.deepEqual(await names(), ['new', 'renewed'])
  await clock.advance(1_800_000)
  assert.deepEqual(await names(), ['renewed'])
})

test('of too many, the oldest go', async () => {
  const clock = new SimClock()
  await using platform = inMemoryPlatform({ kinds: coreKinds, clock })
  const { client } = platform
  await using _expiry = startEventExpiry(platform, 20)
  await settle()
  for (let i = 10; i < 40; i++) {
    await client.create(Event, anEvent(`e${i}`, clock))
    await settle(1)
  }
  await settle()
  const { items } = await client.list(Event, 'default')
  assert.ok(items.length <= 22, `${items.length} are left`)
  assert.equal(items.at(-1)?.metadata.name, 'e39')
})
