/**
 * Freezing instead of going to zero: where the scale step would take the last pod away, the pod stays, stopped, for as
 * long as its Revision says, and goes on when a pod is wanted again. To Knative's eyes the Revision is at zero all the
 * while: no pod is ready, Active is False. Pure.
 */
import { rfc3339 } from '../../../lib/clock.ts'
import { keyOf } from '../../../kube/api/meta.ts'
import { Pod } from '../../../kube/api/pod.ts'
import {
  frozenEvictedAnnotation,
  frozenSinceAnnotation,
  frozenSinceMs,
} from '../../../kube/api/pod-freezing.ts'
import type { Patch } from '../../../kube/controller/reconciler.ts'
import type { ScaleStep } from '../../autoscaler/scale.ts'

export interface FreezeWorld {
  /** Pods of the Revision that are neither ended nor being deleted. */
  readonly pods: readonly Pod[]
  /** Whether a pod is ready. */
  readonly isReady: (pod: Pod) => boolean
  /** 0 = pods end. */
  readonly freezeForMs: number
}

export interface FreezeStep {
  /** The scale step, as far as freezing leaves it. */
  readonly step: ScaleStep
  /** Annotations of pods to freeze or to thaw. */
  readonly patch: readonly Patch[]
}

export function freezeStep(step: ScaleStep, world: FreezeWorld, nowMs: number): FreezeStep {
  const { pods, isReady, freezeForMs } = world
  const frozen = pods.filter((pod) => frozenSinceMs(pod) !== undefined)
  if (step.apply !== undefined && step.apply > 0)
    return { step, patch: frozen.map((pod) => annotate(pod, null)) }
  const endMs = (pod: Pod): number =>
    pod.metadata.annotations?.[frozenEvictedAnnotation] === undefined
      ? (frozenSinceMs(pod) ?? nowMs) + freezeForMs
      : nowMs
  const leftMs = Math.max(0, ...frozen.map((pod) => endMs(pod) - nowMs))
  if (step.apply === undefined) {
    // Nothing is known or to be done; but the time of what is frozen goes by all the same.
    if (frozen.length === 0 || step.want > 0) return { step, patch: [] }
    return leftMs > 0
      ? { step: lookAgain(step, leftMs), patch: [] }
      : { step: { ...step, apply: 0 }, patch: [] }
  }
  const fresh = freezeForMs > 0 && frozen.length === 0 ? pods.filter(isReady) : []
  if (fresh.length > 0) {
    const [first] = fresh
    // One pod is enough to wake up from; the others end as always, and then it is frozen.
    const only = fresh.length === 1 && pods.length === 1
    return {
      step: lookAgain({ ...step, apply: 1 }, freezeForMs),
      patch: only && first ? [annotate(first, rfc3339(nowMs))] : [],
    }
  }
  return leftMs > 0
    ? { step: lookAgain({ ...step, apply: 1 }, leftMs), patch: [] }
    : { step, patch: [] }
}

const lookAgain = (step: ScaleStep, afterMs: number): ScaleStep => ({
  ...step,
  // Times on objects are whole seconds.
  requeueAfterMs: Math.min(step.requeueAfterMs ?? Number.POSITIVE_INFINITY, afterMs + 1_000),
})

const annotate = (pod: Pod, since: string | null): Patch => ({
  kind: Pod,
  key: keyOf(pod),
  body: {
    metadata: {
      ...(pod.metadata.uid && { uid: pod.metadata.uid }),
      annotations: {
        [frozenSinceAnnotation]: since,
        ...(pod.metadata.annotations?.[frozenEvictedAnnotation] !== undefined && {
          [frozenEvictedAnnotation]: null,
        }),
      },
    },
  },
})
