/**
 * This checkout's gateway beside another's, at 50 connections: what a tuning is judged by. `npm run bench -- compare=DIR`, where DIR is
 * a worktree with its dependencies (`git worktree add DIR COMMIT; ln -s $PWD/node_modules DIR`).
 */
import type { Row } from '../row.ts'
import { load } from './load.ts'
import { inTurn, type Peer, Peers, withCpu } from './peers.ts'

export async function rows(
  checkout: string,
  { connections = 50, seconds = 1, rounds = 15 } = {},
): Promise<Row[]> {
  using peers = new Peers()
  const app = await peers.app('hello')
  const targets = [
    await peers.gateway({ appPort: app.port }, 'here'),
    await peers.gateway({ appPort: app.port, checkout }, 'there'),
  ]
  const of = await inTurn<'perSecond' | 'p50Ms' | 'p99Ms' | 'cpuMicros', Peer>(
    targets,
    rounds,
    async (peer) => {
      const { result, cpuMicros } = await withCpu(peer, () =>
        load(peers, { port: peer.port, connections, seconds }),
      )
      return { ...result, cpuMicros: cpuMicros / result.requests }
    },
  )
  const at = `gateway here beside ${checkout}, ${connections} connections:`
  return (['perSecond', 'cpuMicros', 'p50Ms', 'p99Ms'] as const).map((field) => ({
    name: `${at} ${field}`,
    value: of('here', field) / of('there', field),
    unit: '×',
  }))
}
