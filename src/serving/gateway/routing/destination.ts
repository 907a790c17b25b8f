/**
 * Where a request goes and what is changed on the way: one value for each share of a path, made when the feed brings the path, so
 * that a request only looks at it. Filters and their order follow the Gateway API's HTTPRoute, added headers KIngress.
 */
import { Field } from '../../../lib/http1/fields.ts'
import type { RequestHead } from '../../../lib/http1/head.ts'
import type { Filters, HeaderChanges, Path, Split } from '../feed.ts'
import {
  headerEdit,
  type HeaderEdit,
  type HeaderField,
  joinEdits,
} from '../exchange/header-edit.ts'
import { type PathPrefix, type Rewrite, rewriter } from './path-rewrite.ts'

export interface Destination {
  /** Key of the target: `namespace/name`, of a core Service `namespace/name:port`; '' when it has none of its own. */
  readonly revision: string
  /** The routes of this host say where it goes. */
  readonly follow: string | undefined
  /** Changes to the request's head. */
  readonly request: HeaderEdit | undefined
  /** Changes to the head of the app's final answer. */
  readonly response: HeaderEdit | undefined
  /** The Host the app sees instead of the client's. */
  readonly host: string | undefined
  /** The path and query that the app sees, of those the client asked for. */
  readonly target: Rewrite | undefined
  /** `kn.route.tag` of the request metrics; undefined = the feature is off for this route. */
  readonly tag: string | undefined
  /** For the whole request, in place of the target's own; 0 = the target's own. */
  readonly timeoutMs: number
  /** Answered with a redirect instead of forwarded. */
  readonly redirect: Redirect | undefined
  /** Answered with this status instead of forwarded; 0 = forwarded. */
  readonly status: number
  readonly mirrors: readonly MirrorRule[] | undefined
}

export interface Redirect {
  readonly scheme: 'http' | 'https' | undefined
  readonly host: string | undefined
  readonly port: number | undefined
  readonly rewrite: Rewrite | undefined
  readonly status: number
}

export interface MirrorRule {
  readonly to: Destination
  /** More than 0, up to 100. */
  readonly percent: number
  /** Requests that this rule saw. */
  seen: number
}

/** Headers that only mean something between Knative's own hops; they end here. */
const endHere = new Set([
  'knative-serving-revision',
  'knative-serving-namespace',
  'knative-direct-lb',
  'k-network-probe',
  'k-network-hash',
  'k-proxy-request',
  'k-passthrough-lb',
])

/** Mirrors of one path; further ones are left out. */
const maxMirrors = 4

/** A destination that is a target itself, nothing changed. */
export const directDestination = (revision: string): Destination => ({
  revision,
  follow: undefined,
  request: undefined,
  response: undefined,
  host: undefined,
  target: undefined,
  tag: undefined,
  timeoutMs: 0,
  redirect: undefined,
  status: 0,
  mirrors: undefined,
})

/** What `path` says for requests, whichever of its shares they take. */
export const pathDestination = (path: Path): Destination => splitDestination(path, { percent: 0 })

/** What `path` and its `split` say together. */
export function splitDestination(path: Path, split: Split): Destination {
  const changes = new HeadChanges(path.rewriteHost)
  changes.replace(path.appendHeaders)
  changes.replace(split.appendHeaders)
  changes.change(path.filters?.requestHeaders)
  changes.change(split.filters?.requestHeaders)
  const filters = { ...path.filters, ...split.filters } satisfies Filters
  const { redirect } = filters
  return {
    revision: split.revision ?? split.service ?? '',
    follow: split.host?.toLowerCase(),
    request: changes.edit,
    response: responseEdit(path.filters?.responseHeaders, split.filters?.responseHeaders),
    host: changes.host,
    target: filters.rewritePath && rewriter(prefixOf(path), filters.rewritePath),
    tag: tagOf({ ...path.appendHeaders, ...split.appendHeaders }),
    timeoutMs: path.timeoutMs ?? 0,
    redirect: redirect && {
      scheme: redirect.scheme,
      host: redirect.host,
      port: redirect.port,
      rewrite: redirect.path && rewriter(prefixOf(path), redirect.path),
      status: redirect.status,
    },
    status: filters.status ?? 0,
    mirrors: mirrorsOf(path, [...(path.filters?.mirrors ?? []), ...(split.filters?.mirrors ?? [])]),
  }
}

/** What becomes of a request that `outer` sent to the routes of another host, which chose `inner`. */
export function joinDestinations(outer: Destination, inner: Destination): Destination {
  const { target: first } = outer
  const { target: second } = inner
  const timeouts = [outer.timeoutMs, inner.timeoutMs].filter((timeoutMs) => timeoutMs > 0)
  const mirrors = [...(outer.mirrors ?? []), ...(inner.mirrors ?? [])]
  return {
    revision: inner.revision,
    follow: inner.follow,
    request: joinEdits(outer.request, inner.request),
    response: joinEdits(inner.response, outer.response),
    host: outer.host ?? inner.host,
    target: first && second ? (target) => second(first(target)) : (first ?? second),
    tag: inner.tag,
    timeoutMs: timeouts.length > 0 ? Math.min(...timeouts) : 0,
    redirect: inner.redirect,
    status: inner.status,
    mirrors: mirrors.length > 0 ? mirrors : undefined,
  }
}

/** The head as the routes of another host see it, when a destination sends a request on to them. */
export function seenThrough({ request, target }: Destination, head: RequestHead): RequestHead {
  if (request === undefined && target === undefined) return head
  const seen: RequestHead = { ...head, names: [], values: [], ids: [] }
  if (target) seen.target = target(head.target)
  for (const [i, name] of head.names.entries()) {
    if (request?.drops?.has(name.toLowerCase())) continue
    seen.names.push(name)
    seen.values.push(head.values[i]!)
    seen.ids.push(head.ids[i]!)
  }
  for (const [name, value] of request?.fields ?? []) {
    seen.names.push(name)
    seen.values.push(value)
    seen.ids.push(Field.other)
  }
  return seen
}

/** `kn.route.tag` of a request. A tag that only the client knows would make labels without end. */
export function routeTag({ tag }: Destination, { ids }: RequestHead): string {
  if (tag === undefined) return 'kn:disabled'
  return tag === 'kn:default' && ids.includes(Field.knativeServingTag) ? 'kn:undefined' : tag
}

/** Tag routing by header marks its paths. */
function tagOf(appended: Readonly<Record<string, string>>): string | undefined {
  return (
    appended['Knative-Serving-Tag'] ??
    (appended['Knative-Serving-Default-Route'] === 'true' ? 'kn:default' : undefined)
  )
}

const prefixOf = ({ path = '', pathType = 'literal' }: Path): PathPrefix => ({
  path,
  type: pathType,
})

function mirrorsOf(
  path: Path,
  mirrors: NonNullable<Filters['mirrors']>,
): readonly MirrorRule[] | undefined {
  const { requestHeaders, rewritePath } = path.filters ?? {}
  const copied = { ...(requestHeaders && { requestHeaders }), ...(rewritePath && { rewritePath }) }
  const used = mirrors
    .filter(({ percent }) => percent > 0)
    .slice(0, maxMirrors)
    .map(({ to, percent }) => ({
      to: splitDestination({ ...path, filters: copied, splits: [] }, to),
      percent: Math.min(percent, 100),
      seen: 0,
    }))
  return used.length > 0 ? used : undefined
}

/** The changes of a head, gathered in their order. Host has a place of its own. */
class HeadChanges {
  host: string | undefined
  #fields: HeaderField[] = []
  readonly #drops = new Set<string>()

  constructor(host: string | undefined) {
    this.host = host
  }

  /** Everything so far as one edit. */
  get edit(): HeaderEdit | undefined {
    return headerEdit(this.#fields, this.#drops)
  }

  replace(headers: Readonly<Record<string, string>> | undefined): void {
    if (headers) this.change({ set: headers })
  }

  /** In the Gateway API's order: set, add, remove. */
  change({ set = {}, add = {}, remove = [] }: HeaderChanges = {}): void {
    for (const [name, value] of Object.entries(set)) {
      if (!this.#takes(name, value)) continue
      this.#drop(name)
      this.#fields.push([name, value])
    }
    for (const [name, value] of Object.entries(add))
      if (this.#takes(name, value)) this.#fields.push([name, value])
    for (const name of remove) this.#drop(name)
  }

  #takes(name: string, value: string): boolean {
    if (isHostName(name)) {
      if (hostValue.test(value)) this.host = value
      return false
    }
    return !endHere.has(name.toLowerCase()) && headerEdit([[name, value]]) !== undefined
  }

  #drop(name: string): void {
    const lower = name.toLowerCase()
    this.#drops.add(lower)
    this.#fields = this.#fields.filter(([other]) => other.toLowerCase() !== lower)
  }
}

const isHostName = (name: string): boolean => /^(?:host|k-original-host)$/i.test(name)
/** What may follow `Host: ` in a request. */
const hostValue = /^[\w.:[\]%-]+$/

function responseEdit(...all: readonly (HeaderChanges | undefined)[]): HeaderEdit | undefined {
  const changes = new HeadChanges(undefined)
  for (const one of all) changes.change(one)
  return changes.edit
}
