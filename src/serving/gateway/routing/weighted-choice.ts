/**
 * Hot path. Which of several weighted destinations is next. The choice is a pure function of how many came before: the weights make a
 * sequence as long as their sum, in which each destination stands exactly as often as its weight, and at every point
 * has had its share to within one. Any run of requests as long as the sum is thus exact, whoever counts it
 * (`share-counter.ts`).
 *
 * Of two destinations each takes its places around the middle of its due time, so that neither is ahead or behind by
 * more than half a request whatever the weights, and a change of weights can go on nearly where it was. Of more the
 * sequence is that of proportionate-fair scheduling on one processor (Baruah and others, 1996): the j-th turn of a
 * destination with weight w of W falls into the places [j·W/w, (j+1)·W/w), and the earliest deadline goes first.
 */
import type { ShareCounter } from './share-counter.ts'

/** Sequences up to this length are written out; 2 bytes a place. */
const longestTable = 4096

export interface Weighted<T> {
  /** Says which one it is when weights change. */
  readonly key: string
  readonly value: T
  /** Whole number ≥ 0; 0 = never chosen. */
  readonly weight: number
}

export class WeightedChoice<T> {
  /** Destinations with a weight, in order. */
  readonly entries: readonly Weighted<T>[]
  readonly #values: readonly T[]
  readonly #keys: readonly string[]
  readonly #weights: readonly number[]
  readonly #total: number
  readonly #table: Uint16Array | undefined
  readonly #counter: ShareCounter | undefined
  /** Says which weights these are; 0 for none. */
  readonly #identity: number

  /**
   * `counter` gives the counter of this split, asked for when there is a choice at all. `before`: the choice that this
   * one replaces; shares that are due by it stay due, so that frequent small changes starve nobody.
   */
  constructor(
    weighted: readonly Weighted<T>[],
    counter: () => ShareCounter,
    before?: WeightedChoice<T>,
  ) {
    const used = weighted.filter(({ weight }) => weight >= 1)
    this.entries = used
    this.#values = used.map(({ value }) => value)
    this.#keys = used.map(({ key }) => key)
    const divisor = used.reduce((found, { weight }) => gcd(found, Math.floor(weight)), 0)
    this.#weights = used.map(({ weight }) => Math.floor(weight) / divisor)
    this.#total = this.#weights.reduce((sum, weight) => sum + weight, 0)
    if (used.length < 2) {
      this.#identity = 0
      return
    }
    this.#counter = counter()
    this.#identity = hashOf(used.map(({ key }, i) => `${key} ${this.#weights[i]}`).join('\n'))
    if (before !== undefined && before.#identity === this.#identity) {
      this.#table = before.#table
      return
    }
    if (used.length > 2 && this.#total <= longestTable)
      this.#table = sequence(this.#weights, this.#total)
    const known = before !== undefined && before.#identity !== 0 ? before : undefined
    this.#counter.change(known === undefined ? 0 : known.#identity, this.#identity, (n) =>
      known === undefined ? 0 : this.#jump(n, known),
    )
  }

  /** The next one, counted; undefined when no destination has a weight. */
  next(): T | undefined {
    const counter = this.#counter
    if (counter === undefined) return this.#values[0]
    return this.#values[this.at(counter.next())]
  }

  /** Index in `entries` of the one that comes after `n` others. */
  at(n: number): number {
    const place = n % this.#total
    const table = this.#table
    return table === undefined ? this.#halve(place) : table[place]!
  }

  /**
   * The first takes its places evenly, what is left falls to the others in the same way. Exact over the whole sequence;
   * with more than two destinations the share at a point may be off by a little more than one.
   */
  #halve(place: number): number {
    const weights = this.#weights
    let rest = this.#total
    let n = place
    for (let i = 0; i < weights.length - 1; i++) {
      const weight = weights[i]!
      const had = portion(n, weight, rest)
      if (portion(n + 1, weight, rest) > had) return i
      n -= had
      rest -= weight
    }
    return weights.length - 1
  }

  /**
   * How far to go on from `n` so that everybody is as much ahead of or behind its share in this sequence as it was in
   * the one before.
   */
  #jump(n: number, before: WeightedChoice<T>): number {
    const owed = before.#owed(n % before.#total)
    const due = this.#keys.map((key) => owed.get(key) ?? 0)
    const total = this.#total
    const from = n % total
    const had = this.#weights.map(() => 0)
    let best = 0
    let leastOff = Infinity
    // Long sequences are looked at in part only: near enough, and bounded.
    const places = Math.min(total, longestTable)
    for (let place = 0; place < places; place++) {
      let off = 0
      for (let i = 0; i < had.length; i++)
        off += ((place * this.#weights[i]!) / total - had[i]! - due[i]!) ** 2
      if (off < leastOff - 1e-9) {
        leastOff = off
        best = place
      }
      had[this.at(place)]!++
    }
    return (best - from + total) % total
  }

  /** By how much each is behind its share after `place` of the sequence. */
  #owed(place: number): ReadonlyMap<string, number> {
    const had = this.#keys.map(() => 0)
    const start = this.#table === undefined ? Math.max(0, place - longestTable) : 0
    for (let at = start; at < place; at++) had[this.at(at)]!++
    return new Map(
      this.#keys.map((key, i) => [
        key,
        ((place - start) * this.#weights[i]!) / this.#total - had[i]!,
      ]),
    )
  }
}

/** How many of the first `n` places belong to `weight` of `total`, spread evenly: whole numbers up to 2^53 stay exact. */
const portion = (n: number, weight: number, total: number): number =>
  Math.floor((n * weight + Math.floor(total / 2)) / total)

function sequence(weights: readonly number[], total: number): Uint16Array {
  const table = new Uint16Array(total)
  const had = weights.map(() => 0)
  for (let place = 0; place < total; place++) {
    let best = -1
    let earliest = Infinity
    for (let i = 0; i < weights.length; i++) {
      const weight = weights[i]!
      if (Math.floor((had[i]! * total) / weight) > place) continue
      const deadline = Math.ceil(((had[i]! + 1) * total) / weight)
      if (deadline < earliest) {
        earliest = deadline
        best = i
      }
    }
    table[place] = best
    had[best]!++
  }
  return table
}

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b))

/** FNV-1a, never 0. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash >>> 0 || 1
}
