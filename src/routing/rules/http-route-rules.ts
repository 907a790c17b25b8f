/** HTTPRoute in the words of the gateway (gateway.networking.k8s.io/v1: HTTPRouteRule and its filters). */
import { parseDuration } from '../../knative/duration.ts'
import type {
  Filters,
  HeaderChanges,
  Path,
  PathRewrite,
  Split,
  StringMatch,
} from '../../serving/gateway/feed.ts'
import type { BackendReference } from '../api/gateway-api.ts'
import type {
  HTTPBackendRef,
  HTTPHeaderFilter,
  HTTPPathModifier,
  HTTPRequestMirror,
  HTTPRequestRedirect,
  HTTPRoute,
  HTTPRouteFilter,
  HTTPRouteMatch,
  HTTPRouteRule,
} from '../api/http-route-spec.ts'
import type { Backend, BackendProblem } from './backend.ts'
import { unlimitedMs, type Entry } from './host-rules.ts'

export interface HTTPRouteWorld {
  /** What a backendRef of this route means; it has its defaults. */
  backend(ref: BackendReference): Backend
}

export interface Translated {
  readonly entries: readonly Entry[]
  /** References that lead nowhere; their share of the requests gets 500. */
  readonly problems: readonly BackendProblem[]
}

/** The rules of a route, wherever it is attached. */
export function httpRouteEntries({ spec }: HTTPRoute, world: HTTPRouteWorld): Translated {
  const problems: BackendProblem[] = []
  const resolve = (ref: BackendReference): Split | undefined => {
    const backend = world.backend(ref)
    if ('target' in backend) return { ...backend.target, percent: 1 }
    problems.push(backend.problem)
    return undefined
  }
  const entries = (spec.rules ?? []).flatMap((rule, i) => {
    const matches = rule.matches?.length ? rule.matches : [{}]
    const common = translateRule(rule, resolve)
    return matches.map((match, j) => ({
      at: `spec.rules[${i}].matches[${j}]`,
      path: { ...matchOf(match), ...common },
    }))
  })
  return { entries, problems }
}

type Resolve = (ref: BackendReference) => Split | undefined
type Action = Pick<Path, 'rewriteHost' | 'filters' | 'timeoutMs' | 'splits'>

function translateRule(rule: HTTPRouteRule, resolve: Resolve): Action {
  const { filters = [], backendRefs = [], timeouts = {} } = rule
  const splits = backendRefs.map((ref) => splitOf(ref, resolve))
  const common = filtersOf(filters, resolve)
  const takes = splits.some(({ percent }) => percent > 0)
  const rewriteHost = hostOf(filters)
  const timeoutMs = timeoutOf(timeouts.request, timeouts.backendRequest)
  return {
    ...(rewriteHost && { rewriteHost }),
    filters: !takes && !common.redirect ? { ...common, status: 500 } : common,
    ...(timeoutMs !== undefined && { timeoutMs }),
    splits,
  }
}

/** There is one attempt a request, so the shorter of the two times counts. */
function timeoutOf(...texts: readonly (string | undefined)[]): number | undefined {
  const times = texts.flatMap((text) => {
    const ms = text === undefined ? undefined : parseDuration(text)
    return ms === undefined ? [] : [ms === 0 ? unlimitedMs : ms]
  })
  return times.length > 0 ? Math.min(...times) : undefined
}

export function matchOf({ path, headers, queryParams, method }: HTTPRouteMatch): Partial<Path> {
  const { type = 'PathPrefix', value = '/' } = path ?? {}
  const everything = type === 'PathPrefix' && value === '/'
  return {
    ...(!everything && { path: value, pathType: pathTypes[type] ?? 'exact' }),
    ...(method && { methods: [method] }),
    ...(headers?.length && { headers: named(headers, (name) => name.toLowerCase()) }),
    ...(queryParams?.length && { query: named(queryParams, (name) => name) }),
  }
}

const pathTypes: Readonly<Record<string, NonNullable<Path['pathType']>>> = {
  Exact: 'exact',
  PathPrefix: 'prefix',
  RegularExpression: 'regex',
}

interface Named {
  readonly type?: string
  readonly name: string
  readonly value: string
}

/** Of several with one name the first counts. */
function named(
  matches: readonly Named[],
  nameOf: (name: string) => string,
): Record<string, StringMatch> {
  const found: Record<string, StringMatch> = Object.create(null) as Record<string, StringMatch>
  for (const { type, name, value } of matches)
    found[nameOf(name)] ??= type === 'RegularExpression' ? { regex: value } : { exact: value }
  return found
}

function splitOf(ref: HTTPBackendRef, resolve: Resolve): Split {
  const { weight = 1, filters = [] } = ref
  const split = resolve(ref)
  if (!split) return { percent: weight, filters: { status: 500 } }
  const own = filtersOf(filters, resolve)
  const host = hostOf(filters)
  return {
    ...split,
    percent: weight,
    ...(host && { appendHeaders: { 'K-Original-Host': host } }),
    ...(Object.keys(own).length > 0 && { filters: own }),
  }
}

const hostOf = (filters: readonly HTTPRouteFilter[]): string | undefined =>
  filters.find(({ type }) => type === 'URLRewrite')?.urlRewrite?.hostname

function filtersOf(filters: readonly HTTPRouteFilter[], resolve: Resolve): Filters {
  const mirrors: NonNullable<Filters['mirrors']>[number][] = []
  let found: Filters = {}
  for (const filter of filters) {
    const { requestHeaderModifier, responseHeaderModifier, urlRewrite, requestRedirect } = filter
    switch (filter.type) {
      case 'RequestHeaderModifier':
        found = { ...found, requestHeaders: headersOf(requestHeaderModifier) }
        break
      case 'ResponseHeaderModifier':
        found = { ...found, responseHeaders: headersOf(responseHeaderModifier) }
        break
      case 'URLRewrite':
        if (urlRewrite?.path) found = { ...found, rewritePath: rewriteOf(urlRewrite.path) }
        break
      case 'RequestRedirect':
        found = { ...found, redirect: redirectOf(requestRedirect ?? {}) }
        break
      case 'RequestMirror': {
        const to = filter.requestMirror && resolve(filter.requestMirror.backendRef)
        if (filter.requestMirror && to)
          mirrors.push({ to, percent: mirrorPercent(filter.requestMirror) })
        break
      }
      default:
        // What has to be done to the request is not known, so it must not get through.
        found = { ...found, status: 500 }
    }
  }
  return { ...found, ...(mirrors.length > 0 && { mirrors }) }
}

export const headersOf = ({ set, add, remove }: HTTPHeaderFilter = {}): HeaderChanges => ({
  ...(set?.length && { set: fields(set) }),
  ...(add?.length && { add: fields(add) }),
  ...(remove?.length && { remove }),
})

const fields = (headers: readonly Pick<Named, 'name' | 'value'>[]): Record<string, string> =>
  Object.fromEntries(headers.map(({ name, value }) => [name, value]))

const rewriteOf = (path: HTTPPathModifier): PathRewrite =>
  path.type === 'ReplaceFullPath'
    ? { type: 'full', value: path.replaceFullPath ?? '' }
    : { type: 'prefix', value: path.replacePrefixMatch ?? '' }

function redirectOf(redirect: HTTPRequestRedirect): NonNullable<Filters['redirect']> {
  const { scheme, hostname, port, path, statusCode } = redirect
  return {
    ...((scheme === 'http' || scheme === 'https') && { scheme }),
    ...(hostname && { host: hostname }),
    ...(port && { port }),
    ...(path && { path: rewriteOf(path) }),
    status: redirectCode(statusCode) ?? 302,
  }
}

/** The code, when it is one of those that redirect. */
export function redirectCode(code: number | undefined): 301 | 302 | 303 | 307 | 308 | undefined {
  switch (code) {
    case 301:
    case 302:
    case 303:
    case 307:
    case 308:
      return code
    default:
      return undefined
  }
}

function mirrorPercent({ percent, fraction }: HTTPRequestMirror): number {
  if (percent !== undefined) return percent
  if (!fraction) return 100
  return Math.min(100, (fraction.numerator * 100) / (fraction.denominator ?? 100))
}
