/**
 * One log's life from a seed, on a disk that forgets what was not synced and fails at random: whatever is acknowledged
 * stays, whatever a subscription has not settled comes again, and no number is given twice.
 */
import assert from 'node:assert/strict'
import { randomInt, seededRandom, type Random } from '../../lib/random.ts'
import { settle, SimClock } from '../../testing/sim-clock.ts'
import type { Subscription } from './event-log.ts'
import { ForgetfulDisk } from './forgetful-disk.fixture.ts'
import { openSegmentLog, type SegmentLog } from './segment-log.ts'

const names = ['a', 'b/c.d', 'e']

interface Known {
  /** Sequences from here on are its own. */
  readonly from: number
  readonly settled: Set<number>
}

/** What happens to one log from a seed, and what must hold of it. */
class Story {
  readonly random: Random
  readonly clock = new SimClock()
  disk: ForgetfulDisk
  /** Of what was acknowledged. */
  readonly kept = new Map<number, string>()
  readonly known = new Map<string, Known>()
  #events = 0

  constructor(seed: number) {
    this.random = seededRandom(seed)
    this.disk = new ForgetfulDisk(this.random, () => this.clock.now())
  }

  chance(share: number): boolean {
    return this.random.next() < share
  }

  open(): Promise<SegmentLog> {
    const { disk, clock } = this
    return openSegmentLog({
      directory: '/data/channels/x/events',
      disk,
      clock,
      segmentBytes: 1500,
      maxBytes: 6000,
    })
  }

  /** One life of the log, until its process is killed or the machine loses power. */
  async live(): Promise<void> {
    const log = await this.open()
    await this.check(log)
    if (this.chance(0.5)) this.#failAtRandom()
    const open = new Map<string, Subscription>()
    await this.#subscribe(log, open, 'a')
    for (let step = randomInt(this.random, 40); step > 0; step--) await this.#step(log, open)
    this.disk = this.chance(0.5) ? this.disk.cutPower() : this.disk.kill()
    await settle(8)
  }

  #failAtRandom(): void {
    const share = this.chance(0.5) ? 0.05 : 0.4
    const code = this.chance(0.5) ? 'ENOSPC' : 'EIO'
    const some = this.random.next()
    this.disk.refuse = (operation) => {
      if (operation === 'read' || operation === 'list' || operation === 'open') return undefined
      if (some < 0.3 && operation !== 'sync') return undefined
      if (some > 0.7 && operation !== 'syncFolder' && operation !== 'create') return undefined
      return this.chance(share) ? code : undefined
    }
  }

  async #step(log: SegmentLog, open: Map<string, Subscription>): Promise<void> {
    const what = this.random.next()
    if (what < 0.5) this.#append(log, 1 + randomInt(this.random, 4))
    else if (what < 0.6) await this.#subscribe(log, open)
    else if (what < 0.8) await this.#take(open)
    else if (what < 0.85) this.disk.refuse = () => undefined
    else if (what < 0.9) await log.retain().catch(() => {})
    else await settle(randomInt(this.random, 8))
    if (this.chance(0.3)) await this.clock.advance(randomInt(this.random, 5))
  }

  #append(log: SegmentLog, count: number): void {
    for (let i = 0; i < count; i++) {
      const text = `${++this.#events} ${'x'.repeat(randomInt(this.random, this.chance(0.1) ? 3000 : 200))}`
      log.append(Buffer.from(text)).then(
        (sequence) => {
          assert.equal(this.kept.get(sequence), undefined, `${sequence} is given twice`)
          this.kept.set(sequence, text)
        },
        () => {},
      )
    }
  }

  async #subscribe(
    log: SegmentLog,
    open: Map<string, Subscription>,
    name = names[randomInt(this.random, names.length)] ?? '',
  ): Promise<void> {
    const before = open.get(name)
    if (before && this.chance(0.5)) return
    if (before) {
      open.delete(name)
      await before[Symbol.asyncDispose]()
      return
    }
    const subscription = await log.subscribe(name).catch(() => undefined)
    if (!subscription) return
    open.set(name, subscription)
    if (!this.known.has(name))
      this.known.set(name, { from: subscription.floor, settled: new Set() })
  }

  async #take(open: Map<string, Subscription>): Promise<void> {
    const [name, subscription] = [...open][randomInt(this.random, open.size)] ?? []
    if (name === undefined || subscription === undefined) return
    const stop = new AbortController()
    const taking = subscription.take(1 + randomInt(this.random, 5), stop.signal).catch(() => [])
    await settle(8)
    stop.abort()
    for (const { sequence, payload } of await taking) {
      const kept = this.kept.get(sequence)
      if (kept !== undefined) assert.equal(Buffer.from(payload).toString(), kept)
      if (this.chance(0.2)) continue
      // Before its call: from then on it may be gone.
      this.known.get(name)?.settled.add(sequence)
      subscription.settle(sequence)
    }
  }

  /** After a crash, on a disk that is well again. */
  async check(log: SegmentLog): Promise<void> {
    const found = new Map<number, string>()
    for await (const { sequence, payload } of log.read())
      found.set(sequence, Buffer.from(payload).toString())
    for (const [name, { from, settled }] of this.known) {
      assert.ok(log.subscriptions().includes(name), `subscription ${name} is forgotten`)
      const wanted = [...this.kept].filter(([each]) => each >= from && !settled.has(each))
      const subscription = await log.subscribe(name)
      for (const [sequence, text] of wanted) {
        assert.equal(subscription.isSettled(sequence), false, `${name} does not get ${sequence}`)
        assert.equal(found.get(sequence), text, `${sequence} is lost, ${name} has not settled it`)
      }
      await subscription[Symbol.asyncDispose]()
    }
    // What everybody has settled retention may take; what is there is what was sent.
    for (const [sequence, text] of found) assert.equal(text, this.kept.get(sequence) ?? text)
  }

  /** The disk is well, and everybody gets the rest. */
  async end(): Promise<void> {
    const log = await this.open()
    await this.check(log)
    assert.ok((await log.append(Buffer.from('last'))) > Math.max(0, ...this.kept.keys()))
    for (const name of this.known.keys()) {
      const subscription = await log.subscribe(name)
      while (subscription.backlog > 0)
        for (const { sequence } of await subscription.take(9)) subscription.settle(sequence)
      assert.equal(subscription.floor, log.newest + 1)
    }
    await log[Symbol.asyncDispose]()
  }
}

/** Answers how many events were acknowledged. Throws what did not hold, with the seed. */
export async function surviveCrashes(seed: number, crashes: number): Promise<number> {
  const story = new Story(seed)
  try {
    for (let life = 0; life < crashes; life++) await story.live()
    await story.end()
    return story.kept.size
  } catch (error) {
    throw new Error(`seed ${seed}`, { cause: error })
  }
}
