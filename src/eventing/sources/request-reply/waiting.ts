/** Requests that wait for the event that answers them: so many at most, each for its time. */
import type { Clock } from '../../../lib/clock.ts'
import type { CloudEvent } from '../../cloudevents/cloud-event.ts'

/** What became of a request. `failed`: why it needs to wait no longer. */
export type Outcome =
  | { readonly kind: 'answered'; readonly event: CloudEvent }
  | { readonly kind: 'late' }
  | { readonly kind: 'failed'; readonly status: number; readonly reason: string }

export class Waiting {
  readonly #clock: Clock
  readonly #most: number
  readonly #settlers = new Map<string, (outcome: Outcome) => void>()

  constructor(clock: Clock, most: number) {
    this.#clock = clock
    this.#most = most
  }

  get size(): number {
    return this.#settlers.size
  }

  /** Resolves as the first `settle` of this mark says, or as late. Undefined = as many as may be wait already. */
  wait(mark: string, timeoutMs: number): Promise<Outcome> | undefined {
    if (this.#settlers.size >= this.#most) return undefined
    return new Promise((resolve) => {
      const cancel = this.#clock.after(timeoutMs, () => this.settle(mark, { kind: 'late' }))
      this.#settlers.set(mark, (outcome) => {
        cancel()
        resolve(outcome)
      })
    })
  }

  /** False when nobody waits for it any more. */
  settle(mark: string, outcome: Outcome): boolean {
    const settler = this.#settlers.get(mark)
    this.#settlers.delete(mark)
    settler?.(outcome)
    return settler !== undefined
  }

  settleAll(outcome: Outcome): void {
    for (const mark of this.#settlers.keys()) this.settle(mark, outcome)
  }
}
