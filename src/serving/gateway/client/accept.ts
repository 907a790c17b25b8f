/**
 * A connection that a listener has accepted becomes a client: of HTTP/1, or of HTTP/2 when the TLS handshake agreed on it
 * (ALPN). Without TLS a client is taken for HTTP/1 until its first bytes are the preface of HTTP/2 (prior knowledge).
 */
import type { Socket } from 'node:net'
import { ClientConnection, type ClientContext } from './client-connection.ts'
import { ClientSession } from './client-session.ts'

/** A client's connection, whatever it speaks. */
export interface Client {
  /** Nothing is being served and nothing has begun to arrive. */
  readonly idle: boolean
  /** The gateway stops: takes no further requests than those that have begun, then closes. */
  drain(): void
  destroy(): void
}

/**
 * Serves a connected socket; its end is told by `context.closed`. The socket must allow half-open connections
 * (`allowHalfOpen`).
 */
export const acceptConnection = (
  socket: Socket,
  protocol: 'h1' | 'h2',
  context: ClientContext,
): Client =>
  protocol === 'h2' ? new ClientSession(socket, context) : new ClientConnection(socket, context)
