/** What controllers ask about a pod. */
import type { Pod } from '../api/pod.ts'

export const podCondition = (pod: Pod, type: string) =>
  pod.status?.conditions?.find((condition) => condition.type === type)

export const isReady = (pod: Pod): boolean => podCondition(pod, 'Ready')?.status === 'True'

/** Ended for good: it will never run again. */
export const isTerminated = (pod: Pod): boolean =>
  pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed'

/** Neither ended nor being deleted. */
export const isActive = (pod: Pod): boolean =>
  !isTerminated(pod) && pod.metadata.deletionTimestamp === undefined

/** Milliseconds since it became ready; undefined when it is not. */
export function readyForMs(pod: Pod, nowMs: number): number | undefined {
  const ready = podCondition(pod, 'Ready')
  if (ready?.status !== 'True') return undefined
  return ready.lastTransitionTime ? nowMs - Date.parse(ready.lastTransitionTime) : 0
}
