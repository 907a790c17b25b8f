/**
 * One alarm that is moved all the time, as with each message of a connection: the moment is a number, and a timer of
 * the clock is set again only when it would ring too late.
 */
import type { Clock } from './clock.ts'

export class Deadline {
  readonly #clock: Clock
  readonly #ring: () => void
  /** By the monotonic clock. */
  #atMs = Number.POSITIVE_INFINITY
  #alarmMs = Number.POSITIVE_INFINITY
  #cancel = () => {}

  /** `ring` is called when a deadline has passed, once for each `set`. */
  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock
    this.#ring = ring
  }

  /** So many milliseconds from now, instead of the one before. */
  set(ms: number): void {
    this.#atMs = this.#clock.monotonic() + ms
    if (this.#alarmMs > this.#atMs) this.#arm(ms)
  }

  /** There is none any more. A timer that runs costs nothing but its ring. */
  clear(): void {
    this.#atMs = Number.POSITIVE_INFINITY
  }

  [Symbol.dispose](): void {
    this.clear()
    this.#cancel()
  }

  #arm(ms: number): void {
    this.#cancel()
    this.#alarmMs = this.#clock.monotonic() + ms
    this.#cancel = this.#clock.after(ms, () => {
      this.#alarmMs = Number.POSITIVE_INFINITY
      if (this.#atMs === Number.POSITIVE_INFINITY) return
      const leftMs = this.#atMs - this.#clock.monotonic()
      // Timers may ring a little early.
      if (leftMs > 1) return this.#arm(leftMs)
      this.clear()
      this.#ring()
    })
  }
}
