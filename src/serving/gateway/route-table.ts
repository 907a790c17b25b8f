/**
 * Hot path (lookups). Which revision a request goes to: host without port, then header matches, longest path, order, then a
 * weighted choice (contracts/serving.md 4.2). Built off the path from feed messages; one ingress is one immutable
 * value, and a change replaces only its own hosts.
 */
import { Field, sameName, tokenLower, valueByte } from '../../lib/http1/fields.ts'
import type { RequestHead } from '../../lib/http1/head.ts'
import type { IngressRoute, Path, Split } from './feed.ts'
import type { HeaderEdit } from './header-edit.ts'

/** Where a request goes and what is changed on the way; made once for each split. */
export interface Destination {
  /** `namespace/name`. */
  readonly revision: string
  /** Header lines to add, each with CRLF. */
  readonly addedLines: string
  /** Lower-case names that the added lines replace; undefined = none. */
  readonly replaced: ReadonlySet<string> | undefined
  /** The Host the app sees instead of the client's. */
  readonly host: string | undefined
  /** Changes to the head of the answer. */
  readonly response?: HeaderEdit | undefined
  /** The path and query that the app sees, of those the client asked for. */
  readonly target?: ((target: string) => string) | undefined
  /** `kn.route.tag` of the requests metrics; absent = `kn:disabled`. */
  readonly tag?: string | undefined
}

/** One path of a host, ready for matching. */
interface RoutePath {
  readonly prefix: string
  readonly matches: readonly { readonly name: string; readonly exact: string }[]
  readonly choice: WeightedChoice
}

export interface HostRoute {
  readonly ingress: string
  readonly hash: string
  readonly paths: readonly RoutePath[]
}

/** Headers that only mean something between Knative's own hops; they end here (contracts/serving.md 4.8). */
const endHere = new Set([
  'knative-serving-revision',
  'knative-serving-namespace',
  'knative-direct-lb',
  'k-network-probe',
  'k-network-hash',
  'k-proxy-request',
  'k-passthrough-lb',
])

/**
 * Smooth weighted choice (as nginx does it): over any 100 choices each destination gets exactly its percent, spread evenly. Deterministic,
 * and each call is one synchronous step, so requests at the same time cannot blur the shares.
 */
export class WeightedChoice {
  readonly #destinations: readonly Destination[]
  readonly #weights: readonly number[]
  readonly #credit: number[]
  readonly #total: number

  /** `before`: a choice that this one replaces; its credit goes on, so that frequent small changes starve nobody. */
  constructor(
    weighted: readonly { readonly destination: Destination; readonly percent: number }[],
    before?: WeightedChoice,
  ) {
    const used = weighted.filter(({ percent }) => percent > 0)
    this.#destinations = used.map(({ destination }) => destination)
    this.#weights = used.map(({ percent }) => percent)
    this.#total = this.#weights.reduce((sum, weight) => sum + weight, 0)
    this.#credit = this.#destinations.map(({ revision }) =>
      Math.max(-this.#total, Math.min(this.#total, before?.creditOf(revision) ?? 0)),
    )
  }

  creditOf(revision: string): number {
    const at = this.#destinations.findIndex((destination) => destination.revision === revision)
    return this.#credit[at] ?? 0
  }

  /** One of the destinations, without counting it. */
  any(): Destination | undefined {
    return this.#destinations[0]
  }

  next(): Destination | undefined {
    const destinations = this.#destinations
    if (destinations.length < 2) return destinations[0]
    let best = 0
    for (let i = 0; i < destinations.length; i++) {
      this.#credit[i]! += this.#weights[i]!
      if (this.#credit[i]! > this.#credit[best]!) best = i
    }
    this.#credit[best]! -= this.#total
    return destinations[best]
  }
}

/** All hosts, of two audiences: everybody, and callers on this machine or in this cluster. */
export class RouteTable {
  readonly #ingresses = new Map<string, Compiled>()
  readonly #public = new HostIndex()
  readonly #local = new HostIndex()

  /** Adds or replaces an ingress. */
  set(ingress: IngressRoute): void {
    const before = this.#ingresses.get(ingress.key)
    const after = compile(ingress, before)
    this.#ingresses.set(ingress.key, after)
    this.#public.replace(before?.external, after.external)
    this.#local.replace(before?.local, after.local)
  }

  delete(key: string): void {
    const before = this.#ingresses.get(key)
    if (!before) return
    this.#ingresses.delete(key)
    this.#public.replace(before.external, undefined)
    this.#local.replace(before.local, undefined)
  }

  /** Keys of all ingresses. */
  keys(): IterableIterator<string> {
    return this.#ingresses.keys()
  }

  /** The route of a lower-case host without port. `local`: cluster-local hosts may be reached too. */
  host(host: string, local: boolean): HostRoute | undefined {
    return this.#public.get(host) ?? (local ? this.#local.get(host) : undefined)
  }
}

/** Where in a host's route the request belongs: the first path whose headers and prefix match. */
export function matchPath(route: HostRoute, head: RequestHead): RoutePath | undefined {
  const { paths } = route
  for (let i = 0; i < paths.length; i++) {
    const path = paths[i]!
    if (path.prefix !== '' && !pathOf(head.target).startsWith(path.prefix)) continue
    if (path.matches.length > 0 && !headersMatch(path, head)) continue
    return path
  }
  return undefined
}

/** The next destination of a request to this host, or undefined when no path takes it. */
export const destinationOf = (route: HostRoute, head: RequestHead): Destination | undefined =>
  matchPath(route, head)?.choice.next()

/** A destination that is a revision itself, nothing added. */
export const directDestination = (revision: string): Destination => ({
  revision,
  addedLines: '',
  replaced: undefined,
  host: undefined,
})

/** Lower case, without port and without the dot of a fully qualified name. */
export function hostName(host: string): string {
  const colon = host.lastIndexOf(':')
  const bare = colon < 0 || host.endsWith(']') ? host : host.slice(0, colon)
  return (bare.endsWith('.') ? bare.slice(0, -1) : bare).toLowerCase()
}

/** `namespace/name` that a host of the form `<revision>.<namespace>[.svc[.<cluster domain>]]` means. */
export function revisionOfHost(host: string, clusterDomain: string): string | undefined {
  const [revision, namespace, svc, ...rest] = host.split('.')
  if (!revision || !namespace) return undefined
  if (svc !== undefined && svc !== 'svc') return undefined
  if (rest.length > 0 && rest.join('.') !== clusterDomain) return undefined
  return `${namespace}/${revision}`
}

const pathOf = (target: string): string => {
  const query = target.indexOf('?')
  return query < 0 ? target : target.slice(0, query)
}

function headersMatch(path: RoutePath, head: RequestHead): boolean {
  return path.matches.every(({ name, exact }) => {
    const { names, values } = head
    for (let i = 0; i < names.length; i++)
      if (values[i] === exact && sameName(names[i]!, name)) return true
    return false
  })
}

interface Compiled {
  readonly external: ReadonlyMap<string, HostRoute>
  readonly local: ReadonlyMap<string, HostRoute>
}

function compile(ingress: IngressRoute, before: Compiled | undefined): Compiled {
  const external = new Map<string, RoutePath[]>()
  const local = new Map<string, RoutePath[]>()
  for (const rule of ingress.rules) {
    const hosts = rule.visibility === 'ExternalIP' ? external : local
    const old = rule.visibility === 'ExternalIP' ? before?.external : before?.local
    for (const name of rule.hosts) {
      const host = name.toLowerCase()
      const paths = hosts.get(host) ?? []
      for (const path of rule.paths) paths.push(compilePath(path, old?.get(host)))
      hosts.set(host, paths)
    }
  }
  const finish = (hosts: Map<string, RoutePath[]>): ReadonlyMap<string, HostRoute> =>
    new Map(
      [...hosts].map(([host, paths]) => [
        host,
        { ingress: ingress.key, hash: ingress.hash, paths: paths.toSorted(bySpecificity) },
      ]),
    )
  return { external: finish(external), local: finish(local) }
}

/** More header matches first, then the longer prefix; sorting is stable, so order decides last. */
const bySpecificity = (a: RoutePath, b: RoutePath): number =>
  b.matches.length - a.matches.length || b.prefix.length - a.prefix.length

function compilePath(path: Path, old: HostRoute | undefined): RoutePath {
  const prefix = path.path ?? ''
  const matches = Object.entries(path.headers ?? {}).map(([name, match]) => ({
    name: name.toLowerCase(),
    exact: 'exact' in match ? match.exact : match.regex,
  }))
  const before = old?.paths.find(
    (candidate) =>
      candidate.prefix === prefix &&
      candidate.matches.length === matches.length &&
      candidate.matches.every(
        (match, i) => match.name === matches[i]?.name && match.exact === matches[i]?.exact,
      ),
  )
  return {
    prefix,
    matches,
    choice: new WeightedChoice(
      path.splits.map((split) => ({
        destination: compileSplit(path, split),
        percent: split.percent,
      })),
      before?.choice,
    ),
  }
}

function compileSplit(path: Path, split: Split): Destination {
  let host = path.rewriteHost
  let addedLines = ''
  const replaced = new Set<string>()
  for (const [name, value] of Object.entries({ ...path.appendHeaders, ...split.appendHeaders })) {
    const lower = name.toLowerCase()
    if (endHere.has(lower) || !isHeader(name, value)) continue
    if (lower === 'k-original-host' || lower === 'host') {
      host = value
      continue
    }
    addedLines += `${name}: ${value}\r\n`
    replaced.add(lower)
  }
  return {
    revision: split.revision ?? split.service ?? '',
    addedLines,
    replaced: replaced.size > 0 ? replaced : undefined,
    host,
  }
}

/** What an API object says must not become a line break in a request, or its framing. */
function isHeader(name: string, value: string): boolean {
  const lower = name.toLowerCase()
  if (lower === 'content-length' || lower === 'transfer-encoding' || lower === 'connection')
    return false
  if (name === '') return false
  for (let i = 0; i < name.length; i++) if (!tokenLower[name.charCodeAt(i)]) return false
  for (let i = 0; i < value.length; i++) if (!valueByte[value.charCodeAt(i)]) return false
  return true
}

/** Hosts of all ingresses. When several claim a host, the one that came first has it until it goes. */
class HostIndex {
  readonly #claims = new Map<string, HostRoute | HostRoute[]>()

  get(host: string): HostRoute | undefined {
    const claim = this.#claims.get(host)
    return Array.isArray(claim) ? claim[0] : claim
  }

  replace(
    before: ReadonlyMap<string, HostRoute> | undefined,
    after: ReadonlyMap<string, HostRoute> | undefined,
  ): void {
    if (after) for (const [host, route] of after) this.#put(host, before?.get(host), route)
    if (before)
      for (const [host, route] of before) if (!after?.has(host)) this.#put(host, route, undefined)
  }

  #put(host: string, old: HostRoute | undefined, route: HostRoute | undefined): void {
    const claim = this.#claims.get(host)
    let claims = claim === undefined ? [] : Array.isArray(claim) ? claim : [claim]
    const at = old ? claims.indexOf(old) : -1
    if (at >= 0) claims = route ? claims.with(at, route) : claims.toSpliced(at, 1)
    else if (route) claims = [...claims, route]
    const [first] = claims
    if (!first) this.#claims.delete(host)
    else this.#claims.set(host, claims.length === 1 ? first : claims)
  }
}

/** The value of a known field, or undefined; the first when there are several. */
export function fieldValue(head: RequestHead, field: Field): string | undefined {
  const at = head.ids.indexOf(field)
  return at < 0 ? undefined : head.values[at]
}
