/**
 * What the gateway must know, and what it tells back: messages of one socket, a JSON document a line. The control plane
 * connects to the gateway (so that a new control plane finds the one that is running), sends `reset`, everything it
 * has, then `sync`; from then on single changes, each group closed by a `sync` that the gateway acknowledges once it
 * routes by it. The gateway keeps serving from what it has whenever nobody is connected.
 */

/** One weighted destination. The revision is `namespace/name`. */
export interface Split {
  readonly revision: string
  readonly percent: number
  /** Replace headers of the same name in the request. */
  readonly appendHeaders?: Readonly<Record<string, string>>
}

export interface Path {
  /** Literal prefix; absent or '' matches every path. */
  readonly path?: string
  /** All must match exactly; names are case-insensitive. */
  readonly headers?: Readonly<Record<string, { readonly exact: string }>>
  readonly rewriteHost?: string
  readonly appendHeaders?: Readonly<Record<string, string>>
  readonly splits: readonly Split[]
}

export interface Rule {
  /** Without port, lower case. */
  readonly hosts: readonly string[]
  readonly visibility: 'ExternalIP' | 'ClusterLocal'
  readonly paths: readonly Path[]
}

/** A KIngress as the gateway sees it. */
export interface IngressRoute {
  /** `namespace/name`. */
  readonly key: string
  /** Hex SHA-256 of the KIngress' spec, namespace and name; answered to network probes. */
  readonly hash: string
  readonly rules: readonly Rule[]
}

export interface Backend {
  readonly host: string
  readonly port: number
  readonly pod: string
}

/** A Revision as the gateway sees it. Without backends its requests wait. */
export interface RevisionTarget {
  /** `namespace/name`. */
  readonly key: string
  readonly service: string
  readonly configuration: string
  readonly protocol: 'http1' | 'h2c'
  /** 0 = unlimited. */
  readonly containerConcurrency: number
  readonly timeoutMs: number
  /** 0 = off. */
  readonly responseStartTimeoutMs: number
  /** 0 = off. */
  readonly idleTimeoutMs: number
  readonly backends: readonly Backend[]
}

export type ToGateway =
  | { readonly type: 'reset' }
  | { readonly type: 'ingress'; readonly ingress: IngressRoute }
  | { readonly type: 'ingress-gone'; readonly key: string }
  | { readonly type: 'revision'; readonly revision: RevisionTarget }
  | { readonly type: 'revision-gone'; readonly key: string }
  /** Answer `drained` once no request is in flight to this backend any more. */
  | { readonly type: 'drain'; readonly id: number; readonly host: string; readonly port: number }
  | { readonly type: 'sync'; readonly version: number }
  /** Finish what is in flight, then end the process. */
  | { readonly type: 'stop'; readonly graceMs: number }

/** One second of one revision, measured where requests are admitted. */
export interface RevisionStat {
  readonly revision: string
  /** Time-weighted average of requests in flight, waiting ones included. */
  readonly concurrency: number
  /** Requests that arrived during the period. */
  readonly requestCount: number
  /** Length of the period in seconds. */
  readonly seconds: number
}

export type FromGateway =
  | {
      readonly type: 'hello'
      readonly pid: number
      readonly http: { readonly host: string; readonly port: number }
      /** The listener for cluster-local hosts. */
      readonly local: { readonly host: string; readonly port: number }
    }
  | { readonly type: 'ack'; readonly version: number }
  /** A request arrived for a revision without a ready backend: sent at once, then not again until it has had one. */
  | { readonly type: 'wake'; readonly revision: string }
  | { readonly type: 'stats'; readonly stats: readonly RevisionStat[] }
  | { readonly type: 'drained'; readonly id: number }
