/**
 * Hot path. A request whose client or pod speaks HTTP/2: it passes as a message (head, payload, trailers) between two sides that each
 * know their own wire, with back-pressure both ways. Payload is never gathered: what one side cannot take yet keeps the
 * other side's window (or socket) closed.
 */
import type { RequestHead, ResponseHead } from '../../../lib/http1/head.ts'
import { ErrorCode } from '../../../lib/http2/error.ts'
import type { OutgoingFields } from '../../../lib/http2/stream.ts'
import type { Revision } from '../admission/activator.ts'
import { Exchange, type ExchangeContext } from './exchange.ts'
import { isGrpc } from './grpc-answer.ts'
import { type Answer, type ClientIdentity, isEventStream, wantsUpgrade } from './outgoing-head.ts'
import type { Pod } from '../pod/pod.ts'
import { PodConnectionSide } from '../pod/pod-connection-side.ts'
import { PodStreamSide } from '../pod/pod-stream-side.ts'
import type { Destination } from '../routing/route-table.ts'

/** The client of a message exchange. */
export interface ClientSide {
  readonly identity: ClientIdentity
  readonly clientProtocol: 'http1' | 'h2'
  /** When the head began to arrive, and when it was whole; monotonic milliseconds. */
  readonly arrivedMs: number
  readonly headMs: number
  /** An interim response. */
  interim(head: ResponseHead): void
  /** The final head. `end`: no body follows. */
  respond(head: ResponseHead, end: boolean, exchange: MessageExchange): void
  /** Payload, valid during the call. False: no more until `clientDrained`. */
  write(payload: Buffer): boolean
  /** The response is complete; the exchange has ended. */
  end(trailers: OutgoingFields | undefined, endedMs: number): void
  /** The response cannot be finished: the client must see that it is not whole. The exchange has ended. */
  cut(code: number): void
  /** The gateway's own answer, instead of a response. The exchange has ended. */
  answer(answer: Answer): void
  /** So many bytes of the request's payload have gone on. */
  consumed(bytes: number): void
  /** A text may be put behind the body that is under way: its length was not announced. */
  readonly appendable: boolean
}

/** The pod of a message exchange, once there is a connection. */
export interface PodSide {
  /** Payload, valid during the call. False: no more until `podDrained`. */
  write(payload: Buffer): boolean
  end(trailers: OutgoingFields | undefined): void
  /** Gives up: the response is not wanted any more, or nothing follows. */
  drop(): void
  /** So many bytes of the response's payload have gone on. */
  consumed(bytes: number): void
}

export class MessageExchange extends Exchange {
  override readonly clientProtocol: 'http1' | 'h2'
  requestBytes = 0
  responseBytes = 0
  /** The request is complete, as far as the client goes. */
  requestEnded: boolean
  readonly #client: ClientSide
  #podSide: PodSide | undefined
  /** The side that asks for a connection, to be told when it need not any more. */
  #asking: { ended: boolean } | undefined
  /** Payload that came before there was a connection. */
  #early: Buffer[] | undefined
  #requestTrailers: OutgoingFields | undefined
  /** Payload has gone to a pod: the request cannot be sent again. */
  #bodySent = false
  /** Payload taken from one side that the other has not taken yet. */
  #owedToClient = 0
  #owedToPod = 0

  /** `requestEnded`: it has no body. */
  constructor(
    client: ClientSide,
    head: RequestHead,
    requestEnded: boolean,
    revision: Revision,
    destination: Destination,
    context: ExchangeContext,
  ) {
    super(head, client.identity, revision, destination, context, client.arrivedMs, client.headMs)
    this.#client = client
    this.clientProtocol = client.clientProtocol
    this.requestEnded = requestEnded
  }

  /** Payload of the request is held back. */
  get holding(): boolean {
    return this.#owedToClient > 0
  }

  /** Payload of the response is held back. */
  get heldByClient(): boolean {
    return this.#owedToPod > 0
  }

  override start(): void {
    super.start()
    if (this.requestEnded) this.bodyEnded()
  }

  protected override get repeatable(): boolean {
    return !this.#bodySent
  }

  protected override checkout(pod: Pod, fresh: boolean): void {
    if (this.revision.target.protocol === 'h2c') {
      if (wantsUpgrade(this.head)) {
        this.fail({
          status: 501,
          body: `revision ${this.revision.target.key} speaks HTTP/2 (its port is named h2c), so nothing can be upgraded to ${this.head.upgrade} there; name the port http1 for that\n`,
        })
        return
      }
      const side = new PodStreamSide(this)
      this.#asking = side
      pod.sessions.checkout(side)
    } else {
      const side = new PodConnectionSide(this)
      this.#asking = side
      pod.checkout(side, fresh)
    }
  }

  protected override dropUpstream(): void {
    this.#early = undefined
    const side = this.#podSide
    const asking = this.#asking
    this.#podSide = undefined
    this.#asking = undefined
    if (side) side.drop()
    else if (asking) asking.ended = true
  }

  protected override answer(answer: Answer): void {
    this.#client.answer(answer)
  }

  // -- the client's side --------------------------------------------------------------------------------------------

  /** Payload of the request, valid during the call. */
  requestData(payload: Buffer): void {
    if (this.ended) return
    this.requestBytes += payload.length
    this.tap?.data(Buffer.from(payload))
    const side = this.#podSide
    if (side === undefined) {
      ;(this.#early ??= []).push(Buffer.from(payload))
      this.#owedToClient += payload.length
      return
    }
    this.#bodySent = true
    if (side.write(payload) && this.#owedToClient === 0) this.#client.consumed(payload.length)
    else this.#owedToClient += payload.length
  }

  requestEnd(trailers: OutgoingFields | undefined): void {
    if (this.ended || this.requestEnded) return
    this.requestEnded = true
    this.#requestTrailers = trailers
    this.bodyEnded()
    this.#podSide?.end(trailers)
  }

  clientDrained(): void {
    const owed = this.#owedToPod
    if (owed === 0) return
    this.#owedToPod = 0
    this.#podSide?.consumed(owed)
  }

  /** What the client sends is no HTTP. */
  badRequest(answer: Answer): void {
    if (this.responded) {
      this.abort()
      this.#client.cut(0)
    } else this.fail(answer)
  }

  // -- the pod's side -----------------------------------------------------------------------------------------------

  /** The request's head can go out complete: no payload and no trailers follow. */
  get bare(): boolean {
    return this.requestEnded && this.#early === undefined && this.#requestTrailers === undefined
  }

  get edits(): ExchangeContext {
    return this.context
  }

  /** The head has gone out by `side`. `bare`: as the whole request. `waited`: a connection had to be opened or waited for. */
  podConnected(side: PodSide, bare: boolean, waited: boolean): void {
    this.#asking = undefined
    this.#podSide = side
    if (waited) this.forwarded()
    if (bare) return
    const early = this.#early
    let roomy = true
    if (early !== undefined) {
      this.#early = undefined
      this.#bodySent = true
      for (const payload of early) roomy = side.write(payload)
    }
    if (this.requestEnded) side.end(this.#requestTrailers)
    if (roomy) this.podDrained()
  }

  podUnreachable(error: Error): void {
    this.#asking = undefined
    this.connectFailed(error)
  }

  podInterim(head: ResponseHead): void {
    if (this.answeredMs < 0) this.answered()
    this.#client.interim(head)
  }

  /** `end`: no body follows. */
  podHead(head: ResponseHead, end: boolean): void {
    if (this.answeredMs < 0) this.answered()
    this.begin(head.status)
    if (
      this.context.longLivedStreams !== undefined ||
      this.revision.target.longLivedStreams === true
    )
      this.longLived = isEventStream(head)
    this.#client.respond(head, end, this)
    this.wrote()
    if (end) this.#complete(undefined)
  }

  /** Payload of the response, valid during the call. */
  podData(payload: Buffer): void {
    this.responseBytes += payload.length
    const roomy = this.#client.write(payload)
    this.wrote()
    if (this.ended) return
    if (roomy && this.#owedToPod === 0) this.#podSide?.consumed(payload.length)
    else this.#owedToPod += payload.length
  }

  /** The response is complete. */
  podEnd(trailers: OutgoingFields | undefined): void {
    this.#complete(trailers)
  }

  /**
   * The pod is lost before the response is whole. `code`: of HTTP/2. `how`: see `broken`; `answering`: its first bytes
   * were there already.
   */
  podLost(message: string, code: number, how: 'stale' | 'unseen' | 'lost' | 'answering'): void {
    if (this.ended) return
    this.#podSide = undefined
    this.#asking = undefined
    if (this.responded) this.#cut(code)
    else if (how === 'answering') this.fail({ status: 502, body: message })
    else this.broken(message, how)
  }

  podDrained(): void {
    const owed = this.#owedToClient
    if (owed === 0) return
    this.#owedToClient = 0
    this.#client.consumed(owed)
  }

  // -- ends ---------------------------------------------------------------------------------------------------------

  /** The status is out already: the text is appended where the framing allows it, and the body ends. */
  protected override timeOutMidway(): void {
    this.dropUpstream()
    if (isGrpc(this.head)) {
      this.end(this.status)
      this.#client.end(
        { names: ['grpc-status', 'grpc-message'], values: ['4', 'request timeout'] },
        this.endedMs,
      )
    } else if (this.#client.appendable) {
      this.#client.write(Buffer.from('request timeout'))
      this.end(this.status)
      this.#client.end(undefined, this.endedMs)
    } else this.#cut(ErrorCode.internalError)
  }

  #complete(trailers: OutgoingFields | undefined): void {
    const side = this.#podSide
    this.#podSide = undefined
    // The pod does not want the rest of the request.
    if (!this.requestEnded) side?.drop()
    this.end(this.status)
    this.#client.end(trailers, this.endedMs)
  }

  #cut(code: number): void {
    this.dropUpstream()
    this.end(this.status)
    if (isGrpc(this.head) && this.clientProtocol === 'h2' && code !== ErrorCode.cancel)
      this.#client.end(
        { names: ['grpc-status', 'grpc-message'], values: ['14', 'the pod broke off its answer'] },
        this.endedMs,
      )
    else this.#client.cut(code)
  }
}
