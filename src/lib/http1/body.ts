/**
 * Hot path, security-critical. Says where a message's body ends while its buffers pass through untouched: by
 * Content-Length, by chunks (extensions and trailers included, RFC 9112 7.1), or at the connection's end.
 */
import { Field, fieldOf, hashStep, tokenLower, valueByte } from './fields.ts'
import type { RequestHead, ResponseHead } from './head.ts'
import { badRequest } from './http-error.ts'

/** Two arrays in step. */
export interface TrailerFields {
  readonly names: readonly string[]
  readonly values: readonly string[]
}

export type Framing = 'none' | 'length' | 'chunked' | 'close'

/** Called with each piece of payload inside `bytes`. */
export type Payload = (bytes: Buffer, start: number, end: number) => void

const CR = 13
const LF = 10
const SEMICOLON = 59
const QUOTE = 34

const State = {
  sizeStart: 0,
  size: 1,
  extensionName: 2,
  extensionValueStart: 3,
  extensionValue: 4,
  quoted: 5,
  quotedPair: 6,
  afterQuoted: 7,
  sizeLf: 8,
  data: 9,
  dataCr: 10,
  dataLf: 11,
  trailerStart: 12,
  trailerName: 13,
  trailerValue: 14,
  trailerLf: 15,
  endLf: 16,
} as const
type State = (typeof State)[keyof typeof State]

/** Bytes of all chunk extensions of a body, and of its trailers: what a sender may make us look at for no payload. */
const maxExtensionBytes = 16_384
const maxTrailerBytes = 65_536

/** The body of a request, by its head. */
export const requestFraming = (head: RequestHead): Framing =>
  head.chunked ? 'chunked' : head.contentLength > 0 ? 'length' : 'none'

/** The body of a response to a request with this method. */
export function responseFraming(head: ResponseHead, method: string): Framing {
  const { status } = head
  if (status < 200 || status === 204 || status === 304 || method === 'HEAD') return 'none'
  if (head.chunked) return 'chunked'
  if (head.coded) return 'close'
  if (head.contentLength < 0) return 'close'
  return head.contentLength === 0 ? 'none' : 'length'
}

/** Follows one body. */
export class Body {
  readonly framing: Framing
  /** The whole body has passed. Never true for `close`. */
  done: boolean
  /** Payload that has passed, in bytes: framing and trailers not counted. */
  payloadBytes = 0
  /** The trailers of a chunked body, read when `keepTrailers` was set before they came. */
  trailers: TrailerFields | undefined
  keepTrailers = false
  #left: number
  #state: State = State.sizeStart
  #digits = 0
  #extensionBytes = 0
  #trailerBytes = 0
  #trailerText = ''
  /** Of the trailer being read. */
  #trailerName = ''
  #trailerHash = 0

  /** `length` in bytes, for `length` framing only. */
  constructor(framing: Framing, length: number) {
    this.framing = framing
    this.done = framing === 'none'
    this.#left = framing === 'length' ? length : 0
  }

  /** For chunks: the next byte begins a chunk (or has not come at all), so another chunk may be put in here. */
  get betweenChunks(): boolean {
    return this.#state === State.sizeStart
  }

  /**
   * Takes `bytes` from `start`; answers the index after the last byte that belongs to the body. Throws HttpError when
   * the chunks are malformed. `payload`, if given, is called with the pieces between the framing.
   */
  advance(bytes: Buffer, start: number, payload?: Payload): number {
    if (this.done) return start
    switch (this.framing) {
      case 'length': {
        const end = Math.min(bytes.length, start + this.#left)
        this.#left -= end - start
        this.payloadBytes += end - start
        if (this.#left === 0) this.done = true
        payload?.(bytes, start, end)
        return end
      }
      case 'chunked':
        return this.#chunks(bytes, start, payload)
      default:
        this.payloadBytes += bytes.length - start
        payload?.(bytes, start, bytes.length)
        return bytes.length
    }
  }

  #chunks(bytes: Buffer, start: number, payload: Payload | undefined): number {
    let at = start
    let state = this.#state
    const end = bytes.length
    while (at < end) {
      if (state === State.data) {
        const stop = Math.min(end, at + this.#left)
        payload?.(bytes, at, stop)
        this.#left -= stop - at
        this.payloadBytes += stop - at
        at = stop
        if (this.#left === 0) state = State.dataCr
        continue
      }
      const code = bytes[at++]!
      switch (state) {
        case State.sizeStart:
        case State.size: {
          const value = hexDigit(code)
          if (value >= 0) {
            if (state === State.sizeStart) {
              this.#left = 0
              this.#digits = 0
              state = State.size
            }
            if (++this.#digits > 13) throw badRequest('chunk size is too long')
            this.#left = this.#left * 16 + value
          } else if (state === State.sizeStart) throw badRequest('malformed chunk size')
          else if (code === CR) state = State.sizeLf
          else if (code === SEMICOLON) state = State.extensionName
          else throw badRequest('malformed chunk size')
          break
        }
        case State.extensionName:
          this.#countExtension()
          if (tokenLower[code] !== 0) break
          if (code === 61) state = State.extensionValueStart
          else if (code === SEMICOLON) break
          else if (code === CR) state = State.sizeLf
          else throw badRequest('malformed chunk extension')
          break
        case State.extensionValueStart:
          this.#countExtension()
          if (code === QUOTE) state = State.quoted
          else if (tokenLower[code] !== 0) state = State.extensionValue
          else throw badRequest('malformed chunk extension')
          break
        case State.extensionValue:
          this.#countExtension()
          if (tokenLower[code] !== 0) break
          if (code === SEMICOLON) state = State.extensionName
          else if (code === CR) state = State.sizeLf
          else throw badRequest('malformed chunk extension')
          break
        case State.quoted:
          this.#countExtension()
          if (code === QUOTE) state = State.afterQuoted
          else if (code === 92) state = State.quotedPair
          else if (valueByte[code] === 0) throw badRequest('malformed chunk extension')
          break
        case State.quotedPair:
          this.#countExtension()
          if (valueByte[code] === 0) throw badRequest('malformed chunk extension')
          state = State.quoted
          break
        case State.afterQuoted:
          this.#countExtension()
          if (code === SEMICOLON) state = State.extensionName
          else if (code === CR) state = State.sizeLf
          else throw badRequest('malformed chunk extension')
          break
        case State.sizeLf:
          if (code !== LF) throw badRequest('bare CR after a chunk size')
          state = this.#left === 0 ? State.trailerStart : State.data
          break
        case State.dataCr:
          if (code !== CR) throw badRequest('chunk is longer than its size')
          state = State.dataLf
          break
        case State.dataLf:
          if (code !== LF) throw badRequest('chunk is longer than its size')
          state = State.sizeStart
          break
        case State.trailerStart:
          if (code === CR) {
            state = State.endLf
            break
          }
          if (tokenLower[code] === 0) throw badRequest('malformed trailer')
          this.#takeTrailer(code)
          this.#trailerName = ''
          this.#trailerHash = 0
          this.#nameTrailer(code)
          state = State.trailerName
          break
        case State.trailerName:
          this.#countTrailer()
          this.#takeTrailer(code)
          if (code === 58) {
            this.#checkTrailer()
            state = State.trailerValue
          } else if (tokenLower[code] === 0) throw badRequest('malformed trailer')
          else this.#nameTrailer(code)
          break
        case State.trailerValue:
          this.#countTrailer()
          this.#takeTrailer(code)
          if (code === CR) state = State.trailerLf
          else if (valueByte[code] === 0) throw badRequest('malformed trailer')
          break
        case State.trailerLf:
          if (code !== LF) throw badRequest('bare CR in a trailer')
          state = State.trailerStart
          break
        case State.endLf:
          if (code !== LF) throw badRequest('malformed end of chunks')
          if (this.#trailerText !== '') this.trailers = trailerFields(this.#trailerText)
          this.done = true
          return at
      }
    }
    this.#state = state
    return at
  }

  #countExtension(): void {
    if (++this.#extensionBytes > maxExtensionBytes)
      throw badRequest('chunk extensions are too long')
  }

  #takeTrailer(code: number): void {
    if (this.keepTrailers) this.#trailerText += String.fromCharCode(code)
  }

  #nameTrailer(code: number): void {
    this.#trailerName += String.fromCharCode(code)
    this.#trailerHash = hashStep(this.#trailerHash, tokenLower[code]!)
  }

  /** Where a message ends and who it is for is not said behind it (RFC 9110 6.5.1): a pod that merges trailers would believe it. */
  #checkTrailer(): void {
    const field = fieldOf(this.#trailerHash, this.#trailerName)
    if (field > Field.other && field <= Field.upgrade)
      throw badRequest(`${this.#trailerName} in the trailers`)
  }

  #countTrailer(): void {
    if (++this.#trailerBytes > maxTrailerBytes) throw badRequest('trailers are too long')
  }
}

/** `text`: lines that end in CR, checked as they came. */
function trailerFields(text: string): TrailerFields {
  const names: string[] = []
  const values: string[] = []
  for (const line of text.split('\r')) {
    const colon = line.indexOf(':')
    const name = line.slice(0, colon)
    if (colon <= 0) continue
    names.push(name)
    values.push(line.slice(colon + 1).trim())
  }
  return { names, values }
}

function hexDigit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48
  const lower = code | 32
  return lower >= 97 && lower <= 102 ? lower - 87 : -1
}
