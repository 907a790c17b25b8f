/** What a Revision says of itself, phase by phase. Each function takes a status and answers the next. */
import type { Deployment } from '../../../kube/api/deployment.ts'
import type { Pod } from '../../../kube/api/pod.ts'
import { conditionOf } from '../../../knative/conditions.ts'
import type { Container } from '../../api/pod-spec.ts'
import type { PodAutoscaler } from '../../api/pod-autoscaler.ts'
import { revisionConditions, type Revision, type RevisionStatus } from '../../api/revision.ts'
import { deadlinePassed, podFailures } from './pod-failure.ts'

const conditions = revisionConditions

const isFalse = (status: RevisionStatus, type: string): boolean =>
  conditionOf(status, type)?.status === 'False'
const isTrue = (status: RevisionStatus, type: string): boolean =>
  conditionOf(status, type)?.status === 'True'

export const resolvingDigests = (status: RevisionStatus, nowMs: number): RevisionStatus =>
  conditions.markUnknown(status, 'ResourcesAvailable', 'ResolvingDigests', '', nowMs)

/** The text that a failed look-up of a digest ends in. */
export const digestError = (message: string): string =>
  `failed to resolve image to digest: ${message}`

export const containerMissing = (
  status: RevisionStatus,
  image: string,
  message: string,
  nowMs: number,
): RevisionStatus =>
  conditions.markFalse(
    status,
    'ContainerHealthy',
    'ContainerMissing',
    `Unable to fetch image "${image}": ${digestError(message)}`,
    nowMs,
  )

/** Notes the digests, in the order of the spec. */
export function withDigests(
  status: RevisionStatus,
  { spec }: Revision,
  digests: ReadonlyMap<string, string>,
): RevisionStatus {
  const statuses = (containers: readonly Container[]) =>
    containers.map(({ name }) => {
      const imageDigest = digests.get(name)
      return { name, ...(imageDigest && { imageDigest }) }
    })
  return {
    ...status,
    containerStatuses: statuses(spec.containers),
    ...(spec.initContainers?.length && { initContainerStatuses: statuses(spec.initContainers) }),
  }
}

export const deploying = (status: RevisionStatus, nowMs: number): RevisionStatus =>
  conditions.markUnknown(
    conditions.markUnknown(status, 'ResourcesAvailable', 'Deploying', '', nowMs),
    'ContainerHealthy',
    'Deploying',
    '',
    nowMs,
  )

export const notOwned = (
  status: RevisionStatus,
  kind: 'Deployment' | 'PodAutoscaler',
  name: string,
  nowMs: number,
): RevisionStatus =>
  conditions.markFalse(
    status,
    'ResourcesAvailable',
    'NotOwned',
    `There is an existing ${kind} "${name}" that we do not own.`,
    nowMs,
  )

/** Takes in what the Deployment says, and what one of its pods says when none is available. */
export function withDeployment(
  status: RevisionStatus,
  deployment: Deployment,
  pod: Pod | undefined,
  alwaysSchedulable: boolean,
  nowMs: number,
): RevisionStatus {
  let next = withProgress(status, deployment, nowMs)
  const seen = deployment.status
  if ((deployment.spec.replicas ?? 1) > 0 && !seen?.availableReplicas && pod) {
    for (const failure of podFailures(pod, deadlinePassed(deployment), alwaysSchedulable)) {
      const { condition, reason, message } = failure
      next = conditions.markFalse(next, condition, reason, message, nowMs)
    }
  }
  if ((seen?.readyReplicas ?? 0) > 0) next = conditions.markTrue(next, 'ContainerHealthy', nowMs)
  return next
}

function withProgress(
  status: RevisionStatus,
  { status: seen }: Deployment,
  nowMs: number,
): RevisionStatus {
  const find = (wanted: string) => seen?.conditions?.find(({ type }) => type === wanted)
  const failure = find('ReplicaFailure')
  const progressing = find('Progressing')
  const type = 'ResourcesAvailable'
  if (failure?.status === 'True')
    return conditions.markFalse(status, type, failure.reason ?? '', failure.message ?? '', nowMs)
  if (!progressing) return conditions.markUnknown(status, type, 'Deploying', '', nowMs)
  const { reason = '', message = '' } = progressing
  switch (progressing.status) {
    case 'True':
      return conditions.markTrue(status, type, nowMs)
    case 'False':
      return conditions.markFalse(status, type, reason, message, nowMs)
    default:
      return conditions.markUnknown(status, type, reason, message, nowMs)
  }
}

/** Takes in what the PodAutoscaler says: this is what keeps a Revision ready while it has no pods. */
export function withAutoscaler(
  status: RevisionStatus,
  autoscaler: PodAutoscaler | undefined,
  nowMs: number,
): RevisionStatus {
  const seen = autoscaler?.status
  let next = withReplicas(status, seen?.actualScale, seen?.desiredScale)
  const bad = isFalse(next, 'ResourcesAvailable') || isFalse(next, 'ContainerHealthy')
  const ready = conditionOf(seen, 'Ready')
  if (!ready) {
    next = conditions.markUnknown(next, 'Active', 'Deploying', '', nowMs)
    return bad ? next : conditions.markUnknown(next, 'ResourcesAvailable', 'Deploying', '', nowMs)
  }
  const initialized = conditionOf(seen, 'ScaleTargetInitialized')?.status === 'True'
  if (initialized && !bad) {
    next = conditions.markTrue(next, 'ResourcesAvailable', nowMs)
    next = conditions.markTrue(next, 'ContainerHealthy', nowMs)
  }
  if (isTrue(next, 'ResourcesAvailable') && (!seen?.serviceName || !initialized))
    next = conditions.markUnknown(next, 'ResourcesAvailable', 'Deploying', '', nowMs)
  const { reason = '', message = '' } = ready
  switch (ready.status) {
    case 'Unknown':
      return conditions.markUnknown(next, 'Active', reason, message, nowMs)
    case 'True':
      return conditions.markTrue(next, 'Active', nowMs)
    case 'False':
      next = conditions.markFalse(next, 'Active', reason, message, nowMs)
      return initialized || bad || !seen?.serviceName
        ? next
        : conditions.markFalse(
            next,
            'ResourcesAvailable',
            'ProgressDeadlineExceeded',
            'Initial scale was never achieved',
            nowMs,
          )
  }
}

function withReplicas(
  status: RevisionStatus,
  actual: number | undefined,
  desired: number | undefined,
): RevisionStatus {
  const { actualReplicas: _a, desiredReplicas: _d, ...rest } = status
  return {
    ...rest,
    ...(actual !== undefined && actual >= 0 && { actualReplicas: actual }),
    ...(desired !== undefined && desired >= 0 && { desiredReplicas: desired }),
  }
}
