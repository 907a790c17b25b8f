/** The status of a pod as clients read it, computed from what the node agent knows. Pure. */
import { frozen } from '../../api/pod-freezing.ts'
import { rfc3339 } from '../../../lib/clock.ts'
import type { Pod } from '../../api/pod.ts'
import {
  freshContainer,
  type ContainerDefinition,
  type ContainerState,
  type Terminated,
} from '../container/container-state.ts'
import { initialized, phaseOf, podConditions, type Phase } from './pod-conditions.ts'
import type { States } from './sync-pod.ts'

export type PodStatus = NonNullable<Pod['status']>
type ContainerStatus = NonNullable<PodStatus['containerStatuses']>[number]

export interface PodFacts {
  readonly podIP?: string
  readonly hostIP: string
  readonly startedAtMs: number
  /** Set once the pod has come to its end. */
  readonly finished?: Phase
  /** Why, when it was ended from outside (`DeadlineExceeded`). */
  readonly reason?: string
  readonly message?: string
  /** Its processes are stopped, or about to be. */
  readonly frozen?: { readonly stopped: boolean; readonly memoryBytes: number | undefined }
  readonly nowMs: number
}

export function podStatus(pod: Pod, running: States, facts: PodFacts): PodStatus {
  // Nobody who is stopped can answer.
  const states: States = facts.frozen
    ? new Map([...running].map(([name, state]) => [name, { ...state, ready: false }]))
    : running
  const phase = phaseOf(pod, states, facts.finished)
  const initializing = initialized(pod, states).length > 0
  const init = (pod.spec.initContainers ?? []).map((container) =>
    containerStatus(container, states.get(container.name), 'PodInitializing'),
  )
  return {
    phase,
    conditions: podConditions(pod, states, {
      phase,
      hasSandbox: facts.podIP !== undefined,
      ...(facts.frozen && { frozen: facts.frozen }),
      now: rfc3339(facts.nowMs),
    }),
    hostIP: facts.hostIP,
    hostIPs: [{ ip: facts.hostIP }],
    ...(facts.podIP !== undefined && { podIP: facts.podIP, podIPs: [{ ip: facts.podIP }] }),
    ...(facts.frozen?.stopped && { reason: frozen }),
    ...(facts.reason !== undefined && { reason: facts.reason }),
    ...(facts.message !== undefined && { message: facts.message }),
    startTime: rfc3339(facts.startedAtMs),
    ...(init.length > 0 && { initContainerStatuses: init }),
    containerStatuses: pod.spec.containers.map((container) =>
      containerStatus(
        container,
        states.get(container.name),
        initializing ? 'PodInitializing' : 'ContainerCreating',
      ),
    ),
    ...(pod.spec.ephemeralContainers?.length && {
      ephemeralContainerStatuses: pod.spec.ephemeralContainers.map((container) =>
        containerStatus(container, states.get(container.name), 'ContainerCreating'),
      ),
    }),
    qosClass: qosClass(pod),
  }
}

function containerStatus(
  container: ContainerDefinition,
  state: ContainerState = freshContainer(container.name),
  waitingReason: string,
): ContainerStatus {
  const { last } = state
  return {
    name: container.name,
    state: stateOf(state, waitingReason),
    lastState: last ? { terminated: terminatedOf(last) } : {},
    ready: state.ready,
    started: state.started && state.state.is === 'running',
    restartCount: Math.max(0, state.restarts),
    image: container.image ?? '',
    imageID: state.imageID,
    ...(state.containerID && { containerID: state.containerID }),
  }
}

function stateOf(
  { state, restarts }: ContainerState,
  waitingReason: string,
): NonNullable<ContainerStatus['state']> {
  switch (state.is) {
    case 'waiting': {
      const fresh = state.reason === 'ContainerCreating' && restarts < 0
      const { message } = state
      return {
        waiting: {
          reason: fresh ? waitingReason : state.reason,
          ...(message !== undefined && { message }),
        },
      }
    }
    case 'running':
      return { running: { startedAt: rfc3339(state.startedAtMs) } }
    case 'terminated':
      return { terminated: terminatedOf(state) }
  }
}

const terminatedOf = (end: Terminated) => ({
  exitCode: end.exitCode,
  ...(end.signal !== undefined && { signal: end.signal }),
  reason: end.reason,
  ...(end.message && { message: end.message }),
  startedAt: rfc3339(end.startedAtMs),
  finishedAt: rfc3339(end.finishedAtMs),
  containerID: end.containerID,
})

/** Guaranteed, Burstable or BestEffort, by requests and limits of cpu and memory. */
export function qosClass(pod: Pod): 'Guaranteed' | 'Burstable' | 'BestEffort' {
  const all = [...(pod.spec.initContainers ?? []), ...pod.spec.containers]
  let any = false
  let guaranteed = true
  for (const { resources } of all) {
    for (const name of ['cpu', 'memory']) {
      const limit = resources?.limits?.[name]
      const request = resources?.requests?.[name] ?? limit
      if (limit !== undefined || request !== undefined) any = true
      if (limit === undefined || String(request) !== String(limit)) guaranteed = false
    }
  }
  return !any ? 'BestEffort' : guaranteed ? 'Guaranteed' : 'Burstable'
}
