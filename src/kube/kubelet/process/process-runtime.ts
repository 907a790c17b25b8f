/**
 * Runs containers as processes of this machine, through the launcher. Nothing has to be installed: an image's files lie in
 * a shared folder, a program starts with its working directory there, an environment of its own and, where the machine
 * allows, a network of its own. Images that have a root of their own get one (sandbox/); this file starts the others.
 */
import { createHash } from 'node:crypto'
import { existsSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { enterCommand, setUser } from './enter-command.ts'
import { NoExecutable, resolveCommand } from './executable.ts'
import { connectLauncher } from './launcher-client.ts'
import { markName } from '../launcher/proc.ts'
import type {
  ContainerRecord,
  ExecContext,
  LimitsSpec,
  PodRecord,
  SandboxRecord,
} from '../launcher/protocol.ts'
import { mountArguments } from '../volumes/mounts.ts'
import { dialLoopback } from './loopback-relay.ts'
import { networkCommandLimitMs, openNetwork, type NetworkOptions } from './open-network.ts'
import { attachProcess, prepareStreams } from './process-attach.ts'
import { openCommand } from './process-command.ts'
import { cpuNanosOfTree, memoryOfTree } from './process-memory.ts'
import { makeFolders, mustReach, placeOf } from './program-place.ts'
import type { Container, ContainerResources, ContainerSpec, Runtime, Sandbox } from '../runtime.ts'
import {
  cgroupName,
  groupCpuNanos,
  groupMemoryBytes,
  openCgroups,
  type Cgroups,
} from '../sandbox/cgroups.ts'
import { hasOwnRoot, wantsOwnRoot } from '../sandbox/own-root.ts'
import { removePodFolder, removePodFolders } from '../sandbox/remains.ts'
import type { Starter } from '../sandbox/starter.ts'
import { strippedEntry } from './stripped-entry.ts'
import { NoTerminal, onTerminal, programOnTerminal } from './terminal.ts'
import { warmInterpreters, type WarmInterpreters } from './warm-interpreters.ts'
import { warmStart } from './warm-start.ts'

export interface ProcessRuntimeOptions extends NetworkOptions {
  readonly dataDir: string
  /** Unix socket of the launcher (`layoutOf(dataDir).launcherSocket`). */
  readonly socketPath: string
  /** Containers may be privileged. Default false. */
  readonly allowPrivileged?: boolean
}

export interface ProcessRuntime extends Runtime {
  /** What `network: auto` came to. */
  readonly network: 'namespaces' | 'host'
  /** Pid of the launcher; another one after it was killed. */
  readonly launcherPid: number
  /** A launcher of a previous control plane was found, so pods may be its. */
  readonly adopted: boolean
  /** How many Node processes wait for a program now. */
  idleInterpreters(): Promise<number>
  /** Lets go of the launcher without stopping anything, as a crash would. Disposing stops all pods and the launcher. */
  detach(): void
}

/** What pods get to end in when the runtime is disposed while they run. */
const disposeGraceMs = 5_000

/** Connects to the launcher of this data directory, or starts one; cleans up networks that a crash left over. */
export async function processRuntime(options: ProcessRuntimeOptions): Promise<ProcessRuntime> {
  const { dataDir, log, clock } = options
  const prefix = createHash('sha256').update(dataDir).digest('hex').slice(0, 12)
  let warm: WarmInterpreters | undefined
  const launcher = await connectLauncher({
    ...options,
    prefix,
    onRestart: () => warm?.restarted(),
  })
  // A predecessor's, whose namespaces are about to go.
  if (launcher.found) await launcher.cool()
  const sandboxes = new Map<string, SandboxRecord>()
  for (const pod of launcher.pods) if (pod.sandbox) sandboxes.set(pod.podUid, pod.sandbox)
  const network = await openNetwork(options, launcher, prefix, [...sandboxes.values()])
  if (network.cleanup)
    void launcher
      .atEnd({ argv: network.cleanup, timeoutMs: networkCommandLimitMs, limitBytes: 1 << 16 })
      .catch((error: unknown) => log.error('clean-up not noted', { error }))
  const nodeSeen = join(dataDir, 'run', 'node-seen')
  warm = warmInterpreters({
    launcher,
    network,
    size: options.warmInterpreters ?? 0,
    used: existsSync(nodeSeen),
    onUsed: () => writeQuietly(nodeSeen),
    argv: options.warmInterpreters ? idleInterpreter(dataDir) : [],
    clock,
    log,
  })
  const podFolder = (podUid: string) => join(dataDir, 'pods', podUid)
  const running = new Map<string, Running>()
  let detached = false
  /** Whom somebody has attached to. */
  const attached = new Set<string>()
  const note = (podUid: string, record: ContainerRecord) =>
    running.set(record.id, { ...record.exec, podUid, pid: record.pid, record })
  for (const pod of launcher.pods) for (const record of pod.containers) note(pod.podUid, record)

  const containerOf = (podUid: string, record: ContainerRecord): Container => ({
    id: record.id,
    podUid,
    container: record.container,
    attempt: record.attempt,
    pid: record.pid,
    startedAtMs: record.startedAtMs,
    ...(record.warm && { warm: true }),
    exited: launcher.exited(podUid, record),
  })

  let cgroups: { readonly open: Cgroups | undefined } | undefined
  /** Control groups for a plain process, made only for those that state what they may take. */
  const limitsOf = (id: string, resources: ContainerResources): LimitsSpec | undefined => {
    cgroups ??= { open: openCgroups(cgroupName(prefix)) }
    try {
      const groups = cgroups.open?.make(id, resources)
      return groups && { ...groups, enter: true }
    } catch (error) {
      log.error('a container has no limits', { error })
      return undefined
    }
  }

  let starter: Promise<Starter> | undefined
  const openStarter = async (): Promise<Starter> => {
    const { sandboxStarter } = await import('../sandbox/starter.ts')
    return sandboxStarter({
      prefix,
      allowPrivileged: options.allowPrivileged ?? false,
      onLimitation: (what) => log.info('containers with a root of their own', { limitation: what }),
      launcher,
    })
  }

  async function startInOwnRoot(
    spec: ContainerSpec,
    id: string,
    sandbox: SandboxRecord | undefined,
  ): Promise<Container> {
    const folder = podFolder(spec.podUid)
    warm?.take(spec.podUid, spec.image.reference, undefined) // no Node program of ours
    try {
      starter ??= openStarter()
      const result = await (
        await starter
      ).start({
        spec,
        id,
        sandbox,
        hostname: sandbox?.hostname ?? spec.podName,
        folder,
        streams: await prepareStreams(spec, folder),
        onTerminal,
      })
      if (!('id' in result)) return notStarted(id, spec, result.message, clock.now())
      note(spec.podUid, result)
      return { ...containerOf(spec.podUid, result), ...limitationOf(spec, result) }
    } catch (error) {
      if (!(error instanceof NoTerminal)) throw error
      return notStarted(id, spec, error.message, clock.now())
    }
  }

  return {
    name: 'process',
    version: 'process://1.0',
    network: network.mode,
    ...(network.mode === 'namespaces' && { hostIP: network.hostIP }),
    sharesFiles: (image) => !hasOwnRoot(image),
    get launcherPid() {
      return launcher.pid
    },
    adopted: launcher.found,
    idleInterpreters: () => launcher.idle(),
    detach() {
      detached = true
      launcher.detach()
    },

    async createSandbox({ podUid, name, hostname = name, ports, images = [] }) {
      const found = sandboxes.get(podUid)
      if (found) return sandboxOf(found)
      const record: SandboxRecord = {
        podUid,
        hostname,
        ...(await warm.acquire(podUid, ports, images)),
      }
      sandboxes.set(podUid, record)
      // Not waited for: the socket keeps the order, and only a successor reads it.
      void launcher
        .setSandbox(record)
        .catch((error: unknown) => log.error('sandbox not noted', { error }))
      return sandboxOf(record)
    },

    async removeSandbox(podUid) {
      const record = sandboxes.get(podUid)
      sandboxes.delete(podUid)
      warm.release(podUid)
      for (const [id, place] of running)
        if (place.podUid === podUid && running.delete(id)) attached.delete(id)
      await launcher.forget(podUid)
      if (record) await network.release(record)
      await removePodFolder(podFolder(podUid))
    },

    async start(asked) {
      const spec = wantsOwnRoot(asked) ? asked : withoutImplied(asked)
      const id = containerId(prefix, spec)
      const sandbox = sandboxes.get(spec.podUid)
      if (wantsOwnRoot(spec)) return await startInOwnRoot(spec, id, sandbox)
      const home = join(podFolder(spec.podUid), 'home')
      const place = placeOf(spec, sandbox, home)
      makeFolders(home, spec.user)
      const enter = sandbox ? network.enter(sandbox) : []
      try {
        const command = resolveCommand(spec.command, place)
        if (spec.user) mustReach(spec.user, [place.cwd, dirname(command[0] ?? '')])
        const streams = await prepareStreams(spec, podFolder(spec.podUid))
        const plain =
          spec.mounts.length === 0 && !spec.user && spec.warm !== false && !streams.inputPath
        const become = warm.take(
          spec.podUid,
          spec.image.reference,
          plain ? warmStart(command, place.env, process.execPath) : undefined,
        )
        // Through nsenter the user is changed by nsenter, which needs to be root for the rest.
        const groups = spec.security?.groups
        const user = spec.user && { ...spec.user, ...(groups?.length && { groups }) }
        const wrapped = enter.length > 0 || spec.mounts.length > 0 || user?.groups !== undefined
        const line = [
          ...enter,
          ...mountArguments(spec, podFolder(spec.podUid), place),
          ...(wrapped && user ? setUser(user) : []),
          ...command,
        ]
        const program = { argv: line, env: place.env }
        const { argv, env } = spec.tty ? onTerminal(program) : program
        const limits = spec.resources && limitsOf(id, spec.resources)
        const record = await launcher.start({
          id,
          podUid: spec.podUid,
          container: spec.container,
          attempt: spec.attempt,
          argv,
          cwd: place.cwd,
          env,
          logPath: spec.logPath,
          exec: {
            ...place,
            enter,
            hasView: spec.mounts.length > 0,
            streams,
            ...(user && { user }),
          },
          ...(become && { warm: become }),
          ...(limits && { limits }),
          ...(!wrapped && spec.user && { uid: spec.user.uid, gid: spec.user.gid ?? spec.user.uid }),
        })
        if (become && !record.warm) warm.missed(become.place)
        note(spec.podUid, record)
        return { ...containerOf(spec.podUid, record), ...limitationOf(spec, record) }
      } catch (error) {
        if (!(error instanceof NoExecutable || error instanceof NoTerminal)) throw error
        return notStarted(id, spec, error.message, clock.now())
      }
    },

    signal: (id, signal) => launcher.signal(id, signal),
    comingUp: (count) => warm.starting(count),

    async memoryBytes(id) {
      const place = running.get(id)
      if (!place) return 0
      return groupMemoryBytes(place.record.limits?.folders ?? []) ?? (await memoryOfTree(place.pid))
    },

    async cpuNanos(id) {
      const place = running.get(id)
      if (!place) return 0
      return groupCpuNanos(place.record.limits?.folders ?? []) ?? (await cpuNanosOfTree(place.pid))
    },

    async exec(id, command, { timeoutMs, limitBytes }) {
      const place = running.get(id)
      if (!place) return { exitCode: 126, output: 'container is not running' }
      try {
        return await launcher.run({
          ...(await enterCommand(place, command)),
          timeoutMs,
          limitBytes,
        })
      } catch (error) {
        if (error instanceof NoExecutable) return { exitCode: 127, output: error.message }
        throw error
      }
    },

    async open(id, command, streams) {
      const place = running.get(id)
      if (!place) throw new Error('container is not running')
      // Where the program is on a terminal, the container's first process only holds that.
      const pid =
        place.streams?.tty && !place.record.keeper ? programOnTerminal(place.pid)?.pid : undefined
      const inside = await enterCommand(pid === undefined ? place : { ...place, pid }, command)
      const env = { ...inside.env, [markName]: id }
      return await openCommand({ ...inside, env }, streams, clock)
    },

    async dialLoopback(podUid, port) {
      const sandbox = sandboxes.get(podUid)
      const enter = sandbox ? network.enter(sandbox) : []
      if (enter.length === 0) throw new Error('the pod has no network of its own')
      return await dialLoopback(enter, port, clock)
    },

    async attach(id) {
      const place = running.get(id)
      if (!place?.streams) throw new Error('container is not running')
      const isFirst = !attached.has(id)
      attached.add(id)
      return await attachProcess(place.streams, {
        pid: place.record.keeper?.pid ?? place.pid,
        exited: launcher.exited(place.podUid, place.record),
        endInput: () => launcher.endInput(id),
        isFirst,
        clock,
      })
    },

    async recover() {
      return launcher.pods.flatMap((pod: PodRecord) =>
        pod.sandbox
          ? [
              {
                sandbox: sandboxOf(pod.sandbox),
                containers: pod.containers.map((record) => containerOf(pod.podUid, record)),
              },
            ]
          : [],
      )
    },

    async [Symbol.asyncDispose]() {
      warm[Symbol.dispose]()
      await network[Symbol.asyncDispose]()
      if (detached) return
      await launcher.stop(disposeGraceMs)
      await removePodFolders(join(dataDir, 'pods'))
    },
  }
}

/** Command line of an interpreter that waits for its program. */
const idleInterpreter = (dataDir: string): readonly string[] => [
  process.execPath,
  strippedEntry(
    new URL(`../launcher/warm-interpreter${import.meta.url.slice(-3)}`, import.meta.url),
    join(dataDir, 'run', 'bin'),
  ),
  dataDir,
]

interface Running extends ExecContext {
  readonly podUid: string
  readonly pid: number
  readonly record: ContainerRecord
}

const sandboxOf = ({ podUid, podIP, hostPorts }: SandboxRecord): Sandbox => ({
  podUid,
  podIP,
  ...(hostPorts && { hostPorts }),
})

/** An empty file that only saves a moment the next time. */
function writeQuietly(path: string): void {
  try {
    writeFileSync(path, '')
  } catch {
    // A full disk: the next control plane waits for the first Node program again.
  }
}

/** The same for the same attempt, so that a successor finds it; the first digits name the data directory. */
const containerId = (prefix: string, spec: ContainerSpec): string =>
  prefix +
  createHash('sha256')
    .update(`${spec.podUid}/${spec.container}/${spec.attempt}`)
    .digest('hex')
    .slice(prefix.length)

/** A program of another image that the pod wants to be a plain process after all. */
const withoutImplied = (spec: ContainerSpec): ContainerSpec =>
  hasOwnRoot(spec.image) ? { ...spec, mounts: spec.mounts.filter(({ implied }) => !implied) } : spec

function limitationOf(
  { resources }: ContainerSpec,
  { limits }: ContainerRecord,
): Pick<Container, 'limitation'> {
  const hasLimits =
    resources?.memoryLimitBytes !== undefined || resources?.cpuLimitMillis !== undefined
  return hasLimits && !limits
    ? {
        limitation:
          'its limits are not enforced: no control group of this machine can be written to; run the platform as root, or under a service manager that delegates them',
      }
    : {}
}

const notStarted = (
  id: string,
  spec: ContainerSpec,
  message: string,
  nowMs: number,
): Container => ({
  id,
  podUid: spec.podUid,
  container: spec.container,
  attempt: spec.attempt,
  pid: 0,
  startedAtMs: nowMs,
  exited: Promise.resolve({
    exitCode: 128,
    reason: 'StartError',
    message: `failed to create task: ${message}: unknown`,
    finishedAtMs: nowMs,
  }),
})
