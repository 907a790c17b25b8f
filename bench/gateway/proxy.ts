/**
 * What one hop through the gateway costs: requests a second, CPU a request, p50 and p99 at 1, 50 and 200 connections, as ratios to
 * haproxy in front of the same app, and what it adds to the app alone.
 */
import type { Row } from '../row.ts'
import { load } from './load.ts'
import { forwardTo, installed, inTurn, Peers, withCpu } from './peers.ts'

export interface ProxyOptions {
  readonly connections: readonly number[]
  readonly seconds: number
  /** Each measured so often, in turn; the median counts. */
  readonly rounds: number
}

type Field = 'perSecond' | 'p50Ms' | 'p99Ms' | 'cpuMicros'

/** What the bench does where a tool is missing. */
const without: Readonly<Record<string, string>> = {
  taskset: 'proxy and load share all cores',
  wrk: 'a load generator of ours takes its place',
  haproxy: 'only compared with the app itself',
}

/** All rows; about a minute and a half with the default options. */
export async function rows(options: Partial<ProxyOptions> = {}): Promise<Row[]> {
  const { connections = [1, 50, 200], seconds = 2, rounds = 5 } = options
  for (const tool of ['taskset', 'wrk', 'haproxy'])
    if (!installed(tool)) process.stderr.write(`${tool} is not installed: ${without[tool]}\n`)
  using peers = new Peers()
  const app = await peers.app('hello')
  const gateway = await peers.gateway({ appPort: app.port })
  const targets = [app, gateway]
  if (installed('haproxy')) targets.push(await peers.haproxy(forwardTo(app.port)))
  const all: Row[] = []
  for (const count of connections) {
    const of = await inTurn<Field, (typeof targets)[number]>(
      targets,
      rounds,
      async (peer, warmUp) => {
        const { result, cpuMicros } = await withCpu(peer, () =>
          load(peers, { port: peer.port, connections: count, seconds: warmUp ? 1 : seconds }),
        )
        return { ...result, cpuMicros: cpuMicros / result.requests }
      },
    )
    all.push(...compare(count, of, targets.length > 2))
  }
  return all
}

function compare(
  count: number,
  of: (name: string, field: Field) => number,
  haproxy: boolean,
): Row[] {
  const at = `gateway, ${count} connection${count === 1 ? '' : 's'}:`
  const row = (what: string, value: number, unit: string, goal?: string): Row => ({
    name: `${at} ${what}`,
    value,
    unit,
    ...(goal !== undefined && { goal }),
  })
  const against = (other: string, what: string, field: Field, goal?: string): Row =>
    row(`${what} of ${other}`, of('gateway', field) / of(other, field), '×', goal)
  const added = (what: string, field: Field, goal?: string): Row =>
    row(what, of('gateway', field) - of('app', field), 'ms', goal)
  const alone = count === 1
  const rows = [
    row('requests', of('gateway', 'perSecond'), '/s'),
    row('CPU a request', of('gateway', 'cpuMicros'), 'µs'),
    added('p50 added to the app alone', 'p50Ms', alone ? '<= 0.15 ms' : undefined),
    added('p99 added to the app alone', 'p99Ms', alone ? '<= 1 ms' : undefined),
    against('app', 'requests', 'perSecond'),
  ]
  if (haproxy && alone)
    rows.push(row('p50 that haproxy adds', of('haproxy', 'p50Ms') - of('app', 'p50Ms'), 'ms'))
  if (haproxy)
    rows.push(
      against('haproxy', 'requests', 'perSecond', '>= 0.65'),
      against('haproxy', 'CPU a request', 'cpuMicros', '<= 1.5'),
      against('haproxy', 'p50', 'p50Ms'),
      against('haproxy', 'p99', 'p99Ms'),
    )
  return rows
}
