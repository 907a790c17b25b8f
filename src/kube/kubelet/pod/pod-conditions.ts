/** Phase and conditions of a pod, computed from its containers. Pure. */
import type { Pod } from '../../api/pod.ts'
import { frozen } from '../../api/pod-freezing.ts'
import { isSidecar, type ContainerDefinition } from '../container/container-state.ts'
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

const frozenMessage = 'the processes are stopped until a request comes'
const memoryText = (bytes: number | undefined): string =>
  bytes === undefined
    ? frozenMessage
    : `${frozenMessage}; they keep ${Math.ceil(bytes / 1024)}Ki of memory`

export interface ConditionFacts {
  readonly hasSandbox: boolean
  readonly phase: Phase
  readonly frozen?: { readonly stopped: boolean; readonly memoryBytes: number | undefined }
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

  const containersReady: Omit<Condition, 'lastTransitionTime'> = facts.frozen
    ? { type: 'ContainersReady', status: 'False', reason: frozen, message: frozenMessage }
    : done !== undefined
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
  if (facts.frozen?.stopped)
    own.push({
      type: frozen,
      status: 'True',
      reason: 'ScaledToZero',
      message: memoryText(facts.frozen.memoryBytes),
    })
  else if (before.some(({ type }) => type === frozen))
    own.push({ type: frozen, status: 'False', reason: 'Thawed' })
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
