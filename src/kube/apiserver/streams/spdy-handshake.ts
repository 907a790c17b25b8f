/** From HTTP to SPDY/3.1: which protocol the streams follow, and the answer that begins it. */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { StatusError } from '../../api/status-error.ts'

export const wantsSpdy = ({ headers }: IncomingMessage): boolean =>
  headers.upgrade?.toLowerCase() === 'spdy/3.1'

/** Answers 101 and leaves the socket at the first frame. False, and 403, when no protocol suits both sides. */
export function acceptSpdy(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  protocols: readonly string[],
): boolean {
  const offered = [request.headers['x-stream-protocol-version'] ?? []]
    .flat()
    .flatMap((each) => each.split(',').map((name) => name.trim()))
  const chosen = protocols.find((name) => offered.includes(name))
  if (chosen === undefined) {
    socket.end(refusal(offered, protocols))
    return false
  }
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: ${chosen}\r\n\r\n`,
  )
  if (head.length > 0) socket.unshift(head)
  return true
}

/** A client may try again with what the header names. */
function refusal(offered: readonly string[], accepted: readonly string[]): string {
  const status = new StatusError(
    'Forbidden',
    `unable to upgrade: unable to negotiate protocol: client supports [${offered.join(' ')}], server accepts [${accepted.join(' ')}]`,
  ).toStatus()
  const body = `${JSON.stringify(status)}\n`
  return [
    'HTTP/1.1 403 Forbidden',
    ...accepted.map((name) => `X-Accepted-Stream-Protocol-Versions: ${name}`),
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
    '',
    body,
  ].join('\r\n')
}
