/** Hot path. An HTTP/2 pod in a message exchange: one stream of one of its connections. */
import type { ResponseHead } from '../../../lib/http1/head.ts'
import { ErrorCode, errorName } from '../../../lib/http2/error.ts'
import type {
  HeaderFields,
  Http2Stream,
  Http2StreamUser,
  OutgoingFields,
} from '../../../lib/http2/stream.ts'
import type { MessageExchange, PodSide } from '../exchange/message-exchange.ts'
import { requestList, targetFor, trailerList } from '../exchange/outgoing-head.ts'
import type { PodSession, SessionUser } from './pod-session.ts'

export class PodStreamSide implements SessionUser, Http2StreamUser, PodSide {
  ended = false
  readonly #exchange: MessageExchange
  #stream: Http2Stream | undefined
  /** The connection had served others before. */
  #reused = false
  #answering = false
  /** The head of the final response. */
  #response: ResponseHead | undefined

  constructor(exchange: MessageExchange) {
    this.#exchange = exchange
  }

  // -- the exchange's side ------------------------------------------------------------------------------------------

  write(payload: Buffer): boolean {
    return this.#stream === undefined || this.#stream.write(payload)
  }

  end(trailers: OutgoingFields | undefined): void {
    this.#stream?.end(trailers && trailerList(trailers))
  }

  drop(): void {
    this.ended = true
    const stream = this.#stream
    this.#stream = undefined
    stream?.reset(ErrorCode.cancel)
  }

  consumed(bytes: number): void {
    this.#stream?.consumed(bytes)
  }

  // -- the session's side -------------------------------------------------------------------------------------------

  ready(session: PodSession, waited: boolean): void {
    const exchange = this.#exchange
    const { head, destination, edits } = exchange
    const bare = exchange.bare
    this.#reused = session.reused
    this.#stream = session.connection.request(
      {
        method: head.method,
        scheme: 'http',
        authority: destination.host ?? head.host,
        path: targetFor(head, destination),
      },
      requestList(
        head,
        destination,
        exchange.client,
        edits.requestId,
        edits.requestEdit === undefined ? undefined : edits.requestEdit(exchange),
      ),
      bare,
      this,
    )
    exchange.podConnected(this, bare, waited)
  }

  connectFailed(error: Error): void {
    this.#exchange.podUnreachable(error)
  }

  // -- the stream's side --------------------------------------------------------------------------------------------

  headers(head: ResponseHead, endStream: boolean): void {
    this.#answering = true
    this.#response = head
    if (endStream) this.#finish()
    this.#exchange.podHead(head, endStream)
  }

  informational(head: ResponseHead): void {
    this.#answering = true
    this.#exchange.podInterim(head)
  }

  data(bytes: Buffer, endStream: boolean): void {
    if (bytes.length > 0) this.#exchange.podData(bytes)
    if (!endStream || this.ended) return
    this.#finish()
    this.#exchange.podEnd(undefined)
  }

  trailers(fields: HeaderFields): void {
    this.#finish()
    this.#exchange.podEnd(fields)
  }

  reset(code: number, error: Error): void {
    this.ended = true
    this.#stream = undefined
    // A node:http2 server that never reads the request says NO_ERROR in place of END_STREAM when all is sent.
    if (code === ErrorCode.noError && this.#response !== undefined) {
      const { contentLength } = this.#response
      if (contentLength < 0 || contentLength === this.#exchange.responseBytes) {
        this.#exchange.podEnd(undefined)
        return
      }
    }
    const how =
      code === ErrorCode.refusedStream
        ? 'unseen'
        : this.#answering
          ? 'answering'
          : this.#reused
            ? 'stale'
            : 'lost'
    this.#exchange.podLost(`${error.message} (${errorName(code)})`, code, how)
  }

  writable(): void {
    this.#exchange.podDrained()
  }

  /** The response is whole. When the request is not, the pod does not want the rest. */
  #finish(): void {
    if (this.#exchange.requestEnded) {
      this.ended = true
      this.#stream = undefined
    }
  }
}
