/**
 * Freezing: a Revision may keep its last pod for a while after it has gone to zero, stopped instead of ended, so that the
 * next request finds its process where it was (`ebb.dev/freeze-for` on the template, `freeze-for` in config-autoscaler
 * for those that do not say). How a pod is told is Kubernetes' side of it, kube/api/pod-freezing.ts.
 */
import { formatDuration, parseDuration } from '../../knative/duration.ts'
import type { FieldError } from '../../knative/field-error.ts'
import type { AutoscalerConfig } from './config/autoscaler.ts'

/** On a Revision's template: how long its last pod stays frozen. `0s` = not at all. */
const freezeForAnnotation = 'ebb.dev/freeze-for'

/** The longest that is taken. */
const longestMs = 24 * 3_600_000

/** How long the last pod of a Revision with these annotations stays frozen; 0 = it ends at once. */
export function freezeForMs(
  annotations: Readonly<Record<string, string>> | undefined,
  { freezeForMs: fallback }: Pick<AutoscalerConfig, 'freezeForMs'>,
): number {
  const said = annotations?.[freezeForAnnotation]
  const ms = said === undefined ? undefined : parseDuration(said)
  return ms === undefined || ms < 0 ? fallback : ms
}

/** Complaints about the annotation of a template. */
export function* validateFreezing(
  annotations: Readonly<Record<string, string>> | undefined,
): Generator<FieldError> {
  const said = annotations?.[freezeForAnnotation]
  if (said === undefined) return
  const ms = parseDuration(said)
  if (ms !== undefined && ms >= 0 && ms <= longestMs) return
  yield {
    message: `invalid value: ${said}`,
    paths: [freezeForAnnotation],
    details: `expected a duration from 0s to ${formatDuration(longestMs)}, for example 10m: how long the last pod stays frozen after the revision went to zero`,
  }
}
