/**
 * Keeps the status of PodDisruptionBudgets: how many of their pods are healthy, must be, and may be evicted (upstream:
 * pkg/controller/disruption).
 */
import { rfc3339 } from '../../../lib/clock.ts'
import { controllerOf, keyOf, type KubeObject, type ObjectKey } from '../../api/meta.ts'
import { Pod } from '../../api/pod.ts'
import { PodDisruptionBudget } from '../../api/pod-disruption-budget.ts'
import { ReplicaSet } from '../../api/replica-set.ts'
import { ReplicationController } from '../../api/replication-controller.ts'
import { selectorMatcher } from '../../api/selectors.ts'
import { StatefulSet } from '../../api/stateful-set.ts'
import type { Plan, Reader, Reconciler } from '../../controller/reconciler.ts'
import { isReady, isTerminated } from '../pod-state.ts'

interface World {
  readonly budget: PodDisruptionBudget
  readonly pods: readonly Pod[]
  /** What the controllers of the pods want altogether; a pod without one counts for itself. */
  readonly scale: number
}

/** An eviction that was granted and did not come is forgotten after this. */
const grantMs = 120_000
const owners = [ReplicaSet, StatefulSet, ReplicationController] as const

export const disruption: Reconciler<PodDisruptionBudget, World> = {
  name: 'disruption-controller',
  kind: PodDisruptionBudget,
  watches: [{ kind: Pod, wake: budgetsOf }, ...owners.map((kind) => ({ kind, wake: inNamespace }))],
  observe(budget, read) {
    const namespace = budget.metadata.namespace ?? ''
    const { selector } = budget.spec ?? {}
    const matches = selectorMatcher(selector)
    const pods = selector
      ? read
          .list(Pod, namespace)
          .filter((pod) => matches(pod.metadata.labels) && !isTerminated(pod))
      : []
    const seen = new Set<string>()
    let scale = 0
    for (const pod of pods) {
      const owner = controllerOf(pod)
      const kind = owners.find((each) => each.kind === owner?.kind)
      if (!owner || !kind) scale++
      else if (!seen.has(owner.uid)) {
        seen.add(owner.uid)
        const found = read.get<KubeObject & { readonly spec: { readonly replicas?: number } }>(
          kind,
          { namespace, name: owner.name },
        )
        scale += found?.spec.replicas ?? 1
      }
    }
    return { budget, pods, scale }
  },
  plan({ budget, pods, scale }, nowMs): Plan {
    const { spec = {}, status, metadata } = budget
    const { minAvailable, maxUnavailable } = spec
    const expectedPods = typeof minAvailable === 'number' ? pods.length : scale
    const desiredHealthy =
      maxUnavailable !== undefined
        ? Math.max(0, expectedPods - amount(maxUnavailable, expectedPods))
        : amount(minAvailable ?? 1, expectedPods)
    const granted = Object.entries(status?.disruptedPods ?? {}).filter(([name, at]) => {
      const pod = pods.find((each) => each.metadata.name === name)
      return pod && !pod.metadata.deletionTimestamp && nowMs - Date.parse(at) < grantMs
    })
    const leaving = new Set(granted.map(([name]) => name))
    const currentHealthy = pods.filter(
      (pod) => isReady(pod) && !pod.metadata.deletionTimestamp && !leaving.has(pod.metadata.name),
    ).length
    const disruptionsAllowed = expectedPods > 0 ? Math.max(0, currentHealthy - desiredHealthy) : 0
    const allowed = disruptionsAllowed > 0
    const before = status?.conditions?.find(({ type }) => type === 'DisruptionAllowed')
    const value = allowed ? 'True' : 'False'
    return {
      status: {
        observedGeneration: metadata.generation ?? 1,
        ...(granted.length > 0 && { disruptedPods: Object.fromEntries(granted) }),
        disruptionsAllowed,
        currentHealthy,
        desiredHealthy,
        expectedPods,
        conditions: [
          {
            type: 'DisruptionAllowed',
            status: value,
            reason: allowed ? 'SufficientPods' : 'InsufficientPods',
            message: '',
            observedGeneration: metadata.generation ?? 1,
            lastTransitionTime:
              before?.status === value ? before.lastTransitionTime : rfc3339(nowMs),
          },
        ],
      },
      ...(granted.length > 0 && { requeueAfterMs: grantMs }),
    }
  },
}

/** A number, or a percentage of the pods, rounded up. */
const amount = (value: number | string, of: number): number =>
  typeof value === 'number' ? value : Math.ceil((Number.parseInt(value, 10) * of) / 100)

function* budgetsOf({ metadata }: KubeObject, read: Reader): Iterable<ObjectKey> {
  for (const budget of read.list(PodDisruptionBudget, metadata.namespace ?? ''))
    if (budget.spec?.selector && selectorMatcher(budget.spec.selector)(metadata.labels))
      yield keyOf(budget)
}

function* inNamespace({ metadata }: KubeObject, read: Reader): Iterable<ObjectKey> {
  for (const budget of read.list(PodDisruptionBudget, metadata.namespace ?? '')) yield keyOf(budget)
}
