/**
 * Port-forward over SPDY/3.1, on a socket of its own or through a WebSocket: for each connection
 * that the client has accepted a pair of streams with the same `requestid`, one for bytes, one to tell what went wrong.
 */
import { finished, type Duplex } from 'node:stream'
import type { Clock } from '../../../lib/clock.ts'
import { SpdyConnection } from '../../../lib/spdy/connection.ts'
import type { SpdyStream } from '../../../lib/spdy/stream.ts'

export const portForwardProtocol = 'portforward.k8s.io'
export const portForwardTunnel = `SPDY/3.1+${portForwardProtocol}`

/** Both streams of a pair come within this time. */
const pairLimitMs = 30_000
/** Two for each connection. */
const maxStreams = 2_000

export interface PortForwardDeps {
  /** For messages: `<pod>, uid : <uid>`. */
  readonly podText: string
  readonly dial: (port: number) => Promise<Duplex>
  readonly clock: Clock
}

interface Pair {
  data?: SpdyStream
  error?: SpdyStream
  readonly cancel: () => void
}

/** Serves until the connection has closed. */
export async function servePortForward(transport: Duplex, deps: PortForwardDeps): Promise<void> {
  const pairs = new Map<string, Pair>()
  const connection = new SpdyConnection(transport, {
    side: 'server',
    maxStreams,
    onStream(stream) {
      const type = stream.headers.get('streamtype')
      const port = portOf(stream.headers.get('port') ?? '')
      // Clients before 1.2 number nothing and open one pair after the other.
      const id = stream.headers.get('requestid') ?? `port ${port}`
      if ((type !== 'data' && type !== 'error') || port === undefined) return void stream.destroy()
      const pair = pairs.get(id) ?? { cancel: deps.clock.after(pairLimitMs, () => drop(id)) }
      if (pair[type]) return void stream.destroy()
      pair[type] = stream
      pairs.set(id, pair)
      stream.reply()
      const { data, error } = pair
      if (!data || !error) return
      pair.cancel()
      pairs.delete(id)
      void forward(data, error, port, deps)
    },
  })
  const drop = (id: string): void => {
    const pair = pairs.get(id)
    pairs.delete(id)
    pair?.data?.destroy()
    pair?.error?.destroy()
  }
  await connection.closed
  for (const { cancel } of pairs.values()) cancel()
}

export function portOf(text: string): number | undefined {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  return port > 0 && port < 65_536 ? port : undefined
}

export const portForwardError = (port: number, podText: string, thrown: unknown): string =>
  `error forwarding port ${port} to pod ${podText}: ${thrown instanceof Error ? thrown.message : String(thrown)}`

async function forward(
  data: SpdyStream,
  error: SpdyStream,
  port: number,
  { dial, podText }: PortForwardDeps,
): Promise<void> {
  error.resume()
  let pod: Duplex
  try {
    pod = await dial(port)
  } catch (thrown) {
    error.end(portForwardError(port, podText, thrown))
    data.resume().end()
    return
  }
  pod.on('error', () => {})
  finished(data, () => {
    // The client has both halves or has left: nobody listens any more.
    pod.end()
    if (data.errored) pod.destroy()
  })
  finished(pod, { writable: false }, () => {
    data.end()
    error.end()
    data.resume()
  })
  pod.pipe(data, { end: false })
  data.pipe(pod)
}
