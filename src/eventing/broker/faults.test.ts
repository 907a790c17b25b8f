/** Bad input and bad luck at the engine, in memory but for its logs: nothing crashes it, nothing acknowledged is lost. */
import assert from 'node:assert/strict'
import { readdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { jsonLog } from '../../lib/log.ts'
import { seededRandom } from '../../lib/random.ts'
import { diskAtRest } from '../../testing/disk.ts'
import { ForgetfulDisk } from '../log/forgetful-disk.fixture.ts'
import { broker, brokers, event, trigger, World } from './engine.fixture.ts'
import type { ChannelConfig } from './feed.ts'
import { EventMemory } from './delivery/memory.ts'
import { SendError } from './delivery/sender.ts'

const structured = (json: string | Buffer, type = 'application/cloudevents+json') =>
  [{ 'content-type': type }, json] as const
const required = '"specversion":"1.0","id":"1","source":"/s","type":"t"'

/** The status, and what is said of it. */
async function refusal(
  world: World,
  headers: Record<string, string>,
  body: string | Buffer = '',
): Promise<string> {
  const { status, body: said } = await world.post('/default/b', headers, body)
  return `${status} ${said.trim()}`
}

test('what is no JSON as it should be is refused with a word, whatever it is', async () => {
  await using world = await World.create()
  await world.engine.apply(broker())
  const said = (json: string | Buffer) => refusal(world, ...structured(json))
  const invalid = Buffer.from(`{${required},"data":"\u00ff"}`, 'latin1')
  assert.match(await said(invalid), /^400 .*UTF-8/)
  assert.match(await said(Buffer.from([0xff, 0xfe, 0x7b, 0x00])), /^400 /)
  const deep = (levels: number) => '['.repeat(levels) + ']'.repeat(levels)
  assert.match(await said(`{${required},"data":${deep(200_000)}}`), /^400 .*deep/)
  assert.match(await said(`{${required},"x":${deep(200_000)}}`), /^400 /)
  assert.match(await said(deep(200_000)), /^400 /)
  const old = '"cloudEventsVersion":"0.1","eventID":"1","source":"/s","eventType":"t"'
  assert.match(await said(`{${old},"extensions":{"x":${deep(200_000)}}}`), /^400 .*deep/)
  assert.match(await said(`{${required},"n":1e400}`), /^400 n: .*Integer/)
  assert.match(await said(`{${required},"n":9007199254740993}`), /^400 n: .*Integer/)
  assert.match(await said(`{${required},"time":"2026-13-01T00:00:00Z"}`), /^400 time: /)
  assert.match(await said(`{${required},"x":"a\\ud800b"}`), /^400 x: /)
  assert.match(await said(''), /^400 /)
  // Of two members with one name the last one counts, as everywhere in JSON.
  assert.equal(await said(`{${required},"type":"u","data":1,"data":2}`), '202 ')
})

test('a batch is taken whole or not at all, and the bad event is named', async () => {
  await using world = await World.create()
  await world.engine.apply(broker(trigger('t')))
  const batch = (...events: readonly string[]) =>
    refusal(world, ...structured(`[${events.join()}]`, 'application/cloudevents-batch+json'))
  const good = `{${required}}`
  assert.match(await batch(good, good, '{"specversion":"1.0"}', good), /^400 event 2: id: missing/)
  assert.match(await batch(good, '5'), /^400 event 1: /)
  assert.equal(await batch(), '202 ')
  assert.equal(world.engine.channel('uid-b')?.events.newest, 0)
  assert.match(await batch(...Array.from({ length: 10_001 }, () => good)), /^400 .*at most 10000/)
  assert.equal(await batch(...Array.from({ length: 10_000 }, () => good)), '202 ')
  assert.equal(world.engine.channel('uid-b')?.events.newest, 10_000)
  await world.settled('uid-t')
  assert.equal(world.sent.length, 10_000)
})

test('data in a coding that nobody would be told of is refused', async () => {
  await using world = await World.create()
  await world.engine.apply(broker())
  const coded = (coding: string) =>
    refusal(world, event({ 'content-encoding': coding, 'content-type': 'text/plain' }), 'x')
  assert.match(await coded('gzip'), /^415 .*gzip/)
  assert.match(await coded('br, gzip'), /^415 /)
  assert.equal(await coded('identity'), '202 ')
  assert.equal(await coded(''), '202 ')
})

test('attributes named like what every object of JavaScript has are attributes like others', async () => {
  await using world = await World.create()
  const wanted = { filter: { filters: [{ cesql: 'EXISTS constructor' }] } }
  const other = { filter: { filters: [{ not: { prefix: { constructor: 'f' } } }] } }
  await world.engine.apply(broker(trigger('some', wanted), trigger('other', other)))
  assert.equal(await refusal(world, event({ 'ce-id': 'none' })), '202 ')
  assert.equal(
    await refusal(world, event({ 'ce-constructor': 'x', 'ce-valueof': 'y', 'ce-a': 'a b' })),
    '202 ',
  )
  const json = `{${required},"constructor":5,"x":"\u00e9","hasownproperty":true}`
  assert.equal(await refusal(world, ...structured(json)), '202 ')
  await world.settled('uid-some')
  await world.settled('uid-other')
  const seen = (name: string) =>
    world.sent
      .filter(({ url }) => url === `http://${name}/`)
      .map(({ headers }) => headers['ce-constructor'])
  assert.deepEqual(seen('some'), ['x', '5'])
  assert.deepEqual(seen('other'), [undefined, 'x', '5'])
})

test('an event that can not even be sent is a failed delivery, not the end of the engine', async () => {
  await using world = await World.create()
  world.answers.set('http://work/', [new TypeError('Invalid character in header content')])
  await world.engine.apply(broker(trigger('work', { delivery: { retry: 2 } }), trigger('beside')))
  assert.equal(await refusal(world, event()), '202 ')
  await world.settled('uid-work')
  await world.settled('uid-beside')
  assert.equal(world.sent.filter(({ url }) => url === 'http://work/').length, 3)
  const said: string[] = []
  for await (const { reason } of world.engine.channel('uid-b')?.deadLetters.list() ?? [])
    said.push(Buffer.from(reason['knativeerrordata'] ?? '', 'base64').toString())
  assert.deepEqual(said, ['dispatch error: Invalid character in header content'])
})

test('a Broker whose files are broken does not take the others with it', async () => {
  await using world = await World.create()
  const { brokerHosts, channels } = broker(trigger('t'))
  await writeFile(join(world.directory, 'uid-broken'), 'no folder')
  const broken = { uid: 'uid-broken', kind: 'Broker', namespace: 'a', name: 'x' } as const
  const config = { brokerHosts, channels: [{ ...broken, subscriptions: [] }, ...channels] }
  const problems = await world.engine.apply(config)
  assert.deepEqual(Object.keys(problems), ['uid-broken'])
  assert.match(problems['uid-broken'] ?? '', /a\/x.*ENOTDIR/)
  assert.equal(world.engine.problemOf('uid-broken')?.message, problems['uid-broken'])
  assert.equal(await refusal(world, event()), '202 ')
  await world.settled('uid-t')
  const refused = await world.post('/a/x', event())
  assert.equal(refused.status, 503)
  assert.deepEqual(
    refused.headers?.find(([name]) => name === 'Retry-After'),
    ['Retry-After', '1'],
  )
})

test('an engine that is being stopped asks senders to come again', async () => {
  await using world = await World.create()
  await world.engine.apply(broker())
  await world.engine[Symbol.asyncDispose]()
  assert.match(await refusal(world, event()), /^503 .*closed/)
})

test('events behind a damaged end of the log are delivered, though places in it say they were', async () => {
  await using world = await World.create()
  const config = broker(trigger('t'))
  await world.engine.apply(config)
  for (let id = 1; id <= 10; id++) await world.post('/default/b', event({ 'ce-id': String(id) }))
  await world.settled('uid-t')
  await world.engine[Symbol.asyncDispose]()
  const folder = join(world.directory, 'uid-b', 'events')
  const file = join(folder, (await readdir(folder)).find((name) => name.endsWith('.log')) ?? '')
  await truncate(file, (await readFile(file)).length - 700)
  await world.restart(config)
  const before = world.sent.length
  for (let id = 11; id <= 13; id++)
    assert.equal(await refusal(world, event({ 'ce-id': String(id) })), '202 ')
  await world.settled('uid-t')
  assert.deepEqual(
    world.sent.slice(before).map(({ headers }) => headers['ce-id']),
    ['11', '12', '13'],
  )
})

test('damage is warned of for an hour, what a crash cut short is not', async () => {
  await using world = await World.create()
  const config = broker(trigger('t'))
  await world.engine.apply(config)
  for (const id of ['one', 'two', 'three']) await world.post('/default/b', event({ 'ce-id': id }))
  await world.settled('uid-t')
  await world.engine[Symbol.asyncDispose]()
  const folder = join(world.directory, 'uid-b', 'events')
  const file = join(folder, (await readdir(folder)).find((name) => name.endsWith('.log')) ?? '')
  const whole = await readFile(file)
  await writeFile(file, Buffer.concat([whole, Buffer.alloc(10, 1)]))
  await world.restart(config)
  assert.deepEqual(world.engine.warnings, [])
  await world.engine[Symbol.asyncDispose]()
  whole.writeUInt8(0, whole.indexOf('two'))
  await writeFile(file, whole)
  await world.restart(config)
  assert.deepEqual(
    world.engine.warnings.map(({ uid, reason }) => `${uid} ${reason}`),
    ['uid-b EventsDamaged'],
  )
  await world.clock.advance(3_700_000)
  assert.deepEqual(world.engine.warnings, [])
})

test('the order of a key holds through failures, time-outs and a restart', async () => {
  await using world = await World.create()
  const config = broker(
    trigger('slow', {
      order: 'ordered',
      delivery: { retry: 9, backoff: { policy: 'exponential', delayMs: 1000 } },
      deadLetter: { url: 'http://dead/' },
    }),
  )
  const no = new SendError('connection refused')
  world.answers.set('http://slow/', [no, { status: 503 }, no, { status: 400 }, {}])
  await world.engine.apply(config)
  for (let i = 0; i < 12; i++)
    await world.post(
      '/default/b',
      event({ 'ce-id': `${i % 3}-${Math.floor(i / 3)}`, 'ce-partitionkey': `k${i % 3}` }),
    )
  await world.until(2)
  await world.restart(config)
  await world.settled('uid-slow')
  // Each event's last attempt, in order: within a key they are as they were sent.
  const last = new Map(
    world.sent
      .filter(({ url }) => url === 'http://slow/')
      .map(({ headers }, at) => [headers['ce-id'] ?? '', at] as const),
  )
  for (const key of [0, 1, 2]) {
    const times = [0, 1, 2, 3].map((n) => last.get(`${key}-${n}`) ?? -1)
    assert.deepEqual(
      times,
      times.toSorted((a, b) => a - b),
      `key ${key}: ${times.join()}`,
    )
  }
  assert.equal(last.size, 12)
})

test('a Trigger that is made again begins with what comes next; one that is changed goes on', async () => {
  await using world = await World.create()
  const down = new SendError('connection refused')
  world.answers.set('http://t/', [down])
  const delivery = { retry: 100, backoff: { policy: 'linear', delayMs: 60_000 } } as const
  await world.engine.apply(broker(trigger('t', { delivery })))
  await world.post('/default/b', event({ 'ce-id': 'old' }))
  await world.until(2)
  const moved = trigger('t', { subscriber: { url: 'http://new/' }, delivery })
  await world.engine.apply(broker(moved))
  await world.clock.advance(60_000)
  await world.settled('uid-t')
  assert.equal(world.sent.at(-1)?.url, 'http://new/')
  await world.engine.apply(broker({ ...moved, uid: 'uid-again' }))
  await world.post('/default/b', event({ 'ce-id': 'next' }))
  await world.settled('uid-again')
  assert.equal(world.sent.at(-1)?.headers['ce-id'], 'next')
  assert.equal(world.sent.filter(({ headers }) => headers['ce-id'] === 'next').length, 1)
})

test('a Broker that is deleted with a backlog lets go of all of it, under way or waiting', async () => {
  await using world = await World.create()
  world.answers.set('http://t/', [new SendError('connection refused')])
  const delivery = { retry: 100, backoff: { policy: 'linear', delayMs: 60_000 } } as const
  await world.engine.apply(broker(trigger('t', { delivery })))
  for (let i = 0; i < 50; i++) await world.post('/default/b', event({ 'ce-id': `${i}` }))
  await world.until(50)
  await world.engine.apply({ brokerHosts: [], channels: [] })
  const sent = world.sent.length
  assert.deepEqual(await readdir(world.directory), [])
  await world.clock.advance(3_600_000)
  assert.equal(world.sent.length, sent)
})

test('circles of channels, Brokers and answers end, and the last event is a dead letter', async () => {
  await using world = await World.create()
  const host = (name: string) => `${name}-kn-channel.default.svc.cluster.local`
  const channel = (name: string, to: string, reply?: string): ChannelConfig => ({
    uid: `uid-${name}`,
    kind: 'Channel',
    namespace: 'default',
    name,
    hosts: [host(name)],
    subscriptions: [
      {
        ...trigger(`${name}-sub`, { kind: 'Subscription', subscriber: { url: to } }),
        reply: { url: reply ?? 'http://nobody/' },
      },
    ],
  })
  for (const each of [brokers, host('self'), host('answered'), host('a')]) world.hosts.add(each)
  world.answers.set('http://echo/', [{ headers: Object.entries(event()) }])
  const { channels } = broker(trigger('round', { subscriber: { url: `http://${host('a')}/` } }))
  await world.engine.apply({
    brokerHosts: [brokers],
    channels: [
      ...channels,
      channel('self', `http://${host('self')}/`),
      channel('answered', 'http://echo/', `http://${host('answered')}/`),
      channel('a', `http://${brokers}/default/b`),
    ],
  })
  for (const name of ['self', 'answered', 'a']) {
    const old = event({ 'knative-ebb-hops': '250' })
    assert.equal((await world.post('/', old, '', { host: host(name) })).status, 202)
  }
  const buried = () =>
    world.engine.channels.reduce((sum, { deadLetters }) => sum + deadLetters.count, 0)
  while (buried() < 3) {
    await diskAtRest()
    await world.clock.advance(10)
  }
  const newest = (uid: string) => world.engine.channel(uid)?.events.newest
  assert.deepEqual(
    ['self', 'answered'].map((name) => newest(`uid-${name}`)),
    [6, 6],
  )
  assert.equal((newest('uid-a') ?? 0) + (newest('uid-b') ?? 0), 6)
})

test('metrics stay as they should be, whatever types senders make up', async () => {
  await using world = await World.create()
  await world.engine.apply(broker(trigger('t')))
  for (let i = 0; i < 100; i++)
    await world.post('/default/b', event({ 'ce-type': `quoted" \\ ${'x'.repeat(i)}` }))
  await world.settled('uid-t')
  const { body } = await world.post('/metrics', {}, '', { method: 'GET' })
  const line = /^(#.*|[a-z_]+(\{([a-z_]+="([^"\\]|\\["\\])*",?)*\})? \d+(\.\d+)?(e-?\d+)?)$/
  for (const each of body.trimEnd().split('\n')) assert.match(each, line)
  const counts = body.match(/^kn_eventing_dispatch_duration_seconds_count.*$/gm) ?? []
  assert.ok(counts.length > 60 && counts.length < 70, `${counts.length} series`)
  const sum = counts.reduce((all, each) => all + Number(each.split(' ').at(-1)), 0)
  assert.equal(sum, 100)
})

test('what was changed while the engine was away holds when it is back', async () => {
  await using world = await World.create()
  const down = new SendError('connection refused')
  for (const name of ['stays', 'goes']) world.answers.set(`http://${name}/`, [down])
  const delivery = { retry: 100, backoff: { policy: 'linear', delayMs: 60_000 } } as const
  const before = broker(trigger('stays', { delivery }), trigger('goes', { delivery }))
  const channels = before.channels.flatMap((each) => [each, { ...each, uid: 'uid-c', name: 'c' }])
  await world.engine.apply({ ...before, channels })
  await world.post('/default/b', event({ 'ce-id': 'old' }))
  await world.until(4)
  await world.restart(
    broker(
      trigger('stays', { subscriber: { url: 'http://elsewhere/' } }),
      trigger('comes', { subscriber: { url: 'http://new/' } }),
    ),
  )
  await world.post('/default/b', event({ 'ce-id': 'next' }))
  await world.clock.advance(60_000)
  await world.settled('uid-stays')
  await world.settled('uid-comes')
  const ids = (url: string) =>
    world.sent.filter((each) => each.url === url).map(({ headers }) => headers['ce-id'])
  assert.deepEqual(new Set(ids('http://elsewhere/')), new Set(['old', 'next']))
  assert.deepEqual(ids('http://new/'), ['next'])
  assert.deepEqual([...(world.engine.channel('uid-b')?.events.subscriptions() ?? [])].toSorted(), [
    'uid-comes',
    'uid-stays',
  ])
  assert.deepEqual(await readdir(world.directory), ['uid-b'])
})

test('many subscribers that hang take no more memory than a few, and hold up nobody', async () => {
  // Also where one event is more than the share of each.
  for (const limit of [1 << 20, 1]) {
    await using world = await World.create({ memory: new EventMemory(limit) })
    const hanging = Array.from({ length: 20 }, (_, i) => trigger(`hangs-${i}`))
    for (const { subscriber } of hanging) world.answers.set(subscriber?.url ?? '', ['silent'])
    await world.engine.apply(broker(...hanging, trigger('well')))
    const size = 16 << 10
    for (let id = 1; id <= 100; id++)
      await world.post('/default/b', event({ 'ce-id': `${id}` }), Buffer.alloc(size))
    await world.settled('uid-well')
    const underWay = world.sent.filter(({ url }) => url !== 'http://well/')
    // Each has its share, and the one it began with.
    assert.ok(underWay.length >= hanging.length)
    assert.ok(underWay.length * size < 2 * limit + hanging.length * size, `${underWay.length}`)
    assert.equal(world.sent.length - underWay.length, 100)
  }
})

test('what the dead-letter sink refuses for good is kept, with the reason of the subscriber', async () => {
  await using world = await World.create()
  world.answers.set('http://t/', [{ status: 418 }])
  world.answers.set('http://dead/', [{ status: 400 }])
  await world.engine.apply(broker(trigger('t', { deadLetter: { url: 'http://dead/' } })))
  await world.post('/default/b', event({ 'ce-id': 'refused' }))
  await world.settled('uid-t')
  const kept: unknown[] = []
  for await (const { reason, stored } of world.engine.channel('uid-b')?.deadLetters.list() ?? [])
    kept.push([
      stored.event.attributes['id'],
      reason['knativeerrorcode'],
      reason['knativeerrordest'],
    ])
  assert.deepEqual(kept, [['refused', '418', 'http://t/']])
})

test('events that can not be read wait until they can, and that is told', async () => {
  const disk = new ForgetfulDisk(seededRandom(1), () => 0)
  const told: string[] = []
  const log = jsonLog(
    (line) => void told.push(line),
    'info',
    () => 0,
  )
  await using world = await World.create({ disk, log })
  const config = broker(trigger('t', { start: 'earliest' }))
  await world.engine.apply(broker())
  for (const id of ['1', '2']) await world.post('/default/b', event({ 'ce-id': id }))
  // A new engine has nothing in memory.
  const closing = world.engine[Symbol.asyncDispose]()
  await world.clock.advance(10_000)
  await closing
  await world.restart(broker())
  disk.refuse = (operation) => (operation === 'read' ? 'EIO' : undefined)
  await world.engine.apply(config)
  while (told.length === 0) await diskAtRest()
  assert.match(told[0] ?? '', /can not be read.*default\/b.*EIO/)
  assert.equal(world.sent.length, 0)
  const [warning, ...others] = world.engine.warnings
  assert.deepEqual(
    [warning?.kind, warning?.name, warning?.reason, others],
    ['Trigger', 't', 'EventsUnreadable', []],
  )
  assert.match(warning?.message ?? '', /the log of Broker default\/b can not be read: EIO/)
  disk.refuse = () => undefined
  await world.settled('uid-t')
  assert.deepEqual(world.engine.warnings, [])
  assert.deepEqual(
    world.sent.map(({ headers }) => headers['ce-id']),
    ['1', '2'],
  )
})
