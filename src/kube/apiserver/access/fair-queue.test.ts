/** Seats are shared by users, not by requests. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { settle, SimClock } from '../../../testing/sim-clock.ts'
import { FairQueue, type FairQueueOptions, type Leave, type Refusal } from './fair-queue.ts'

const queueOf = (clock: SimClock, options: Partial<FairQueueOptions> = {}) =>
  new FairQueue({
    clock,
    seats: 4,
    lineSeats: 3,
    lineCapacity: 1000,
    capacity: 2000,
    patienceMs: 30_000,
    ...options,
  })

/** Requests that each take `ms` of simulated time once seated; notes the order in which they end. */
function simulate(clock: SimClock, queue: FairQueue) {
  const ended: { readonly who: string; readonly atMs: number }[] = []
  const refused: Refusal[] = []
  const ask = async (who: string, ms: number, width = 1, agent = ''): Promise<void> => {
    const outcome: Leave | Refusal = await queue.enter(who, agent, width)
    if (typeof outcome === 'string') return void refused.push(outcome)
    clock.after(ms, () => {
      outcome()
      ended.push({ who: who + agent, atMs: clock.monotonic() })
    })
  }
  return { ended, refused, ask }
}

test('one who comes once does not wait for the thousand of another', async () => {
  const clock = new SimClock()
  const { ended, ask } = simulate(clock, queueOf(clock))
  for (let i = 0; i < 900; i++) void ask('noisy', 10)
  await clock.advance(15)
  const cameMs = clock.monotonic()
  void ask('quiet', 10)
  await clock.advance(30)
  const quiet = ended.find(({ who }) => who === 'quiet')
  assert.ok(quiet && quiet.atMs - cameMs <= 20, JSON.stringify(quiet))
})

test('two floods get equal shares, counted in seats', async () => {
  const clock = new SimClock()
  const { ended, ask } = simulate(clock, queueOf(clock, { seats: 8, lineSeats: 8 }))
  for (let i = 0; i < 400; i++) {
    void ask('wide', 10, 4)
    void ask('narrow', 10)
    void ask('narrow', 10)
  }
  await clock.advance(1_000)
  const of = (name: string) => ended.filter(({ who }) => who === name).length
  const [wide, narrow] = [of('wide') * 4, of('narrow')]
  assert.ok(Math.abs(wide - narrow) < 0.2 * narrow, `${wide} seats against ${narrow}`)
})

test('the programs of one user take turns', async () => {
  const clock = new SimClock()
  const { ended, ask } = simulate(clock, queueOf(clock, { seats: 1, lineSeats: 1 }))
  for (let i = 0; i < 100; i++) void ask('admin', 10, 1, ' script')
  void ask('admin', 10, 1, ' kubectl')
  await clock.advance(40)
  assert.ok(ended.some(({ who }) => who === 'admin kubectl'))
})

test('a full line is refused at once, a patient one in the end; leaving makes room', async () => {
  const clock = new SimClock()
  const queue = queueOf(clock, { seats: 1, lineSeats: 1, lineCapacity: 2 })
  const leave = queue.enter('a', '')
  assert.equal(typeof leave, 'function')
  const stop = new AbortController()
  const second = queue.enter('a', '', 1, stop.signal)
  const third = queue.enter('a', '')
  assert.equal(queue.enter('a', ''), 'full')
  stop.abort()
  assert.equal(await second, 'gone')
  assert.equal(queue.waiting, 1)
  await clock.advance(30_000)
  assert.equal(await third, 'late')
  if (typeof leave === 'function') leave()
  await settle()
  assert.deepEqual([queue.seated, queue.waiting], [0, 0])
})

test('whatever comes and goes, seats are never oversold and all come back', async () => {
  const step = fc.record({
    who: fc.constantFrom('a', 'b', 'c', 'd'),
    agent: fc.constantFrom('x', 'y'),
    width: fc.integer({ min: 0, max: 9 }),
    ms: fc.integer({ min: 0, max: 50 }),
    pauseMs: fc.integer({ min: 0, max: 20 }),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const clock = new SimClock()
      const queue = queueOf(clock, { lineCapacity: 5, capacity: 12, patienceMs: 100 })
      const { ask, ended, refused } = simulate(clock, queue)
      for (const { who, agent, width, ms, pauseMs } of steps) {
        void ask(who, ms, width, agent)
        assert.ok(queue.seated <= 4 && queue.waiting <= 12)
        if (pauseMs > 10) await clock.advance(pauseMs)
      }
      await clock.advance(10_000)
      await settle()
      assert.equal(ended.length + refused.length, steps.length)
      assert.deepEqual([queue.seated, queue.waiting], [0, 0])
    }),
    { numRuns: 60 },
  )
})
