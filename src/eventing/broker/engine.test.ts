/** Brokers and Channels end to end, in memory but for their logs: events in, subscribers out, in simulated time. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { diskAtRest } from '../../testing/disk.ts'
import { broker, brokers, event, trigger, World } from './engine.fixture.ts'
import type { ChannelConfig, SubscriptionConfig } from './feed.ts'
import { SendError, type Sender } from './delivery/sender.ts'

test('the ingress answers as Knative does, in its order', async () => {
  await using world = await World.create()
  await world.engine.apply(broker())
  const status = async (...args: Parameters<World['post']>) => (await world.post(...args)).status
  assert.equal(await status('/default/b', event()), 202)
  assert.equal(await status('/default/b/', event()), 202)
  assert.equal(await status('/', event()), 404)
  assert.equal(await status('/default/b', event(), '', { host: `${brokers}.` }), 202)
  assert.equal(await status('/default/b', event(), '', { host: `${brokers}.:80` }), 202)
  assert.equal(await status('/default', event()), 400)
  assert.equal(await status('/default/b/c', event()), 400)
  assert.equal(await status('/default/nope', event()), 404)
  assert.equal(await status('/default/nope', {}), 400)
  assert.equal(await status('/default/b', event({ 'ce-specversion': '2.0' })), 400)
  assert.equal(await status('/default/b', event({ 'ce-knativebrokerttl': '1' })), 400)
  assert.equal(await status('/default/b', {}, '', { method: 'GET' }), 405)
  assert.equal(await status('/default/b', { 'user-agent': 'kube-probe/1.30' }), 200)
  assert.equal(await status('/', event(), '', { host: 'unknown.default.svc' }), 404)
  // A host of the user's own, which an HTTPRoute leads here.
  assert.equal(await status('/default/b', event(), '', { host: 'events.example.com' }), 202)
  assert.equal(await status('/default/nope', event(), '', { host: 'events.example.com' }), 404)
  const options = await world.post('/default/b', {}, '', { method: 'OPTIONS' })
  assert.equal(options.status, 200)
  assert.deepEqual(options.headers, [
    ['Allow', 'POST, OPTIONS'],
    ['WebHook-Allowed-Origin', '*'],
    ['WebHook-Allowed-Rate', '*'],
  ])
  const why = await world.post('/default/b', { ...event(), 'ce-source': '' })
  assert.deepEqual([why.status, why.body.split(';')[0]], [400, 'source: missing'])
})

test('an event reaches the Triggers that want it, as it was, with what Knative adds', async () => {
  await using world = await World.create()
  const none = { filter: { attributes: { type: 'other' } } }
  await world.engine.apply(broker(trigger('all'), trigger('none', { filter: none })))
  const sent: Record<string, string> = event({
    'content-type': 'application/json',
    'ce-mine': 'a b',
    'x-request-id': 'r1',
    'knative-foo': 'bar',
    authorization: 'secret',
  })
  await world.post('/default/b', sent, '{"a": 1}')
  await world.settled('uid-none')
  const [first, ...others] = await world.until(1)
  assert.equal(others.length, 0)
  const { 'ce-knativearrivaltime': arrived, traceparent = '', ...rest } = first?.headers ?? {}
  assert.match(traceparent, /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/)
  assert.match(arrived ?? '', /^\d{4}-.*T.*\.\d{9}Z$/)
  assert.deepEqual([first?.url, first?.body], ['http://all/', '{"a": 1}'])
  const { authorization: _, ...expected } = sent
  assert.deepEqual(rest, { ...expected, prefer: 'reply', 'kn-namespace': 'default' })
})

test('the trace of a sender goes on, in either notation', async () => {
  await using world = await World.create()
  await world.engine.apply(broker(trigger('all')))
  const [id, span] = ['4bf92f3577b34da6a3ce929d0e0e4736', '00f067aa0ba902b7']
  const b3 = { 'x-b3-traceid': id, 'x-b3-spanid': span, 'x-b3-sampled': '1' }
  await world.post('/default/b', event({ traceparent: `00-${id}-${span}-01` }))
  await world.post('/default/b', event(b3))
  for (const { headers } of await world.until(2))
    assert.match(headers['traceparent'] ?? '', new RegExp(`^00-${id}-[0-9a-f]{16}-01$`))
  assert.equal(world.sent[1]?.headers['x-b3-spanid'], span)
})

test('an answer that is an event goes back into the Broker, with one round less to live', async () => {
  await using world = await World.create()
  world.answers.set('http://ask/', [
    {
      headers: Object.entries(event({ 'ce-type': 'answer', 'ce-id': 'a1' })),
      body: Buffer.from('x'),
    },
  ])
  await world.engine.apply(
    broker(
      trigger('ask', { filter: { filter: { attributes: { type: 'test.event' } } } }),
      trigger('listen', { filter: { filters: [{ exact: { type: 'answer' } }] } }),
    ),
  )
  await world.post('/default/b', event({ 'ce-knativebrokerttl': '9' }))
  const [, answer] = await world.until(2)
  assert.equal(answer?.url, 'http://listen/')
  assert.deepEqual([answer?.headers['ce-id'], answer?.body], ['a1', 'x'])
  assert.equal(answer?.headers['ce-knativebrokerttl'], undefined)
})

test('a loop of answers ends when the time to live is used up, and the last one is a dead letter', async () => {
  await using world = await World.create()
  world.answers.set('http://echo/', [{ headers: Object.entries(event()) }])
  const echo = trigger('echo', { deadLetter: { url: 'http://dead/' } })
  const address = 'http://broker-ingress/default/b'
  const channels = broker(echo).channels.map((each) => ({ ...each, address }))
  await world.engine.apply({ ...broker(), channels })
  await world.post('/default/b', event({ 'ce-knativebrokerttl': '4' }))
  const sent = await world.until(4)
  await world.settled('uid-echo')
  assert.deepEqual(
    sent.map(({ url }) => url),
    ['http://echo/', 'http://echo/', 'http://echo/', 'http://dead/'],
  )
  const { 'ce-knativeerrordest': called, 'ce-knativeerrorcode': code } = sent[3]?.headers ?? {}
  assert.deepEqual([called, code], [address, '400'])
})

test('retries keep their times, and the dead-letter sink hears why', async () => {
  await using world = await World.create()
  world.answers.set('http://sick/', [{ status: 503, body: Buffer.from('no') }])
  await world.engine.apply(
    broker(
      trigger('sick', {
        deadLetter: { url: 'http://dead/' },
        delivery: { retry: 2, backoff: { policy: 'exponential', delayMs: 1000 } },
      }),
    ),
  )
  const startMs = world.clock.now()
  await world.post('/default/b', event())
  await world.until(4)
  assert.deepEqual(
    world.steps
      .filter(({ kind }) => kind === 'attempt')
      .map((step) => [step.url, step.status, Math.round((step.atMs - startMs) / 1000)]),
    [
      ['http://sick/', 503, 0],
      ['http://sick/', 503, 1],
      ['http://sick/', 503, 3],
      ['http://dead/', 200, 3],
    ],
  )
  const dead = world.sent[3]?.headers ?? {}
  assert.equal(dead['ce-knativeerrordest'], 'http://sick/')
  assert.equal(dead['ce-knativeerrorcode'], '503')
  assert.equal(dead['ce-knativeerrordata'], Buffer.from('no').toString('base64'))
  assert.equal(dead['ce-knativebrokerttl'], '255')
  assert.equal(dead['prefer'], undefined)
})

test('the status is a number where the dead-letter sink is told in JSON', async () => {
  await using world = await World.create()
  world.answers.set('http://sick/', [{ status: 400, body: Buffer.from('no') }])
  const deadLetter = { url: 'http://dead/' }
  await world.engine.apply(
    broker(trigger('sick', { deadLetter, delivery: { retry: 0, format: 'json' } })),
  )
  await world.post('/default/b', event())
  const [, dead] = await world.until(2)
  const { knativeerrorcode, knativeerrordata } = JSON.parse(dead?.body ?? '{}') as Record<
    string,
    unknown
  >
  assert.deepEqual([knativeerrorcode, knativeerrordata], [400, 'bm8='])
})

test("the time to live is the Brokers' own: Triggers take it away, channels leave it as it is", async () => {
  await using world = await World.create()
  const channel: ChannelConfig = {
    uid: 'uid-c',
    kind: 'Channel',
    namespace: 'default',
    name: 'c',
    hosts: ['c'],
    subscriptions: [{ ...trigger('sub'), kind: 'Subscription', reply: { url: 'http://reply/' } }],
  }
  await world.engine.apply({ ...broker(), channels: [channel] })
  const sent = event({ 'ce-knativebrokerttl': '7', 'ce-knativearrivaltime': 'then' })
  await world.post('/', sent, '', { host: 'c' })
  const [first] = await world.until(1)
  assert.equal(first?.headers['ce-knativebrokerttl'], '7')
  assert.equal(first?.headers['ce-knativearrivaltime'], 'then')
})

test('a time to live that no Integer can hold is none', async () => {
  await using world = await World.create()
  const deadLetter = { url: 'http://dead/' }
  world.answers.set('http://sick/', [{ status: 400 }])
  await world.engine.apply(broker(trigger('sick', { deadLetter })))
  await world.post('/default/b', event({ 'ce-knativebrokerttl': '99999999999' }))
  const [, dead] = await world.until(2)
  assert.equal(dead?.headers['ce-knativebrokerttl'], '255')
})

test('an answer in a coding that nobody would be told of can not be used', async () => {
  await using world = await World.create()
  const headers = [...Object.entries(event({ 'ce-type': 'answer' })), ['content-encoding', 'gzip']]
  const coded = headers.map(([name = '', value = '']) => [name, value] as const)
  world.answers.set('http://ask/', [{ headers: coded, body: Buffer.from('x') }])
  const filter = { filter: { attributes: { type: 'test.event' } } }
  await world.engine.apply(broker(trigger('ask', { filter })))
  await world.post('/default/b', event())
  await world.settled('uid-ask')
  assert.match(world.steps.find(({ kind }) => kind === 'attempt')?.error ?? '', /gzip/)
})

test('an answer that is too long to be read counts by its status, where it is no event', async () => {
  const long = { cut: true, body: Buffer.from('page') } as const
  const reply = Object.entries(event())
  await using world = await World.create()
  world.answers.set('http://page/', [long])
  world.answers.set('http://refuses/', [{ ...long, status: 400 }])
  world.answers.set('http://event/', [{ ...long, headers: reply }])
  const subscription = (name: string): SubscriptionConfig => ({
    ...trigger(name, { delivery: { retry: 2 } }),
    kind: 'Subscription',
    reply: { url: 'http://reply/' },
  })
  const subscriptions = ['page', 'refuses', 'event'].map(subscription)
  const channel = { uid: 'uid-c', namespace: 'default', name: 'c', hosts: ['c'], subscriptions }
  await world.engine.apply({ ...broker(), channels: [{ ...channel, kind: 'Channel' }] })
  await world.post('/', event(), '', { host: 'c' })
  for (const { uid } of subscriptions) await world.settled(uid)
  const calls = (name: string) => world.sent.filter(({ url }) => url === `http://${name}/`).length
  assert.deepEqual(['page', 'refuses', 'event', 'reply'].map(calls), [1, 1, 3, 0])
})

test('what nobody takes is kept with its reason', async () => {
  await using world = await World.create()
  world.answers.set('http://gone/', [new SendError('connection refused by gone')])
  await world.engine.apply(broker(trigger('gone')))
  await world.post('/default/b', event(), 'kept')
  await world.settled('uid-gone')
  await world.restart(broker(trigger('gone')))
  const letters = []
  for await (const letter of world.engine.channel('uid-b')?.deadLetters.list() ?? [])
    letters.push(letter)
  assert.equal(letters.length, 1)
  assert.equal(letters[0]?.stored.event.data?.toString(), 'kept')
  assert.deepEqual(letters[0]?.reason, {
    knativeerrordest: 'http://gone/',
    knativeerrorcode: '500',
    knativeerrordata: Buffer.from('dispatch error: connection refused by gone').toString('base64'),
  })
})

test('after a restart an event goes on where its retries were', async () => {
  await using world = await World.create()
  world.answers.set('http://later/', [{ status: 500 }, { status: 500 }, { status: 200 }])
  const config = broker(
    trigger('later', { delivery: { retry: 5, backoff: { policy: 'linear', delayMs: 60_000 } } }),
  )
  await world.engine.apply(config)
  await world.post('/default/b', event())
  await world.until(2)
  await world.clock.advance(30_000)
  await world.restart(config)
  await world.clock.advance(20_000)
  assert.equal(world.sent.length, 2)
  await world.clock.advance(11_000)
  await world.until(3)
  await world.settled('uid-later')
})

test('an answer that is no event is a failure for a Trigger and nothing to a Subscription', async () => {
  await using world = await World.create()
  world.answers.set('http://chatty/', [{ body: Buffer.from('hello') }])
  const channel: ChannelConfig = {
    uid: 'uid-c',
    kind: 'Channel',
    namespace: 'default',
    name: 'c',
    hosts: ['c-kn-channel.default.svc.cluster.local'],
    subscriptions: [
      trigger('sub', { kind: 'Subscription', subscriber: { url: 'http://chatty/' } }),
    ],
  }
  const { channels } = broker(
    trigger('strict', {
      subscriber: { url: 'http://chatty/' },
      deadLetter: { url: 'http://dead/' },
      delivery: { retry: 1 },
    }),
  )
  await world.engine.apply({ brokerHosts: [brokers], channels: [...channels, channel] })
  await world.post('/default/b', event())
  const sent = await world.until(3)
  assert.deepEqual(
    sent.map(({ url }) => url),
    ['http://chatty/', 'http://chatty/', 'http://dead/'],
  )
  assert.equal(sent[2]?.headers['ce-knativeerrorcode'], undefined)
  const host = 'c-kn-channel.default.svc.cluster.local'
  assert.equal((await world.post('/', event(), '', { host })).status, 202)
  assert.equal((await world.post('/x', event(), '', { host })).status, 400)
  await world.settled('uid-sub')
  assert.equal(world.sent.length, 4)
  assert.equal(world.sent[3]?.headers['ce-knativearrivaltime'], undefined)
})

test('first attempts are in order; ordered keys also through their retries', async () => {
  await using world = await World.create()
  world.answers.set('http://slow/', [{ status: 500 }, { status: 500 }, {}])
  const slow = trigger('slow', {
    order: 'ordered',
    delivery: { retry: 5, backoff: { policy: 'exponential', delayMs: 1000 } },
  })
  await world.engine.apply(broker(slow, trigger('plain')))
  for (const [id, partitionkey] of [
    ['1', 'a'],
    ['2', 'a'],
    ['3', 'b'],
  ] as const)
    await world.post('/default/b', event({ 'ce-id': id, 'ce-partitionkey': partitionkey }))
  await world.settled('uid-slow')
  await world.settled('uid-plain')
  const ids = (url: string) =>
    world.sent.filter((each) => each.url === url).map(({ headers }) => headers['ce-id'])
  assert.deepEqual(ids('http://plain/'), ['1', '2', '3'])
  const slowIds = ids('http://slow/')
  assert.ok(slowIds.lastIndexOf('1') < slowIds.indexOf('2'), slowIds.join())
  assert.ok(slowIds.indexOf('3') < slowIds.indexOf('2'), slowIds.join())
})

test('an event that is tried again at once lets others in between', async () => {
  await using world = await World.create()
  world.answers.set('http://t/', [...Array.from({ length: 4 }, () => ({ status: 500 })), {}])
  await world.engine.apply(broker(trigger('t', { delivery: { retry: 9 } })))
  for (const id of ['bad', 'good', 'next']) await world.post('/default/b', event({ 'ce-id': id }))
  await world.settled('uid-t')
  const ids = world.sent.map(({ headers }) => headers['ce-id'])
  // Four failures in all, and nobody has to wait until one event has had its own.
  assert.ok(ids.indexOf('good') <= 2, ids.join())
  assert.equal(ids.length, 7)
})

test('a key that is stuck for hours holds up no other, however many events it has', async () => {
  await using world = await World.create()
  const delivery = { retry: 9, backoff: { policy: 'linear', delayMs: 3_600_000 } } as const
  world.answers.set('http://t/', [{ status: 500 }, { status: 500 }, {}])
  await world.engine.apply(broker(trigger('t', { order: 'ordered', delivery })))
  const key = (id: string, partitionkey: string) =>
    world.post('/default/b', event({ 'ce-id': id, 'ce-partitionkey': partitionkey }))
  await key('0', 'stuck')
  await world.until(2)
  await Promise.all(Array.from({ length: 1000 }, (_, i) => key(`${i + 1}`, 'stuck')))
  await key('other', 'free')
  await world.until(3)
  assert.equal(world.sent[2]?.headers['ce-id'], 'other')
  await world.clock.advance(3_600_000)
  await world.settled('uid-t')
  assert.deepEqual(
    world.sent.slice(3).map(({ headers }) => headers['ce-id']),
    Array.from({ length: 1001 }, (_, i) => String(i)),
  )
})

test('a subscription that is removed drops its backlog, a channel its events', async () => {
  await using world = await World.create()
  const { subscriber: _, ...unresolved } = trigger('t')
  await world.engine.apply(broker(unresolved))
  await world.post('/default/b', event())
  assert.equal(world.engine.stats[0]?.backlog, 1)
  await world.engine.apply(broker())
  await world.engine.apply(broker(trigger('t')))
  assert.equal(world.engine.stats[0]?.backlog, 0)
  await world.post('/default/b', event({ 'ce-id': '2' }))
  const [only] = await world.until(1)
  assert.equal(only?.headers['ce-id'], '2')
  await world.engine.apply({ brokerHosts: [brokers], channels: [] })
  assert.equal((await world.post('/default/b', event())).status, 404)
})

test('a Trigger that is removed while its subscriber hangs holds up nothing else', async () => {
  await using world = await World.create()
  for (const name of ['a', 'b']) world.answers.set(`http://${name}/`, ['silent'])
  await world.engine.apply(broker(trigger('a'), trigger('b')))
  await world.post('/default/b', event())
  await world.until(2)
  // Time stands still: nothing here waits for the end of what hangs.
  await world.engine.apply(broker(trigger('next')))
  await world.post('/default/b', event({ 'ce-id': 'next' }))
  while (world.sent.length < 3) await new Promise((resolve) => setImmediate(resolve))
  assert.equal(world.sent.at(-1)?.url, 'http://next/')
  const { events } = world.engine.channel('uid-b') ?? {}
  assert.deepEqual(events?.subscriptions(), ['uid-a', 'uid-b', 'uid-next'])
  await world.clock.advance(5_000)
  while (events.subscriptions().length > 1) await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(events.subscriptions(), ['uid-next'])
})

test('a subscriber that is gone for hours gets its events when it is back, each retry at its time', async () => {
  await using world = await World.create()
  const down = new SendError('connection refused by work')
  world.answers.set('http://work/', [...Array.from({ length: 9 }, () => down), { status: 202 }])
  const delivery = { retry: 10, backoff: { policy: 'exponential', delayMs: 60_000 } } as const
  await world.engine.apply(broker(trigger('work', { delivery })))
  const startMs = world.clock.now()
  await world.post('/default/b', event({ 'ce-id': 'first' }))
  await world.until(1)
  for (let i = 0; world.engine.stats[0]?.backlog !== 0; i++) {
    assert.ok(i < 3000, JSON.stringify(world.engine.stats))
    await diskAtRest()
    await world.clock.advance(60_000)
  }
  const hours = (world.clock.now() - startMs) / 3_600_000
  // 1 + 2 + 4 … + 256 minutes.
  assert.ok(hours > 8.5 && hours < 9, `${hours} hours`)
  assert.equal(world.sent.length, 10)
  assert.equal(world.engine.channel('uid-b')?.deadLetters.count, 0)
})

test('a clock that was set back does not make an event wait longer than its back-off', async () => {
  await using world = await World.create()
  world.answers.set('http://work/', [{ status: 503 }, { status: 202 }])
  const delivery = { retry: 2, backoff: { policy: 'exponential', delayMs: 1000 } } as const
  const config = broker(trigger('work', { delivery }))
  await world.engine.apply(config)
  await world.post('/default/b', event())
  await world.until(1)
  await world.clock.advance(200)
  world.skewMs = -365 * 24 * 3_600_000
  await world.restart(config)
  // Within seconds, not a year.
  await world.until(2)
})

test('metrics count deliveries by status, and what waits', async () => {
  await using world = await World.create()
  await world.engine.apply(broker(trigger('work')))
  await world.post('/default/b', event())
  await world.settled('uid-work')
  const { status, body } = await world.post('/metrics', {}, '', { method: 'GET' })
  assert.equal(status, 200)
  const own = 'broker="b",namespace="default",trigger="work",trigger_namespace="default"'
  const type = 'cloudevents_type="test.event"'
  for (const line of [
    `kn_eventing_dispatch_duration_seconds_count{${own},http_response_status_code="200",${type}} 1`,
    `kn_eventing_process_duration_seconds_count{${own},${type}} 1`,
    `ebb_events_delivered_total{${own}} 1`,
    `ebb_events_backlog{${own}} 0`,
    'ebb_events_accepted_total{broker="b",namespace="default"} 1',
  ])
    assert.ok(body.includes(`${line}\n`), `${line} in ${body}`)
})

test('a filter that can not be read makes the events of its own Trigger wait, and says so', async () => {
  await using world = await World.create()
  const deep = { cesql: `${'('.repeat(2000)}TRUE${')'.repeat(2000)}` }
  const problems = await world.engine.apply(
    broker(trigger('odd', { filter: { filters: [deep] } }), trigger('work')),
  )
  assert.match(problems['uid-odd'] ?? '', /filter can not be read/)
  await world.post('/default/b', event())
  await world.settled('uid-work')
  await world.engine.apply(broker(trigger('odd'), trigger('work')))
  await world.settled('uid-odd')
  assert.deepEqual(world.sent.map(({ url }) => url).toSorted(), ['http://odd/', 'http://work/'])
})

test('a change of configuration leaves what was read ahead, also what waits for its turn', async () => {
  const held = Promise.withResolvers<void>()
  const sent: string[] = []
  const send: Sender['send'] = async (to, { headers }) => {
    sent.push(`${new URL(to.url).host} ${String(new Map(headers).get('ce-id'))}`)
    await held.promise
    return { status: 200, headers: [], body: Buffer.alloc(0) }
  }
  await using world = await World.create({ sender: { send, [Symbol.dispose]() {} } })
  const triggers = (retry: number) =>
    broker(
      trigger('plain', { delivery: { retry } }),
      trigger('ordered', { delivery: { retry }, order: 'ordered', parallelism: 1 }),
      trigger('awaited', { delivery: { retry }, parallelism: 1, awaited: ['answers'] }),
    )
  await world.engine.apply(triggers(0))
  const ids = ['1', '2', '3', '4']
  for (const id of ids)
    await world.post(
      '/default/b',
      event({ 'ce-id': id, 'ce-partitionkey': id < '3' ? 'k' : 'l', 'ce-answers': 'x' }),
    )
  for (let i = 0; sent.length < 3; i++) {
    assert.ok(i < 2000, sent.join())
    await diskAtRest()
  }
  await diskAtRest()
  await world.engine.apply(triggers(1))
  held.resolve()
  for (const name of ['plain', 'ordered', 'awaited']) {
    await world.settled(`uid-${name}`)
    const came = sent.filter((each) => each.startsWith(`${name} `))
    assert.deepEqual(
      came,
      ids.map((id) => `${name} ${id}`),
    )
  }
})

test('a filter that is changed holds for events that were read ahead too', async () => {
  await using world = await World.create()
  world.answers.set('http://work/', [{ status: 503 }, { status: 202 }])
  const delivery = { retry: 2, backoff: { policy: 'linear', delayMs: 60_000 } } as const
  const ordered = { delivery, order: 'ordered' } as const
  await world.engine.apply(broker(trigger('work', ordered)))
  for (const id of ['1', '2', '3'])
    await world.post('/default/b', event({ 'ce-id': id, 'ce-partitionkey': 'k' }))
  await world.until(1)
  const filter = { filters: [{ not: { exact: { id: '2' } } }] }
  await world.engine.apply(broker(trigger('work', { ...ordered, filter })))
  await world.until(3)
  await world.settled('uid-work')
  assert.deepEqual(
    world.sent.map(({ headers }) => headers['ce-id']),
    ['1', '1', '3'],
  )
})
