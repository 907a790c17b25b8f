/** Container logs on disk, for `kubectl logs`. Signature first. */
import type { Clock } from '../../lib/clock.ts'
import type { KubeObject } from '../api/meta.ts'

/** Query parameters of `pods/log` (contracts/kube §6.1). The same shape as the API server's. */
export interface PodLogOptions {
  readonly follow: boolean
  readonly previous: boolean
  readonly timestamps: boolean
  readonly tailLines?: number
  readonly limitBytes?: number
  /** Lines written at or after this moment, milliseconds since the epoch. */
  readonly sinceMs?: number
}

/** Container logs, kept by the node agent (`tracker` side) and read by the API server (`read`). */
export interface PodLogs extends Disposable {
  /**
   * Raw bytes of one container's log, whole lines. With `follow` it ends when the container ends. Throws StatusError
   * (BadRequest) when there is no such log, before the first chunk.
   */
  read(
    pod: KubeObject,
    container: string,
    options: PodLogOptions,
    signal: AbortSignal,
  ): AsyncIterable<Uint8Array>
}

/** Opens `<dataDir>/logs/pods`. */
export declare function openPodLogs(options: {
  readonly dataDir: string
  readonly clock: Clock
}): PodLogs
