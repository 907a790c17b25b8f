/** What a container that could not be started looks like, and when it is tried again. Pure. */
import { ConfigError } from '../container/env.ts'
import { MountsImpossible } from '../volumes/mounts.ts'
import { imageDelayMs } from './restart-backoff.ts'
import { ImageError } from '../runtime.ts'
import { SandboxImpossible } from '../sandbox/sandbox-impossible.ts'
import { MountError } from '../volumes/mount-error.ts'

export interface StartFailure {
  /** Of the container's waiting state. */
  readonly reason: string
  readonly message?: string
  readonly retryAfterMs: number
  readonly events: readonly {
    readonly type: 'Normal' | 'Warning'
    readonly reason: string
    readonly message: string
    /** True: about the pod rather than the container. */
    readonly ofPod?: boolean
  }[]
  /** True: nobody foresaw this; it belongs into the log. */
  readonly unexpected: boolean
}

/** Missing ConfigMaps, Secrets and volumes are looked for again. */
const configRetryMs = 2_000

/** `failures`: how often in a row preparing has failed, this time included. */
export function startFailure(error: unknown, image: string, failures: number): StartFailure {
  const message = error instanceof Error ? error.message : String(error)
  const warning = (reason: string, text: string) =>
    ({ type: 'Warning', reason, message: text }) as const
  if (error instanceof ImageError)
    return {
      reason: error.reason,
      message,
      retryAfterMs: imageDelayMs(failures),
      events: [...imageEvents(error, image), warning('Failed', `Error: ${error.reason}`)],
      unexpected: false,
    }
  if (error instanceof MountError)
    return {
      reason: 'ContainerCreating',
      retryAfterMs: configRetryMs,
      events: [{ ...warning('FailedMount', message), ofPod: true }],
      unexpected: false,
    }
  const foreseen = error instanceof ConfigError || error instanceof MountsImpossible
  return {
    reason: foreseen ? 'CreateContainerConfigError' : 'CreateContainerError',
    message,
    retryAfterMs: configRetryMs,
    events: [warning('Failed', `Error: ${message}`)],
    unexpected: !foreseen && !(error instanceof SandboxImpossible),
  }
}

function imageEvents({ reason, message }: ImageError, image: string): StartFailure['events'] {
  switch (reason) {
    case 'InvalidImageName':
      return [{ type: 'Warning', reason: 'InspectFailed', message }]
    case 'ErrImageNeverPull':
      return [{ type: 'Warning', reason: 'ErrImageNeverPull', message }]
    case 'ErrImagePull':
      return [
        {
          type: 'Warning',
          reason: 'Failed',
          message: `Failed to pull image "${image}": ${message}`,
        },
      ]
  }
}
