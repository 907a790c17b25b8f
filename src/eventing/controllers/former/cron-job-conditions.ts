/** Conditions that a CronJobSource had and a PingSource has not, for clients of then. */
import { conditionOf, conditionSet } from '../../../knative/conditions.ts'
import { isFields } from '../../../knative/old-form.ts'
import type { FormerSource } from '../../api/former/former-sources.ts'
import type { SourceStatus } from '../../api/duck/source-spec.ts'

const conditions = conditionSet({ dependents: ['SinkProvided', 'Deployed', 'OIDCIdentityCreated'] })

/** A bad schedule is refused, so one that is stored is valid; what the engine makes of it has the last word. */
export function withFormerConditions(
  status: SourceStatus,
  { spec }: FormerSource,
  nowMs: number,
): SourceStatus {
  const { reason, message = '' } = conditionOf(status, 'Deployed') ?? {}
  const scheduled =
    reason === 'InvalidSchedule'
      ? conditions.markFalse(status, 'ValidSchedule', 'InvalidSchedule', message, nowMs)
      : conditions.markTrue(status, 'ValidSchedule', nowMs)
  const sized = conditions.markTrueWithReason(
    scheduled,
    'ValidResources',
    'NoPod',
    'there is no pod that needs any: the event engine keeps time',
    nowMs,
  )
  return isFields(spec.sink?.ref)
    ? conditions.markTrue(sized, 'EventTypesProvided', nowMs)
    : conditions.markTrueWithReason(
        sized,
        'EventTypesProvided',
        'SinkIsUri',
        'a URI has no registry of types',
        nowMs,
      )
}
