/**
 * Carries out what `planPod` decides for one pod: makes its sandbox, has containers started (container-starter.ts),
 * probes them, freezes and thaws them, has the pod ended (pod-ending.ts). All state of the pod is in its record
 * (pod-record.ts); the API hears of it through the status writer, which nobody waits for. Follows the kubelet's pod
 * worker, its numbers and messages included.
 */
import { join } from 'node:path'
import { keyOf } from '../../api/meta.ts'
import { Pod } from '../../api/pod.ts'
import { frozenEvictedAnnotation, frozenSinceMs, isFrozen } from '../../api/pod-freezing.ts'
import { endOf, lostState } from '../container/container-end.ts'
import { podFolder } from '../container/container-launch.ts'
import { startContainerProbes } from '../probes/container-probes.ts'
import { ContainerStarter } from '../container/container-starter.ts'
import { allContainers, type ContainerDefinition } from '../container/container-state.ts'
import { defaultGraceSeconds, PodEnding } from './pod-ending.ts'
import { hostnameOf } from '../container/etc-files.ts'
import { runHook } from './hooks.ts'
import { PodFreezer } from './pod-freezer.ts'
import { PodRecord, type PodWorkerDeps, type RunningContainer } from './pod-record.ts'
import type { ProbeDefinition } from '../probes/probe.ts'
import { probeTarget } from '../probes/probe-target.ts'
import { countFailure } from './restart-backoff.ts'
import type { Container, ContainerExit, Sandbox } from '../runtime.ts'
import { planPod, podText } from './sync-pod.ts'
import { terminationMessage } from '../logs/termination-message.ts'
import { VolumeRefresh } from '../volumes/volume-refresh.ts'
import { watchSizes } from '../volumes/size-limits.ts'

/** What a previous control plane left of a pod. */
export interface Recovered {
  readonly sandbox: Sandbox
  readonly containers: readonly Container[]
}

/** Missing ConfigMaps, Secrets and volumes are looked for again. */
const configRetryMs = 2_000
/** A hook after the start ends with its container; a day is for ever. */
const longestHookMs = 24 * 3_600_000
/** Grace of a pod that was deleted without any. */
const forcedGraceMs = 1_000

export class PodWorker {
  readonly #record: PodRecord
  readonly #deps: PodWorkerDeps
  readonly #starter: ContainerStarter
  readonly #ending: PodEnding
  readonly #freezer: PodFreezer
  readonly #volumes: VolumeRefresh
  #sizes: Disposable | undefined
  #cancelWake = () => {}
  #cancelDeadline = () => {}
  #syncing = false
  #syncAgain = false

  constructor(pod: Pod, deps: PodWorkerDeps) {
    this.#deps = deps
    const record = new PodRecord(pod, deps)
    this.#record = record
    this.#freezer = new PodFreezer({
      ...deps,
      containers: () => [...record.running.values()].map(({ container }) => container.id),
      changed: () => this.#frozenOrThawed(),
      quiet: async (signal) => {
        await record.writer.flushed()
        if (!signal.aborted) await deps.beforeFreeze(record.pod, signal)
      },
    })
    record.freezer = this.#freezer
    this.#volumes = new VolumeRefresh(record, deps)
    const starter = new ContainerStarter(record, deps, {
      sync: () => this.sync(),
      watch: (container, definition, isUp) => this.#watch(container, definition, undefined, isUp),
    })
    this.#starter = starter
    this.#ending = new PodEnding(record, deps, {
      rest: () => this.#rest(),
      beforeEnd: () => {
        starter.stop()
        this.#volumes[Symbol.dispose]()
        this.#freezer.end()
        deps.frozenPods.remove(record.uid)
      },
      settled: async () => {
        await Promise.all([starter.settled(), this.#volumes.settled()])
      },
    })
    if (pod.spec.activeDeadlineSeconds !== undefined) {
      const leftMs = record.startedAtMs + pod.spec.activeDeadlineSeconds * 1000 - deps.clock.now()
      this.#cancelDeadline = deps.clock.after(
        Math.max(0, leftMs),
        () => void this.#ending.exceeded(),
      )
    }
  }

  /** Begins, with what a previous control plane left running, if anything. */
  begin(recovered?: Recovered): void {
    const phase = this.#record.pod.status?.phase
    if (phase === 'Succeeded' || phase === 'Failed') this.#record.finished = phase
    if (recovered) this.#adopt(recovered)
    this.#loseMissing()
    this.#freezeOrThaw()
    this.sync()
  }

  /** A newer version of the pod. */
  update(pod: Pod): void {
    const before = this.#record.pod
    this.#record.pod = pod
    this.#volumes.podChanged(before, pod)
    this.#freezeOrThaw()
    this.sync()
  }

  /** The pod was removed from the API without us. */
  removed(): void {
    this.#record.deleted = true
    this.#record.writer.stop()
    void this.#ending.terminate(forcedGraceMs)
  }

  /** Lets go: no more probes, writes or decisions; containers run on. */
  async detach(): Promise<void> {
    this.#record.detached = true
    this.#starter.stop()
    this.#volumes[Symbol.dispose]()
    this.#freezer.detach()
    this.#rest()
    for (const { probes } of this.#record.running.values()) probes[Symbol.dispose]()
    await Promise.all([this.#record.writer.flushed(), this.#volumes.settled()])
  }

  /** Decides and acts, soon; calls while that happens make it happen once more. */
  sync(): void {
    if (this.#record.detached) return
    this.#syncAgain = true
    if (this.#syncing) return
    this.#syncing = true
    void this.#syncLoop()
      .catch((error: unknown) =>
        this.#deps.log.error('pod sync failed', { pod: podText(this.#record.pod), error }),
      )
      .finally(() => (this.#syncing = false))
  }

  async #syncLoop(): Promise<void> {
    while (this.#syncAgain && !this.#record.detached) {
      this.#syncAgain = false
      await this.#syncOnce()
    }
  }

  async #syncOnce(): Promise<void> {
    const { clock } = this.#deps
    const pod = this.#record.pod
    if (pod.metadata.deletionTimestamp !== undefined) {
      const grace = pod.metadata.deletionGracePeriodSeconds ?? defaultGraceSeconds
      void this.#ending.terminate(grace * 1000)
      return
    }
    if (this.#record.isTerminating || this.#record.finished || this.#freezer.state !== 'running')
      return
    if (!(await this.#ensureSandbox())) return
    const plan = planPod(pod, this.#record.states, clock.now())
    if (plan.finished) {
      await this.#ending.finish(plan.finished)
      return
    }
    for (const { name, message, untilMs } of plan.backOff) {
      const state = this.#record.state(name)
      if (state.state.is !== 'terminated') continue
      const { is: _, ...last } = state.state
      this.#record.report() // the end itself is shown first
      this.#record.set(name, {
        ...state,
        last,
        state: { is: 'waiting', reason: 'CrashLoopBackOff', message },
        notBeforeMs: untilMs,
      })
      this.#record.event(
        'Warning',
        'BackOff',
        `Back-off restarting failed container ${name} in pod ${podText(pod)}`,
        name,
      )
    }
    for (const name of plan.start) this.#starter.start(name)
    if (plan.wakeAtMs !== undefined) this.#wakeIn(plan.wakeAtMs - clock.now())
    if (plan.start.length === 0) this.#record.report()
  }

  #rest(): void {
    this.#sizes?.[Symbol.dispose]()
    this.#cancelWake()
    this.#cancelDeadline()
  }

  #wakeIn(delayMs: number): void {
    this.#cancelWake()
    this.#cancelWake = this.#deps.clock.after(Math.max(0, delayMs), () => this.sync())
  }

  async #ensureSandbox(): Promise<boolean> {
    if (this.#record.sandbox) return true
    const { runtime } = this.#deps
    const { namespace = '', name } = this.#record.pod.metadata
    const ports = allContainers(this.#record.pod).flatMap(({ ports = [] }) =>
      ports.map((port) => port.containerPort),
    )
    try {
      this.#record.sandbox = await runtime.createSandbox({
        podUid: this.#record.uid,
        namespace,
        name,
        ports,
        images: (this.#record.pod.spec.containers ?? []).map(({ image = '' }) => image),
        hostname: hostnameOf(this.#record.pod),
        ...(this.#record.pod.spec.shareProcessNamespace && { shareProcessNamespace: true }),
      })
    } catch (error) {
      this.#record.event(
        'Warning',
        'FailedCreatePodSandBox',
        `Failed to create pod sandbox: ${textOf(error)}`,
      )
      this.#record.report()
      this.#wakeIn(configRetryMs)
      return false
    }
    this.#record.noteHostPorts(this.#record.sandbox)
    this.#watchSizes()
    return true
  }

  #watchSizes(): void {
    const { dataDir, clock } = this.#deps
    const folder = join(podFolder(dataDir, this.#record.uid), 'volumes')
    this.#sizes ??= watchSizes(
      this.#record.pod,
      folder,
      clock,
      (message) => void this.#ending.evict(message),
    )
  }

  #watch(
    container: Container,
    definition: ContainerDefinition,
    wasReady: boolean | undefined,
    isUp: () => void = () => {},
    adopted = false,
  ): void {
    const running: RunningContainer = {
      container,
      definition,
      isUp,
      probes: noProbes,
      killing: false,
      ended: Promise.resolve(),
    }
    this.#record.running.set(definition.name, running)
    if (!this.#isStopped()) this.#probe(running, wasReady, false)
    running.ended = container.exited.then((exit) => this.#ended(running, exit))
    this.#volumes.use(definition, adopted)
    if (!adopted) void this.#postStart(running)
  }

  #probe(running: RunningContainer, wasReady: boolean | undefined, atOnce: boolean): void {
    const { container, definition } = running
    const { name } = definition
    const { clock, startTimes } = this.#deps
    const like = `${this.#record.state(name).imageID}${container.warm ? ' warm' : ''}`
    const beganMs = clock.monotonic()
    running.probes = startContainerProbes({
      ...this.#deps,
      quickestMs: startTimes.quickestMs(like),
      definition,
      target: probeTarget(definition, container.id, this.#record.sandbox, this.#deps),
      started: this.#record.state(name).started,
      wasReady,
      atOnce,
      onStarted: () => {
        const ready = !definition.readinessProbe
        this.#record.set(name, { ...this.#record.state(name), started: true, ready })
        this.sync() // the next init container may wait for a sidecar to have started
        this.#record.report()
      },
      onProbe: () => this.#record.step('probe'),
      onReady: (ready) => {
        if (ready) {
          if (wasReady === undefined) startTimes.note(like, clock.monotonic() - beganMs)
          running.isUp()
          this.#record.step('alive')
        }
        this.#record.set(name, { ...this.#record.state(name), ready })
        this.#record.report()
      },
      onFailed: (kind, probe) => this.#failProbe(running, kind, probe),
      onUnhealthy: (kind, output) =>
        this.#record.event(
          'Warning',
          'Unhealthy',
          `${kind} probe failed: ${output}${this.#portHint(output)}`,
          name,
        ),
    })
  }

  /** Runs beside the container's own program. One that fails ends the container. */
  async #postStart(running: RunningContainer): Promise<void> {
    const { container, definition } = running
    const hook = definition.lifecycle?.postStart
    if (!hook) return
    const over = new AbortController()
    running.cancelHook = over
    void container.exited.then(() => over.abort())
    const target = probeTarget(definition, container.id, this.#record.sandbox, this.#deps)
    const problem = await runHook(hook, longestHookMs, target, this.#deps.clock, over.signal).catch(
      (error: unknown) => String(error),
    )
    if (problem === undefined || running.killing || over.signal.aborted) return
    const { name } = definition
    this.#record.event('Warning', 'FailedPostStartHook', 'PostStartHook failed', name)
    this.#record.event('Normal', 'Killing', 'FailedPostStartHook', name)
    const seconds = this.#record.pod.spec.terminationGracePeriodSeconds ?? defaultGraceSeconds
    await this.#ending.kill(running, seconds * 1000)
  }

  /** Its processes are stopped, or were when a previous node agent ended. */
  #isStopped(): boolean {
    return this.#freezer.state !== 'running' || this.#wasFrozen()
  }

  #wasFrozen(): boolean {
    return frozenSinceMs(this.#record.pod) !== undefined && isFrozen(this.#record.pod)
  }

  /** Does what the pod's annotation says. */
  #freezeOrThaw(): void {
    if (this.#record.isTerminating || this.#record.finished || this.#record.detached) return
    if (this.#record.pod.metadata.deletionTimestamp !== undefined) return
    if (frozenSinceMs(this.#record.pod) !== undefined) return this.#freezer.freeze()
    if (this.#freezer.state === 'running') return
    this.#record.step('thaw')
    this.#freezer.thaw()
    this.#record.step('resumed')
  }

  #frozenOrThawed(): void {
    const { frozenPods } = this.#deps
    const { state, memoryBytes } = this.#freezer
    if (state === 'frozen' && memoryBytes !== undefined)
      frozenPods.put(this.#record.uid, memoryBytes, () => this.#evict())
    else if (state === 'running') frozenPods.remove(this.#record.uid)
    this.#record.report()
    for (const running of this.#record.running.values()) {
      running.probes[Symbol.dispose]()
      if (state !== 'running' || running.killing) continue
      this.#probe(running, this.#record.state(running.definition.name).ready, true)
    }
    if (state === 'running') this.sync() // what has ended meanwhile is started again
  }

  /** Asks whoever had the pod frozen to remove it. */
  #evict(): void {
    const { client, log } = this.#deps
    const message =
      'Frozen pods keep more memory than they may, and this one has been frozen longest'
    this.#record.event('Warning', 'FrozenPodEvicted', message)
    const annotations = { [frozenEvictedAnnotation]: 'memory' }
    client
      .patch(Pod, keyOf(this.#record.pod), {
        type: 'merge',
        body: { metadata: { uid: this.#record.uid, annotations } },
      })
      .then((pod) => this.#deps.wrote(pod))
      .catch((error: unknown) => log.error('frozen pod could not be evicted', { error }))
  }

  /** Where pods share a network, a program that insists on a port of its own is not where it is looked for. */
  #portHint(output: string): string {
    return this.#record.sandbox?.hostPorts && output.includes('connection refused')
      ? ' (pods share the network of this machine: the program must listen on the port in PORT)'
      : ''
  }

  #failProbe(
    running: RunningContainer,
    kind: 'liveness' | 'startup',
    probe: ProbeDefinition,
  ): void {
    const { name } = running.definition
    if (running.killing || this.#record.isTerminating) return
    this.#record.event(
      'Normal',
      'Killing',
      `Container ${name} failed ${kind} probe, will be restarted`,
      name,
    )
    const seconds =
      probe.terminationGracePeriodSeconds ??
      this.#record.pod.spec.terminationGracePeriodSeconds ??
      defaultGraceSeconds
    void this.#ending.kill(running, seconds * 1000)
  }

  async #ended(running: RunningContainer, exit: ContainerExit): Promise<void> {
    const { name, terminationMessagePolicy } = running.definition
    if (this.#record.running.get(name) !== running || this.#record.detached) return
    running.probes[Symbol.dispose]()
    const { logs } = this.#deps
    const { container } = running
    const lastWords =
      exit.message ?? terminationMessage(podFolder(this.#deps.dataDir, this.#record.uid), name)
    const fallback =
      exit.exitCode !== 0 &&
      lastWords === '' &&
      terminationMessagePolicy === 'FallbackToLogsOnError'
    const message = fallback
      ? await logs.tail(this.#record.pod, name, container.attempt).catch(() => '')
      : lastWords
    logs.closed(this.#record.pod, name, container.attempt)
    if (this.#record.detached) return
    this.#record.running.delete(name)
    const state = this.#record.state(name)
    const { last: _, ...rest } = state
    this.#record.set(name, {
      ...rest,
      ...(state.last && { last: state.last }),
      ready: false,
      started: false,
      failures: countFailure(state.failures, exit.finishedAtMs - container.startedAtMs),
      state: {
        is: 'terminated',
        ...endOf(
          { ...exit, ...(message ? { message } : {}) },
          container.startedAtMs,
          state.containerID,
        ),
      },
    })
    this.#record.report()
    if (!this.#record.isTerminating) this.sync()
  }

  #adopt({ sandbox, containers }: Recovered): void {
    this.#record.sandbox = sandbox
    this.#record.noteHostPorts(sandbox)
    this.#watchSizes()
    for (const definition of allContainers(this.#record.pod)) {
      const container = containers
        .filter((item) => item.container === definition.name)
        .sort((a, b) => b.attempt - a.attempt)[0]
      if (!container) continue
      const state = this.#record.state(definition.name)
      const known = state.state.is === 'running' && state.restarts === container.attempt
      if (state.state.is === 'terminated' && state.restarts >= container.attempt) continue // it had been reported
      // What is frozen was ready before, and will be again.
      const before = isFrozen(this.#record.pod) ? true : known ? state.ready : undefined
      const ready = before ?? (!definition.readinessProbe && !definition.startupProbe)
      this.#record.set(definition.name, {
        ...state,
        restarts: container.attempt,
        containerID: `${this.#deps.runtime.name}://${container.id}`,
        ready,
        started: known ? state.started : !definition.startupProbe,
        state: { is: 'running', startedAtMs: container.startedAtMs },
      })
      void this.#deps.logs.opened(this.#record.pod, definition.name, container.attempt)
      this.#watch(container, definition, before, undefined, true)
    }
    this.#freezer.adopt(this.#wasFrozen())
  }

  /** Containers that were running and are not any more: the machine or the launcher went down meanwhile. */
  #loseMissing(): void {
    if (this.#record.finished) return
    const { clock } = this.#deps
    for (const [name, state] of this.#record.states) {
      if (state.state.is !== 'running' || this.#record.running.has(name)) continue
      this.#record.set(name, lostState(state, state.state.startedAtMs, clock.now()))
    }
  }
}

const noProbes: Disposable = { [Symbol.dispose]() {} }

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
