/**
 * Hot path. A request of an HTTP/1 client to an HTTP/1 pod: heads are rewritten, bodies pass as the buffers they came in, framing
 * included, with back-pressure both ways; upgraded connections are tunnels of raw bytes.
 */
import { Body, type Payload, responseFraming } from '../../../lib/http1/body.ts'
import {
  findHeadEnd,
  parseResponseHead,
  type RequestHead,
  type ResponseHead,
} from '../../../lib/http1/head.ts'
import type { Revision } from '../admission/activator.ts'
import type { ClientConnection, Served } from '../client/client-connection.ts'
import { Exchange, type ExchangeContext } from './exchange.ts'
import {
  type Answer,
  isEventStream,
  requestText,
  responseText,
  wantsUpgrade,
} from './outgoing-head.ts'
import type { Pod, Upstream, UpstreamUser } from '../pod/pod.ts'
import { maxResponseFields, maxResponseHeadBytes } from '../pod/pod-limits.ts'
import type { Destination } from '../routing/route-table.ts'

/** Up to here a body piece is sent in one write with its head: one copy is cheaper than a second write. */
const smallBytes = 16_384

const tooLong = 'its head is too long'

export class RawExchange extends Exchange implements Served, UpstreamUser {
  override readonly clientProtocol = 'http1'
  readonly #connection: ClientConnection
  readonly #requestBody: Body
  #upstream: Upstream | undefined
  /** Body bytes that came before there was a connection. */
  #early: Buffer[] | undefined
  /** Body bytes were sent: the request cannot be sent again. */
  #bodySent = false
  /** The start of a response head whose end is missing. */
  #partial: Buffer | undefined
  #interimBytes = 0
  #response: ResponseHead | undefined
  #responseBody: Body | undefined
  #keepAlive = true
  #upstreamPaused = false
  #clientHalfClosed = false
  #podHalfClosed = false
  #tunnelUp = 0
  #tunnelDown = 0

  constructor(
    connection: ClientConnection,
    head: RequestHead,
    requestBody: Body,
    revision: Revision,
    destination: Destination,
    context: ExchangeContext,
  ) {
    const { identity, arrivedMs, headMs } = connection
    super(head, identity, revision, destination, context, arrivedMs, headMs)
    this.#connection = connection
    this.#requestBody = requestBody
  }

  get requestBytes(): number {
    return this.#requestBody.payloadBytes + this.#tunnelUp
  }

  get responseBytes(): number {
    return (this.#responseBody?.payloadBytes ?? 0) + this.#tunnelDown
  }

  protected override get repeatable(): boolean {
    return !this.#bodySent && this.#requestBody.framing === 'none'
  }

  protected override checkout(pod: Pod, fresh: boolean): void {
    // It was granted in this very step, unless it asks again.
    pod.checkout(this, fresh, this.grantedMs)
  }

  protected override dropUpstream(): void {
    this.#early = undefined
    const upstream = this.#upstream
    this.#upstream = undefined
    upstream?.destroy()
  }

  protected override answer(answer: Answer): void {
    this.#connection.answer(answer, this.head, this.#requestBody.done && this.head.keepAlive)
  }

  // -- the client's side --------------------------------------------------------------------------------------------

  get payload(): Payload | undefined {
    const { tap } = this
    return tap && ((bytes, start, end) => tap.data(Buffer.from(bytes.subarray(start, end))))
  }

  body(bytes: Buffer): void {
    if (this.#requestBody.done) this.bodyEnded()
    const upstream = this.#upstream
    if (upstream === undefined) {
      ;(this.#early ??= []).push(Buffer.from(bytes))
      this.#connection.blockBody()
      return
    }
    this.#bodySent = true
    if (!this.#connection.pass(bytes, upstream.socket)) this.#connection.blockBody()
  }

  tunnel(bytes: Buffer): void {
    this.#tunnelUp += bytes.length
    this.tunnelled()
    if (this.#upstream && !this.#connection.pass(bytes, this.#upstream.socket))
      this.#connection.blockBody()
  }

  tunnelEnded(): void {
    this.#clientHalfClosed = true
    this.#upstream?.socket.end()
    if (this.#podHalfClosed) this.#endTunnel()
  }

  badBody(answer: Answer): void {
    if (this.responded) {
      this.abort()
      this.#connection.destroy()
    } else this.fail(answer)
  }

  clientDrained(): void {
    if (!this.#upstreamPaused) return
    this.#upstreamPaused = false
    this.#upstream?.socket.resume()
  }

  // -- the pod's side -----------------------------------------------------------------------------------------------

  connected(upstream: Upstream, waited: boolean): void {
    this.#upstream = upstream
    if (waited) this.forwarded()
    const { context } = this
    const text = requestText(
      this.head,
      this.destination,
      this.client,
      context.requestId,
      context.requestEdit === undefined ? undefined : context.requestEdit(this),
      this.head.chunked,
    )
    const early = this.#early
    let roomy: boolean
    if (early === undefined) roomy = upstream.socket.write(text, 'latin1')
    else {
      this.#early = undefined
      this.#bodySent = true
      const bytes = early.length === 1 ? early[0]! : Buffer.concat(early)
      if (bytes.length <= smallBytes)
        roomy = upstream.socket.write(text + bytes.toString('latin1'), 'latin1')
      else {
        upstream.socket.write(text, 'latin1')
        roomy = upstream.socket.write(bytes)
      }
    }
    if (roomy) this.#connection.unblockBody()
    else this.#connection.blockBody()
  }

  received(bytes: Buffer): void {
    if (this.tunnelling) {
      this.#tunnelDown += bytes.length
      this.tunnelled()
      this.#toClient(bytes)
      return
    }
    let at = 0
    let text = ''
    let nowMs = -1
    if (!this.responded) {
      if (this.answeredMs < 0) nowMs = this.answered()
      if (this.#partial) {
        bytes = Buffer.concat([this.#partial, bytes])
        this.#partial = undefined
      }
      try {
        for (;;) {
          const end = findHeadEnd(bytes, at)
          if (end < 0) {
            if (bytes.length - at > maxResponseHeadBytes) throw new Error(tooLong)
            this.#partial = Buffer.from(bytes.subarray(at))
            return
          }
          const start = at
          if (end - start > maxResponseHeadBytes) throw new Error(tooLong)
          const head = parseResponseHead(bytes, start, end, maxResponseFields)
          at = end
          if (head.status === 101) {
            this.#switchProtocols(head, bytes.subarray(at))
            return
          }
          if (head.status >= 200) {
            text = this.#begin(head)
            break
          }
          this.#interimBytes += end - start
          if (this.#interimBytes > maxResponseHeadBytes)
            throw new Error('its interim answers have no end')
          if (this.head.minor === 1)
            this.#connection.socket.write(
              responseText(head, { clientMinor: 1, keepAlive: true, upgrade: false }),
              'latin1',
            )
        }
      } catch (error) {
        this.fail({ status: 502, body: `bad response of the pod: ${(error as Error).message}` })
        return
      }
    }
    this.#pass(text, bytes, at, nowMs)
  }

  upstreamEnded(error: Error | undefined): void {
    if (this.ended) return
    if (this.tunnelling) {
      if (error) {
        this.#upstream = undefined
        this.end(101)
        this.#connection.destroy()
        return
      }
      this.#podHalfClosed = true
      this.#connection.socket.end()
      if (this.#clientHalfClosed) this.#endTunnel()
      return
    }
    const upstream = this.#upstream
    if (!this.responded) {
      const message = error ? error.message : 'the pod closed the connection without an answer'
      upstream?.destroy()
      this.#upstream = undefined
      if (this.answeredMs >= 0) this.fail({ status: 502, body: message })
      else this.broken(message, upstream?.reused === true ? 'stale' : 'lost')
    } else if (this.#responseBody?.framing === 'close' && !error) {
      upstream?.destroy()
      this.#upstream = undefined
      this.#complete()
    } else this.#cut()
  }

  upstreamDrained(): void {
    this.#connection.unblockBody()
  }

  // -- the response -------------------------------------------------------------------------------------------------

  /** Takes the final response head; answers the text that goes to the client. */
  #begin(head: ResponseHead): string {
    const { head: client, context } = this
    this.begin(head.status)
    if (context.longLivedStreams !== undefined || this.revision.target.longLivedStreams === true)
      this.longLived = isEventStream(head)
    this.#response = head
    const framing = responseFraming(head, client.method)
    this.#responseBody = new Body(framing, head.contentLength)
    this.#keepAlive =
      client.keepAlive &&
      framing !== 'close' &&
      !(framing === 'chunked' && client.minor === 0) &&
      this.#requestBody.done &&
      !context.stopping
    return responseText(
      head,
      { clientMinor: client.minor, keepAlive: this.#keepAlive, upgrade: false },
      this.routeEdit,
      context.responseEdit === undefined ? undefined : context.responseEdit(this, head.status),
    )
  }

  /** Passes what belongs to the body, behind `text` when the head goes with it. `nowMs`: if it is known, else -1. */
  #pass(text: string, bytes: Buffer, at: number, nowMs: number): void {
    const body = this.#responseBody!
    let stop: number
    try {
      if (body.framing === 'chunked' && this.head.minor === 0) {
        if (text !== '') this.#connection.socket.write(text, 'latin1')
        stop = body.advance(bytes, at, (chunk, start, end) =>
          this.#toClient(chunk.subarray(start, end), nowMs),
        )
      } else {
        stop = body.advance(bytes, at)
        const size = stop - at
        if (size <= smallBytes) {
          if (size > 0) text += bytes.toString('latin1', at, stop)
          if (text !== '') this.#toClient(text, nowMs)
        } else {
          if (text !== '') this.#connection.socket.write(text, 'latin1')
          this.#toClient(bytes.subarray(at, stop), nowMs)
        }
      }
    } catch {
      this.#cut()
      return
    }
    if (!body.done) return
    const upstream = this.#upstream
    this.#upstream = undefined
    if (upstream) {
      const { keepAlive, keepAliveSeconds } = this.#response!
      if (keepAlive && stop === bytes.length && this.#requestBody.done && upstream.open) {
        if (this.#upstreamPaused) upstream.socket.resume()
        this.#upstreamPaused = false
        if (keepAliveSeconds >= 0) upstream.idleMs = Math.max(0, keepAliveSeconds * 1000 - 1000)
        this.pod!.release(upstream, nowMs)
      } else upstream.destroy()
    }
    this.#complete(nowMs)
  }

  /** Buffers may be used again afterwards. */
  #toClient(data: string | Buffer, nowMs = -1): void {
    const { socket } = this.#connection
    const upstream = this.#upstream
    const roomy =
      typeof data === 'string'
        ? socket.write(data, 'latin1')
        : upstream
          ? upstream.reader.pass(data, socket)
          : socket.write(Buffer.from(data))
    if (!this.tunnelling) this.wrote(nowMs)
    if (roomy || this.#upstreamPaused) return
    this.#upstreamPaused = true
    this.#upstream?.socket.pause()
  }

  #switchProtocols(head: ResponseHead, rest: Buffer): void {
    if (!wantsUpgrade(this.head)) throw new Error('it switches protocols unasked')
    const asked = this.head.upgrade.toLowerCase().split(/[ \t]*,[ \t]*/)
    if (!asked.includes(head.upgrade.toLowerCase()))
      throw new Error(`it switches to "${head.upgrade}", and "${this.head.upgrade}" was asked for`)
    this.begin(101)
    this.#response = head
    this.tunnelling = true
    this.longLived = true
    this.#keepAlive = false
    this.#connection.socket.write(
      responseText(
        head,
        { clientMinor: 1, keepAlive: true, upgrade: true },
        this.routeEdit,
        this.context.responseEdit === undefined ? undefined : this.context.responseEdit(this, 101),
      ),
      'latin1',
    )
    if (rest.length > 0) {
      this.#tunnelDown += rest.length
      this.#toClient(rest)
    }
    this.#connection.startTunnel()
  }

  // -- ends ---------------------------------------------------------------------------------------------------------

  /** The status is out already: the text is appended where the framing allows it, and the body ends. */
  protected override timeOutMidway(): void {
    if (this.tunnelling) {
      this.abort()
      this.#connection.destroy()
      return
    }
    const text = 'request timeout'
    const { socket } = this.#connection
    const chunks = this.#responseBody?.framing === 'chunked' && this.#responseBody.betweenChunks
    this.dropUpstream()
    if (this.#responseBody?.framing === 'close' || (chunks && this.head.minor === 0)) {
      socket.write(text, 'latin1')
      this.#keepAlive = false
      this.#complete()
    } else if (chunks) {
      socket.write(`${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`, 'latin1')
      this.#complete()
    } else this.#cut()
  }

  /** The response cannot be finished: the client must see that it is not whole. */
  #cut(): void {
    if (this.ended) return
    this.dropUpstream()
    this.end(this.status)
    if (this.#responseBody?.framing === 'close') this.#connection.socket.resetAndDestroy()
    else this.#connection.destroy()
  }

  #complete(nowMs = -1): void {
    this.end(this.status, nowMs)
    this.#connection.completed(this.#keepAlive && this.#requestBody.done, this.endedMs)
  }

  /** Both sides have ended: what is still buffered is sent, then the sockets close by themselves. */
  #endTunnel(): void {
    const upstream = this.#upstream
    this.#upstream = undefined
    if (upstream) {
      upstream.user = undefined
      upstream.idle()
    }
    this.end(101)
    this.#connection.completed(false, this.endedMs)
  }
}
