/** The sink of a source in its status: condition SinkProvided and the fields beside it. */
import type { ConditionSet } from '../../../knative/conditions.ts'
import { conditionOf } from '../../../knative/conditions.ts'
import type { PlannedEvent } from '../../../kube/controller/reconciler.ts'
import type { Destination } from '../../api/duck/destination.ts'
import type { SourceStatus } from '../../api/duck/source-spec.ts'
import { isResolved, type Resolution } from '../destination/resolver.ts'

/** `status` with where events go, or why they go nowhere. */
export function withSink<S extends SourceStatus>(
  status: S,
  sink: Resolution,
  conditions: ConditionSet,
  nowMs: number,
): S {
  const { sinkUri: _uri, sinkCACerts: _certificates, sinkAudience: _audience, ...bare } = status
  const cleared = bare as unknown as S
  if (!isResolved(sink))
    return conditions.markFalse(cleared, 'SinkProvided', 'NotFound', sink.problem, nowMs)
  return conditions.markTrue(
    {
      ...cleared,
      sinkUri: sink.url,
      ...(sink.caCerts !== undefined && { sinkCACerts: sink.caCerts }),
      ...(sink.audience !== undefined && { sinkAudience: sink.audience }),
    },
    'SinkProvided',
    nowMs,
  )
}

/** Told once, when it is lost. */
export function sinkNotFound(
  sink: Destination | undefined,
  resolution: Resolution,
  before: SourceStatus | undefined,
): readonly PlannedEvent[] {
  if (isResolved(resolution)) return []
  if (conditionOf(before, 'SinkProvided')?.reason === 'NotFound') return []
  return [
    {
      type: 'Warning',
      reason: 'SinkNotFound',
      message: `Sink not found: ${JSON.stringify(sink ?? {})}`,
    },
  ]
}
