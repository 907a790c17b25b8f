/**
 * Memory of a connection that rests: kept-alive ones that have had one request, and WebSockets that have carried one message (these
 * have a connection to the pod each). The gateway's resident memory with them less without, beside haproxy's.
 */
import { fileURLToPath } from 'node:url'
import type { Row } from '../row.ts'
import {
  cores,
  firstLine,
  forwardTo,
  haproxyConnections,
  installed,
  output,
  type Peer,
  Peers,
  residentBytes,
} from './peers.ts'

const program = fileURLToPath(new URL('programs.ts', import.meta.url))

export async function rows({ idle = 10_000, webSockets = 1_000 } = {}): Promise<Row[]> {
  return [
    ...(await compare('hello', idle, 'keep-alive', `gateway, ${idle} idle connections:`)),
    ...(await compare('echo', webSockets, 'websocket', `gateway, ${webSockets} open WebSockets:`)),
  ]
}

async function compare(
  appName: string,
  connections: number,
  kind: 'keep-alive' | 'websocket',
  at: string,
): Promise<Row[]> {
  using peers = new Peers()
  const app = await peers.app(appName)
  const gateway = await peers.gateway({ appPort: app.port })
  const rows: Row[] = []
  const holding = await bytesEach(peers, gateway, connections, kind)
  rows.push({ name: `${at} memory of one`, value: holding / 1024, unit: 'KiB' })
  if (!installed('haproxy')) return rows
  const haproxy = await peers.haproxy(
    (port) => `  timeout tunnel 60s\n${forwardTo(app.port)(port)}`,
  )
  const other = await bytesEach(peers, haproxy, Math.min(connections, haproxyConnections), kind)
  rows.push({ name: `${at} memory of one, haproxy`, value: other / 1024, unit: 'KiB' })
  return rows
}

async function bytesEach(
  peers: Peers,
  peer: Peer,
  connections: number,
  kind: 'keep-alive' | 'websocket',
): Promise<number> {
  const hold = (count: number) =>
    peers.start(cores.other, process.execPath, [
      program,
      'hold',
      ...[peer.port, count].map(String),
      kind,
    ])
  // What is loaded and compiled at first use is not the connections'.
  const first = hold(100)
  await firstLine(first)
  first.kill()
  await output(first)
  const before = residentBytes(peer)
  const holder = hold(connections)
  await firstLine(holder)
  const after = residentBytes(peer)
  holder.kill()
  return (after - before) / connections
}
