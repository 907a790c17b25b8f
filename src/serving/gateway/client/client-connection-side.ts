/**
 * An HTTP/1 client in a message exchange (its pod speaks HTTP/2): the payload of its body is taken out of the framing, the
 * response gets one.
 */
import type { Body, Payload } from '../../../lib/http1/body.ts'
import { Field } from '../../../lib/http1/fields.ts'
import type { RequestHead, ResponseHead } from '../../../lib/http1/head.ts'
import type { OutgoingFields } from '../../../lib/http2/stream.ts'
import type { Revision } from '../admission/activator.ts'
import type { ClientConnection, Served } from './client-connection.ts'
import type { ExchangeContext } from '../exchange/exchange.ts'
import { type ClientSide, MessageExchange } from '../exchange/message-exchange.ts'
import {
  type Answer,
  type ClientIdentity,
  responseText,
  trailerLines,
  writeChunk,
} from '../exchange/outgoing-head.ts'
import type { Destination } from '../routing/route-table.ts'

export class ClientConnectionSide implements ClientSide, Served {
  readonly clientProtocol = 'http1'
  readonly tunnelling = false
  readonly identity: ClientIdentity
  readonly arrivedMs: number
  readonly headMs: number
  readonly exchange: MessageExchange
  readonly payload: Payload
  appendable = false
  readonly #connection: ClientConnection
  readonly #head: RequestHead
  readonly #requestBody: Body
  /** The response goes in chunks; it ends with the connection; it has no body at all. */
  #framing: 'length' | 'chunked' | 'close' | 'none' = 'length'
  #keepAlive = true

  constructor(
    connection: ClientConnection,
    head: RequestHead,
    requestBody: Body,
    revision: Revision,
    destination: Destination,
    context: ExchangeContext,
  ) {
    this.identity = connection.identity
    this.arrivedMs = connection.arrivedMs
    this.headMs = connection.headMs
    this.#connection = connection
    this.#head = head
    this.#requestBody = requestBody
    requestBody.keepTrailers = true
    const exchange = new MessageExchange(
      this,
      head,
      requestBody.done,
      revision,
      destination,
      context,
    )
    this.exchange = exchange
    this.payload = (bytes, start, end) => exchange.requestData(bytes.subarray(start, end))
  }

  // -- the connection's side ----------------------------------------------------------------------------------------

  get ended(): boolean {
    return this.exchange.ended
  }

  start(): void {
    this.exchange.start()
  }

  body(): void {
    if (this.#requestBody.done) this.exchange.requestEnd(this.#requestBody.trailers)
    else if (this.exchange.holding) this.#connection.blockBody()
  }

  badBody(answer: Answer): void {
    this.exchange.badRequest(answer)
  }

  clientDrained(): void {
    this.exchange.clientDrained()
  }

  abort(): void {
    this.exchange.abort()
  }

  tunnel(): void {}
  tunnelEnded(): void {}

  // -- the exchange's side ------------------------------------------------------------------------------------------

  interim(head: ResponseHead): void {
    if (this.#head.minor === 1)
      this.#connection.socket.write(
        responseText(head, { clientMinor: 1, keepAlive: true, upgrade: false }),
        'latin1',
      )
  }

  respond(head: ResponseHead, end: boolean, exchange: MessageExchange): void {
    const { minor, keepAlive, method } = this.#head
    const { edits } = exchange
    const { status } = head
    const bodiless = method === 'HEAD' || status === 204 || status === 304
    if (bodiless) this.#framing = 'none'
    else if (head.contentLength >= 0) this.#framing = 'length'
    else this.#framing = minor === 1 ? 'chunked' : 'close'
    this.appendable = this.#framing === 'chunked' || this.#framing === 'close'
    this.#keepAlive =
      keepAlive && this.#framing !== 'close' && this.#requestBody.done && !edits.stopping
    // A body that is over before it began needs no chunks.
    const empty = end && !bodiless && head.contentLength < 0
    if (empty) {
      this.#framing = 'none'
      head = withLength(head, 0)
    }
    this.#connection.socket.write(
      responseText(
        head,
        {
          clientMinor: minor,
          keepAlive: this.#keepAlive,
          upgrade: false,
          chunked: this.#framing === 'chunked',
        },
        exchange.routeEdit,
        edits.responseEdit === undefined ? undefined : edits.responseEdit(exchange, status),
      ),
      'latin1',
    )
  }

  write(payload: Buffer): boolean {
    if (payload.length === 0 || this.#framing === 'none') return true
    const { socket } = this.#connection
    if (this.#framing !== 'chunked') return socket.write(Buffer.from(payload))
    return writeChunk(socket, payload)
  }

  end(trailers: OutgoingFields | undefined, endedMs: number): void {
    if (this.#framing === 'chunked')
      this.#connection.socket.write(`0\r\n${trailerLines(trailers)}\r\n`, 'latin1')
    this.#connection.completed(this.#keepAlive && this.#requestBody.done, endedMs)
  }

  cut(): void {
    if (this.#framing === 'close') this.#connection.socket.resetAndDestroy()
    else this.#connection.destroy()
  }

  answer(answer: Answer): void {
    this.#connection.answer(answer, this.#head, this.#requestBody.done && this.#head.keepAlive)
  }

  consumed(): void {
    this.#connection.unblockBody()
  }
}

/** The head with a Content-Length that says so. */
const withLength = (head: ResponseHead, length: number): ResponseHead => ({
  ...head,
  names: [...head.names, 'content-length'],
  values: [...head.values, String(length)],
  ids: [...head.ids, Field.contentLength],
  contentLength: length,
})
