/**
 * The pods of the launcher: starts their processes, notices their end, and writes down what a successor needs to find
 * them again after kill -9. Everything is synchronous but the waiting, because a small process that does one thing at
 * a time starts a container soonest.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import type { Clock } from '../../../lib/clock.ts'
import { exitOf, lateEnd, runs, startError } from './ends.ts'
import { enterGroups, removeGroups } from './groups.ts'
import { keptEnd, ranOut, reportOf } from './kept.ts'
import { bootId, isAlive, markedProcesses, markName, processStat } from './proc.ts'
import type {
  ContainerRecord,
  ExitRecord,
  KeptSpec,
  LimitsSpec,
  PodRecord,
  SandboxRecord,
  StartSpec,
} from './protocol.ts'
import { hearsEnd, kill, killGroup, signalContainer } from './signals.ts'
import type { WarmPool } from './warm-pool.ts'

/** How often the end of a process that is not our child is looked for. */
const pollMs = 100
/** How often groups are tried to be removed. */
const groupRetryMs = 50
/** How long everything may take to die of SIGKILL before we give up. */
const killWaitMs = 5_000

interface Pod {
  readonly podUid: string
  sandbox?: SandboxRecord
  readonly containers: Map<string, ContainerRecord>
}

export interface PodsOptions {
  /** Folder of the records, one file a pod. */
  readonly directory: string
  /** First digits of every container id of this data directory. */
  readonly prefix: string
  readonly clock: Clock
  readonly warm: Pick<WarmPool, 'take'>
  readonly onExit: (podUid: string, container: ContainerRecord) => void
}

export class Pods {
  readonly #options: PodsOptions
  readonly #pods = new Map<string, Pod>()
  readonly #boot = bootId()
  readonly #adopted = new Set<string>()
  /** By container: the end of its input that keeps it open. */
  readonly #inputs = new Map<string, number>()
  /** Keepers whose programs have not begun yet, with their pods. */
  readonly #starting = new Map<ChildProcess, string>()
  #polling = false

  constructor(options: PodsOptions) {
    this.#options = options
    mkdirSync(options.directory, { recursive: true, mode: 0o700 })
    this.#adopt()
  }

  list(): PodRecord[] {
    return [...this.#pods.values()].map(recordOf)
  }

  setSandbox(sandbox: SandboxRecord): void {
    const pod = this.#pod(sandbox.podUid)
    pod.sandbox = sandbox
    this.#write(pod)
  }

  /** Starts a process. One that can't be executed is a container that has ended with StartError. */
  start(spec: StartSpec): Promise<ContainerRecord> {
    const { clock } = this.#options
    const startedAtMs = clock.now()
    const failed = (error: unknown): ContainerRecord => {
      const record: ContainerRecord = {
        id: spec.id,
        container: spec.container,
        attempt: spec.attempt,
        pid: 0,
        startTicks: '',
        startedAtMs,
        exec: spec.exec,
        exit: startError(error, clock.now()),
      }
      this.endInput(spec.id)
      this.#release(spec.limits)
      this.#put(spec.podUid, record)
      return record
    }
    let log: number
    let input: number | undefined
    try {
      log = openLog(spec.logPath)
    } catch (error) {
      return Promise.resolve(failed(error))
    }
    try {
      input = this.#openInput(spec)
    } catch (error) {
      closeSync(log)
      return Promise.resolve(failed(error))
    }
    return new Promise((resolve) => {
      try {
        const warm = this.#specialise(spec)
        const child = warm ?? spawnContainer(spec, log, input)
        const { pid } = child
        if (pid === undefined) {
          child.once('error', (error) => resolve(failed(error)))
          return
        }
        child.on('error', () => {}) // of later kills: the process is gone by then
        if (spec.kept) {
          this.#startKept(spec, spec.kept, child).then(resolve, (error: unknown) =>
            resolve(failed(error)),
          )
          return
        }
        if (spec.limits) enterGroups(pid, spec.limits)
        const record: ContainerRecord = {
          id: spec.id,
          container: spec.container,
          attempt: spec.attempt,
          pid,
          startTicks: processStat(pid)?.startTicks ?? '',
          startedAtMs,
          exec: spec.exec,
          ...(warm && { warm: true }),
          ...(spec.limits && { limits: spec.limits }),
        }
        child.once('exit', (code, signal) => {
          const exit = exitOf(code, signal, clock.now())
          const outOfMemory = exit.exitCode !== 0 && ranOut(spec.limits)
          this.#ended(spec.podUid, spec.id, outOfMemory ? { ...exit, reason: 'OOMKilled' } : exit)
        })
        this.#put(spec.podUid, record)
        resolve(record)
      } catch (error) {
        resolve(failed(error)) // bad arguments, such as a NUL byte
      } finally {
        closeSync(log)
        if (input !== undefined) closeSync(input)
      }
    })
  }

  /** The keeper runs: waits until the program does. What could not be started is no container, and is not kept in mind. */
  async #startKept(spec: StartSpec, kept: KeptSpec, child: ChildProcess): Promise<ContainerRecord> {
    const { clock } = this.#options
    const { id, podUid, container, attempt, exec, limits } = spec
    const startedAtMs = clock.now()
    const keeper = child.pid ?? 0
    const ended = new Promise<ExitRecord>((resolve) => {
      child.once('exit', (code, signal) =>
        resolve(keptEnd(kept, limits, clock.now()) ?? exitOf(code, signal, clock.now())),
      )
    })
    this.#starting.set(child, podUid)
    const { pid, failed } = await reportOf(child, exec.streams?.tty === true)
    const forgotten = !this.#starting.delete(child)
    const record: ContainerRecord = {
      id,
      container,
      attempt,
      pid: pid ?? 0,
      startTicks: pid === undefined ? '' : (processStat(pid)?.startTicks ?? ''),
      startedAtMs,
      exec,
      kept,
      keeper: { pid: keeper, startTicks: processStat(keeper)?.startTicks ?? '' },
      ...(limits && { limits }),
    }
    void ended.then(() => this.#release(limits))
    if (pid === undefined || failed) {
      const exit = await ended
      this.endInput(id)
      return { ...record, pid: 0, exit, ...(failed && { failed }) }
    }
    if (forgotten) return { ...record, exit: await ended }
    this.#put(podUid, record)
    void ended.then((exit) => this.#ended(podUid, id, exit))
    return record
  }

  /** Removes the groups of a container that has ended or is about to: the kernel keeps them until its last process is gone. */
  #release(limits: LimitsSpec | undefined, tries = 50): void {
    if (limits === undefined || removeGroups(limits) || tries === 0) return
    this.#options.clock.after(groupRetryMs, () => this.#release(limits, tries - 1))
  }

  /** The program's end of its input, a named pipe that is kept open from here; undefined when it has none. */
  #openInput({ id, exec: { streams } }: StartSpec): number | undefined {
    if (streams?.inputPath === undefined) return undefined
    // Open both ways, as either way alone would wait for the other side.
    this.#inputs.set(id, openSync(streams.inputPath, 'r+'))
    return openSync(streams.inputPath, 'r')
  }

  /** Lets go of a container's input: it ends once nobody else has it open. */
  endInput(id: string): void {
    const input = this.#inputs.get(id)
    this.#inputs.delete(id)
    if (input !== undefined) closeSync(input)
  }

  /** Turns an idle interpreter into the container; undefined when there is none, or a new process would not start. */
  #specialise(spec: StartSpec): ChildProcess | undefined {
    if (!spec.warm || !isFolder(spec.cwd)) return undefined
    const { place, entry, args, execArgv } = spec.warm
    const { cwd, logPath } = spec
    return this.#options.warm.take(place, {
      cwd,
      env: { ...spec.env, [markName]: spec.id },
      logPath,
      entry,
      args,
      execArgv,
    })
  }

  /** Signals a container's process group. */
  signal(id: string, signal: NodeJS.Signals): void {
    for (const pod of this.#pods.values()) {
      const container = pod.containers.get(id)
      if (container && !container.exit && isAlive(container.pid, container.startTicks))
        signalContainer(container, signal)
    }
  }

  /** Ends what is left of a pod, at once, and drops its record. */
  forget(podUid: string): void {
    for (const [child, uid] of this.#starting)
      if (uid === podUid && this.#starting.delete(child)) child.kill('SIGKILL')
    const pod = this.#pods.get(podUid)
    if (!pod) return
    for (const container of pod.containers.values()) {
      if (!container.exit) signalContainer(container, 'SIGKILL')
    }
    const ids = new Set(pod.containers.keys())
    this.#pods.delete(podUid)
    for (const id of ids) {
      if (this.#adopted.delete(id)) this.#release(pod.containers.get(id)?.limits)
      this.endInput(id)
    }
    rmSync(this.#path(podUid), { force: true })
    for (const { pid, mark } of markedProcesses(this.#options.prefix)) {
      if (ids.has(mark)) kill(pid, 'SIGKILL')
    }
  }

  /** TERM to every container, KILL after `graceMs` or when nobody is left who hears, until no process with our mark is left. */
  async stopAll(graceMs: number): Promise<void> {
    const { prefix } = this.#options
    const running = () =>
      [...this.#pods.values()]
        .flatMap((pod) => [...pod.containers.values()])
        .filter((container) => !container.exit && isAlive(container.pid, container.startTicks))
    const none = () => running().length === 0
    for (const container of running()) {
      signalContainer(container, 'SIGTERM')
      signalContainer(container, 'SIGCONT') // what is frozen hears of it only so
    }
    // What the kernel keeps the signal from is not waited for: it has not come, and never will.
    await this.#until(() => !running().some(hearsEnd), graceMs)
    for (const container of running()) signalContainer(container, 'SIGKILL')
    const strays = () =>
      [...markedProcesses(prefix)].filter(({ pid }) => processStat(pid)?.state !== 'Z')
    for (const { pid } of strays()) kill(pid, 'SIGKILL')
    await this.#until(() => none() && strays().length === 0, killWaitMs)
    for (const [podUid, { containers }] of this.#pods) {
      rmSync(this.#path(podUid), { force: true })
      for (const { limits } of containers.values()) removeGroups(limits)
    }
    this.#pods.clear()
  }

  #until(done: () => boolean, limitMs: number): Promise<void> {
    const { clock } = this.#options
    const deadline = clock.monotonic() + limitMs
    return new Promise((resolve) => {
      const look = () => {
        if (done() || clock.monotonic() >= deadline) resolve()
        else clock.after(10, look)
      }
      look()
    })
  }

  #pod(podUid: string): Pod {
    let pod = this.#pods.get(podUid)
    if (!pod) this.#pods.set(podUid, (pod = { podUid, containers: new Map() }))
    return pod
  }

  #put(podUid: string, container: ContainerRecord): void {
    const pod = this.#pod(podUid)
    // Of earlier attempts only the last one is of interest to a successor.
    for (const other of pod.containers.values()) {
      if (other.container === container.container && other.attempt < container.attempt - 1)
        pod.containers.delete(other.id)
    }
    pod.containers.set(container.id, container)
    this.#write(pod)
  }

  #ended(podUid: string, id: string, exit: ExitRecord): void {
    const pod = this.#pods.get(podUid)
    const container = pod?.containers.get(id)
    if (!pod || !container || container.exit) return
    // A container ends with its first process; the kernel sees to that where it is the first of a namespace.
    if (!container.kept) killGroup(container.pid, 'SIGKILL')
    this.endInput(id)
    if (!container.kept) this.#release(container.limits)
    const ended = { ...container, exit }
    pod.containers.set(id, ended)
    this.#write(pod)
    this.#options.onExit(podUid, ended)
  }

  #path(podUid: string): string {
    return join(this.#options.directory, `${encodeURIComponent(podUid)}.json`)
  }

  #write(pod: Pod): void {
    const path = this.#path(pod.podUid)
    try {
      writeFileSync(`${path}.new`, JSON.stringify({ boot: this.#boot, ...recordOf(pod) }), {
        mode: 0o600,
      })
      renameSync(`${path}.new`, path)
    } catch {
      // A full disk: the pod runs on; only a successor of this launcher would not know it and end it.
    }
  }

  /** Takes over what a predecessor left: running processes by pid and start time; the others have ended meanwhile. */
  #adopt(): void {
    const { directory, prefix, clock } = this.#options
    const known = new Set<number>()
    const marks = new Set<string>()
    for (const file of readdirSync(directory)) {
      const path = join(directory, file)
      const record = file.endsWith('.json') ? readRecord(path) : undefined
      if (!record || record.boot !== this.#boot) {
        rmSync(path, { force: true, recursive: true })
        continue
      }
      const pod = this.#pod(record.podUid)
      if (record.sandbox) pod.sandbox = record.sandbox
      for (const container of record.containers) {
        if (container.exit) pod.containers.set(container.id, container)
        else if (runs(container)) {
          known.add(container.pid)
          if (container.keeper) known.add(container.keeper.pid)
          marks.add(container.id)
          this.#adopted.add(container.id)
          pod.containers.set(container.id, container)
        } else {
          pod.containers.set(container.id, { ...container, exit: lateEnd(container, clock.now()) })
          this.#release(container.limits)
        }
      }
      this.#write(pod)
    }
    // By pid too: what was an idle interpreter still carries that mark in /proc.
    for (const { pid, mark } of markedProcesses(prefix))
      if (!known.has(pid) && !marks.has(mark)) kill(pid, 'SIGKILL')
    this.#poll()
  }

  #poll(): void {
    if (this.#polling || this.#adopted.size === 0) return
    this.#polling = true
    this.#options.clock.after(pollMs, () => {
      this.#polling = false
      for (const [podUid, pod] of this.#pods) {
        for (const container of pod.containers.values()) {
          if (!this.#adopted.has(container.id) || runs(container)) continue
          this.#adopted.delete(container.id)
          this.#ended(podUid, container.id, lateEnd(container, this.#options.clock.now()))
        }
      }
      this.#poll()
    })
  }
}

const recordOf = (pod: Pod): PodRecord => ({
  podUid: pod.podUid,
  ...(pod.sandbox && { sandbox: pod.sandbox }),
  containers: [...pod.containers.values()],
})

function readRecord(path: string): (PodRecord & { readonly boot?: string }) | undefined {
  try {
    const value = JSON.parse(readFileSync(path, 'utf8')) as PodRecord & { readonly boot?: string }
    return typeof value.podUid === 'string' && Array.isArray(value.containers) ? value : undefined
  } catch {
    return undefined
  }
}

const spawnContainer = (spec: StartSpec, log: number, input: number | undefined): ChildProcess =>
  spawn(spec.argv[0] ?? '', spec.argv.slice(1), {
    cwd: spec.cwd,
    // First where the program is to get all but the first (sandbox/container-script.ts).
    env: { ...(spec.kept && { [markName]: spec.id }), ...spec.env, [markName]: spec.id },
    detached: true, // a session and process group of its own
    stdio: [input ?? 'ignore', log, log, ...(spec.kept ? (['pipe'] as const) : [])],
    ...(spec.uid !== undefined && { uid: spec.uid }),
    ...(spec.gid !== undefined && { gid: spec.gid }),
  })

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch {
    return false
  }
}

function openLog(path: string): number {
  try {
    return openSync(path, 'a', 0o644)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 })
    return openSync(path, 'a', 0o644)
  }
}
