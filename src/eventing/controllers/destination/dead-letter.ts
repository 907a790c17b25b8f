/** The condition DeadLetterSinkResolved and the status fields beside it, the same for all that deliver. */
import type { ConditionSet, ConditionsStatus } from '../../../knative/conditions.ts'
import { isResolved, type Resolution } from './resolver.ts'

interface DeadLetterFields {
  readonly deadLetterSinkUri?: string
  readonly deadLetterSinkCACerts?: string
  readonly deadLetterSinkAudience?: string
}

/** `status` with what became of its dead-letter sink; undefined = none is wanted. */
export function withDeadLetter<S extends ConditionsStatus & DeadLetterFields>(
  status: S,
  sink: Resolution | undefined,
  conditions: ConditionSet,
  nowMs: number,
): S {
  const type = 'DeadLetterSinkResolved'
  const {
    deadLetterSinkUri: _uri,
    deadLetterSinkCACerts: _certificates,
    deadLetterSinkAudience: _audience,
    ...bare
  } = status
  const cleared = bare as unknown as S
  if (!sink)
    return conditions.markTrueWithReason(cleared, type, 'DeadLetterSinkNotConfigured', '', nowMs)
  if (!isResolved(sink))
    return conditions.markFalse(
      cleared,
      type,
      sink.reason ?? "Unable to get the dead letter sink's URI",
      sink.problem,
      nowMs,
    )
  return conditions.markTrue(
    {
      ...cleared,
      deadLetterSinkUri: sink.url,
      ...(sink.caCerts !== undefined && { deadLetterSinkCACerts: sink.caCerts }),
      ...(sink.audience !== undefined && { deadLetterSinkAudience: sink.audience }),
    },
    type,
    nowMs,
  )
}
