/**
 * Why a Revision has no ready pod, read from one of its pods. Upstream looks only when the
 * Deployment changes; here a pod that fails wakes its Revision, so exit codes show as soon as the node agent knows them.
 */
import type { KubeObject, ObjectKey } from '../../../kube/api/meta.ts'
import type { Deployment } from '../../../kube/api/deployment.ts'
import type { Pod } from '../../../kube/api/pod.ts'
import { frozenSinceMs } from '../../../kube/api/pod-freezing.ts'
import { label } from '../../api/names.ts'

export interface PodFailure {
  readonly condition: 'ResourcesAvailable' | 'ContainerHealthy'
  readonly reason: string
  readonly message: string
}

/** `deadlinePassed`: the Deployment gave up waiting; only then does a container that waits count as failed. */
export function* podFailures(
  pod: Pod,
  deadlinePassed: boolean,
  alwaysSchedulable: boolean,
): Generator<PodFailure> {
  const { status } = pod
  if (frozenSinceMs(pod) !== undefined) return // it is not ready because nobody needs it
  const scheduled = status?.conditions?.find(({ type }) => type === 'PodScheduled')
  if (scheduled?.status === 'False' && !alwaysSchedulable)
    yield {
      condition: 'ResourcesAvailable',
      reason: scheduled.reason ?? '',
      message: scheduled.message ?? '',
    }
  for (const container of status?.containerStatuses ?? []) {
    const terminated = container.lastState?.terminated ?? container.state?.terminated
    if (terminated) {
      yield {
        condition: 'ContainerHealthy',
        reason: `ExitCode${terminated.exitCode}`,
        message: `Container failed with: ${exitText(terminated.exitCode, terminated.message)}`,
      }
      return
    }
    const waiting = container.state?.waiting
    if (waiting && deadlinePassed) {
      yield {
        condition: 'ResourcesAvailable',
        reason: waiting.reason ?? '',
        message: waiting.message ?? '',
      }
      return
    }
  }
}

const exitText = (code: number, message = ''): string =>
  code === 0 && message === '' ? 'container exited with no error' : message

export const deadlinePassed = ({ status }: Deployment): boolean =>
  status?.conditions?.some(
    ({ type, status: value, reason }) =>
      type === 'Progressing' && value === 'False' && reason === 'ProgressDeadlineExceeded',
  ) ?? false

/** The Revision of a pod that is in trouble; healthy pods wake nobody here. */
export function revisionInTrouble(changed: KubeObject): readonly ObjectKey[] {
  const { labels, namespace = '' } = changed.metadata
  const name = labels?.[label.revision]
  if (!name || changed.kind !== 'Pod') return []
  const { status } = changed as Pod
  const stuck =
    status?.conditions?.some((one) => one.type === 'PodScheduled' && one.status === 'False') ||
    status?.containerStatuses?.some(
      ({ state, lastState }) => lastState?.terminated || state?.terminated,
    )
  return stuck ? [{ namespace, name }] : []
}
