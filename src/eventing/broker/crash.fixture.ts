/**
 * Whole lives of the engine from a seed, in memory: on a disk that forgets what was not synced, fills up and fails, beside
 * subscribers that refuse, hang and answer, while its configuration changes and the clock of the machine jumps. In the end
 * each event that was acknowledged, and each answer, was taken or is a dead letter with its reason.
 */
import assert from 'node:assert/strict'
import { parseRequestHead } from '../../lib/http1/head.ts'
import { silent } from '../../lib/log.ts'
import { randomInt, seededRandom, type Random } from '../../lib/random.ts'
import { settle, SimClock } from '../../testing/sim-clock.ts'
import { ForgetfulDisk } from '../log/forgetful-disk.fixture.ts'
import type { Answer, Sender } from './delivery/sender.ts'
import { Engine } from './engine.ts'
import { brokers, event, trigger } from './engine.fixture.ts'
import type { EngineConfig, SubscriptionConfig } from './feed.ts'

export interface CrashTally {
  readonly acknowledged: number
  readonly refused: number
  readonly taken: number
  readonly deadLetters: number
  readonly duplicates: number
}

const delivery = {
  retry: 4,
  backoff: { policy: 'exponential', delayMs: 10 },
  timeoutMs: 500,
} as const
const hour = 3_600_000

const triggers: readonly SubscriptionConfig[] = [
  trigger('plain', { delivery, deadLetter: { url: 'http://dead/plain' } }),
  trigger('ordered', { delivery, order: 'ordered' }),
].map((each) => ({ ...each, filter: { filters: [{ exact: { type: 'test' } }] } }))
const replies: SubscriptionConfig = {
  ...trigger('replies', { delivery, deadLetter: { url: 'http://dead/replies' } }),
  filter: { filters: [{ exact: { type: 'answer' } }] },
}

class Story {
  readonly #random: Random
  #disk: ForgetfulDisk
  #clock = new SimClock()
  #skewMs = 0
  #life = 0
  #engine: Engine
  #wellBehaved = false
  #sent = 0
  refused = 0
  readonly acknowledged = new Set<string>()
  readonly taken = new Map<string, number>()
  readonly buried = new Set<string>()
  /** Ids of events whose last attempt was answered with another event. */
  readonly #answered = new Set<string>()
  /** The last number that this engine sent `ordered`, by key. */
  #lastOfKey = new Map<string, number>()
  /** What did not hold. */
  readonly #faults: string[] = []

  constructor(seed: number) {
    this.#random = seededRandom(seed)
    this.#disk = new ForgetfulDisk(this.#random, () => this.#now())
    this.#engine = this.#start()
  }

  #now(): number {
    return this.#clock.now() + this.#skewMs
  }

  #chance(share: number): boolean {
    return this.#random.next() < share
  }

  #start(): Engine {
    this.#lastOfKey = new Map()
    const life = ++this.#life
    const inner = this.#clock
    const clock = {
      now: () => inner.now() + this.#skewMs,
      monotonic: () => inner.monotonic(),
      after: (delayMs: number, fn: () => void) => inner.after(delayMs, fn),
    }
    const sender: Sender = {
      send: (to, message, { signal, timeoutMs = 500 } = {}) =>
        new Promise((resolve, reject) => {
          // What an engine that is dead sends, or hears, counts for nothing.
          if (life !== this.#life) return
          const headers = Object.fromEntries(message.headers)
          const body = message.body.toString()
          const answer = this.#answer(to.url, headers, body)
          const end = (then: () => void) => {
            cancel()
            if (life === this.#life) then()
          }
          const lateMs = answer === 'silent' ? timeoutMs : randomInt(this.#random, 20)
          const cancel = inner.after(lateMs, () =>
            end(() =>
              typeof answer === 'string'
                ? reject(new Error(answer))
                : resolve({ status: 200, headers: [], body: Buffer.alloc(0), ...answer }),
            ),
          )
          signal?.addEventListener('abort', () => end(() => reject(new Error('given up'))))
        }),
      [Symbol.dispose]() {},
    }
    return new Engine({
      directory: '/data/channels',
      disk: this.#disk,
      clock,
      log: silent,
      sender,
      journal: () => {},
      segmentBytes: 2000,
    })
  }

  #answer(
    url: string,
    headers: Readonly<Record<string, string>>,
    body: string,
  ): Partial<Answer> | string {
    const { host, pathname } = new URL(url)
    const id = headers['ce-id'] ?? ''
    if (body !== `data of ${id}`) this.#faults.push(`${url} ${id} came as ${body.slice(0, 50)}`)
    const mood = this.#wellBehaved ? 1 : this.#random.next()
    if (host === 'dead') {
      if (mood < 0.2) return { status: mood < 0.1 ? 400 : 503 }
      this.buried.add(`${pathname.slice(1)} ${id}`)
      if (headers['ce-knativeerrordest'] === undefined) this.#faults.push(`${id} without a reason`)
      return {}
    }
    const key = `${host} ${id}`
    if (host === 'ordered') {
      const partition = headers['ce-partitionkey'] ?? ''
      const number = Number(id.slice(1))
      if (number < (this.#lastOfKey.get(partition) ?? 0))
        this.#faults.push(`${key} is out of order`)
      this.#lastOfKey.set(partition, number)
    }
    this.#answered.delete(id)
    if (mood < 0.1) return { status: 500 }
    if (mood < 0.14) return { status: 400 }
    if (mood < 0.17) return 'connection reset'
    if (mood < 0.2) return 'silent'
    this.taken.set(key, (this.taken.get(key) ?? 0) + 1)
    if (mood < 0.25) return 'connection reset'
    if (host !== 'plain' || this.#chance(0.7)) return {}
    this.#answered.add(id)
    const answered = event({ 'ce-id': `answer-${id}`, 'ce-type': 'answer' })
    return { headers: Object.entries(answered), body: Buffer.from(`data of answer-${id}`) }
  }

  #config(): EngineConfig {
    const passing = this.#chance(0.3) ? [trigger(`passing-${randomInt(this.#random, 3)}`)] : []
    return {
      brokerHosts: [brokers],
      channels: [
        {
          uid: 'uid-b',
          kind: 'Broker',
          namespace: 'default',
          name: 'b',
          retention: { maxBytes: randomInt(this.#random, 3) * 4000, maxAgeMs: 10 * hour },
          subscriptions: [
            ...triggers,
            replies,
            ...passing.map((each) => ({ ...each, subscriber: { url: 'http://passing/' } })),
          ],
        },
      ],
    }
  }

  /** From the start of an engine until its end. */
  async live(): Promise<void> {
    this.#engine = this.#start()
    await this.#engine.apply(this.#config())
    if (this.#chance(0.4)) this.#failAtRandom()
    for (let step = randomInt(this.#random, 60); step > 0; step--) this.#step()
    for (let step = randomInt(this.#random, 60); step > 0; step--) {
      this.#step()
      if (this.#chance(0.4)) await settle(randomInt(this.#random, 6))
      else await this.#clock.advance(randomInt(this.#random, this.#chance(0.1) ? 700 : 20))
    }
    this.#disk = this.#chance(0.5) ? this.#disk.cutPower() : this.#disk.kill()
    this.#life++
    // Its time stands still from now on.
    this.#clock = new SimClock(this.#clock.now())
    await settle(8)
  }

  #step(): void {
    const what = this.#random.next()
    if (what < 0.6) this.#post()
    else if (what < 0.63) void this.#engine.apply(this.#config())
    else if (what < 0.65) this.#disk.refuse = () => undefined
    else if (what < 0.66) this.#skewMs = (randomInt(this.#random, 9) - 4) * hour
  }

  #failAtRandom(): void {
    const code = this.#chance(0.5) ? 'ENOSPC' : 'EIO'
    const share = this.#chance(0.5) ? 0.1 : 0.7
    this.#disk.refuse = (operation) => {
      const isWrite = operation !== 'read' && operation !== 'list' && operation !== 'open'
      return (isWrite || code === 'EIO') && this.#chance(isWrite ? share : 0.02) ? code : undefined
    }
  }

  #post(): void {
    const life = this.#life
    const id = `e${++this.#sent}`
    const headers = event({ 'ce-id': id, 'ce-type': 'test', 'ce-partitionkey': 'k' })
    const lines = Object.entries({ host: brokers, ...headers }).map(([k, v]) => `${k}: ${v}\r\n`)
    const head = Buffer.from(`POST /default/b HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1')
    const answer = this.#engine.handle({
      head: parseRequestHead(head, 0, head.length, 100),
      body: Buffer.from(`data of ${id}`),
    })
    void Promise.resolve(answer).then(({ status }) => {
      if (life !== this.#life) return
      if (status === 202) this.acknowledged.add(id)
      else if (status === 503) this.refused++
      else this.#faults.push(`${id} was answered ${status}`)
    })
  }

  /** Everybody is well, and takes the rest. */
  async end(): Promise<CrashTally> {
    this.#wellBehaved = true
    this.#engine = this.#start()
    assert.deepEqual(await this.#engine.apply(this.#config()), {})
    const backlog = () => this.#engine.stats.reduce((sum, each) => sum + each.backlog, 0)
    for (let i = 0; backlog() > 0; i++) {
      assert.ok(i < 5000, `still to be delivered: ${JSON.stringify(this.#engine.stats)}`)
      await settle(4)
      await this.#clock.advance(50)
    }
    const parked = new Set<string>()
    for await (const letter of this.#engine.channel('uid-b')?.deadLetters.list() ?? []) {
      const key = `${letter.subscription.replace('uid-', '')} ${String(letter.stored.event.attributes['id'])}`
      if (letter.reason['knativeerrordest'] === undefined)
        this.#faults.push(`${key} without a reason`)
      parked.add(key)
    }
    const isDone = (key: string) => this.taken.has(key) || this.buried.has(key) || parked.has(key)
    const wanted = [
      ...[...this.acknowledged].flatMap((id) => [`plain ${id}`, `ordered ${id}`]),
      // One that could not be kept, on a full disk, is told of with the event it answers.
      ...[...this.#answered]
        .filter((id) => !this.buried.has(`plain ${id}`) && !parked.has(`plain ${id}`))
        .map((id) => `replies answer-${id}`),
    ]
    assert.deepEqual([...wanted.filter((key) => !isDone(key)), ...this.#faults], [])
    const closing = this.#engine[Symbol.asyncDispose]()
    await this.#clock.advance(10_000)
    await closing
    return {
      acknowledged: this.acknowledged.size,
      refused: this.refused,
      taken: this.taken.size,
      deadLetters: this.buried.size + parked.size,
      duplicates: [...this.taken.values()].reduce((sum, times) => sum + times - 1, 0),
    }
  }
}

/** Throws what did not hold, with the seed. */
export async function surviveEngineCrashes(seed: number, crashes: number): Promise<CrashTally> {
  const story = new Story(seed)
  try {
    for (let life = 0; life < crashes; life++) await story.live()
    return await story.end()
  } catch (error) {
    throw new Error(`seed ${seed}`, { cause: error })
  }
}
