/**
 * 1 GiB down and up through the gateway: seconds as a ratio to the app alone (and to haproxy), and how far the gateway's memory rises
 * meanwhile, once it has done it before.
 */
import { fileURLToPath } from 'node:url'
import type { Row } from '../row.ts'
import {
  cores,
  forwardTo,
  installed,
  inTurn,
  output,
  type Peer,
  Peers,
  residentBytes,
  withCpu,
} from './peers.ts'

const program = fileURLToPath(new URL('programs.ts', import.meta.url))
const sampleEveryMs = 20

export async function rows({ bytes = 2 ** 30, rounds = 3 } = {}): Promise<Row[]> {
  using peers = new Peers()
  const app = await peers.app('bodies')
  const gateway = await peers.gateway({ appPort: app.port })
  const targets: Peer[] = [app, gateway]
  const haproxy = installed('haproxy')
  if (haproxy) targets.push(await peers.haproxy(forwardTo(app.port)))
  const size = bytes >= 2 ** 30 ? `${bytes / 2 ** 30} GiB` : `${bytes / 2 ** 20} MiB`
  const all: Row[] = []
  for (const way of ['download', 'upload'] as const) {
    const of = await inTurn<'seconds' | 'cpuMicros' | 'grown', Peer>(
      targets,
      rounds,
      async (peer) => {
        const before = residentBytes(peer)
        let most = before
        const sampling = setInterval(() => {
          most = Math.max(most, residentBytes(peer))
        }, sampleEveryMs)
        const { result, cpuMicros } = await withCpu(peer, () =>
          output(
            peers.start(cores.other, process.execPath, [
              program,
              way,
              String(peer.port),
              String(bytes),
            ]),
          ),
        )
        clearInterval(sampling)
        return { seconds: Number(result), cpuMicros, grown: most - before }
      },
    )
    const at = `gateway, ${size} ${way === 'download' ? 'down' : 'up'}:`
    const speed = (other: string) => of(other, 'seconds') / of('gateway', 'seconds')
    all.push(
      { name: `${at} speed`, value: bytes / 2 ** 20 / of('gateway', 'seconds'), unit: 'MiB/s' },
      { name: `${at} speed of the app alone`, value: speed('app'), unit: '×', goal: '>= 0.6' },
      ...(haproxy
        ? [
            { name: `${at} speed of haproxy`, value: speed('haproxy'), unit: '×' },
            {
              name: `${at} CPU of haproxy`,
              value: of('gateway', 'cpuMicros') / of('haproxy', 'cpuMicros'),
              unit: '×',
            },
          ]
        : []),
      {
        name: `${at} memory rises by`,
        value: of('gateway', 'grown') / 2 ** 20,
        unit: 'MiB',
        goal: '<= 16 MiB',
      },
    )
  }
  return all
}
