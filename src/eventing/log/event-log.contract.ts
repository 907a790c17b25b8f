/** What every event log promises, whatever it stands on. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EventLog } from './event-log.ts'

export interface LogUnderTest extends AsyncDisposable {
  /** Opens the same log, again after it was closed. */
  open(): Promise<EventLog>
}

const bytes = (text: string): Buffer => Buffer.from(text)
export const texts = (events: readonly { readonly payload: Uint8Array }[]): readonly string[] =>
  events.map(({ payload }) => Buffer.from(payload).toString())

export async function all(log: EventLog, range = {}): Promise<readonly string[]> {
  const found: string[] = []
  for await (const event of log.read(range)) found.push(...texts([event]))
  return found
}

export function eventLogContract(name: string, create: () => Promise<LogUnderTest>): void {
  const it = (what: string, run: (place: LogUnderTest) => Promise<void>) => {
    void test(`${name}: ${what}`, async () => {
      await using place = await create()
      await run(place)
    })
  }

  it('events are numbered from one, and read again in order after a restart', async (place) => {
    {
      await using log = await place.open()
      assert.equal(log.newest, 0)
      assert.deepEqual(
        await Promise.all(['a', 'b', 'c'].map((t) => log.append(bytes(t)))),
        [1, 2, 3],
      )
      assert.deepEqual(await all(log), ['a', 'b', 'c'])
    }
    await using log = await place.open()
    assert.deepEqual([log.oldest, log.newest], [1, 3])
    assert.equal(await log.append(bytes('d')), 4)
    assert.deepEqual(await all(log, { from: 2, to: 3 }), ['b', 'c'])
    assert.deepEqual(await all(log, { from: 9 }), [])
  })

  it('a new subscription begins where it is told', async (place) => {
    await using log = await place.open()
    for (const each of ['a', 'b']) await log.append(bytes(each))
    await using fresh = await log.subscribe('fresh')
    await using early = await log.subscribe('early', 'earliest')
    await using second = await log.subscribe('second', { sequence: 2 })
    await log.append(bytes('c'))
    assert.deepEqual(texts(await fresh.take(9)), ['c'])
    assert.deepEqual(texts(await early.take(2)), ['a', 'b'])
    assert.deepEqual(texts(await early.take(9)), ['c'])
    assert.deepEqual(texts(await second.take(9)), ['b', 'c'])
    assert.deepEqual([...log.subscriptions()].toSorted(), ['early', 'fresh', 'second'])
  })

  it('what is not settled comes again after a restart, and only that', async (place) => {
    {
      await using log = await place.open()
      await using subscription = await log.subscribe('s')
      for (const each of ['a', 'b', 'c', 'd']) await log.append(bytes(each))
      assert.equal((await subscription.take(3)).length, 3)
      subscription.settle(1)
      subscription.settle(3)
      subscription.defer({ sequence: 2, attempts: 4, notBeforeMs: 1234 })
      assert.deepEqual([subscription.floor, subscription.backlog], [2, 2])
      assert.deepEqual(
        [1, 2, 3, 4].map((each) => subscription.isSettled(each)),
        [true, false, true, false],
      )
    }
    await using log = await place.open()
    await using subscription = await log.subscribe('s', 'earliest')
    assert.deepEqual(subscription.deferred, [{ sequence: 2, attempts: 4, notBeforeMs: 1234 }])
    assert.deepEqual(texts(await subscription.take(9)), ['b', 'd'])
    subscription.settle(2)
    assert.deepEqual([subscription.floor, subscription.deferred], [4, []])
  })

  it('take waits for the next event, and ends when it is told to', async (place) => {
    await using log = await place.open()
    await using subscription = await log.subscribe('s')
    const waiting = subscription.take(5)
    await log.append(bytes('late'))
    assert.deepEqual(texts(await waiting), ['late'])
    const stop = new AbortController()
    const ended = subscription.take(5, stop.signal)
    stop.abort()
    assert.deepEqual(await ended, [])
    const closing = subscription.take(5)
    await subscription[Symbol.asyncDispose]()
    assert.deepEqual(await closing, [])
  })

  it('a subscription that is forgotten begins anew', async (place) => {
    await using log = await place.open()
    const first = await log.subscribe('s')
    await assert.rejects(log.subscribe('s'), /open already/)
    await assert.rejects(log.unsubscribe('s'), /close it first/)
    await first[Symbol.asyncDispose]()
    await log.unsubscribe('s')
    await log.append(bytes('a'))
    await using second = await log.subscribe('s')
    await log.append(bytes('b'))
    assert.deepEqual(texts(await second.take(9)), ['b'])
  })

  it('a subscription that is forgotten is not there after a restart', async (place) => {
    {
      await using log = await place.open()
      for (const name of ['s', 'stays']) await (await log.subscribe(name))[Symbol.asyncDispose]()
      await log.unsubscribe('s')
    }
    await using log = await place.open()
    assert.deepEqual(log.subscriptions(), ['stays'])
  })
}
