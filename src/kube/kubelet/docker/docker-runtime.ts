/**
 * Runs containers by a Docker Engine (Docker, or Podman's service). A pod is a holder (holders.ts) with the pod's address,
 * and containers that share its network. The engine is the only memory: what runs is found again by its labels, and
 * nothing without a label of ours is touched.
 */
import { createHash } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { sleep, type Clock } from '../../../lib/clock.ts'
import type { Log } from '../../../lib/log.ts'
import type { ContentStore } from '../../../image/content-store.ts'
import type { Container, ContainerSpec, Runtime, Sandbox } from '../runtime.ts'
import { containerBody, NotAllowed } from './container-body.ts'
import type { Engine, InspectedContainer, ListedContainer } from './engine.ts'
import { EngineError } from './engine-http.ts'
import { execInside } from './exec.ts'
import { attachTo, openExec } from './hijacked-streams.ts'
import { openHolders, type Holder, type Reach } from './holders.ts'
import { imageLoader } from './image-loader.ts'
import { containerName, label, networkName, ofPlatform, ofPod } from './labels.ts'
import { createLog } from './log-copy.ts'
import { platformOf, removeRemains } from './remains.ts'
import { follow } from './running-container.ts'

export interface DockerRuntimeOptions {
  readonly engine: Engine
  readonly store: ContentStore
  readonly dataDir: string
  readonly clock: Clock
  readonly log: Log
  /** Containers may ask to be privileged. */
  readonly allowPrivileged?: boolean
  /** Default: found out. */
  readonly reach?: Reach
}

export interface DockerRuntime extends Runtime {
  readonly reach: Reach
  /** There were pods of a previous control plane. */
  readonly adopted: boolean
  /** Gives the engine the image with this manifest; answers its name there, for `ImageHandle.rootfs`. */
  prepareImage(digest: string): Promise<string>
  /** Lets go of everything without stopping it, as a crash would. Disposing stops all pods and removes what is ours. */
  detach(): void
}

/** What pods get to end in when the runtime is disposed while they run. */
const disposeGraceMs = 5_000
/** A killed container is seen to have ended within this time. */
const killLimitMs = 5_000

interface Started {
  readonly id: string
  readonly output: AsyncIterable<Uint8Array>
}

/** Makes the network of this data directory, and gives the engine what holds pods. */
export async function dockerRuntime(options: DockerRuntimeOptions): Promise<DockerRuntime> {
  const { engine, store, dataDir, clock, log } = options
  const platform = platformOf(dataDir)
  const images = imageLoader(engine, store, platform)
  const [{ gateway }, before] = await Promise.all([
    engine.ensureNetwork(networkName(platform), { [label.platform]: platform }),
    engine.containers(ofPlatform(platform)),
    images.ensureHolder(),
  ])
  const isLocal = !engine.facts.rootless && (await isOwnAddress(gateway))
  const reach = options.reach ?? (isLocal ? 'addresses' : 'ports')
  log.info('containers are run by Docker', { engine: engine.address, ...engine.facts, reach })

  /** By id: what its image wants to be stopped by. */
  const stopSignals = new Map<string, string>()
  const followed = new Map<string, Container>()
  /** Whom somebody has attached to. */
  const attachedOnce = new Set<string>()
  const letGo = new AbortController()

  const create = async (
    name: string,
    body: Readonly<Record<string, unknown>>,
    image: string,
  ): Promise<string> => {
    try {
      return await engine.createContainer(name, body)
    } catch (error) {
      const isMissing = error instanceof EngineError && error.status === 404
      if (!isMissing || !(await images.again(image))) throw error
      return await engine.createContainer(name, body)
    }
  }
  const holders = openHolders({ engine, images, platform, reach, create })

  /** The container whose processes another is to see. */
  const besideOf = async (
    holder: Holder,
    { processes, podUid }: ContainerSpec,
  ): Promise<string | undefined> => {
    if (processes === undefined || processes === 'pod') return processes && holder.id
    const all = await engine.containers(ofPod(podUid))
    const found = all.find(
      ({ labels, state }) => labels[label.container] === processes.of && state === 'running',
    )
    if (!found) throw new NotAllowed(`container ${processes.of} does not run, so nobody sees it`)
    return found.id
  }

  const startIn = async (holder: Holder, spec: ContainerSpec): Promise<Started> => {
    const image = spec.image.rootfs
    const { allowPrivileged = false } = options
    const beside = await besideOf(holder, spec)
    const body = containerBody(spec, {
      image,
      platform,
      holderId: holder.id,
      ...(beside !== undefined && { beside }),
      allowPrivileged,
    })
    const id = await create(containerName(platform, spec), body, image)
    const attached = new AbortController()
    try {
      await createLog(spec.logPath)
      const output = await engine.attach(
        id,
        AbortSignal.any([letGo.signal, attached.signal]),
        spec.tty,
      )
      await engine.startContainer(id)
      return { id, output }
    } catch (error) {
      attached.abort()
      await engine.remove(id)
      throw error
    }
  }

  /** A holder that has ended, with the engine perhaps, is started again; all containers of the pod then are, too. */
  const startOrRevive = async (holder: Holder, spec: ContainerSpec): Promise<Started> => {
    try {
      return await startIn(holder, spec)
    } catch (error) {
      if (!(error instanceof EngineError) || !(await holders.revive(holder))) throw error
      log.info('the network of a pod was made again', { pod: `${spec.namespace}/${spec.podName}` })
      const all = await engine.containers(ofPod(spec.podUid))
      const inOldNetwork = all.filter(({ id }) => id !== holder.id)
      await Promise.all(inOldNetwork.map(({ id }) => engine.kill(id, 'SIGKILL')))
      return await startIn(holder, spec)
    }
  }

  const containerOf = (
    { id, pid, startedAtMs, labels }: InspectedContainer,
    stopSignal: string,
    output?: AsyncIterable<Uint8Array>,
  ): Container => {
    const known = followed.get(id)
    if (known) return known
    const logPath = labels[label.logPath] ?? ''
    const container: Container = {
      id,
      podUid: labels[label.podUid] ?? '',
      container: labels[label.container] ?? '',
      attempt: Number(labels[label.attempt] ?? 0),
      // One that has ended already had one, too; inside it, this one.
      pid: pid || 1,
      startedAtMs,
      exited: follow({ engine, clock, log }, id, logPath, letGo.signal, output),
    }
    followed.set(id, container)
    stopSignals.set(id, stopSignal)
    return container
  }

  /** Ends are kept until there is a newer one: a control plane that is killed now still has to tell of it. */
  const removeOlder = async ({ podUid, container, attempt }: ContainerSpec): Promise<void> => {
    const older = (await engine.containers(ofPod(podUid))).filter(
      ({ labels }) =>
        labels[label.container] === container && Number(labels[label.attempt]) < attempt,
    )
    await Promise.all(older.map(({ id }) => drop(id)))
  }

  const drop = async (id: string): Promise<void> => {
    followed.delete(id)
    stopSignals.delete(id)
    attachedOnce.delete(id)
    await engine.remove(id)
  }

  const endAndRemove = async ({ id, state }: ListedContainer): Promise<void> => {
    if (state === 'paused') await engine.unpause(id)
    if (state === 'running' || state === 'paused') await engine.kill(id, 'SIGKILL')
    const container = followed.get(id)
    if (container) await Promise.race([container.exited, sleep(clock, killLimitMs)])
    await drop(id)
  }

  /** What a previous control plane left of a pod; undefined, and gone, when its network is. */
  const recoverPod = async (
    podUid: string,
    own: readonly ListedContainer[],
  ): Promise<{ sandbox: Sandbox; containers: Container[] } | undefined> => {
    const held = own.find(isHolder)
    const seen = held && (await engine.inspect(held.id))
    if (!seen?.running) {
      log.info('removing what is left of a pod without its network', { podUid })
      await Promise.all(own.map(endAndRemove))
      return undefined
    }
    const { sandbox } = await holders.adopt(seen)
    const containers = await Promise.all(own.filter((item) => !isHolder(item)).map(adopt))
    return { sandbox, containers: containers.filter((container) => container !== undefined) }
  }

  /** Undefined, and gone, when it never ran. */
  const adopt = async ({ id, state }: ListedContainer): Promise<Container | undefined> => {
    const seen = state === 'created' ? undefined : await engine.inspect(id)
    if (!seen) await engine.remove(id)
    return seen && containerOf(seen, seen.stopSignal)
  }

  return {
    name: 'docker',
    version: `docker://${engine.facts.version}`,
    reach,
    ...(reach === 'addresses' && { hostIP: gateway }),
    namesHosts: true,
    adopted: before.length > 0,
    prepareImage: (digest) => images.ensure(digest),
    detach: () => letGo.abort(),

    createSandbox: async (spec) => (await holders.hold(spec)).sandbox,

    async removeSandbox(podUid) {
      await holders.forget(podUid)
      const all = await engine.containers(ofPod(podUid))
      await Promise.all(all.filter((item) => !isHolder(item)).map(endAndRemove))
      await Promise.all(all.filter(isHolder).map(({ id }) => engine.remove(id)))
      await rm(join(dataDir, 'pods', podUid), { recursive: true, force: true })
    },

    async start(spec) {
      const holder = await holders.find(spec.podUid)
      if (!holder) throw new Error(`pod ${spec.namespace}/${spec.podName} has no network yet`)
      let started: Started
      try {
        started = await startOrRevive(holder, spec)
      } catch (error) {
        if (!(error instanceof EngineError || error instanceof NotAllowed)) throw error
        return notStarted(spec, error.message, clock.now())
      }
      const seen = await engine.inspect(started.id)
      if (!seen) return notStarted(spec, 'it was removed from the engine', clock.now())
      if (spec.attempt > 0)
        removeOlder(spec).catch((error: unknown) => log.error('not removed', { error }))
      return containerOf(seen, spec.image.config.stopSignal, started.output)
    },

    async signal(id, signal) {
      if (!followed.has(id)) return
      if (signal === 'SIGSTOP') return await engine.pause(id)
      if (signal === 'SIGCONT') return await engine.unpause(id)
      await engine.kill(id, signal === 'SIGTERM' ? stopSignals.get(id) || signal : signal)
    },

    memoryBytes: (id) => engine.memoryBytes(id),
    cpuNanos: (id) => engine.cpuNanos(id),
    exec: (id, command, limits) => execInside(engine, id, command, { ...limits, clock }),
    open: (id, command, options) => openExec(engine, id, command, options, clock),
    attach: (id) => attachTo(engine, id, attachedOnce, clock),

    async recover() {
      const all = await engine.containers(ofPlatform(platform))
      const byPod = Map.groupBy(all, ({ labels }) => labels[label.podUid] ?? '')
      const found = await Promise.all([...byPod].map(([podUid, own]) => recoverPod(podUid, own)))
      return found.filter((pod) => pod !== undefined)
    },

    async [Symbol.asyncDispose]() {
      if (!letGo.signal.aborted) {
        await removeRemains(engine, platform, disposeGraceMs, clock)
        await rm(join(dataDir, 'pods'), { recursive: true, force: true })
      }
      letGo.abort()
      engine[Symbol.dispose]()
    },
  }
}

const isHolder = ({ labels }: ListedContainer): boolean => labels[label.role] === 'holder'

/** Whether this machine has an address: a server can be bound to it, even while nothing is plugged into its bridge. */
function isOwnAddress(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    if (address === '') return resolve(false)
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ host: address, port: 0, exclusive: true }, () =>
      server.close(() => resolve(true)),
    )
  })
}

const notStarted = (spec: ContainerSpec, message: string, nowMs: number): Container => ({
  id: createHash('sha256').update(`${spec.podUid}/${spec.container}/${spec.attempt}`).digest('hex'),
  podUid: spec.podUid,
  container: spec.container,
  attempt: spec.attempt,
  pid: 0,
  startedAtMs: nowMs,
  exited: Promise.resolve({
    exitCode: 128,
    reason: 'StartError',
    message: `failed to create task: ${message}`,
    finishedAtMs: nowMs,
  }),
})
