/**
 * Hot path. An HTTP/1 pod in a message exchange: the request goes out as a head and, where its length is not known, chunks; the
 * response is read as payload and trailers.
 */
import { Body, responseFraming } from '../../../lib/http1/body.ts'
import { findHeadEnd, parseResponseHead, type ResponseHead } from '../../../lib/http1/head.ts'
import { ErrorCode } from '../../../lib/http2/error.ts'
import type { OutgoingFields } from '../../../lib/http2/stream.ts'
import type { MessageExchange, PodSide } from '../exchange/message-exchange.ts'
import { requestText, trailerLines, writeChunk } from '../exchange/outgoing-head.ts'
import type { Upstream, UpstreamUser } from './pod.ts'
import { maxResponseFields, maxResponseHeadBytes } from './pod-limits.ts'

const tooLong = 'its head is too long'

export class PodConnectionSide implements UpstreamUser, PodSide {
  ended = false
  readonly #exchange: MessageExchange
  #upstream: Upstream | undefined
  /** The request's body goes in chunks. */
  #chunked = false
  /** Bytes of the announced length that are still to come; meaningless for chunks. */
  #left = 0
  #partial: Buffer | undefined
  #answering = false
  #interimBytes = 0
  #response: ResponseHead | undefined
  #responseBody: Body | undefined
  #paused = false

  constructor(exchange: MessageExchange) {
    this.#exchange = exchange
  }

  // -- the exchange's side ------------------------------------------------------------------------------------------

  write(payload: Buffer): boolean {
    const socket = this.#upstream?.socket
    if (socket === undefined || payload.length === 0) return true
    if (!this.#chunked) {
      this.#left -= payload.length
      // The side that counts the client's bytes ends the request; the pod must never see more than was announced.
      if (this.#left < 0) return true
      return socket.write(Buffer.from(payload))
    }
    return writeChunk(socket, payload)
  }

  end(trailers: OutgoingFields | undefined): void {
    if (this.#chunked) this.#upstream?.socket.write(`0\r\n${trailerLines(trailers)}\r\n`, 'latin1')
  }

  drop(): void {
    this.ended = true
    const upstream = this.#upstream
    this.#upstream = undefined
    upstream?.destroy()
  }

  consumed(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#upstream?.socket.resume()
  }

  // -- the connection's side ----------------------------------------------------------------------------------------

  connected(upstream: Upstream, waited: boolean): void {
    this.#upstream = upstream
    const exchange = this.#exchange
    const { head, edits } = exchange
    const bare = exchange.bare
    this.#chunked = !bare && head.contentLength < 0
    this.#left = Math.max(0, head.contentLength)
    upstream.socket.write(
      requestText(
        head,
        exchange.destination,
        exchange.client,
        edits.requestId,
        edits.requestEdit === undefined ? undefined : edits.requestEdit(exchange),
        this.#chunked,
      ),
      'latin1',
    )
    exchange.podConnected(this, bare, waited)
  }

  connectFailed(error: Error): void {
    this.#exchange.podUnreachable(error)
  }

  received(bytes: Buffer): void {
    let at = 0
    if (this.#responseBody === undefined) {
      this.#answering = true
      if (this.#partial) {
        bytes = Buffer.concat([this.#partial, bytes])
        this.#partial = undefined
      }
      try {
        at = this.#head(bytes)
      } catch (error) {
        this.drop()
        this.#exchange.podLost(
          `bad response of the pod: ${(error as Error).message}`,
          ErrorCode.internalError,
          'answering',
        )
        return
      }
      if (at < 0) return
    }
    this.#body(bytes, at)
  }

  upstreamEnded(error: Error | undefined): void {
    const upstream = this.#upstream
    const closed = this.#responseBody?.framing === 'close' && !error
    this.drop()
    if (closed) this.#exchange.podEnd(undefined)
    else
      this.#exchange.podLost(
        error ? error.message : 'the pod closed the connection without an answer',
        ErrorCode.internalError,
        this.#answering ? 'answering' : upstream?.reused === true ? 'stale' : 'lost',
      )
  }

  upstreamDrained(): void {
    this.#exchange.podDrained()
  }

  // -- the response -------------------------------------------------------------------------------------------------

  /** Reads heads; the index behind the final one, or -1 while it is not whole. Throws when it is none. */
  #head(bytes: Buffer): number {
    let at = 0
    for (;;) {
      const end = findHeadEnd(bytes, at)
      if (end < 0) {
        if (bytes.length - at > maxResponseHeadBytes) throw new Error(tooLong)
        this.#partial = Buffer.from(bytes.subarray(at))
        return -1
      }
      if (end - at > maxResponseHeadBytes) throw new Error(tooLong)
      const head = parseResponseHead(bytes, at, end, maxResponseFields)
      this.#interimBytes += end - at
      at = end
      if (head.status === 101) throw new Error('it switches protocols unasked')
      if (head.status < 200) {
        if (this.#interimBytes > maxResponseHeadBytes)
          throw new Error('its interim answers have no end')
        this.#exchange.podInterim(head)
        continue
      }
      const framing = responseFraming(head, this.#exchange.head.method)
      if (head.coded && framing === 'close')
        throw new Error('its transfer coding does not exist in HTTP/2')
      this.#response = head
      const body = new Body(framing, head.contentLength)
      body.keepTrailers = true
      this.#responseBody = body
      if (!body.done) this.#exchange.podHead(head, false)
      return at
    }
  }

  #body(bytes: Buffer, at: number): void {
    const exchange = this.#exchange
    const body = this.#responseBody!
    const bodiless = body.done
    let stop = at
    if (!bodiless) {
      try {
        stop = body.advance(bytes, at, (of, from, to) => {
          if (!this.ended) exchange.podData(of.subarray(from, to))
        })
      } catch (error) {
        this.drop()
        exchange.podLost((error as Error).message, ErrorCode.internalError, 'answering')
        return
      }
      if (this.ended) return
      if (exchange.heldByClient && !this.#paused) {
        this.#paused = true
        this.#upstream?.socket.pause()
      }
      if (!body.done) return
    }
    this.#finish(stop === bytes.length)
    if (bodiless) exchange.podHead(this.#response!, true)
    else exchange.podEnd(body.trailers)
  }

  /** Gives the connection back, if it can serve another request. `clean`: nothing came behind the response. */
  #finish(clean: boolean): void {
    this.ended = true
    const upstream = this.#upstream
    this.#upstream = undefined
    if (!upstream) return
    const { keepAlive, keepAliveSeconds } = this.#response!
    if (clean && keepAlive && this.#exchange.requestEnded && upstream.open) {
      if (this.#paused) upstream.socket.resume()
      if (keepAliveSeconds >= 0) upstream.idleMs = Math.max(0, keepAliveSeconds * 1000 - 1000)
      this.#exchange.pod!.release(upstream)
    } else upstream.destroy()
  }
}
