/** Runs containers as plain processes through the launcher. Signature first. */
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { Runtime } from './runtime.ts'

export interface ProcessRuntimeOptions {
  readonly dataDir: string
  /** Unix socket of the launcher (`layoutOf(dataDir).launcherSocket`). */
  readonly socketPath: string
  readonly network: 'auto' | 'namespaces' | 'host'
  readonly clock: Clock
  readonly log: Log
  /** PATH of the platform, the end of each container's own. Default: the usual system folders. */
  readonly hostPath?: string
}

export interface ProcessRuntime extends Runtime {
  /** What `network: auto` came to. */
  readonly network: 'namespaces' | 'host'
  /** Pid of the launcher, once connected. */
  readonly launcherPid: number
  /** Lets go of the launcher without stopping anything, as a crash would. Disposing stops all pods and the launcher. */
  detach(): void
}

/** Connects to the launcher of this data directory, or starts one. */
export declare function processRuntime(options: ProcessRuntimeOptions): Promise<ProcessRuntime>
