/**
 * What our HTTP/2 costs, as a server and as a proxy that takes each stream apart: requests a second and CPU a request, beside node:http2 and,
 * where installed, haproxy. Server or proxy on one core; upstream (ours) and load (`h2load`, else our own) on another.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface Http2BenchRow {
  readonly name: string
  readonly value: number
  readonly unit: string
  readonly goal?: string
}

export interface Http2BenchOptions {
  /** Connections and streams on each. */
  readonly loads: readonly (readonly [connections: number, streams: number])[]
  readonly seconds: number
  /** Each measured so often, in turn; the median counts. */
  readonly rounds: number
}

const program = fileURLToPath(new URL('http2.bench-program.ts', import.meta.url))
const installed = (command: string): boolean => spawnSync('which', [command]).status === 0

export async function benchHttp2(
  options: Partial<Http2BenchOptions> = {},
): Promise<Http2BenchRow[]> {
  const {
    loads = [
      [10, 10],
      [50, 1],
    ] as const,
    seconds = 2,
    rounds = 3,
  } = options
  const folder = mkdtempSync(join(tmpdir(), 'ebb-http2-bench-'))
  const running: ChildProcess[] = []
  const start = async (core: number, ...args: string[]) => {
    const child = pinned(core, process.execPath, ['--max-semi-space-size=4', program, ...args])
    running.push(child)
    const { port } = JSON.parse(await firstLine(child)) as { port: number }
    return { port, pid: child.pid ?? 0 }
  }
  try {
    const upstream = await start(1, 'serve')
    const targets = new Map([
      ['server', await start(0, 'serve')],
      ['server on node:http2', await start(0, 'node-serve')],
      ['proxy', await start(0, 'proxy', String(upstream.port))],
      ['proxy on node:http2', await start(0, 'node-proxy', String(upstream.port))],
    ])
    if (installed('haproxy')) {
      const haproxy = await startHaproxy(folder, upstream.port)
      running.push(haproxy.child)
      targets.set('haproxy', { port: haproxy.port, pid: haproxy.child.pid ?? 0 })
    }
    const rows: Http2BenchRow[] = []
    for (const [connections, streams] of loads) {
      const all = new Map<string, { perSecond: number; cpuMicros: number }[]>()
      for (let round = 0; round < rounds; round++)
        for (const [name, { port, pid }] of targets) {
          const before = cpuMicros(pid)
          const { requests, perSecond } = await loadOn(port, connections, streams, seconds)
          const measured = { perSecond, cpuMicros: (cpuMicros(pid) - before) / requests }
          all.set(name, [...(all.get(name) ?? []), measured])
        }
      rows.push(...compare(`h2, ${connections} × ${streams}`, all))
    }
    return rows
  } finally {
    for (const child of running) child.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
}

function compare(
  load: string,
  all: ReadonlyMap<string, readonly { perSecond: number; cpuMicros: number }[]>,
): Http2BenchRow[] {
  const perSecond = (name: string) => median((all.get(name) ?? []).map((one) => one.perSecond))
  const micros = (name: string) => median((all.get(name) ?? []).map((one) => one.cpuMicros))
  const rows: Http2BenchRow[] = []
  for (const name of all.keys())
    rows.push(
      { name: `${load}: ${name}, requests`, value: perSecond(name), unit: '/s' },
      { name: `${load}: ${name}, CPU a request`, value: micros(name), unit: 'µs' },
    )
  const ratio = (name: string, other: string, goal?: string) => {
    if (!all.has(other)) return
    const requests = perSecond(name) / perSecond(other)
    rows.push(
      {
        name: `${load}: ${name}, requests of ${other}`,
        value: requests,
        unit: '×',
        ...(goal !== undefined && { goal }),
      },
      {
        name: `${load}: ${name}, CPU a request of ${other}`,
        value: micros(name) / micros(other),
        unit: '×',
      },
    )
  }
  ratio('server', 'server on node:http2')
  ratio('proxy', 'proxy on node:http2')
  ratio('proxy', 'haproxy', '>= 0.5')
  return rows
}

async function loadOn(
  port: number,
  connections: number,
  streams: number,
  seconds: number,
): Promise<{ requests: number; perSecond: number }> {
  const child = installed('h2load')
    ? pinned(1, 'h2load', [
        `-c${connections}`,
        `-m${streams}`,
        `-D${seconds * 1000}ms`,
        `http://127.0.0.1:${port}/`,
      ])
    : pinned(1, process.execPath, [
        program,
        'load',
        ...[port, connections, streams, seconds].map(String),
      ])
  let text = ''
  child.stdout?.on('data', (bytes: Buffer) => (text += bytes.toString()))
  await new Promise((resolve) => child.on('close', resolve))
  return parseH2load(text)
}

/** What `h2load -D` printed. */
export function parseH2load(text: string): { requests: number; perSecond: number } {
  const perSecond = /finished in [\d.]+m?s, ([\d.]+) req\/s/.exec(text)?.[1]
  const requests = /(\d+) done/.exec(text)?.[1]
  if (perSecond === undefined || requests === undefined)
    throw new Error(`unexpected output of h2load: ${text}`)
  return { requests: Number(requests), perSecond: Number(perSecond) }
}

async function startHaproxy(folder: string, upstreamPort: number) {
  const port = await freePort()
  const file = join(folder, 'haproxy.cfg')
  writeFileSync(
    file,
    `global
  nbthread 1
  maxconn 2000
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
  http-reuse always
frontend front
  bind 127.0.0.1:${port} proto h2
  default_backend app
backend app
  server app 127.0.0.1:${upstreamPort} proto h2
`,
  )
  const child = pinned(0, 'haproxy', ['-db', '-f', file])
  for (let attempt = 0; attempt < 100; attempt++) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect({ host: '127.0.0.1', port })
      socket.on('connect', () => {
        socket.destroy()
        resolve(true)
      })
      socket.on('error', () => resolve(false))
    })
    if (open) return { child, port }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error('haproxy does not listen')
}

/** A port that nobody listens on now. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}

/** A child on one core, where the machine has two and `taskset`. */
function pinned(core: number, command: string, args: readonly string[]): ChildProcess {
  const stdio: ['ignore', 'pipe', 'inherit'] = ['ignore', 'pipe', 'inherit']
  return installed('taskset')
    ? spawn('taskset', ['-c', String(core), command, ...args], { stdio })
    : spawn(command, args, { stdio })
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    child.stdout?.on('data', (bytes: Buffer) => {
      text += bytes.toString()
      if (text.includes('\n')) resolve(text.slice(0, text.indexOf('\n')))
    })
    child.on('exit', (code) => reject(new Error(`ended early with ${code}`)))
  })
}

/** User and system time of a process; clock ticks are 10 ms on all Linux machines. */
function cpuMicros(pid: number): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? []
    return (Number(fields[11]) + Number(fields[12])) * 10_000
  } catch {
    return 0
  }
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[sorted.length >> 1] ?? 0
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  for (const { name, value, unit } of await benchHttp2())
    process.stdout.write(`${name.padEnd(70)} ${value.toFixed(value < 100 ? 2 : 0)} ${unit}\n`)
