/**
 * One worker against two, on all cores: what a second one brings depends on what cores are left, so haproxy with one and two threads
 * stands beside it. App and load take their share of the same cores.
 */
import type { Row } from '../row.ts'
import { load } from './load.ts'
import { forwardTo, installed, inTurn, type Peer, Peers, withCpu } from './peers.ts'

type Field = 'perSecond' | 'cpuMicros'

export async function rows({ connections = 50, seconds = 2, rounds = 3 } = {}): Promise<Row[]> {
  using peers = new Peers()
  const app = await peers.app('hello')
  const appPort = app.port
  const targets: Peer[] = [
    await peers.gateway({ appPort, spread: true }, '1'),
    await peers.gateway({ appPort, spread: true, workers: 2 }, '2'),
  ]
  const haproxy = installed('haproxy')
  if (haproxy)
    for (const threads of [1, 2])
      targets.push(
        await peers.haproxy(forwardTo(appPort), {
          name: `haproxy ${threads}`,
          threads,
          spread: true,
        }),
      )
  const of = await inTurn<Field, Peer>(targets, rounds, async (peer, warmUp) => {
    const { result, cpuMicros } = await withCpu(peer, () =>
      load(peers, { port: peer.port, connections, seconds: warmUp ? 1 : seconds, spread: true }),
    )
    return { ...result, cpuMicros: cpuMicros / result.requests }
  })
  const at = `gateway, 2 workers on all cores, ${connections} connections:`
  return [
    {
      name: `${at} requests of 1 worker`,
      value: of('2', 'perSecond') / of('1', 'perSecond'),
      unit: '×',
    },
    {
      name: `${at} CPU a request of 1 worker`,
      value: of('2', 'cpuMicros') / of('1', 'cpuMicros'),
      unit: '×',
    },
    ...(haproxy
      ? [
          {
            name: `haproxy, 2 threads on all cores: requests of 1 thread`,
            value: of('haproxy 2', 'perSecond') / of('haproxy 1', 'perSecond'),
            unit: '×',
          },
        ]
      : []),
  ]
}
