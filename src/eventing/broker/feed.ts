/**
 * What the event engine must know, and what it tells back. The controllers compute the whole of it from the objects in
 * the API; the engine goes on with what it has whenever nobody tells it anything.
 */
import type { TracingSettings } from '../../lib/otlp/span-exporter.ts'
import type { Filtering, FilterSpec } from './delivery/filters.ts'

/** Where to send events. */
export interface Destination {
  /** As status shows it and as the request carries it: its host goes into the Host header. */
  readonly url: string
  /**
   * Where to connect to instead of the URL's host, in turn: the gateway or pods, for names of this cluster. None = nobody
   * serves it at the moment.
   */
  readonly dial?: readonly { readonly host: string; readonly port: number }[]
  /** Certificates to trust besides the usual ones, PEM. */
  readonly caCerts?: string
  /** Whom a token must be meant for; absent = no token is sent. */
  readonly audience?: string
  /** `namespace/name` of the ServiceAccount whose token is sent to this audience; absent = no token is sent. */
  readonly account?: string
}

/** Who may send to an address; absent = everybody who reaches it. */
export interface Gate {
  /** Tokens must be meant for it. */
  readonly audience: string
  /** The object's own, for `allow-same-namespace`. */
  readonly namespace: string
  /** What holds where there are no policies. */
  readonly mode: 'allow-all' | 'allow-same-namespace' | 'deny-all'
  /** Sorted by name: the first with a matching subject decides. */
  readonly policies: readonly PolicyRule[]
}

/** An EventPolicy, resolved. */
export interface PolicyRule {
  readonly name: string
  /** Subjects of tokens, in any case; `*` at the end stands for anything. */
  readonly subjects: readonly string[]
  /** Which events they may send: all of these match. */
  readonly filters?: readonly FilterSpec[]
}

/** Whose tokens are believed: what a discovery document says. */
export interface TokenIssuer {
  readonly issuer: string
  /** JSON Web Keys. */
  readonly keys: readonly Readonly<Record<string, unknown>>[]
}

/** `PUT /certificates`: what TLS is served with, all of it; answered with the port, if there is one. */
export interface ServerCertificate {
  /** Names that clients ask for. */
  readonly hosts: readonly string[]
  /** PEM. */
  readonly cert: string
  readonly key: string
  /** Who serves these names, plainly; absent = the engine itself. */
  readonly relay?: { readonly host: string; readonly port: number }
}

/** `PUT /tokens`: what is sent along, all of it. Kept in memory alone. */
export interface SendingToken {
  /** `namespace/name`. */
  readonly account: string
  readonly audience: string
  readonly token: string
}

/** How often and how long to try (DeliverySpec, resolved). */
export interface DeliveryPolicy {
  /** Attempts after the first. */
  readonly retry: number
  readonly backoff?: { readonly policy: 'linear' | 'exponential'; readonly delayMs: number }
  /** Of one attempt; absent = none. */
  readonly timeoutMs?: number
  /** Upper bound for what an answer's Retry-After asks for; absent = it is not honoured. */
  readonly retryAfterMaxMs?: number
  readonly format?: 'json' | 'binary'
}

/** A Trigger, or a Subscription of a Channel. */
export interface SubscriptionConfig {
  /** The object's uid: its place in the log goes with it. */
  readonly uid: string
  readonly kind: 'Trigger' | 'Subscription'
  readonly namespace: string
  readonly name: string
  readonly filter?: Filtering
  /** Absent = it does not resolve at the moment: events wait. */
  readonly subscriber?: Destination
  /** Where answers that are events go: a destination, or the channel's own log. Absent = nowhere. */
  readonly reply?: Destination | 'channel'
  readonly deadLetter?: Destination
  readonly delivery: DeliveryPolicy
  /** `ordered`: one at a time for each `partitionkey`, retries included. Default: first attempts in order. */
  readonly order?: 'ordered'
  /** Attributes whose events somebody waits for: they begin at once, whatever is under way. */
  readonly awaited?: readonly string[]
  /** First attempts under way at most, when it is behind. */
  readonly parallelism?: number
  /** Where a new one begins. Default: with what comes next. */
  readonly start?: 'earliest'
  /** When the object was made, milliseconds since the epoch: what came before is not for it. */
  readonly createdMs?: number
}

/** A Broker or a Channel: a log with subscriptions. */
export interface ChannelConfig {
  /** The object's uid: its log goes with it. */
  readonly uid: string
  readonly kind: 'Broker' | 'Channel'
  readonly namespace: string
  readonly name: string
  /** Its URL, as its status shows it; absent = it has none yet. */
  readonly address?: string
  /** Host names that mean this channel, at path `/`: `orders-kn-channel.default.svc.cluster.local`. */
  readonly hosts?: readonly string[]
  readonly subscriptions: readonly SubscriptionConfig[]
  readonly retention?: { readonly maxAgeMs?: number; readonly maxBytes?: number }
  readonly gate?: Gate
  /** Host and path that mean this channel, as `imc-dispatcher.x/namespace/name`. */
  readonly places?: readonly string[]
}

export interface EngineConfig {
  /** Host names whose paths are `/namespace/broker`. */
  readonly brokerHosts: readonly string[]
  readonly channels: readonly ChannelConfig[]
  /** Where spans go; absent = tracing is off (trace context passes all the same). */
  readonly tracing?: TracingSettings
  /** What emits by the clock. */
  readonly pings?: readonly PingConfig[]
  /** What makes other events of events. */
  readonly transforms?: readonly TransformConfig[]
  /** Names of the cluster lead here over TLS too, or over TLS alone; absent = plainly. */
  readonly transport?: 'permissive' | 'strict'
  /** Certificates that senders trust besides the usual ones, PEM. */
  readonly trusted?: string
  /** Whose tokens are believed; gates let nobody in without. */
  readonly issuer?: TokenIssuer
  /** Host names whose paths are `/namespace/requestreply`. */
  readonly requestReplyHosts?: readonly string[]
  /** What answers a request with an event that a Broker brings back. */
  readonly requestReplies?: readonly RequestReplyConfig[]
}

/** A PingSource or CronJobSource: the same event again and again. */
export interface PingConfig {
  /** The object's uid. */
  readonly uid: string
  readonly namespace: string
  readonly name: string
  /** Five fields, six with leading seconds, or a descriptor; admission has seen that it can be read. */
  readonly schedule: string
  /** By IANA name; absent = UTC. */
  readonly timezone?: string
  /** All but `id` and `time`. */
  readonly attributes: Readonly<Record<string, string>>
  /** In base64; absent = no data. */
  readonly data?: string
  readonly sink: Destination
}

/** An EventTransform: JSONata over events, at hosts of its own. */
export interface TransformConfig {
  /** The object's uid. */
  readonly uid: string
  readonly namespace: string
  readonly name: string
  readonly hosts: readonly string[]
  readonly expression: string
  /** Over what the sink answers. */
  readonly replyExpression?: string
  /** What the sink answers is not passed on. */
  readonly discardReply?: boolean
  /** Absent = the result is the answer. */
  readonly sink?: Destination
  readonly gate?: Gate
}

/** A RequestReply: marks requests, sends them into its Broker, and waits for the event with that mark. */
export interface RequestReplyConfig {
  /** The object's uid. */
  readonly uid: string
  readonly namespace: string
  readonly name: string
  readonly correlationAttribute: string
  readonly replyAttribute: string
  /** For everything, from the request to its answer. */
  readonly timeoutMs: number
  /** Of AES, in base64, the newest first: it marks, all of them are believed. */
  readonly keys: readonly string[]
  /** Absent = it has no address at the moment. */
  readonly broker?: Destination
}

/** What `PUT /config` answers: what of it can not be used, by uid. */
export interface EngineReport {
  readonly problems?: Readonly<Record<string, string>>
}

/** What `GET /lost` answers of each source whose events did not reach its sink since it was asked last. */
export interface LostEvents {
  /** The source's. */
  readonly uid: string
  readonly namespace: string
  readonly name: string
  readonly count: number
  /** Of the last one. */
  readonly reason: string
}

/** What `GET /warnings` answers: what somebody should look after, by the object that it concerns. */
export interface EngineWarning {
  /** The object's. */
  readonly uid: string
  readonly kind: ChannelConfig['kind'] | SubscriptionConfig['kind']
  readonly namespace: string
  readonly name: string
  /** Of an Event on it. */
  readonly reason: 'EventsPileUp' | 'DeadLettersPileUp' | 'EventsUnreadable' | 'EventsDamaged'
  /** The same while nothing worth telling has changed. */
  readonly message: string
}

/** How a subscription does, since the engine started. */
export interface SubscriptionStats {
  readonly uid: string
  readonly delivered: number
  readonly refused: number
  readonly retried: number
  readonly deadLettered: number
  /** Events it is not done with. */
  readonly backlog: number
  /** Waiting to be tried again. */
  readonly deferred: number
}

/** What `GET /types` answers of each Broker and channel: the types it has seen since the engine started. */
export interface ChannelTypes {
  readonly kind: ChannelConfig['kind']
  readonly namespace: string
  readonly name: string
  readonly types: readonly {
    readonly type: string
    readonly source: string
    readonly dataschema: string
  }[]
}
