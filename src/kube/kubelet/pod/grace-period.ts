/** The time a pod has to end. A later delete may shorten it, never lengthen it. */
import type { Clock } from '../../../lib/clock.ts'

export class GracePeriod {
  readonly #clock: Clock
  #endsAtMs = Number.POSITIVE_INFINITY
  #shortened = Promise.withResolvers<void>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Milliseconds that are left; 0 when it is over. */
  get leftMs(): number {
    return Math.max(0, this.#endsAtMs - this.#clock.monotonic())
  }

  /** Ends `graceMs` from now, unless it ends sooner already. */
  shorten(graceMs: number): void {
    const atMs = this.#clock.monotonic() + graceMs
    if (atMs >= this.#endsAtMs) return
    this.#endsAtMs = atMs
    this.#shortened.resolve()
    this.#shortened = Promise.withResolvers<void>()
  }

  /** Waits for `done`, at most until the grace is over, however it is shortened meanwhile. False: it is over. */
  async within(done: Promise<void>): Promise<boolean> {
    let finished = false
    const ended = done.then(() => void (finished = true))
    while (!finished) {
      const { leftMs } = this
      if (leftMs <= 0) return false
      const over = Promise.withResolvers<void>()
      const cancel = this.#clock.after(leftMs, over.resolve)
      await Promise.race([ended, over.promise, this.#shortened.promise])
      cancel()
    }
    return true
  }
}
