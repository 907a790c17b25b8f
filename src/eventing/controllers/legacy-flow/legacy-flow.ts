/**
 * Sequence, Parallel and Choice of messaging.knative.dev: makes the flow of today, of the same name, and repeats what that
 * says (contract eventing §9.4).
 */
import { apiVersionOf, type Kind } from '../../../kube/api/kind.ts'
import { controllerOf, keyOf, type KubeObject } from '../../../kube/api/meta.ts'
import type { Reconciler } from '../../../kube/controller/reconciler.ts'
import { conditionOf, conditionSet, finish } from '../../../knative/conditions.ts'
import { isFields, type Fields } from '../../../knative/old-form.ts'
import {
  legacyFlows,
  type LegacyFlow,
  type LegacyFlowKind,
  type LegacyFlowStatus,
} from '../../api/legacy-flow.ts'
import { ownedMetadata } from '../flow/flow-objects.ts'

interface Flow extends KubeObject {
  readonly status?: LegacyFlowStatus & {
    readonly address?: { readonly url?: string }
    readonly branchStatuses?: readonly unknown[]
  }
}

export interface World {
  readonly flow: LegacyFlow
  readonly successor: Flow | undefined
}

const conditions = conditionSet({ dependents: [] })

const legacyFlowReconciler = ({
  kind,
  successor: successorKind,
  specOf,
}: LegacyFlowKind): Reconciler<LegacyFlow, World> => ({
  name: `legacy-${kind.kind.toLowerCase()}-controller`,
  kind,
  watches: [{ kind: successorKind, wake: 'owner' }],
  observe: (flow, read) => ({
    flow,
    successor: read.get(successorKind as Kind<Flow>, keyOf(flow)),
  }),

  plan({ flow, successor }, nowMs) {
    const { generation = 0, name, uid } = flow.metadata
    const begun = conditions.begin(flow.status ?? {}, generation, nowMs)
    if (successor && controllerOf(successor)?.uid !== uid) {
      const message = `there is a ${successorKind.kind} "${name}" of ${apiVersionOf(successorKind)} that is not this one's; rename one of them`
      const status = conditions.markFalse(begun, 'Ready', 'NameTaken', message, nowMs)
      return { status: finish(status, flow.status, generation, nowMs) }
    }
    const desired = {
      apiVersion: apiVersionOf(successorKind),
      kind: successorKind.kind,
      metadata: ownedMetadata({ kind, object: flow }, name),
      spec: specOf(flow),
    }
    return {
      apply: [
        {
          kind: successorKind,
          desired: desired as KubeObject,
          // What defaulting filled in stays.
          merge: (existing) => ({
            ...existing,
            spec: filled(desired.spec, (existing as LegacyFlow).spec ?? {}),
          }),
        },
      ],
      status: finish(repeated(begun, successor, nowMs), flow.status, generation, nowMs),
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
  begun: LegacyFlowStatus,
  successor: Flow | undefined,
  nowMs: number,
): LegacyFlowStatus {
  const ready = conditionOf(successor?.status, 'Ready')
  const isCurrent = successor?.status?.observedGeneration === successor?.metadata.generation
  if (!successor?.status || !ready || !isCurrent)
    return conditions.markUnknown(
      begun,
      'Ready',
      'NotYetReconciled',
      'its flow is being made',
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
    conditions: all,
  }
}

export const legacyFlowReconcilers = legacyFlows.map(legacyFlowReconciler)
