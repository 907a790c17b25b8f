import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { silent } from '../../../lib/log.ts'
import { SimClock } from '../../../testing/sim-clock.ts'
import { Channel } from '../channel.ts'
import { select } from './selection.ts'
import { wayOf } from './way.ts'
import type { Step } from './journal.ts'
import type { Sender } from '../delivery/sender.ts'
import { spanOf, traceIdOf, traceOfDelivery } from '../trace.ts'
import { trace as traceOf } from './ways.ts'
import { trigger, config, world, ids } from './following.fixture.ts'

test('the way of an event: which Triggers refused it and why, attempts, and how it ended', async () => {
  await using at = await world()
  at.status = 400
  await at.put('1')
  await at.settle()
  for await (const { logged, stored } of select(at.channel, { id: '1' })) {
    const { fates, event, channel } = wayOf(at.channel, logged, stored, at.steps)
    assert.deepEqual(channel, { uid: 'b', kind: 'Broker', namespace: 'default', name: 'b' })
    assert.deepEqual(event, { specversion: '1.0', id: '1', source: '/s', type: 'test' })
    const [all, some] = fates
    assert.deepEqual(
      [all?.state, all?.steps.map(({ kind, status }) => [kind, status])],
      [
        'parked',
        [
          ['attempt', 400],
          ['parked', undefined],
        ],
      ],
    )
    assert.deepEqual(
      [some?.state, some?.refusal],
      ['refused', { term: 'filter.attributes.type', wanted: 'other', found: 'test' }],
    )
  }
})

test('who came later, and who is gone', async () => {
  await using at = await world()
  await at.put('1')
  await at.settle()
  const later = { ...trigger('later', 'other'), createdMs: at.clock.now() + 1 }
  await at.channel.update({ ...config, subscriptions: [later] })
  for await (const { logged, stored } of select(at.channel, { idPrefix: '1' })) {
    const { fates } = wayOf(at.channel, logged, stored, at.steps)
    assert.deepEqual(
      fates.map(({ uid, state, gone }) => [uid, state, gone]),
      [
        ['later', 'before', undefined],
        ['all', 'done', true],
      ],
    )
  }
  assert.deepEqual(await ids(at.channel, { idPrefix: 'x' }), [])
})

test('a trace is followed through answers and from channel to channel, in order', async () => {
  await using at = await world()
  const attributes = (id: string) => ({ specversion: '1.0', id, source: '/s', type: 'test' })
  await at.put('other')
  const first = await at.channel.append({ event: { attributes: attributes('1') }, passed: [] })
  const place = { channel: 'b', sequence: first }
  const trace = traceOfDelivery(place, 'all', undefined)
  await at.channel.append({ event: { attributes: attributes('2') }, passed: [], trace })
  await at.settle()
  const journal = { flush: async () => {}, async *read() {} }
  const found = []
  const engine = { channels: [at.channel] }
  for await (const way of traceOf(engine, at.channel, { id: '1' }, journal)) found.push(way)
  assert.deepEqual(
    found.map(({ event, trace: { id, parent } }) => [(event as { id: string }).id, id, parent]),
    [
      ['1', traceIdOf(place, undefined), undefined],
      ['2', traceIdOf(place, undefined), spanOf(place, 'all')],
    ],
  )
  assert.deepEqual(
    found[0]?.fates.map(({ span }) => span),
    [spanOf(place, 'all'), spanOf(place, 'some')],
  )
})

test('where a loop ends its last answer is noted with why, and the dead letter says so', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'ebb-following-'))
  const clock = new SimClock()
  const steps: Step[] = []
  const headers = Object.entries({ specversion: '1.0', id: 'again', source: '/s', type: 'test' })
  const sender: Sender = {
    send: async () => ({
      status: 200,
      headers: headers.map(([name, value]) => [`ce-${name}`, value] as const),
      body: Buffer.alloc(0),
    }),
    [Symbol.dispose]() {},
  }
  const journal = (step: Step) => void steps.push(step)
  await using channel = await Channel.open(config, {
    directory,
    clock,
    log: silent,
    sender,
    journal,
  })
  await channel.update({ ...config, subscriptions: [{ ...trigger('all'), reply: 'channel' }] })
  const attributes = {
    specversion: '1.0',
    id: '1',
    source: '/s',
    type: 'test',
    knativebrokerttl: 1,
  }
  await channel.append({ event: { attributes }, passed: [] })
  while (!steps.some(({ kind }) => kind === 'parked')) {
    await clock.advance(10)
    await new Promise((resolve) => setImmediate(resolve))
  }
  const why = 'it has gone its last round: the loop ends here'
  const reply = steps.find(({ phase }) => phase === 'reply')
  assert.deepEqual([reply?.status, reply?.error], [400, why])
  for await (const { reason } of channel.deadLetters.list())
    assert.equal(Buffer.from(reason['knativeerrordata'] ?? '', 'base64').toString(), why)
  assert.equal(channel.deadLetters.count, 1)
  await rm(directory, { recursive: true })
})
