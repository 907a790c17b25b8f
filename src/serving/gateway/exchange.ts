/**
 * Hot path. One request's life: wait for a slot, get a connection, pass the request on and the response back as the buffers they
 * came in, with back-pressure both ways, within the revision's three timeouts (contracts/serving.md 4.5).
 */
import { Body, responseFraming } from '../../lib/http1/body.ts'
import {
  findHeadEnd,
  parseResponseHead,
  type RequestHead,
  type ResponseHead,
} from '../../lib/http1/head.ts'
import type { Claimant, Revision } from './activator.ts'
import type { WaitQueue, Waiter } from './breaker.ts'
import type { ClientConnection } from './client-connection.ts'
import { Deadline } from './deadlines.ts'
import { type Answer, requestText, responseText, wantsUpgrade } from './outgoing-head.ts'
import type { Pod, Upstream, UpstreamContext, UpstreamUser } from './pod.ts'
import type { Destination } from './route-table.ts'

/** What all exchanges share. */
export interface ExchangeContext extends UpstreamContext {
  readonly requestId: () => string
  /** True while the gateway finishes what is in flight: connections close after their response. */
  readonly stopping: boolean
  /** A request was turned away because too many wait. */
  rejected(): void
}

/** How long connections of one request may be refused before it is told so. */
const patienceMs = 5000
const maxResponseHeadBytes = 262_144
const maxResponseFields = 1000
/** Up to here a body piece is sent in one write with its head: one copy is cheaper than a second write. */
const smallBytes = 16_384

const idempotent = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE'])

export class Exchange extends Deadline implements Claimant, UpstreamUser {
  queue: WaitQueue | undefined
  ahead: Waiter | undefined
  behind: Waiter | undefined
  /** Nothing more happens here. */
  ended = false
  /** Both directions are raw bytes now. */
  tunnelling = false
  readonly #client: ClientConnection
  readonly #head: RequestHead
  readonly #requestBody: Body
  readonly #revision: Revision
  readonly #destination: Destination
  readonly #context: ExchangeContext
  readonly #startMs: number
  #lastWriteMs: number
  #pod: Pod | undefined
  #upstream: Upstream | undefined
  /** Body bytes that came before there was a connection. */
  #early: Buffer[] | undefined
  /** Body bytes were sent: the request cannot be sent again. */
  #bodySent = false
  #fresh = false
  #refusedSinceMs = -1
  /** The start of a response head whose end is missing. */
  #partial: Buffer | undefined
  #response: ResponseHead | undefined
  #responseBody: Body | undefined
  #keepAlive = true
  #upstreamPaused = false
  #clientHalfClosed = false
  #podHalfClosed = false

  constructor(
    client: ClientConnection,
    head: RequestHead,
    requestBody: Body,
    revision: Revision,
    destination: Destination,
    context: ExchangeContext,
  ) {
    super()
    this.#client = client
    this.#head = head
    this.#requestBody = requestBody
    this.#revision = revision
    this.#destination = destination
    this.#context = context
    this.#startMs = context.clock.monotonic()
    this.#lastWriteMs = this.#startMs
  }

  /** The head of the response has gone to the client. */
  get started(): boolean {
    return this.#response !== undefined
  }

  start(): void {
    this.#revision.meter.start(this.#startMs)
    this.#context.deadlines.set(this, this.#dueMs())
    const pod = this.#revision.acquire(this)
    if (pod === 'full') {
      this.#context.rejected()
      this.#fail({ status: 503, body: 'pending request queue full', lines: 'Retry-After: 1\r\n' })
    } else if (pod) this.granted(pod)
  }

  granted(pod: Pod): void {
    this.#pod = pod
    pod.checkout(this, this.#fresh)
  }

  revisionGone(): void {
    const [, name] = this.#revision.target.key.split('/')
    this.#fail(revisionNotFound(name ?? ''))
  }

  // -- the client's side --------------------------------------------------------------------------------------------

  /** A piece of the request's body, framing included. */
  body(bytes: Buffer): void {
    const upstream = this.#upstream
    if (upstream === undefined) {
      ;(this.#early ??= []).push(bytes)
      this.#client.blockBody()
      return
    }
    this.#bodySent = true
    if (!upstream.socket.write(bytes)) this.#client.blockBody()
  }

  /** Bytes for the tunnel. */
  tunnel(bytes: Buffer): void {
    if (this.#upstream && !this.#upstream.socket.write(bytes)) this.#client.blockBody()
  }

  /** The client has ended its side of a tunnel. */
  tunnelEnded(): void {
    this.#clientHalfClosed = true
    this.#upstream?.socket.end()
    if (this.#podHalfClosed) this.#endTunnel()
  }

  /** The client is gone. */
  abort(): void {
    if (this.ended) return
    this.#upstream?.destroy()
    this.#upstream = undefined
    this.#end(this.tunnelling ? 101 : (this.#response?.status ?? 500))
  }

  /** The client's body is not HTTP. The pod must not take what came so far for a whole request. */
  badBody(answer: Answer): void {
    if (this.#response) {
      this.abort()
      this.#client.destroy()
    } else this.#fail(answer)
  }

  clientDrained(): void {
    if (!this.#upstreamPaused) return
    this.#upstreamPaused = false
    this.#upstream?.socket.resume()
  }

  // -- the pod's side -----------------------------------------------------------------------------------------------

  connected(upstream: Upstream): void {
    this.#upstream = upstream
    const text = requestText(
      this.#head,
      this.#destination,
      this.#client.identity,
      this.#context.requestId,
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
    if (roomy) this.#client.unblockBody()
    else this.#client.blockBody()
  }

  connectFailed(error: Error): void {
    const pod = this.#pod!
    this.#pod = undefined
    const nowMs = this.#context.clock.monotonic()
    if (!this.#revision.ready || this.#refusedSinceMs < 0) this.#refusedSinceMs = nowMs
    if (nowMs - this.#refusedSinceMs > patienceMs || this.#revision.gone) {
      this.#pod = pod
      this.#fail({ status: 502, body: error.message })
    } else this.#revision.refused(this, pod)
  }

  received(bytes: Buffer): void {
    if (this.tunnelling) {
      this.#toClient(Buffer.from(bytes))
      return
    }
    let at = 0
    let text = ''
    if (this.#response === undefined) {
      if (this.#partial) {
        bytes = Buffer.concat([this.#partial, bytes])
        this.#partial = undefined
      }
      try {
        for (;;) {
          const end = findHeadEnd(bytes, at)
          if (end < 0) {
            if (bytes.length - at > maxResponseHeadBytes) throw new Error('its head is too long')
            this.#partial = Buffer.from(bytes.subarray(at))
            return
          }
          const head = parseResponseHead(bytes, at, end, maxResponseFields)
          at = end
          if (head.status === 101) {
            this.#switchProtocols(head, bytes.subarray(at))
            return
          }
          if (head.status >= 200) {
            text = this.#begin(head)
            break
          }
          if (this.#head.minor === 1)
            this.#client.socket.write(
              responseText(head, { clientMinor: 1, keepAlive: true, upgrade: false }),
              'latin1',
            )
        }
      } catch (error) {
        this.#fail({ status: 502, body: `bad response of the pod: ${(error as Error).message}` })
        return
      }
    }
    this.#pass(text, bytes, at)
  }

  upstreamEnded(error: Error | undefined): void {
    if (this.ended) return
    if (this.tunnelling) {
      if (error) {
        this.#upstream = undefined
        this.#end(101)
        this.#client.destroy()
        return
      }
      this.#podHalfClosed = true
      this.#client.socket.end()
      if (this.#clientHalfClosed) this.#endTunnel()
      return
    }
    const upstream = this.#upstream
    if (this.#response === undefined) {
      const retry =
        upstream?.reused === true &&
        !this.#bodySent &&
        this.#partial === undefined &&
        this.#requestBody.framing === 'none' &&
        idempotent.has(this.#head.method)
      upstream?.destroy()
      this.#upstream = undefined
      if (retry && this.#pod) {
        // The pod closed a resting connection at the moment we used it. Once, and on a new connection.
        this.#fresh = true
        this.#pod.checkout(this, true)
      } else
        this.#fail({
          status: 502,
          body: error ? error.message : 'the pod closed the connection without an answer',
        })
    } else if (this.#responseBody?.framing === 'close' && !error) {
      upstream?.destroy()
      this.#upstream = undefined
      this.#complete()
    } else this.#cut()
  }

  upstreamDrained(): void {
    this.#client.unblockBody()
  }

  // -- time ---------------------------------------------------------------------------------------------------------

  override expire(nowMs: number): void {
    if (nowMs < this.#dueMs()) {
      this.#context.deadlines.set(this, this.#dueMs())
      return
    }
    if (this.tunnelling) {
      this.abort()
      this.#client.destroy()
    } else if (this.#response === undefined) {
      const body = this.#pod ? 'request timeout' : 'activator request timeout'
      this.#fail({ status: 504, body })
    } else this.#timeOutMidway()
  }

  #dueMs(): number {
    const { timeoutMs, responseStartTimeoutMs, idleTimeoutMs } = this.#revision.target
    let dueMs = this.#startMs + timeoutMs
    if (responseStartTimeoutMs > 0 && this.#response === undefined)
      dueMs = Math.min(dueMs, this.#startMs + responseStartTimeoutMs)
    if (idleTimeoutMs > 0) dueMs = Math.min(dueMs, this.#lastWriteMs + idleTimeoutMs)
    return dueMs
  }

  /** The status is out already: the text is appended where the framing allows it, and the body ends. */
  #timeOutMidway(): void {
    const text = 'request timeout'
    const { socket } = this.#client
    const chunks = this.#responseBody?.framing === 'chunked' && this.#responseBody.betweenChunks
    this.#upstream?.destroy()
    this.#upstream = undefined
    if (this.#responseBody?.framing === 'close' || (chunks && this.#head.minor === 0)) {
      socket.write(text, 'latin1')
      this.#keepAlive = false
      this.#complete()
    } else if (chunks) {
      socket.write(`${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`, 'latin1')
      this.#complete()
    } else this.#cut()
  }

  // -- the response -------------------------------------------------------------------------------------------------

  /** Takes the final response head; answers the text that goes to the client. */
  #begin(head: ResponseHead): string {
    const client = this.#head
    this.#response = head
    const framing = responseFraming(head, client.method)
    this.#responseBody = new Body(framing, head.contentLength)
    this.#keepAlive =
      client.keepAlive &&
      framing !== 'close' &&
      !(framing === 'chunked' && client.minor === 0) &&
      this.#requestBody.done &&
      !this.#context.stopping
    return responseText(head, {
      clientMinor: client.minor,
      keepAlive: this.#keepAlive,
      upgrade: false,
    })
  }

  /** Passes what belongs to the body, behind `text` when the head goes with it. */
  #pass(text: string, bytes: Buffer, at: number): void {
    const body = this.#responseBody!
    let stop: number
    try {
      if (body.framing === 'chunked' && this.#head.minor === 0) {
        if (text !== '') this.#client.socket.write(text, 'latin1')
        stop = body.advance(bytes, at, (chunk, start, end) =>
          this.#toClient(Buffer.from(chunk.subarray(start, end))),
        )
      } else {
        stop = body.advance(bytes, at)
        const size = stop - at
        if (size <= smallBytes) {
          if (size > 0) text += bytes.toString('latin1', at, stop)
          if (text !== '') this.#toClient(text)
        } else {
          if (text !== '') this.#client.socket.write(text, 'latin1')
          this.#toClient(Buffer.from(bytes.subarray(at, stop)))
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
        this.#pod!.release(upstream)
      } else upstream.destroy()
    }
    this.#complete()
  }

  #toClient(data: string | Buffer): void {
    const { socket } = this.#client
    const roomy = typeof data === 'string' ? socket.write(data, 'latin1') : socket.write(data)
    if (this.#revision.target.idleTimeoutMs > 0) this.#lastWriteMs = this.#context.clock.monotonic()
    if (roomy || this.#upstreamPaused) return
    this.#upstreamPaused = true
    this.#upstream?.socket.pause()
  }

  #switchProtocols(head: ResponseHead, rest: Buffer): void {
    if (!wantsUpgrade(this.#head)) throw new Error('it switches protocols unasked')
    this.#response = head
    this.tunnelling = true
    this.#keepAlive = false
    this.#client.socket.write(
      responseText(head, { clientMinor: 1, keepAlive: true, upgrade: true }),
      'latin1',
    )
    if (rest.length > 0) this.#toClient(Buffer.from(rest))
    this.#client.startTunnel()
  }

  // -- ends ---------------------------------------------------------------------------------------------------------

  /** Answers in the pod's place; only while nothing has gone to the client. */
  #fail(answer: Answer): void {
    if (this.ended) return
    this.#upstream?.destroy()
    this.#upstream = undefined
    this.#end(answer.status)
    this.#client.answer(answer, this.#head, this.#requestBody.done && this.#head.keepAlive)
  }

  /** The response cannot be finished: the client must see that it is not whole. */
  #cut(): void {
    if (this.ended) return
    this.#upstream?.destroy()
    this.#upstream = undefined
    this.#end(this.#response?.status ?? 502)
    if (this.#responseBody?.framing === 'close') this.#client.socket.resetAndDestroy()
    else this.#client.destroy()
  }

  #complete(): void {
    this.#end(this.#response?.status ?? 500)
    this.#client.completed(this.#keepAlive && this.#requestBody.done)
  }

  /** Both sides have ended: what is still buffered is sent, then the sockets close by themselves. */
  #endTunnel(): void {
    const upstream = this.#upstream
    this.#upstream = undefined
    if (upstream) {
      upstream.user = undefined
      upstream.idle()
    }
    this.#end(101)
  }

  /** Gives back everything that is held. */
  #end(status: number): void {
    if (this.ended) return
    this.ended = true
    const revision = this.#revision
    const nowMs = this.#context.clock.monotonic()
    this.#context.deadlines.cancel(this)
    revision.queue.remove(this)
    revision.meter.stop(nowMs)
    revision.metrics.finished({
      method: this.#head.method,
      status,
      version: this.#head.minor === 0 ? '1.0' : '1.1',
      tag: 'kn:disabled',
      seconds: (nowMs - this.#startMs) / 1000,
      requestBytes: 0,
      responseBytes: 0,
    })
    this.#early = undefined
    const upstream = this.#upstream
    this.#upstream = undefined
    if (upstream) upstream.destroy()
    const pod = this.#pod
    this.#pod = undefined
    if (pod) revision.release(pod)
  }
}

export const revisionNotFound = (name: string): Answer => ({
  status: 404,
  body: `Error getting active endpoint: revisions.serving.knative.dev "${name}" not found`,
})
