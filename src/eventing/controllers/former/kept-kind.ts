/** Kinds of the past that are kept: says what holds of each, or what to use in its place. */
import type { Reconciler } from '../../../kube/controller/reconciler.ts'
import { conditionSet, finish } from '../../../knative/conditions.ts'
import { legacyReason, type KeptKind, type KeptObject } from '../../api/former/kept-kind.ts'

export const keptReconciler = ({ kind, fateOf }: KeptKind): Reconciler<KeptObject, KeptObject> => ({
  name: `legacy-${kind.kind.toLowerCase()}-controller`,
  kind,
  watches: [],
  observe: (kept) => kept,
  plan(kept, nowMs) {
    const { generation = 0 } = kept.metadata
    const fate = fateOf(kept)
    const holds = 'holds' in fate ? fate.holds : []
    const conditions = conditionSet({ dependents: holds })
    const begun = conditions.begin(kept.status ?? {}, generation, nowMs)
    const status =
      'advice' in fate
        ? conditions.markUnknown(begun, 'Ready', legacyReason, fate.advice, nowMs)
        : holds.reduce((each, type) => conditions.markTrue(each, type, nowMs), begun)
    return { status: finish(status, kept.status, generation, nowMs) }
  },
})
