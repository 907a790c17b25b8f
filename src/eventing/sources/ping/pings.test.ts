import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { Clock } from '../../../lib/clock.ts'
import { silent } from '../../../lib/log.ts'
import { seededRandom } from '../../../lib/random.ts'
import { SimClock } from '../../../testing/sim-clock.ts'
import type { PingConfig } from '../../broker/feed.ts'
import type { Message } from '../../cloudevents/http-binding.ts'
import { SendError, type Sender } from '../../broker/delivery/sender.ts'
import { Pings } from './pings.ts'
import { loadTicks } from './ticks.ts'

/** A clock whose wall time can be set, as a person or NTP may. */
class SetClock implements Clock {
  readonly sim: SimClock
  offsetMs = 0
  constructor(startMs: number) {
    this.sim = new SimClock(startMs)
  }
  now = () => this.sim.now() + this.offsetMs
  monotonic = () => this.sim.monotonic()
  after = (delayMs: number, fn: () => void) => this.sim.after(delayMs, fn)
}

interface Sent {
  readonly url: string
  readonly atMs: number
  readonly message: Message
}

function world(startMs: number, answer: (count: number) => number | Error = () => 202) {
  const clock = new SetClock(startMs)
  const sent: Sent[] = []
  const sender: Sender = {
    async send({ url }, message) {
      sent.push({ url, atMs: clock.now(), message })
      const status = answer(sent.length)
      if (status instanceof Error) throw status
      return { status, headers: [], body: Buffer.alloc(0) }
    },
    [Symbol.dispose]() {},
  }
  let ids = 0
  const make = () =>
    new Pings({ clock, random: seededRandom(7), log: silent, sender, newId: () => `id-${++ids}` })
  /** The seconds of the ticks, each of which is sent within half a second. */
  const ticks = () => sent.map(({ atMs }) => new Date(Math.floor(atMs / 1000) * 1000).toISOString())
  return { clock, sent, make, ticks }
}

const config = (schedule: string, more: Partial<PingConfig> = {}): PingConfig => ({
  uid: 'u1',
  namespace: 'default',
  name: 'ping',
  schedule,
  attributes: { type: 'dev.knative.sources.ping', source: '/s', datacontenttype: 'text/plain' },
  data: Buffer.from('hello').toString('base64'),
  sink: { url: 'http://sink/' },
  ...more,
})

const noon = Date.UTC(2026, 0, 1, 12, 0, 10)
const minuteMs = 60_000
const header = ({ headers }: Message, name: string) => headers.find(([each]) => each === name)?.[1]

describe('pings', () => {
  test('one event a tick, within half a second of it, as Knative sends it', async () => {
    const { clock, sent, make, ticks } = world(noon)
    using pings = make()
    await pings.apply([config('* * * * *')])
    await clock.sim.advance(3 * minuteMs)
    assert.deepEqual(ticks(), [
      '2026-01-01T12:01:00.000Z',
      '2026-01-01T12:02:00.000Z',
      '2026-01-01T12:03:00.000Z',
    ])
    const [first] = sent
    assert.ok(first && first.atMs % 1000 < 500)
    assert.equal(first.message.body.toString(), 'hello')
    assert.equal(header(first.message, 'ce-specversion'), '1.0')
    assert.equal(header(first.message, 'ce-type'), 'dev.knative.sources.ping')
    assert.equal(header(first.message, 'content-type'), 'text/plain')
    assert.equal(header(first.message, 'kn-namespace'), 'default')
    assert.equal(header(first.message, 'ce-time'), '2026-01-01T12:01:00.000Z')
    assert.notEqual(header(first.message, 'ce-id'), undefined)
  })

  test('a new process, or the same configuration again, makes no tick twice', async () => {
    const { clock, make, ticks } = world(noon)
    const first = make()
    await first.apply([config('* * * * *')])
    await clock.sim.advance(50_500)
    await first.apply([config('* * * * *')])
    await clock.sim.advance(100)
    first[Symbol.dispose]()
    using second = make()
    await second.apply([config('* * * * *')])
    await second.apply([config('* * * * *', { sink: { url: 'http://other/' } })])
    await clock.sim.advance(minuteMs)
    assert.deepEqual(ticks(), ['2026-01-01T12:01:00.000Z', '2026-01-01T12:02:00.000Z'])
  })

  test('a clock that jumps ahead leaves ticks out; one that is set back a little repeats none', async () => {
    const { clock, make, ticks } = world(noon)
    using pings = make()
    await pings.apply([config('* * * * *')])
    await clock.sim.advance(minuteMs)
    clock.offsetMs = 3_600_000
    await clock.sim.advance(minuteMs)
    clock.offsetMs -= 90_000
    await clock.sim.advance(3 * minuteMs)
    const seen = ticks()
    assert.equal(new Set(seen).size, seen.length, seen.join(' '))
    assert.equal(seen[0], '2026-01-01T12:01:00.000Z')
    assert.ok(
      seen.every((each, i) => i === 0 || each > (seen[i - 1] ?? '')),
      seen.join(' '),
    )
    assert.ok(seen.filter((each) => each > '2026-01-01T13:00').length >= 2, seen.join(' '))
  })

  test('a clock that is set back for good goes on from its new time', async () => {
    const { clock, make, ticks } = world(noon)
    using pings = make()
    await pings.apply([config('* * * * *')])
    await clock.sim.advance(minuteMs)
    clock.offsetMs = -6 * 3_600_000
    await clock.sim.advance(2 * minuteMs)
    assert.ok(ticks().includes('2026-01-01T06:03:00.000Z'), ticks().join(' '))
  })

  test('a sink that fails is tried five times more, with longer and longer waits', async () => {
    const { clock, sent, make } = world(noon, () => 503)
    using pings = make()
    await pings.apply([config('0 13 * * *')])
    await clock.sim.advance(3_600_000 - 10_000 + 20_000)
    const start = sent[0]?.atMs ?? 0
    assert.deepEqual(
      sent.map(({ atMs }) => atMs - start),
      [0, 100, 300, 700, 1_500, 3_100],
    )
    assert.equal(new Set(sent.map(({ message }) => header(message, 'ce-id'))).size, 1)
    assert.equal(pings.onTheirWay, 0)
  })

  test('what a sink refuses for good is not sent again; a broken connection is', async () => {
    for (const [answer, attempts] of [
      [() => 400, 1],
      [(count: number) => (count === 1 ? new SendError('refused') : 202), 2],
    ] as const) {
      const { clock, sent, make } = world(noon, answer)
      using pings = make()
      await pings.apply([config('0 13 * * *')])
      await clock.sim.advance(3_600_000)
      assert.equal(sent.length, attempts)
    }
  })

  test('what did not reach its sink is told once', async () => {
    const { clock, make } = world(noon, (count) => (count < 3 ? 400 : 202))
    using pings = make()
    await pings.apply([config('* * * * *')])
    await clock.sim.advance(4 * minuteMs)
    const { uid, namespace, name } = config('')
    const lost = { uid, namespace, name, count: 2, reason: 'http://sink/ answered 400' }
    assert.deepEqual(pings.takeLost(), [lost])
    assert.deepEqual(pings.takeLost(), [])
  })

  test('one alarm for a thousand idle sources', async () => {
    const { clock, sent, make } = world(noon)
    using pings = make()
    let alarms = 0
    const after = clock.after
    clock.after = (delayMs, fn) => (alarms++, after(delayMs, fn))
    const many = Array.from({ length: 1_000 }, (_, i) => config('0 0 1 1 *', { uid: `u${i}` }))
    await pings.apply(many)
    await clock.sim.advance(3_600_000)
    assert.equal(sent.length, 0)
    assert.ok(alarms <= 125, `${alarms} alarms in an hour`)
  })

  test('a source that is gone is silent; a schedule that can not be read is said to be so', async () => {
    const { clock, sent, make } = world(noon)
    using pings = make()
    assert.deepEqual(Object.keys(await pings.apply([config('nonsense')])), ['u1'])
    await pings.apply([config('* * * * *')])
    await pings.apply([])
    await clock.sim.advance(2 * minuteMs)
    assert.equal(sent.length, 0)
  })
})

describe('ticks', () => {
  const run = async (schedule: string, zone: string, from: string, count: number) => {
    const next = await loadTicks()
    const found: string[] = []
    for (let at = Date.parse(from), i = 0; i < count; i++) {
      at = next(schedule, zone, at) ?? assert.fail('no tick')
      found.push(new Date(at).toISOString().slice(0, 16))
    }
    return found
  }

  test('the hour that is left out in spring', async () => {
    // 2:30 is not there on March 8th: the tick comes when the gap ends.
    assert.deepEqual(await run('30 2 * * *', 'America/New_York', '2026-03-07T08:00:00Z', 3), [
      '2026-03-08T07:00',
      '2026-03-09T06:30',
      '2026-03-10T06:30',
    ])
  })

  test('the hour that comes twice in autumn', async () => {
    assert.deepEqual(await run('30 1 * * *', 'America/New_York', '2026-10-31T12:00:00Z', 3), [
      '2026-11-01T05:30',
      '2026-11-02T06:30',
      '2026-11-03T06:30',
    ])
    // What runs all the time runs in both.
    assert.deepEqual(await run('*/30 * * * *', 'America/New_York', '2026-11-01T04:45:00Z', 5), [
      '2026-11-01T05:00',
      '2026-11-01T05:30',
      '2026-11-01T06:00',
      '2026-11-01T06:30',
      '2026-11-01T07:00',
    ])
  })

  test('a day that no month has', async () => {
    const next = await loadTicks()
    assert.equal(next('0 0 30 2 *', 'UTC', noon), undefined)
  })

  test('in UTC the next tick is the first second that all fields name', async () => {
    const next = await loadTicks()
    const field = (min: number, max: number) =>
      fc.oneof(
        fc.constant('*'),
        fc.integer({ min, max }).map(String),
        fc.integer({ min: 2, max: 20 }).map((step) => `*/${step}`),
        fc
          .tuple(fc.integer({ min, max }), fc.integer({ min, max }))
          .map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`),
      )
    fc.assert(
      fc.property(
        field(0, 59),
        field(0, 59),
        field(0, 23),
        fc.integer({ min: 0, max: 3 * 365 * 86_400 }),
        (second, minute, hour, offset) => {
          const fromMs = noon + offset * 1_000 + 333
          const found = next(`${second} ${minute} ${hour} * * *`, 'UTC', fromMs)
          assert.equal(found, reference([second, minute, hour], fromMs))
        },
      ),
      { numRuns: 100 },
    )
  })
})

/** Second by second, minute by minute, hour by hour. */
function reference([second, minute, hour]: readonly [string, string, string], fromMs: number) {
  const values = (text: string, max: number) =>
    Array.from({ length: max + 1 }, (_, i) => i).filter((value) => {
      if (text === '*') return true
      if (text.startsWith('*/')) return value % Number(text.slice(2)) === 0
      const [low = 0, high = low] = text.split('-').map(Number)
      return value >= low && value <= high
    })
  const seconds = values(second, 59)
  const minutes = values(minute, 59)
  const hours = values(hour, 23)
  const day = Math.floor(fromMs / 86_400_000) * 86_400_000
  for (let d = 0; ; d++)
    for (const h of hours)
      for (const m of minutes) {
        const start = day + d * 86_400_000 + (h * 60 + m) * 60_000
        if (start + 59_999 <= fromMs) continue
        for (const s of seconds) if (start + s * 1_000 > fromMs) return start + s * 1_000
      }
}
