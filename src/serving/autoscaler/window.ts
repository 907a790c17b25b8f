/**
 * One number a second for the length of a window, and its average. Follows Knative's
 * `autoscaler/aggregation/bucketing.go` in behaviour: values of the same second add up, gaps in the middle count as
 * zero, while seconds that are missing at the end shrink the divisor.
 */
export type Aggregation = 'linear' | 'weightedExponential'

/** What falls out of a weighted window makes up less than this share of the average, */
const negligible = 1 - 0.9999
/** unless the window is so long that each value would hardly count. */
const minimalSmoothing = 0.2
const precision = 1_000_000

export class Window {
  readonly aggregation: Aggregation
  #buckets: Float64Array
  /** Sum of the buckets. */
  #total = 0
  /** Unix seconds; -1 = never. */
  #firstWrite = -1
  #lastWrite = -1
  #smoothing: number

  /** `windowMs`: length; buckets are whole seconds. */
  constructor(windowMs: number, aggregation: Aggregation = 'linear') {
    this.aggregation = aggregation
    this.#buckets = new Float64Array(sizeOf(windowMs))
    this.#smoothing = smoothingOf(this.size)
  }

  /** Length in seconds. */
  get size(): number {
    return this.#buckets.length
  }

  record(nowMs: number, value: number): void {
    if (!Number.isFinite(value)) return
    const now = secondOf(nowMs)
    const size = this.size
    if (this.#firstWrite < 0 || now - this.#lastWrite >= size) {
      this.#buckets.fill(0)
      this.#total = 0
      this.#firstWrite = now
      this.#lastWrite = now
    } else if (now > this.#lastWrite) {
      for (let second = this.#lastWrite + 1; second <= now; second++) this.#clear(second)
      this.#lastWrite = now
    } else if (now <= this.#lastWrite - size) return
    else if (now < this.#firstWrite) this.#firstWrite = now
    const slot = now % size
    this.#buckets[slot] = this.#at(now) + value
    this.#total += value
  }

  /** True when nothing was recorded within the window. */
  isEmpty(nowMs: number): boolean {
    return this.#lastWrite < 0 || secondOf(nowMs) - this.#lastWrite > this.size
  }

  /** The average as of `nowMs`; 0 when there is nothing. */
  average(nowMs: number): number {
    if (this.#lastWrite < 0) return 0
    const behind = secondOf(nowMs) - this.#lastWrite
    if (behind >= this.size) return 0
    return this.aggregation === 'linear' ? this.#linear(behind) : this.#weighted(behind)
  }

  /** Another length; the newest values stay. */
  resize(windowMs: number): void {
    const size = sizeOf(windowMs)
    if (size === this.size) return
    const buckets = new Float64Array(size)
    let total = 0
    if (this.#lastWrite >= 0) {
      const kept = Math.min(size, this.size)
      // Seconds that were never kept must not count as zeros.
      this.#firstWrite = Math.max(this.#firstWrite, this.#lastWrite - kept + 1)
      for (let second = this.#lastWrite; second > this.#lastWrite - kept; second--) {
        if (second < 0) break
        total += buckets[second % size] = this.#at(second)
      }
    }
    this.#buckets = buckets
    this.#total = total
    this.#smoothing = smoothingOf(size)
  }

  #linear(behind: number): number {
    const { size } = this
    let total = this.#total
    // What would be overwritten had someone written until now.
    for (let i = 0; i < behind; i++) total -= this.#at(this.#lastWrite + 1 + i)
    const seconds = Math.min(
      this.#lastWrite - this.#firstWrite + 1,
      behind > 0 ? size - behind : size,
    )
    return Math.round((total / seconds) * precision) / precision || 0 // never -0
  }

  #weighted(behind: number): number {
    if (behind < 0) behind = 0
    let weight = this.#smoothing * (1 - this.#smoothing) ** behind
    let sum = 0
    for (let i = 0; i < this.size - behind && this.#lastWrite - i >= 0; i++) {
      sum += this.#at(this.#lastWrite - i) * weight
      weight *= 1 - this.#smoothing
    }
    return sum
  }

  #at(second: number): number {
    return this.#buckets[second % this.size] ?? 0
  }

  #clear(second: number): void {
    const slot = second % this.size
    this.#total -= this.#buckets[slot] ?? 0
    this.#buckets[slot] = 0
  }
}

/** The weight of the newest value in a weighted window of `size` seconds. */
export const smoothingOf = (size: number): number =>
  Math.max(1 - negligible ** (1 / size), minimalSmoothing)

const secondOf = (nowMs: number): number => Math.floor(nowMs / 1000)
const sizeOf = (windowMs: number): number => Math.max(1, Math.ceil(windowMs / 1000))
