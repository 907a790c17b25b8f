/**
 * Copies of requests for other destinations (HTTPRoute's RequestMirror): each is a request of its own that wakes, waits
 * and is counted like any other, and whose answer is thrown away. It never holds up the request it copies: a copy that
 * cannot be sent as fast as the original comes in is given up, its connection with it. Not copied: requests to upgrade
 * a connection, and the trailers of a body.
 */
import type { RequestHead } from '../../../lib/http1/head.ts'
import type { Revision } from '../admission/activator.ts'
import type { Destination, MirrorRule } from './destination.ts'
import type { Exchange, ExchangeContext, RequestTap } from '../exchange/exchange.ts'
import { type ClientSide, MessageExchange } from '../exchange/message-exchange.ts'
import { type ClientIdentity, wantsUpgrade } from '../exchange/outgoing-head.ts'

/** Copies on their way at once; further ones are not made. */
const maxCopies = 512
/** Body bytes of one copy that may wait to be sent. */
const maxWaitingBytes = 65_536

export interface MirrorTarget {
  readonly revision: Revision
  readonly destination: Destination
}

type FindTarget = (
  to: Destination,
  head: RequestHead,
  scheme: ClientIdentity['scheme'],
) => MirrorTarget | undefined

export class Mirrors {
  readonly #context: ExchangeContext
  readonly #find: FindTarget
  #copies = 0

  /** `find` says where a copy goes; undefined = nowhere now. */
  constructor(context: ExchangeContext, find: FindTarget) {
    this.#context = context
    this.#find = find
  }

  /** Copies on their way. */
  get copies(): number {
    return this.#copies
  }

  /** Copies the request of `exchange`, which has not started yet, as the rules say. */
  start(exchange: Exchange, rules: readonly MirrorRule[]): void {
    if (wantsUpgrade(exchange.head)) return
    for (const rule of rules) {
      if (!isDue(rule) || this.#copies >= maxCopies) continue
      const target = this.#find(rule.to, exchange.head, exchange.client.scheme)
      if (target === undefined) continue
      const { revision, destination } = target
      if (revision.target.kind === 'service' && !revision.ready) continue
      this.#copies++
      const copy = new Copy(exchange, revision, destination, this.#context, () => {
        this.#copies--
      })
      const tap = new CopyTap(copy)
      exchange.tap = exchange.tap === undefined ? tap : new TwoTaps(exchange.tap, tap)
      // Behind the original, should both want the same slot.
      queueMicrotask(() => copy.start())
    }
  }
}

/** Every request counts, and exactly `percent` of a hundred are due, evenly spread. */
function isDue(rule: MirrorRule): boolean {
  const was = Math.floor((rule.seen * rule.percent) / 100)
  rule.seen++
  return Math.floor((rule.seen * rule.percent) / 100) > was
}

class TwoTaps implements RequestTap {
  readonly #one: RequestTap
  readonly #other: RequestTap

  constructor(one: RequestTap, other: RequestTap) {
    this.#one = one
    this.#other = other
  }

  data(payload: Buffer): void {
    this.#one.data(payload)
    this.#other.data(payload)
  }

  end(): void {
    this.#one.end()
    this.#other.end()
  }

  abort(): void {
    this.#one.abort()
    this.#other.abort()
  }
}

class CopyTap implements RequestTap {
  readonly #copy: Copy

  constructor(copy: Copy) {
    this.#copy = copy
  }

  data(payload: Buffer): void {
    this.#copy.take(payload)
  }

  end(): void {
    this.#copy.requestEnd(undefined)
  }

  /** The original ended before its body did: what the copy has of it is not a request. */
  abort(): void {
    if (!this.#copy.requestEnded) this.#copy.abort()
  }
}

/** The client of a copy: takes everything and does nothing with it. */
class Nobody implements ClientSide {
  readonly identity: ClientIdentity
  readonly clientProtocol: 'http1' | 'h2'
  readonly arrivedMs: number
  readonly headMs: number
  readonly appendable = false
  /** Payload of the request that the pod has not taken yet. */
  waitingBytes = 0

  constructor({ client, clientProtocol, arrivedMs }: Exchange, nowMs: number) {
    this.identity = client
    this.clientProtocol = clientProtocol
    this.arrivedMs = arrivedMs
    this.headMs = nowMs
  }

  consumed(bytes: number): void {
    this.waitingBytes -= bytes
  }

  write(): boolean {
    return true
  }

  interim(): void {}
  respond(): void {}
  end(): void {}
  cut(): void {}
  answer(): void {}
}

class Copy extends MessageExchange {
  readonly #nobody: Nobody
  readonly #left: () => void
  #started = false

  constructor(
    original: Exchange,
    revision: Revision,
    destination: Destination,
    context: ExchangeContext,
    left: () => void,
  ) {
    const { head } = original
    const nobody = new Nobody(original, context.clock.monotonic())
    const bodiless =
      original instanceof MessageExchange
        ? original.requestEnded
        : !head.chunked && head.contentLength <= 0
    super(nobody, head, bodiless, revision, destination, context)
    this.#nobody = nobody
    this.#left = left
  }

  override start(): void {
    if (this.ended) return
    this.#started = true
    super.start()
  }

  take(payload: Buffer): void {
    if (this.ended || payload.length === 0) return
    this.#nobody.waitingBytes += payload.length
    this.requestData(payload)
    if (this.#nobody.waitingBytes > maxWaitingBytes) this.abort()
  }

  protected override end(status: number): void {
    if (this.ended) return
    // What has not started is counted nowhere.
    if (this.#started) super.end(status)
    else this.ended = true
    this.#left()
  }
}
