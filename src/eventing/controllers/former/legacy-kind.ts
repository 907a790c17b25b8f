/** Kinds that have moved to another group: makes the object of today, of the same name, and repeats what that says. */
import { apiVersionOf, type Kind } from '../../../kube/api/kind.ts'
import { keyOf, type KubeObject } from '../../../kube/api/meta.ts'
import type { Apply, Reconciler } from '../../../kube/controller/reconciler.ts'
import { conditionOf, conditionSet, finish, type Condition } from '../../../knative/conditions.ts'
import type { Fields } from '../../../knative/old-form.ts'
import { LegacyChannel, LegacySubscription } from '../../api/former/legacy-channel.ts'
import { legacyFlows } from '../../api/former/legacy-flow.ts'
import type { LegacyKind, LegacyObject, LegacyStatus } from '../../api/former/legacy-kind.ts'
import {
  isPartOf,
  isTakenOver,
  nameTaken,
  namesakeOf,
  release,
  successorApply,
  supersedes,
} from './successor.ts'

interface Successor extends KubeObject {
  readonly status?: LegacyStatus & {
    readonly address?: { readonly url?: string }
    readonly branchStatuses?: readonly unknown[]
  }
}

export interface World {
  readonly legacy: LegacyObject
  readonly successor: Successor | undefined
}

const conditions = conditionSet({ dependents: [] })

const superseded = 'Superseded'

interface Own {
  /** What it had beside. */
  readonly also?: (legacy: LegacyObject) => readonly Apply[]
  /** Fields of its status that today's does not have. */
  readonly says?: (legacy: LegacyObject) => Fields
}

export const legacyReconciler = (
  { kind, successor: successorKind, specOf, conditions: former }: LegacyKind,
  { also = () => [], says = () => ({}) }: Own = {},
): Reconciler<LegacyObject, World> => ({
  name: `legacy-${kind.kind.toLowerCase()}-controller`,
  kind,
  // By its name: one that is somebody else's may go.
  watches: [{ kind: successorKind, wake: namesakeOf(kind) }],
  observe: (legacy, read) => ({
    legacy,
    successor: read.get(successorKind as Kind<Successor>, keyOf(legacy)),
  }),

  plan({ legacy, successor }, nowMs) {
    const { generation = 0, name } = legacy.metadata
    const begun = conditions.begin(legacy.status ?? {}, generation, nowMs)
    const isOurs = successor !== undefined && isPartOf(successor, legacy)
    if (successor && (isOurs ? isTakenOver(successor) : supersedes(successor, kind))) {
      const message = `${apiVersionOf(successorKind)} ${successorKind.kind} "${name}" was applied over the one that was made for this object: it is its own now, and this object can be deleted`
      const mirrored = { ...repeated(begun, successor, former, nowMs), ...says(legacy) }
      const status = conditions.markTrueWithReason(mirrored, superseded, superseded, message, nowMs)
      const owner = { kind, object: legacy }
      return {
        apply: [...(isOurs ? [release(successor, successorKind, owner)] : []), ...also(legacy)],
        status: finish(status, legacy.status, generation, nowMs),
        events: isOurs ? [{ type: 'Normal', reason: superseded, message }] : [],
      }
    }
    if (successor && !isOurs) {
      const message = nameTaken(successorKind, name)
      const status = conditions.markFalse(begun, 'Ready', 'NameTaken', message, nowMs)
      return { status: finish(status, legacy.status, generation, nowMs) }
    }
    return {
      apply: [
        successorApply({ kind, object: legacy }, successorKind, specOf(legacy)),
        ...also(legacy),
      ],
      status: finish(
        { ...repeated(begun, successor, former, nowMs), ...says(legacy) },
        legacy.status,
        generation,
        nowMs,
      ),
      statusOnFailure: ({ message }) =>
        finish(
          conditions.markFalse(begun, 'Ready', 'NotTaken', message, nowMs),
          legacy.status,
          generation,
          nowMs,
        ),
    }
  },
})

function repeated(
  begun: LegacyStatus,
  successor: Successor | undefined,
  former: LegacyKind['conditions'],
  nowMs: number,
): LegacyStatus {
  const ready = conditionOf(successor?.status, 'Ready')
  const isCurrent = successor?.status?.observedGeneration === successor?.metadata.generation
  if (!successor?.status || !ready || !isCurrent)
    return conditions.markUnknown(
      begun,
      'Ready',
      'NotYetReconciled',
      'the object of today is being made',
      nowMs,
    )
  const {
    conditions: all = [],
    observedGeneration: _,
    address,
    branchStatuses,
    ...rest
  } = successor.status
  const host = URL.parse(address?.url ?? '')?.hostname
  return {
    ...rest,
    ...(branchStatuses && { branchStatuses, caseStatuses: branchStatuses as readonly Fields[] }),
    ...(address && { address: { ...address, ...(host && { hostname: host }) } }),
    conditions: [...all, ...withFormerNames(all, former)].sort((a, b) =>
      a.type < b.type ? -1 : 1,
    ),
  }
}

/** Conditions of today under the names they had. */
const withFormerNames = (
  conditions: readonly Condition[],
  former: LegacyKind['conditions'],
): readonly Condition[] =>
  Object.entries(former).flatMap(([type, today]) => {
    const found = conditions.find((each) => each.type === today)
    return found ? [{ ...found, type }] : []
  })

export const legacyReconcilers = [...legacyFlows, LegacyChannel, LegacySubscription].map((each) =>
  legacyReconciler(each),
)
