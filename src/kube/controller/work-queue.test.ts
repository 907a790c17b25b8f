import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { silent } from '../../lib/log.ts'
import { settle, SimClock } from '../../testing/sim-clock.ts'
import { createWorkQueue } from './work-queue.ts'

test('a key waits once; urgent work begins before the next turn of the event loop, other work in it', async () => {
  const done: string[] = []
  const common = { clock: new SimClock(), log: silent }
  await using queue = createWorkQueue({ ...common, work: async (key) => void done.push(key) })
  queue.add('a')
  queue.add('b')
  queue.add('a', true)
  queue.add('c')
  queue.add('d', true)
  queue.add('d', true)
  assert.deepEqual(done, [])
  await Promise.resolve()
  assert.deepEqual(done, ['a', 'd'])
  await settle()
  assert.deepEqual(done, ['a', 'd', 'b', 'c'])
})

test('a key added while it is worked on comes again afterwards, never beside itself', async () => {
  const clock = new SimClock()
  let running = 0
  let runs = 0
  let finish = () => {}
  await using queue = createWorkQueue({
    clock,
    log: silent,
    work: async () => {
      assert.equal(++running, 1)
      runs++
      await new Promise<void>((resolve) => (finish = resolve))
      running--
    },
  })
  queue.add('a')
  await settle()
  queue.add('a')
  queue.add('a')
  await settle()
  assert.equal(runs, 1)
  finish()
  await settle()
  assert.equal(runs, 2)
  finish()
})

test('retries double from 5 ms to 1,000 s; forget starts over', async () => {
  const clock = new SimClock()
  const at: number[] = []
  const start = clock.now()
  await using queue = createWorkQueue({
    clock,
    log: silent,
    work: async (key) => {
      at.push(clock.now() - start)
      queue.retry(key)
    },
  })
  queue.add('a')
  await clock.advance(5 + 10 + 20 + 40)
  assert.deepEqual(at, [0, 5, 15, 35, 75])
  queue.forget('a')
  await clock.advance(80)
  assert.deepEqual(at.slice(5), [155])
  await clock.advance(5)
  assert.deepEqual(at.slice(6), [160])
  for (let i = 0; i < 30; i++) await clock.advance(1_000_000)
  const last = at.slice(-2)
  assert.equal((last[1] ?? 0) - (last[0] ?? 0), 1_000_000)
})

test('the earlier of two alarms stands', async () => {
  const clock = new SimClock()
  let runs = 0
  await using queue = createWorkQueue({ clock, log: silent, work: async () => void runs++ })
  queue.addAfter('a', 50)
  queue.addAfter('a', 100)
  queue.addAfter('a', 20)
  await clock.advance(20)
  assert.equal(runs, 1)
  await clock.advance(200)
  assert.equal(runs, 1)
})

test('keys dropped by a full queue are made up for, each at least once', async () => {
  const everything = Array.from({ length: 1000 }, (_, i) => `k${i}`)
  const seen = new Set<string>()
  await using queue = createWorkQueue({
    clock: new SimClock(),
    log: silent,
    capacity: 10,
    all: () => everything,
    work: async (key) => {
      assert.ok(queue.length <= 10)
      seen.add(key)
    },
  })
  for (const key of everything) queue.add(key)
  await queue.idle()
  assert.equal(seen.size, 1000)
})

test('a long queue lets the event loop breathe', async () => {
  let done = 0
  await using queue = createWorkQueue({
    clock: new SimClock(),
    log: silent,
    work: async () => void done++,
  })
  for (let i = 0; i < 1000; i++) queue.add(`k${i}`)
  await new Promise((resolve) => setImmediate(resolve))
  assert.ok(done > 0 && done < 1000, `${done} done in one turn`)
  await queue.idle()
  assert.equal(done, 1000)
})

test('property: no two workers on one key, at most `concurrency`, every add is followed by a run', async () => {
  const step = fc.record({ key: fc.constantFrom('a', 'b', 'c', 'd'), pause: fc.boolean() })
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 40 }),
      fc.integer({ min: 1, max: 3 }),
      async (steps, concurrency) => {
        const running = new Set<string>()
        let tick = 0
        const started = new Map<string, number>()
        const added = new Map<string, number>()
        await using queue = createWorkQueue({
          clock: new SimClock(),
          log: silent,
          concurrency,
          work: async (key) => {
            assert.ok(!running.has(key))
            running.add(key)
            assert.ok(running.size <= concurrency)
            started.set(key, tick++)
            await settle(1)
            running.delete(key)
          },
        })
        for (const { key, pause } of steps) {
          added.set(key, tick++)
          queue.add(key)
          if (pause) await settle(1)
        }
        await queue.idle()
        for (const [key, when] of added) assert.ok((started.get(key) ?? -1) > when)
      },
    ),
    { numRuns: 50 },
  )
})
