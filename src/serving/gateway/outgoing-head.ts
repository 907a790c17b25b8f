/**
 * Hot path. Heads as they leave the gateway. Request: hop-by-hop fields and Knative's own end here, X-Forwarded-*, Forwarded and
 * X-Request-Id are added, the route's headers replace the client's. Response: hop-by-hop fields end here. Everything
 * else passes untouched, in its order and spelling (contracts/serving.md 4.2, 4.4, 4.8).
 */
import { Field } from '../../lib/http1/fields.ts'
import type { RequestHead, ResponseHead } from '../../lib/http1/head.ts'
import type { HeaderEdit } from './header-edit.ts'
import type { Destination } from './route-table.ts'

/** What is known about the client's connection, made once for it. */
export interface ClientIdentity {
  /** As it stands in X-Forwarded-For. */
  readonly address: string
  /** What the client speaks underneath; X-Forwarded-Proto tells it to the app. */
  readonly scheme: 'http' | 'https'
  /** The Forwarded header of a request that came without any of the three. */
  readonly forwarded: string
  /** The three header lines of a request that came without any of them. */
  readonly forwardedLines: string
}

export function clientIdentity(
  remoteAddress: string,
  scheme: 'http' | 'https' = 'http',
): ClientIdentity {
  const address = remoteAddress.startsWith('::ffff:') ? remoteAddress.slice(7) : remoteAddress
  const forwarded = forwardedShim(address, scheme, undefined)
  return {
    address,
    scheme,
    forwarded,
    forwardedLines: `X-Forwarded-For: ${address}\r\nX-Forwarded-Proto: ${scheme}\r\nForwarded: ${forwarded}\r\n`,
  }
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

/** True when the request asks for another protocol that is to be tunnelled. `h2c` is never tunnelled. */
export const wantsUpgrade = (head: RequestHead): boolean =>
  head.connectionUpgrade && head.upgrade !== '' && head.upgrade.toLowerCase() !== 'h2c'

/** The request's head for the pod. `requestId` is called when the client sent none. */
export function requestText(
  head: RequestHead,
  destination: Destination,
  client: ClientIdentity,
  requestId: () => string,
  edit?: HeaderEdit,
): string {
  const { names, values, ids, hopNames } = head
  const { replaced } = destination
  const drops = edit?.drops
  const target = destination.target === undefined ? head.target : destination.target(head.target)
  let text = `${head.method} ${target} HTTP/1.1\r\nHost: ${destination.host ?? head.host}\r\n`
  let xff: string | undefined
  let proto: string | undefined
  let xfHost: string | undefined
  let forwarded = false
  let identified = false
  for (let i = 0; i < ids.length; i++) {
    const name = names[i]!
    if (replaced !== undefined && replaced.has(name.toLowerCase())) continue
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
        if (value.toLowerCase().includes('trailers')) text += 'TE: trailers\r\n'
        continue
      case Field.expect:
        if (!head.expectContinue) continue
        break
      case Field.xForwardedFor:
        xff = xff === undefined ? value : `${xff}, ${value}`
        continue
      case Field.xForwardedProto:
        proto = value
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
    text += `${name}: ${value}\r\n`
  }
  if (head.chunked) text += 'Transfer-Encoding: chunked\r\n'
  else if (head.contentLength >= 0) text += `Content-Length: ${head.contentLength}\r\n`
  if (xff === undefined && proto === undefined && xfHost === undefined && !forwarded)
    text += client.forwardedLines
  else {
    const chain = xff === undefined || xff === '' ? client.address : `${xff}, ${client.address}`
    text += `X-Forwarded-For: ${chain}\r\nX-Forwarded-Proto: ${client.scheme}\r\n`
    if (!forwarded) text += `Forwarded: ${forwardedShim(chain, client.scheme, xfHost)}\r\n`
  }
  if (!identified) text += `X-Request-Id: ${requestId()}\r\n`
  if (wantsUpgrade(head)) text += `Connection: Upgrade\r\nUpgrade: ${head.upgrade}\r\n`
  text += destination.addedLines
  return edit === undefined ? `${text}\r\n` : `${text}${edit.lines}\r\n`
}

/** How a response goes on to the client. */
export interface ResponseForm {
  /** 0: no chunks, no interim responses. */
  readonly clientMinor: 0 | 1
  /** The client's connection stays open after it. */
  readonly keepAlive: boolean
  /** Switching protocols: Connection and Upgrade pass. */
  readonly upgrade: boolean
}

/** The response's head for the client. */
export function responseText(
  head: ResponseHead,
  form: ResponseForm,
  routeEdit?: HeaderEdit,
  edit?: HeaderEdit,
): string {
  const { names, values, ids, hopNames } = head
  const routeDrops = routeEdit?.drops
  const drops = edit?.drops
  let text = `HTTP/1.1 ${head.status} ${head.reason}\r\n`
  const bodiless = head.status === 204 || head.status < 200
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
        if (form.clientMinor === 0 || bodiless) continue
        break
      case Field.contentLength:
        if (bodiless) continue
        text += `Content-Length: ${head.contentLength}\r\n`
        continue
      default:
    }
    text += `${names[i]}: ${values[i]}\r\n`
  }
  if (routeEdit !== undefined) text += routeEdit.lines
  if (edit !== undefined) text += edit.lines
  if (form.upgrade) return `${text}Connection: Upgrade\r\nUpgrade: ${head.upgrade}\r\n\r\n`
  if (head.status >= 200) {
    if (!form.keepAlive) text += 'Connection: close\r\n'
    else if (form.clientMinor === 0) text += 'Connection: keep-alive\r\n'
  }
  return `${text}\r\n`
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
