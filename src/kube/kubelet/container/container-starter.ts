/**
 * Starts the containers of one pod: prepares image, environment and volumes, waits for its turn, asks the runtime. What
 * could not be started is shown with Kubernetes' reason, and tried again later.
 */
import type { Keyring } from '../../../image/registry/credentials.ts'
import { endOf, terminatedOf } from './container-end.ts'
import { prepareLaunch } from './container-launch.ts'
import { allContainers, type ContainerDefinition, type ContainerState } from './container-state.ts'
import type { PodRecord, PodWorkerDeps } from '../pod/pod-record.ts'
import { countFailure } from '../pod/restart-backoff.ts'
import { pullKeys } from '../images/pull-secrets.ts'
import { pulledText } from '../images/pulled-text.ts'
import type { Container } from '../runtime.ts'
import { startFailure } from '../pod/start-failure.ts'
import { podText } from '../pod/sync-pod.ts'

/** A start that takes longer than this is shown as ContainerCreating; quicker ones spare the API the write. */
const slowStartMs = 150
/** ErrImagePull becomes ImagePullBackOff, as on a kubelet's next look at the pod. */
const imageErrorShownMs = 1_000

export interface StarterHooks {
  /** There may be something to decide. */
  sync(): void
  /** A container runs; `isUp` is to be called once its program has come up. */
  watch(container: Container, definition: ContainerDefinition, isUp: () => void): void
}

export class ContainerStarter {
  readonly #record: PodRecord
  readonly #deps: PodWorkerDeps
  readonly #hooks: StarterHooks
  readonly #starting = new Map<string, Promise<void>>()
  /** Containers that wait for their image to be built. */
  readonly #awaited = new Map<string, Disposable>()
  readonly #stopped = new AbortController()

  constructor(record: PodRecord, deps: PodWorkerDeps, hooks: StarterHooks) {
    this.#record = record
    this.#deps = deps
    this.#hooks = hooks
  }

  /** Nothing is started any more; what the runtime was asked for already still comes. */
  stop(): void {
    this.#stopped.abort()
    for (const name of this.#awaited.keys()) this.#stopAwaiting(name)
  }

  /** Resolves when nothing is being started. */
  async settled(): Promise<void> {
    await Promise.all(this.#starting.values())
  }

  /** Begins to start a container, unless that has begun; what comes of it is shown in the record. */
  start(name: string): void {
    const definition = allContainers(this.#record.pod).find((container) => container.name === name)
    if (!definition || this.#starting.has(name) || this.#record.running.has(name)) return
    const cancel = this.#deps.clock.after(slowStartMs, () => this.#record.report())
    const started = this.#startNow(definition)
      .catch((error: unknown) => this.#notStarted(definition, error))
      .finally(() => {
        cancel()
        this.#starting.delete(name)
        if (!this.#record.isTerminating) this.#hooks.sync()
      })
    this.#starting.set(name, started)
  }

  async #startNow(definition: ContainerDefinition): Promise<void> {
    const { runtime, logs } = this.#deps
    const { name } = definition
    const pod = this.#record.pod
    const sandbox = this.#record.sandbox
    if (!sandbox) return
    const deps = {
      ...this.#deps,
      onSkippedKeys: (keys: readonly string[], source: string) =>
        this.#record.event(
          'Warning',
          'InvalidEnvironmentVariableNames',
          `Keys [${keys.join(', ')}] from the EnvFrom ${source} were skipped since they are considered invalid environment variable names.`,
        ),
    }
    const launch = await prepareLaunch(pod, definition, sandbox, deps, {
      keys: () => this.#pullKeys(),
      onPulling: () =>
        this.#record.event('Normal', 'Pulling', `Pulling image "${definition.image}"`, name),
      signal: this.#stopped.signal,
    })
    this.#stopAwaiting(name)
    const isUp = await this.#deps.startGate.enter(this.#stopped.signal)
    if (this.#record.isTerminating || this.#record.detached) return isUp()
    const { image } = launch
    const attempt = this.#record.state(name).restarts + 1
    this.#record.step('spawn')
    const start = { ...launch, attempt, logPath: logs.path(pod, name, attempt) }
    const container = await runtime.start(start).catch((error: unknown) => {
      isUp()
      throw error
    })
    this.#record.step('started')
    void container.exited.then(isUp)
    const before = this.#record.state(name)
    const { last, imageFailures: _, ...rest } = before
    const previous = before.state.is === 'terminated' ? terminatedOf(before) : last
    const id = `${runtime.name}://${container.id}`
    this.#record.event('Normal', 'Pulled', pulledText(definition.image ?? '', image), name)
    const exit = container.pid === 0 ? await container.exited : undefined
    if (exit) {
      const end = endOf(exit, 0, id)
      const message = exit.message ?? 'the program could not be started'
      this.#record.set(name, {
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
      this.#record.event('Normal', 'Created', `Created container: ${name}`, name)
      this.#record.event('Warning', 'Failed', `Error: ${message}`, name)
      this.#showStartError(name, message)
      return
    }
    const unprobed = !definition.readinessProbe && !definition.startupProbe
    this.#record.set(name, {
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
    this.#hooks.watch(container, definition, isUp)
    void logs.opened(pod, name, attempt)
    this.#record.event('Normal', 'Created', `Created container: ${name}`, name)
    this.#record.event('Normal', 'Started', `Started container ${name}`, name)
    if (container.limitation !== undefined)
      this.#record.event(
        'Warning',
        'NotEnforced',
        `Container ${name}: ${container.limitation}`,
        name,
      )
    this.#record.report()
  }

  async #pullKeys(): Promise<Keyring> {
    const { metadata, spec } = this.#record.pod
    return await pullKeys(
      this.#deps.client,
      { namespace: metadata.namespace ?? '', ...spec },
      (names) =>
        this.#record.event(
          'Warning',
          'FailedToRetrieveImagePullSecret',
          `Unable to retrieve some image pull secrets (${names.join(', ')}); attempting to pull the image may not succeed.`,
        ),
    )
  }

  /** A program that can't be executed: RunContainerError until the back-off begins. */
  #showStartError(name: string, message: string): void {
    if ((this.#record.pod.spec.restartPolicy ?? 'Always') === 'Never') return this.#record.report()
    const state = this.#record.state(name)
    const shown: ContainerState = {
      ...state,
      state: { is: 'waiting', reason: 'RunContainerError', message },
    }
    this.#record.states.set(name, shown)
    this.#record.report()
    this.#record.states.set(name, state)
  }

  /** A failed preparation is shown, and tried again later. */
  #notStarted({ name, image = '' }: ContainerDefinition, error: unknown): void {
    const { clock, log } = this.#deps
    if (this.#record.isTerminating) return
    const state = this.#record.state(name)
    const imageFailures = state.imageFailures + 1
    const { reason, message, retryAfterMs, events, unexpected } = startFailure(
      error,
      image,
      imageFailures,
    )
    this.#record.set(name, {
      ...state,
      imageFailures,
      notBeforeMs: clock.now() + retryAfterMs,
      ready: false,
      ...(state.state.is === 'terminated' && { last: terminatedOf(state) }),
      state: { is: 'waiting', reason, ...(message !== undefined && { message }) },
    })
    for (const { type, ofPod, ...event } of events)
      this.#record.event(type, event.reason, event.message, ofPod ? undefined : name)
    if (unexpected)
      log.error('container could not be started', {
        pod: podText(this.#record.pod),
        container: name,
        error,
      })
    if (reason === 'ErrImagePull') {
      this.#backOffImage(name, image, message ?? '')
      this.#awaited.get(name)?.[Symbol.dispose]()
      const wait = this.#deps.images.onTagged?.(() => void this.#imageTagged(name, image))
      if (wait) this.#awaited.set(name, wait)
    }
    this.#record.report()
  }

  /** There is a new name in the image store: if it is ours, nobody has to wait for the back-off's end. */
  async #imageTagged(name: string, image: string): Promise<void> {
    const { images } = this.#deps
    const found = images.isPresent
      ? await images.isPresent(image).catch(() => false)
      : (await images.resolve(image).catch(() => undefined)) !== undefined
    if (!found || !this.#awaited.has(name)) return
    this.#stopAwaiting(name)
    this.#record.set(name, { ...this.#record.state(name), notBeforeMs: this.#deps.clock.now() })
    this.#hooks.sync()
  }

  #stopAwaiting(name: string): void {
    this.#awaited.get(name)?.[Symbol.dispose]()
    this.#awaited.delete(name)
  }

  #backOffImage(name: string, image: string, message: string): void {
    this.#deps.clock.after(imageErrorShownMs, () => {
      const state = this.#record.state(name)
      if (
        state.state.is !== 'waiting' ||
        state.state.reason !== 'ErrImagePull' ||
        this.#record.isTerminating
      )
        return
      const text = `Back-off pulling image "${image}"`
      this.#record.set(name, {
        ...state,
        state: {
          is: 'waiting',
          reason: 'ImagePullBackOff',
          message: `${text}: ErrImagePull: ${message}`,
        },
      })
      this.#record.event('Normal', 'BackOff', text, name)
      this.#record.event('Warning', 'Failed', 'Error: ImagePullBackOff', name)
      this.#record.report()
    })
  }
}
