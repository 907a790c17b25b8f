/** The steps of a pod's start that the node agent can tell, in their order; a frozen pod knows only the last two. */
import type { Pod } from '../../api/pod.ts'

export type PodStep =
  /** The node agent has heard of the pod. */
  | 'bound'
  /** Everything is prepared; the runtime is asked for the process. */
  | 'spawn'
  /** The process runs. */
  | 'started'
  /** The first readiness probe is sent. */
  | 'probe'
  /** The first readiness probe has succeeded. */
  | 'alive'
  /** A frozen pod is to go on. */
  | 'thaw'
  /** Its processes have been told to. */
  | 'resumed'

/** `atMs` is `Clock.monotonic`. Called synchronously, on the way of a cold start: it must return at once. */
export type OnPodStep = (pod: Pod, step: PodStep, atMs: number) => void
