/**
 * Whether a request whose pod was lost before a byte of the answer goes out again. A request may take effect at most
 * once unless its method is idempotent (RFC 9110 9.2.2), so others are sent again only when the pod cannot have seen
 * them. Attempts are few, and over time retries are a small part of all requests, so that they cannot turn a bad moment into
 * an outage.
 */

/**
 * How the pod was lost. `stale`: a connection that had rested was closed, most likely by a pod that tired of it;
 * `unseen`: the pod says that it has not looked at the request (HTTP/2); `lost`: the connection broke otherwise.
 */
export type Loss = 'stale' | 'unseen' | 'lost'

export interface LostRequest {
  readonly method: string
  /** The whole of it is still here: it has no body, or nothing of the body was sent. */
  readonly repeatable: boolean
  /** How often it went out again already. */
  readonly retries: number
}

/** How often a request is sent anew because its connection broke. */
const maxRetries = 2
/** The same where pods say that they have not looked at it. */
const maxUnseen = 8

const idempotent = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'])

/**
 * Where to send it: to the same pod on a new connection, to any pod that is free and did not just fail, or nowhere.
 * Takes from `budget` when it needs to.
 */
export function retryAt(
  loss: Loss,
  { method, repeatable, retries }: LostRequest,
  budget: { take(): boolean },
): 'same' | 'any' | undefined {
  if (!repeatable) return undefined
  if (loss === 'unseen') return retries < maxUnseen ? 'same' : undefined
  if (!idempotent.has(method) || retries >= maxRetries || !budget.take()) return undefined
  return loss === 'stale' ? 'same' : 'any'
}

/** One retry for so many requests, over time. */
const requestsPerRetry = 5
/** Retries that may come at once: what a pod with a full queue of connections can lose when it crashes. */
const burst = 2000

/** What a revision may retry: each request earns a fifth of a retry, up to a bound. */
export class RetryBudget {
  #left = burst
  #seen = 0
  readonly #arrived: () => number

  /** `arrived`: how many requests the revision has had, ever. */
  constructor(arrived: () => number) {
    this.#arrived = arrived
  }

  take(): boolean {
    const arrived = this.#arrived()
    this.#left = Math.min(burst, this.#left + (arrived - this.#seen) / requestsPerRetry)
    this.#seen = arrived
    if (this.#left < 1) return false
    this.#left--
    return true
  }
}
