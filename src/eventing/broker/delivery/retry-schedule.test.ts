/** When and how often an event is tried, in simulated time, against Knative's DeliverySpec to the millisecond. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { diskAtRest } from '../../../testing/disk.ts'
import { broker, event, trigger, World } from '../engine.fixture.ts'
import type { DeliveryPolicy } from '../feed.ts'
import type { Answer } from './sender.ts'
import { SendError } from './sender.ts'

/** Milliseconds between one attempt and the next at a subscriber that answers so, until there are no more. */
async function waits(
  delivery: DeliveryPolicy,
  ...answers: readonly (Partial<Answer> | Error)[]
): Promise<readonly number[]> {
  await using world = await World.create()
  world.answers.set('http://work/', [...answers])
  await world.engine.apply(
    broker(trigger('work', { delivery, deadLetter: { url: 'http://dead/' } })),
  )
  await world.post('/default/b', event())
  for (let i = 0; world.engine.stats[0]?.backlog !== 0; i++) {
    assert.ok(i < 5000, JSON.stringify(world.engine.stats))
    await diskAtRest()
    await world.clock.advance(world.clock.nextInMs ?? 0)
  }
  const at = world.steps
    .filter(({ kind, phase }) => kind === 'attempt' && phase === 'subscriber')
    .map(({ atMs }) => atMs)
  return at.slice(1).map((ms, i) => ms - (at[i] ?? 0))
}

const down = new SendError('connection refused')
const seconds = (...wanted: readonly number[]) => wanted.map((each) => each * 1000)

test('exponential: delay, twice, four times; linear: nothing, delay, twice; N retries are N + 1 attempts', async () => {
  const delayMs = 1000
  const exponential = { policy: 'exponential', delayMs } as const
  const linear = { policy: 'linear', delayMs } as const
  assert.deepEqual(await waits({ retry: 5, backoff: exponential }, down), seconds(1, 2, 4, 8, 16))
  assert.deepEqual(await waits({ retry: 5, backoff: linear }, down), seconds(0, 1, 2, 3, 4))
  assert.deepEqual(await waits({ retry: 3 }, down), [0, 0, 0])
  assert.deepEqual(await waits({ retry: 0, backoff: linear }, down), [])
  assert.deepEqual(await waits({ retry: 4, backoff: exponential }, down, down, {}), seconds(1, 2))
})

test('doubling nothing for ever is nothing', async () => {
  const many = await waits({ retry: 1100, backoff: { policy: 'exponential', delayMs: 0 } }, down)
  assert.deepEqual([many.length, Math.max(...many)], [1100, 0])
})

test('which statuses are tried again', async () => {
  const again = [404, 408, 409, 429, 500, 501, 502, 503, 504, 505, 599]
  const final = [
    300, 301, 304, 400, 401, 402, 403, 405, 406, 410, 411, 412, 413, 414, 415, 418, 421, 422, 425,
    426, 428, 431, 451, 499,
  ]
  for (const status of again)
    assert.deepEqual(await waits({ retry: 1 }, { status }), [0], `${status}`)
  for (const status of final)
    assert.deepEqual(await waits({ retry: 1 }, { status }), [], `${status}`)
  for (const status of [200, 201, 202, 204, 299])
    assert.deepEqual(await waits({ retry: 1 }, { status }), [], `${status}`)
})

test('Retry-After: for 429 and 503, where it is asked for, never less than the back-off nor more than the limit', async () => {
  const asked = (status: number, value: string) => ({
    status,
    headers: [['retry-after', value]] as const,
  })
  const backoff = { policy: 'linear', delayMs: 3000 } as const
  const to = (status: number, value: string, more: Partial<DeliveryPolicy> = {}) =>
    waits({ retry: 2, retryAfterMaxMs: 10_000, ...more }, asked(status, value))
  assert.deepEqual(await to(429, '5'), seconds(5, 5))
  assert.deepEqual(await to(503, '5'), seconds(5, 5))
  assert.deepEqual(await to(500, '5'), [0, 0])
  assert.deepEqual(await to(404, '5'), [0, 0])
  assert.deepEqual(await to(503, '60'), seconds(10, 10))
  assert.deepEqual(await to(503, '99999999999999999999'), seconds(10, 10))
  assert.deepEqual(await to(503, '2', { backoff }), seconds(2, 3))
  for (const bad of ['soon', '', '-5', '1.5', '5 seconds', '0x10', 'Infinity', 'NaN'])
    assert.deepEqual(await to(503, bad), [0, 0], bad)
  assert.deepEqual(await waits({ retry: 2 }, asked(503, '5')), [0, 0])
  assert.deepEqual(await waits({ retry: 2, retryAfterMaxMs: 0 }, asked(503, '5')), [0, 0])
})

test('Retry-After as a date is a moment on the clock of people', async () => {
  const delivery = { retry: 1, retryAfterMaxMs: 3_600_000 }
  await using world = await World.create()
  const inMs = (ms: number) => new Date(world.clock.now() + ms).toUTCString()
  for (const [value, wanted] of [
    [inMs(60_000), 60_000],
    [inMs(-60_000), 0],
    [inMs(7_200_000), 3_600_000],
  ] as const) {
    const [waited = -1] = await waits(delivery, { status: 503, headers: [['retry-after', value]] })
    // A date has whole seconds.
    assert.ok(waited <= wanted && waited > wanted - 1000, `${value}: ${waited}, not ${wanted}`)
  }
})
