/**
 * Hot path. Heads as they leave the gateway, by the same rules for HTTP/1 and HTTP/2. Request: hop-by-hop fields and Knative's own end here, X-Forwarded-*, Forwarded and
 * X-Request-Id are added, the route's headers replace the client's. Response: hop-by-hop fields end here. Everything
 * else passes untouched, in its order and spelling.
 */
import type { Socket } from 'node:net'
import { Field } from '../../../lib/http1/fields.ts'
import type { RequestHead, ResponseHead } from '../../../lib/http1/head.ts'
import type { OutgoingFields } from '../../../lib/http2/stream.ts'
import { headerEdit, type HeaderEdit } from './header-edit.ts'
import type { Destination } from '../routing/route-table.ts'

/** What is known about the client's connection, made once for it. */
export interface ClientIdentity {
  /** As it stands in X-Forwarded-For. */
  readonly address: string
  /** What the client speaks underneath. X-Forwarded-Proto tells it to the app, whatever the client says itself. */
  readonly scheme: 'http' | 'https'
  /** X-Forwarded-For, X-Forwarded-Proto and Forwarded of a request that came without any of them. */
  readonly forwarded: HeaderEdit
}

export function clientIdentity(
  remoteAddress: string,
  scheme: 'http' | 'https' = 'http',
): ClientIdentity {
  const address = remoteAddress.startsWith('::ffff:') ? remoteAddress.slice(7) : remoteAddress
  const forwarded = headerEdit([
    ['X-Forwarded-For', address],
    ['X-Forwarded-Proto', scheme],
    ['Forwarded', forwardedShim(address, scheme, undefined)],
  ])
  return { address, scheme, forwarded: forwarded! }
}

/** `for=<first>;host=<host>;proto=<proto>, for=<second>`: Knative's Forwarded header, made of the X-Forwarded ones. */
export function forwardedShim(
  xff: string,
  proto: string | undefined,
  host: string | undefined,
): string {
  const [first = '', ...others] = xff.split(',').map((address) => quoted(address.trim()))
  let text = first === '' ? '' : `for=${first}`
  if (host !== undefined) text += `${text && ';'}host=${host}`
  if (proto !== undefined) text += `${text && ';'}proto=${proto}`
  for (const other of others) text += `, for=${other}`
  return text
}

const quoted = (address: string): string => {
  if (!address.includes(':') || address.startsWith('"')) return address
  return address.startsWith('[') ? `"${address}"` : `"[${address}]"`
}

/**
 * True when the request asks for another protocol that is to be tunnelled. `h2c` is never tunnelled, not even as one of several:
 * requests in the tunnel would pass all rules by. HTTP/1.0 knows no upgrades (RFC 9110 7.8).
 */
export const wantsUpgrade = (head: RequestHead): boolean =>
  head.connectionUpgrade &&
  head.minor === 1 &&
  head.upgrade !== '' &&
  !/\bh2c?\b/i.test(head.upgrade)

/** The path and query that the app sees. */
export const targetFor = (head: RequestHead, destination: Destination): string =>
  destination.target === undefined ? head.target : destination.target(head.target)

/** Takes the fields of a head, one after the other; the rules are the same for both forms of a head. */
interface FieldSink {
  field(name: string, value: string): void
  edit(edit: HeaderEdit): void
}

/** Fields as HTTP/2 takes them. */
export class FieldList implements FieldSink {
  readonly names: string[] = []
  readonly values: string[] = []

  field(name: string, value: string): void {
    this.names.push(name)
    this.values.push(value)
  }

  edit({ fields }: HeaderEdit): void {
    for (const [name, value] of fields) this.field(name, value)
  }
}

/** Fields as lines of HTTP/1. */
class FieldLines implements FieldSink {
  text = ''

  field(name: string, value: string): void {
    this.text += `${name}: ${value}\r\n`
  }

  edit({ lines }: HeaderEdit): void {
    this.text += lines
  }
}

/** One at a time: heads are written in one step. */
const sharedLines = new FieldLines()

/** The fields of a request for the pod, without Host and without what says where the body ends. */
function requestFields(
  sink: FieldSink,
  head: RequestHead,
  destination: Destination,
  client: ClientIdentity,
  requestId: () => string,
  edit: HeaderEdit | undefined,
): void {
  const { names, values, ids, hopNames } = head
  const routeDrops = destination.request?.drops
  const drops = edit?.drops
  let xff: string | undefined
  let schemed = false
  let xfHost: string | undefined
  let forwarded = false
  let identified = false
  for (let i = 0; i < ids.length; i++) {
    const name = names[i]!
    if (routeDrops !== undefined && routeDrops.has(name.toLowerCase())) continue
    if (drops !== undefined && drops.has(name.toLowerCase())) continue
    const value = values[i]!
    switch (ids[i]) {
      case Field.other:
        if (hopNames !== undefined && hopNames.includes(name.toLowerCase())) continue
        break
      case Field.host:
      case Field.connection:
      case Field.upgrade:
      case Field.keepAlive:
      case Field.proxyConnection:
      case Field.proxyAuthenticate:
      case Field.proxyAuthorization:
      case Field.http2Settings:
      case Field.contentLength:
      case Field.transferEncoding:
      case Field.knativeServingRevision:
      case Field.knativeServingNamespace:
      case Field.knativeDirectLb:
      case Field.kNetworkProbe:
      case Field.kNetworkHash:
      case Field.kProxyRequest:
      case Field.kOriginalHost:
      case Field.kPassthroughLb:
        continue
      case Field.te:
        if (value.toLowerCase().includes('trailers')) sink.field('TE', 'trailers')
        continue
      case Field.expect:
        if (!head.expectContinue) continue
        break
      case Field.xForwardedFor:
        xff = xff === undefined ? value : `${xff}, ${value}`
        continue
      case Field.xForwardedProto:
        schemed = true
        continue
      case Field.xForwardedHost:
        xfHost ??= value
        break
      case Field.forwarded:
        forwarded = true
        break
      case Field.xRequestId:
        identified = true
        break
      default:
    }
    sink.field(name, value)
  }
  if (xff === undefined && !schemed && xfHost === undefined && !forwarded)
    sink.edit(client.forwarded)
  else {
    const chain = xff === undefined || xff === '' ? client.address : `${xff}, ${client.address}`
    sink.field('X-Forwarded-For', chain)
    sink.field('X-Forwarded-Proto', client.scheme)
    if (!forwarded) sink.field('Forwarded', forwardedShim(chain, client.scheme, xfHost))
  }
  if (!identified) sink.field('X-Request-Id', requestId())
  if (destination.request !== undefined) sink.edit(destination.request)
  if (edit !== undefined) sink.edit(edit)
}

/**
 * The request's head for an HTTP/1 pod. `requestId` is called when the client sent none; `edit` comes behind the changes of
 * the destination. `chunked`: the body goes in chunks.
 */
export function requestText(
  head: RequestHead,
  destination: Destination,
  client: ClientIdentity,
  requestId: () => string,
  edit: HeaderEdit | undefined,
  chunked: boolean,
): string {
  const lines = sharedLines
  lines.text = `${head.method} ${targetFor(head, destination)} HTTP/1.1\r\nHost: ${destination.host ?? head.host}\r\n`
  if (chunked) lines.text += 'Transfer-Encoding: chunked\r\n'
  else if (head.contentLength >= 0) lines.text += `Content-Length: ${head.contentLength}\r\n`
  requestFields(lines, head, destination, client, requestId, edit)
  if (wantsUpgrade(head)) lines.text += `Connection: Upgrade\r\nUpgrade: ${head.upgrade}\r\n`
  return `${lines.text}\r\n`
}

/** The request's fields for an HTTP/2 pod. */
export function requestList(
  head: RequestHead,
  destination: Destination,
  client: ClientIdentity,
  requestId: () => string,
  edit: HeaderEdit | undefined,
): FieldList {
  const list = new FieldList()
  if (head.contentLength >= 0) list.field('content-length', String(head.contentLength))
  requestFields(list, head, destination, client, requestId, edit)
  return list
}

/** The fields of a response for the client. `coding`: its transfer coding passes. */
function responseFields(
  sink: FieldSink,
  head: ResponseHead,
  routeEdit: HeaderEdit | undefined,
  edit: HeaderEdit | undefined,
  coding: boolean,
): void {
  const { names, values, ids, hopNames } = head
  const routeDrops = routeEdit?.drops
  const drops = edit?.drops
  for (let i = 0; i < ids.length; i++) {
    if (routeDrops !== undefined && routeDrops.has(names[i]!.toLowerCase())) continue
    if (drops !== undefined && drops.has(names[i]!.toLowerCase())) continue
    switch (ids[i]) {
      case Field.other:
        if (hopNames !== undefined && hopNames.includes(names[i]!.toLowerCase())) continue
        break
      case Field.connection:
      case Field.keepAlive:
      case Field.proxyConnection:
      case Field.upgrade:
      case Field.kNetworkHash:
        continue
      case Field.transferEncoding:
        if (!coding) continue
        break
      case Field.contentLength:
        if (!bodiless(head.status)) sink.field('Content-Length', String(head.contentLength))
        continue
      default:
    }
    sink.field(names[i]!, values[i]!)
  }
  if (routeEdit !== undefined) sink.edit(routeEdit)
  if (edit !== undefined) sink.edit(edit)
}

const bodiless = (status: number): boolean => status === 204 || status < 200

/** How a response goes on to an HTTP/1 client. */
export interface ResponseForm {
  /** 0: no chunks, no interim responses. */
  readonly clientMinor: 0 | 1
  /** The client's connection stays open after it. */
  readonly keepAlive: boolean
  /** Switching protocols: Connection and Upgrade pass. */
  readonly upgrade: boolean
  /** The gateway puts the body into chunks. */
  readonly chunked?: boolean
}

/** The response's head for an HTTP/1 client, with the changes of the destination and, behind them, of `edit`. */
export function responseText(
  head: ResponseHead,
  form: ResponseForm,
  routeEdit?: HeaderEdit,
  edit?: HeaderEdit,
): string {
  const { status } = head
  const lines = sharedLines
  lines.text = `HTTP/1.1 ${status} ${head.reason}\r\n`
  responseFields(lines, head, routeEdit, edit, form.clientMinor === 1 && !bodiless(status))
  if (form.chunked === true) lines.text += 'Transfer-Encoding: chunked\r\n'
  if (form.upgrade) return `${lines.text}Connection: Upgrade\r\nUpgrade: ${head.upgrade}\r\n\r\n`
  if (status >= 200) {
    if (!form.keepAlive) lines.text += 'Connection: close\r\n'
    else if (form.clientMinor === 0) lines.text += 'Connection: keep-alive\r\n'
  }
  return `${lines.text}\r\n`
}

/** The response's fields for an HTTP/2 client. */
export function responseList(
  head: ResponseHead,
  routeEdit: HeaderEdit | undefined,
  edit: HeaderEdit | undefined,
): FieldList {
  const list = new FieldList()
  responseFields(list, head, routeEdit, edit, false)
  return list
}

/** A response that goes on as long as there are events. */
export function isEventStream({ names, values }: ResponseHead): boolean {
  const at = names.findIndex((name) => name.toLowerCase() === 'content-type')
  return at >= 0 && /^text\/event-stream\b/i.test(values[at]!)
}

/** Fields that only mean something in a head, or to one hop: not passed on as trailers (RFC 9110 6.5.1). */
const notTrailers = new Set([
  'authorization',
  'connection',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'host',
  'keep-alive',
  'proxy-connection',
  'set-cookie',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** The trailers that pass on. */
export function trailerList({ names, values }: OutgoingFields): FieldList {
  const list = new FieldList()
  for (let i = 0; i < names.length; i++)
    if (!notTrailers.has(names[i]!.toLowerCase())) list.field(names[i]!, values[i]!)
  return list
}

/** The same as lines of HTTP/1, '' for none. */
export function trailerLines(trailers: OutgoingFields | undefined): string {
  if (trailers === undefined) return ''
  const { names, values } = trailerList(trailers)
  return names.map((name, i) => `${name}: ${values[i]}\r\n`).join('')
}

/** Writes payload as a chunk of HTTP/1; it may be used again at once. False: the socket is full. */
export function writeChunk(socket: Socket, payload: Buffer): boolean {
  const size = `${payload.length.toString(16)}\r\n`
  // Small ones in one piece: one copy is cheaper than three writes.
  if (payload.length <= 4096)
    return socket.write(`${size}${payload.toString('latin1')}\r\n`, 'latin1')
  socket.write(size, 'latin1')
  socket.write(Buffer.from(payload))
  return socket.write('\r\n', 'latin1')
}

/** An answer of the gateway itself. */
export interface Answer {
  readonly status: number
  readonly body: string
  /** Further header lines, each with CRLF. */
  readonly lines?: string
}

const reasons: Readonly<Record<number, string>> = {
  200: 'OK',
  301: 'Moved Permanently',
  302: 'Found',
  303: 'See Other',
  307: 'Temporary Redirect',
  308: 'Permanent Redirect',
  400: 'Bad Request',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  414: 'URI Too Long',
  417: 'Expectation Failed',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  505: 'HTTP Version Not Supported',
  508: 'Loop Detected',
}

/** An answer as bytes; without the body for HEAD. */
export function answerText(
  answer: Answer,
  method: string,
  keepAlive: boolean,
  minor: 0 | 1,
): string {
  const { status, body, lines = '' } = answer
  // Bodies can quote what a client sent: as UTF-8 they would have another length than as written here.
  const bytes = Buffer.from(body, 'utf8')
  const connection = keepAlive
    ? minor === 0
      ? 'Connection: keep-alive\r\n'
      : ''
    : 'Connection: close\r\n'
  return (
    `HTTP/1.1 ${status} ${reasons[status] ?? 'Status'}\r\n${lines}Content-Type: text/plain; charset=utf-8\r\n` +
    `X-Content-Type-Options: nosniff\r\nContent-Length: ${bytes.length}\r\n${connection}\r\n` +
    (method === 'HEAD' ? '' : bytes.toString('latin1'))
  )
}
