/** What is noted of an event's way, so that people can follow it. */

/** One step of one event at one subscription. */
export interface Step {
  /** Of the Broker or Channel. */
  readonly channel: string
  readonly sequence: number
  /** Of the Trigger or Subscription. */
  readonly subscription: string
  readonly atMs: number
  /**
   * `attempt`: a request to `url`; `waits`: it is tried again at `nextMs`; `done`: nothing is left to do; `parked`: given
   * up and kept as a dead letter; `discarded`: a dead letter that somebody let go.
   */
  readonly kind: 'attempt' | 'waits' | 'done' | 'parked' | 'discarded'
  /** `replay`: people had it sent again, be it a dead letter or not. */
  readonly phase?: 'subscriber' | 'reply' | 'deadLetter' | 'replay'
  readonly url?: string
  readonly status?: number
  readonly error?: string
  readonly tookMs?: number
  readonly nextMs?: number
}

export type Journal = (step: Step) => void
