/**
 * Hot path, security-critical. Makes of decoded fields the very heads that `http1/head.ts` makes, so that routing and forwarding know one
 * shape for both protocols. Checks what RFC 9113 8.2 and 8.3 ask; who breaks it sent a malformed message, a stream error.
 */
import { STATUS_CODES } from 'node:http'
import { Field } from '../http1/fields.ts'
import type { RequestHead, ResponseHead } from '../http1/head.ts'
import type { FieldTarget } from './hpack/decoder.ts'
import { Kind } from './hpack/kinds.ts'
import type { HeaderFields } from './stream.ts'

const fieldOverhead = 32

/** Takes one header block after another; nothing of a block is kept after the next `start`. */
export class HeadBuilder implements FieldTarget {
  /** What is wrong with the message, '' = nothing. */
  malformed = ''
  /** The block is larger than allowed; it was read to its end all the same. */
  tooLarge = false
  readonly #maxListBytes: number
  readonly #maxFields: number
  #names: string[] = []
  #values: string[] = []
  #ids: Field[] = []
  #listBytes = 0
  #method = ''
  #scheme = ''
  #authority: string | undefined
  #path = ''
  #status = 0
  /** Bits of the pseudo-headers seen. */
  #pseudo = 0
  #contentLength = -1
  /** Index of the joined Cookie field. */
  #cookie = -1
  #host: string | undefined
  #expectContinue = false

  constructor(maxListBytes: number, maxFields: number) {
    this.#maxListBytes = maxListBytes
    this.#maxFields = maxFields
  }

  /** Forgets the block before. */
  start(): void {
    this.malformed = ''
    this.tooLarge = false
    this.#names = []
    this.#values = []
    this.#ids = []
    this.#listBytes = 0
    this.#method = ''
    this.#scheme = ''
    this.#authority = undefined
    this.#path = ''
    this.#status = 0
    this.#pseudo = 0
    this.#contentLength = -1
    this.#cookie = -1
    this.#host = undefined
    this.#expectContinue = false
  }

  field(name: string, value: string, kind: number): void {
    this.#listBytes += name.length + value.length + fieldOverhead
    if (this.#listBytes > this.#maxListBytes || this.#ids.length >= this.#maxFields) {
      this.tooLarge = true
      return
    }
    if (kind === Field.other) {
      this.#names.push(name)
      this.#values.push(value)
      this.#ids.push(Field.other)
    } else if (kind < 0) this.#special(name, value, kind)
    else this.#known(name, value, kind)
  }

  /** The head of a request. Undefined when `malformed` or `tooLarge`. */
  request(): RequestHead | undefined {
    if (this.tooLarge) return undefined
    if (this.malformed === '') this.malformed = this.#requestFault()
    if (this.malformed !== '') return undefined
    return {
      names: this.#names,
      values: this.#values,
      ids: this.#ids,
      minor: 1,
      contentLength: this.#contentLength,
      chunked: false,
      coded: false,
      keepAlive: true,
      connectionUpgrade: false,
      upgrade: '',
      hopNames: undefined,
      method: this.#method,
      target: this.#path,
      host: this.#authority ?? this.#host ?? '',
      expectContinue: this.#expectContinue,
    }
  }

  /** The head of a response. Undefined when `malformed` or `tooLarge`. */
  response(): ResponseHead | undefined {
    if (this.tooLarge) return undefined
    if (this.malformed === '' && this.#pseudo !== 1 << -Kind.status)
      this.malformed =
        this.#status === 0 ? ':status is missing' : 'a request pseudo-header in a response'
    if (this.malformed !== '') return undefined
    return {
      names: this.#names,
      values: this.#values,
      ids: this.#ids,
      minor: 1,
      contentLength: this.#contentLength,
      chunked: false,
      coded: false,
      keepAlive: true,
      connectionUpgrade: false,
      upgrade: '',
      hopNames: undefined,
      status: this.#status,
      reason: STATUS_CODES[this.#status] ?? '',
      keepAliveSeconds: -1,
    }
  }

  /** The fields of a trailer section. Undefined when `malformed` or `tooLarge`. */
  trailers(): HeaderFields | undefined {
    if (this.tooLarge) return undefined
    if (this.#pseudo !== 0) this.malformed = 'a pseudo-header in the trailers'
    if (this.malformed !== '') return undefined
    return { names: this.#names, values: this.#values, ids: this.#ids }
  }

  #known(name: string, value: string, kind: number): void {
    switch (kind) {
      case Field.connection:
      case Field.keepAlive:
      case Field.proxyConnection:
      case Field.transferEncoding:
      case Field.upgrade:
      case Field.http2Settings:
        this.malformed = `${name} belongs to HTTP/1.1`
        return
      case Field.te:
        if (value.toLowerCase() !== 'trailers') this.malformed = 'TE may only say trailers'
        break
      case Field.contentLength: {
        const length = value.length <= 15 && /^\d+$/.test(value) ? Number(value) : -1
        if (length < 0) this.malformed = 'malformed Content-Length'
        else if (this.#contentLength >= 0) this.malformed = 'more than one Content-Length'
        this.#contentLength = length
        break
      }
      case Field.host:
        if (this.#host !== undefined) this.malformed = 'more than one Host'
        this.#host = value
        break
      case Field.expect:
        if (value.toLowerCase() === '100-continue') this.#expectContinue = true
        break
      default:
    }
    this.#names.push(name)
    this.#values.push(value)
    // The decoder's kinds from 0 up are the fields' numbers.
    this.#ids.push(kind as Field)
  }

  #special(name: string, value: string, kind: number): void {
    if (kind === Kind.cookie) {
      // Split so that parts compress (8.2.3); others than HTTP/2 want one.
      if (this.#cookie >= 0) this.#values[this.#cookie] += `; ${value}`
      else {
        this.#cookie = this.#names.push(name) - 1
        this.#values.push(value)
        this.#ids.push(Field.other)
      }
      return
    }
    if (kind === Kind.malformed) {
      this.malformed = 'malformed header field'
      return
    }
    if (kind === Kind.unknownPseudo) {
      this.malformed = 'unknown pseudo-header'
      return
    }
    const bit = 1 << -kind
    if ((this.#pseudo & bit) !== 0) this.malformed = `${name} comes twice`
    else if (this.#ids.length > 0) this.malformed = `${name} comes after other fields`
    this.#pseudo |= bit
    switch (kind) {
      case Kind.method:
        this.#method = value
        return
      case Kind.scheme:
        this.#scheme = value
        return
      case Kind.authority:
        this.#authority = value
        return
      case Kind.path:
        this.#path = value
        return
      case Kind.status:
        this.#status = /^[1-9]\d\d$/.test(value) ? Number(value) : 0
        if (this.#status === 0) this.malformed = 'malformed :status'
        return
      default:
    }
  }

  #requestFault(): string {
    if ((this.#pseudo & (1 << -Kind.status)) !== 0) return ':status in a request'
    if (!isToken(this.#method)) return ':method is missing or malformed'
    const authority = this.#authority
    if (this.#method === 'CONNECT') {
      if ((this.#pseudo & ((1 << -Kind.path) | (1 << -Kind.scheme))) !== 0)
        return 'CONNECT with :path or :scheme'
      if (authority === undefined || authority === '') return 'CONNECT without :authority'
    } else {
      if (this.#scheme === '') return ':scheme is missing'
      const path = this.#path
      if (path.charCodeAt(0) !== 47 && !(path === '*' && this.#method === 'OPTIONS'))
        return ':path is missing or malformed'
      if (!isTarget(path)) return 'malformed :path'
    }
    if (authority === undefined) {
      if (this.#host === undefined) return ':authority is missing'
      return isHost(this.#host) ? '' : 'malformed Host'
    }
    if (!isHost(authority)) return 'malformed :authority'
    if (this.#host !== undefined && this.#host.toLowerCase() !== authority.toLowerCase())
      return 'Host differs from :authority'
    return ''
  }
}

const letters = new Uint8Array(256)
for (const letter of "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
  letters[letter.charCodeAt(0)]! |= 1
for (const letter of '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-._:[]%')
  letters[letter.charCodeAt(0)]! |= 2

function isToken(text: string): boolean {
  if (text === 'GET' || text === 'POST') return true
  for (let i = 0; i < text.length; i++) if ((letters[text.charCodeAt(i)]! & 1) === 0) return false
  return text.length > 0
}

/** Visible ASCII only and no fragment, as in a request line of HTTP/1.1. */
function isTarget(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code <= 32 || code >= 127 || code === 35) return false
  }
  return true
}

/** Host with optional port, as loosely as for HTTP/1.1: nothing that could be read as another part of a URL (8.3.1: no userinfo). */
function isHost(text: string): boolean {
  for (let i = 0; i < text.length; i++) if ((letters[text.charCodeAt(i)]! & 2) === 0) return false
  return true
}
