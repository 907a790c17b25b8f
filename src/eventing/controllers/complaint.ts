/** What people are told of conditions by Events: each complaint once. */
import { conditionOf, type ConditionsStatus } from '../../knative/conditions.ts'
import type { PlannedEvent } from '../../kube/controller/reconciler.ts'

/**
 * A Warning when a condition has come to say that something is wrong, or something else than before: told once, not with
 * every look. `reason`: of the Event; default the condition's own.
 */
export function complaint(
  before: ConditionsStatus | undefined,
  after: ConditionsStatus,
  type: string,
  reason?: string,
): readonly PlannedEvent[] {
  const now = conditionOf(after, type)
  const then = conditionOf(before, type)
  if (!now?.message || now.status === 'True') return []
  if (then?.status === now.status && then.reason === now.reason && then.message === now.message)
    return []
  return [
    { type: 'Warning', reason: reason ?? now.reason ?? 'InternalError', message: now.message },
  ]
}
