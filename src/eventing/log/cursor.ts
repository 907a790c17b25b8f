/**
 * What of a log a subscription is done with: everything below the floor, and ranges above it. One event that is tried
 * for hours costs one range, however many pass it. Its text form is what survives a restart.
 */
import type { Deferred } from './event-log.ts'

/** First and last sequence, both settled. */
type Settled = readonly [first: number, last: number]

const countOf = (ranges: readonly Settled[]): number =>
  ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0)

export class Cursor {
  #floor: number
  /** Above the floor, in order, with at least one event that is not settled before each. */
  #ranges: Settled[] = []
  /** How many stand in the ranges. */
  #above = 0
  readonly #deferred = new Map<number, Deferred>()

  constructor(floor: number) {
    this.#floor = floor
  }

  /** The lowest sequence that is not settled. */
  get floor(): number {
    return this.#floor
  }

  /** The highest sequence that it has heard of. */
  get highest(): number {
    let highest = this.#ranges.at(-1)?.[1] ?? this.#floor - 1
    for (const each of this.#deferred.keys()) highest = Math.max(highest, each)
    return highest
  }

  get deferred(): readonly Deferred[] {
    return [...this.#deferred.values()]
  }

  /** How many above the floor are settled. */
  get settledAbove(): number {
    return this.#above
  }

  isSettled(sequence: number): boolean {
    if (sequence < this.#floor) return true
    const range = this.#ranges[this.#firstEndingAt(sequence)]
    return range !== undefined && range[0] <= sequence
  }

  settle(sequence: number): void {
    if (this.isSettled(sequence)) return
    this.#deferred.delete(sequence)
    const at = this.#firstEndingAt(sequence)
    const before = this.#ranges[at - 1]
    const behind = this.#ranges[at]
    const joinsBefore = before?.[1] === sequence - 1
    const joinsBehind = behind?.[0] === sequence + 1
    const joined: Settled = [joinsBefore ? before[0] : sequence, joinsBehind ? behind[1] : sequence]
    this.#ranges.splice(
      joinsBefore ? at - 1 : at,
      Number(joinsBefore) + Number(joinsBehind),
      joined,
    )
    this.#above++
    this.#rise()
  }

  defer(deferred: Deferred): void {
    if (!this.isSettled(deferred.sequence)) this.#deferred.set(deferred.sequence, deferred)
  }

  /** Nothing below `sequence` is there any more. */
  raise(sequence: number): void {
    if (sequence <= this.#floor) return
    this.#floor = sequence
    this.#ranges = this.#ranges
      .filter(([, last]) => last >= sequence)
      .map(([first, last]) => [Math.max(first, sequence), last])
    this.#above = countOf(this.#ranges)
    for (const each of this.#deferred.keys()) if (each < sequence) this.#deferred.delete(each)
    this.#rise()
  }

  /** One line. */
  text(): string {
    const deferred = this.deferred.map((each) => [each.sequence, each.attempts, each.notBeforeMs])
    return JSON.stringify({ floor: this.#floor, settled: this.#ranges, deferred })
  }

  /** Throws when the text is none of `text`. */
  static from(text: string): Cursor {
    const { floor, settled, deferred } = JSON.parse(text) as {
      readonly floor: number
      readonly settled: readonly Settled[]
      readonly deferred: readonly (readonly [number, number, number])[]
    }
    if (!Number.isSafeInteger(floor)) throw new Error(`no floor in ${text.slice(0, 80)}`)
    const cursor = new Cursor(floor)
    cursor.#ranges = [...settled]
    cursor.#above = countOf(settled)
    for (const [sequence, attempts, notBeforeMs] of deferred)
      cursor.#deferred.set(sequence, { sequence, attempts, notBeforeMs })
    return cursor
  }

  #rise(): void {
    const [first] = this.#ranges
    if (first?.[0] !== this.#floor) return
    this.#floor = first[1] + 1
    this.#above -= first[1] - first[0] + 1
    this.#ranges.shift()
  }

  /** Index of the first range whose last is `sequence` or later. */
  #firstEndingAt(sequence: number): number {
    let low = 0
    let high = this.#ranges.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#ranges[middle]?.[1] ?? 0) < sequence) low = middle + 1
      else high = middle
    }
    return low
  }
}
