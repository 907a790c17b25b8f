/** Conditions as the Gateway API wants them: each with a reason and the generation it speaks of. */
import { rfc3339 } from '../../lib/clock.ts'
import type { GatewayCondition } from '../api/gateway-api.ts'

export type Said = Pick<GatewayCondition, 'type' | 'status' | 'reason' | 'message'>

/** The time of a condition is that of its last change of status. */
export const conditionsOf = (
  said: readonly Said[],
  stored: readonly GatewayCondition[] | undefined,
  observedGeneration: number,
  nowMs: number,
): readonly GatewayCondition[] =>
  said.map((one) => {
    const before = stored?.find(({ type }) => type === one.type)
    return {
      ...one,
      // The schema's limit.
      message: one.message.slice(0, 32_768),
      observedGeneration,
      lastTransitionTime:
        before?.status === one.status ? before.lastTransitionTime : rfc3339(nowMs),
    }
  })

/** True when the condition is True for this generation. */
export const holds = (
  conditions: readonly GatewayCondition[] | undefined,
  type: string,
  generation: number,
): boolean =>
  conditions?.some(
    (one) => one.type === type && one.status === 'True' && one.observedGeneration === generation,
  ) ?? false

export const good = (type: string, reason: string, message = ''): Said => ({
  type,
  status: 'True',
  reason,
  message,
})
export const bad = (type: string, reason: string, message: string): Said => ({
  type,
  status: 'False',
  reason,
  message,
})
