/**
 * Stops the processes of one pod without ending them, and lets them go on: for pods that nobody needs now but somebody
 * may need soon. A pod is frozen in this order: it says that it is not ready, waits until nobody sends requests any more,
 * then its processes get SIGSTOP. It thaws at once: SIGCONT, and it is as ready as it was.
 */
import type { Log } from '../../../lib/log.ts'
import type { Runtime } from '../runtime.ts'

export interface FreezerDeps {
  readonly runtime: Pick<Runtime, 'signal' | 'memoryBytes'>
  readonly log: Log
  /** Ids of the containers that run now. */
  readonly containers: () => readonly string[]
  /** The state has changed: probes and status follow. Called before SIGSTOP and right after SIGCONT is on its way. */
  readonly changed: () => void
  /** Resolves when the status has been written and no request is on its way to the pod any more. */
  readonly quiet: (signal: AbortSignal) => Promise<void>
}

/** `freezing`: not ready any more, still running. */
export type FreezerState = 'running' | 'freezing' | 'frozen'

export class PodFreezer {
  #state: FreezerState = 'running'
  #memoryBytes: number | undefined
  #abort: AbortController | undefined
  readonly #deps: FreezerDeps

  constructor(deps: FreezerDeps) {
    this.#deps = deps
  }

  get state(): FreezerState {
    return this.#state
  }

  /** Memory that the frozen processes keep; undefined while that is not known. */
  get memoryBytes(): number | undefined {
    return this.#memoryBytes
  }

  /** Found by a new node agent: processes that are to be frozen stay stopped, all others surely run. */
  adopt(frozen: boolean): void {
    if (frozen) {
      this.#state = 'frozen'
      this.#stop()
    } else this.#signal('SIGCONT')
  }

  freeze(): void {
    if (this.#state !== 'running') return
    this.#state = 'freezing'
    const abort = new AbortController()
    this.#abort = abort
    this.#deps.changed()
    this.#deps
      .quiet(abort.signal)
      .then(() => {
        if (abort.signal.aborted) return
        this.#state = 'frozen'
        this.#stop()
      })
      .catch((error: unknown) => this.#deps.log.error('pod could not be frozen', { error }))
  }

  /** Answers whether there was anything to thaw. */
  thaw(): boolean {
    if (this.#state === 'running') return false
    this.#end()
    this.#deps.changed()
    return true
  }

  /** The pod is to end: its processes must be able to hear of it. */
  end(): void {
    if (this.#state !== 'running') this.#end()
  }

  /** Lets go: nothing is stopped any more that is not stopped yet. */
  detach(): void {
    this.#abort?.abort()
  }

  #end(): void {
    this.#abort?.abort()
    this.#state = 'running'
    this.#memoryBytes = undefined
    this.#signal('SIGCONT')
  }

  #stop(): void {
    this.#signal('SIGSTOP')
    void this.#measure()
  }

  async #measure(): Promise<void> {
    const { runtime, containers, changed } = this.#deps
    const parts = await Promise.all(
      containers().map(async (id) => await runtime.memoryBytes?.(id).catch(() => undefined)),
    )
    if (this.#state !== 'frozen') return
    this.#memoryBytes = parts.reduce<number>((sum, bytes = 0) => sum + bytes, 0)
    changed()
  }

  /** Not waited for: the runtime keeps the order, and a thaw must not cost a round trip. */
  #signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    const { runtime, containers, log } = this.#deps
    for (const id of containers())
      runtime
        .signal(id, signal)
        .catch((error: unknown) => log.error('no signal', { signal, error }))
  }
}
