/**
 * Hot path. Decides what becomes of a request: probe, unknown host, redirect, or an exchange with a revision or core Service. Holds
 * what the feed said.
 */
import { Field } from '../../lib/http1/fields.ts'
import type { RequestHead } from '../../lib/http1/head.ts'
import { Revision, type RevisionContext } from './admission/activator.ts'
import {
  type Affinity,
  CookieAffinity,
  HeaderAffinity,
  requestCookie,
  requestHeader,
  revisionMark,
  weightedRendezvous,
} from './routing/affinity.ts'
import {
  type Destination,
  directDestination,
  joinDestinations,
  seenThrough,
} from './routing/destination.ts'
import {
  type Exchange,
  type ExchangeContext,
  noEndpoints,
  type Requester,
  revisionNotFound,
} from './exchange/exchange.ts'
import type { RevisionTarget, ToGateway } from './feed.ts'
import { Mirrors, type MirrorTarget } from './routing/mirror.ts'
import type { Answer, ClientIdentity } from './exchange/outgoing-head.ts'
import { looksLikeProbe, probeAnswer } from './probes.ts'
import { redirectAnswer, toHttps, type OwnPorts } from './routing/redirect.ts'
import {
  fieldValue,
  hostName,
  type HostRoute,
  matchPath,
  revisionOfHost,
  type RoutePath,
  RouteTable,
} from './routing/route-table.ts'
import { Stats } from './admission/stats.ts'

/** A change of what the gateway routes by. */
export type Change = Extract<
  ToGateway,
  { readonly type: 'ingress' | 'ingress-gone' | 'revision' | 'revision-gone' }
>

type Scheme = ClientIdentity['scheme']

/** What the front needs besides what revisions and exchanges do. */
export interface FrontContext extends RevisionContext, ExchangeContext {
  /** Hears of paths that are left out because they cannot be understood. */
  readonly complain?: ((message: string, ingress: string) => void) | undefined
  /** Told of probes that were answered for a revision. */
  readonly probed?:
    | ((client: ClientIdentity, head: RequestHead, target: RevisionTarget, status: number) => void)
    | undefined
}

/** A host whose routes say that another host's routes decide, and so on: so often. */
const maxHops = 4

export class Front {
  readonly revisions = new Map<string, Revision>()
  /** Where clients of this gateway find it. */
  ports: OwnPorts = { http: 80, https: 443 }
  readonly #table: RouteTable
  readonly #context: FrontContext
  /** For core Services: nobody is told of their requests. */
  readonly #serviceContext: FrontContext
  readonly #clusterDomain: string
  /** Hosts as clients write them -> as the table knows them: a small cache, so that a host is normalised once. */
  readonly #hostNames = new Map<string, string>()
  /** Destinations that follow a host -> what that host's routes chose -> both in one. */
  readonly #joined = new WeakMap<Destination, WeakMap<Destination, Destination>>()
  readonly #mirrors: Mirrors
  /** Revisions with session affinity. */
  #sticky = 0

  constructor(context: FrontContext, clusterDomain: string) {
    this.#context = context
    this.#serviceContext = Object.create(context, { stats: { value: new Unreported() } })
    this.#mirrors = new Mirrors(context, (to, head, scheme) => this.#mirrored(to, head, scheme))
    this.#table = new RouteTable(context.memory, context.complain)
    this.#clusterDomain = clusterDomain
  }

  /** Applies changes in one step. `whole`: what they do not name is gone. */
  apply(changes: readonly Change[], whole: boolean): void {
    if (whole) {
      const ingresses = new Set<string>()
      const revisions = new Set<string>()
      for (const change of changes) {
        if (change.type === 'ingress') ingresses.add(change.ingress.key)
        else if (change.type === 'revision') revisions.add(change.revision.key)
      }
      for (const key of this.#table.keys()) if (!ingresses.has(key)) this.#table.delete(key)
      for (const key of this.revisions.keys()) if (!revisions.has(key)) this.#removeRevision(key)
    }
    for (const change of changes) this.#change(change)
  }

  #change(change: Change): void {
    switch (change.type) {
      case 'ingress':
        this.#table.set(change.ingress)
        return
      case 'ingress-gone':
        this.#table.delete(change.key)
        return
      case 'revision':
        this.#setRevision(change.revision)
        return
      case 'revision-gone':
        this.#removeRevision(change.key)
        return
      default:
        change satisfies never
    }
  }

  #setRevision(target: RevisionTarget): void {
    const known = this.revisions.get(target.key)
    if (known?.target.sessionAffinity) this.#sticky--
    if (target.sessionAffinity) this.#sticky++
    if (known) known.update(target)
    else {
      const context = target.kind === 'service' ? this.#serviceContext : this.#context
      this.revisions.set(target.key, new Revision(target, context))
    }
  }

  #removeRevision(key: string): void {
    const revision = this.revisions.get(key)
    if (!revision) return
    if (revision.target.sessionAffinity) this.#sticky--
    this.revisions.delete(key)
    revision.remove()
  }

  /** True for a host that is served outside. */
  routes(host: string): boolean {
    return (this.#table.host(host, false) ?? this.#table.wildcard(host, false)) !== undefined
  }

  /** An exchange, not yet started, or the answer. `local`: cluster-local hosts may be reached. */
  route<E extends Exchange>(client: Requester<E>, head: RequestHead, local: boolean): E | Answer {
    const host = this.#hostName(head.host)
    let route = this.#table.host(host, local)
    if (looksLikeProbe(head)) return this.#probe(client, head, host, route, local)
    if (route === undefined) {
      const direct = local ? this.#direct(head, host) : undefined
      if (direct) return this.#open(client, head, direct)
      route = this.#table.wildcard(host, local)
      if (route === undefined) return unknownHost(head)
    }
    const { scheme } = client.identity
    if (route.redirectToHttps && scheme === 'http') return toHttps(head, this.ports)
    const path = matchPath(route, head, scheme)
    if (path === undefined) return unknownPath(head)
    return this.#open(client, head, this.#choose(path, head, scheme))
  }

  /** What is to be done with a request that goes to `destination`. */
  #open<E extends Exchange>(
    client: Requester<E>,
    head: RequestHead,
    destination: Destination,
  ): E | Answer {
    let to = destination
    if (to.follow !== undefined) {
      const followed = this.#follow(to, head, client.identity.scheme)
      if ('body' in followed) return followed
      to = followed
    }
    if (to.status !== 0)
      return {
        status: to.status,
        body: `answered by the route's rule: its backends cannot be had\n`,
      }
    if (to.redirect !== undefined) return redirectAnswer(to.redirect, head, client.identity.scheme)
    const revision = this.revisions.get(to.revision)
    if (revision === undefined) return unknownTarget(to)
    const { target } = revision
    if (target.kind === 'service' && !revision.ready) return noEndpoints(to.revision)
    const exchange = client.open(head, revision, to, this.#context)
    if (target.sessionAffinity !== undefined) exchange.affinity = affinityOf(target, head)
    if (to.mirrors !== undefined) this.#mirrors.start(exchange, to.mirrors)
    return exchange
  }

  /** Where a copy of a request goes, with everything that is changed on the way. */
  #mirrored(rule: Destination, head: RequestHead, scheme: Scheme): MirrorTarget | undefined {
    const to = rule.follow === undefined ? rule : this.#follow(rule, head, scheme)
    if ('body' in to || to.redirect !== undefined || to.status !== 0) return undefined
    const revision = this.revisions.get(to.revision)
    if (revision === undefined) return undefined
    return { revision, destination: to }
  }

  /** The destination that the routes of another host give, with all changes on the way; or the answer. */
  #follow(from: Destination, head: RequestHead, scheme: Scheme): Destination | Answer {
    let to = from
    for (let hop = 0; to.follow !== undefined; hop++) {
      const host = to.follow
      if (hop === maxHops)
        return {
          status: 508,
          body: `more than ${maxHops} hosts send this request on, one to the other, the last to "${host}": routes that lead in a circle\n`,
        }
      const seen = seenThrough(to, head)
      const route = this.#table.host(host, true) ?? this.#table.wildcard(host, true)
      const path = route && matchPath(route, seen, scheme)
      if (path === undefined)
        return {
          status: 503,
          body: `the backend of this route is the host "${host}", ${route ? `which has no rule for ${head.method} ${seen.target.slice(0, 200)}` : 'which is not known (yet)'}\n`,
        }
      to = this.#join(to, this.#choose(path, seen, scheme))
    }
    return to
  }

  #join(outer: Destination, inner: Destination): Destination {
    let known = this.#joined.get(outer)
    if (known === undefined) this.#joined.set(outer, (known = new WeakMap()))
    let joined = known.get(inner)
    if (joined === undefined) known.set(inner, (joined = joinDestinations(outer, inner)))
    return joined
  }

  #choose(path: RoutePath, head: RequestHead, scheme: Scheme): Destination {
    const stuck = this.#sticky > 0 ? this.#stuck(path, head, scheme) : undefined
    return stuck ?? path.choice.next() ?? path.self
  }

  /** The share of a path that the request's session belongs to. */
  #stuck(path: RoutePath, head: RequestHead, scheme: Scheme): Destination | undefined {
    const { entries } = path.choice
    let header: string | undefined
    for (const { value } of entries) {
      const found = this.#affinityBehind(value, head, scheme, 0)
      if (found === 'here') return value
      header ??= found
    }
    if (header === undefined || entries.length < 2) return undefined
    return entries[weightedRendezvous(header, entries)]?.value
  }

  /** `here`: the request's cookie names a revision behind this destination; else the value of its affinity header. */
  #affinityBehind(
    to: Destination,
    head: RequestHead,
    scheme: Scheme,
    hop: number,
  ): string | undefined {
    if (to.follow !== undefined) {
      const route = hop < maxHops ? this.#table.host(to.follow, true) : undefined
      const path = route && matchPath(route, head, scheme)
      for (const { value } of path?.choice.entries ?? []) {
        const found = this.#affinityBehind(value, head, scheme, hop + 1)
        if (found !== undefined) return found
      }
      return undefined
    }
    const affinity = this.revisions.get(to.revision)?.target.sessionAffinity
    if (affinity === undefined) return undefined
    if ('header' in affinity) return requestHeader(head, affinity.header)
    const cookie = requestCookie(head, affinity.cookie)
    return cookie?.startsWith(`${revisionMark(to.revision)}.`) ? 'here' : undefined
  }

  /** A revision named by host or by Knative's pair of headers. */
  #direct(head: RequestHead, host: string): Destination | undefined {
    const byHost = revisionOfHost(host, this.#clusterDomain)
    if (byHost !== undefined && this.revisions.has(byHost)) return directDestination(byHost)
    const name = fieldValue(head, Field.knativeServingRevision)
    const namespace = fieldValue(head, Field.knativeServingNamespace)
    return name && namespace ? directDestination(`${namespace}/${name}`) : undefined
  }

  #probe(
    client: Requester,
    head: RequestHead,
    host: string,
    route: HostRoute | undefined,
    local: boolean,
  ): Answer {
    // Not `next`: a probe must not take a turn in the traffic split.
    const path = route && matchPath(route, head, client.identity.scheme)
    const key = path
      ? path.choice.entries[0]?.value.revision
      : local
        ? this.#direct(head, host)?.revision
        : undefined
    const revision = key === undefined ? undefined : this.revisions.get(key)
    const answer = probeAnswer(head, {
      hash: route?.hash,
      ready: revision?.ready,
      stopping: this.#context.stopping,
    })
    if (revision) this.#context.probed?.(client.identity, head, revision.target, answer.status)
    return answer
  }

  #hostName(host: string): string {
    let name = this.#hostNames.get(host)
    if (name === undefined) {
      name = hostName(host)
      // Clients choose what stands here: few, short, and copied, for a slice of a head would keep the whole head.
      if (host.length > 255) return name
      if (this.#hostNames.size >= 4096) this.#hostNames.clear()
      const copy = (text: string): string => Buffer.from(text, 'latin1').toString('latin1')
      this.#hostNames.set(copy(host), copy(name))
    }
    return name
  }
}

const unknownHost = (head: RequestHead): Answer => ({
  status: 404,
  body: `404: no service has the host "${head.host}" here. See "kubectl get ksvc -A" for the services and their URLs.\n`,
})

const unknownPath = (head: RequestHead): Answer => ({
  status: 404,
  body: `404: no route of host "${head.host}" takes this path: the host is known, but none of its rules matches ${head.method} ${head.target.slice(0, 200)} with these headers\n`,
})

function unknownTarget({ revision }: Destination): Answer {
  if (revision === '')
    return { status: 500, body: 'no backend of this route has a weight above 0\n' }
  const [, name = ''] = revision.split('/')
  if (name.includes(':')) return noEndpoints(revision)
  return revisionNotFound(name)
}

function affinityOf(
  { key, sessionAffinity }: RevisionTarget,
  head: RequestHead,
): Affinity | undefined {
  if (sessionAffinity === undefined) return undefined
  if ('cookie' in sessionAffinity) {
    const { cookie } = sessionAffinity
    return new CookieAffinity(cookie, key, requestCookie(head, cookie))
  }
  const value = requestHeader(head, sessionAffinity.header)
  return value === undefined ? undefined : new HeaderAffinity(value)
}

/** Requests to core Services do not scale anything. */
class Unreported extends Stats {
  override activate(): boolean {
    return false
  }
}
