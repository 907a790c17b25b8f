/**
 * What the node agent holds of one pod: the object, the states of its containers, those that run, its network, and how it
 * comes to an end. Whoever works on the pod changes it here and lets it be told: status, events, steps of a start.
 */
import type { Clock } from '../../../lib/clock.ts'
import type { Log } from '../../../lib/log.ts'
import type { Random } from '../../../lib/random.ts'
import { keyOf } from '../../api/meta.ts'
import { Pod } from '../../api/pod.ts'
import type { Recorder } from '../../client/recorder.ts'
import { restoredState } from '../container/container-end.ts'
import type { LaunchDeps } from '../container/container-launch.ts'
import {
  freshContainer,
  type ContainerDefinition,
  type ContainerState,
} from '../container/container-state.ts'
import type { FrozenPods } from './frozen-pods.ts'
import type { PodFreezer } from './pod-freezer.ts'
import type { PodLogs } from '../logs/pod-logs.ts'
import type { OnPodStep, PodStep } from './pod-steps.ts'
import { podStatus, type PodStatus } from './pod-status.ts'
import type { runProbe } from '../probes/probe.ts'
import type { Container, Runtime, Sandbox } from '../runtime.ts'
import type { StartGate } from './start-gate.ts'
import type { StartTimes } from '../probes/start-times.ts'
import { StatusWriter } from './status-writer.ts'
import type { VolumeSources } from '../volumes/sources.ts'

export interface PodWorkerDeps extends LaunchDeps {
  readonly runtime: Runtime
  readonly logs: PodLogs
  readonly recorder: Recorder
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly nodeName: string
  /** Tells of changes of what volumes are made of; absent = nobody looks. */
  readonly volumeSources?: VolumeSources
  readonly beforeStop: (pod: Pod) => Promise<void>
  /** Resolves once nobody sends requests to a pod that has become not ready; aborted when it thaws before. */
  readonly beforeFreeze: (pod: Pod, signal: AbortSignal) => Promise<void>
  readonly frozenPods: FrozenPods
  readonly startGate: StartGate
  /** How many programs are coming up at the moment. */
  readonly eagerProbes: () => number
  /** The quickest starts that were seen. */
  readonly startTimes: StartTimes
  /** One attempt of a probe. */
  readonly probe: typeof runProbe
  /** Is told each step of a start. */
  readonly onStep?: OnPodStep
  /** Takes the answer of a write of this pod. */
  readonly wrote: (pod: Pod) => void
  /** The pod is gone; the worker will not be heard of again. */
  readonly onGone: (uid: string) => void
}

/** A container that runs. */
export interface RunningContainer {
  readonly container: Container
  readonly definition: ContainerDefinition
  probes: Disposable
  /** To be called when it has come up. */
  readonly isUp: () => void
  killing: boolean
  /** Ends its postStart hook, while that runs. */
  cancelHook?: AbortController
  /** Resolves when the container has ended and its state says so. */
  ended: Promise<void>
}

export class PodRecord {
  readonly uid: string
  pod: Pod
  readonly states = new Map<string, ContainerState>()
  readonly running = new Map<string, RunningContainer>()
  readonly writer: StatusWriter
  readonly startedAtMs: number
  sandbox: Sandbox | undefined
  /** Set once the pod has come to its end. */
  finished: 'Succeeded' | 'Failed' | undefined
  /** Why, when it was ended from outside. */
  verdict: { readonly reason: string; readonly message: string } | undefined
  /** It is being ended: nothing is started any more. */
  isTerminating = false
  /** It was removed from the API without us. */
  deleted = false
  /** The node agent has let go of it. */
  detached = false
  /** What shows of being frozen. */
  freezer: Pick<PodFreezer, 'state' | 'memoryBytes'> = { state: 'running', memoryBytes: undefined }
  #hostPortsNoted: Promise<void> | undefined
  readonly #deps: PodWorkerDeps

  constructor(pod: Pod, deps: PodWorkerDeps) {
    this.uid = pod.metadata.uid ?? ''
    this.pod = pod
    this.#deps = deps
    const started = pod.status?.startTime
    this.startedAtMs = started ? Date.parse(started) : deps.clock.now()
    this.writer = new StatusWriter(pod, {
      ...deps,
      wrote: (answer) => {
        if (answer.metadata.uid === this.uid) deps.wrote(answer)
      },
    })
    this.#restoreStates()
  }

  /** Others translate the pod's ports by this annotation, so it must be there before the pod has an address. */
  noteHostPorts({ hostPorts }: Sandbox): void {
    if (!hostPorts || Object.keys(hostPorts).length === 0) return
    const text = JSON.stringify(hostPorts)
    if (this.pod.metadata.annotations?.['ebb.dev/host-ports'] === text) return
    const body = { metadata: { uid: this.uid, annotations: { 'ebb.dev/host-ports': text } } }
    this.#hostPortsNoted = this.#deps.client
      .patch(Pod, keyOf(this.pod), { type: 'merge', body })
      .then((pod) => this.#deps.wrote(pod))
      .catch((error: unknown) => this.#deps.log.error('host ports could not be noted', { error }))
      .finally(() => (this.#hostPortsNoted = undefined))
  }

  /** State of a container; a fresh one when nothing is known. */
  state(name: string): ContainerState {
    return this.states.get(name) ?? freshContainer(name)
  }

  set(name: string, state: ContainerState): void {
    this.states.set(name, state)
  }

  /** Asks for the present status to be written. */
  report(): void {
    if (this.detached || this.deleted) return
    const status = this.#status()
    if (this.#hostPortsNoted) void this.#hostPortsNoted.then(() => this.writer.want(this.#status()))
    else this.writer.want(status)
  }

  #status(): PodStatus {
    const { hostIP, clock } = this.#deps
    return podStatus(this.pod, this.states, {
      hostIP,
      startedAtMs: this.startedAtMs,
      nowMs: clock.now(),
      ...(this.sandbox && { podIP: this.sandbox.podIP }),
      ...(this.finished && { finished: this.finished }),
      ...(this.freezer.state !== 'running' &&
        !this.finished && {
          frozen: {
            stopped: this.freezer.state === 'frozen',
            memoryBytes: this.freezer.memoryBytes,
          },
        }),
      ...this.verdict,
    })
  }

  /** Tells a step of the pod's start. */
  step(step: PodStep): void {
    const { onStep, clock } = this.#deps
    onStep?.(this.pod, step, clock.monotonic())
  }

  /** Tells an event about the pod, or about one of its containers. */
  event(type: 'Normal' | 'Warning', reason: string, message: string, container?: string): void {
    const { recorder, nodeName } = this.#deps
    if (this.detached) return
    const isIn = (list: 'initContainers' | 'ephemeralContainers') =>
      this.pod.spec[list]?.some(({ name }) => name === container)
    const list = isIn('initContainers')
      ? 'initContainers'
      : isIn('ephemeralContainers')
        ? 'ephemeralContainers'
        : 'containers'
    recorder.event(
      this.pod,
      { type, reason, message },
      {
        component: 'kubelet',
        host: nodeName,
        ...(container !== undefined && {
          fieldPath: `spec.${list}{${container}}`,
        }),
      },
    )
  }

  /** What the pod's own status says about its containers: all that is known of a time before this process. */
  #restoreStates(): void {
    const { status } = this.pod
    for (const seen of [
      ...(status?.initContainerStatuses ?? []),
      ...(status?.containerStatuses ?? []),
      ...(status?.ephemeralContainerStatuses ?? []),
    ])
      this.states.set(seen.name, restoredState(seen))
  }
}
