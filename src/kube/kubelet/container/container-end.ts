/** How a container ended, between the three who tell it: the runtime, the worker's own state, the pod's status. */
import type { Pod } from '../../api/pod.ts'
import { freshContainer, type ContainerState, type Terminated } from './container-state.ts'
import type { ContainerExit } from '../runtime.ts'

/** The end of a container that has ended. */
export function terminatedOf({ state }: ContainerState): Terminated {
  if (state.is !== 'terminated') throw new Error('the container has not ended')
  const { is: _, ...end } = state
  return end
}

/** An exit as the runtime reports it. `containerID` is the one in the pod's status. */
export const endOf = (
  exit: ContainerExit,
  startedAtMs: number,
  containerID: string,
): Terminated => ({
  exitCode: exit.exitCode,
  ...(exit.signal !== undefined && { signal: exit.signal }),
  reason: exit.reason,
  ...(exit.message !== undefined && { message: exit.message }),
  startedAtMs,
  finishedAtMs: exit.finishedAtMs,
  containerID,
})

/** The end of a container that was running and is not to be found: the machine or the launcher went down meanwhile. */
export const lostState = (
  state: ContainerState,
  startedAtMs: number,
  nowMs: number,
): ContainerState => ({
  ...state,
  ready: false,
  started: false,
  failures: 0,
  state: {
    is: 'terminated',
    exitCode: 137,
    reason: 'ContainerStatusUnknown',
    message: 'The container could not be located when the pod was started again',
    startedAtMs,
    finishedAtMs: nowMs,
    containerID: state.containerID,
  },
})

interface SeenEnd {
  readonly exitCode: number
  readonly signal?: number
  readonly reason?: string
  readonly message?: string
  readonly startedAt?: string
  readonly finishedAt?: string
  readonly containerID?: string
}

type SeenContainer = NonNullable<NonNullable<Pod['status']>['containerStatuses']>[number]

/** What a pod's own status says about a container: all that is known of a time before this process. */
export function restoredState(seen: SeenContainer): ContainerState {
  const fresh = freshContainer(seen.name)
  const last = seen.lastState?.terminated
  const ended = seen.state?.terminated
  const running = seen.state?.running
  const begun = running !== undefined || ended !== undefined || last !== undefined
  return {
    ...fresh,
    restarts: begun || seen.restartCount > 0 ? seen.restartCount : -1,
    imageID: seen.imageID,
    containerID: seen.containerID ?? '',
    ready: seen.ready,
    started: seen.started ?? false,
    failures: 0, // back-off is not remembered across node agents, as the kubelet's is not
    ...(last && { last: restoredEnd(last) }),
    state: ended
      ? { is: 'terminated', ...restoredEnd(ended) }
      : running
        ? { is: 'running', startedAtMs: Date.parse(running.startedAt ?? '') || 0 }
        : fresh.state,
  }
}

const restoredEnd = (end: SeenEnd): Terminated => ({
  exitCode: end.exitCode,
  ...(end.signal !== undefined && { signal: end.signal }),
  reason: end.reason ?? 'Error',
  ...(end.message !== undefined && { message: end.message }),
  startedAtMs: Date.parse(end.startedAt ?? '') || 0,
  finishedAtMs: Date.parse(end.finishedAt ?? '') || 0,
  containerID: end.containerID ?? '',
})
