/**
 * The data plane as one value: ingress, activator and queue-proxy in one hop (contracts/serving.md section 4). Started
 * by `main.ts` as a process of its own, or by a test in its own process.
 */
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { Random } from '../../lib/random.ts'
import type { FromGateway, ToGateway } from './feed.ts'

export interface ListenAddress {
  readonly host: string
  /** 0 = any free one. */
  readonly port: number
}

export interface GatewayLimits {
  /** Open client connections; further ones are refused. */
  readonly connections: number
  /** Requests waiting for one revision; beyond: 503. */
  readonly queuePerRevision: number
  /** Requests waiting in all; beyond: 503. */
  readonly queueTotal: number
  readonly headBytes: number
  readonly headerCount: number
  /** From the first byte of a head (or the connection's start) to its end. */
  readonly headTimeoutMs: number
  /** Between requests of a connection. */
  readonly idleTimeoutMs: number
}

export interface GatewayOptions {
  readonly clock: Clock
  readonly log: Log
  readonly random: Random
  /** The public listener. On a loopback address it serves cluster-local hosts too. */
  readonly http: ListenAddress
  /** The listener for cluster-local hosts. */
  readonly local: ListenAddress
  /** Metrics and health, Prometheus text on `/metrics`. Absent = none. */
  readonly admin?: ListenAddress
  /** Default `cluster.local`. */
  readonly clusterDomain?: string
  readonly limits?: Partial<GatewayLimits>
}

/** A running gateway. */
export interface Gateway {
  readonly http: ListenAddress
  readonly local: ListenAddress
  readonly admin: ListenAddress | undefined
  /**
   * Takes one message of the feed. `reset` to `sync` replaces everything at once; changes route from their `sync` on.
   * Answers come through `listen`.
   */
  receive(message: ToGateway): void
  /** Messages to the control plane: wake at once, stats each second. One listener; undefined = nobody listens. */
  listen(listener: ((message: FromGateway) => void) | undefined): void
  /** Stops accepting, finishes what is in flight within `graceMs`, cuts the rest, closes. */
  stop(graceMs: number): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}
