/**
 * How many pods one metric asks for (upstream: pkg/controller/podautoscaler/replica_calculator.go): what is used by what
 * is aimed at, with a tolerance, and careful about pods of which nothing is known yet.
 */
import type { MetricSpec } from '../../api/horizontal-pod-autoscaler.ts'
import type { Pod } from '../../api/pod.ts'
import type { PodMetrics } from '../../api/pod-metrics.ts'
import { quantityValue } from '../../api/quantity.ts'
import { isReady, podCondition } from '../pod-state.ts'

export interface Proposal {
  readonly replicas: number
  /** As the status shows it. */
  readonly current: { readonly averageUtilization?: number; readonly averageValue: string }
  /** `cpu resource utilization (percentage of request)`. */
  readonly name: string
}

/** Less than this from the target changes nothing. */
const tolerance = 0.1
/** A pod that started a moment ago uses more than it will. */
const startingMs = 300_000

type Target = Pick<NonNullable<MetricSpec['resource']>, 'name' | 'target'> & {
  /** One container of each pod, instead of all. */
  readonly container?: string
}

/** Throws when the metric can't be told. `pods`: those of the workload, whatever becomes of them. */
export function proposeReplicas(
  { name, target, container }: Target,
  replicas: number,
  pods: readonly Pod[],
  metrics: readonly PodMetrics[],
  nowMs: number,
): Proposal {
  const wanted = (each: { readonly name: string }) =>
    container === undefined || each.name === container
  const counted = pods.filter(
    ({ metadata, status }) =>
      !metadata.deletionTimestamp && status?.phase !== 'Failed' && status?.phase !== 'Succeeded',
  )
  if (counted.length === 0)
    throw new Error(`no pods returned by selector while calculating replica count`)
  const known = new Map(metrics.map((each) => [each.metadata.name, each]))
  const usage = new Map<Pod, number>()
  const missing: Pod[] = []
  const unready: Pod[] = []
  for (const pod of counted) {
    const found = known.get(pod.metadata.name)
    if (pod.status?.phase === 'Pending' || (name === 'cpu' && isStarting(pod, nowMs)))
      unready.push(pod)
    else if (!found) missing.push(pod)
    else
      usage.set(
        pod,
        found.containers
          .filter(wanted)
          .reduce((sum, each) => sum + (quantityValue(each.usage[name] ?? '0') || 0), 0),
      )
  }
  if (usage.size === 0)
    throw new Error(`did not receive metrics for targeted pods (pods might be unready)`)
  const perRequest = target.averageUtilization !== undefined
  const requestOf = (pod: Pod) => (perRequest ? requested(pod, name, wanted) : 1)
  const aim = perRequest
    ? (target.averageUtilization ?? 0) / 100
    : quantityValue(target.averageValue ?? '0')
  const total = [...usage.values()].reduce((sum, each) => sum + each, 0)
  const requests = [...usage.keys()].reduce((sum, pod) => sum + requestOf(pod), 0)
  const ratio = total / (requests * aim)
  const shown = {
    current: {
      ...(perRequest && { averageUtilization: Math.floor((total / requests) * 100) }),
      averageValue: amountText(name, total / usage.size),
    },
    name: perRequest
      ? `${name} ${container === undefined ? 'resource' : 'container resource'} utilization (percentage of request)`
      : `${name} ${container === undefined ? 'resource' : 'container resource'}`,
  }
  const near = (value: number) => Math.abs(1 - value) <= tolerance
  if (unready.length === 0 && missing.length === 0)
    return { ...shown, replicas: near(ratio) ? replicas : roundedUp(ratio * usage.size) }
  // Of whom nothing is known: on the way up they use nothing, on the way down all that they may.
  let guessed = total
  let guessedRequests = requests
  let count = usage.size
  for (const pod of missing) {
    guessed += ratio < 1 ? requestOf(pod) * (perRequest ? 1 : aim) : 0
    guessedRequests += requestOf(pod)
    count++
  }
  for (const pod of ratio > 1 ? unready : []) {
    guessedRequests += requestOf(pod)
    count++
  }
  const again = guessed / (guessedRequests * aim)
  if (near(again) || ratio < 1 !== again < 1) return { ...shown, replicas }
  const proposed = roundedUp(again * count)
  const contradicts = again < 1 ? proposed > replicas : proposed < replicas
  return { ...shown, replicas: contradicts ? replicas : proposed }
}

/** Floating point must not make a pod out of nothing. */
const roundedUp = (value: number): number => Math.ceil(value - 1e-9)

function isStarting(pod: Pod, nowMs: number): boolean {
  const ready = podCondition(pod, 'Ready')
  if (!ready || !pod.status?.startTime) return true
  return !isReady(pod) && nowMs - Date.parse(pod.status.startTime) < startingMs
}

function requested(
  pod: Pod,
  name: string,
  wanted: (each: { readonly name: string }) => boolean,
): number {
  return pod.spec.containers.filter(wanted).reduce((sum, { name: container, resources }) => {
    const request = resources?.requests?.[name]
    if (request === undefined)
      throw new Error(
        `missing request for ${name} in container ${container} of Pod ${pod.metadata.name}`,
      )
    return sum + quantityValue(request)
  }, 0)
}

const amountText = (name: string, value: number): string =>
  name === 'cpu' ? `${Math.floor(value * 1_000)}m` : String(Math.floor(value))
