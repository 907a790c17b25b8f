/**
 * An account that hostile input runs down (RFC 9113 10.5): what costs us more than its sender pays a price, work that ends well and
 * time fill it up again. Empty: the connection ends with ENHANCE_YOUR_CALM.
 */
export class Budget {
  readonly #most: number
  readonly #perMs: number
  #left: number
  #sinceMs: number

  constructor(most: number, perSecond: number, nowMs: number) {
    this.#most = most
    this.#perMs = perSecond / 1000
    this.#left = most
    this.#sinceMs = nowMs
  }

  /** False: nothing is left. */
  spend(price: number, nowMs: number): boolean {
    this.#left -= price
    if (this.#left >= 0) return true
    this.#left = Math.min(this.#most, this.#left + (nowMs - this.#sinceMs) * this.#perMs)
    this.#sinceMs = nowMs
    return this.#left >= 0
  }

  earn(amount: number): void {
    if (this.#left < this.#most) this.#left += amount
  }
}
