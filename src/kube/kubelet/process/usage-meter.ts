/**
 * What containers and the machine use at the moment, for metrics.k8s.io: memory as it is, processor time between two
 * looks. Nobody looks unless somebody asks: the first question takes a second, later ones compare with the one before.
 */
import { cpus, freemem, totalmem } from 'node:os'
import { rfc3339, sleep, type Clock } from '../../../lib/clock.ts'
import type { Informer } from '../../client/informer.ts'
import type { Pod } from '../../api/pod.ts'
import type { NodeMetrics, PodMetrics, Usage } from '../../api/pod-metrics.ts'
import type { Runtime } from '../runtime.ts'

export interface UsageMeter {
  pods(): Promise<readonly PodMetrics[]>
  nodes(): Promise<readonly NodeMetrics[]>
}

interface Deps {
  readonly runtime: Pick<Runtime, 'memoryBytes' | 'cpuNanos'>
  readonly pods: Pick<Informer<Pod>, 'values'>
  readonly clock: Clock
  readonly nodeName: string
  /** Processor time of the whole machine in nanoseconds, and its memory in use; default: this machine's own. */
  readonly machine?: () => { readonly cpuNanos: number; readonly memoryBytes: number }
}

/** Answers younger than this are given again. */
const freshMs = 3_000
/** The shortest time that processor use is averaged over, and the longest after which one starts anew. */
const shortestMs = 1_000
const longestMs = 60_000
/** Containers looked at at the same time. */
const atOnce = 8

interface Look {
  readonly atMs: number
  readonly nanos: number
}

interface Measured {
  readonly atMs: number
  readonly pods: readonly PodMetrics[]
  readonly nodes: readonly NodeMetrics[]
}

export function createUsageMeter(deps: Deps): UsageMeter {
  const { runtime, pods, clock, nodeName, machine = thisMachine } = deps
  /** The last look at each container that runs; keyed by its id in the runtime. */
  let looks = new Map<string, Look>()
  let last: Measured | undefined
  let running: Promise<Measured> | undefined

  const containers = () =>
    [...pods.values()].filter(isRunning).map((pod) => ({
      pod,
      own: [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])]
        .filter(({ state, containerID }) => state?.running && containerID)
        .map(({ name, containerID = '' }) => ({ name, id: containerID.replace(/^.*:\/\//, '') })),
    }))

  const look = async (ids: readonly string[]): Promise<Map<string, Look>> => {
    const found = new Map<string, Look>()
    await eachOf([...ids, machineId], async (id) => {
      const nanos = id === machineId ? machine().cpuNanos : await runtime.cpuNanos?.(id)
      if (nanos !== undefined) found.set(id, { atMs: clock.monotonic(), nanos })
    })
    return found
  }

  const measure = async (): Promise<Measured> => {
    const found = containers()
    const ids = found.flatMap(({ own }) => own.map(({ id }) => id))
    const isKnown = (id: string) =>
      clock.monotonic() - (looks.get(id)?.atMs ?? -Infinity) < longestMs
    let before = looks
    if (![...ids, machineId].every(isKnown)) {
      const first = await look(ids)
      before = new Map([...first].map(([id, each]) => [id, (isKnown(id) && looks.get(id)) || each]))
      await sleep(clock, shortestMs)
    }
    const now = await look(ids)
    const memory = new Map<string, number>()
    await eachOf(ids, async (id) => void memory.set(id, (await runtime.memoryBytes?.(id)) ?? 0))
    looks = now
    const nowMs = clock.now()
    const window = (id: string) => (now.get(id)?.atMs ?? 0) - (before.get(id)?.atMs ?? 0)
    const cores = (id: string) => rate(before.get(id), now.get(id))
    const timestamp = rfc3339(nowMs)
    return {
      atMs: clock.monotonic(),
      pods: found.map(({ pod, own }) => ({
        apiVersion: 'metrics.k8s.io/v1beta1',
        kind: 'PodMetrics',
        metadata: metadataOf(pod.metadata, timestamp),
        timestamp,
        window: seconds(Math.max(0, ...own.map(({ id }) => window(id)))),
        containers: own.map(({ name, id }) => ({
          name,
          usage: usageText(cores(id), memory.get(id) ?? 0),
        })),
      })),
      nodes: [
        {
          apiVersion: 'metrics.k8s.io/v1beta1',
          kind: 'NodeMetrics',
          metadata: metadataOf({ name: nodeName }, timestamp),
          timestamp,
          window: seconds(window(machineId)),
          usage: usageText(cores(machineId), machine().memoryBytes),
        },
      ],
    }
  }

  const fresh = async (): Promise<Measured> => {
    if (last && clock.monotonic() - last.atMs < freshMs) return last
    running ??= measure().finally(() => (running = undefined))
    return (last = await running)
  }

  return {
    pods: async () => (await fresh()).pods,
    nodes: async () => (await fresh()).nodes,
  }
}

/** Stands among the ids of containers for the machine itself. */
const machineId = ''

const isRunning = ({ status, metadata }: Pod): boolean =>
  status?.phase === 'Running' && !metadata.deletionTimestamp

function metadataOf(
  { name, namespace, labels }: Pod['metadata'],
  creationTimestamp: string,
): PodMetrics['metadata'] {
  return { name, ...(namespace && { namespace }), ...(labels && { labels }), creationTimestamp }
}

/** Cores, as nanoseconds of processor a nanosecond. */
function rate(from: Look | undefined, to: Look | undefined): number {
  if (!from || !to || to.atMs <= from.atMs) return 0
  return Math.max(0, (to.nanos - from.nanos) / ((to.atMs - from.atMs) * 1e6))
}

/** As metrics-server writes it: nanocores and whole kibibytes. */
const usageText = (cores: number, bytes: number): Usage => ({
  cpu: cores === 0 ? '0' : `${Math.round(cores * 1e9)}n`,
  memory: `${Math.round(bytes / 1024)}Ki`,
})

const seconds = (ms: number): string => `${Math.round(ms) / 1_000}s`

async function eachOf(ids: readonly string[], visit: (id: string) => Promise<void>): Promise<void> {
  const waiting = [...ids]
  const worker = async (): Promise<void> => {
    // A container that has just ended is none of those that use anything.
    for (let id = waiting.shift(); id !== undefined; id = waiting.shift())
      await visit(id).catch(() => {})
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, ids.length) }, worker))
}

function thisMachine() {
  const busyMs = cpus().reduce(
    (sum, { times }) => sum + times.user + times.nice + times.sys + times.irq,
    0,
  )
  return { cpuNanos: busyMs * 1e6, memoryBytes: totalmem() - freemem() }
}
