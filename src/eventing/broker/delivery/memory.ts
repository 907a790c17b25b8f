/**
 * What the events that are read ahead and under way take of the process's memory, for all subscriptions together: a
 * hundred subscribers that hang must not take a hundred times what one may. Beyond the limit each goes on with its own
 * share, so that those that hang never hold up the others.
 */
export class EventMemory {
  readonly #limitBytes: number
  #usedBytes = 0
  #holders = 0

  constructor(limitBytes = 256 << 20) {
    this.#limitBytes = limitBytes
  }

  /** For one subscription, until it is closed. */
  holder(): MemoryHolder {
    this.#holders++
    let heldBytes = 0
    let open = true
    return {
      hold: (bytes) => {
        heldBytes += bytes
        this.#usedBytes += bytes
      },
      hasRoom: () =>
        this.#usedBytes < this.#limitBytes || heldBytes < this.#limitBytes / this.#holders,
      close: () => {
        if (open) this.#holders--
        open = false
      },
    }
  }
}

export interface MemoryHolder {
  /** So much more is held; less where it is negative. */
  hold(bytes: number): void
  /** More may be begun. */
  hasRoom(): boolean
  /** Its share is free for the others; what is under way still counts until it has ended. */
  close(): void
}
