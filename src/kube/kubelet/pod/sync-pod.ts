/**
 * Decides what a pod needs now: which containers to start, which to let wait, whether it is finished. Pure; the pod
 * worker carries it out. Rules of the kubelet: init containers one by one, sidecars beside them, restart policy,
 * back-off.
 */
import type { Pod } from '../../api/pod.ts'
import {
  isSidecar,
  type ContainerDefinition,
  type ContainerState,
} from '../container/container-state.ts'
import { durationText, restartDelayMs } from './restart-backoff.ts'

export interface PodPlan {
  /** Names of containers to start now, all at once. */
  readonly start: readonly string[]
  /** Containers that have ended and start again only later. */
  readonly backOff: readonly {
    readonly name: string
    readonly message: string
    readonly untilMs: number
  }[]
  /** Look again at this moment, even if nothing happens. */
  readonly wakeAtMs?: number
  /** Set once no container runs or will run again. */
  readonly finished?: 'Succeeded' | 'Failed'
}

export type States = ReadonlyMap<string, ContainerState>

export function planPod(pod: Pod, states: States, nowMs: number): PodPlan {
  const policy = pod.spec.restartPolicy ?? 'Always'
  const start: string[] = []
  const backOff: { name: string; message: string; untilMs: number }[] = []
  let wakeAtMs: number | undefined
  const wake = (atMs: number) => (wakeAtMs = Math.min(wakeAtMs ?? atMs, atMs))

  /** Starts it, now or later. */
  const begin = (container: ContainerDefinition, state: ContainerState | undefined): void => {
    if (!state || state.state.is === 'waiting') {
      const notBeforeMs = state?.notBeforeMs ?? 0
      if (notBeforeMs <= nowMs) start.push(container.name)
      else wake(notBeforeMs)
    } else if (state.state.is === 'terminated') {
      const delayMs = restartDelayMs(state.failures)
      const untilMs = state.state.finishedAtMs + delayMs
      if (untilMs <= nowMs) start.push(container.name)
      else {
        backOff.push({
          name: container.name,
          untilMs,
          message: backOffMessage(pod, container.name, delayMs),
        })
        wake(untilMs)
      }
    }
  }
  const restarts = (state: ContainerState, rule: string): boolean =>
    rule === 'Always' || (rule === 'OnFailure' && endOf(state)?.exitCode !== 0)

  // Whoever debugs a pod wants to see it as it is: theirs begin at once, and only once.
  for (const container of pod.spec.ephemeralContainers ?? []) {
    const state = states.get(container.name)
    if (!state || state.state.is === 'waiting') begin(container, state)
  }

  for (const container of pod.spec.initContainers ?? []) {
    const state = states.get(container.name)
    if (isSidecar(container)) {
      begin(container, state)
      if (state?.state.is === 'running' && state.started) continue
      return { start, backOff, ...(wakeAtMs !== undefined && { wakeAtMs }) }
    }
    if (state?.state.is === 'terminated' && state.state.exitCode === 0) continue
    const ended = state && endOf(state)
    if (ended && ended.exitCode !== 0 && policy === 'Never' && state.state.is === 'terminated')
      return { start, backOff, finished: 'Failed' }
    if (state?.state.is !== 'running') begin(container, state)
    return { start, backOff, ...(wakeAtMs !== undefined && { wakeAtMs }) }
  }

  let unfinished = false
  let failed = false
  for (const container of pod.spec.containers) {
    const state = states.get(container.name)
    if (state?.state.is === 'terminated' && !restarts(state, policy)) {
      if (state.state.exitCode !== 0) failed = true
      continue
    }
    unfinished = true
    if (state?.state.is !== 'running') begin(container, state)
  }
  if (!unfinished) return { start: [], backOff: [], finished: failed ? 'Failed' : 'Succeeded' }
  return { start, backOff, ...(wakeAtMs !== undefined && { wakeAtMs }) }
}

/** The end a decision is about: the present one, or that before a failed attempt to start. */
const endOf = (state: ContainerState) =>
  state.state.is === 'terminated' ? state.state : state.last

/** `back-off 1m20s restarting failed container=c pod=p_ns(uid)`. */
export const backOffMessage = (pod: Pod, container: string, delayMs: number): string =>
  `back-off ${durationText(delayMs)} restarting failed container=${container} pod=${podText(pod)}`

/** `p_ns(uid)`: how the kubelet writes a pod in messages. */
export const podText = ({ metadata }: Pod): string =>
  `${metadata.name}_${metadata.namespace ?? ''}(${metadata.uid ?? ''})`
