/**
 * Ends one pod, or one of its containers: hooks, TERM, KILL at the end of the grace, sidecars last; then its network, its
 * API object and its logs. Follows the kubelet's killPod; a grace may only be shortened.
 */
import { sleep } from '../../../lib/clock.ts'
import { keyOf } from '../../api/meta.ts'
import { Pod } from '../../api/pod.ts'
import { hasReason } from '../../api/status-error.ts'
import type { Client } from '../../client/client.ts'
import { podFolder } from '../container/container-launch.ts'
import { isSidecar } from '../container/container-state.ts'
import { GracePeriod } from './grace-period.ts'
import { runHook } from './hooks.ts'
import type { PodRecord, PodWorkerDeps, RunningContainer } from './pod-record.ts'
import { probeTarget } from '../probes/probe-target.ts'
import { podText } from './sync-pod.ts'
import { unmountBelow } from '../volumes/memory-volume.ts'

/** After SIGKILL a process is gone, or never will be. */
const killLimitMs = 10_000
/** What a container gets at least, after its hook took all of the grace. */
const leastAfterHookMs = 2_000
/** Where Knative's queue-proxy answers when a pod has drained; here the gateway says so, through `beforeStop`. */
const drainPort = 8022
const evictionGraceMs = 1_000
/** Grace of pods that do not say. */
export const defaultGraceSeconds = 30

export interface EndingHooks {
  /** No alarm of this pod is to ring any more. */
  rest(): void
  /** Before the first signal: nothing is started any more, and what is frozen goes on, so that it hears of its end. */
  beforeEnd(): void
  /** Resolves when nothing is being started. */
  settled(): Promise<void>
}

export class PodEnding {
  readonly #record: PodRecord
  readonly #deps: PodWorkerDeps
  readonly #hooks: EndingHooks
  readonly #grace: GracePeriod
  #terminated: Promise<void> | undefined

  constructor(record: PodRecord, deps: PodWorkerDeps, hooks: EndingHooks) {
    this.#record = record
    this.#deps = deps
    this.#hooks = hooks
    this.#grace = new GracePeriod(deps.clock)
  }

  /** Its hook, TERM, and KILL when the grace is over. Resolves when the container has ended. */
  async kill(running: RunningContainer, graceMs: number): Promise<void> {
    const { runtime, clock } = this.#deps
    running.killing = true
    running.probes[Symbol.dispose]()
    const begunMs = clock.monotonic()
    await this.#preStop(running, graceMs)
    const leftMs = Math.max(leastAfterHookMs, graceMs - (clock.monotonic() - begunMs))
    await runtime.signal(running.container.id, 'SIGTERM').catch(() => {})
    const cancel = clock.after(graceMs === 0 ? 0 : leftMs, () => {
      void runtime.signal(running.container.id, 'SIGKILL').catch(() => {})
    })
    await running.container.exited
    cancel()
  }

  /** All containers have ended for good: the network goes, status and logs stay. */
  async finish(phase: 'Succeeded' | 'Failed'): Promise<void> {
    this.#record.finished = phase
    this.#hooks.rest()
    await Promise.all(
      [...this.#record.running.values()].map((running) => this.kill(running, this.#graceMs())), // sidecars
    )
    this.#record.report()
    await this.#dropVolumes()
    await this.#deps.runtime.removeSandbox(this.#record.uid).catch((error: unknown) =>
      this.#deps.log.error('sandbox could not be removed', {
        pod: podText(this.#record.pod),
        error,
      }),
    )
  }

  /** The pod has run for longer than it may. */
  async exceeded(): Promise<void> {
    const message = 'Pod was active on the node longer than the specified deadline'
    await this.#fail('Normal', { reason: 'DeadlineExceeded', message }, this.#graceMs())
  }

  /** The pod takes more than it may. */
  async evict(message: string): Promise<void> {
    const graceMs = Math.min(evictionGraceMs, this.#graceMs())
    await this.#fail('Warning', { reason: 'Evicted', message }, graceMs)
  }

  async #fail(
    type: 'Normal' | 'Warning',
    verdict: { readonly reason: string; readonly message: string },
    graceMs: number,
  ): Promise<void> {
    if (this.#record.isTerminating || this.#record.finished || this.#record.detached) return
    this.#record.verdict = verdict
    this.#record.finished = 'Failed'
    this.#hooks.rest()
    this.#record.event(type, verdict.reason, verdict.message)
    await this.#stopContainers(graceMs)
    await this.finish('Failed')
  }

  #graceMs(): number {
    return (this.#record.pod.spec.terminationGracePeriodSeconds ?? defaultGraceSeconds) * 1000
  }

  /** Ends the pod within `graceMs` and removes it from the API. A later call may only shorten the grace. */
  terminate(graceMs: number): Promise<void> {
    const { log } = this.#deps
    this.#grace.shorten(graceMs)
    this.#record.isTerminating = true
    this.#terminated ??= this.#terminateNow().catch((error: unknown) =>
      log.error('pod could not be ended', { pod: podText(this.#record.pod), error }),
    )
    return this.#terminated
  }

  async #terminateNow(): Promise<void> {
    const { client, runtime, logs, beforeStop, log, onGone } = this.#deps
    this.#hooks.rest()
    for (const { probes } of this.#record.running.values()) probes[Symbol.dispose]()
    this.#hooks.beforeEnd()
    const pod = this.#record.pod
    if (this.#record.running.size > 0 && !this.#record.deleted)
      await this.#grace.within(
        beforeStop(pod).catch((error: unknown) => log.error('pod was not drained', { error })),
      )
    await this.#stopContainers()
    await this.#hooks.settled()
    await this.#stopContainers() // what was being started just then
    if (!this.#record.deleted) {
      // Of sidecars and debuggers nobody expects that they end well.
      const failed = pod.spec.containers.some(({ name }) => {
        const { state } = this.#record.state(name)
        return state.is === 'terminated' && state.exitCode !== 0
      })
      this.#record.finished ??= failed ? 'Failed' : 'Succeeded'
      this.#record.report()
      await this.#record.writer.flushed()
    }
    await this.#dropVolumes()
    const removed = runtime
      .removeSandbox(this.#record.uid)
      .catch((error: unknown) =>
        log.error('sandbox could not be removed', { pod: podText(pod), error }),
      )
    if (!this.#record.deleted) await this.#deletePod(client, pod)
    await removed
    await logs.remove(pod)
    this.#record.writer.stop()
    onGone(this.#record.uid)
  }

  /** Volumes in memory go with the pod; what was mounted could not be removed with its folder. */
  async #dropVolumes(): Promise<void> {
    const { dataDir, tokens, log } = this.#deps
    const { uid, pod } = this.#record
    tokens?.forget(uid)
    await unmountBelow(podFolder(dataDir, uid)).catch((error: unknown) =>
      log.error('volumes could not be unmounted', { pod: podText(pod), error }),
    )
  }

  async #deletePod(client: Client, pod: Pod): Promise<void> {
    for (let failures = 0; !this.#record.deleted && !this.#record.detached; failures++) {
      try {
        return await client.delete(Pod, keyOf(pod), {
          gracePeriodSeconds: 0,
          preconditions: { uid: this.#record.uid },
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
    const sidecars = [...this.#record.running.values()].filter(({ definition }) =>
      isSidecar(definition),
    )
    const mains = [...this.#record.running.values()].filter(
      (running) => !sidecars.includes(running),
    )
    await Promise.all(mains.map((running) => this.#stop(running)))
    for (const running of sidecars.reverse()) await this.#stop(running)
  }

  async #stop(running: RunningContainer): Promise<void> {
    const { runtime, clock } = this.#deps
    const { container, definition } = running
    running.probes[Symbol.dispose]()
    running.killing = true
    running.cancelHook?.abort()
    this.#record.event(
      'Normal',
      'Killing',
      `Stopping container ${definition.name}`,
      definition.name,
    )
    await this.#preStop(running, this.#grace.leftMs)
    await runtime.signal(container.id, 'SIGTERM').catch(() => {})
    if (await this.#grace.within(running.ended)) return
    await runtime.signal(container.id, 'SIGKILL').catch(() => {})
    await Promise.race([running.ended, sleep(clock, killLimitMs)])
  }

  /** Resolves when the hook is over, whatever came of it. */
  async #preStop({ container, definition }: RunningContainer, timeoutMs: number): Promise<void> {
    const hook = definition.lifecycle?.preStop
    if (!hook || hook.httpGet?.port === drainPort || timeoutMs <= 0) return
    const target = probeTarget(definition, container.id, this.#record.sandbox, this.#deps)
    const over = new AbortController()
    void container.exited.then(() => over.abort())
    const problem = await runHook(hook, timeoutMs, target, this.#deps.clock, over.signal).catch(
      (error: unknown) => String(error),
    )
    if (problem !== undefined)
      this.#record.event('Warning', 'FailedPreStopHook', 'PreStopHook failed', definition.name)
  }
}
