/**
 * Emits the events of all PingSources: each at its ticks, each tick once. One alarm for all of them, at the next tick
 * there is; sources with one schedule are looked at together. Lives in the engine's process, so a control plane that is
 * started again neither misses a tick nor makes one twice. Behaviour: Knative's ping adapter (knative.dev/eventing
 * `pkg/adapter/mtping`).
 */
import type { Clock } from '../../../lib/clock.ts'
import type { Log } from '../../../lib/log.ts'
import { randomInt, type Random } from '../../../lib/random.ts'
import type { CloudEvent } from '../../cloudevents/cloud-event.ts'
import type { LostEvents, PingConfig } from '../../broker/feed.ts'
import type { Sender } from '../../broker/delivery/sender.ts'
import { emit } from '../emit.ts'
import { loadTicks, type NextTick } from './ticks.ts'

export interface PingsOptions {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly sender: Sender
  /** A fresh id for an event. */
  readonly newId: () => string
}

/** Sources are spread over so long after their tick. */
const spreadMs = 500
/** A tick that is noticed later than this (the process stood still, the clock was set) is left out. */
const lateMs = 60_000
/** A clock that was set back by less does not repeat ticks; by more, ticks are counted from the new time. */
const setBackMs = 120_000
/** The wall clock is looked at so often, as it may be set at any time. */
const lookMs = 30_000
/** Events of one source on their way at most: a sink that hangs does not gather more. */
const maxOnTheirWay = 64

interface Schedule {
  readonly text: string
  readonly timezone: string | undefined
  readonly pings: Map<string, PingConfig>
  /** Undefined = never again. */
  nextMs: number | undefined
}

export class Pings implements Disposable {
  readonly #options: PingsOptions
  readonly #stop = new AbortController()
  readonly #schedules = new Map<string, Schedule>()
  /** By uid. */
  #configs = new Map<string, PingConfig>()
  readonly #onTheirWay = new Map<string, number>()
  readonly #lost = new Map<string, LostEvents>()
  #next: NextTick | undefined
  /** The latest wall-clock time seen. */
  #seenMs = -Infinity
  #cancel = () => {}

  constructor(options: PingsOptions) {
    this.#options = options
  }

  /** From now on exactly these. Answers what can not be used, by uid. */
  async apply(configs: readonly PingConfig[]): Promise<Readonly<Record<string, string>>> {
    if (configs.length > 0) this.#next ??= await loadTicks()
    const problems: Record<string, string> = {}
    const nowMs = this.#options.clock.now()
    for (const { pings } of this.#schedules.values()) pings.clear()
    this.#configs = new Map(configs.map((config) => [config.uid, config]))
    for (const config of configs) {
      const { uid, schedule: text, timezone } = config
      const key = `${timezone ?? ''} ${text}`
      let schedule = this.#schedules.get(key)
      if (!schedule) {
        try {
          const nextMs = this.#next?.(text, timezone, this.#now(nowMs))
          schedule = { text, timezone, pings: new Map(), nextMs }
        } catch (error) {
          problems[uid] = `schedule: ${error instanceof Error ? error.message : 'unknown'}`
          continue
        }
        this.#schedules.set(key, schedule)
      }
      schedule.pings.set(uid, config)
    }
    for (const uid of this.#lost.keys()) if (!this.#configs.has(uid)) this.#lost.delete(uid)
    for (const [key, { pings }] of this.#schedules)
      if (pings.size === 0) this.#schedules.delete(key)
    this.#arm()
    return problems
  }

  /** What did not reach its sink since this was called last. */
  takeLost(): readonly LostEvents[] {
    const lost = [...this.#lost.values()]
    this.#lost.clear()
    return lost
  }

  /** Events that are being sent. */
  get onTheirWay(): number {
    return [...this.#onTheirWay.values()].reduce((sum, each) => sum + each, 0)
  }

  /** The time that ticks are counted from. */
  #now(nowMs: number): number {
    if (nowMs < this.#seenMs - setBackMs) {
      this.#seenMs = nowMs
      for (const schedule of this.#schedules.values())
        schedule.nextMs = this.#next?.(schedule.text, schedule.timezone, nowMs)
    }
    this.#seenMs = Math.max(this.#seenMs, nowMs)
    return this.#seenMs
  }

  #arm(): void {
    this.#cancel()
    this.#cancel = () => {}
    if (this.#stop.signal.aborted || this.#schedules.size === 0) return
    const { clock } = this.#options
    let firstMs = Infinity
    for (const { nextMs = Infinity } of this.#schedules.values())
      firstMs = Math.min(firstMs, nextMs)
    const waitMs = Math.min(Math.max(firstMs - clock.now(), 0), lookMs)
    this.#cancel = clock.after(waitMs, () => this.#look())
  }

  #look(): void {
    const { clock, log } = this.#options
    const nowMs = clock.now()
    const countedMs = this.#now(nowMs)
    for (const schedule of this.#schedules.values()) {
      const { nextMs, text, timezone, pings } = schedule
      if (nextMs === undefined || nextMs > nowMs) continue
      if (nowMs - nextMs <= lateMs) for (const { uid } of pings.values()) this.#tick(uid, nextMs)
      else
        log.info('a tick was noticed too late and is left out', {
          schedule: text,
          tick: new Date(nextMs).toISOString(),
          sources: pings.size,
        })
      schedule.nextMs = this.#next?.(text, timezone, countedMs)
    }
    this.#arm()
  }

  #tick(uid: string, tickMs: number): void {
    const { clock, random } = this.#options
    clock.after(randomInt(random, spreadMs), () => void this.#emit(uid, tickMs))
  }

  async #emit(uid: string, tickMs: number): Promise<void> {
    const { log, newId } = this.#options
    // As it is now: it may have been changed, or be gone, since its tick.
    const config = this.#configs.get(uid)
    if (!config || this.#stop.signal.aborted) return
    const { namespace, name, sink } = config
    const facts = { source: `${namespace}/${name}`, sink: sink.url }
    const before = this.#onTheirWay.get(uid) ?? 0
    if (before >= maxOnTheirWay) {
      log.info('a tick is left out: too many events wait for the sink', facts)
      this.#noteLost(config, 'too many events wait for the sink')
      return
    }
    this.#onTheirWay.set(uid, before + 1)
    const event = eventOf(config, newId(), tickMs)
    const outcome = await emit(event, namespace, sink, {
      ...this.#options,
      signal: this.#stop.signal,
    })
    const left = (this.#onTheirWay.get(uid) ?? 1) - 1
    if (left === 0) this.#onTheirWay.delete(uid)
    else this.#onTheirWay.set(uid, left)
    if (outcome.kind === 'accepted' || this.#stop.signal.aborted) return
    log.info('an event of a source was lost', { ...facts, reason: outcome.reason })
    this.#noteLost(config, outcome.reason)
  }

  #noteLost({ uid, namespace, name }: PingConfig, reason: string): void {
    if (!this.#configs.has(uid)) return
    const count = (this.#lost.get(uid)?.count ?? 0) + 1
    this.#lost.set(uid, { uid, namespace, name, count, reason })
  }

  [Symbol.dispose](): void {
    this.#stop.abort()
    this.#cancel()
  }
}

/** Its time is that of the tick, however late it is sent: two events of one time would be one tick made twice. */
function eventOf({ attributes, data }: PingConfig, id: string, tickMs: number): CloudEvent {
  const time = new Date(tickMs).toISOString()
  return {
    attributes: { specversion: '1.0', id, time, ...attributes },
    ...(data !== undefined && { data: Buffer.from(data, 'base64') }),
  }
}
