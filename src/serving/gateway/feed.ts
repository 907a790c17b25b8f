/**
 * What the gateway must know, and what it tells back: messages of one socket, a JSON document a line. The control plane
 * connects to the gateway (so that a new control plane finds the one that is running), sends `reset`, everything it
 * has, then `sync`; from then on single changes, each group closed by a `sync` that the gateway acknowledges once it
 * routes by it. The gateway keeps serving from what it has whenever nobody is connected.
 */

/**
 * One weighted destination: exactly one of `revision`, `service` and `host` is set.
 */
export interface Split {
  /** A Revision, `namespace/name`. */
  readonly revision?: string
  /** A core Service that is no Revision's, `namespace/name:port`; told of as a target of that key. */
  readonly service?: string
  /** Whatever the routes of this host say (a Knative Service by its cluster-local host); followed a few times at most. */
  readonly host?: string
  /** Weights of a path may have any sum; 0 = none. */
  readonly percent: number
  /** Replace headers of the same name in the request. */
  readonly appendHeaders?: Readonly<Record<string, string>>
  /** Header changes of this share alone (HTTPRoute's filters on a backendRef). */
  readonly filters?: Filters
}

/** A value to compare with: exactly, or by a regular expression that must match the whole value. */
export type StringMatch = { readonly exact: string } | { readonly regex: string }

/** Header changes in the order of the Gateway API: set, add, remove. Names are case-insensitive. */
export interface HeaderChanges {
  readonly set?: Readonly<Record<string, string>>
  readonly add?: Readonly<Record<string, string>>
  readonly remove?: readonly string[]
}

export type PathRewrite =
  | { readonly type: 'full'; readonly value: string }
  | { readonly type: 'prefix'; readonly value: string }

/** What happens to a request on its way (HTTPRoute's filters, VirtualService's rewrite and redirect). */
export interface Filters {
  readonly requestHeaders?: HeaderChanges
  readonly responseHeaders?: HeaderChanges
  readonly rewritePath?: PathRewrite
  /** Answered instead of forwarded. What is absent stays as the client asked. */
  readonly redirect?: {
    readonly scheme?: 'http' | 'https'
    readonly host?: string
    readonly port?: number
    readonly path?: PathRewrite
    readonly status: 301 | 302 | 303 | 307 | 308
  }
  /** Copies of the request whose answers are thrown away. */
  readonly mirrors?: readonly { readonly to: Split; readonly percent: number }[]
  /** Answered instead of forwarded, for rules whose backends can't be had (500 in the Gateway API). */
  readonly status?: number
}

export interface Path {
  /** Literal prefix; absent or '' matches every path. */
  readonly path?: string
  /** How `path` is meant. Default `literal`: any string that begins with it; `prefix`: by whole segments. */
  readonly pathType?: 'literal' | 'prefix' | 'exact' | 'regex'
  readonly methods?: readonly string[]
  /** What the client speaks to the gateway; absent: either. */
  readonly scheme?: 'http' | 'https'
  /** All must match; names are case-insensitive. */
  readonly headers?: Readonly<Record<string, StringMatch>>
  /** All must match; the first value of a name counts. */
  readonly query?: Readonly<Record<string, StringMatch>>
  readonly rewriteHost?: string
  readonly appendHeaders?: Readonly<Record<string, string>>
  readonly filters?: Filters
  /** Whole request, 0 or absent = the target's own. */
  readonly timeoutMs?: number
  readonly splits: readonly Split[]
}

export interface Rule {
  /** Without port, lower case. `*.example.com` covers names of any depth below, after all exact hosts. */
  readonly hosts: readonly string[]
  readonly visibility: 'ExternalIP' | 'ClusterLocal'
  readonly paths: readonly Path[]
  /** Paths are tried in the order given; absent: KIngress' precedence (more headers, longer prefix, order). */
  readonly ordered?: boolean
  /** Plain HTTP is answered with 301 to https, same host and path. */
  readonly redirectToHttps?: boolean
}

/** A KIngress, or the merged rules of a shared host, as the gateway sees it. */
export interface IngressRoute {
  /** `namespace/name`; `~shared/<host>` for merged rules. */
  readonly key: string
  /** Hex SHA-256 of the KIngress' spec, namespace and name; answered to network probes. */
  readonly hash: string
  /** RFC 3339. Of those that claim a host the oldest has it, then the first by key; one without goes before. */
  readonly createdAt?: string
  readonly rules: readonly Rule[]
}

/** A certificate for some hosts, chosen by SNI: exact before wildcard. Renewed by sending it again. */
export interface Certificate {
  /** `namespace/name` of the Secret. */
  readonly key: string
  readonly hosts: readonly string[]
  /** PEM, leaf first. */
  readonly chain: string
  /** PEM. */
  readonly privateKey: string
}

/** Cluster-wide settings of the data plane, out of the config-* ConfigMaps. Absent members have their defaults. */
export interface GatewaySettings {
  /** config-observability `logging.request-log-template`, when `logging.enable-request-log` is on. */
  readonly requestLogTemplate?: string
  readonly logProbes?: boolean
  /** Where spans go; absent = tracing is off (trace context passes all the same). */
  readonly tracing?: {
    readonly protocol: 'http/protobuf' | 'grpc' | 'stdout'
    readonly endpoint: string
    /** 0 to 1. */
    readonly samplingRate: number
  }
  /** `Server-Timing` on the answers of requests that waited for a pod to start. Default true. */
  readonly serverTiming?: boolean
  /** Upgraded connections and event streams are free of the total limit, unless the revision says otherwise. */
  readonly longLivedStreams?: boolean
}

export interface Backend {
  readonly host: string
  readonly port: number
  readonly pod: string
  /** For the request log. */
  readonly podName?: string
}

/** A Revision as the gateway sees it. Without backends its requests wait. */
export interface RevisionTarget {
  /** `namespace/name`; of a core Service `namespace/name:port`. */
  readonly key: string
  /** `service`: a core Service. It is not woken or reported, and without backends its requests get 503. Default `revision`. */
  readonly kind?: 'revision' | 'service'
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
  /** Upgraded connections and event streams are free of `timeoutMs` (annotation `ebb.dev/long-lived-streams`). */
  readonly longLivedStreams?: boolean
  /** Requests of one client stay with one pod (annotation `ebb.dev/session-affinity`: `cookie` or a header's name). */
  readonly sessionAffinity?: { readonly cookie: string } | { readonly header: string }
  readonly backends: readonly Backend[]
}

export type ToGateway =
  | { readonly type: 'reset' }
  | { readonly type: 'ingress'; readonly ingress: IngressRoute }
  | { readonly type: 'ingress-gone'; readonly key: string }
  | { readonly type: 'revision'; readonly revision: RevisionTarget }
  | { readonly type: 'revision-gone'; readonly key: string }
  | { readonly type: 'certificate'; readonly certificate: Certificate }
  | { readonly type: 'certificate-gone'; readonly key: string }
  /** Answers `certificate-wanted`: there will be none. */
  | { readonly type: 'certificate-refused'; readonly host: string }
  /** Answers `GET http://<host>/.well-known/acme-challenge/<token>`; `response` null = no more. */
  | {
      readonly type: 'challenge'
      readonly host: string
      readonly token: string
      readonly response: string | null
    }
  | { readonly type: 'settings'; readonly settings: GatewaySettings }
  /** Answer `drained` once no request is in flight to this backend any more. */
  | { readonly type: 'drain'; readonly id: number; readonly host: string; readonly port: number }
  | { readonly type: 'sync'; readonly version: number }
  /** Finish what is in flight, then end the process. */
  | { readonly type: 'stop'; readonly graceMs: number }
  /**
   * Start Node with these arguments, hand it the listening sockets, then finish what is in flight and end the process.
   * The control plane's connection is closed when the new gateway is there to connect to.
   */
  | { readonly type: 'handover'; readonly args: readonly string[]; readonly graceMs: number }

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

/** The way of one request that found its revision without a pod; monotonic milliseconds since its first byte. */
export interface ColdRequest {
  readonly revision: string
  readonly pod: string
  /** Wall clock of the first byte, Unix milliseconds with fraction. */
  readonly atMs: number
  /** The same moment by `Clock.monotonic`, which all processes of a machine share. */
  readonly monotonicMs?: number
  readonly steps: {
    /** Head parsed and routed, wake-up on its way. */
    readonly routed: number
    /** The pod came with the feed and the request has its slot. */
    readonly granted: number
    /** Connected to the pod, request sent. */
    readonly forwarded: number
    /** First byte of the answer from the pod. */
    readonly answered: number
  }
}

export type FromGateway =
  | {
      readonly type: 'hello'
      readonly pid: number
      readonly http: { readonly host: string; readonly port: number }
      /** The listener for cluster-local hosts. */
      readonly local: { readonly host: string; readonly port: number }
      /** The TLS listener, if there is one. */
      readonly https?: { readonly host: string; readonly port: number }
      /** The listener for metrics, if there is one. */
      readonly admin?: { readonly host: string; readonly port: number }
      /** The flags it was started with, and whether it can hand its sockets over. */
      readonly command?: string
      readonly handover?: boolean
    }
  | { readonly type: 'ack'; readonly version: number }
  /** A request arrived for a revision without a ready backend: sent at once, then not again until it has had one. */
  | { readonly type: 'wake'; readonly revision: string }
  | { readonly type: 'cold'; readonly request: ColdRequest }
  | { readonly type: 'stats'; readonly stats: readonly RevisionStat[] }
  | { readonly type: 'drained'; readonly id: number }
  /** A TLS client waits for a certificate of this routed host: answer `certificate`, key `local/…`, or a refusal. */
  | { readonly type: 'certificate-wanted'; readonly host: string }
