/**
 * The gateway beside the chain that a request takes in Knative: an ingress (haproxy here, which is faster than the usual ones), then two
 * reverse proxies of Go's standard library for activator and queue-proxy (`reverse-proxy.go`). All of it on one core.
 */
import { join } from 'node:path'
import type { Row } from '../row.ts'
import { load } from './load.ts'
import {
  available,
  cores,
  forwardTo,
  freePort,
  inTurn,
  listening,
  output,
  type Peer,
  Peers,
  withCpu,
} from './peers.ts'

export async function rows({
  connections = 50,
  seconds = 2,
  rounds = 3,
}: { connections?: number; seconds?: number; rounds?: number } = {}): Promise<Row[]> {
  if (!available('the chain of proxies', ['haproxy', 'haproxy'], ['go', 'golang-go'])) return []
  using peers = new Peers()
  const app = await peers.app('hello')
  const gateway = await peers.gateway({ appPort: app.port })
  const chain = await startChain(peers, app.port)
  const haproxy = await peers.haproxy(forwardTo(app.port))
  const targets: Peer[] = [gateway, chain, haproxy]
  const of = await inTurn<'perSecond' | 'p99Ms' | 'cpuMicros', Peer>(
    targets,
    rounds,
    async (peer, warmUp) => {
      const { result, cpuMicros } = await withCpu(peer, () =>
        load(peers, { port: peer.port, connections, seconds: warmUp ? 1 : seconds }),
      )
      return { ...result, cpuMicros: cpuMicros / result.requests }
    },
  )
  const at = `gateway beside haproxy and two Go proxies, ${connections} connections:`
  return [
    {
      name: `${at} requests`,
      value: of('gateway', 'perSecond') / of('chain', 'perSecond'),
      unit: '×',
      goal: '>= 4',
    },
    {
      name: `${at} CPU a request`,
      value: of('gateway', 'cpuMicros') / of('chain', 'cpuMicros'),
      unit: '×',
      goal: '<= 0.125',
    },
    {
      name: `haproxy alone beside the same chain: CPU a request`,
      value: of('haproxy', 'cpuMicros') / of('chain', 'cpuMicros'),
      unit: '×',
    },
    { name: `${at} p99`, value: of('gateway', 'p99Ms') / of('chain', 'p99Ms'), unit: '×' },
  ]
}

async function startChain(peers: Peers, appPort: number): Promise<Peer> {
  const binary = join(peers.folder, 'reverse-proxy')
  const source = join(import.meta.dirname, 'reverse-proxy.go')
  await output(peers.start(undefined, 'go', ['build', '-o', binary, source]))
  const pids: number[] = []
  let target = appPort
  for (let hop = 0; hop < 2; hop++) {
    const port = await freePort()
    const args = [`127.0.0.1:${port}`, `http://127.0.0.1:${target}`]
    pids.push(peers.start(cores.proxy, binary, args).pid ?? 0)
    await listening(port)
    target = port
  }
  const front = await peers.haproxy(forwardTo(target), { name: 'front' })
  return { name: 'chain', port: front.port, pids: [...pids, ...front.pids] }
}
