/**
 * Hot path. One request of an HTTP/2 client: a stream of its connection. It is routed, limited and counted like any other
 * request.
 */
import type { RequestHead, ResponseHead } from '../../../lib/http1/head.ts'
import { ErrorCode } from '../../../lib/http2/error.ts'
import type {
  HeaderFields,
  Http2Stream,
  Http2StreamUser,
  OutgoingFields,
} from '../../../lib/http2/stream.ts'
import type { Revision } from '../admission/activator.ts'
import type { ClientSession } from './client-session.ts'
import type { Exchange, ExchangeContext, Requester } from '../exchange/exchange.ts'
import { addLines, grpcAnswer, isGrpc } from '../exchange/grpc-answer.ts'
import { type ClientSide, MessageExchange } from '../exchange/message-exchange.ts'
import {
  type Answer,
  type ClientIdentity,
  FieldList,
  responseList,
  trailerList,
} from '../exchange/outgoing-head.ts'
import type { Destination } from '../routing/route-table.ts'

export class ClientStream implements Http2StreamUser, ClientSide, Requester {
  readonly clientProtocol = 'h2'
  readonly identity: ClientIdentity
  readonly headMs: number
  appendable = false
  readonly #stream: Http2Stream
  readonly #head: RequestHead
  readonly #requestEnded: boolean
  #exchange: MessageExchange | undefined

  constructor(session: ClientSession, stream: Http2Stream, head: RequestHead, endStream: boolean) {
    this.identity = session.identity
    this.headMs = session.nowMs
    this.#stream = stream
    this.#head = head
    this.#requestEnded = endStream
  }

  get arrivedMs(): number {
    return this.headMs
  }

  open(
    head: RequestHead,
    revision: Revision,
    destination: Destination,
    context: ExchangeContext,
  ): Exchange {
    const exchange = new MessageExchange(
      this,
      head,
      this.#requestEnded,
      revision,
      destination,
      context,
    )
    this.#exchange = exchange
    return exchange
  }

  // -- the exchange's side ------------------------------------------------------------------------------------------

  interim(head: ResponseHead): void {
    this.#stream.informational(head.status, responseList(head, undefined, undefined))
  }

  respond(head: ResponseHead, end: boolean, exchange: MessageExchange): void {
    const { edits } = exchange
    this.appendable = head.contentLength < 0
    this.#stream.respond(
      head.status,
      responseList(
        head,
        exchange.routeEdit,
        edits.responseEdit === undefined ? undefined : edits.responseEdit(exchange, head.status),
      ),
      end,
    )
  }

  write(payload: Buffer): boolean {
    return this.#stream.write(payload)
  }

  end(trailers: OutgoingFields | undefined): void {
    this.#exchange = undefined
    this.#stream.end(trailers && trailerList(trailers))
  }

  cut(code: number): void {
    this.#exchange = undefined
    this.#stream.reset(code === ErrorCode.noError ? ErrorCode.internalError : code)
  }

  answer(answer: Answer): void {
    this.#exchange = undefined
    const stream = this.#stream
    if (isGrpc(this.#head)) {
      stream.respond(200, grpcAnswer(answer), true)
      return
    }
    const body = Buffer.from(answer.body, 'utf8')
    const list = new FieldList()
    addLines(list, answer.lines ?? '')
    list.field('content-type', 'text/plain; charset=utf-8')
    list.field('x-content-type-options', 'nosniff')
    list.field('content-length', String(body.length))
    const bare = body.length === 0 || this.#head.method === 'HEAD'
    stream.respond(answer.status, list, bare)
    if (bare) return
    stream.write(body)
    stream.end()
  }

  consumed(bytes: number): void {
    this.#stream.consumed(bytes)
  }

  // -- the stream's side --------------------------------------------------------------------------------------------

  data(bytes: Buffer, endStream: boolean): void {
    const exchange = this.#exchange
    // What an answered request still sends is nobody's.
    if (exchange === undefined) this.#stream.consumed(bytes.length)
    else if (bytes.length > 0) exchange.requestData(bytes)
    if (endStream) this.#exchange?.requestEnd(undefined)
  }

  trailers(fields: HeaderFields): void {
    this.#exchange?.requestEnd(fields)
  }

  reset(): void {
    const exchange = this.#exchange
    this.#exchange = undefined
    exchange?.abort()
  }

  writable(): void {
    this.#exchange?.clientDrained()
  }

  // Of responses: a server's stream has none.
  headers(): void {}
  informational(): void {}
}
