/**
 * What to do after an attempt: Knative's DeliverySpec as a pure function (knative.dev/eventing, kncloudevents
 * `SelectiveRetry` and backoff). `retry` counts the attempts after the first.
 */
import type { DeliveryPolicy } from '../feed.ts'

/** How one attempt ended. */
export interface AttemptResult {
  /** Of the answer; absent when there was none. */
  readonly status?: number
  /** Why there was no answer. */
  readonly error?: string
  /** Wait that the answer asked for. */
  readonly retryAfterMs?: number
  /** An answer that looked fine and could not be used, as one that is no event: tried again like a failure. */
  readonly unusable?: string
}

export type Verdict =
  | { readonly kind: 'delivered' }
  | { readonly kind: 'retry'; readonly waitMs: number }
  | { readonly kind: 'failed' }

const isSuccess = ({ status = 0, unusable }: AttemptResult): boolean =>
  status >= 200 && status < 300 && unusable === undefined

/** No answer, an answer that could not be used, 5xx, and statuses that speak of the moment. */
const mayRetry = ({ status, unusable }: AttemptResult): boolean =>
  status === undefined ||
  unusable !== undefined ||
  status >= 500 ||
  [404, 408, 409, 429].includes(status)

/** `attempts` = how many were made, this one included. */
export function judge(result: AttemptResult, attempts: number, policy: DeliveryPolicy): Verdict {
  if (isSuccess(result)) return { kind: 'delivered' }
  if (!mayRetry(result) || attempts > policy.retry) return { kind: 'failed' }
  return { kind: 'retry', waitMs: waitBefore(attempts - 1, result, policy) }
}

/** No wait after so many attempts is longer, milliseconds. */
export const longestWait = (attempts: number, policy: DeliveryPolicy): number =>
  Math.max(waitBefore(Math.max(attempts - 1, 0), {}, policy), policy.retryAfterMaxMs ?? 0)

/** Milliseconds before retry 0, 1, 2 …: both policy and delay are needed for any. */
function waitBefore(retry: number, result: AttemptResult, policy: DeliveryPolicy): number {
  const { backoff, retryAfterMaxMs } = policy
  const planned = !backoff
    ? 0
    : backoff.policy === 'linear'
      ? backoff.delayMs * retry
      : // An exponent that no number has makes NaN of a delay of nothing.
        backoff.delayMs * 2 ** Math.min(retry, 1000)
  const asked =
    retryAfterMaxMs !== undefined && (result.status === 429 || result.status === 503)
      ? Math.min(result.retryAfterMs ?? 0, retryAfterMaxMs)
      : 0
  return Math.min(Math.max(planned, asked), longestWaitMs)
}

/** An exponent soon names times that no clock has. */
const longestWaitMs = 365 * 24 * 3_600_000

/** Milliseconds that a Retry-After header asks for, seconds or a date; undefined = it can't be read. */
export function retryAfterMs(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined) return undefined
  const text = header.trim()
  if (/^\d+$/.test(text)) return Number(text) * 1000
  // All forms of HTTP dates begin with the day; Date.parse alone takes `-5` for a year.
  const date = /^(mon|tue|wed|thu|fri|sat|sun)/i.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(date) ? undefined : Math.max(date - nowMs, 0)
}
