/**
 * Conditions of a status and how they roll up into one happy condition (knative.dev/pkg `apis.ConditionSet`).
 * Pure: every function takes a status and answers a new one.
 *
 * Within one reconcile all marks happen at the same `nowMs`, yet "the newest bad news wins" needs their order. So a
 * mark carries a running fraction in its lastTransitionTime; `finish` cuts it off before the status is written.
 */
import { rfc3339 } from '../lib/clock.ts'
import type { KubeObject } from '../kube/api/meta.ts'

export type ConditionStatus = 'True' | 'False' | 'Unknown'

/** One entry of status.conditions. No severity means Error. */
export interface Condition {
  readonly type: string
  readonly status: ConditionStatus
  readonly reason?: string
  readonly message?: string
  readonly severity?: string
  readonly lastTransitionTime?: string
}

/** The part of a status that conditions live in (duck type KResource). */
export interface ConditionsStatus {
  readonly observedGeneration?: number
  readonly conditions?: readonly Condition[]
}

/** Any object with such a status. */
export interface ConditionedObject extends KubeObject {
  readonly status?: ConditionsStatus
}

export interface ConditionSet {
  /** The type that sums up the others: `Ready`, or `Succeeded` for things that end. */
  readonly happy: string
  readonly dependents: readonly string[]
  /** Adds what is missing as Unknown (as True when the happy condition was True already). */
  initialize<S extends ConditionsStatus>(status: S, nowMs: number): S
  /**
   * What a reconcile starts with: `initialize`, and a happy condition of Unknown/NewObservedGenFailure when
   * `generation` was never observed.
   */
  begin<S extends ConditionsStatus>(status: S, generation: number, nowMs: number): S
  markTrue<S extends ConditionsStatus>(status: S, type: string, nowMs: number): S
  markTrueWithReason<S extends ConditionsStatus>(
    status: S,
    type: string,
    reason: string,
    message: string,
    nowMs: number,
  ): S
  markUnknown<S extends ConditionsStatus>(
    status: S,
    type: string,
    reason: string,
    message: string,
    nowMs: number,
  ): S
  markFalse<S extends ConditionsStatus>(
    status: S,
    type: string,
    reason: string,
    message: string,
    nowMs: number,
  ): S
  /** Copies status, reason and message of `source` (another object's condition) into `type`; nothing when absent. */
  mirror<S extends ConditionsStatus>(
    status: S,
    type: string,
    source: Condition | undefined,
    nowMs: number,
  ): S
  /** Removes a non-dependent condition; the happy one and its dependents cannot be removed. */
  clear<S extends ConditionsStatus>(status: S, type: string): S
}

/** Declares which conditions the happy one depends on. */
export function conditionSet({
  happy = 'Ready',
  dependents = [],
}: {
  readonly happy?: string
  readonly dependents?: readonly string[]
}): ConditionSet {
  const isTerminal = (type: string) => type === happy || dependents.includes(type)

  function set<S extends ConditionsStatus>(
    status: S,
    type: string,
    value: { status: ConditionStatus; reason?: string; message?: string },
    nowMs: number,
  ): S {
    const conditions = status.conditions ?? []
    const next: Condition = {
      type,
      status: value.status,
      ...(isTerminal(type) ? {} : { severity: 'Info' }),
      ...(value.reason && { reason: value.reason }),
      ...(value.message && { message: value.message }),
    }
    const old = conditions.find((condition) => condition.type === type)
    if (old && sameCondition(old, next)) return status
    const stamped = { ...next, lastTransitionTime: stamp(conditions, nowMs) }
    return {
      ...status,
      conditions: [...conditions.filter((condition) => condition.type !== type), stamped].sort(
        byType,
      ),
    }
  }

  function recompute<S extends ConditionsStatus>(status: S, type: string, nowMs: number): S {
    const conditions = status.conditions ?? []
    const others = conditions.filter((condition) => condition.type !== happy && !condition.severity)
    const unhappy =
      newest(others.filter((condition) => condition.status === 'False')) ??
      newest(others.filter((condition) => condition.status === 'Unknown'))
    if (unhappy) return set(status, happy, unhappy, nowMs)
    if (type === happy) return status
    const missing = dependents.some((dependent) => !others.some((one) => one.type === dependent))
    return set(status, happy, { status: missing ? 'Unknown' : 'True' }, nowMs)
  }

  const self: ConditionSet = {
    happy,
    dependents,

    initialize(status, nowMs) {
      const wasHappy = conditionOf(status, happy)
      let next = status
      for (const type of [happy, ...dependents]) {
        if (conditionOf(next, type)) continue
        next = set(next, type, { status: wasHappy?.status === 'True' ? 'True' : 'Unknown' }, nowMs)
      }
      return next
    },

    begin(status, generation, nowMs) {
      const next = self.initialize(status, nowMs)
      if (status.observedGeneration === generation) return next
      return set(
        next,
        happy,
        {
          status: 'Unknown',
          reason: 'NewObservedGenFailure',
          message: 'unsuccessfully observed a new generation',
        },
        nowMs,
      )
    },

    markTrue: (status, type, nowMs) =>
      recompute(set(status, type, { status: 'True' }, nowMs), type, nowMs),

    markTrueWithReason: (status, type, reason, message, nowMs) =>
      recompute(set(status, type, { status: 'True', reason, message }, nowMs), type, nowMs),

    markUnknown(status, type, reason, message, nowMs) {
      const value = { status: 'Unknown', reason, message } as const
      const next = set(status, type, value, nowMs)
      const failed = dependents.some(
        (dependent) => conditionOf(next, dependent)?.status === 'False',
      )
      if (failed) {
        // Upstream's quirk: when Ready is not False yet it becomes so with the new reason, not the failed one's.
        return conditionOf(next, happy)?.status === 'False'
          ? next
          : set(next, happy, { status: 'False', reason, message }, nowMs)
      }
      return isTerminal(type) ? set(next, happy, value, nowMs) : next
    },

    markFalse(status, type, reason, message, nowMs) {
      const value = { status: 'False', reason, message } as const
      const next = set(status, type, value, nowMs)
      return isTerminal(type) ? set(next, happy, value, nowMs) : next
    },

    mirror(status, type, source, nowMs) {
      if (!source) return status
      const { reason = '', message = '' } = source
      switch (source.status) {
        case 'True':
          return self.markTrue(status, type, nowMs)
        case 'False':
          return self.markFalse(status, type, reason, message, nowMs)
        case 'Unknown':
          return self.markUnknown(status, type, reason, message, nowMs)
      }
    },

    clear(status, type) {
      if (isTerminal(type) || !conditionOf(status, type)) return status
      const conditions = status.conditions ?? []
      return { ...status, conditions: conditions.filter((condition) => condition.type !== type) }
    },
  }
  return self
}

/**
 * What a reconcile ends with, also a failed one: observedGeneration, and lastTransitionTime in whole seconds, new
 * only for conditions that differ from the `stored` status in any other field.
 */
export function finish<S extends ConditionsStatus>(
  status: S,
  stored: ConditionsStatus | undefined,
  generation: number,
  nowMs: number,
): S {
  const conditions = (status.conditions ?? []).map((condition): Condition => {
    const before = stored?.conditions?.find((old) => old.type === condition.type)
    const same = before !== undefined && sameCondition(before, condition)
    const time = (same && before.lastTransitionTime) || rfc3339(nowMs)
    return { ...condition, lastTransitionTime: time }
  })
  return { ...status, conditions, observedGeneration: generation }
}

/** The condition of a type. */
export const conditionOf = (
  status: ConditionsStatus | undefined,
  type: string,
): Condition | undefined => status?.conditions?.find((condition) => condition.type === type)

/** True when the happy condition is True for the generation that is stored now. */
export const isReady = (object: ConditionedObject, happy = 'Ready'): boolean =>
  isObserved(object) && conditionOf(object.status, happy)?.status === 'True'

/** True when the happy condition is False for the generation that is stored now. */
export const isFailed = (object: ConditionedObject, happy = 'Ready'): boolean =>
  isObserved(object) && conditionOf(object.status, happy)?.status === 'False'

/** True when the status speaks of the spec that is stored now. */
export const isObserved = (object: ConditionedObject): boolean =>
  (object.status?.observedGeneration ?? 0) === (object.metadata.generation ?? 0)

const sameCondition = (a: Condition, b: Condition): boolean =>
  a.status === b.status &&
  (a.reason ?? '') === (b.reason ?? '') &&
  (a.message ?? '') === (b.message ?? '') &&
  (a.severity ?? '') === (b.severity ?? '')

const byType = (a: Condition, b: Condition): number =>
  a.type < b.type ? -1 : a.type > b.type ? 1 : 0

/** A time of `nowMs` that is later than all marks made at the same moment. */
function stamp(conditions: readonly Condition[], nowMs: number): string {
  const second = rfc3339(nowMs).slice(0, -1)
  let order = 0
  for (const { lastTransitionTime: time } of conditions) {
    if (time?.startsWith(`${second}.`)) order = Math.max(order, Number(time.slice(20, -1)))
  }
  return `${second}.${String(order + 1).padStart(9, '0')}Z`
}

function newest(conditions: readonly Condition[]): Condition | undefined {
  let found: Condition | undefined
  for (const condition of conditions) {
    if (!found || order(condition) > order(found)) found = condition
  }
  return found
}

/** Sortable form: the fraction padded, so that `…:00Z` sorts before `…:00.000000001Z`. */
const order = ({ lastTransitionTime: time = '' }: Condition): string =>
  `${time.slice(0, 19)}.${time.slice(20, -1).padEnd(9, '0')}`
