/** What a WebSocket message costs on its way through the gateway and back: CPU a message, as a ratio to haproxy in front of the same app. */
import { fileURLToPath } from 'node:url'
import type { Row } from '../row.ts'
import type { Load } from './load.ts'
import { available, cores, forwardTo, inTurn, output, type Peer, Peers, withCpu } from './peers.ts'

const program = fileURLToPath(new URL('programs.ts', import.meta.url))

export async function rows({
  sockets = 50,
  seconds = 2,
  rounds = 3,
  messageBytes = 64,
} = {}): Promise<Row[]> {
  if (!available('WebSocket', ['haproxy', 'haproxy'])) return []
  using peers = new Peers()
  const app = await peers.app('echo')
  const gateway = await peers.gateway({ appPort: app.port })
  const haproxy = await peers.haproxy(
    (port) => `  timeout tunnel 60s\n${forwardTo(app.port)(port)}`,
  )
  const of = await inTurn<'perSecond' | 'p99Ms' | 'cpuMicros', Peer>(
    [gateway, haproxy],
    rounds,
    async (peer, warmUp) => {
      const args = [peer.port, sockets, warmUp ? 1 : seconds, messageBytes].map(String)
      const { result, cpuMicros } = await withCpu(peer, async () => {
        const child = peers.start(cores.other, process.execPath, [program, 'echo-load', ...args])
        return JSON.parse(await output(child)) as Load
      })
      return { ...result, cpuMicros: cpuMicros / result.requests }
    },
  )
  const at = `gateway, WebSocket echo, ${sockets} sockets:`
  const ratio = (field: 'perSecond' | 'p99Ms' | 'cpuMicros') =>
    of('gateway', field) / of('haproxy', field)
  return [
    { name: `${at} messages there and back`, value: of('gateway', 'perSecond'), unit: '/s' },
    { name: `${at} CPU of it`, value: of('gateway', 'cpuMicros'), unit: 'µs' },
    { name: `${at} messages of haproxy`, value: ratio('perSecond'), unit: '×' },
    { name: `${at} CPU of haproxy`, value: ratio('cpuMicros'), unit: '×', goal: '<= 1.3' },
    { name: `${at} p99 of haproxy`, value: ratio('p99Ms'), unit: '×' },
  ]
}
