import assert from 'node:assert/strict'
import { test } from 'node:test'
import { discard, redrive, replay, type ReplayProgress } from './replay.ts'
import { select } from './selection.ts'
import { wayOf } from './way.ts'
import { type World, world, options } from './following.fixture.ts'

test('replay counts first, then sends again, to a subscription or elsewhere', async () => {
  await using at = await world()
  for (const id of ['1', '2', '3']) await at.put(id)
  await at.settle()
  at.sent.length = 0
  const some = { fromSequence: 2 }
  const dry = await replay(at.channel, some, { subscription: 'all' }, options(at, true))
  assert.deepEqual([dry, at.sent], [{ selected: 2, delivered: 0, failures: [] }, []])
  const real = await replay(at.channel, some, { subscription: 'all' }, options(at))
  assert.deepEqual(real, { selected: 2, delivered: 2, failures: [] })
  at.status = 503
  const url = { url: 'http://elsewhere' }
  const failed = await replay(at.channel, { id: '1' }, { url }, options(at))
  assert.deepEqual(failed.failures, [{ sequence: 1, reason: 'answered 503' }])
  await assert.rejects(
    replay(at.channel, some, { subscription: 'nobody' }, options(at, true)),
    /^RangeError: there is no Trigger nobody of Broker b; there are all, some$/,
  )
  assert.deepEqual(at.sent, [
    { url: 'http://all', id: '2' },
    { url: 'http://all', id: '3' },
    { url: 'http://elsewhere', id: '1' },
  ])
})

/** State and steps at the Trigger `all`. */
async function fateOf(at: World, id: string) {
  for await (const { logged, stored } of select(at.channel, { id })) {
    const own = at.steps.filter(({ sequence }) => sequence === logged.sequence)
    const fate = wayOf(at.channel, logged, stored, own).fates.find(({ uid }) => uid === 'all')
    const told = fate?.steps.map(({ kind, phase, status = '' }) =>
      `${phase === 'replay' ? phase : kind} ${status}`.trim(),
    )
    return [fate?.state, told] as const
  }
  return undefined
}

test('who sends again is told how far it is, event by event', async () => {
  await using at = await world()
  for (const id of ['1', '2', '3']) await at.put(id)
  await at.settle()
  const told: ReplayProgress[] = []
  const progress = (soFar: ReplayProgress) => {
    told.push(soFar)
    at.status = 500
  }
  const url = { url: 'http://elsewhere' }
  await replay(at.channel, { id: '1' }, { url }, { ...options(at), progress })
  await replay(at.channel, { id: '2' }, { url }, { ...options(at), progress })
  assert.deepEqual(told, [
    { delivered: 1, failed: 0 },
    { delivered: 0, failed: 1 },
  ])
})

test('dead letters are sent again until they are taken', async () => {
  await using at = await world()
  at.status = 500
  for (const id of ['1', '2']) await at.put(id)
  await at.settle()
  assert.equal(at.channel.deadLetters.count, 2)
  const first = await redrive(at.channel, () => true, options(at))
  assert.deepEqual([first.selected, first.delivered, first.failures.length], [2, 0, 2])
  at.status = 200
  assert.deepEqual(await fateOf(at, '2'), ['parked', ['attempt 500', 'parked', 'replay 500']])
  const again = await redrive(at.channel, ({ sequence }) => sequence === 2, options(at))
  assert.deepEqual([again.delivered, at.channel.deadLetters.count], [1, 1])
  const steps = ['attempt 500', 'parked', 'replay 500', 'replay 200', 'done']
  assert.deepEqual(await fateOf(at, '2'), ['done', steps])
  assert.equal((await discard(at.channel, () => true, options(at))).selected, 1)
  assert.equal(at.channel.deadLetters.count, 0)
  assert.equal((await fateOf(at, '1'))?.[0], 'discarded')
})
