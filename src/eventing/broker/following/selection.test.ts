import assert from 'node:assert/strict'
import { test } from 'node:test'
import { follow, type Selection } from './selection.ts'
import { world, ids } from './following.fixture.ts'

test('events are found by place, time, id and filter', async () => {
  await using at = await world()
  const startMs = at.clock.now()
  for (const id of ['1', '2', '3', '4']) {
    await at.put(id, id === '3' ? 'other' : 'test')
    await at.clock.advance(1000)
  }
  assert.deepEqual(await ids(at.channel, {}), ['1', '2', '3', '4'])
  assert.deepEqual(await ids(at.channel, { fromSequence: 2, toSequence: 3 }), ['2', '3'])
  assert.deepEqual(await ids(at.channel, { sinceMs: startMs + 1000, untilMs: startMs + 2000 }), [
    '2',
    '3',
  ])
  assert.deepEqual(await ids(at.channel, { id: '4' }), ['4'])
  const filter = { filters: [{ exact: { type: 'other' } }] }
  assert.deepEqual(await ids(at.channel, { filter }), ['3'])
  assert.deepEqual(await ids(at.channel, { limit: 1 }), ['1'])
})

test('an event that can not be read hides no other', async () => {
  await using at = await world()
  await at.put('1')
  await at.channel.events.append(Buffer.from('{"of": "another version"}'))
  await at.put('2')
  assert.deepEqual(await ids(at.channel, {}), ['1', '2'])
})

test('follow shows what comes in, once each', async () => {
  await using at = await world()
  await at.put('before')
  const stop = new AbortController()
  const seen: unknown[] = []
  const following = (async () => {
    const { clock } = at
    for await (const { stored } of follow(at.channel, {}, { clock, signal: stop.signal }))
      seen.push(stored.event.attributes['id'])
  })()
  for (const id of ['a', 'b', 'c']) await at.put(id)
  while (seen.length < 3) {
    await at.clock.advance(100)
    await new Promise((resolve) => setImmediate(resolve))
  }
  stop.abort()
  await following
  assert.deepEqual(seen, ['a', 'b', 'c'])
})

test('follow ends after what was asked for, and with its channel', async () => {
  await using at = await world()
  const { clock } = at
  const startMs = clock.now()
  const { signal } = new AbortController()
  let isThere = true
  const followed = (selection: Selection) => {
    const seen: unknown[] = []
    const end = (async () => {
      const deps = { clock, signal, isThere: () => isThere }
      for await (const { stored } of follow(at.channel, selection, deps))
        seen.push(stored.event.attributes['id'])
      return seen
    })()
    return { seen, end }
  }
  const limited = followed({ limit: 2 })
  const placed = followed({ toSequence: 1 })
  const timed = followed({ untilMs: startMs + 150 })
  const unbound = followed({})
  for (const id of ['a', 'b', 'c']) {
    await at.put(id)
    while (unbound.seen.at(-1) !== id) {
      await clock.advance(100)
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  isThere = false
  await clock.advance(1000)
  assert.deepEqual(await limited.end, ['a', 'b'])
  assert.deepEqual(await placed.end, ['a'])
  assert.equal((await timed.end).at(0), 'a')
  assert.deepEqual(await unbound.end, ['a', 'b', 'c'])
})

test('the last of many are found from the end, and an id wherever it stands', async () => {
  await using at = await world()
  for (let i = 1; i <= 600; i++) await at.put(String(i), i % 200 === 0 ? 'other' : 'test')
  assert.deepEqual(await ids(at.channel, { last: 2 }), ['599', '600'])
  const filter = { filters: [{ exact: { type: 'other' } }] }
  assert.deepEqual(await ids(at.channel, { last: 2, filter }), ['400', '600'])
  assert.deepEqual(await ids(at.channel, { last: 9, filter }), ['200', '400', '600'])
  assert.deepEqual(await ids(at.channel, { id: '17' }), ['17'])
  assert.deepEqual(await ids(at.channel, { id: '17', fromSequence: 18 }), [])
})
