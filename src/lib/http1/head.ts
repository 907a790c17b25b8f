/**
 * Hot path, security-critical. Parses the head of an HTTP/1.1 request or response (RFC 9112) from its bytes. Stricter
 * than the RFC wherever two parsers could disagree about where a message ends: no bare CR or LF, no folded lines, no
 * second Content-Length, never Content-Length together with Transfer-Encoding, one Host. `head.test.ts` fuzzes it and
 * compares it with llhttp on the same bytes.
 */
import { Field, fieldOf, hashStep, tokenLower, valueByte } from './fields.ts'
import { badRequest, HttpError } from './http-error.ts'

/** The fields of a head: three arrays in step. Names and values are as received, values without outer blanks. */
export interface Fields {
  readonly names: string[]
  readonly values: string[]
  readonly ids: Field[]
  /** Minor version: 1, or 0 for HTTP/1.0. */
  minor: 0 | 1
  /** -1 = none. */
  contentLength: number
  /** The last transfer coding is `chunked`. */
  chunked: boolean
  /** A Transfer-Encoding is present. */
  coded: boolean
  /** The sender wants to keep the connection, as far as headers say. */
  keepAlive: boolean
  /** `Connection` lists `upgrade`. */
  connectionUpgrade: boolean
  /** Value of Upgrade, '' = none. */
  upgrade: string
  /** Further names that `Connection` lists, in lower case: they end at this hop. */
  hopNames: string[] | undefined
}

export interface RequestHead extends Fields {
  method: string
  /** Origin form (`/path?query`), or `*`. */
  target: string
  /** As received, or the authority of an absolute target; '' for HTTP/1.0 without one. */
  host: string
  expectContinue: boolean
}

export interface ResponseHead extends Fields {
  status: number
  reason: string
  /** Seconds from `Keep-Alive: timeout=`, -1 = not said. */
  keepAliveSeconds: number
}

/** The fields as pairs, names in lower case. */
export function headersOf({
  names,
  values,
}: Pick<Fields, 'names' | 'values'>): readonly (readonly [name: string, value: string])[] {
  const headers: [string, string][] = []
  for (let i = 0; i < names.length; i++)
    headers.push([names[i]?.toLowerCase() ?? '', values[i] ?? ''])
  return headers
}

/** Whom the request is for, in lower case, without port and without the dot that may end a name (RFC 1034, 3.1). */
export const hostNameOf = ({ host }: Pick<RequestHead, 'host'>): string =>
  host.replace(/\.?(?::\d+)?$/, '').toLowerCase()

const CR = 13
const LF = 10
const SP = 32
const TAB = 9
const COLON = 58

const endOfHead = Buffer.from('\r\n\r\n')

/** Index after the blank line that ends the head, or -1. `from` is where the search begins. */
export function findHeadEnd(bytes: Buffer, from: number): number {
  const at = bytes.indexOf(endOfHead, from)
  return at < 0 ? -1 : at + 4
}

/**
 * Complains about an incomplete head that can never become a good one (a bare LF or NUL), so that its sender hears so now instead of
 * running into the timeout.
 */
export function checkPartialHead(bytes: Buffer, start: number, end: number): void {
  for (let i = start; i < end; i++) {
    const code = bytes[i]
    if (code === 0)
      throw badRequest(
        bytes[0] === 22 && bytes[1] === 3
          ? 'this port speaks plain HTTP, and a TLS handshake came: use an http:// URL, or the https port'
          : 'NUL byte in the head',
      )
    if (code === LF && (i === 0 || bytes[i - 1] !== CR)) throw badRequest('bare LF in the head')
  }
}

/** Parses a request head, `bytes` from `start` to `end` (blank line included). Throws HttpError. */
export function parseRequestHead(
  bytes: Buffer,
  start: number,
  end: number,
  maxFields: number,
): RequestHead {
  const text = bytes.toString('latin1', start, end)
  const method = methodOf(text)
  let at = method.length
  if (at === 0 || text.charCodeAt(at) !== SP) throw badRequest('malformed request line')
  const targetStart = ++at
  for (;;) {
    const code = text.charCodeAt(at)
    if (!(code > SP && code < 127)) break
    at++
  }
  if (at === targetStart || text.charCodeAt(at) !== SP) throw badRequest('malformed request target')
  let target = text.slice(targetStart, at)
  at++
  if (!text.startsWith('HTTP/', at) || text.charCodeAt(at + 8) !== CR)
    throw badRequest('malformed HTTP version')
  const version = text.slice(at + 5, at + 8)
  if (version !== '1.1' && version !== '1.0') {
    if (!/^\d\.\d$/.test(version)) throw badRequest('malformed HTTP version')
    throw new HttpError(505, `HTTP/${version} is not spoken here`)
  }
  if (text.charCodeAt(at + 9) !== LF) throw badRequest('bare CR in the head')
  const head: RequestHead = {
    names: [],
    values: [],
    ids: [],
    minor: version === '1.1' ? 1 : 0,
    contentLength: -1,
    chunked: false,
    coded: false,
    keepAlive: version === '1.1',
    connectionUpgrade: false,
    upgrade: '',
    hopNames: undefined,
    method,
    target,
    host: '',
    expectContinue: false,
  }
  parseFields(text, at + 10, head, maxFields)
  let hosts = 0
  const { ids, values } = head
  for (let i = 0; i < ids.length; i++) {
    if (ids[i] === Field.host) {
      if (++hosts > 1) throw badRequest('more than one Host')
      head.host = values[i]!
    } else if (ids[i] === Field.expect) {
      if (values[i]!.toLowerCase() !== '100-continue')
        throw new HttpError(417, `unknown expectation "${values[i]}"`)
      head.expectContinue = head.minor === 1
    }
  }
  if (head.coded) {
    if (head.contentLength >= 0) throw badRequest('both Content-Length and Transfer-Encoding')
    if (head.minor === 0) throw badRequest('Transfer-Encoding in HTTP/1.0')
    if (!head.chunked) throw badRequest('Transfer-Encoding must end in chunked')
    if (codings !== 1) throw new HttpError(501, 'only the transfer coding chunked is known')
  }
  if (hosts === 0 && head.minor === 1) throw badRequest('Host is missing')
  // What follows a # never leaves a client (RFC 3986 3.5); routes and pods would disagree about it.
  if (target.includes('#')) throw badRequest('a fragment in the request target')
  if (target.charCodeAt(0) !== 47 || method === 'CONNECT') {
    target = absoluteTarget(head, target)
    head.target = target
  }
  if (!isHost(head.host)) throw badRequest('malformed Host')
  return head
}

/** The token that a request begins with; the usual ones without making a string. */
function methodOf(text: string): string {
  if (text.startsWith('GET ')) return 'GET'
  if (text.startsWith('POST ')) return 'POST'
  let at = 0
  while (tokenLower[text.charCodeAt(at)] !== 0 && at < text.length) at++
  return text.slice(0, at)
}

/** Parses a response head. Throws HttpError (its status means nothing to a client: answer 502). */
export function parseResponseHead(
  bytes: Buffer,
  start: number,
  end: number,
  maxFields: number,
): ResponseHead {
  const text = bytes.toString('latin1', start, end)
  const minor = text.charCodeAt(7) - 48
  if (!text.startsWith('HTTP/1.') || (minor !== 0 && minor !== 1) || text.charCodeAt(8) !== SP)
    throw badRequest('malformed status line')
  const status = digit(text, 9) * 100 + digit(text, 10) * 10 + digit(text, 11)
  if (!(status >= 100)) throw badRequest('malformed status code')
  let at = 12
  let reason = ''
  if (text.charCodeAt(at) === SP) {
    const reasonStart = ++at
    while (valueByte[text.charCodeAt(at)] === 1) at++
    reason = text.slice(reasonStart, at)
  }
  if (text.charCodeAt(at) !== CR || text.charCodeAt(at + 1) !== LF)
    throw badRequest('malformed status line')
  const head: ResponseHead = {
    names: [],
    values: [],
    ids: [],
    minor: minor === 1 ? 1 : 0,
    contentLength: -1,
    chunked: false,
    coded: false,
    keepAlive: minor === 1,
    connectionUpgrade: false,
    upgrade: '',
    hopNames: undefined,
    status,
    reason,
    keepAliveSeconds: -1,
  }
  parseFields(text, at + 2, head, maxFields)
  if (head.coded && head.contentLength >= 0)
    throw badRequest('both Content-Length and Transfer-Encoding')
  // Who speaks HTTP/1.0 can't know where chunks end (RFC 9112 6.1).
  if (head.coded && head.minor === 0) head.keepAlive = false
  const { ids } = head
  for (let i = 0; i < ids.length; i++) {
    if (ids[i] !== Field.keepAlive) continue
    const match = /timeout=(\d{1,6})/i.exec(head.values[i]!)
    if (match) head.keepAliveSeconds = Number(match[1])
  }
  return head
}

/** How many transfer codings the head parsed last had. */
let codings = 0

function parseFields(text: string, from: number, head: Fields, maxFields: number): void {
  const { names, values, ids } = head
  const last = text.length - 2
  codings = 0
  let at = from
  while (at < last) {
    if (ids.length === maxFields) throw new HttpError(431, `more than ${maxFields} header fields`)
    const nameStart = at
    let hash = 0
    let lower = tokenLower[text.charCodeAt(at)]
    while (lower) {
      hash = hashStep(hash, lower)
      lower = tokenLower[text.charCodeAt(++at)]
    }
    const name = text.slice(nameStart, at)
    if (text.charCodeAt(at) !== COLON || name === '') {
      const code = text.charCodeAt(at)
      if (name === '' && (code === SP || code === TAB)) throw badRequest('folded header line')
      throw badRequest('malformed header name')
    }
    at++
    let code = text.charCodeAt(at)
    while (code === SP || code === TAB) code = text.charCodeAt(++at)
    const valueStart = at
    while (valueByte[code] === 1) code = text.charCodeAt(++at)
    if (code !== CR || text.charCodeAt(at + 1) !== LF)
      throw badRequest(
        code === CR
          ? 'bare CR in the head'
          : code === LF
            ? 'bare LF in the head'
            : 'control character in a header value',
      )
    let valueEnd = at
    while (valueEnd > valueStart) {
      code = text.charCodeAt(valueEnd - 1)
      if (code !== SP && code !== TAB) break
      valueEnd--
    }
    at += 2
    const value = text.slice(valueStart, valueEnd)
    const field = fieldOf(hash, name)
    names.push(name)
    values.push(value)
    ids.push(field)
    if (field > 0 && field <= Field.upgrade) framing(head, field, value)
  }
}

function framing(head: Fields, field: Field, value: string): void {
  switch (field) {
    case Field.connection:
      connectionOptions(head, value)
      return
    case Field.contentLength:
      if (head.contentLength >= 0) throw badRequest('more than one Content-Length')
      if (value.length === 0 || value.length > 15) throw badRequest('malformed Content-Length')
      for (let i = 0; i < value.length; i++)
        if (!(digit(value, i) >= 0)) throw badRequest('malformed Content-Length')
      head.contentLength = Number(value)
      return
    case Field.transferEncoding:
      for (const coding of value.split(',')) {
        if (head.chunked) throw badRequest('chunked must be the last transfer coding')
        codings++
        head.chunked = trimBlanks(coding).toLowerCase() === 'chunked'
      }
      head.coded = true
      return
    case Field.upgrade:
      head.upgrade = value
      return
    default:
  }
}

/** Without outer spaces and tabs. Not `trim`, for which letters that no other parser skips are blanks too. */
const trimBlanks = (text: string): string => text.replace(/^[ \t]+|[ \t]+$/g, '')

function connectionOptions(head: Fields, value: string): void {
  if (value === 'keep-alive' || value === 'Keep-Alive') {
    if (head.minor === 0) head.keepAlive = true
    return
  }
  for (const option of value.toLowerCase().split(',')) {
    const token = trimBlanks(option)
    if (token === 'close') {
      head.keepAlive = false
      // Remembered, so that a later keep-alive does not undo it.
      ;(head.hopNames ??= []).push('close')
    } else if (token === 'keep-alive') {
      if (head.minor === 0 && !head.hopNames?.includes('close')) head.keepAlive = true
    } else if (token === 'upgrade') head.connectionUpgrade = true
    else if (token !== '') (head.hopNames ??= []).push(token)
  }
}

/** A digit's value, or NaN. */
function digit(text: string, at: number): number {
  const value = text.charCodeAt(at) - 48
  return value >= 0 && value <= 9 ? value : Number.NaN
}

/** `http://host/path` -> `/path` with the authority as Host (RFC 9112 3.2.2); `*` stays for OPTIONS. */
function absoluteTarget(head: RequestHead, target: string): string {
  if (target === '*' && head.method === 'OPTIONS') return target
  if (head.method === 'CONNECT') throw new HttpError(405, 'CONNECT is not served')
  const match = /^https?:\/\/([^/?#]+)([/?].*)?$/i.exec(target)
  if (!match) throw badRequest('malformed request target')
  head.host = match[1]!
  const path = match[2] ?? '/'
  return path.startsWith('/') ? path : `/${path}`
}

/** Host with optional port, loosely: nothing that could be read as another part of a URL or as a list. */
function isHost(host: string): boolean {
  for (let i = 0; i < host.length; i++) {
    const code = host.charCodeAt(i)
    const good =
      (code >= 97 && code <= 122) || // a-z
      (code >= 45 && code <= 46) || // - .
      (code >= 48 && code <= 58) || // digits, :
      (code >= 65 && code <= 91) || // A-Z [
      code === 93 || // ]
      code === 95 || // _
      code === 37 // %
    if (!good) return false
  }
  return true
}
