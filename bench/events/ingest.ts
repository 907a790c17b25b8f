/**
 * Events of 1 KB taken in and acknowledged, 64 at a time: Ebb's ingress beside others, all up at the same time and looked
 * at in turn, in alternating order, so that the machine's mood is the same for each. Ratios are taken within a round; the
 * median of the rounds counts.
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { installed } from '../../test/e2e/installed.ts'
import { withCpu } from '../gateway/peers.ts'
import { cpuSeconds } from '../processes.ts'
import { median, type Row } from '../row.ts'
import { broker, brokerPath, ended, said, startEngine } from './engine.ts'
import { lookOverHttp, type Look } from './look.ts'
import type { PublisherKind } from './publish.ts'
import { natsServer, rabbitMq, rabbitMqScript } from './servers.ts'

export interface IngestOptions {
  readonly connections: number
  readonly seconds: number
  readonly rounds: number
  /** Compare with others. */
  readonly peers: boolean
}

/** Somebody who takes events in. */
interface Candidate {
  readonly name: string
  /** Of Ebb's events a second over this one's. */
  readonly goal?: string
  /** Its servers, for CPU; none = it is not here. */
  readonly pids: readonly number[]
  look(seconds: number): Promise<Look>
}

type Seen = Look & { readonly cpuMicros: number }

export async function ingest(options: IngestOptions): Promise<readonly Row[]> {
  const { connections, seconds, rounds } = options
  warnOfMemoryFiles()
  const folder = mkdtempSync(join(tmpdir(), 'ebb-bench-ingest-'))
  try {
    await using stack = new AsyncDisposableStack()
    const own = await ebb(stack, folder, options)
    const others = options.peers ? await peers(stack, folder, options) : []
    const seen = await inRounds([own, ...others], seconds, rounds)
    return rowsOf(own, others, seen, `${connections} in flight, 1 KB`)
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

function rowsOf(
  own: Candidate,
  others: readonly Candidate[],
  seen: ReadonlyMap<string, readonly Seen[]>,
  load: string,
): readonly Row[] {
  const all = ({ name }: Candidate, field: keyof Seen) =>
    (seen.get(name) ?? []).map((each) => each[field])
  const of = (candidate: Candidate, field: keyof Seen) => median(all(candidate, field))
  const rows = (candidate: Candidate, p99Goal?: string): Row[] => [
    {
      name: `${candidate.name}, ${load}`,
      value: of(candidate, 'eventsPerSecond'),
      unit: 'events/s',
    },
    { name: `${candidate.name}: p50`, value: of(candidate, 'p50Ms'), unit: 'ms' },
    {
      name: `${candidate.name}: p99`,
      value: of(candidate, 'p99Ms'),
      unit: 'ms',
      ...(p99Goal !== undefined && { goal: p99Goal }),
    },
    {
      name: `${candidate.name}: CPU of the servers an event`,
      value: of(candidate, 'cpuMicros'),
      unit: 'µs',
    },
  ]
  const ownSpeeds = all(own, 'eventsPerSecond')
  return [
    ...rows(own, '<= 10 ms'),
    ...others.flatMap((peer): Row[] => [
      ...rows(peer),
      {
        name: `${own.name} / ${peer.name}`,
        value: median(
          all(peer, 'eventsPerSecond').map((speed, round) => (ownSpeeds[round] ?? NaN) / speed),
        ),
        unit: 'x',
        ...(peer.goal !== undefined && { goal: peer.goal }),
      },
    ]),
  ]
}

/** After one look that does not count, by name what was seen of each in each round. */
async function inRounds(
  candidates: readonly Candidate[],
  seconds: number,
  rounds: number,
): Promise<ReadonlyMap<string, readonly Seen[]>> {
  const here = candidates.filter(({ pids }) => pids.length > 0)
  const seen = new Map(here.map(({ name }): [string, Seen[]] => [name, []]))
  const servers = here.flatMap(({ pids }) => pids)
  for (const candidate of here) await candidate.look(Math.min(seconds, 2))
  for (let round = 0; round < rounds; round++)
    for (const candidate of round % 2 === 0 ? here : here.toReversed()) {
      await calm(servers)
      const { result, cpuMicros } = await withCpu(candidate, () => candidate.look(seconds))
      seen.get(candidate.name)?.push({ ...result, cpuMicros: cpuMicros / result.events })
    }
  return seen
}

/** Servers tidy up after a load; the next look waits for that, for a while. */
async function calm(pids: readonly number[]): Promise<void> {
  for (let waits = 0; waits < 20; waits++) {
    const before = cpuSeconds(pids)
    await sleep(150)
    if (cpuSeconds(pids) - before < 0.015) return
  }
}

async function ebb(
  stack: AsyncDisposableStack,
  folder: string,
  { connections }: IngestOptions,
): Promise<Candidate> {
  const name = 'Ebb: HTTP, synced to disk'
  if (!installed('wrk', 'wrk')) return missing(name, 'wrk')
  const { port, pid } = stack.use(await startEngine(broker([])))
  return {
    name,
    pids: [pid],
    look: (seconds) => lookOverHttp({ port, path: brokerPath, connections, seconds, folder }),
  }
}

async function peers(
  stack: AsyncDisposableStack,
  folder: string,
  { connections }: IngestOptions,
): Promise<readonly Candidate[]> {
  const direct = 'NATS JetStream, files, not synced; its own client'
  const minimal = 'NATS JetStream, files, not synced; a minimal client, a connection each'
  const ingress = 'HTTP server in Node that publishes to JetStream by its own client'
  const queue = 'RabbitMQ quorum queue, synced, publisher confirms; amqplib'
  const candidates: Candidate[] = []
  const publisher = async (kind: PublisherKind, port: number) =>
    lookBy(stack, [
      join(import.meta.dirname, 'publish.ts'),
      kind,
      String(port),
      String(connections),
    ])
  if (installed('nats-server', 'nats-server')) {
    const { port, pids } = stack.use(await natsServer(folder))
    candidates.push(
      { name: direct, goal: '>= 1.2 x', pids, look: await publisher('jetstream', port) },
      { name: minimal, pids, look: await publisher('minimal', port) },
    )
    if (installed('wrk', 'wrk')) candidates.push(await httpBefore(ingress, port, pids))
  } else candidates.push(...[direct, minimal, ingress].map((name) => missing(name, 'nats-server')))
  if (installed('rabbitmqctl', 'rabbitmq-server') && existsSync(rabbitMqScript)) {
    const { port, pids } = stack.use(await rabbitMq(folder))
    candidates.push({
      name: queue,
      goal: '>= 1.6 x',
      pids,
      look: await publisher('rabbitmq', port),
    })
  } else candidates.push(missing(queue, 'rabbitmq-server'))
  return candidates

  async function httpBefore(
    name: string,
    natsPort: number,
    natsPids: readonly number[],
  ): Promise<Candidate> {
    const program = join(import.meta.dirname, 'nats-ingress.ts')
    const child = spawn(process.execPath, [program, String(natsPort)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    stack.defer(() => ended(child))
    const port = Number(await said(child, child.stdout, /\d+\n/))
    return {
      name,
      goal: '>= 3 x',
      pids: [child.pid ?? 0, ...natsPids],
      async look(seconds) {
        const seen = await lookOverHttp({ port, path: '/', connections, seconds, folder })
        await fetch(`http://127.0.0.1:${port}/`, { method: 'DELETE' })
        return seen
      },
    }
  }
}

/** Looks by a publisher in a process of its own. */
async function lookBy(
  stack: AsyncDisposableStack,
  args: readonly string[],
): Promise<Candidate['look']> {
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  stack.defer(() => ended(child))
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const line = async (): Promise<string> => {
    const { value, done } = await lines.next()
    if (done) throw new Error(`${args.join(' ')} ended`)
    return value
  }
  await line()
  return async (seconds) => {
    child.stdin.write(`${seconds}\n`)
    return JSON.parse(await line()) as Look
  }
}

/** Its rows say that it is not there. */
function missing(name: string, debianPackage: string): Candidate {
  process.stderr.write(`${debianPackage} is not installed (Debian): not measured: ${name}\n`)
  return {
    name: `${name} (without ${debianPackage})`,
    pids: [],
    look: () => Promise.reject(new Error(`${debianPackage} is not installed`)),
  }
}

/** Nothing is written to a disk where temporary files are memory, so nothing would be worth comparing. */
function warnOfMemoryFiles(): void {
  const tmpfs = 0x01021994
  if (statfsSync(tmpdir()).type === tmpfs)
    process.stderr.write(
      `${tmpdir()} is memory, where syncing costs nothing: set TMPDIR to a folder on a disk\n`,
    )
}
