/**
 * One life of a control plane's process. Everything it is given (clock, API, runtime) stops answering when it ends, as
 * if the process had been killed: alarms never ring, requests never return, nothing is flushed. While it lives its
 * requests can be slow and its writes can go wrong.
 */
import type { Clock } from '../../src/lib/clock.ts'
import { sleep } from '../../src/lib/clock.ts'
import { randomInt, type Random } from '../../src/lib/random.ts'
import type { KubeObject } from '../../src/kube/api/meta.ts'
import type { Api, ApiRequest, ApiResponse, WatchEvent } from '../../src/kube/api/protocol.ts'
import { StatusError } from '../../src/kube/api/status-error.ts'
import type { Runtime } from '../../src/kube/kubelet/runtime.ts'

/** What happens to the requests of the controllers. */
export interface Weather {
  /** Answers and watch events come at most this much late. */
  latencyMs: number
  /** Share of writes that are refused, in conflict, or done without the answer arriving. */
  troubles: number
}

const writes = new Set(['create', 'update', 'patch', 'delete', 'deletecollection'])
const never = <T>(): Promise<T> => new Promise<T>(() => {})

export class Life {
  readonly clock: Clock
  readonly #random: Random
  readonly #weather: Weather
  readonly #alarms = new Set<() => void>()
  readonly #end = new AbortController()

  constructor(clock: Clock, random: Random, weather: Weather) {
    this.#random = random
    this.#weather = weather
    this.clock = {
      now: () => clock.now(),
      monotonic: () => clock.monotonic(),
      after: (delayMs, fn) => {
        if (this.over) return () => {}
        const cancel = clock.after(delayMs, () => {
          this.#alarms.delete(cancel)
          fn()
        })
        this.#alarms.add(cancel)
        return () => {
          this.#alarms.delete(cancel)
          cancel()
        }
      },
    }
  }

  get over(): boolean {
    return this.#end.signal.aborted
  }

  end(): void {
    for (const cancel of this.#alarms) cancel()
    this.#alarms.clear()
    this.#end.abort()
  }

  /** The API as this process sees it. `calm`: only slow, never wrong. */
  api(inner: Api, calm: boolean): Api {
    return {
      handle: async (request) => {
        await this.#pause()
        const answer = writes.has(request.verb)
          ? await this.#write(inner, request, calm)
          : await inner.handle(this.#bounded(request))
        await this.#pause()
        if (this.over) return never()
        return answer.events ? { ...answer, events: this.#events(answer.events) } : answer
      },
    }
  }

  /** The runtime as this process sees it: containers live on, answers do not arrive. */
  runtime(inner: Runtime): Runtime {
    const guard = async <T>(run: () => Promise<T>): Promise<T> => {
      if (this.over) return never()
      const result = await run()
      return this.over ? never() : result
    }
    return {
      name: inner.name,
      version: inner.version,
      sharesFiles: (image) => inner.sharesFiles?.(image) ?? false,
      createSandbox: (spec) => guard(() => inner.createSandbox(spec)),
      removeSandbox: (uid) => guard(() => inner.removeSandbox(uid)),
      start: (spec) => guard(() => inner.start(spec)),
      signal: (id, signal) => guard(() => inner.signal(id, signal)),
      exec: (id, command, options) => guard(() => inner.exec(id, command, options)),
      recover: () => guard(() => inner.recover()),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    }
  }

  #bounded(request: ApiRequest): ApiRequest {
    if (request.verb !== 'watch') return request
    const { signal } = request
    const end = this.#end.signal
    return { ...request, signal: signal ? AbortSignal.any([signal, end]) : end }
  }

  async #write(inner: Api, request: ApiRequest, calm: boolean): Promise<ApiResponse> {
    const { troubles } = this.#weather
    if (calm || troubles === 0) return inner.handle(request)
    const dice = this.#random.next()
    const what = `${request.verb} ${request.resource}`
    // Only who says which version he means can be in conflict.
    const versioned = versionOf(request.body) !== undefined
    if (dice < troubles / 3 || (dice < (troubles * 2) / 3 && !versioned))
      throw new StatusError('InternalError', `${what}: simulated failure`)
    if (dice < (troubles * 2) / 3)
      throw new StatusError('Conflict', `${what}: simulated second writer`)
    const answer = await inner.handle(request)
    if (dice < troubles) throw new StatusError('Timeout', `${what}: simulated lost answer`)
    return answer
  }

  async #pause(): Promise<void> {
    const { latencyMs } = this.#weather
    if (this.over) return never()
    if (latencyMs > 0 && this.#random.next() < 0.5)
      await sleep(this.clock, randomInt(this.#random, latencyMs))
  }

  async *#events(events: AsyncIterable<WatchEvent>): AsyncIterable<WatchEvent> {
    for await (const event of events) {
      await this.#pause()
      if (this.over) return yield* []
      yield event
    }
  }
}

const versionOf = (body: unknown): string | undefined =>
  (body as Partial<KubeObject> | undefined)?.metadata?.resourceVersion
