/**
 * What one hop of HTTP/2 costs, client and pod both h2c: requests a second and CPU a request, as ratios to haproxy in front
 * of the same upstream (which is haproxy again: it answers from its configuration). Proxy on one core, upstream and
 * h2load on another.
 */
import type { Row } from '../row.ts'
import { loadHttp2 } from './load.ts'
import { available, cores, forwardTo, inTurn, type Peer, Peers, withCpu } from './peers.ts'

export interface Http2Options {
  /** Connections and streams open on each. */
  readonly loads: readonly (readonly [connections: number, streams: number])[]
  readonly seconds: number
  /** Each measured so often, in turn; the median counts. */
  readonly rounds: number
}

type Field = 'perSecond' | 'cpuMicros'

/** All rows, none where h2load or haproxy is missing; about half a minute with the default options. */
export async function rows(options: Partial<Http2Options> = {}): Promise<Row[]> {
  const {
    loads = [
      [10, 10],
      [50, 1],
    ],
    seconds = 2,
    rounds = 3,
  } = options
  if (!available('HTTP/2', ['h2load', 'nghttp2-client'], ['haproxy', 'haproxy'])) return []
  using peers = new Peers()
  const app = await peers.haproxy(
    (port) => `frontend front
  bind 127.0.0.1:${port} proto h2
  http-request return status 200 content-type text/plain string "Hello, world\\n"
`,
    { name: 'app', core: cores.other },
  )
  const gateway = await peers.gateway({ appPort: app.port, protocol: 'h2c' })
  const haproxy = await peers.haproxy(forwardTo(app.port, 'proto h2'))
  const all: Row[] = []
  for (const [connections, streams] of loads) {
    const of = await inTurn<Field, Peer>([gateway, haproxy], rounds, async (peer, warmUp) => {
      const { result, cpuMicros } = await withCpu(peer, () =>
        loadHttp2(peers, { port: peer.port, connections, streams, seconds: warmUp ? 1 : seconds }),
      )
      return { ...result, cpuMicros: cpuMicros / result.requests }
    })
    const at = `gateway, h2c, ${connections} × ${streams} streams:`
    const ratio = (field: Field): number => of('gateway', field) / of('haproxy', field)
    all.push(
      { name: `${at} requests`, value: of('gateway', 'perSecond'), unit: '/s' },
      { name: `${at} CPU a request`, value: of('gateway', 'cpuMicros'), unit: 'µs' },
      { name: `${at} requests of haproxy`, value: ratio('perSecond'), unit: '×', goal: '>= 0.5' },
      { name: `${at} CPU a request of haproxy`, value: ratio('cpuMicros'), unit: '×' },
    )
  }
  return all
}
