/** Brokers and Channels in memory but for their logs: what their subscribers answer is scripted, and time is moved. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silent } from '../../lib/log.ts'
import { diskAtRest } from '../../testing/disk.ts'
import { SimClock } from '../../testing/sim-clock.ts'
import { parseRequestHead } from '../../lib/http1/head.ts'
import type { Headers } from '../cloudevents/http-binding.ts'
import { Engine, type EngineOptions } from './engine.ts'
import type { EngineConfig, SubscriptionConfig } from './feed.ts'
import type { Step } from './following/journal.ts'
import type { Answer, Sender } from './delivery/sender.ts'
import { EventSpans } from './following/spans.ts'

/** 'silent' = none, until the engine gives it up. */
export type Reply = Partial<Answer> | Error | 'silent'
export interface Sent {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export class World implements AsyncDisposable {
  readonly clock = new SimClock()
  /** How wrong the machine's clock is. */
  skewMs = 0
  readonly sent: Sent[] = []
  readonly steps: Step[] = []
  /** Lines of spans, where the configuration asks for them. */
  readonly spans: string[] = []
  /** Hosts whose events come back to the engine. */
  readonly hosts = new Set<string>()
  /** What each URL answers, one after the other, the last for ever. */
  readonly answers = new Map<string, Reply[]>()
  readonly directory: string
  engine: Engine

  readonly #more: Partial<EngineOptions>

  private constructor(directory: string, more: Partial<EngineOptions>) {
    this.directory = directory
    this.#more = more
    this.engine = this.#start()
  }

  static async create(more: Partial<EngineOptions> = {}): Promise<World> {
    return new World(await mkdtemp(join(tmpdir(), 'ebb-engine-')), more)
  }

  #start(): Engine {
    const send: Sender['send'] = async (to, message, options) => {
      this.sent.push({
        url: to.url,
        headers: Object.fromEntries(message.headers),
        body: message.body.toString(),
      })
      const { host, pathname } = new URL(to.url)
      if (this.hosts.has(host)) {
        const sent = Object.fromEntries(message.headers)
        const { status } = await this.post(pathname, sent, message.body, { host })
        return { status, headers: [], body: Buffer.alloc(0) }
      }
      const answers = this.answers.get(to.url) ?? [{}]
      const answer = answers.length > 1 ? answers.shift() : answers[0]
      if (answer instanceof Error) throw answer
      if (answer === 'silent')
        return await new Promise((_, reject) =>
          options?.signal?.addEventListener('abort', () => reject(new Error('given up'))),
        )
      return { status: 200, headers: [], body: Buffer.alloc(0), ...answer }
    }
    const sender: Sender = { send, [Symbol.dispose]() {} }
    const journal = (step: Step) => void this.steps.push(step)
    const { directory } = this
    const clock = {
      now: () => this.clock.now() + this.skewMs,
      monotonic: () => this.clock.monotonic(),
      after: (delayMs: number, fn: () => void) => this.clock.after(delayMs, fn),
    }
    const spans = new EventSpans({
      clock,
      log: silent,
      write: (line) => void this.spans.push(line),
    })
    return new Engine({ directory, clock, log: silent, sender, journal, spans, ...this.#more })
  }

  async restart(config: EngineConfig): Promise<void> {
    await this.engine[Symbol.asyncDispose]()
    this.engine = this.#start()
    await this.engine.apply(config)
  }

  async post(
    path: string,
    headers: Record<string, string> = {},
    body: string | Buffer = '',
    { host = brokers, method = 'POST' } = {},
  ): Promise<{ status: number; headers: Headers; body: string }> {
    const lines = Object.entries({ host, ...headers }).map(([k, v]) => `${k}: ${v}\r\n`)
    const head = Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1')
    const answer = await this.engine.handle({
      head: parseRequestHead(head, 0, head.length, 100),
      body: Buffer.from(body),
    })
    return { headers: [], ...answer, body: String(answer.body ?? '') }
  }

  /** Resolves when `count` requests have gone out in all; time moves as it must. */
  async until(count: number): Promise<readonly Sent[]> {
    for (let i = 0; this.sent.length < count; i++) {
      assert.ok(i < 2000, `${this.sent.length} of ${count} requests: ${JSON.stringify(this.sent)}`)
      await this.#moveOn()
    }
    return this.sent
  }

  async settled(uid: string): Promise<void> {
    for (let i = 0; ; i++) {
      const stats = this.engine.stats.find((each) => each.uid === uid)
      if (stats?.backlog === 0) return
      assert.ok(i < 2000, JSON.stringify(stats))
      await this.#moveOn()
    }
  }

  /** Time stands still while the disk works: a slow one must not let schedules run away. */
  async #moveOn(): Promise<void> {
    await diskAtRest()
    await this.clock.advance(10)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closing = this.engine[Symbol.asyncDispose]()
    await this.clock.advance(10_000)
    await closing
    await rm(this.directory, { recursive: true, force: true })
  }
}

export const brokers = 'broker-ingress.knative-eventing.svc.cluster.local'
export const event = (more: Record<string, string> = {}) => ({
  'ce-specversion': '1.0',
  'ce-id': '1',
  'ce-source': '/test',
  'ce-type': 'test.event',
  ...more,
})
export const trigger = (
  name: string,
  more: Partial<SubscriptionConfig> = {},
): SubscriptionConfig => ({
  uid: `uid-${name}`,
  kind: 'Trigger',
  namespace: 'default',
  name,
  subscriber: { url: `http://${name}/` },
  reply: 'channel',
  delivery: { retry: 0 },
  ...more,
})
export const broker = (...subscriptions: readonly SubscriptionConfig[]): EngineConfig => ({
  brokerHosts: [brokers],
  channels: [{ uid: 'uid-b', kind: 'Broker', namespace: 'default', name: 'b', subscriptions }],
})
