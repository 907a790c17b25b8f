/** How a command ended, as clients of exec and attach read it from the error channel. */
import { StatusError, type Status } from '../../api/status-error.ts'

export type ExitStatus = Partial<Status> & Pick<Status, 'metadata' | 'status'>

/** Success for 0; otherwise kubectl ends with the code that the cause names. */
export function exitStatus(code: number): ExitStatus {
  if (code === 0) return { metadata: {}, status: 'Success' }
  return {
    metadata: {},
    status: 'Failure',
    message: `command terminated with non-zero exit code: error executing command in the container, exit code ${code}`,
    reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message: String(code) }] },
  }
}

/** What could not be started, or broke on the way. */
export function failureStatus(thrown: unknown): ExitStatus {
  const { message, reason, details, code } = StatusError.from(thrown)
  return { metadata: {}, status: 'Failure', message, reason, details, code }
}
