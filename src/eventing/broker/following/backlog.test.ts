import assert from 'node:assert/strict'
import { test } from 'node:test'
import { backlogOf } from './backlog.ts'
import { world } from './following.fixture.ts'

test('who is behind comes first, with how many wait and since when', async () => {
  await using at = await world()
  await at.put('1')
  await at.settle()
  const calm = await backlogOf(at.channel)
  assert.deepEqual(
    calm.subscriptions.map(({ name, backlog, oldestMs }) => [name, backlog, oldestMs]),
    [
      ['all', 0, undefined],
      ['some', 0, undefined],
    ],
  )
  const [all, some] = at.channel.config.subscriptions
  assert.ok(all && some)
  // A subscriber that does not resolve: what it wants stays.
  const { subscriber: _, ...unresolved } = some
  await at.channel.update({ ...at.channel.config, subscriptions: [all, unresolved] })
  const sinceMs = at.clock.now()
  for (const id of ['2', '3']) await at.put(id, 'other')
  while (at.channel.stats.some(({ uid, backlog }) => uid === 'all' && backlog > 0)) {
    await at.clock.advance(10)
    await new Promise((resolve) => setImmediate(resolve))
  }
  const { subscriptions, accepted, bytes, limitBytes, deadLetters } = await backlogOf(at.channel)
  const [first, second] = subscriptions
  assert.deepEqual([first?.name, first?.backlog, first?.subscriber], ['some', 2, undefined])
  assert.ok((first?.oldestMs ?? 0) >= sinceMs && (first?.oldestMs ?? 0) <= at.clock.now())
  assert.deepEqual([second?.name, second?.backlog], ['all', 0])
  assert.deepEqual([accepted, deadLetters], [3, 0])
  assert.ok(bytes > 0 && bytes < limitBytes)
})
