/** What `kubectl get pods` says of a pod: READY, STATUS and RESTARTS. */
import type { ContainerStatus as ContainerStatusType } from 'kubernetes-types/core/v1.js'
import type { Pod } from './pod.ts'
import { humanAge } from './printer.ts'
import type { DeepReadonly } from './stored.ts'

type ContainerStatus = DeepReadonly<ContainerStatusType>

export interface PodSummary {
  /** `1/2`: ready containers of all. */
  readonly ready: string
  /** `Running`, `CrashLoopBackOff`, `Init:0/1`, `Terminating`… */
  readonly status: string
  /** `4 (13s ago)`. */
  readonly restarts: string
}

/** The three cells together, since one pass over the container statuses yields them. */
export function summarizePod(pod: Pod, nowMs: number): PodSummary {
  const { spec, status } = pod
  const sidecars = new Set(
    (spec.initContainers ?? [])
      .filter(({ restartPolicy }) => restartPolicy === 'Always')
      .map(({ name }) => name),
  )
  const main = status?.containerStatuses ?? []
  const init = initReason(pod, sidecars)
  const seen = init === undefined ? mainReason(pod, main) : init

  const restarting =
    init === undefined
      ? [...main, ...(status?.initContainerStatuses ?? []).filter(({ name }) => sidecars.has(name))]
      : (status?.initContainerStatuses ?? [])
  const readyMain = init === undefined ? main.filter(isRunningReady).length : 0
  const readySidecars = (status?.initContainerStatuses ?? []).filter(
    (each) => sidecars.has(each.name) && each.ready && each.state?.running,
  ).length
  return {
    ready: `${readyMain + readySidecars}/${spec.containers.length + sidecars.size}`,
    status: deleted(pod) ?? seen,
    restarts: restarts(restarting, nowMs),
  }
}

const isRunningReady = (each: ContainerStatus) => each.ready && each.state?.running !== undefined

function deleted({ metadata, status }: Pod): string | undefined {
  if (!metadata.deletionTimestamp) return undefined
  if (status?.reason === 'NodeLost') return 'Unknown'
  return status?.phase === 'Succeeded' || status?.phase === 'Failed' ? undefined : 'Terminating'
}

/** The first init container that is not done speaks for the pod. */
function initReason(pod: Pod, sidecars: ReadonlySet<string>): string | undefined {
  const all = pod.spec.initContainers ?? []
  for (const [i, each] of (pod.status?.initContainerStatuses ?? []).entries()) {
    const { terminated, waiting } = each.state ?? {}
    if (terminated && terminated.exitCode === 0) continue
    if (sidecars.has(each.name) && each.started) continue
    if (terminated) return `Init:${terminationText(terminated)}`
    if (waiting?.reason && waiting.reason !== 'PodInitializing') return `Init:${waiting.reason}`
    return `Init:${i}/${all.length}`
  }
  return undefined
}

/** The last container with something to say speaks for the pod. */
function mainReason({ status }: Pod, main: readonly ContainerStatus[]): string {
  let reason = status?.reason || status?.phase || 'Pending'
  const gated = status?.conditions?.some(
    ({ type, reason: why }) => type === 'PodScheduled' && why === 'SchedulingGated',
  )
  if (gated) reason = 'SchedulingGated'
  let running = false
  for (const each of main.toReversed()) {
    const { waiting, terminated } = each.state ?? {}
    if (waiting?.reason) reason = waiting.reason
    else if (terminated) reason = terminationText(terminated)
    else if (isRunningReady(each)) running = true
  }
  if (reason !== 'Completed' || !running) return reason
  const ready = status?.conditions?.some(
    ({ type, status: is }) => type === 'Ready' && is === 'True',
  )
  return ready ? 'Running' : 'NotReady'
}

const terminationText = (end: {
  readonly reason?: string
  readonly signal?: number
  readonly exitCode: number
}): string => end.reason || (end.signal ? `Signal:${end.signal}` : `ExitCode:${end.exitCode}`)

/** The count, and when the last of them was. */
function restarts(statuses: readonly ContainerStatus[], nowMs: number): string {
  let count = 0
  let last = ''
  for (const { restartCount, lastState } of statuses) {
    count += restartCount ?? 0
    const finished = lastState?.terminated?.finishedAt
    if (finished && finished > last) last = finished
  }
  return count > 0 && last ? `${count} (${humanAge(last, nowMs)} ago)` : `${count}`
}
