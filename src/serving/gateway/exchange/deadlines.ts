/**
 * Hot path. All timeouts of the gateway on one coarse timer: a wheel of linked lists, so that setting and cancelling
 * cost a few assignments and nothing is allocated. A deadline rings up to one tick late, never early.
 */
import type { Clock } from '../../../lib/clock.ts'

/** What can be put on the wheel; at most once at a time. */
export abstract class Deadline {
  /** Monotonic milliseconds; meaningless while not set. */
  dueMs = 0
  before: Deadline | undefined
  after: Deadline | undefined
  slot = -1

  /** Called once when due; the deadline is off the wheel by then and may be set again. */
  abstract expire(nowMs: number): void
}

const slotCount = 1024
/** In `slot`: due, taken off the wheel, about to be called. */
const ringing = -2

export class Deadlines {
  readonly #clock: Clock
  readonly #tickMs: number
  readonly #slots: (Deadline | undefined)[] = Array.from({ length: slotCount }, () => undefined)
  #size = 0
  /** The last tick that was looked at. */
  #tick = 0
  #cancelTimer: (() => void) | undefined

  constructor(clock: Clock, tickMs = 50) {
    this.#clock = clock
    this.#tickMs = tickMs
  }

  /** How many are set. */
  get size(): number {
    return this.#size
  }

  /** Sets or moves a deadline to `dueMs` (monotonic). */
  set(deadline: Deadline, dueMs: number): void {
    if (deadline.slot >= 0) this.cancel(deadline)
    if (this.#size === 0) this.#tick = Math.floor(this.#clock.monotonic() / this.#tickMs)
    const tick = Math.max(Math.ceil(dueMs / this.#tickMs), this.#tick + 1)
    const slot = tick & (slotCount - 1)
    deadline.dueMs = dueMs
    deadline.slot = slot
    deadline.before = undefined
    const first = this.#slots[slot]
    deadline.after = first
    if (first) first.before = deadline
    this.#slots[slot] = deadline
    this.#size++
    if (!this.#cancelTimer) this.#schedule()
  }

  cancel(deadline: Deadline): void {
    const { slot, before, after } = deadline
    if (slot < 0) {
      deadline.slot = -1
      return
    }
    if (before) before.after = after
    else this.#slots[slot] = after
    if (after) after.before = before
    deadline.before = undefined
    deadline.after = undefined
    deadline.slot = -1
    this.#size--
  }

  /** Stops the timer and forgets everything. */
  close(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    for (const [slot, first] of this.#slots.entries()) {
      for (let at = first; at; at = this.#slots[slot]) this.cancel(at)
    }
  }

  #schedule(): void {
    this.#cancelTimer = this.#clock.after(this.#tickMs, () => {
      this.#cancelTimer = undefined
      this.#turn()
      // The timer stays while anything is set; when all is quiet the process may sleep.
      if (this.#size > 0 && !this.#cancelTimer) this.#schedule()
    })
  }

  #turn(): void {
    const nowMs = this.#clock.monotonic()
    const nowTick = Math.floor(nowMs / this.#tickMs)
    const turns = Math.min(nowTick - this.#tick, slotCount)
    const firstTick = nowTick - turns + 1
    this.#tick = nowTick
    for (let tick = firstTick; tick <= nowTick; tick++) this.#ring(tick & (slotCount - 1), nowMs)
  }

  #ring(slot: number, nowMs: number): void {
    // What rings may set or cancel others, also ones due at this very moment: those are taken off first and marked.
    let due: Deadline[] | undefined
    let at = this.#slots[slot]
    while (at) {
      const next = at.after
      if (at.dueMs <= nowMs) {
        this.cancel(at)
        at.slot = ringing
        ;(due ??= []).push(at)
      }
      at = next
    }
    if (!due) return
    for (const deadline of due) {
      if (deadline.slot !== ringing) continue
      deadline.slot = -1
      deadline.expire(nowMs)
    }
  }
}
