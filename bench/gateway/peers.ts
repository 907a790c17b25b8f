/**
 * Who takes part in the benches of the gateway: each a process of its own, proxies pinned to the first core, apps and load to the second
 * (`taskset`). All of one bench run at the same time and are measured in turn, so that the machine's mood is the same for each.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { RevisionTarget, ToGateway } from '../../src/serving/gateway/feed.ts'
import { cpuSeconds } from '../processes.ts'
import { median } from '../row.ts'

/** The host that the gateway knows. */
export const benchHost = 'bench.default.localhost'

/** Core of what is measured, and of everything else. */
export const cores = { proxy: 0, other: 1 } as const

/** Someone who is measured. */
export interface Peer {
  readonly name: string
  readonly port: number
  /** Its processes, for CPU and memory. */
  readonly pids: readonly number[]
}

export interface GatewayStart {
  readonly appPort: number
  readonly protocol?: RevisionTarget['protocol']
  readonly workers?: number
  /** On all cores instead of the proxy's. */
  readonly spread?: boolean
  /** Another checkout to run it from. */
  readonly checkout?: string
  readonly nodeFlags?: readonly string[]
}

/** The processes of one bench; all end with it. */
export class Peers implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'ebb-bench-'))
  readonly #running: ChildProcess[] = []

  /** Starts a program; `core` undefined = on any. */
  start(core: number | undefined, command: string, args: readonly string[]): ChildProcess {
    const stdio: ['ignore', 'pipe', 'ignore'] = ['ignore', 'pipe', 'ignore']
    const child =
      core !== undefined && installed('taskset')
        ? spawn('taskset', ['-c', String(core), command, ...args], { stdio })
        : spawn(command, args, { stdio })
    this.#running.push(child)
    return child
  }

  /** Starts one of our programs (`programs.ts`), which says its port when it listens. */
  async app(name: string): Promise<Peer> {
    const child = this.start(cores.other, process.execPath, [program, name])
    return { name: 'app', port: Number(await firstLine(child)), pids: [child.pid ?? 0] }
  }

  /** A gateway that knows `benchHost`, served by one pod, with everything on that is on by default. */
  async gateway(start: GatewayStart, name = 'gateway'): Promise<Peer> {
    const {
      appPort,
      protocol = 'http1',
      workers = 1,
      spread = false,
      checkout,
      nodeFlags = [],
    } = start
    const control = join(this.folder, `${name}.sock`)
    const main = checkout
      ? join(checkout, 'src/serving/gateway/main.ts')
      : fileURLToPath(new URL('../../src/serving/gateway/main.ts', import.meta.url))
    const child = this.start(spread ? undefined : cores.proxy, process.execPath, [
      '--max-semi-space-size=4', // as the platform starts it
      ...nodeFlags,
      main,
      '--http',
      '127.0.0.1:0',
      '--local',
      '127.0.0.1:0',
      '--control',
      control,
      ...(workers > 1 ? ['--workers', String(workers)] : []),
    ])
    await firstLine(child)
    return { name, port: await feed(control, appPort, protocol), pids: [child.pid ?? 0] }
  }

  /** An haproxy whose configuration ends in `rest`, which uses `port` for its listener. */
  async haproxy(rest: (port: number) => string, options: HaproxyStart = {}): Promise<Peer> {
    const { name = 'haproxy', core = cores.proxy, threads = 1, spread = false } = options
    const port = await freePort()
    const file = join(this.folder, `${name}.cfg`)
    writeFileSync(
      file,
      `global
  nbthread ${threads}
  maxconn ${haproxyConnections}
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
  option forwardfor
  http-reuse always
${rest(port)}`,
    )
    const child = this.start(spread ? undefined : core, 'haproxy', ['-db', '-f', file])
    await listening(port)
    return { name, port, pids: [child.pid ?? 0] }
  }

  [Symbol.dispose](): void {
    for (const child of this.#running) child.kill('SIGKILL')
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** It wants two descriptors for each; this many fit below the usual limit of 20,000. */
export const haproxyConnections = 9000

export interface HaproxyStart {
  readonly name?: string
  readonly core?: number
  readonly threads?: number
  /** On all cores. */
  readonly spread?: boolean
}

const program = fileURLToPath(new URL('programs.ts', import.meta.url))

/** haproxy in front of one app: what to give `Peers.haproxy`. `protocol`: `proto h2` for HTTP/2 on both sides. */
export const forwardTo =
  (appPort: number, protocol = '') =>
  (port: number): string =>
    `frontend front
  bind 127.0.0.1:${port} ${protocol}
  default_backend app
backend app
  server app 127.0.0.1:${appPort} ${protocol}
`

/** Tells a gateway its one route; answers the port it listens on. */
function feed(
  control: string,
  appPort: number,
  protocol: RevisionTarget['protocol'],
): Promise<number> {
  const revision = 'default/bench-00001'
  const messages: ToGateway[] = [
    { type: 'reset' },
    {
      type: 'ingress',
      ingress: {
        key: 'default/bench',
        hash: '1',
        rules: [
          {
            hosts: [benchHost],
            visibility: 'ExternalIP',
            paths: [{ splits: [{ revision, percent: 100 }] }],
          },
        ],
      },
    },
    {
      type: 'revision',
      revision: {
        key: revision,
        service: 'bench',
        configuration: 'bench',
        protocol,
        containerConcurrency: 0,
        timeoutMs: 300_000,
        responseStartTimeoutMs: 60_000,
        idleTimeoutMs: 120_000,
        backends: [{ host: '127.0.0.1', port: appPort, pod: 'bench' }],
      },
    },
    { type: 'sync', version: 1 },
  ]
  return new Promise<number>((resolve, reject) => {
    const socket = connect({ path: control })
    let text = ''
    socket.on('error', reject)
    socket.on('connect', () => {
      for (const message of messages) socket.write(`${JSON.stringify(message)}\n`)
    })
    socket.on('data', (bytes) => {
      text += bytes.toString()
      if (!text.includes('"ack"')) return
      socket.destroy()
      resolve(Number(/"http":\{"host":"[^"]*","port":(\d+)/.exec(text)?.[1]))
    })
  })
}

/**
 * Measures each target `rounds` times, in turn and in alternating order, after one look that does not count; answers the median
 * of every number. `measure` says what one look gives.
 */
export async function inTurn<K extends string, P extends { readonly name: string }>(
  targets: readonly P[],
  rounds: number,
  measure: (target: P, warmUp: boolean) => Promise<Readonly<Record<K, number>>>,
): Promise<(name: string, field: K) => number> {
  const all = new Map<string, Readonly<Record<K, number>>[]>(targets.map(({ name }) => [name, []]))
  for (const target of targets) await measure(target, true)
  for (let round = 0; round < rounds; round++)
    for (const target of round % 2 === 0 ? targets : targets.toReversed())
      all.get(target.name)?.push(await measure(target, false))
  return (name, field) => median((all.get(name) ?? []).map((measured) => measured[field]))
}

/** CPU time that `peer` spends while `run` runs, in microseconds, with what `run` answers. */
export async function withCpu<T>(
  { pids }: Pick<Peer, 'pids'>,
  run: () => Promise<T>,
): Promise<{ readonly result: T; readonly cpuMicros: number }> {
  const before = cpuSeconds(pids)
  const result = await run()
  return { result, cpuMicros: (cpuSeconds(pids) - before) * 1e6 }
}

/** Resident memory of processes in bytes. */
export function residentBytes({ pids }: Pick<Peer, 'pids'>): number {
  let sum = 0
  for (const pid of pids)
    sum +=
      1024 * Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0)
  return sum
}

/** A port of the loopback address that nobody has at the moment. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}

/** Waits until something listens on this port of the loopback address. */
export async function listening(port: number): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect({ host: '127.0.0.1', port })
      socket.on('connect', () => {
        socket.destroy()
        resolve(true)
      })
      socket.on('error', () => resolve(false))
    })
    if (open) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error(`nobody listens on port ${port}`)
}

/** The first line that a child prints; rejects when it ends before. */
export function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    child.stdout?.on('data', (bytes: Buffer) => {
      text += bytes.toString()
      if (text.includes('\n')) resolve(text.slice(0, text.indexOf('\n')))
    })
    child.on('error', reject)
    child.on('exit', (code) => reject(new Error(`ended early with ${code}`)))
  })
}

/** Everything that a child prints. */
export function output(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    child.stdout?.on('data', (bytes: Buffer) => (text += bytes.toString()))
    child.on('error', reject)
    child.on('close', () => resolve(text))
  })
}

const found = new Map<string, boolean>()

export function installed(command: string): boolean {
  let known = found.get(command)
  if (known === undefined) {
    known = spawnSync('sh', ['-c', 'command -v "$0"', command], { stdio: 'ignore' }).status === 0
    found.set(command, known)
  }
  return known
}

/** True when all are installed; else says what is left out without them. */
export function available(what: string, ...tools: readonly (readonly [string, string])[]): boolean {
  const missing = tools.filter(([command]) => !installed(command))
  for (const [command, debian] of missing)
    process.stderr.write(
      `${command} is not installed (Debian: ${debian}): ${what} is not measured\n`,
    )
  return missing.length === 0
}
