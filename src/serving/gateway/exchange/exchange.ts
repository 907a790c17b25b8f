/**
 * Hot path. One request's life, whatever carries it: wait for a slot, get a connection, be tried again when the pod was not to be had,
 * end within the revision's three timeouts, and be recorded. How bytes pass is its
 * descendants' matter: `raw-exchange.ts` (HTTP/1 on both sides), `message-exchange.ts` (HTTP/2 on one side at least).
 */
import type { RequestHead } from '../../../lib/http1/head.ts'
import type { Claimant, Revision } from '../admission/activator.ts'
import type { Affinity } from '../routing/affinity.ts'
import type { WaitQueue, Waiter } from '../admission/breaker.ts'
import { Deadline } from './deadlines.ts'
import type { ColdRequest } from '../feed.ts'
import { type HeaderEdit, joinEdits } from './header-edit.ts'
import type { Answer, ClientIdentity } from './outgoing-head.ts'
import type { Pod, UpstreamContext } from '../pod/pod.ts'
import { type Loss, retryAt } from './retry.ts'
import { routeTag, type Destination } from '../routing/destination.ts'

/** What is known of a request at any moment, and in full at its end. Times are monotonic milliseconds, -1 = not (yet). */
export interface ExchangeRecord {
  readonly head: RequestHead
  readonly client: ClientIdentity
  /** What the client speaks. */
  readonly clientProtocol: 'http1' | 'h2'
  readonly revision: Revision
  readonly destination: Destination
  /** The pod it was given to last. */
  readonly pod: Pod | undefined
  /** It found its revision without a ready pod. */
  readonly cold: boolean
  /** How often it was sent anew, to the same pod or another. */
  readonly retries: number
  /** Sent to the client; 500 when it left before, 101 of a tunnel. */
  readonly status: number
  /** Payload bytes, framing and trailers not counted. Both directions of a tunnel count. */
  readonly requestBytes: number
  readonly responseBytes: number
  /** The first byte of its head came. */
  readonly arrivedMs: number
  /** Its head was read and routed; set for cold requests only. */
  readonly routedMs: number
  /** It got its slot at a pod. */
  readonly grantedMs: number
  /** Connected; its head was sent. */
  readonly forwardedMs: number
  /** The first byte of the answer came from the pod. */
  readonly answeredMs: number
  readonly endedMs: number
}

/** Sees the payload of a request as it passes, to mirror it. Buffers may be kept. */
export interface RequestTap {
  data(payload: Buffer): void
  end(): void
  /** The request ended before its body did. */
  abort(): void
}

/** What all exchanges share. Optional members cost one look each when they are absent. */
export interface ExchangeContext extends UpstreamContext {
  readonly requestId: () => string
  /** True while the gateway finishes what is in flight: connections close after their response. */
  readonly stopping: boolean
  /** Upgraded connections and event streams are free of the total limit unless their revision says otherwise. */
  readonly longLivedStreams?: boolean | undefined
  /** A request was turned away because too many wait. */
  rejected(): void
  /** Told of every exchange once, when it has ended. Must not throw. */
  readonly finished?: ((record: ExchangeRecord) => void) | undefined
  /** Told of a cold request when the first byte of its answer has come from the pod. */
  readonly coldAnswered?: ((record: ExchangeRecord) => void) | undefined
  /** Changes to the head that goes to the pod, behind those of the destination; asked again at each retry. */
  readonly requestEdit?: ((record: ExchangeRecord) => HeaderEdit | undefined) | undefined
  /** Changes to the head of the pod's final answer, behind those of the destination. */
  readonly responseEdit?:
    | ((record: ExchangeRecord, status: number) => HeaderEdit | undefined)
    | undefined
}

/** Who brings a request: an HTTP/1 connection, an HTTP/2 stream. */
export interface Requester<E extends Exchange = Exchange> {
  readonly identity: ClientIdentity
  /** Makes the exchange of a request that has been routed; not yet started. */
  open(head: RequestHead, revision: Revision, destination: Destination, context: ExchangeContext): E
}

/** How long connections of one request may be refused before it is told so. */
const patienceMs = 5000
export abstract class Exchange extends Deadline implements Claimant, ExchangeRecord {
  queue: WaitQueue | undefined
  ahead: Waiter | undefined
  behind: Waiter | undefined
  readonly head: RequestHead
  readonly client: ClientIdentity
  abstract readonly clientProtocol: 'http1' | 'h2'
  readonly revision: Revision
  readonly destination: Destination
  pod: Pod | undefined
  cold = false
  retries = 0
  status = 0
  readonly arrivedMs: number
  routedMs = -1
  grantedMs = -1
  forwardedMs = -1
  answeredMs = -1
  endedMs = -1
  /** Nothing more happens here. */
  ended = false
  /** Both directions are raw bytes now. */
  tunnelling = false
  /** Set before `start`, if at all. */
  tap: RequestTap | undefined
  /** Session affinity; set before `start`, if at all. */
  affinity: Affinity | undefined
  protected readonly context: ExchangeContext
  /** The head of the response has gone to the client. */
  protected responded = false
  /** The response is one that may be open for long: an upgraded connection, an event stream. */
  protected longLived = false
  /** When the head was whole: timeouts and durations count from here. */
  readonly #startMs: number
  #lastWriteMs: number
  #started = false
  /** The pod whose slot is held. */
  #slot: Pod | undefined
  #refusedSinceMs = -1

  /** `arrivedMs`: first byte of the head; `startMs`: the head was whole. */
  constructor(
    head: RequestHead,
    client: ClientIdentity,
    revision: Revision,
    destination: Destination,
    context: ExchangeContext,
    arrivedMs: number,
    startMs: number,
  ) {
    super()
    this.head = head
    this.client = client
    this.revision = revision
    this.destination = destination
    this.context = context
    this.arrivedMs = arrivedMs
    this.#startMs = startMs
    this.#lastWriteMs = startMs
  }

  abstract readonly requestBytes: number
  abstract readonly responseBytes: number

  /** Asks `pod` for a connection. `fresh`: not one that rested. */
  protected abstract checkout(pod: Pod, fresh: boolean): void
  /** Gives up what is being done at the pod, if anything. */
  protected abstract dropUpstream(): void
  /** Says `answer` to the client, which has had nothing yet. */
  protected abstract answer(answer: Answer): void
  /** The time is up while the response is on its way. */
  protected abstract timeOutMidway(): void
  /** Nothing of the request was lost to a pod, so it can be sent again. */
  protected abstract readonly repeatable: boolean

  start(): void {
    const { revision } = this
    this.#started = true
    revision.meter.start(this.#startMs)
    this.context.deadlines.set(this, this.#dueMs())
    const pod = revision.acquire(this)
    if (pod === 'full') {
      this.context.rejected()
      this.fail({ status: 503, body: 'pending request queue full', lines: 'Retry-After: 1\r\n' })
    } else if (pod) {
      // All in one step, so no clock is asked.
      this.grantedMs = this.#startMs
      this.forwardedMs = this.#startMs
      this.pod = this.#slot = pod
      this.checkout(pod, false)
    } else if (!revision.ready) {
      this.cold = true
      this.routedMs = this.context.clock.monotonic()
    }
  }

  granted(pod: Pod): void {
    this.grantedMs = this.context.clock.monotonic()
    this.forwardedMs = this.grantedMs
    this.pod = this.#slot = pod
    this.checkout(pod, false)
  }

  revisionGone(): void {
    const { key, kind } = this.revision.target
    const [, name = ''] = key.split('/')
    this.fail(kind === 'service' ? noEndpoints(key) : revisionNotFound(name))
  }

  /** The client is gone. */
  abort(): void {
    if (this.ended) return
    this.dropUpstream()
    this.end(this.tunnelling ? 101 : this.responded ? this.status : 500)
  }

  // -- the pod's side, for descendants ------------------------------------------------------------------------------

  /** There is no connection: tries again for a while. */
  connectFailed(error: Error): void {
    const pod = this.#slot!
    const nowMs = this.context.clock.monotonic()
    if (!this.revision.ready || this.#refusedSinceMs < 0) this.#refusedSinceMs = nowMs
    if (nowMs - this.#refusedSinceMs > patienceMs || this.revision.gone)
      this.fail({ status: 502, body: error.message })
    else {
      this.#slot = undefined
      this.revision.refused(this, pod)
    }
  }

  /** The connection broke before a byte of the answer. Sends it again where that is safe, else answers 502. */
  protected broken(message: string, how: Loss): void {
    const { revision, repeatable, retries } = this
    const pod = this.#slot
    const at =
      pod === undefined || revision.gone
        ? undefined
        : retryAt(how, { method: this.head.method, repeatable, retries }, revision.retryBudget)
    if (pod === undefined || at === undefined) {
      this.fail({ status: 502, body: message })
      return
    }
    this.retries++
    // A pod that leaves gets nothing new: what it has lost goes to another.
    if (at === 'any' || pod.leaving) {
      this.#slot = undefined
      revision.refused(this, pod)
    } else this.checkout(pod, true)
  }

  /** The request goes out on a connection that had to be opened or waited for. */
  protected forwarded(): void {
    this.forwardedMs = this.context.clock.monotonic()
  }

  /** The first byte of the answer. Answers what the clock says. */
  protected answered(): number {
    const nowMs = this.context.clock.monotonic()
    this.answeredMs = nowMs
    if (this.cold) this.context.coldAnswered?.(this)
    return nowMs
  }

  /** The final head goes to the client now. */
  protected begin(status: number): void {
    this.responded = true
    this.status = status
  }

  /** What the route changes in the head of the pod's final answer. */
  get routeEdit(): HeaderEdit | undefined {
    const { affinity, destination } = this
    if (affinity === undefined) return destination.response
    return joinEdits(destination.response, affinity.edit(this.pod, this.revision.pods))
  }

  /** The request's body is complete. */
  protected bodyEnded(): void {
    this.tap?.end()
    this.tap = undefined
  }

  /** Something was written to the client. `nowMs`: what the clock said in this very step, if it was asked; else -1. */
  protected wrote(nowMs = -1): void {
    if (this.revision.target.idleTimeoutMs > 0)
      this.#lastWriteMs = nowMs < 0 ? this.context.clock.monotonic() : nowMs
  }

  /** Bytes passed in a tunnel: in Knative they count for no timeout, unless the total one is off. */
  protected tunnelled(): void {
    if (this.#unlimited) this.wrote()
  }

  // -- time ---------------------------------------------------------------------------------------------------------

  override expire(nowMs: number): void {
    const dueMs = this.#dueMs()
    if (nowMs < dueMs) {
      if (dueMs !== Infinity) this.context.deadlines.set(this, dueMs)
    } else if (this.responded) this.timeOutMidway()
    else
      this.fail({
        status: 504,
        body: this.#slot ? 'request timeout' : 'activator request timeout',
      })
  }

  get #unlimited(): boolean {
    return (
      this.longLived &&
      (this.revision.target.longLivedStreams ?? this.context.longLivedStreams) === true
    )
  }

  #dueMs(): number {
    const { timeoutMs, responseStartTimeoutMs, idleTimeoutMs } = this.revision.target
    const totalMs = this.destination.timeoutMs || timeoutMs
    let dueMs = this.longLived && this.#unlimited ? Infinity : this.#startMs + totalMs
    if (responseStartTimeoutMs > 0 && !this.responded)
      dueMs = Math.min(dueMs, this.#startMs + responseStartTimeoutMs)
    if (idleTimeoutMs > 0) dueMs = Math.min(dueMs, this.#lastWriteMs + idleTimeoutMs)
    return dueMs
  }

  // -- ends ---------------------------------------------------------------------------------------------------------

  /** Answers in the pod's place; only while nothing has gone to the client. */
  protected fail(answer: Answer): void {
    if (this.ended) return
    this.dropUpstream()
    this.end(answer.status)
    this.answer(answer)
  }

  /** Gives back everything that is held, and tells of it. `givenMs`: as `nowMs` of `wrote`. */
  protected end(status: number, givenMs = -1): void {
    if (this.ended) return
    this.ended = true
    this.status = status
    const { revision, context } = this
    const nowMs = givenMs < 0 ? context.clock.monotonic() : givenMs
    this.endedMs = nowMs
    context.deadlines.cancel(this)
    revision.queue.remove(this)
    // A body can be found bad before the request was started.
    if (this.#started) revision.meter.stop(nowMs)
    revision.metrics.finished({
      method: this.head.method,
      status,
      version: this.clientProtocol === 'h2' ? '2' : this.head.minor === 0 ? '1.0' : '1.1',
      tag: routeTag(this.destination, this.head),
      seconds: (nowMs - this.#startMs) / 1000,
      requestBytes: this.requestBytes,
      responseBytes: this.responseBytes,
    })
    this.tap?.abort()
    const pod = this.#slot
    this.#slot = undefined
    if (pod) revision.release(pod)
    if (context.finished !== undefined) context.finished(this)
  }
}

/** What the control plane is told of a cold request. `wallMs` is the wall clock at `nowMs`. */
export function coldRequest(record: ExchangeRecord, wallMs: number, nowMs: number): ColdRequest {
  const since = (ms: number): number => ms - record.arrivedMs
  return {
    revision: record.revision.target.key,
    pod: record.pod?.name ?? '',
    atMs: wallMs - (nowMs - record.arrivedMs),
    monotonicMs: record.arrivedMs,
    steps: {
      routed: since(record.routedMs),
      granted: since(record.grantedMs),
      forwarded: since(record.forwardedMs),
      answered: since(record.answeredMs),
    },
  }
}

/** `key`: `namespace/name:port` of a core Service. */
export const noEndpoints = (key: string): Answer => ({
  status: 503,
  body: `Service ${key} has no ready endpoints\n`,
})

export const revisionNotFound = (name: string): Answer => ({
  status: 404,
  body: `Error getting active endpoint: revisions.serving.knative.dev "${name}" not found`,
})
