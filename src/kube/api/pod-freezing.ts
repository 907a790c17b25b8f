/**
 * The words of a frozen pod: its processes are stopped (SIGSTOP) and it gets no requests until it thaws. Not Kubernetes';
 * controllers ask for it by annotation, the node agent follows and says so in condition and reason `Frozen`.
 */
import type { Pod } from './pod.ts'

/** The moment (RFC 3339) since when the pod is to be frozen; without it the pod runs. */
export const frozenSinceAnnotation = 'ebb.dev/frozen-since'
/** Set by the node agent on a frozen pod that has to go, with the reason. */
export const frozenEvictedAnnotation = 'ebb.dev/frozen-evicted'
/** Type of the pod's condition, and its reason for not being ready. */
export const frozen = 'Frozen'

/** Since when a pod is to be frozen, Unix milliseconds; undefined when it is not. */
export function frozenSinceMs({ metadata }: Pod): number | undefined {
  const since = Date.parse(metadata.annotations?.[frozenSinceAnnotation] ?? '')
  return Number.isNaN(since) ? undefined : since
}

/** The node agent has said that its processes are stopped. */
export const isFrozen = ({ status }: Pod): boolean =>
  status?.conditions?.some(({ type, status: value }) => type === frozen && value === 'True') ??
  false
