/**
 * Runs containers by a Docker Engine (Docker, or Podman's service). A pod is a holder (holder.ts) with the pod's address,
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
import type { Container, ContainerSpec, Runtime, Sandbox, SandboxSpec } from '../runtime.ts'
import { containerBody, holderBody, NotAllowed } from './container-body.ts'
import type { Engine, InspectedContainer, ListedContainer } from './engine.ts'
import { EngineError } from './engine-http.ts'
import { execInside } from './exec.ts'
import { imageLoader } from './image-loader.ts'
import { containerName, holderName, label, networkName, ofPlatform, ofPod } from './labels.ts'
import { platformOf, removeRemains } from './remains.ts'
import { createLog } from './log-copy.ts'
import { follow } from './running-container.ts'

export interface DockerRuntimeOptions {
  readonly engine: Engine
  readonly store: ContentStore
  readonly dataDir: string
  readonly clock: Clock
  readonly log: Log
  /** Containers may ask to be privileged. */
  readonly allowPrivileged?: boolean
  /**
   * How pods are reached: at addresses of their own, where the engine's bridge is one of this machine; else by ports of
   * this machine's loopback, as with Docker Desktop, a rootless or a remote engine. Default: found out.
   */
  readonly reach?: 'addresses' | 'ports'
}

export interface DockerRuntime extends Runtime {
  readonly reach: 'addresses' | 'ports'
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

interface Held {
  readonly sandbox: Sandbox
  readonly holderId: string
}

/** Makes the network of this data directory, and gives the engine what holds pods. */
export async function dockerRuntime(options: DockerRuntimeOptions): Promise<DockerRuntime> {
  const { engine, store, dataDir, clock, log } = options
  const platform = platformOf(dataDir)
  const network = networkName(platform)
  const images = imageLoader(engine, store, platform)
  const [gateway, holder, before] = await Promise.all([
    engine.ensureNetwork(network, { [label.platform]: platform }),
    images.ensureHolder(),
    engine.containers(ofPlatform(platform)),
  ])
  const reach =
    options.reach ??
    (!engine.facts.rootless && (await isOwnAddress(gateway)) ? 'addresses' : 'ports')
  log.info('containers are run by Docker', { engine: engine.address, ...engine.facts, reach })

  const pods = new Map<string, Promise<Held>>()
  /** By id: what its image wants to be stopped by. */
  const stopSignals = new Map<string, string>()
  const followed = new Map<string, Container>()
  const letGo = new AbortController()

  const heldOf = (podUid: string, seen: InspectedContainer): Held => ({
    holderId: seen.id,
    sandbox:
      reach === 'addresses'
        ? { podUid, podIP: seen.addresses[network] ?? '' }
        : { podUid, podIP: '127.0.0.1', hostPorts: seen.hostPorts },
  })

  const hold = async (spec: SandboxSpec): Promise<Held> => {
    const publish = reach === 'ports'
    const body = holderBody(spec, { image: holder, platform, network, publish })
    const id = await createWith(holderName(platform, spec), body, holder)
    try {
      await engine.startContainer(id)
      const seen = await engine.inspect(id)
      if (!seen?.running) throw new Error(`the holder of the pod has ended: ${seen?.error ?? ''}`)
      return heldOf(spec.podUid, seen)
    } catch (error) {
      await engine.remove(id)
      throw error
    }
  }

  const createWith = async (
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

  const containerOf = (
    { id, pid, startedAtMs, labels }: InspectedContainer,
    stopSignal: string,
  ): Container => {
    const known = followed.get(id)
    if (known) return known
    const container: Container = {
      id,
      podUid: labels[label.podUid] ?? '',
      container: labels[label.container] ?? '',
      attempt: Number(labels[label.attempt] ?? 0),
      // One that has ended already had one, too; inside it, this one.
      pid: pid || 1,
      startedAtMs,
      exited: follow({ engine, clock, log }, id, labels[label.logPath] ?? '', letGo.signal),
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
    await engine.remove(id)
  }

  const endAndRemove = async ({ id, state }: ListedContainer): Promise<void> => {
    if (state === 'paused') await engine.unpause(id)
    if (state === 'running' || state === 'paused') await engine.kill(id, 'SIGKILL')
    const container = followed.get(id)
    if (container) await Promise.race([container.exited, sleep(clock, killLimitMs)])
    await drop(id)
  }

  return {
    name: 'docker',
    version: `docker://${engine.facts.version}`,
    reach,
    adopted: before.length > 0,
    prepareImage: (digest) => images.ensure(digest),
    detach: () => letGo.abort(),

    async createSandbox(spec) {
      let held = pods.get(spec.podUid)
      if (!held) {
        held = hold(spec)
        pods.set(spec.podUid, held)
        held.catch(() => pods.delete(spec.podUid))
      }
      return (await held).sandbox
    },

    async removeSandbox(podUid) {
      await pods.get(podUid)?.catch(() => {})
      pods.delete(podUid)
      const all = await engine.containers(ofPod(podUid))
      const isHolder = ({ labels }: ListedContainer) => labels[label.role] === 'holder'
      await Promise.all(all.filter((item) => !isHolder(item)).map(endAndRemove))
      await Promise.all(all.filter(isHolder).map(({ id }) => engine.remove(id)))
      await rm(join(dataDir, 'pods', podUid), { recursive: true, force: true })
    },

    async start(spec) {
      const held = await pods.get(spec.podUid)
      if (!held) throw new Error(`pod ${spec.namespace}/${spec.podName} has no network yet`)
      let id: string | undefined
      try {
        const body = containerBody(spec, {
          image: spec.image.rootfs,
          platform,
          holderId: held.holderId,
          allowPrivileged: options.allowPrivileged ?? false,
        })
        id = await createWith(containerName(platform, spec), body, spec.image.rootfs)
        await createLog(spec.logPath)
        await engine.startContainer(id)
      } catch (error) {
        if (id !== undefined) await engine.remove(id)
        if (!(error instanceof EngineError || error instanceof NotAllowed)) throw error
        return notStarted(spec, error.message, clock.now())
      }
      const seen = await engine.inspect(id)
      if (!seen) return notStarted(spec, 'it was removed from the engine', clock.now())
      if (spec.attempt > 0)
        removeOlder(spec).catch((error: unknown) => log.error('not removed', { error }))
      return containerOf(seen, spec.image.config.stopSignal)
    },

    async signal(id, signal) {
      if (!followed.has(id)) return
      if (signal === 'SIGSTOP') return await engine.pause(id)
      if (signal === 'SIGCONT') return await engine.unpause(id)
      await engine.kill(id, signal === 'SIGTERM' ? stopSignals.get(id) || signal : signal)
    },

    memoryBytes: (id) => engine.memoryBytes(id),
    exec: (id, command, limits) => execInside(engine, id, command, { ...limits, clock }),

    async recover() {
      const all = await engine.containers(ofPlatform(platform))
      const uids = new Set(all.map(({ labels }) => labels[label.podUid] ?? ''))
      const found = await Promise.all(
        [...uids].map(async (podUid) => {
          const own = all.filter(({ labels }) => labels[label.podUid] === podUid)
          const holderId = own.find(({ labels }) => labels[label.role] === 'holder')?.id
          const seen = holderId === undefined ? undefined : await engine.inspect(holderId)
          if (!seen?.running) {
            log.info('removing what is left of a pod without its network', { podUid })
            await Promise.all(own.map(endAndRemove))
            return []
          }
          const held = heldOf(podUid, seen)
          pods.set(podUid, Promise.resolve(held))
          const programs = own.filter(({ id }) => id !== holderId)
          return [{ sandbox: held.sandbox, containers: await Promise.all(programs.map(adopt)) }]
        }),
      )
      return found.flat().map(({ sandbox, containers }) => ({
        sandbox,
        containers: containers.filter((container) => container !== undefined),
      }))

      /** Undefined, and gone, when it never ran. */
      async function adopt(item: ListedContainer): Promise<Container | undefined> {
        const seen = item.state === 'created' ? undefined : await engine.inspect(item.id)
        if (!seen) await engine.remove(item.id)
        return seen && containerOf(seen, seen.stopSignal)
      }
    },

    async [Symbol.asyncDispose]() {
      const isDetached = letGo.signal.aborted
      if (!isDetached) {
        await removeRemains(engine, platform, disposeGraceMs, clock)
        await rm(join(dataDir, 'pods'), { recursive: true, force: true })
      }
      letGo.abort()
      engine[Symbol.dispose]()
    },
  }
}

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
