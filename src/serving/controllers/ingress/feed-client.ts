/**
 * The control plane's end of the gateway feed (gateway/feed.ts): connects to the gateway's socket, sends everything,
 * then only what changed. What a change costs does not depend on how many services there are.
 */
import type { Kind } from '../../../kube/api/kind.ts'
import type { KubeObject, ObjectKey } from '../../../kube/api/meta.ts'
import type { Reader } from '../../../kube/controller/reconciler.ts'
import type { Clock } from '../../../lib/clock.ts'
import type { Log } from '../../../lib/log.ts'
import type { FromGateway, RevisionStat } from '../../gateway/feed.ts'

/** What the link reads: informer caches of Ingress, Revision and Endpoints, and word of each change in them. */
export interface FeedSource {
  readonly read: Reader
  /** Calls `listener` after an object of `kind` was added, changed or deleted in the cache. Answers the cancel. */
  onChange(kind: Kind, listener: (object: KubeObject) => void): () => void
}

export interface GatewayLinkOptions {
  readonly socketPath: string
  readonly source: FeedSource
  readonly clock: Clock
  readonly log: Log
}

export type Hello = Extract<FromGateway, { type: 'hello' }>

/** A connection to the gateway that renews itself. Listeners are called synchronously as messages arrive. */
export interface GatewayLink extends AsyncDisposable {
  readonly connected: boolean
  /** Of the current or last connection. */
  readonly hello: Hello | undefined
  /** True once the gateway routes by the ingress `key` in exactly the form that has this hash. */
  acknowledged(key: ObjectKey, hash: string): boolean
  /** Ingresses whose acknowledgement changed. */
  onAcknowledged(listener: (key: ObjectKey) => void): Disposable
  /** Once a second while there is traffic, plus a last zero. */
  onStats(listener: (stats: readonly RevisionStat[]) => void): Disposable
  /** A request waits for a revision without a backend. */
  onWake(listener: (revision: ObjectKey) => void): Disposable
  onConnected(listener: (connected: boolean) => void): Disposable
  /** Resolves when no request is in flight to this backend any more, or when the gateway is gone. */
  drain(host: string, port: number): Promise<void>
  /** Asks the gateway to finish and end; resolves when its connection has closed. */
  stop(graceMs: number): Promise<void>
}
