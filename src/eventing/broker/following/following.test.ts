import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { silent } from '../../../lib/log.ts'
import { SimClock } from '../../../testing/sim-clock.ts'
import { Channel } from '../channel.ts'
import type { ChannelConfig } from '../feed.ts'
import { discard, redrive, replay } from './replay.ts'
import { follow, select, type Selection } from './selection.ts'
import { wayOf } from './way.ts'
import { JournalFile, placeText } from './journal-file.ts'
import type { Step } from './journal.ts'
import type { Answer, Sender } from '../delivery/sender.ts'
import { spanOf, traceIdOf, traceOfDelivery } from '../trace.ts'
import { trace as traceOf } from './ways.ts'

interface World extends AsyncDisposable {
  readonly clock: SimClock
  readonly channel: Channel
  readonly steps: Step[]
  readonly sent: { readonly url: string; readonly id: string }[]
  readonly sender: Sender
  status: number
  put(id: string, type?: string): Promise<void>
  settle(): Promise<void>
}

const trigger = (name: string, type?: string) => ({
  uid: name,
  kind: 'Trigger' as const,
  namespace: 'default',
  name,
  subscriber: { url: `http://${name}` },
  delivery: { retry: 0 },
  ...(type !== undefined && { filter: { filter: { attributes: { type } } } }),
})
const config: ChannelConfig = {
  uid: 'b',
  kind: 'Broker',
  namespace: 'default',
  name: 'b',
  subscriptions: [trigger('all'), trigger('some', 'other')],
}

async function world(): Promise<World> {
  const directory = await mkdtemp(join(tmpdir(), 'ebb-following-'))
  const clock = new SimClock()
  const steps: Step[] = []
  const sent: { url: string; id: string }[] = []
  const sender: Sender = {
    async send(to, { headers }): Promise<Answer> {
      sent.push({ url: to.url, id: headers.find(([name]) => name === 'ce-id')?.[1] ?? '' })
      return { status: made.status, headers: [], body: Buffer.alloc(0) }
    },
    [Symbol.dispose]() {},
  }
  const journal = (step: Step) => void steps.push(step)
  const channel = await Channel.open(config, { directory, clock, log: silent, sender, journal })
  await channel.update(config)
  const made: World = {
    clock,
    channel,
    steps,
    sent,
    sender,
    status: 200,
    async put(id, type = 'test') {
      const attributes = { specversion: '1.0', id, source: '/s', type }
      await channel.append({ event: { attributes }, passed: [] })
    },
    async settle() {
      while (channel.stats.some(({ backlog }) => backlog > 0)) {
        await clock.advance(10)
        await new Promise((resolve) => setImmediate(resolve))
      }
    },
    async [Symbol.asyncDispose]() {
      await channel[Symbol.asyncDispose]()
      await rm(directory, { recursive: true })
    },
  }
  return made
}

async function ids(channel: Channel, selection: Selection): Promise<readonly unknown[]> {
  const found: unknown[] = []
  for await (const { stored } of select(channel, selection))
    found.push(stored.event.attributes['id'])
  return found
}

const options = (at: World, dryRun = false) => ({
  sender: at.sender,
  clock: at.clock,
  journal: (step: Step) => void at.steps.push(step),
  dryRun,
  signal: new AbortController().signal,
})

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

test('a journal that can not be moved aside leaves steps out instead of growing', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'ebb-journal-'))
  const path = join(directory, 'journal')
  await mkdir(join(`${path}.1`, 'in-the-way'), { recursive: true })
  const journal = new JournalFile({ path, clock: new SimClock(), maxBytes: 2000 })
  for (let sequence = 1; sequence <= 100; sequence++) {
    journal.note({ channel: 'c', sequence, subscription: 's', atMs: 1, kind: 'done' })
    await journal.flush()
  }
  const { size } = await stat(path)
  assert.ok(size > 500 && size <= 1000, String(size))
  await rm(directory, { recursive: true })
})

test('steps that come faster than the disk takes them are left out, and what is held has a bound', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'ebb-journal-'))
  const path = join(directory, 'journal')
  const journal = new JournalFile({ path, clock: new SimClock() })
  const step = { channel: 'c', subscription: 's', atMs: 1, kind: 'done', error: 'x'.repeat(1000) }
  for (let sequence = 1; sequence <= 8000; sequence++)
    journal.note({ ...step, kind: 'attempt', sequence })
  await journal.flush()
  const { size } = await stat(path)
  assert.ok(size <= (4 << 20) + 100, String(size))
  const kept: number[] = []
  for await (const { sequence } of journal.read(() => true)) kept.push(sequence)
  assert.ok(kept.length > 3000 && kept.length < 8000, String(kept.length))
  await rm(directory, { recursive: true })
})

test('the journal keeps within its bound and is read again, also over a line cut short', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'ebb-journal-'))
  const clock = new SimClock()
  const path = join(directory, 'journal')
  const journal = new JournalFile({ path, clock, maxBytes: 2000 })
  for (let sequence = 1; sequence <= 100; sequence++) {
    journal.note({ channel: 'c', sequence, subscription: 's', atMs: 1, kind: 'done' })
    await journal.flush()
  }
  const kept: number[] = []
  for await (const step of new JournalFile({ path, clock }).read(() => true))
    kept.push(step.sequence)
  assert.equal(kept.at(-1), 100)
  assert.ok(kept.length > 5 && kept.length < 40, String(kept.length))
  assert.deepEqual(
    kept,
    kept.map((_, i) => (kept[0] ?? 0) + i),
  )
  const bytes = (await Promise.all([path, `${path}.1`].map((file) => stat(file)))).map(
    (s) => s.size,
  )
  assert.ok((bytes[0] ?? 0) + (bytes[1] ?? 0) <= 2000, String(bytes))
  const one: number[] = []
  const places = new Set([placeText('c', 99)])
  for await (const step of new JournalFile({ path, clock }).read(() => true, places))
    one.push(step.sequence)
  assert.deepEqual(one, [99])
  await rm(directory, { recursive: true })
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
