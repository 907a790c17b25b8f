/**
 * Carries out what `planPod` decides for one pod: sandbox, images, environment, volumes, starting and stopping
 * containers, probes. All state of the pod is here, in values; the API hears of it through the status writer, which
 * nobody waits for. Follows the kubelet's pod worker; the numbers and messages are contracts/kube §10.8's.
 */
import { sleep, type Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { Random } from '../../lib/random.ts'
import { keyOf } from '../api/meta.ts'
import { Pod } from '../api/pod.ts'
import { frozenEvictedAnnotation, frozenSinceMs, isFrozen } from '../api/pod-freezing.ts'
import { hasReason } from '../api/status-error.ts'
import type { Client } from '../client/client.ts'
import type { Recorder } from '../client/recorder.ts'
import { endOf, lostState, restoredState, terminatedOf } from './container-end.ts'
import { prepareLaunch, prepareVolumes, type LaunchDeps } from './container-launch.ts'
import { startContainerProbes } from './container-probes.ts'
import {
  allContainers,
  freshContainer,
  isSidecar,
  type ContainerDefinition,
  type ContainerState,
} from './container-state.ts'
import { GracePeriod } from './grace-period.ts'
import { runHook } from './hooks.ts'
import type { FrozenPods } from './frozen-pods.ts'
import { PodFreezer } from './pod-freezer.ts'
import type { PodLogs } from './pod-logs.ts'
import type { OnPodStep, PodStep } from './pod-steps.ts'
import { podStatus, type PodStatus } from './pod-status.ts'
import type { runProbe, ProbeDefinition } from './probe.ts'
import { probeTarget } from './probe-target.ts'
import { countFailure } from './restart-backoff.ts'
import type { Container, ContainerExit, Runtime, Sandbox } from './runtime.ts'
import type { StartGate } from './start-gate.ts'
import { startFailure } from './start-failure.ts'
import { StatusWriter } from './status-writer.ts'
import { planPod, podText } from './sync-pod.ts'
import { MountError } from './volumes.ts'

export interface PodWorkerDeps extends LaunchDeps {
  readonly runtime: Runtime
  readonly logs: PodLogs
  readonly recorder: Recorder
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly nodeName: string
  readonly beforeStop: (pod: Pod) => Promise<void>
  /** Resolves once nobody sends requests to a pod that has become not ready; aborted when it thaws before. */
  readonly beforeFreeze: (pod: Pod, signal: AbortSignal) => Promise<void>
  readonly frozenPods: FrozenPods
  readonly startGate: StartGate
  /** How many programs are coming up at the moment. */
  readonly eagerProbes: () => number
  /** One attempt of a probe. */
  readonly probe: typeof runProbe
  /** Is told each step of a start. */
  readonly onStep?: OnPodStep
  /** Takes the answer of a write of this pod. */
  readonly wrote: (pod: Pod) => void
  /** The pod is gone; the worker will not be heard of again. */
  readonly onGone: (uid: string) => void
}

/** What a previous control plane left of a pod. */
export interface Recovered {
  readonly sandbox: Sandbox
  readonly containers: readonly Container[]
}

/** A start that takes longer than this is shown as ContainerCreating; quicker ones spare the API the write. */
const slowStartMs = 150
/** How often the files of volumes are compared with what they come from, as the kubelet's sync period. */
const volumePeriodMs = 60_000
/** ErrImagePull becomes ImagePullBackOff, as on a kubelet's next look at the pod. */
const imageErrorShownMs = 1_000
/** Missing ConfigMaps, Secrets and volumes are looked for again. */
const configRetryMs = 2_000
/** After SIGKILL a process is gone, or never will be. */
const killLimitMs = 10_000
/** Grace of a pod that was deleted without any. */
const forcedGraceMs = 1_000
const defaultGraceSeconds = 30
/** Where Knative's queue-proxy answers when a pod has drained; here the gateway says so, through `beforeStop`. */
const drainPort = 8022

interface Running {
  readonly container: Container
  readonly definition: ContainerDefinition
  probes: Disposable
  /** To be called when it has come up. */
  readonly isUp: () => void
  killing: boolean
  /** Resolves when the container has ended and its state says so. */
  ended: Promise<void>
}

export class PodWorker {
  readonly uid: string
  #pod: Pod
  readonly #deps: PodWorkerDeps
  readonly #states = new Map<string, ContainerState>()
  readonly #running = new Map<string, Running>()
  readonly #starting = new Map<string, Promise<void>>()
  readonly #writer: StatusWriter
  readonly #startedAtMs: number
  #sandbox: Sandbox | undefined
  #hostPortsNoted: Promise<void> | undefined
  #finished: 'Succeeded' | 'Failed' | undefined
  #verdict: { readonly reason: string; readonly message: string } | undefined
  /** Containers that wait for their image to be built. */
  readonly #awaited = new Map<string, Disposable>()
  #cancelWake = () => {}
  #cancelDeadline = () => {}
  #syncing = false
  #syncAgain = false
  #terminating: Promise<void> | undefined
  /** Aborted when nothing is to be started any more. */
  readonly #ending = new AbortController()
  readonly #grace: GracePeriod
  readonly #freezer: PodFreezer
  #deleted = false
  #detached = false

  constructor(pod: Pod, deps: PodWorkerDeps) {
    this.uid = pod.metadata.uid ?? ''
    this.#pod = pod
    this.#deps = deps
    this.#grace = new GracePeriod(deps.clock)
    const started = pod.status?.startTime
    this.#startedAtMs = started ? Date.parse(started) : deps.clock.now()
    this.#writer = new StatusWriter(pod, {
      ...deps,
      wrote: (answer) => {
        if (answer.metadata.uid === this.uid) deps.wrote(answer)
      },
    })
    this.#freezer = new PodFreezer({
      ...deps,
      containers: () => [...this.#running.values()].map(({ container }) => container.id),
      changed: () => this.#frozenOrThawed(),
      quiet: async (signal) => {
        await this.#writer.flushed()
        if (!signal.aborted) await deps.beforeFreeze(this.#pod, signal)
      },
    })
    this.#restoreStates()
    if (pod.spec.activeDeadlineSeconds !== undefined) {
      const leftMs = this.#startedAtMs + pod.spec.activeDeadlineSeconds * 1000 - deps.clock.now()
      this.#cancelDeadline = deps.clock.after(Math.max(0, leftMs), () => void this.#exceeded())
    }
  }

  /** Begins, with what a previous control plane left running, if anything. */
  begin(recovered?: Recovered): void {
    const phase = this.#pod.status?.phase
    if (phase === 'Succeeded' || phase === 'Failed') this.#finished = phase
    if (recovered) this.#adopt(recovered)
    this.#loseMissing()
    this.#freezeOrThaw()
    this.sync()
  }

  /** A newer version of the pod. */
  update(pod: Pod): void {
    this.#pod = pod
    this.#freezeOrThaw()
    this.sync()
  }

  /** The pod was removed from the API without us. */
  removed(): void {
    this.#deleted = true
    this.#writer.stop()
    void this.#terminate(forcedGraceMs)
  }

  /** Lets go: no more probes, writes or decisions; containers run on. */
  async detach(): Promise<void> {
    this.#detached = true
    this.#ending.abort()
    this.#freezer.detach()
    for (const name of this.#awaited.keys()) this.#stopAwaiting(name)
    this.#cancelWake()
    this.#cancelDeadline()
    for (const { probes } of this.#running.values()) probes[Symbol.dispose]()
    await this.#writer.flushed()
  }

  /** Decides and acts, soon; calls while that happens make it happen once more. */
  sync(): void {
    if (this.#detached) return
    this.#syncAgain = true
    if (this.#syncing) return
    this.#syncing = true
    void this.#syncLoop()
      .catch((error: unknown) =>
        this.#deps.log.error('pod sync failed', { pod: podText(this.#pod), error }),
      )
      .finally(() => (this.#syncing = false))
  }

  async #syncLoop(): Promise<void> {
    while (this.#syncAgain && !this.#detached) {
      this.#syncAgain = false
      await this.#syncOnce()
    }
  }

  async #syncOnce(): Promise<void> {
    const { clock } = this.#deps
    const pod = this.#pod
    if (pod.metadata.deletionTimestamp !== undefined) {
      const grace = pod.metadata.deletionGracePeriodSeconds ?? defaultGraceSeconds
      void this.#terminate(grace * 1000)
      return
    }
    if (this.#terminating || this.#finished || this.#freezer.state !== 'running') return
    if (!(await this.#ensureSandbox())) return
    const plan = planPod(pod, this.#states, clock.now())
    if (plan.finished) {
      await this.#finish(plan.finished)
      return
    }
    for (const { name, message, untilMs } of plan.backOff) {
      const state = this.#state(name)
      if (state.state.is !== 'terminated') continue
      const { is: _, ...last } = state.state
      this.#report() // the end itself is shown first
      this.#set(name, {
        ...state,
        last,
        state: { is: 'waiting', reason: 'CrashLoopBackOff', message },
        notBeforeMs: untilMs,
      })
      this.#event(
        'Warning',
        'BackOff',
        `Back-off restarting failed container ${name} in pod ${podText(pod)}`,
        name,
      )
    }
    for (const name of plan.start) this.#start(name)
    if (plan.wakeAtMs !== undefined) this.#wakeIn(plan.wakeAtMs - clock.now())
    if (plan.start.length === 0) this.#report()
  }

  #wakeIn(delayMs: number): void {
    this.#cancelWake()
    this.#cancelWake = this.#deps.clock.after(Math.max(0, delayMs), () => this.sync())
  }

  async #ensureSandbox(): Promise<boolean> {
    if (this.#sandbox) return true
    const { runtime } = this.#deps
    const { namespace = '', name } = this.#pod.metadata
    const ports = allContainers(this.#pod).flatMap(({ ports = [] }) =>
      ports.map((port) => port.containerPort),
    )
    try {
      this.#sandbox = await runtime.createSandbox({
        podUid: this.uid,
        namespace,
        name,
        ports,
        images: (this.#pod.spec.containers ?? []).map(({ image = '' }) => image),
      })
    } catch (error) {
      this.#event(
        'Warning',
        'FailedCreatePodSandBox',
        `Failed to create pod sandbox: ${textOf(error)}`,
      )
      this.#report()
      this.#wakeIn(configRetryMs)
      return false
    }
    this.#noteHostPorts(this.#sandbox)
    return true
  }

  /** Others translate the pod's ports by this annotation, so it must be there before the pod has an address. */
  #noteHostPorts({ hostPorts }: Sandbox): void {
    if (!hostPorts || Object.keys(hostPorts).length === 0) return
    const text = JSON.stringify(hostPorts)
    if (this.#pod.metadata.annotations?.['ebb.dev/host-ports'] === text) return
    const body = { metadata: { uid: this.uid, annotations: { 'ebb.dev/host-ports': text } } }
    this.#hostPortsNoted = this.#deps.client
      .patch(Pod, keyOf(this.#pod), { type: 'merge', body })
      .then((pod) => this.#deps.wrote(pod))
      .catch((error: unknown) => this.#deps.log.error('host ports could not be noted', { error }))
      .finally(() => (this.#hostPortsNoted = undefined))
  }

  #start(name: string): void {
    const definition = allContainers(this.#pod).find((container) => container.name === name)
    if (!definition || this.#starting.has(name) || this.#running.has(name)) return
    const cancel = this.#deps.clock.after(slowStartMs, () => this.#report())
    const started = this.#startNow(definition)
      .catch((error: unknown) => this.#notStarted(definition, error))
      .finally(() => {
        cancel()
        this.#starting.delete(name)
        if (!this.#terminating) this.sync()
      })
    this.#starting.set(name, started)
  }

  async #startNow(definition: ContainerDefinition): Promise<void> {
    const { runtime, logs } = this.#deps
    const { name } = definition
    const pod = this.#pod
    const sandbox = this.#sandbox
    if (!sandbox) return
    const launch = await prepareLaunch(pod, definition, sandbox, this.#deps)
    this.#stopAwaiting(name)
    const isUp = await this.#deps.startGate.enter(this.#ending.signal)
    if (this.#terminating || this.#detached) return isUp()
    const { image } = launch
    const attempt = this.#state(name).restarts + 1
    this.#step('spawn')
    const start = { ...launch, attempt, logPath: logs.path(pod, name, attempt) }
    const container = await runtime.start(start).catch((error: unknown) => {
      isUp()
      throw error
    })
    this.#step('started')
    void container.exited.then(isUp)
    const before = this.#state(name)
    const { last, imageFailures: _, ...rest } = before
    const previous = before.state.is === 'terminated' ? terminatedOf(before) : last
    const id = `${runtime.name}://${container.id}`
    this.#event(
      'Normal',
      'Pulled',
      `Container image "${definition.image}" already present on machine`,
      name,
    )
    const exit = container.pid === 0 ? await container.exited : undefined
    if (exit) {
      const end = endOf(exit, 0, id)
      const message = exit.message ?? 'the program could not be started'
      this.#set(name, {
        ...rest,
        last: end,
        imageFailures: 0,
        imageID: image.imageID,
        containerID: id,
        restarts: attempt,
        failures: countFailure(rest.failures, 0),
        ready: false,
        started: false,
        state: { is: 'terminated', ...end },
      })
      this.#event('Normal', 'Created', `Created container: ${name}`, name)
      this.#event('Warning', 'Failed', `Error: ${message}`, name)
      this.#showStartError(name, message)
      return
    }
    const unprobed = !definition.readinessProbe && !definition.startupProbe
    this.#set(name, {
      ...rest,
      ...(previous && { last: previous }),
      imageFailures: 0,
      imageID: image.imageID,
      containerID: id,
      restarts: attempt,
      started: !definition.startupProbe,
      ready: unprobed,
      state: { is: 'running', startedAtMs: container.startedAtMs },
    })
    if (unprobed) isUp()
    this.#watch(container, definition, undefined, isUp)
    void logs.opened(pod, name, attempt)
    this.#event('Normal', 'Created', `Created container: ${name}`, name)
    this.#event('Normal', 'Started', `Started container ${name}`, name)
    this.#report()
  }

  /** A program that can't be executed: RunContainerError until the back-off begins. */
  #showStartError(name: string, message: string): void {
    if ((this.#pod.spec.restartPolicy ?? 'Always') === 'Never') return this.#report()
    const state = this.#state(name)
    const shown: ContainerState = {
      ...state,
      state: { is: 'waiting', reason: 'RunContainerError', message },
    }
    this.#states.set(name, shown)
    this.#report()
    this.#states.set(name, state)
  }

  /** A failed preparation is shown, and tried again later. */
  #notStarted({ name, image = '' }: ContainerDefinition, error: unknown): void {
    const { clock, log } = this.#deps
    if (this.#terminating) return
    const state = this.#state(name)
    const imageFailures = state.imageFailures + 1
    const { reason, message, retryAfterMs, events, unexpected } = startFailure(
      error,
      image,
      imageFailures,
    )
    this.#set(name, {
      ...state,
      imageFailures,
      notBeforeMs: clock.now() + retryAfterMs,
      ready: false,
      ...(state.state.is === 'terminated' && { last: terminatedOf(state) }),
      state: { is: 'waiting', reason, ...(message !== undefined && { message }) },
    })
    for (const { type, ofPod, ...event } of events)
      this.#event(type, event.reason, event.message, ofPod ? undefined : name)
    if (unexpected)
      log.error('container could not be started', {
        pod: podText(this.#pod),
        container: name,
        error,
      })
    if (reason === 'ErrImagePull') {
      this.#backOffImage(name, image, message ?? '')
      this.#awaited.get(name)?.[Symbol.dispose]()
      const wait = this.#deps.images.onTagged?.(() => void this.#imageTagged(name, image))
      if (wait) this.#awaited.set(name, wait)
    }
    this.#report()
  }

  /** There is a new name in the image store: if it is ours, nobody has to wait for the back-off's end. */
  async #imageTagged(name: string, image: string): Promise<void> {
    const found = await this.#deps.images.resolve(image).catch(() => undefined)
    if (found === undefined || !this.#awaited.has(name)) return
    this.#stopAwaiting(name)
    this.#set(name, { ...this.#state(name), notBeforeMs: this.#deps.clock.now() })
    this.sync()
  }

  #stopAwaiting(name: string): void {
    this.#awaited.get(name)?.[Symbol.dispose]()
    this.#awaited.delete(name)
  }

  #backOffImage(name: string, image: string, message: string): void {
    this.#deps.clock.after(imageErrorShownMs, () => {
      const state = this.#state(name)
      if (
        state.state.is !== 'waiting' ||
        state.state.reason !== 'ErrImagePull' ||
        this.#terminating
      )
        return
      const text = `Back-off pulling image "${image}"`
      this.#set(name, {
        ...state,
        state: {
          is: 'waiting',
          reason: 'ImagePullBackOff',
          message: `${text}: ErrImagePull: ${message}`,
        },
      })
      this.#event('Normal', 'BackOff', text, name)
      this.#event('Warning', 'Failed', 'Error: ImagePullBackOff', name)
      this.#report()
    })
  }

  #watch(
    container: Container,
    definition: ContainerDefinition,
    wasReady: boolean | undefined,
    isUp: () => void = () => {},
  ): void {
    const running: Running = {
      container,
      definition,
      isUp,
      probes: noProbes,
      killing: false,
      ended: Promise.resolve(),
    }
    this.#running.set(definition.name, running)
    if (!this.#isStopped()) this.#probe(running, wasReady, false)
    running.ended = container.exited.then((exit) => this.#ended(running, exit))
    if (definition.volumeMounts?.length) this.#keepVolumesFresh(running)
  }

  #probe(running: Running, wasReady: boolean | undefined, atOnce: boolean): void {
    const { container, definition } = running
    const { name } = definition
    running.probes = startContainerProbes({
      ...this.#deps,
      definition,
      target: probeTarget(definition, container.id, this.#sandbox, this.#deps),
      started: this.#state(name).started,
      wasReady,
      atOnce,
      onStarted: () => {
        const ready = !definition.readinessProbe
        this.#set(name, { ...this.#state(name), started: true, ready })
        this.sync() // the next init container may wait for a sidecar to have started
        this.#report()
      },
      onProbe: () => this.#step('probe'),
      onReady: (ready) => {
        if (ready) {
          running.isUp()
          this.#step('alive')
        }
        this.#set(name, { ...this.#state(name), ready })
        this.#report()
      },
      onFailed: (kind, probe) => this.#failProbe(running, kind, probe),
      onUnhealthy: (kind, output) =>
        this.#event(
          'Warning',
          'Unhealthy',
          `${kind} probe failed: ${output}${this.#portHint(output)}`,
          name,
        ),
    })
  }

  /** Its processes are stopped, or were when a previous node agent ended. */
  #isStopped(): boolean {
    return this.#freezer.state !== 'running' || this.#wasFrozen()
  }

  #wasFrozen(): boolean {
    return frozenSinceMs(this.#pod) !== undefined && isFrozen(this.#pod)
  }

  /** Does what the pod's annotation says. */
  #freezeOrThaw(): void {
    if (this.#terminating || this.#finished || this.#detached) return
    if (this.#pod.metadata.deletionTimestamp !== undefined) return
    if (frozenSinceMs(this.#pod) !== undefined) return this.#freezer.freeze()
    if (this.#freezer.state === 'running') return
    this.#step('thaw')
    this.#freezer.thaw()
    this.#step('resumed')
  }

  #frozenOrThawed(): void {
    const { frozenPods } = this.#deps
    const { state, memoryBytes } = this.#freezer
    if (state === 'frozen' && memoryBytes !== undefined)
      frozenPods.put(this.uid, memoryBytes, () => this.#evict())
    else if (state === 'running') frozenPods.remove(this.uid)
    this.#report()
    for (const running of this.#running.values()) {
      running.probes[Symbol.dispose]()
      if (state !== 'running' || running.killing) continue
      this.#probe(running, this.#state(running.definition.name).ready, true)
    }
    if (state === 'running') this.sync() // what has ended meanwhile is started again
  }

  /** Asks whoever had the pod frozen to remove it. */
  #evict(): void {
    const { client, log } = this.#deps
    const message =
      'Frozen pods keep more memory than they may, and this one has been frozen longest'
    this.#event('Warning', 'FrozenPodEvicted', message)
    const annotations = { [frozenEvictedAnnotation]: 'memory' }
    client
      .patch(Pod, keyOf(this.#pod), {
        type: 'merge',
        body: { metadata: { uid: this.uid, annotations } },
      })
      .then((pod) => this.#deps.wrote(pod))
      .catch((error: unknown) => log.error('frozen pod could not be evicted', { error }))
  }

  /** Changed ConfigMaps and Secrets reach the files of a running container within a minute. */
  #keepVolumesFresh(running: Running): void {
    const { clock, log } = this.#deps
    clock.after(volumePeriodMs, () => {
      const sandbox = this.#sandbox
      if (this.#running.get(running.definition.name) !== running || this.#detached || !sandbox)
        return
      void prepareVolumes(this.#pod, running.definition, sandbox, this.#deps)
        .catch((error: unknown) => {
          if (error instanceof MountError) this.#event('Warning', 'FailedMount', error.message)
          else
            log.error('volumes could not be brought up to date', { pod: podText(this.#pod), error })
        })
        .finally(() => this.#keepVolumesFresh(running))
    })
  }

  /** Where pods share a network, a program that insists on a port of its own is not where it is looked for. */
  #portHint(output: string): string {
    return this.#sandbox?.hostPorts && output.includes('connection refused')
      ? ' (pods share the network of this machine: the program must listen on the port in PORT)'
      : ''
  }

  #failProbe(running: Running, kind: 'liveness' | 'startup', probe: ProbeDefinition): void {
    const { name } = running.definition
    if (running.killing || this.#terminating) return
    this.#event(
      'Normal',
      'Killing',
      `Container ${name} failed ${kind} probe, will be restarted`,
      name,
    )
    const seconds =
      probe.terminationGracePeriodSeconds ??
      this.#pod.spec.terminationGracePeriodSeconds ??
      defaultGraceSeconds
    void this.#kill(running, seconds * 1000)
  }

  /** TERM, and KILL when the grace is over. Resolves when the container has ended. */
  async #kill(running: Running, graceMs: number): Promise<void> {
    const { runtime, clock } = this.#deps
    running.killing = true
    running.probes[Symbol.dispose]()
    await runtime.signal(running.container.id, 'SIGTERM').catch(() => {})
    const cancel = clock.after(graceMs, () => {
      void runtime.signal(running.container.id, 'SIGKILL').catch(() => {})
    })
    await running.container.exited
    cancel()
  }

  async #ended(running: Running, exit: ContainerExit): Promise<void> {
    const { name, terminationMessagePolicy } = running.definition
    if (this.#running.get(name) !== running || this.#detached) return
    running.probes[Symbol.dispose]()
    const { logs } = this.#deps
    const { container } = running
    const fallback =
      exit.exitCode !== 0 &&
      exit.message === undefined &&
      terminationMessagePolicy === 'FallbackToLogsOnError'
    const message = fallback
      ? await logs.tail(this.#pod, name, container.attempt).catch(() => '')
      : exit.message
    logs.closed(this.#pod, name, container.attempt)
    if (this.#detached) return
    this.#running.delete(name)
    const state = this.#state(name)
    const { last: _, ...rest } = state
    this.#set(name, {
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
    this.#report()
    if (!this.#terminating) this.sync()
  }

  /** All containers have ended for good: the network goes, status and logs stay. */
  async #finish(phase: 'Succeeded' | 'Failed'): Promise<void> {
    this.#finished = phase
    this.#cancelDeadline()
    await Promise.all(
      [...this.#running.values()].map((running) => this.#kill(running, this.#graceMs())), // sidecars
    )
    this.#report()
    await this.#deps.runtime
      .removeSandbox(this.uid)
      .catch((error: unknown) =>
        this.#deps.log.error('sandbox could not be removed', { pod: podText(this.#pod), error }),
      )
  }

  async #exceeded(): Promise<void> {
    if (this.#terminating || this.#finished || this.#detached) return
    const message = 'Pod was active on the node longer than the specified deadline'
    this.#verdict = { reason: 'DeadlineExceeded', message }
    this.#finished = 'Failed'
    this.#cancelWake()
    this.#event('Normal', 'DeadlineExceeded', message)
    await this.#stopContainers(this.#graceMs())
    await this.#finish('Failed')
  }

  #graceMs(): number {
    return (this.#pod.spec.terminationGracePeriodSeconds ?? defaultGraceSeconds) * 1000
  }

  /** Ends the pod within `graceMs` and removes it from the API. A later call may only shorten the grace. */
  #terminate(graceMs: number): Promise<void> {
    const { log } = this.#deps
    this.#grace.shorten(graceMs)
    this.#terminating ??= this.#terminateNow().catch((error: unknown) =>
      log.error('pod could not be ended', { pod: podText(this.#pod), error }),
    )
    return this.#terminating
  }

  async #terminateNow(): Promise<void> {
    const { client, runtime, logs, beforeStop, log, onGone } = this.#deps
    for (const name of this.#awaited.keys()) this.#stopAwaiting(name)
    this.#cancelWake()
    this.#cancelDeadline()
    for (const { probes } of this.#running.values()) probes[Symbol.dispose]()
    this.#ending.abort()
    this.#freezer.end()
    this.#deps.frozenPods.remove(this.uid)
    const pod = this.#pod
    if (this.#running.size > 0 && !this.#deleted)
      await this.#grace.within(
        beforeStop(pod).catch((error: unknown) => log.error('pod was not drained', { error })),
      )
    await this.#stopContainers()
    await Promise.all(this.#starting.values())
    await this.#stopContainers() // what was being started just then
    if (!this.#deleted) {
      const failed = [...this.#states.values()].some(
        ({ state }) => state.is === 'terminated' && state.exitCode !== 0,
      )
      this.#finished ??= failed ? 'Failed' : 'Succeeded'
      this.#report()
      await this.#writer.flushed()
    }
    const removed = runtime
      .removeSandbox(this.uid)
      .catch((error: unknown) =>
        log.error('sandbox could not be removed', { pod: podText(pod), error }),
      )
    if (!this.#deleted) await this.#deletePod(client, pod)
    await removed
    await logs.remove(pod)
    this.#writer.stop()
    onGone(this.uid)
  }

  async #deletePod(client: Client, pod: Pod): Promise<void> {
    for (let failures = 0; !this.#deleted && !this.#detached; failures++) {
      try {
        return await client.delete(Pod, keyOf(pod), {
          gracePeriodSeconds: 0,
          preconditions: { uid: this.uid },
        })
      } catch (error) {
        if (hasReason(error, 'NotFound', 'Conflict')) return
        this.#deps.log.error('ended pod could not be deleted', { pod: podText(pod), error })
        await sleep(this.#deps.clock, Math.min(100 * 2 ** failures, 10_000))
      }
    }
  }

  /** Hooks, TERM, KILL at the end of the grace; sidecars after the others. */
  async #stopContainers(graceMs?: number): Promise<void> {
    if (graceMs !== undefined) this.#grace.shorten(graceMs)
    const sidecars = [...this.#running.values()].filter(({ definition }) => isSidecar(definition))
    const mains = [...this.#running.values()].filter((running) => !sidecars.includes(running))
    await Promise.all(mains.map((running) => this.#stop(running)))
    for (const running of sidecars.reverse()) await this.#stop(running)
  }

  async #stop(running: Running): Promise<void> {
    const { runtime, clock } = this.#deps
    const { container, definition } = running
    running.probes[Symbol.dispose]()
    running.killing = true
    this.#event('Normal', 'Killing', `Stopping container ${definition.name}`, definition.name)
    const preStop = definition.lifecycle?.preStop
    if (preStop && preStop.httpGet?.port !== drainPort) {
      const target = probeTarget(definition, container.id, this.#sandbox, this.#deps)
      const problem = await runHook(preStop, this.#grace.leftMs, target, clock)
      if (problem !== undefined)
        this.#event('Warning', 'FailedPreStopHook', 'PreStopHook failed', definition.name)
    }
    await runtime.signal(container.id, 'SIGTERM').catch(() => {})
    if (await this.#grace.within(running.ended)) return
    await runtime.signal(container.id, 'SIGKILL').catch(() => {})
    await Promise.race([running.ended, sleep(clock, killLimitMs)])
  }

  #state(name: string): ContainerState {
    return this.#states.get(name) ?? freshContainer(name)
  }

  #set(name: string, state: ContainerState): void {
    this.#states.set(name, state)
  }

  /** Asks for the present status to be written. */
  #report(): void {
    if (this.#detached || this.#deleted) return
    const status = this.#status()
    if (this.#hostPortsNoted)
      void this.#hostPortsNoted.then(() => this.#writer.want(this.#status()))
    else this.#writer.want(status)
  }

  #status(): PodStatus {
    const { hostIP, clock } = this.#deps
    return podStatus(this.#pod, this.#states, {
      hostIP,
      startedAtMs: this.#startedAtMs,
      nowMs: clock.now(),
      ...(this.#sandbox && { podIP: this.#sandbox.podIP }),
      ...(this.#finished && { finished: this.#finished }),
      ...(this.#freezer.state !== 'running' &&
        !this.#finished && {
          frozen: {
            stopped: this.#freezer.state === 'frozen',
            memoryBytes: this.#freezer.memoryBytes,
          },
        }),
      ...this.#verdict,
    })
  }

  #step(step: PodStep): void {
    const { onStep, clock } = this.#deps
    onStep?.(this.#pod, step, clock.monotonic())
  }

  #event(type: 'Normal' | 'Warning', reason: string, message: string, container?: string): void {
    const { recorder, nodeName } = this.#deps
    if (this.#detached) return
    const init = this.#pod.spec.initContainers?.some(({ name }) => name === container)
    recorder.event(
      this.#pod,
      { type, reason, message },
      {
        component: 'kubelet',
        host: nodeName,
        ...(container !== undefined && {
          fieldPath: `spec.${init ? 'initContainers' : 'containers'}{${container}}`,
        }),
      },
    )
  }

  /** What the pod's own status says about its containers: all that is known of a time before this process. */
  #restoreStates(): void {
    const { status } = this.#pod
    for (const seen of [
      ...(status?.initContainerStatuses ?? []),
      ...(status?.containerStatuses ?? []),
    ])
      this.#states.set(seen.name, restoredState(seen))
  }

  #adopt({ sandbox, containers }: Recovered): void {
    this.#sandbox = sandbox
    this.#noteHostPorts(sandbox)
    for (const definition of allContainers(this.#pod)) {
      const container = containers
        .filter((item) => item.container === definition.name)
        .sort((a, b) => b.attempt - a.attempt)[0]
      if (!container) continue
      const state = this.#state(definition.name)
      const known = state.state.is === 'running' && state.restarts === container.attempt
      if (state.state.is === 'terminated' && state.restarts >= container.attempt) continue // it had been reported
      // What is frozen was ready before, and will be again.
      const before = isFrozen(this.#pod) ? true : known ? state.ready : undefined
      const ready = before ?? (!definition.readinessProbe && !definition.startupProbe)
      this.#set(definition.name, {
        ...state,
        restarts: container.attempt,
        containerID: `${this.#deps.runtime.name}://${container.id}`,
        ready,
        started: known ? state.started : !definition.startupProbe,
        state: { is: 'running', startedAtMs: container.startedAtMs },
      })
      void this.#deps.logs.opened(this.#pod, definition.name, container.attempt)
      this.#watch(container, definition, before)
    }
    this.#freezer.adopt(this.#wasFrozen())
  }

  /** Containers that were running and are not any more: the machine or the launcher went down meanwhile. */
  #loseMissing(): void {
    if (this.#finished) return
    const { clock } = this.#deps
    for (const [name, state] of this.#states) {
      if (state.state.is !== 'running' || this.#running.has(name)) continue
      this.#set(name, lostState(state, state.state.startedAtMs, clock.now()))
    }
  }
}

const noProbes: Disposable = { [Symbol.dispose]() {} }

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
