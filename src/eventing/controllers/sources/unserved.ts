/** Sources that are kept and that nobody serves: their status says so. */
import { conditionSet, finish } from '../../../knative/conditions.ts'
import type { Kind } from '../../../kube/api/kind.ts'
import type { Reconciler } from '../../../kube/controller/reconciler.ts'
import type { FormerSource } from '../../api/former/former-sources.ts'

const conditions = conditionSet({ dependents: ['Deployed'] })

export const unservedSourceReconciler = (
  kind: Kind<FormerSource>,
): Reconciler<FormerSource, FormerSource> => ({
  name: `${kind.kind.toLowerCase()}-controller`,
  kind,
  watches: [],
  observe: (source) => source,
  plan(source, nowMs) {
    const { generation = 0 } = source.metadata
    const begun = conditions.begin(source.status ?? {}, generation, nowMs)
    const status = conditions.markFalse(
      begun,
      'Deployed',
      'NotSupported',
      `nothing here reads from where a ${kind.kind} reads: run a program that does, and tell it its sink with a SinkBinding or a ContainerSource`,
      nowMs,
    )
    return { status: finish(status, source.status, generation, nowMs) }
  },
})
