import type { Clock } from '../lib/clock.ts'

interface Alarm {
  readonly atMs: number
  readonly order: number
  readonly fn: () => void
}

/** A clock that stands still until the test moves it. Alarms ring in order, each at its own moment. */
export class SimClock implements Clock {
  #nowMs: number
  #order = 0
  readonly #startMs: number
  readonly #alarms = new Set<Alarm>()

  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.#nowMs = startMs
    this.#startMs = startMs
  }

  now(): number {
    return this.#nowMs
  }

  monotonic(): number {
    return this.#nowMs - this.#startMs
  }

  after(delayMs: number, fn: () => void): () => void {
    const alarm = { atMs: this.#nowMs + Math.max(delayMs, 0), order: this.#order++, fn }
    this.#alarms.add(alarm)
    return () => this.#alarms.delete(alarm)
  }

  /** Milliseconds until the next alarm, or undefined when none is set. */
  get nextInMs(): number | undefined {
    const next = this.#next()
    return next && next.atMs - this.#nowMs
  }

  /** Moves time forward by `ms`, ringing each alarm at its moment and letting promises settle in between. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms
    await settle()
    for (let next = this.#next(); next && next.atMs <= endMs; next = this.#next()) {
      this.#alarms.delete(next)
      this.#nowMs = Math.max(this.#nowMs, next.atMs)
      next.fn()
      await settle()
    }
    this.#nowMs = endMs
  }

  #next(): Alarm | undefined {
    let first: Alarm | undefined
    for (const alarm of this.#alarms) {
      if (
        !first ||
        alarm.atMs < first.atMs ||
        (alarm.atMs === first.atMs && alarm.order < first.order)
      )
        first = alarm
    }
    return first
  }
}

/** Lets everything that is already due run: promise callbacks and immediates, a few rounds of them. */
export async function settle(rounds = 4): Promise<void> {
  for (let round = 0; round < rounds; round++) await new Promise((resolve) => setImmediate(resolve))
}
