/**
 * Connections that leave HTTP: exec, attach, port-forward and proxied WebSockets. They pass the
 * same door as every request: who calls, for whom, and whether he may; only then somebody else takes the socket.
 */
import { ServerResponse } from 'node:http'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { KindDefinition, UserInfo } from '../../api/kind.ts'
import type { StatusError } from '../../api/status-error.ts'
import { sendError } from '../http/answers.ts'
import type { ResourcePath } from '../http/request-path.ts'

/** An authorized request with `Connection: Upgrade`. */
export interface UpgradeCall {
  readonly request: IncomingMessage
  readonly socket: Duplex
  /** What the client sent behind the head already. */
  readonly head: Buffer
  readonly url: URL
  readonly path: ResourcePath
  /** The kind of `path.resource`. */
  readonly kind: KindDefinition
  readonly user: UserInfo
  /** Aborts when the socket closes or the server stops. */
  readonly signal: AbortSignal
}

/**
 * Takes the connection over and resolves when it has ended. As long as it has written nothing it may throw a
 * StatusError, which the client then gets as an ordinary answer.
 */
export type AnswerUpgrade = (call: UpgradeCall) => Promise<void>

/** Refuses an upgrade with a Status, and closes. */
export function refuseUpgrade(request: IncomingMessage, socket: Duplex, error: StatusError): void {
  const response = new ServerResponse(request)
  // A TLS socket is a Duplex with a socket's methods; tests hand over the same.
  response.assignSocket(socket as Parameters<ServerResponse['assignSocket']>[0])
  response.shouldKeepAlive = false
  response.once('finish', () => socket.end())
  sendError(response, error)
}
