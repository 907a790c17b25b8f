/**
 * Writes one pod's status to the API: only the newest wanted one, one request at a time, so that a pod that changes
 * faster than the API answers costs one write and nobody waits in line.
 */
import type { Clock } from '../../../lib/clock.ts'
import type { Log } from '../../../lib/log.ts'
import { keyOf } from '../../api/meta.ts'
import { Pod } from '../../api/pod.ts'
import { hasReason } from '../../api/status-error.ts'
import type { Client } from '../../client/client.ts'
import type { PodStatus } from './pod-status.ts'

export interface StatusWriterDeps {
  readonly client: Client
  readonly clock: Clock
  readonly log: Log
  /** Takes the answer of a write. */
  readonly wrote: (pod: Pod) => void
}

const retryMs = 500
const longestRetryMs = 10_000

export class StatusWriter {
  readonly #deps: StatusWriterDeps
  readonly #pod: Pod
  #wanted: PodStatus | undefined
  #writtenText: string | undefined
  #writing: Promise<void> | undefined
  #gone = false

  constructor(pod: Pod, deps: StatusWriterDeps) {
    this.#deps = deps
    this.#pod = pod
  }

  /** Soon written, unless it is what stands there already or a newer one comes. */
  want(status: PodStatus): void {
    this.#wanted = status
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined
      // It may have come after the last look for one.
      if (this.#wanted && !this.#gone) this.want(this.#wanted)
    })
  }

  /** Resolves when nothing is left to write. */
  async flushed(): Promise<void> {
    while (this.#writing) await this.#writing
  }

  /** The pod does not exist any more. */
  stop(): void {
    this.#gone = true
    this.#wanted = undefined
  }

  async #write(): Promise<void> {
    const { client, clock, log, wrote } = this.#deps
    for (let failures = 0; this.#wanted && !this.#gone;) {
      const status = this.#wanted
      const text = JSON.stringify(status)
      this.#wanted = undefined
      if (text === this.#writtenText) continue
      try {
        const body = {
          metadata: { uid: this.#pod.metadata.uid },
          // A merge patch keeps what is not named: what went away must be said.
          status: { reason: null, message: null, podIP: null, podIPs: null, ...status },
        }
        const patch = { type: 'merge', body, subresource: 'status' } as const
        wrote(await client.patch(Pod, keyOf(this.#pod), patch))
        this.#writtenText = text
        failures = 0
      } catch (error) {
        // Deleted, or replaced by another pod of the same name.
        if (hasReason(error, 'NotFound', 'Conflict', 'Invalid')) {
          if (!hasReason(error, 'NotFound'))
            log.error('pod status was refused', { pod: this.#pod.metadata.name, error })
          return
        }
        log.error('pod status could not be written', { pod: this.#pod.metadata.name, error })
        this.#wanted ??= status
        await new Promise<void>((resolve) => {
          clock.after(Math.min(retryMs * 2 ** failures++, longestRetryMs), resolve)
        })
      }
    }
  }
}
