/**
 * A small HTTP/1.1 server for messages that are taken whole: each request is handed over with its body in one buffer,
 * and answered in the order of arrival. On node:net with our own parser, as node:http costs several times as much a
 * request. Slow, endless and malformed requests end with an answer that says why.
 */
import { STATUS_CODES } from 'node:http'
import { createServer, type Server, type Socket } from 'node:net'
import type { Clock } from '../clock.ts'
import { Deadline } from '../deadline.ts'
import { Body, requestFraming } from './body.ts'
import { checkPartialHead, findHeadEnd, parseRequestHead, type RequestHead } from './head.ts'
import { HttpError } from './http-error.ts'

export interface BufferedRequest {
  readonly head: RequestHead
  readonly body: Buffer
  /** Who asks; there when a server has received the request. */
  readonly caller?: Caller
}

export interface Caller {
  /**
   * Calls back once when the connection has come to its end, also when it is the client's half alone: it is for whoever
   * waits long and would hold something for nobody. To be disposed of with the answer.
   */
  onGone(listener: () => void): Disposable
}

export interface BufferedAnswer {
  readonly status: number
  readonly headers?: readonly (readonly [name: string, value: string])[]
  readonly body?: Buffer | string
}

export interface BufferedServerOptions {
  readonly clock: Clock
  readonly handle: (request: BufferedRequest) => BufferedAnswer | Promise<BufferedAnswer>
  /** Hears why `handle` failed; its client hears 500 and no more. */
  readonly onFault?: (error: unknown) => void
  /** Of one body. */
  readonly maxBodyBytes: number
  /** Requests of one connection that wait for their answers; beyond it reading pauses. Default 64. */
  readonly maxPipelined?: number
  /** Silence within a request, and all of its head, milliseconds. Default 10 s. */
  readonly readTimeoutMs?: number
  /** Of all bodies that are being received, beyond which connections are refused with 503. Default 256 MiB. */
  readonly maxReceivingBytes?: number
}

const maxHeadBytes = 64 << 10
const maxFields = 200
const idleMs = 120_000
/** A body that comes slower than this for long is ended: 16 KB a second. */
const slowestBytesPerMs = 16
/** Pieces of a body beyond this are put together: each costs more than what is in it. */
const manyPieces = 1024

/** Call `listen` on what it answers. */
export function bufferedServer(options: BufferedServerOptions): Server {
  const shared = { receiving: 0 }
  return createServer(
    { noDelay: true, allowHalfOpen: true },
    (socket) => void new Connection(socket, options, shared),
  )
}

interface Place {
  text: Buffer | undefined
  /** The connection ends with it. */
  readonly close: boolean
}

const none: Buffer = Buffer.alloc(0)

/** Without making a view of nothing. */
const rest = (bytes: Buffer, from: number): Buffer =>
  from === bytes.length ? none : bytes.subarray(from)

class Connection implements Caller {
  readonly #socket: Socket
  readonly #options: BufferedServerOptions
  readonly #shared: { receiving: number }
  #bytes: Buffer = none
  #searched = 0
  #head: RequestHead | undefined
  #body: Body | undefined
  /** Its client waits for word before it sends the body. */
  #expecting = false
  #chunks: Buffer[] = []
  /** Pieces at the end of `#chunks` that may be small. */
  #pieces = 0
  #size = 0
  /** Answers in the order of their requests; undefined = not there yet. */
  readonly #answers: Place[] = []
  #ended = false
  /** The client says no more, and may still listen. */
  #said = false
  /** When the first bytes of an unfinished request came, monotonic; NaN = there are none. */
  #partialSinceMs = Number.NaN
  readonly #silence: Deadline
  /** Made by the first that asks: hardly anybody does. */
  #goneListeners: Set<() => void> | undefined

  constructor(socket: Socket, options: BufferedServerOptions, shared: { receiving: number }) {
    this.#socket = socket
    this.#options = options
    this.#shared = shared
    socket.on('data', (bytes) => this.#data(bytes))
    socket.on('error', () => socket.destroy())
    socket.on('drain', () => this.#goOn())
    socket.on('end', () => {
      this.#said = true
      this.#tellGone()
      if (this.#answers.length === 0) socket.end()
    })
    socket.on('close', () => {
      this.#ended = true
      this.#silence[Symbol.dispose]()
      this.#release()
      this.#tellGone()
    })
    this.#silence = new Deadline(options.clock, () => this.#silent())
    this.#silence.set(idleMs)
  }

  onGone(listener: () => void): Disposable {
    const listeners = (this.#goneListeners ??= new Set())
    listeners.add(listener)
    return { [Symbol.dispose]: () => void listeners.delete(listener) }
  }

  #tellGone(): void {
    const listeners = this.#goneListeners
    this.#goneListeners = undefined
    for (const listener of listeners ?? []) listener()
  }

  #silent(): void {
    // Who does not take the answers either is of no use.
    if (this.#ended || this.#socket.writableNeedDrain) this.#socket.destroy()
    // It is we who are late.
    else if (this.#socket.isPaused()) this.#silence.set(idleMs)
    else if (this.#head || this.#bytes.length > 0)
      this.#refuse(new HttpError(408, 'the request did not come in time'))
    else if (this.#answers.length === 0) this.#socket.destroy()
    else this.#silence.set(idleMs)
  }

  #data(bytes: Buffer): void {
    if (this.#ended) return
    this.#bytes = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes])
    try {
      while (this.#next());
    } catch (error) {
      this.#refuse(error instanceof HttpError ? error : new HttpError(400, 'malformed request'))
      return
    }
    const partial = this.#head !== undefined || this.#bytes.length > 0
    this.#silence.set(partial ? this.#patienceMs() : idleMs)
  }

  /** How long the rest of the request that has begun may keep us waiting. */
  #patienceMs(): number {
    const { readTimeoutMs = 10_000, clock } = this.#options
    const nowMs = clock.monotonic()
    if (Number.isNaN(this.#partialSinceMs)) this.#partialSinceMs = nowMs
    const endMs = this.#partialSinceMs + readTimeoutMs + this.#size / slowestBytesPerMs
    return Math.max(Math.min(readTimeoutMs, endMs - nowMs), 0)
  }

  /** Takes one step; false when more bytes are needed, or answers have to go first. */
  #next(): boolean {
    if (this.#ended || this.#bytes.length === 0) return false
    const full = this.#answers.length >= (this.#options.maxPipelined ?? 64)
    if (full || this.#socket.writableNeedDrain) {
      this.#socket.pause()
      return false
    }
    if (!this.#head) return this.#readHead()
    return this.#readBody()
  }

  #readHead(): boolean {
    const end = findHeadEnd(this.#bytes, Math.max(this.#searched - 3, 0))
    if (end < 0) {
      checkPartialHead(this.#bytes, this.#searched, this.#bytes.length)
      this.#searched = this.#bytes.length
      if (this.#bytes.length > maxHeadBytes)
        throw new HttpError(431, `the head has more than ${maxHeadBytes} bytes`)
      return false
    }
    const head = parseRequestHead(this.#bytes, 0, end, maxFields)
    if (head.contentLength > this.#options.maxBodyBytes) throw this.#tooLarge()
    this.#searched = 0
    const framing = requestFraming(head)
    const bodyEnd = framing === 'none' ? end : end + head.contentLength
    if (framing !== 'chunked' && bodyEnd <= this.#bytes.length) {
      // All there, as small messages mostly are.
      const body = this.#bytes.subarray(end, bodyEnd)
      this.#bytes = rest(this.#bytes, bodyEnd)
      this.#dispatch(head, body)
      return true
    }
    this.#bytes = rest(this.#bytes, end)
    this.#head = head
    this.#body = new Body(framing, head.contentLength)
    this.#expecting = head.expectContinue && this.#bytes.length === 0
    this.#goAhead()
    return true
  }

  /** Who asks before it sends a body is told, behind the answers to what it asked before. */
  #goAhead(): void {
    if (!this.#expecting || this.#answers.length > 0) return
    this.#expecting = false
    this.#socket.write('HTTP/1.1 100 Continue\r\n\r\n')
  }

  #readBody(): boolean {
    const { maxBodyBytes, maxReceivingBytes = 256 << 20 } = this.#options
    const body = this.#body
    const head = this.#head
    if (!body || !head) return false
    this.#expecting = false
    const end = body.advance(this.#bytes, 0, (bytes, start, stop) => {
      this.#size += stop - start
      this.#shared.receiving += stop - start
      this.#chunks.push(bytes.subarray(start, stop))
      if (++this.#pieces === manyPieces) this.#gather()
    })
    this.#bytes = rest(this.#bytes, end)
    if (this.#size > maxBodyBytes) throw this.#tooLarge()
    if (this.#shared.receiving > maxReceivingBytes)
      throw new HttpError(503, 'too much is being received at the moment: try again later')
    if (!body.done) return false
    const chunks = this.#chunks
    this.#release()
    this.#head = undefined
    this.#body = undefined
    this.#dispatch(head, chunks.length === 1 ? (chunks[0] ?? none) : Buffer.concat(chunks))
    return true
  }

  #tooLarge(): HttpError {
    return new HttpError(413, `the body may have at most ${this.#options.maxBodyBytes} bytes`)
  }

  #gather(): void {
    this.#chunks.push(Buffer.concat(this.#chunks.splice(-this.#pieces)))
    this.#pieces = 0
  }

  #release(): void {
    this.#shared.receiving -= this.#size
    this.#size = 0
    this.#chunks = []
    this.#pieces = 0
  }

  #dispatch(head: RequestHead, body: Buffer): void {
    this.#partialSinceMs = Number.NaN
    const place: Place = { text: undefined, close: !head.keepAlive }
    this.#answers.push(place)
    const answered = (answer: BufferedAnswer) => {
      place.text = textOf(answer, head, place.close)
      this.#flush()
    }
    try {
      const answer = this.#options.handle({ head, body, caller: this })
      if (answer instanceof Promise)
        answer.then(answered, (error: unknown) => answered(this.#fault(error)))
      else answered(answer)
    } catch (error) {
      answered(this.#fault(error))
    }
  }

  #fault(error: unknown): BufferedAnswer {
    this.#options.onFault?.(error)
    return broken
  }

  #flush(): void {
    if (this.#socket.destroyed) return
    if (this.#answers.length === 1 && this.#answers[0]?.text && !this.#answers[0].close)
      this.#socket.write(this.#answers.pop()?.text ?? none)
    else if (!this.#flushSome()) return
    this.#goAhead()
    if (this.#said && this.#answers.length === 0) this.#socket.end()
    else this.#goOn()
  }

  /** Reads on, where there was too much to answer or too much that was not taken. */
  #goOn(): void {
    if (!this.#socket.isPaused() || this.#socket.writableNeedDrain) return
    this.#socket.resume()
    if (this.#bytes.length > 0) this.#data(none)
  }

  /** Those that are ready and first in line; false = the connection ends with the last of them. */
  #flushSome(): boolean {
    const ready: Buffer[] = []
    for (;;) {
      const [first] = this.#answers
      if (!first?.text) break
      this.#answers.shift()
      ready.push(first.text)
      if (!first.close) continue
      this.#ended = true
      this.#socket.end(Buffer.concat(ready))
      return false
    }
    if (ready.length > 0) this.#socket.write(Buffer.concat(ready))
    return true
  }

  /** The last answer of this connection: nobody knows where the next request begins. */
  #refuse(error: HttpError): void {
    if (this.#ended) return
    this.#silence.set(idleMs)
    this.#release()
    this.#answers.push({
      text: format({ status: error.status, body: `${error.message}\n` }, undefined, true),
      close: true,
    })
    this.#ended = true
    this.#flush()
  }
}

const broken: BufferedAnswer = { status: 500 }

/** Answers that are given again and again, as they go out on a connection that stays. */
const known = new WeakMap<BufferedAnswer, Buffer>()

function textOf(answer: BufferedAnswer, head: RequestHead, close: boolean): Buffer {
  if (close || head.minor === 0 || head.method === 'HEAD') return format(answer, head, close)
  let text = known.get(answer)
  if (!text) known.set(answer, (text = format(answer, head, close)))
  return text
}

function format(
  { status, headers = [], body = '' }: BufferedAnswer,
  head: RequestHead | undefined,
  close: boolean,
): Buffer {
  const content = typeof body === 'string' ? Buffer.from(body) : body
  let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`
  for (const [name, value] of headers) text += `${name}: ${value}\r\n`
  if (status !== 204) text += `Content-Length: ${content.length}\r\n`
  if (close) text += 'Connection: close\r\n'
  else if (head?.minor === 0) text += 'Connection: keep-alive\r\n'
  const top = Buffer.from(`${text}\r\n`, 'latin1')
  return content.length === 0 || head?.method === 'HEAD' ? top : Buffer.concat([top, content])
}
