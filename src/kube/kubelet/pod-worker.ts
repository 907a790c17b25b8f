/**
 * Carries out what `planPod` decides for one pod: sandbox, images, environment, volumes, starting and stopping
 * containers, probes. All state of the pod is here, in values; the API hears of it through the status writer, which
 * nobody waits for. Follows the kubelet's pod worker; the numbers and messages are contracts/kube §10.8's.
 */
import { join } from 'node:path'
import { sleep, type Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { Random } from '../../lib/random.ts'
import { ConfigMap } from '../api/config-map.ts'
import type { Kind } from '../api/kind.ts'
import { keyOf, type KubeObject } from '../api/meta.ts'
import { Pod } from '../api/pod.ts'
import { Secret } from '../api/secret.ts'
import { hasReason } from '../api/status-error.ts'
import type { Client } from '../client/client.ts'
import type { Recorder } from '../client/recorder.ts'
import {
  allContainers,
  freshContainer,
  isSidecar,
  type ContainerDefinition,
  type ContainerState,
  type Terminated,
} from './container-state.ts'
import { ConfigError, envReferences, expand, resolveEnv, type EnvWorld } from './env.ts'
import { runHook } from './hooks.ts'
import { MountsImpossible } from './mounts.ts'
import type { PodLogs } from './pod-logs.ts'
import { podStatus, type PodStatus } from './pod-status.ts'
import type { runProbe, ProbeDefinition, ProbeTarget } from './probe.ts'
import { startProber, type ProbeKind } from './prober.ts'
import { countFailure, imageDelayMs } from './restart-backoff.ts'
import {
  ImageError,
  type Container,
  type ContainerExit,
  type ImageHandle,
  type Images,
  type Runtime,
  type Sandbox,
} from './runtime.ts'
import { StatusWriter } from './status-writer.ts'
import { planPod, podText } from './sync-pod.ts'
import { MountError, prepareMounts } from './volumes.ts'

export interface PodWorkerDeps {
  readonly client: Client
  readonly runtime: Runtime
  readonly images: Images
  readonly logs: PodLogs
  readonly recorder: Recorder
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly nodeName: string
  readonly hostIP: string
  readonly allocatable: Readonly<Record<string, string>>
  readonly dataDir: string
  readonly beforeStop: (pod: Pod) => Promise<void>
  /** One attempt of a probe. */
  readonly probe: typeof runProbe
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
const execLimitBytes = 10 << 10

interface Running {
  readonly container: Container
  readonly definition: ContainerDefinition
  readonly probers: Disposable[]
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
  #cancelWake = () => {}
  #cancelDeadline = () => {}
  #syncing = false
  #syncAgain = false
  #terminating: Promise<void> | undefined
  #killAtMs = Number.POSITIVE_INFINITY
  #shortened = Promise.withResolvers<void>()
  #deleted = false
  #detached = false

  constructor(pod: Pod, deps: PodWorkerDeps) {
    this.uid = pod.metadata.uid ?? ''
    this.#pod = pod
    this.#deps = deps
    const started = pod.status?.startTime
    this.#startedAtMs = started ? Date.parse(started) : deps.clock.now()
    this.#writer = new StatusWriter(pod, {
      ...deps,
      wrote: (answer) => {
        if (answer.metadata.uid === this.uid) deps.wrote(answer)
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
    this.sync()
  }

  /** A newer version of the pod. */
  update(pod: Pod): void {
    this.#pod = pod
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
    this.#cancelWake()
    this.#cancelDeadline()
    for (const { probers } of this.#running.values()) stopProbers(probers)
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
    if (this.#terminating || this.#finished) return
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
      this.#sandbox = await runtime.createSandbox({ podUid: this.uid, namespace, name, ports })
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
    const { images, runtime, logs } = this.#deps
    const { name } = definition
    const pod = this.#pod
    const sandbox = this.#sandbox
    if (!sandbox) return
    const image = await images.ensure(definition.image ?? '', pullPolicy(definition))
    const world = await this.#world(definition, sandbox)
    const { command, env } = this.#commandOf(definition, image, world, sandbox)
    const user = userOf(pod, definition, image)
    const mounts = definition.volumeMounts?.length
      ? await prepareMounts(definition, join(this.#deps.dataDir, 'pods', this.uid, 'volumes'), {
          configMap: (map) => this.#find(ConfigMap, map),
          secret: (secret) => this.#find(Secret, secret),
          world,
        })
      : []
    if (this.#terminating || this.#detached) return
    const attempt = this.#state(name).restarts + 1
    const container = await runtime.start({
      podUid: this.uid,
      namespace: pod.metadata.namespace ?? '',
      podName: pod.metadata.name,
      container: name,
      attempt,
      image,
      command,
      workingDir: definition.workingDir || image.config.workingDir,
      env,
      mounts,
      ...(user && { user }),
      logPath: logs.path(pod, name, attempt),
    })
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
    this.#watch(container, definition, undefined)
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

  #commandOf(
    definition: ContainerDefinition,
    image: ImageHandle,
    world: EnvWorld,
    sandbox: Sandbox,
  ): { readonly command: readonly string[]; readonly env: Readonly<Record<string, string>> } {
    let env = resolveEnv(definition, image.config.env, world)
    const port = definition.ports?.[0]?.containerPort
    // Where ports are handed out, PORT is how a program learns of its own.
    if (sandbox.hostPorts && port !== undefined && env['PORT'] === undefined)
      env = { ...env, PORT: String(port) }
    const entrypoint = definition.command?.length ? definition.command : image.config.entrypoint
    const args = definition.args?.length
      ? definition.args
      : definition.command?.length
        ? []
        : image.config.cmd
    return { env, command: [...entrypoint, ...args].map((word) => expand(word, env)) }
  }

  async #world(definition: ContainerDefinition, sandbox: Sandbox): Promise<EnvWorld> {
    const { configMaps, secrets } = envReferences(definition)
    const maps = new Map<string, ConfigMap | undefined>()
    const secretMap = new Map<string, Secret | undefined>()
    await Promise.all([
      ...[...configMaps].map(async (name) => maps.set(name, await this.#find(ConfigMap, name))),
      ...[...secrets].map(async (name) => secretMap.set(name, await this.#find(Secret, name))),
    ])
    return {
      pod: this.#pod,
      configMap: (name) => maps.get(name),
      secret: (name) => secretMap.get(name),
      podIP: sandbox.podIP,
      hostIP: this.#deps.hostIP,
      allocatable: this.#deps.allocatable,
    }
  }

  async #find<T extends KubeObject>(kind: Kind<T>, name: string): Promise<T | undefined> {
    if (name === '') return undefined
    try {
      return await this.#deps.client.get(kind, {
        namespace: this.#pod.metadata.namespace ?? '',
        name,
      })
    } catch (error) {
      if (hasReason(error, 'NotFound')) return undefined
      throw error
    }
  }

  /** What a failed preparation looks like, and when it is tried again. */
  #notStarted({ name, image = '' }: ContainerDefinition, error: unknown): void {
    const { clock } = this.#deps
    if (this.#terminating) return
    const state = this.#state(name)
    const wait = (reason: string, message: string | undefined, delayMs: number) =>
      this.#set(name, {
        ...state,
        imageFailures: state.imageFailures + 1,
        notBeforeMs: clock.now() + delayMs,
        ready: false,
        ...(state.state.is === 'terminated' && { last: terminatedOf(state) }),
        state: { is: 'waiting', reason, ...(message !== undefined && { message }) },
      })
    const message = textOf(error)
    if (error instanceof ImageError) {
      const delayMs = imageDelayMs(state.imageFailures + 1)
      wait(error.reason, message, delayMs)
      if (error.reason === 'InvalidImageName')
        this.#event('Warning', 'InspectFailed', message, name)
      else if (error.reason === 'ErrImageNeverPull')
        this.#event('Warning', 'ErrImageNeverPull', message, name)
      else {
        this.#event('Normal', 'Pulling', `Pulling image "${image}"`, name)
        this.#event('Warning', 'Failed', `Failed to pull image "${image}": ${message}`, name)
      }
      this.#event('Warning', 'Failed', `Error: ${error.reason}`, name)
      if (error.reason === 'ErrImagePull') this.#backOffImage(name, image, message)
    } else if (error instanceof MountError) {
      wait('ContainerCreating', undefined, configRetryMs)
      this.#event('Warning', 'FailedMount', message)
    } else if (error instanceof ConfigError || error instanceof MountsImpossible) {
      wait('CreateContainerConfigError', message, configRetryMs)
      this.#event('Warning', 'Failed', `Error: ${message}`, name)
    } else {
      this.#deps.log.error('container could not be started', {
        pod: podText(this.#pod),
        container: name,
        error,
      })
      wait('CreateContainerError', message, configRetryMs)
      this.#event('Warning', 'Failed', `Error: ${message}`, name)
    }
    this.#report()
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
  ): void {
    const running: Running = {
      container,
      definition,
      probers: [],
      killing: false,
      ended: Promise.resolve(),
    }
    this.#running.set(definition.name, running)
    running.ended = container.exited.then((exit) => this.#ended(running, exit))
    const { startupProbe } = definition
    if (startupProbe && !this.#state(definition.name).started)
      this.#probe(running, 'Startup', startupProbe, undefined, (success, output) => {
        if (!success) return this.#failProbe(running, 'startup', startupProbe, output)
        stopProbers(running.probers)
        const state = this.#state(definition.name)
        this.#set(definition.name, { ...state, started: true, ready: !definition.readinessProbe })
        this.#probeRunning(running, undefined)
        this.sync() // the next init container may wait for a sidecar to have started
        this.#report()
      })
    else this.#probeRunning(running, wasReady)
  }

  #probeRunning(running: Running, wasReady: boolean | undefined): void {
    const { definition } = running
    const { readinessProbe, livenessProbe } = definition
    if (readinessProbe)
      this.#probe(running, 'Readiness', readinessProbe, wasReady, (ready) => {
        this.#set(definition.name, { ...this.#state(definition.name), ready })
        this.#report()
      })
    if (livenessProbe)
      this.#probe(
        running,
        'Liveness',
        livenessProbe,
        wasReady === undefined ? undefined : true,
        (alive, output) => {
          if (!alive) this.#failProbe(running, 'liveness', livenessProbe, output)
        },
      )
  }

  #probe(
    running: Running,
    kind: ProbeKind,
    probe: ProbeDefinition,
    initially: boolean | undefined,
    onChange: (success: boolean, output: string) => void,
  ): void {
    const { clock, random } = this.#deps
    const target = this.#target(running)
    running.probers.push(
      startProber({
        kind,
        probe,
        clock,
        random,
        attempt: (timeoutMs) => this.#deps.probe(probe, timeoutMs, target),
        onChange,
        onFailure: (output) =>
          this.#event(
            'Warning',
            'Unhealthy',
            `${kind} probe failed: ${output}`,
            running.definition.name,
          ),
        ...(initially !== undefined && { initially }),
      }),
    )
  }

  #target({ container, definition }: Running): ProbeTarget {
    const { runtime, clock } = this.#deps
    const sandbox = this.#sandbox
    return {
      host: sandbox?.podIP ?? '127.0.0.1',
      clock,
      port: (wanted) => {
        const named = definition.ports?.find(({ name }) => name === wanted)?.containerPort
        const number =
          typeof wanted === 'number' ? wanted : (named ?? (Number(wanted) || undefined))
        if (number === undefined) return undefined
        // Knative's tcpSocket port 0 means the container's own port.
        const port = number === 0 ? (definition.ports?.[0]?.containerPort ?? 8080) : number
        return sandbox?.hostPorts?.[port] ?? port
      },
      exec: (command, timeoutMs) =>
        runtime.exec(container.id, command, { timeoutMs, limitBytes: execLimitBytes }),
    }
  }

  #failProbe(
    running: Running,
    kind: 'liveness' | 'startup',
    probe: ProbeDefinition,
    _output: string,
  ): void {
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
    stopProbers(running.probers)
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
    stopProbers(running.probers)
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
    const { clock, log } = this.#deps
    const atMs = clock.monotonic() + graceMs
    if (atMs < this.#killAtMs) {
      this.#killAtMs = atMs
      this.#shortened.resolve()
      this.#shortened = Promise.withResolvers<void>()
    }
    this.#terminating ??= this.#terminateNow().catch((error: unknown) =>
      log.error('pod could not be ended', { pod: podText(this.#pod), error }),
    )
    return this.#terminating
  }

  async #terminateNow(): Promise<void> {
    const { client, runtime, logs, beforeStop, log, onGone } = this.#deps
    this.#cancelWake()
    this.#cancelDeadline()
    for (const { probers } of this.#running.values()) stopProbers(probers)
    const pod = this.#pod
    if (this.#running.size > 0 && !this.#deleted)
      await this.#withinGrace(
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
    if (graceMs !== undefined) this.#killAtMs = this.#deps.clock.monotonic() + graceMs
    const sidecars = [...this.#running.values()].filter(({ definition }) => isSidecar(definition))
    const mains = [...this.#running.values()].filter((running) => !sidecars.includes(running))
    await Promise.all(mains.map((running) => this.#stop(running)))
    for (const running of sidecars.reverse()) await this.#stop(running)
  }

  async #stop(running: Running): Promise<void> {
    const { runtime, clock } = this.#deps
    const { container, definition } = running
    stopProbers(running.probers)
    running.killing = true
    this.#event('Normal', 'Killing', `Stopping container ${definition.name}`, definition.name)
    const preStop = definition.lifecycle?.preStop
    if (preStop && preStop.httpGet?.port !== drainPort) {
      const leftMs = Math.max(0, this.#killAtMs - clock.monotonic())
      const problem = await runHook(preStop, leftMs, this.#target(running), clock)
      if (problem !== undefined)
        this.#event('Warning', 'FailedPreStopHook', 'PreStopHook failed', definition.name)
    }
    await runtime.signal(container.id, 'SIGTERM').catch(() => {})
    if (await this.#withinGrace(running.ended)) return
    await runtime.signal(container.id, 'SIGKILL').catch(() => {})
    await Promise.race([running.ended, sleep(clock, killLimitMs)])
  }

  /** Waits for `done`, at most until the grace is over, however it is shortened meanwhile. False: it is over. */
  async #withinGrace(done: Promise<void>): Promise<boolean> {
    const { clock } = this.#deps
    let finished = false
    const ended = done.then(() => void (finished = true))
    while (!finished) {
      const leftMs = this.#killAtMs - clock.monotonic()
      if (leftMs <= 0) return false
      const over = Promise.withResolvers<void>()
      const cancel = clock.after(leftMs, over.resolve)
      await Promise.race([ended, over.promise, this.#shortened.promise])
      cancel()
    }
    return true
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
      ...this.#verdict,
    })
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
    ]) {
      const fresh = freshContainer(seen.name)
      const last = seen.lastState?.terminated
      const ended = seen.state?.terminated
      const begun = seen.state?.running !== undefined || ended !== undefined || last !== undefined
      this.#states.set(seen.name, {
        ...fresh,
        restarts: begun || seen.restartCount > 0 ? seen.restartCount : -1,
        imageID: seen.imageID,
        containerID: seen.containerID ?? '',
        ready: seen.ready,
        started: seen.started ?? false,
        failures: seen.restartCount,
        ...(last && { last: restored(last) }),
        state: ended
          ? { is: 'terminated', ...restored(ended) }
          : seen.state?.running
            ? { is: 'running', startedAtMs: Date.parse(seen.state.running.startedAt ?? '') || 0 }
            : fresh.state,
      })
    }
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
      this.#set(definition.name, {
        ...state,
        restarts: container.attempt,
        containerID: `${this.#deps.runtime.name}://${container.id}`,
        ready: known ? state.ready : !definition.readinessProbe && !definition.startupProbe,
        started: known ? state.started : !definition.startupProbe,
        state: { is: 'running', startedAtMs: container.startedAtMs },
      })
      void this.#deps.logs.opened(this.#pod, definition.name, container.attempt)
      this.#watch(container, definition, known ? state.ready : undefined)
    }
  }

  /** Containers that were running and are not any more: the machine or the launcher went down meanwhile. */
  #loseMissing(): void {
    if (this.#finished) return
    const { clock } = this.#deps
    for (const [name, state] of this.#states) {
      if (state.state.is !== 'running' || this.#running.has(name)) continue
      this.#set(name, {
        ...state,
        ready: false,
        started: false,
        failures: 0,
        state: {
          is: 'terminated',
          exitCode: 137,
          reason: 'ContainerStatusUnknown',
          message: 'The container could not be located when the pod was started again',
          startedAtMs: state.state.startedAtMs,
          finishedAtMs: clock.now(),
          containerID: state.containerID,
        },
      })
    }
  }
}

const stopProbers = (probers: Disposable[]): void => {
  for (const prober of probers.splice(0)) prober[Symbol.dispose]()
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const pullPolicy = ({
  imagePullPolicy,
}: ContainerDefinition): 'Always' | 'IfNotPresent' | 'Never' =>
  imagePullPolicy === 'Always' || imagePullPolicy === 'Never' ? imagePullPolicy : 'IfNotPresent'

function terminatedOf({ state }: ContainerState): Terminated {
  if (state.is !== 'terminated') throw new Error('the container has not ended')
  const { is: _, ...end } = state
  return end
}

const endOf = (exit: ContainerExit, startedAtMs: number, containerID: string): Terminated => ({
  exitCode: exit.exitCode,
  ...(exit.signal !== undefined && { signal: exit.signal }),
  reason: exit.reason,
  ...(exit.message !== undefined && { message: exit.message }),
  startedAtMs,
  finishedAtMs: exit.finishedAtMs,
  containerID,
})

interface SeenEnd {
  readonly exitCode: number
  readonly signal?: number
  readonly reason?: string
  readonly message?: string
  readonly startedAt?: string
  readonly finishedAt?: string
  readonly containerID?: string
}

const restored = (end: SeenEnd): Terminated => ({
  exitCode: end.exitCode,
  ...(end.signal !== undefined && { signal: end.signal }),
  reason: end.reason ?? 'Error',
  ...(end.message !== undefined && { message: end.message }),
  startedAtMs: Date.parse(end.startedAt ?? '') || 0,
  finishedAtMs: Date.parse(end.finishedAt ?? '') || 0,
  containerID: end.containerID ?? '',
})

/** The user a container runs as, when anybody asks for one. Throws ConfigError. */
function userOf(
  pod: Pod,
  container: ContainerDefinition,
  image: ImageHandle,
): { readonly uid: number; readonly gid?: number } | undefined {
  const inner = container.securityContext
  const outer = pod.spec.securityContext
  const uid = inner?.runAsUser ?? outer?.runAsUser ?? numericUser(image.config.user)
  const gid = inner?.runAsGroup ?? outer?.runAsGroup
  // Only root may become somebody else; otherwise everything runs as the user who runs the platform.
  if (process.getuid?.() !== 0 || uid === undefined) return undefined
  if (uid === 0 && (inner?.runAsNonRoot ?? outer?.runAsNonRoot))
    throw new ConfigError(
      `container's runAsUser breaks non-root policy (pod: "${podText(pod)}", container: ${container.name})`,
    )
  return { uid, ...(gid !== undefined && { gid }) }
}

const numericUser = (user: string): number | undefined =>
  /^\d+/.test(user) ? Number.parseInt(user, 10) : undefined
