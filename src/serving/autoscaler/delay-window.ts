/**
 * The highest of the numbers of the last while, in slots of two seconds: what a scale-down delay holds on to. Follows
 * Knative's `autoscaler/aggregation/max`.
 */
const slotMs = 2_000

export class DelayWindow {
  readonly #slots: number
  /** Slots that may still matter, oldest first; values fall from front to back. */
  #entries: { slot: number; value: number }[] = []

  constructor(delayMs: number) {
    this.#slots = Math.max(1, Math.ceil(delayMs / slotMs))
  }

  /** Adds `value` now and answers the highest within the delay. */
  max(nowMs: number, value: number): number {
    const slot = Math.floor(nowMs / slotMs)
    const kept = this.#entries.filter(
      (entry) => entry.slot > slot - this.#slots && entry.value > value,
    )
    kept.push({ slot, value })
    this.#entries = kept
    return kept[0]?.value ?? value
  }
}
