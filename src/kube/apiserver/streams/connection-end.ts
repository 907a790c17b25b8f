/** How connections that have left HTTP end: after long silence, and in order once everything has been said. */
import type { Duplex } from 'node:stream'
import { Socket } from 'node:net'
import type { Clock } from '../../../lib/clock.ts'

/** A connection over which nothing passes for this long is closed, as a kubelet does. */
export const idleLimitMs = 4 * 3600_000
/** Looked at so often. */
const idleStepMs = 15 * 60_000
/** A client gets so long to read what was sent last and to close its side. */
const lingerMs = 5_000

/** Closes a connection without traffic. */
export function endWhenIdle(socket: Duplex, clock: Clock): void {
  if (!(socket instanceof Socket)) return
  const traffic = () => socket.bytesRead + socket.bytesWritten
  let seen = traffic()
  let sinceMs = clock.monotonic()
  let cancel = () => {}
  const look = (): void => {
    const now = traffic()
    if (now !== seen) {
      seen = now
      sinceMs = clock.monotonic()
    } else if (clock.monotonic() - sinceMs >= idleLimitMs) return void socket.destroy()
    cancel = clock.after(idleStepMs, look)
  }
  cancel = clock.after(idleStepMs, look)
  socket.once('close', () => cancel())
}

/**
 * Resolves when the socket has closed, by force after a while. Its end must have been asked for. Until then what still
 * comes is read by whoever reads: a socket closed over unread bytes would take our last words from the client.
 */
export function closedInOrder(socket: Duplex, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    if (socket.destroyed) return resolve()
    const cancel = clock.after(lingerMs, () => socket.destroy())
    socket.once('close', () => {
      cancel()
      resolve()
    })
  })
}
