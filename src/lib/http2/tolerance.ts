/** Hot path. What a peer may cost us before its connection ends: frames that carry nothing, streams that come to nothing (RFC 9113 10.5). */
import { Budget } from './budget.ts'
import { ErrorCode, Http2Error } from './error.ts'
import type { Http2Limits } from './limits.ts'

/** What a malformed message costs: nobody sends one by accident. */
export const malformedPrice = 10

export class Tolerance {
  /** Monotonic milliseconds of the call into the connection that is under way. */
  nowMs: number
  readonly #server: boolean
  readonly #resets: Budget
  readonly #noise: Budget

  constructor(server: boolean, limits: Http2Limits, nowMs: number) {
    this.nowMs = nowMs
    this.#server = server
    this.#resets = new Budget(limits.resetBurst, limits.resetsPerSecond, nowMs)
    this.#noise = new Budget(limits.noiseBurst, limits.noisePerSecond, nowMs)
  }

  /** A frame that carries nothing has come. Throws Http2Error. */
  spendNoise(price: number): void {
    if (!this.#noise.spend(price, this.nowMs))
      throw new Http2Error(ErrorCode.enhanceYourCalm, 'too many frames that carry nothing')
  }

  /** Frames that carry something make up for `amount` that carry nothing. */
  earnNoise(amount: number): void {
    this.#noise.earn(amount)
  }

  /** A stream is reset or malformed. Only clients can make us work for nothing: a pod's resets end requests that someone asked for. Throws Http2Error. */
  spendResets(price: number): void {
    if (this.#server && !this.#resets.spend(price, this.nowMs))
      throw new Http2Error(ErrorCode.enhanceYourCalm, 'too many streams are reset or malformed')
  }

  /** A stream has ended well. */
  earnReset(): void {
    this.#resets.earn(1)
  }
}
