/**
 * From HTTP to a WebSocket, with the library `ws`, which is loaded when the first client wants one. Kubernetes names a
 * subprotocol with a slash, `SPDY/3.1+portforward.k8s.io`, which RFC 6455 does not allow and `ws` refuses: the header is
 * taken off before it looks, and the answer's is put in by hand.
 */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import { badRequest } from '../../api/status-error.ts'

/** Larger messages close the connection: they would have to be held whole. */
const maxMessageBytes = 32 << 20

export const wantsWebSocket = ({ headers }: IncomingMessage): boolean =>
  headers.upgrade?.toLowerCase() === 'websocket'

/** Subprotocols as the client prefers them. */
export const offeredProtocols = ({ headers }: IncomingMessage): readonly string[] =>
  (headers['sec-websocket-protocol'] ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')

/** Answers 101 with `protocol`, one of those offered; none when undefined. Throws BadRequest for a bad handshake. */
export async function acceptWebSocket(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  protocol: string | undefined,
): Promise<WebSocket> {
  const { WebSocketServer } = await import('ws')
  const key = request.headers['sec-websocket-key']
  const version = request.headers['sec-websocket-version']
  if (request.method !== 'GET' || !/^[+/0-9A-Za-z]{22}==$/.test(key ?? '') || version !== '13')
    throw badRequest('the WebSocket handshake can not be read; expected a GET of version 13')
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: maxMessageBytes,
  })
  delete request.headers['sec-websocket-protocol']
  if (protocol !== undefined)
    server.on('headers', (lines: string[]) => lines.push(`Sec-WebSocket-Protocol: ${protocol}`))
  return await new Promise((resolve) => {
    server.handleUpgrade(request, socket, head, resolve)
  })
}

/** A client that offers no protocol this server speaks is told so as Kubernetes tells it. */
export function noCommonProtocol(request: IncomingMessage): Error {
  return badRequest(
    `unable to upgrade: unable to negotiate protocol: client supports [${offeredProtocols(request).join(' ')}]`,
  )
}
