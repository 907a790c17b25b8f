/**
 * Kinds that have moved to another group: makes the object of today, of the same name, and repeats what that says (contract
 * eventing §9.2, 9.4).
 */
import { apiVersionOf, type Kind } from '../../../kube/api/kind.ts'
import { controllerOf, keyOf, type KubeObject } from '../../../kube/api/meta.ts'
import type { Reconciler } from '../../../kube/controller/reconciler.ts'
import { conditionOf, conditionSet, finish, type Condition } from '../../../knative/conditions.ts'
import { isFields, type Fields } from '../../../knative/old-form.ts'
import { LegacyChannel, LegacySubscription } from '../../api/former/legacy-channel.ts'
import { legacyFlows } from '../../api/former/legacy-flow.ts'
import type { LegacyKind, LegacyObject, LegacyStatus } from '../../api/former/legacy-kind.ts'
import { ownedMetadata } from '../flows/flow-objects.ts'

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

const legacyReconciler = ({
  kind,
  successor: successorKind,
  specOf,
  conditions: former,
}: LegacyKind): Reconciler<LegacyObject, World> => ({
  name: `legacy-${kind.kind.toLowerCase()}-controller`,
  kind,
  watches: [{ kind: successorKind, wake: 'owner' }],
  observe: (legacy, read) => ({
    legacy,
    successor: read.get(successorKind as Kind<Successor>, keyOf(legacy)),
  }),

  plan({ legacy, successor }, nowMs) {
    const { generation = 0, name, uid } = legacy.metadata
    const begun = conditions.begin(legacy.status ?? {}, generation, nowMs)
    if (successor && controllerOf(successor)?.uid !== uid) {
      const message = `there is a ${successorKind.kind} "${name}" of ${apiVersionOf(successorKind)} that is not this one's; rename one of them`
      const status = conditions.markFalse(begun, 'Ready', 'NameTaken', message, nowMs)
      return { status: finish(status, legacy.status, generation, nowMs) }
    }
    const desired = {
      apiVersion: apiVersionOf(successorKind),
      kind: successorKind.kind,
      metadata: ownedMetadata({ kind, object: legacy }, name),
      spec: specOf(legacy),
    }
    return {
      apply: [
        {
          kind: successorKind,
          desired: desired as KubeObject,
          // What defaulting filled in stays.
          merge: (existing) => ({
            ...existing,
            spec: filled(desired.spec, (existing as LegacyObject).spec ?? {}),
          }),
        },
      ],
      status: finish(repeated(begun, successor, former, nowMs), legacy.status, generation, nowMs),
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

/** `spec` with those fields of the stored one that it says nothing of, as deep as maps go. */
function filled(spec: Fields, stored: Fields): Fields {
  const merged = Object.fromEntries(
    Object.entries(spec).map(([name, value]) => {
      const before = stored[name]
      if (Array.isArray(value) && Array.isArray(before) && value.length === before.length)
        return [name, value.map((each: unknown, i) => filledValue(each, before[i]))]
      return [name, filledValue(value, before)]
    }),
  )
  const { channelTemplate } = stored
  return spec['channelTemplate'] === undefined && channelTemplate !== undefined
    ? { ...merged, channelTemplate }
    : merged
}

/** References get their namespace by defaulting. */
function filledValue(value: unknown, before: unknown): unknown {
  if (!isFields(value) || !isFields(before)) return value
  const next = filled(value, before)
  const { name, kind, namespace } = value
  const isSame = name !== undefined && name === before['name'] && kind === before['kind']
  return isSame && namespace === undefined && before['namespace'] !== undefined
    ? { ...next, namespace: before['namespace'] }
    : next
}

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

export const legacyReconcilers = [...legacyFlows, LegacyChannel, LegacySubscription].map(
  legacyReconciler,
)
