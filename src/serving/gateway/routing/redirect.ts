/**
 * Answers that send the client elsewhere: HTTPRoute's RequestRedirect (Gateway API, HTTPRequestRedirectFilter) and the
 * way from plain HTTP to https.
 */
import type { RequestHead } from '../../../lib/http1/head.ts'
import type { Redirect } from './destination.ts'
import type { Answer } from '../exchange/outgoing-head.ts'

const wellKnown = { http: 80, https: 443 } as const

/**
 * What is absent stays as the client asked. Port: the redirect's, else the well-known one of its scheme, else the one
 * that the client used; never written where it is the scheme's own.
 */
export function redirectAnswer(
  redirect: Redirect,
  head: RequestHead,
  clientScheme: 'http' | 'https',
): Answer {
  const asked = hostAndPort(head.host)
  const scheme = redirect.scheme ?? clientScheme
  const port =
    redirect.port ??
    (redirect.scheme ? wellKnown[redirect.scheme] : asked.port) ??
    wellKnown[scheme]
  const host = redirect.host ?? asked.host
  const target = redirect.rewrite ? redirect.rewrite(head.target) : head.target
  return moved(redirect.status, `${scheme}://${host}${portText(scheme, port)}${pathOf(target)}`)
}

/** Where the gateway listens. */
export interface OwnPorts {
  readonly http: number
  readonly https: number
}

/**
 * Same host, path and query, by https. A client that asked for another port than ours came through something that
 * forwards, which then has 443 too.
 */
export function toHttps(head: RequestHead, own: OwnPorts): Answer {
  const { host, port: asked = wellKnown.http } = hostAndPort(head.host)
  const port = asked === own.http ? own.https : wellKnown.https
  return moved(301, `https://${host}${portText('https', port)}${pathOf(head.target)}`)
}

const moved = (status: number, location: string): Answer => ({
  status,
  body: `moved to ${location}\n`,
  lines: `Location: ${location}\r\n`,
})

const portText = (scheme: 'http' | 'https', port: number): string =>
  port === wellKnown[scheme] ? '' : `:${port}`

/** `OPTIONS *` is about the server. */
const pathOf = (target: string): string => (target === '*' ? '/' : target)

function hostAndPort(text: string): { readonly host: string; readonly port: number | undefined } {
  const colon = text.lastIndexOf(':')
  if (colon < 0 || text.endsWith(']')) return { host: text, port: undefined }
  const port = Number(text.slice(colon + 1))
  return { host: text.slice(0, colon), port: port > 0 && port < 65_536 ? port : undefined }
}
