/** The node agent. Signature first. */
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { Random } from '../../lib/random.ts'
import type { Pod } from '../api/pod.ts'
import type { Client } from '../client/client.ts'
import type { Informers } from '../client/informer.ts'
import type { Recorder } from '../client/recorder.ts'
import type { PodLogs } from './pod-logs.ts'
import type { Images, Runtime } from './runtime.ts'

export interface KubeletDeps {
  readonly client: Client
  readonly informers: Informers
  readonly runtime: Runtime
  readonly images: Images
  readonly logs: PodLogs
  readonly recorder: Recorder
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly nodeName: string
  readonly dataDir: string
  /** Shown as the node's version. */
  readonly version?: string
  /** Resolves once the pod serves no request any more; waited for at most the pod's grace period. */
  readonly beforeStop?: (pod: Pod) => Promise<void>
}

/** Resolves once the node is registered and pods of a previous run are adopted. Disposing leaves pods running. */
export declare function startKubelet(deps: KubeletDeps): Promise<AsyncDisposable>
