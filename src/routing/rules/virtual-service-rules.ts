/**
 * VirtualService in the words of the gateway (networking.istio.io: HTTPRoute of the VirtualService). Every match of a
 * rule becomes a path of its own; a match that asks for something which cannot be seen here takes no request.
 */
import { parseDuration } from '../../knative/duration.ts'
import type {
  Filters,
  HeaderChanges,
  Path,
  PathRewrite,
  Split,
  StringMatch,
} from '../../serving/gateway/feed.ts'
import {
  isSaid,
  unseenInMatches,
  type Destination,
  type HTTPMatchRequest,
  type IstioHeaders,
  type IstioHTTPRoute,
  type IstioRedirect,
  type IstioStringMatch,
  type VirtualService,
} from '../api/virtual-service-spec.ts'
import type { Backend, BackendProblem } from './backend.ts'
import type { Translated } from './http-route-rules.ts'
import { redirectCode } from './http-route-rules.ts'
import { unlimitedMs, type Scheme } from './host-rules.ts'

export interface VirtualServiceWorld {
  /** What a destination means. `authority`: the host that the request is rewritten to, if it is. */
  destination(to: Destination, authority: string | undefined): Backend
}

/** Istio's answer when it has no such destination. */
const unavailable = 503

export function virtualServiceEntries(
  { spec }: VirtualService,
  world: VirtualServiceWorld,
): Translated {
  const problems: BackendProblem[] = []
  const entries = (spec.http ?? []).flatMap((rule, i) => {
    const resolve = (to: Destination, authority: string | undefined): Split => {
      const backend = world.destination(to, authority)
      if ('target' in backend) return { ...backend.target, percent: 100 }
      problems.push(backend.problem)
      return { percent: 100, filters: { status: unavailable } }
    }
    const matches = rule.match?.length ? rule.match : [{}]
    return matches.flatMap((match, j) => {
      const asked = matchOf(match)
      if (!asked) return []
      const at = rule.match?.length ? `spec.http[${i}].match[${j}]` : `spec.http[${i}]`
      return [{ at, path: { ...asked, ...actionOf(rule, match, resolve) } }]
    })
  })
  return { entries, problems }
}

/** Undefined: the match takes no request. */
function matchOf(match: HTTPMatchRequest): Partial<Path> | undefined {
  if (unseenInMatches.some((field) => isSaid(match[field]))) return undefined
  const { uri, ignoreUriCase = false, method, authority, headers = {}, queryParams = {} } = match
  const methods = method && methodsOf(method)
  if (method && !methods) return undefined
  const schemes = schemesOf(match.scheme)
  if (schemes.length === 0) return undefined
  const [scheme, both] = schemes
  const asked: Record<string, StringMatch> = {}
  for (const [name, value] of Object.entries(headers))
    // A header that is only named has to be there.
    asked[name.toLowerCase()] = stringMatch(value) ?? { regex: '(?s).*' }
  if (authority) asked['host'] = authorityMatch(authority)
  const query = Object.entries(queryParams).map(
    ([name, value]) => [name, stringMatch(value) ?? { regex: '(?s).*' }] as const,
  )
  return {
    ...pathOf(uri ?? {}, ignoreUriCase),
    ...(methods && { methods }),
    ...(scheme && !both && { scheme }),
    ...(Object.keys(asked).length > 0 && { headers: asked }),
    ...(query.length > 0 && { query: Object.fromEntries(query) }),
  }
}

function pathOf({ exact, prefix, regex }: IstioStringMatch, ignoreCase: boolean): Partial<Path> {
  const flag = ignoreCase ? '(?i)' : ''
  if (regex !== undefined) return { path: `${flag}${regex}`, pathType: 'regex' }
  if (exact !== undefined)
    return ignoreCase
      ? { path: `${flag}${literal(exact)}`, pathType: 'regex' }
      : { path: exact, pathType: 'exact' }
  if (prefix === undefined || prefix === '/' || prefix === '') return {}
  return ignoreCase
    ? { path: `${flag}${literal(prefix)}(?s:.*)`, pathType: 'regex' }
    : { path: prefix, pathType: 'literal' }
}

/** As a regular expression that means these very letters. */
const literal = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')

const stringMatch = ({ exact, prefix, regex }: IstioStringMatch): StringMatch | undefined => {
  if (exact !== undefined) return { exact }
  if (regex !== undefined) return { regex }
  return prefix === undefined ? undefined : { regex: `${literal(prefix)}(?s:.*)` }
}

/** Those of the schemes there are that the match takes. */
function schemesOf({ exact, prefix, regex }: IstioStringMatch = {}): readonly Scheme[] {
  const names = regex?.replace(/^\^?\(?|\)?\$?$/g, '').split('|')
  return (['http', 'https'] as const).filter(
    (one) =>
      (exact === undefined || one === exact) &&
      (prefix === undefined || one.startsWith(prefix)) &&
      (names === undefined || names.includes(one) || names.includes('https?')),
  )
}

/** Host as clients send it may have a port. */
function authorityMatch(match: IstioStringMatch): StringMatch {
  const { exact, prefix, regex } = match
  if (exact !== undefined)
    return { regex: `(?i)${literal(exact)}${exact.includes(':') ? '' : '(:[0-9]+)?'}` }
  return { regex: regex ?? `(?i)${literal(prefix ?? '')}(?s:.*)` }
}

const knownMethods = 'GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH'.split(' ')

/** A prefix or regular expression is only looked for among the methods that there are. */
function methodsOf({ exact, prefix, regex }: IstioStringMatch): readonly string[] | undefined {
  if (exact !== undefined) return [exact]
  if (prefix !== undefined) return knownMethods.filter((method) => method.startsWith(prefix))
  const names = regex?.replace(/^\^?\(?|\)?\$?$/g, '').split('|')
  return names?.every((name) => /^[A-Z]+$/.test(name)) ? names : undefined
}

type Resolve = (to: Destination, authority: string | undefined) => Split

function actionOf(
  rule: IstioHTTPRoute,
  match: HTTPMatchRequest,
  resolve: Resolve,
): Omit<Path, keyof ReturnType<typeof pathOf>> & { readonly splits: readonly Split[] } {
  const { route = [], redirect, rewrite = {}, timeout, headers = {}, directResponse } = rule
  const authority = rewrite.authority || hostHeader(headers)
  const timeoutMs = timeout === undefined ? undefined : parseDuration(timeout)
  const common: Filters = {
    ...headerFilters(headers),
    ...(rewrite.uri && { rewritePath: rewriteOf(rewrite.uri, match) }),
    ...(redirect && { redirect: redirectOf(redirect) }),
    ...mirrorsOf(rule, (to) => resolve(to, authority)),
  }
  const splits = route.map(({ destination, weight, headers: own = {} }): Split => {
    const host = authority ?? hostHeader(own)
    const split = resolve(destination, host)
    const filters = { ...headerFilters(own), ...split.filters }
    return {
      ...split,
      percent: route.length === 1 ? weight || 100 : (weight ?? 0),
      ...(!authority && host && { appendHeaders: { 'K-Original-Host': host } }),
      ...(Object.keys(filters).length > 0 && { filters }),
    }
  })
  const status =
    statusOf(directResponse) ??
    (!redirect && !splits.some(({ percent }) => percent > 0) ? unavailable : undefined)
  const filters = { ...common, ...(status !== undefined && { status }) }
  return {
    ...(authority && { rewriteHost: authority }),
    ...(Object.keys(filters).length > 0 && { filters }),
    ...(timeoutMs !== undefined && timeoutMs >= 0 && { timeoutMs: timeoutMs || unlimitedMs }),
    splits,
  }
}

/** The status of a directResponse; its body is not sent. */
function statusOf(response: unknown): number | undefined {
  const { status } = Object(response) as { status?: unknown }
  return typeof status === 'number' && status >= 200 && status <= 599 ? status : undefined
}

/** Istio also takes the host from `headers.request.set`. */
const hostHeader = ({ request }: IstioHeaders): string | undefined =>
  Object.entries(request?.set ?? {}).find(([name]) => isHost(name))?.[1]

const isHost = (name: string): boolean => /^(host|:authority)$/i.test(name)

function headerFilters({ request, response }: IstioHeaders): Filters {
  const requestHeaders = changesOf(request)
  const responseHeaders = changesOf(response)
  return {
    ...(requestHeaders && { requestHeaders }),
    ...(responseHeaders && { responseHeaders }),
  }
}

function changesOf(operations: IstioHeaders['request']): HeaderChanges | undefined {
  if (!operations) return undefined
  const { add, remove } = operations
  const set = Object.fromEntries(
    Object.entries(operations.set ?? {}).filter(([name]) => !isHost(name)),
  )
  return {
    ...(Object.keys(set).length > 0 && { set }),
    ...(add && { add }),
    ...(remove?.length && { remove }),
  }
}

/** Of a prefix only the prefix is replaced, of anything else the whole path. */
const rewriteOf = (value: string, { uri }: HTTPMatchRequest): PathRewrite => ({
  type: uri?.exact !== undefined || uri?.regex !== undefined ? 'full' : 'prefix',
  value,
})

function redirectOf(redirect: IstioRedirect): NonNullable<Filters['redirect']> {
  const { uri, authority, port, scheme, redirectCode: code } = redirect
  const [host, itsPort] = authority?.split(':') ?? []
  const number = port ?? (itsPort === undefined ? undefined : Number(itsPort))
  return {
    ...((scheme === 'http' || scheme === 'https') && { scheme }),
    ...(host && { host }),
    ...(number && { port: number }),
    ...(uri && { path: { type: 'full', value: uri } }),
    status: redirectCode(code) ?? 301,
  }
}

function mirrorsOf(
  { mirror, mirrors = [], mirrorPercentage, mirrorPercent, mirror_percent }: IstioHTTPRoute,
  resolve: (to: Destination) => Split,
): Filters {
  const wanted = [
    ...(mirror
      ? [{ to: mirror, percent: mirrorPercentage?.value ?? mirrorPercent ?? mirror_percent ?? 100 }]
      : []),
    ...mirrors.map(({ destination, percentage }) => ({
      to: destination,
      percent: percentage?.value ?? 100,
    })),
  ]
  // Copies to nowhere are not made.
  const made = wanted
    .map(({ to, percent }) => ({ to: resolve(to), percent }))
    .filter(({ to }) => to.filters?.status === undefined)
  return made.length > 0 ? { mirrors: made } : {}
}
