/**
 * The node agent: registers the node, and keeps one worker for each pod that is bound to it. Pods come from an
 * informer; what a previous control plane left running is adopted, what nobody knows any more is stopped.
 */
import { availableParallelism } from 'node:os'
import { sleep, type Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { Random } from '../../lib/random.ts'
import { Lease } from '../api/lease.ts'
import { Node } from '../api/node.ts'
import { Pod } from '../api/pod.ts'
import { Service } from '../api/service.ts'
import { hasReason } from '../api/status-error.ts'
import type { Client } from '../client/client.ts'
import type { Informers } from '../client/informer.ts'
import type { Recorder } from '../client/recorder.ts'
import {
  allocatable,
  leaseNamespace,
  machineAddress,
  microTime,
  nodeLease,
  nodeObject,
  nodeStatus,
  type NodeFacts,
} from './node-status.ts'
import { accountTokens } from './volumes/account-tokens.ts'
import { podFolder, type LaunchDeps } from './container/container-launch.ts'
import { createStartGate } from './pod/start-gate.ts'
import { createStartTimes } from './probes/start-times.ts'
import { createFrozenPods } from './pod/frozen-pods.ts'
import type { PodLogs } from './logs/pod-logs.ts'
import type { OnPodStep } from './pod/pod-steps.ts'
import { runProbe } from './probes/probe.ts'
import type { PodWorkerDeps } from './pod/pod-record.ts'
import { PodWorker, type Recovered } from './pod/pod-worker.ts'
import type { Images, Runtime } from './runtime.ts'
import type { ApiForPods } from './container/service-env.ts'
import { unmountBelow } from './volumes/memory-volume.ts'
import { volumeSources } from './volumes/sources.ts'

export interface KubeletDeps {
  readonly client: Client
  readonly informers: Informers
  readonly runtime: Runtime
  readonly images: Images
  readonly logs: PodLogs
  readonly recorder: Recorder
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly nodeName: string
  readonly dataDir: string
  /** Shown as the node's version. */
  readonly version?: string
  /** Resolves once the pod serves no request any more; waited for at most the pod's grace period. */
  readonly beforeStop?: (pod: Pod) => Promise<void>
  /** Resolves once nobody sends requests to a pod that has become not ready; aborted when it thaws before. */
  readonly beforeFreeze?: (pod: Pod, signal: AbortSignal) => Promise<void>
  /** Bytes that frozen pods may keep together; default unlimited. */
  readonly frozenMemoryLimit?: () => number
  /** One attempt of a probe; default: the network. Simulated containers answer for themselves. */
  readonly probe?: typeof runProbe
  /** Is told each step of a pod's start. */
  readonly onStep?: OnPodStep
  /** Where pods reach the API server; absent = they are not told. */
  readonly apiForPods?: () => ApiForPods | undefined
  /** Address of the DNS server for pods. */
  readonly clusterDNS?: () => string | undefined
  /** Folder of a PersistentVolumeClaim. Rejects with why it has none now. */
  readonly claim?: NonNullable<LaunchDeps['claim']>
}

const heartbeatMs = 10_000
/** Programs that may come up at the same time: enough that none waits for another's disk. */
const startsPerCore = 3
/** Ends of pods that no API object stands for. */
const strayGraceMs = 10_000

/** Resolves once the node is registered and pods of a previous run are adopted. Disposing leaves pods running. */
export async function startKubelet(deps: KubeletDeps): Promise<AsyncDisposable> {
  const { client, informers, runtime, clock, log, nodeName } = deps
  const pods = informers.for(Pod)
  const facts: NodeFacts = {
    nodeName,
    dataDir: deps.dataDir,
    runtimeVersion: runtime.version,
    kubeletVersion: deps.version ?? 'v1.32.0',
  }
  const workers = new Map<string, PodWorker>()
  let stopped = false
  let cancelHeartbeat = () => {}

  const frozenPods = createFrozenPods({
    ...deps,
    limitBytes: deps.frozenMemoryLimit ?? (() => Number.POSITIVE_INFINITY),
  })
  const startGate = createStartGate(clock, startsPerCore * availableParallelism(), (count) =>
    runtime.comingUp?.(count),
  )
  const sources = volumeSources(informers)
  const tokens = accountTokens(client, clock)
  const services = informers.for(Service)
  const workerDeps: PodWorkerDeps = {
    ...deps,
    volumeSources: sources,
    tokens,
    services: (namespace) => services.list(namespace),
    frozenPods,
    startGate,
    eagerProbes: () => startGate.starting,
    startTimes: createStartTimes(),
    beforeFreeze: deps.beforeFreeze ?? deps.beforeStop ?? (async () => {}),
    hostIP: machineAddress(),
    allocatable: allocatable(deps.dataDir),
    beforeStop: deps.beforeStop ?? (async () => {}),
    probe: deps.probe ?? runProbe,
    wrote: (pod) => pods.wrote(pod),
    onGone: (uid) => workers.delete(uid),
  }

  const registered = register(client, facts, clock)
  const [recovered] = await Promise.all([runtime.recover(), registered, informers.synced()])
  const left = new Map<string, Recovered>(recovered.map((item) => [item.sandbox.podUid, item]))

  const onChange = (type: 'ADDED' | 'MODIFIED' | 'DELETED', pod: Pod): void => {
    const uid = pod.metadata.uid ?? ''
    const worker = workers.get(uid)
    if (type === 'DELETED') {
      worker?.removed()
      return
    }
    if (worker) {
      worker.update(pod)
      return
    }
    if (pod.spec.nodeName !== nodeName || stopped || isOver(pod)) return
    const started = new PodWorker(pod, workerDeps)
    workers.set(uid, started)
    const found = left.get(uid)
    left.delete(uid)
    if (!found) deps.onStep?.(pod, 'bound', clock.monotonic())
    started.begin(found)
  }
  // Adopts, synchronously, everything that is in the cache.
  const subscription = pods.subscribe((type, pod) => onChange(type, pod))
  for (const [uid, stray] of left) void stopStray(uid, stray)
  left.clear()
  schedule()

  async function stopStray(uid: string, { containers }: Recovered): Promise<void> {
    log.info('stopping a pod that no longer exists', { uid })
    try {
      for (const { id } of containers) await runtime.signal(id, 'SIGTERM')
      await Promise.race([
        Promise.all(containers.map(({ exited }) => exited)),
        sleep(clock, strayGraceMs),
      ])
      await unmountBelow(podFolder(deps.dataDir, uid))
      await runtime.removeSandbox(uid)
    } catch (error) {
      log.error('a left-over pod could not be stopped', { uid, error })
    }
  }

  function schedule(): void {
    cancelHeartbeat = clock.after(heartbeatMs, () => {
      frozenPods.enforce()
      void beat(client, facts, clock)
        .catch((error: unknown) => log.error('node heartbeat failed', { error }))
        .finally(() => {
          if (!stopped) schedule()
        })
    })
  }

  return {
    async [Symbol.asyncDispose]() {
      stopped = true
      cancelHeartbeat()
      frozenPods[Symbol.dispose]()
      subscription[Symbol.dispose]()
      sources[Symbol.dispose]()
      await Promise.all([...workers.values()].map((worker) => worker.detach()))
      workers.clear()
    },
  }
}

/** Ended and deleted; only somebody's finalizer keeps the object. */
const isOver = ({ metadata, status }: Pod): boolean =>
  metadata.deletionTimestamp !== undefined &&
  metadata.deletionGracePeriodSeconds === 0 &&
  (status?.phase === 'Succeeded' || status?.phase === 'Failed')

async function register(client: Client, facts: NodeFacts, clock: Clock): Promise<void> {
  let node: Node
  try {
    node = await client.create(Node, nodeObject(facts))
  } catch (error) {
    if (!hasReason(error, 'AlreadyExists')) throw error
    node = await client.get(Node, { namespace: '', name: facts.nodeName })
  }
  await client.patch(
    Node,
    { namespace: '', name: facts.nodeName },
    {
      type: 'merge',
      subresource: 'status',
      body: { status: nodeStatus(facts, node.status, clock.now()) },
    },
  )
  await beat(client, facts, clock)
}

async function beat(client: Client, { nodeName }: NodeFacts, clock: Clock): Promise<void> {
  const key = { namespace: leaseNamespace, name: nodeName }
  const body = { spec: { renewTime: microTime(clock.now()) } }
  try {
    await client.patch(Lease, key, { type: 'merge', body })
  } catch (error) {
    if (!hasReason(error, 'NotFound')) throw error
    try {
      await client.create(Lease, nodeLease(nodeName, clock.now()))
    } catch (failure) {
      // The namespace may come a moment later; the next beat tries again.
      if (!hasReason(failure, 'NotFound', 'AlreadyExists')) throw failure
    }
  }
}
