/** Phase and conditions of a pod, computed from its containers (contracts/kube §10.8). Pure. */
import type { Pod } from '../api/pod.ts'
import { isSidecar, type ContainerDefinition } from './container-state.ts'
import type { States } from './sync-pod.ts'

export type Phase = 'Pending' | 'Running' | 'Succeeded' | 'Failed'
type Condition = NonNullable<NonNullable<Pod['status']>['conditions']>[number]

/** The phase while nothing final has been decided. */
export function phaseOf(pod: Pod, states: States, finished: Phase | undefined): Phase {
  if (finished) return finished
  const begun = (container: ContainerDefinition) =>
    (states.get(container.name)?.restarts ?? -1) >= 0
  return initialized(pod, states).length === 0 && pod.spec.containers.every(begun)
    ? 'Running'
    : 'Pending'
}

/** Names of init containers that have not done their part. */
export function initialized(pod: Pod, states: States): readonly string[] {
  // Once main containers have been started, init containers are done for good.
  if (pod.spec.containers.some(({ name }) => (states.get(name)?.restarts ?? -1) >= 0)) return []
  return (pod.spec.initContainers ?? [])
    .filter((container) => {
      const state = states.get(container.name)
      if (isSidecar(container)) return !state?.started
      return !(state?.state.is === 'terminated' && state.state.exitCode === 0)
    })
    .map(({ name }) => name)
}

export interface ConditionFacts {
  readonly hasSandbox: boolean
  readonly phase: Phase
  /** RFC 3339, of a change now. */
  readonly now: string
}

/** All conditions in Kubernetes' order; the times of those that did not change are kept, foreign ones too. */
export function podConditions(
  pod: Pod,
  states: States,
  facts: ConditionFacts,
): readonly Condition[] {
  const { phase } = facts
  const done = phase === 'Succeeded' ? 'PodCompleted' : phase === 'Failed' ? 'PodFailed' : undefined
  const missing = initialized(pod, states)
  const counted = [...(pod.spec.initContainers ?? []).filter(isSidecar), ...pod.spec.containers]
  const unknown = counted.filter(({ name }) => !states.has(name)).map(({ name }) => name)
  const unready = counted.filter(({ name }) => !states.get(name)?.ready).map(({ name }) => name)

  const containersReady: Omit<Condition, 'lastTransitionTime'> =
    done !== undefined
      ? { type: 'ContainersReady', status: 'False', reason: done }
      : unready.length === 0
        ? { type: 'ContainersReady', status: 'True' }
        : {
            type: 'ContainersReady',
            status: 'False',
            reason: 'ContainersNotReady',
            message: [
              ...(unknown.length > 0
                ? [`containers with unknown status: [${unknown.join(' ')}]`]
                : []),
              `containers with unready status: [${unready.join(' ')}]`,
            ].join(', '),
          }
  const gates = (pod.spec.readinessGates ?? []).flatMap(({ conditionType }) => {
    const status = pod.status?.conditions?.find(({ type }) => type === conditionType)?.status
    if (status === 'True') return []
    return [
      status === undefined
        ? `corresponding condition of pod readiness gate "${conditionType}" does not exist.`
        : `the status of pod readiness gate "${conditionType}" is not "True", but ${status}`,
    ]
  })
  const ready =
    containersReady.status === 'True' && gates.length > 0
      ? {
          type: 'Ready',
          status: 'False',
          reason: 'ReadinessGatesNotReady',
          message: gates.join(', '),
        }
      : { ...containersReady, type: 'Ready' }

  const own: Omit<Condition, 'lastTransitionTime'>[] = [
    { type: 'PodReadyToStartContainers', status: facts.hasSandbox && !done ? 'True' : 'False' },
    missing.length === 0 || phase === 'Succeeded'
      ? {
          type: 'Initialized',
          status: 'True',
          ...(phase === 'Succeeded' && { reason: 'PodCompleted' }),
        }
      : {
          type: 'Initialized',
          status: 'False',
          reason: 'ContainersNotInitialized',
          message: `containers with incomplete status: [${missing.join(' ')}]`,
        },
    ready,
    containersReady,
    { type: 'PodScheduled', status: 'True' },
  ]
  const before = pod.status?.conditions ?? []
  const kept = before.filter(({ type }) => !own.some((condition) => condition.type === type))
  return [
    ...own.map((condition) => {
      const same = before.find(
        ({ type, status }) => type === condition.type && status === condition.status,
      )
      return { ...condition, lastTransitionTime: same?.lastTransitionTime ?? facts.now }
    }),
    ...kept,
  ]
}
