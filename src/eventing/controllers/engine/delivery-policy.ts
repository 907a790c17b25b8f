/** DeliverySpecs as the engine has them: resolved, in milliseconds (knative.dev/eventing `pkg/kncloudevents`). */
import { parseIsoDuration } from '../../../lib/iso-duration.ts'
import type { DeliverySpec } from '../../api/duck/delivery-spec.ts'
import type { DeliveryPolicy } from '../../broker/feed.ts'

/** Admission has seen that all of it can be read. Waits need both a policy and a delay. */
export function deliveryPolicy(spec: DeliverySpec | undefined): DeliveryPolicy {
  const { retry = 0, timeout, backoffPolicy, backoffDelay, retryAfterMax, format } = spec ?? {}
  const delayMs = backoffDelay === undefined ? undefined : parseIsoDuration(backoffDelay)
  const timeoutMs = timeout === undefined ? undefined : parseIsoDuration(timeout)
  const retryAfterMaxMs = retryAfterMax === undefined ? undefined : parseIsoDuration(retryAfterMax)
  const policy =
    backoffPolicy === 'linear' || backoffPolicy === 'exponential' ? backoffPolicy : undefined
  return {
    retry,
    ...(policy && delayMs !== undefined && { backoff: { policy, delayMs } }),
    ...(timeoutMs !== undefined && { timeoutMs }),
    ...(retryAfterMaxMs !== undefined && { retryAfterMaxMs }),
    ...((format === 'json' || format === 'binary') && { format }),
  }
}
