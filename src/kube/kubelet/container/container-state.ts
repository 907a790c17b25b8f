/** What the node agent knows about one container of a pod. A value: every change is a new one. */
import type { Pod } from '../../api/pod.ts'

export type ContainerDefinition = Pod['spec']['containers'][number]

/** How a container ended. */
export interface Terminated {
  readonly exitCode: number
  readonly signal?: number
  readonly reason: string
  readonly message?: string
  readonly startedAtMs: number
  readonly finishedAtMs: number
  readonly containerID: string
}

export type State =
  | { readonly is: 'waiting'; readonly reason: string; readonly message?: string }
  | { readonly is: 'running'; readonly startedAtMs: number }
  | ({ readonly is: 'terminated' } & Terminated)

export interface ContainerState {
  readonly name: string
  readonly state: State
  readonly last?: Terminated
  readonly ready: boolean
  /** True once the startup probe has succeeded, or at once when there is none. */
  readonly started: boolean
  /** How often it was started after the first time. -1 before the first start. */
  readonly restarts: number
  /** Ends in a row, and failed attempts to prepare a start in a row: what back-off is computed from. */
  readonly failures: number
  readonly imageFailures: number
  /** Not to be started before this moment. */
  readonly notBeforeMs: number
  readonly imageID: string
  /** `process://<64 hex digits>`. */
  readonly containerID: string
}

/** A container that was never started. */
export const freshContainer = (name: string): ContainerState => ({
  name,
  state: { is: 'waiting', reason: 'ContainerCreating' },
  ready: false,
  started: false,
  restarts: -1,
  failures: 0,
  imageFailures: 0,
  notBeforeMs: 0,
  imageID: '',
  containerID: '',
})

/** An init container that runs beside the others for as long as the pod does. */
export const isSidecar = (container: ContainerDefinition): boolean =>
  container.restartPolicy === 'Always'

/** All containers of a pod, init containers first, those for debugging last. */
export const allContainers = (pod: Pod): readonly ContainerDefinition[] => [
  ...(pod.spec.initContainers ?? []),
  ...pod.spec.containers,
  ...(pod.spec.ephemeralContainers ?? []),
]
