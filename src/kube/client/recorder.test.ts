import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inMemoryPlatform } from '../../testing/platform.ts'
import { SimClock } from '../../testing/sim-clock.ts'
import { coreKinds } from '../api/kinds.ts'
import { Event } from '../api/event.ts'
import { aConfigMap } from './client.contract.ts'

const source = { component: 'test-controller', host: 'n1', fieldPath: 'spec.containers{c}' }
const event = (message: string) => ({ type: 'Normal' as const, reason: 'Tested', message })

function start() {
  const clock = new SimClock()
  const platform = inMemoryPlatform({ kinds: coreKinds, clock })
  const about = { ...aConfigMap('thing'), metadata: { ...aConfigMap('thing').metadata, uid: 'u' } }
  return {
    clock,
    platform,
    note: (message: string) => platform.recorder.event(about, event(message), source),
    written: async () => {
      await clock.advance(100)
      return (await platform.client.list(Event, 'default')).items
    },
  }
}

test('an event has the fields that kubectl reads', async () => {
  const { platform, note, written } = start()
  await using _platform = platform
  note('hello')
  const [found] = await written()
  assert.ok(found)
  const { metadata, apiVersion: _a, kind: _k, ...rest } = found
  assert.match(metadata.name, /^thing\.[0-9a-f]{16}$/)
  assert.deepEqual(rest, {
    involvedObject: {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      name: 'thing',
      namespace: 'default',
      uid: 'u',
      fieldPath: 'spec.containers{c}',
    },
    type: 'Normal',
    reason: 'Tested',
    message: 'hello',
    source: { component: 'test-controller', host: 'n1' },
    reportingComponent: 'test-controller',
    reportingInstance: 'n1',
    firstTimestamp: '2026-01-01T00:00:00Z',
    lastTimestamp: '2026-01-01T00:00:00Z',
    count: 1,
  })
})

test('a repeat is counted; after ten minutes, or when it has expired, it is written anew', async () => {
  const { clock, platform, note, written } = start()
  await using _platform = platform
  note('again')
  note('again')
  await clock.advance(60_000)
  note('again')
  const [counted, ...more] = await written()
  assert.deepEqual(
    [counted?.count, counted?.lastTimestamp, more.length],
    [3, '2026-01-01T00:01:00Z', 0],
  )
  await clock.advance(601_000)
  note('again')
  assert.equal((await written()).length, 2)
  for (const { metadata } of await written())
    await platform.client.delete(Event, { namespace: 'default', name: metadata.name })
  note('again')
  const anew = await written()
  assert.deepEqual(
    anew.map(({ count }) => count),
    [1],
  )
})

test('more than ten that differ only in the message are combined', async () => {
  const { platform, note, written } = start()
  await using _platform = platform
  for (let i = 0; i < 15; i++) note(`message ${i}`)
  const events = await written()
  assert.equal(events.length, 11)
  const combined = events.filter(({ message }) => message?.startsWith('(combined'))
  assert.deepEqual(
    combined.map(({ message, count }) => [message, count]),
    [['(combined from similar events): message 14', 5]],
  )
})

test('who shouts is cut off after 25, and heard again five minutes later', async () => {
  const { clock, platform, note, written } = start()
  await using _platform = platform
  for (let i = 0; i < 100; i++) note('same')
  assert.equal((await written())[0]?.count, 25)
  await clock.advance(300_000)
  note('same')
  note('same')
  assert.equal((await written())[0]?.count, 26)
})

test('a namespace that is not there loses the event and nothing else', async () => {
  const { platform, note, written } = start()
  await using _platform = platform
  const lost = { ...aConfigMap('x'), metadata: { name: 'x', namespace: 'nowhere' } }
  platform.recorder.event(lost, event('lost'), source)
  note('kept')
  assert.deepEqual(
    (await written()).map(({ message }) => message),
    ['kept'],
  )
})

test('long messages are cut to a kilobyte', async () => {
  const { platform, note, written } = start()
  await using _platform = platform
  note('x'.repeat(5_000))
  assert.equal((await written())[0]?.message?.length, 1_024)
})

test('lists, which are sorted by name, show events of one object in order', async () => {
  const { platform, note, written } = start()
  await using _platform = platform
  const messages = ['e', 'a', 'd', 'b', 'c']
  for (const message of messages) note(message)
  assert.deepEqual(
    (await written()).map(({ message }) => message),
    messages,
  )
})
