/**
 * Hot path. Decides what becomes of a request: probe, unknown host, or an exchange with a revision. Holds what the feed said.
 */
import { Field } from '../../lib/http1/fields.ts'
import type { RequestHead } from '../../lib/http1/head.ts'
import { Revision, type RevisionContext } from './activator.ts'
import {
  type Exchange,
  type ExchangeContext,
  type Requester,
  revisionNotFound,
} from './exchange.ts'
import type { ToGateway } from './feed.ts'
import type { Answer } from './outgoing-head.ts'
import { looksLikeProbe, probeAnswer } from './probes.ts'
import {
  type Destination,
  destinationOf,
  directDestination,
  fieldValue,
  hostName,
  type HostRoute,
  matchPath,
  revisionOfHost,
  RouteTable,
} from './route-table.ts'

/** A change of what the gateway routes by. */
export type Change = Extract<
  ToGateway,
  { readonly type: 'ingress' | 'ingress-gone' | 'revision' | 'revision-gone' }
>

export class Front {
  readonly revisions = new Map<string, Revision>()
  readonly #table = new RouteTable()
  readonly #context: RevisionContext & ExchangeContext
  readonly #clusterDomain: string
  /** Hosts as clients write them -> as the table knows them: a small cache, so that a host is normalised once. */
  readonly #hostNames = new Map<string, string>()

  constructor(context: RevisionContext & ExchangeContext, clusterDomain: string) {
    this.#context = context
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
      case 'revision': {
        const { revision } = change
        const known = this.revisions.get(revision.key)
        if (known) known.update(revision)
        else this.revisions.set(revision.key, new Revision(revision, this.#context))
        return
      }
      case 'revision-gone':
        this.#removeRevision(change.key)
        return
      default:
        change satisfies never
    }
  }

  #removeRevision(key: string): void {
    const revision = this.revisions.get(key)
    if (!revision) return
    this.revisions.delete(key)
    revision.remove()
  }

  /** True for a host that is served outside. */
  routes(host: string): boolean {
    return this.#table.host(host, false) !== undefined
  }

  /** An exchange, not yet started, or the answer. `local`: cluster-local hosts may be reached. */
  route<E extends Exchange>(client: Requester<E>, head: RequestHead, local: boolean): E | Answer {
    const host = this.#hostName(head.host)
    const route = this.#table.host(host, local)
    if (looksLikeProbe(head)) return this.#probe(head, host, route, local)
    let destination: Destination | undefined
    if (route) destination = destinationOf(route, head)
    else if (local) destination = this.#direct(head, host)
    if (!destination) return nothingAt(head, route)
    const revision = this.revisions.get(destination.revision)
    if (!revision) return revisionNotFound(destination.revision.split('/')[1] ?? '')
    if (revision.target.protocol === 'h2c')
      return {
        status: 502,
        body: `revision ${destination.revision} speaks HTTP/2 (port name h2c), which this gateway does not forward`,
      }
    return client.open(head, revision, destination, this.#context)
  }

  /** A revision named by host or by Knative's pair of headers. */
  #direct(head: RequestHead, host: string): Destination | undefined {
    const byHost = revisionOfHost(host, this.#clusterDomain)
    if (byHost !== undefined && this.revisions.has(byHost)) return directDestination(byHost)
    const name = fieldValue(head, Field.knativeServingRevision)
    const namespace = fieldValue(head, Field.knativeServingNamespace)
    return name && namespace ? directDestination(`${namespace}/${name}`) : undefined
  }

  #probe(head: RequestHead, host: string, route: HostRoute | undefined, local: boolean): Answer {
    // Not `next`: a probe must not take a turn in the traffic split.
    const path = route && matchPath(route, head)
    const key = path
      ? path.choice.any()?.revision
      : local
        ? this.#direct(head, host)?.revision
        : undefined
    const revision = key === undefined ? undefined : this.revisions.get(key)
    return probeAnswer(head, {
      hash: route?.hash,
      ready: revision?.ready,
      stopping: this.#context.stopping,
    })
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

function nothingAt(head: RequestHead, route: HostRoute | undefined): Answer {
  return {
    status: 404,
    body: route
      ? `404: no route of host "${head.host}" takes this path\n`
      : `404: no service has the host "${head.host}" here. See "kubectl get ksvc -A" for the services and their URLs.\n`,
  }
}
