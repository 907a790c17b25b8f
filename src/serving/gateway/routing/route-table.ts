/**
 * Hot path (lookups). Which destination a request gets: host without port, exact before wildcard, then the first path whose match it
 * passes, then a weighted choice. Built off the path from feed messages; one ingress is one
 * immutable value, and a change replaces only its own hosts.
 */
import type { Field } from '../../../lib/http1/fields.ts'
import type { RequestHead } from '../../../lib/http1/head.ts'
import { PatternError } from '../../../lib/pattern.ts'
import { type Destination, pathDestination, splitDestination } from './destination.ts'
import type { IngressRoute, Path, Rule, Split } from '../feed.ts'
import { matches, matchText, requestMatch, type RequestMatch } from './request-match.ts'
import { LocalShareCounters, type ShareCounter, type ShareCounters } from './share-counter.ts'
import { WeightedChoice } from './weighted-choice.ts'

export { type Destination, directDestination } from './destination.ts'

/** One path of a host, ready for matching. */
export interface RoutePath {
  readonly match: RequestMatch
  readonly choice: WeightedChoice<Destination>
  /** What the path says itself, for requests that it answers or that find no share with a weight. */
  readonly self: Destination
  /** Names it among the paths of its host. */
  readonly key: string
}

export interface HostRoute {
  readonly ingress: string
  readonly hash: string
  /** The lesser of two has the host. */
  readonly age: string
  /** In the order in which they are tried. */
  readonly paths: readonly RoutePath[]
  /** Plain HTTP is sent to https. */
  readonly redirectToHttps: boolean
}

/** All hosts, of two audiences: everybody, and callers on this machine or in this cluster. */
export class RouteTable {
  readonly #ingresses = new Map<string, Compiled>()
  readonly #public = new HostIndex()
  readonly #local = new HostIndex()
  readonly #counters: ShareCounters
  readonly #complain: (message: string, ingress: string) => void

  /** `complain` hears of paths that are left out because they cannot be understood. */
  constructor(
    counters: ShareCounters = new LocalShareCounters(),
    complain: (message: string, ingress: string) => void = () => {},
  ) {
    this.#counters = counters
    this.#complain = complain
  }

  /** Adds or replaces an ingress. */
  set(ingress: IngressRoute): void {
    const before = this.#ingresses.get(ingress.key)
    const after = compile(ingress, before, this.#counters, (message) =>
      this.#complain(message, ingress.key),
    )
    this.#ingresses.set(ingress.key, after)
    this.#public.replace(before?.external, after.external)
    this.#local.replace(before?.local, after.local)
    if (before)
      for (const key of before.counted) if (!after.counted.has(key)) this.#counters.release(key)
  }

  delete(key: string): void {
    const before = this.#ingresses.get(key)
    if (!before) return
    this.#ingresses.delete(key)
    this.#public.replace(before.external, undefined)
    this.#local.replace(before.local, undefined)
    for (const counted of before.counted) this.#counters.release(counted)
  }

  /** Keys of all ingresses. */
  keys(): IterableIterator<string> {
    return this.#ingresses.keys()
  }

  /**
   * The route of a lower-case host without port, by its own name. `local`: cluster-local hosts may be reached too; for a
   * host that has rules of both kinds those for inside say everything.
   */
  host(host: string, local: boolean): HostRoute | undefined {
    return (local ? this.#local.get(host) : undefined) ?? this.#public.get(host)
  }

  /** The route of the longest wildcard that covers a host, for one that has none of its own. */
  wildcard(host: string, local: boolean): HostRoute | undefined {
    if (!this.#public.hasWildcards && !(local && this.#local.hasWildcards)) return undefined
    for (let dot = host.indexOf('.'); dot >= 0; dot = host.indexOf('.', dot + 1)) {
      const route = this.host(`*${host.slice(dot)}`, local)
      if (route) return route
    }
    return this.host('*', local)
  }
}

/** Where in a host's route the request belongs: the first path whose conditions it meets. */
export function matchPath(
  route: HostRoute,
  head: RequestHead,
  scheme: 'http' | 'https',
): RoutePath | undefined {
  const { paths } = route
  for (let i = 0; i < paths.length; i++) {
    const path = paths[i]!
    if (matches(path.match, head, scheme)) return path
  }
  return undefined
}

/** The next destination of a request to this host, or undefined when no path takes it. */
export const destinationOf = (
  route: HostRoute,
  head: RequestHead,
  scheme: 'http' | 'https' = 'http',
): Destination | undefined => matchPath(route, head, scheme)?.choice.next()

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

interface Compiled {
  readonly external: ReadonlyMap<string, HostRoute>
  readonly local: ReadonlyMap<string, HostRoute>
  /** Keys of the share counters in use. */
  readonly counted: ReadonlySet<string>
}

type Hosts = ReadonlyMap<string, HostRoute>

function compile(
  ingress: IngressRoute,
  before: Compiled | undefined,
  counters: ShareCounters,
  complain: (message: string) => void,
): Compiled {
  const counted = new Set<string>()
  const hostsOf = (visibility: Rule['visibility'], old: Hosts | undefined): Hosts => {
    const hosts = new Map<string, HostPaths>()
    for (const rule of ingress.rules) {
      if (rule.visibility !== visibility) continue
      for (const name of rule.hosts) {
        const host = name.toLowerCase()
        let paths = hosts.get(host)
        if (!paths) {
          const counter = (key: string): ShareCounter => {
            const whole = `${ingress.key} ${visibility} ${host} ${key}`
            counted.add(whole)
            return counters.counter(whole)
          }
          paths = new HostPaths(old?.get(host), counter, complain)
          hosts.set(host, paths)
        }
        paths.add(rule)
      }
    }
    return new Map([...hosts].map(([host, paths]) => [host, paths.route(ingress)]))
  }
  const external = hostsOf('ExternalIP', before?.external)
  return { external, local: hostsOf('ClusterLocal', before?.local), counted }
}

/** Gathers the paths of one host. */
class HostPaths {
  /** Of rules that give the order. */
  readonly #ordered: RoutePath[] = []
  readonly #others: RoutePath[] = []
  readonly #keys = new Set<string>()
  readonly #before: ReadonlyMap<string, RoutePath>
  readonly #counter: (key: string) => ShareCounter
  readonly #complain: (message: string) => void
  #redirectToHttps = false

  constructor(
    before: HostRoute | undefined,
    counter: (key: string) => ShareCounter,
    complain: (message: string) => void,
  ) {
    this.#before = new Map(before?.paths.map((path) => [path.key, path]))
    this.#counter = counter
    this.#complain = complain
  }

  add({ paths, ordered = false, redirectToHttps = false }: Rule): void {
    this.#redirectToHttps ||= redirectToHttps
    for (const path of paths) {
      const compiled = this.#compile(path)
      if (compiled) (ordered ? this.#ordered : this.#others).push(compiled)
    }
  }

  route({ key, hash, createdAt = '' }: IngressRoute): HostRoute {
    return {
      ingress: key,
      hash,
      age: `${createdAt} ${key}`,
      paths: [...this.#ordered, ...this.#others.toSorted(bySpecificity)],
      redirectToHttps: this.#redirectToHttps,
    }
  }

  #compile(path: Path): RoutePath | undefined {
    let match: RequestMatch
    try {
      match = requestMatch(path)
    } catch (error) {
      // Taking requests that it was not made for would be worse than taking none.
      if (!(error instanceof PatternError)) throw error
      this.#complain(error.message)
      return undefined
    }
    const text = matchText(path)
    let key = text
    for (let i = 2; this.#keys.has(key); i++) key = `${text} ${i}`
    this.#keys.add(key)
    const weighted = path.splits.map((split, i) => ({
      key: splitKey(path, i),
      value: splitDestination(path, split),
      weight: split.percent,
    }))
    return {
      match,
      choice: new WeightedChoice(weighted, () => this.#counter(key), this.#before.get(key)?.choice),
      self: pathDestination(path),
      key,
    }
  }
}

/** Names a split among those of its path, in whatever order they come. */
function splitKey({ splits }: Path, at: number): string {
  const targetOf = ({ revision, service, host }: Split): string =>
    revision ?? service ?? `host ${host ?? ''}`
  const target = targetOf(splits[at]!)
  const same = splits.slice(0, at).filter((split) => targetOf(split) === target).length
  return same === 0 ? target : `${target} ${same}`
}

/** More header matches first, then exact paths, then the longer prefix; sorting is stable, so order decides last. */
const bySpecificity = (a: RoutePath, b: RoutePath): number =>
  b.match.headers.length - a.match.headers.length ||
  Number(b.match.pathType === 'exact') - Number(a.match.pathType === 'exact') ||
  b.match.path.length - a.match.path.length

/** Hosts of all ingresses. When several claim a host, the oldest has it until it goes, in whatever order they came here. */
class HostIndex {
  readonly #claims = new Map<string, HostRoute | HostRoute[]>()
  #wildcards = 0

  get hasWildcards(): boolean {
    return this.#wildcards > 0
  }

  get(host: string): HostRoute | undefined {
    const claim = this.#claims.get(host)
    return Array.isArray(claim) ? claim[0] : claim
  }

  replace(before: Hosts | undefined, after: Hosts | undefined): void {
    if (after) for (const [host, route] of after) this.#put(host, before?.get(host), route)
    if (before)
      for (const [host, route] of before) if (!after?.has(host)) this.#put(host, route, undefined)
  }

  #put(host: string, old: HostRoute | undefined, route: HostRoute | undefined): void {
    const claim = this.#claims.get(host)
    let claims = claim === undefined ? [] : Array.isArray(claim) ? claim : [claim]
    const at = old ? claims.indexOf(old) : -1
    if (at >= 0) claims = route ? claims.with(at, route) : claims.toSpliced(at, 1)
    else if (route) claims = [...claims, route].toSorted(byAge)
    const [first] = claims
    if (!first) this.#claims.delete(host)
    else this.#claims.set(host, claims.length === 1 ? first : claims)
    if (host.startsWith('*')) this.#wildcards += Number(!!first) - Number(claim !== undefined)
  }
}

const byAge = (a: HostRoute, b: HostRoute): number => (a.age < b.age ? -1 : 1)

/** The value of a known field, or undefined; the first when there are several. */
export function fieldValue(head: RequestHead, field: Field): string | undefined {
  const at = head.ids.indexOf(field)
  return at < 0 ? undefined : head.values[at]
}
