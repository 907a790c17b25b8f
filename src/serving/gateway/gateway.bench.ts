/**
 * What one hop through the gateway costs: requests a second, CPU a request, p50 and p99 at 1, 50 and 200 connections, as ratios to the
 * app itself and, where `haproxy` is installed, to haproxy in front of the same app. Proxy on one core, app and load
 * on another (`taskset`), each a process of its own. The load is `wrk` where installed, else a small one of ours.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ToGateway } from './feed.ts'

export interface BenchRow {
  readonly name: string
  readonly value: number
  readonly unit: string
  readonly goal?: string
}

export interface BenchOptions {
  readonly connections: readonly number[]
  readonly seconds: number
  /** Each measured so often, in turn; the median counts. */
  readonly rounds: number
}

interface Measured {
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly cpuMicros: number
}

/** What the bench does where a tool is missing. */
const without: Readonly<Record<string, string>> = {
  taskset: 'proxy and load share all cores',
  wrk: 'a load generator of ours takes its place',
  haproxy: 'only compared with the app itself',
}

export const benchHost = 'bench.default.localhost'
const host = benchHost

/** Answers every request head with the same 13 bytes; cheap, so that the proxy is what is measured. */
const appSource = `
import { createServer } from 'node:net'
const answer = 'HTTP/1.1 200 OK\\r\\nContent-Type: text/plain\\r\\nContent-Length: 13\\r\\n\\r\\nHello, world\\n'
createServer({ noDelay: true }, (socket) => {
  let text = ''
  socket.on('error', () => {})
  socket.on('data', (bytes) => {
    text += bytes.toString('latin1')
    let out = ''
    for (let at = text.indexOf('\\r\\n\\r\\n'); at >= 0; at = text.indexOf('\\r\\n\\r\\n')) {
      text = text.slice(at + 4)
      out += answer
    }
    if (out) socket.write(out, 'latin1')
  })
}).listen(0, '127.0.0.1', function () { console.log(this.address().port) })`

/** N keep-alive connections, one request each at a time; prints what wrk would say. */
const loadSource = `
import { connect } from 'node:net'
const [port, connections, seconds] = process.argv.slice(1).map(Number)
const request = 'GET / HTTP/1.1\\r\\nHost: ${host}\\r\\n\\r\\n'
const times = []
const endMs = performance.now() + seconds * 1000
let open = connections
for (let i = 0; i < connections; i++) {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true })
  let sent = 0
  const send = () => { sent = performance.now(); socket.write(request, 'latin1') }
  socket.on('connect', send)
  socket.on('data', () => {
    const now = performance.now()
    times.push(now - sent)
    if (now < endMs) send()
    else { socket.destroy(); if (--open === 0) report() }
  })
}
function report() {
  times.sort((a, b) => a - b)
  const at = (q) => times[Math.floor((times.length - 1) * q)]
  console.log(JSON.stringify({ requests: times.length, perSecond: times.length / seconds, p50Ms: at(0.5), p99Ms: at(0.99) }))
}`

/** All rows; about a minute with the default options. */
export async function benchGateway(options: Partial<BenchOptions> = {}): Promise<BenchRow[]> {
  const { connections = [1, 50, 200], seconds = 2, rounds = 3 } = options
  const folder = mkdtempSync(join(tmpdir(), 'ebb-bench-'))
  const running: ChildProcess[] = []
  try {
    const app = pinned(1, process.execPath, ['--input-type=module', '-e', appSource])
    running.push(app)
    const appPort = Number(await firstLine(app))
    const gateway = await startGatewayProcess(folder, appPort)
    running.push(gateway.child)
    const targets: { name: string; port: number; pid: number }[] = [
      { name: 'app', port: appPort, pid: app.pid ?? 0 },
      { name: 'gateway', port: gateway.port, pid: gateway.child.pid ?? 0 },
    ]
    if (installed('haproxy')) {
      const haproxy = await startHaproxy(folder, appPort)
      running.push(haproxy.child)
      targets.push({ name: 'haproxy', port: haproxy.port, pid: haproxy.child.pid ?? 0 })
    }
    for (const tool of ['taskset', 'wrk', 'haproxy'])
      if (!installed(tool)) process.stderr.write(`${tool} is not installed: ${without[tool]}\n`)
    const rows: BenchRow[] = []
    for (const count of connections) {
      const all = new Map<string, Measured[]>(targets.map(({ name }) => [name, []]))
      for (let round = 0; round < rounds; round++)
        for (const { name, port, pid } of targets)
          all.get(name)?.push(await measure(port, pid, count, seconds))
      rows.push(...compare(count, all))
    }
    return rows
  } finally {
    for (const child of running) child.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
}

function compare(count: number, all: ReadonlyMap<string, readonly Measured[]>): BenchRow[] {
  const of = (name: string, field: keyof Measured): number =>
    median((all.get(name) ?? []).map((measured) => measured[field]))
  const at = `gateway, ${count} connection${count === 1 ? '' : 's'}:`
  const rows: BenchRow[] = [
    { name: `${at} requests`, value: of('gateway', 'perSecond'), unit: '/s' },
    { name: `${at} CPU a request`, value: of('gateway', 'cpuMicros'), unit: 'µs' },
    { name: `${at} p50`, value: of('gateway', 'p50Ms'), unit: 'ms' },
    { name: `${at} p99`, value: of('gateway', 'p99Ms'), unit: 'ms' },
  ]
  const against = (
    other: string,
    what: string,
    field: keyof Measured,
    goal?: string,
  ): BenchRow => ({
    name: `${at} ${what} of ${other}`,
    value: of('gateway', field) / of(other, field),
    unit: '×',
    ...(goal !== undefined && { goal }),
  })
  rows.push(against('app', 'requests', 'perSecond'), against('app', 'p50', 'p50Ms'))
  if (all.has('haproxy'))
    rows.push(
      against('haproxy', 'requests', 'perSecond', '>= 0.5'),
      against('haproxy', 'CPU a request', 'cpuMicros'),
      against('haproxy', 'p50', 'p50Ms'),
      against('haproxy', 'p99', 'p99Ms'),
    )
  return rows
}

async function measure(
  port: number,
  pid: number,
  connections: number,
  seconds: number,
): Promise<Measured> {
  const before = cpuMicros(pid)
  const wrk = installed('wrk')
  const child = wrk
    ? pinned(1, 'wrk', [
        '-t1',
        `-c${connections}`,
        `-d${seconds}s`,
        '--latency',
        '-H',
        `Host: ${host}`,
        `http://127.0.0.1:${port}/`,
      ])
    : pinned(1, process.execPath, [
        '--input-type=module',
        '-e',
        loadSource,
        '--',
        ...[port, connections, seconds].map(String),
      ])
  const text = await output(child)
  const spent = cpuMicros(pid) - before
  const result = wrk ? parseWrk(text) : (JSON.parse(text) as ReturnType<typeof parseWrk>)
  return { ...result, cpuMicros: spent / result.requests }
}

/** What `wrk --latency` printed. */
export function parseWrk(text: string): {
  readonly requests: number
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
} {
  const number = (pattern: RegExp): RegExpExecArray => {
    const match = pattern.exec(text)
    if (!match) throw new Error(`unexpected output of wrk: ${text}`)
    return match
  }
  const ms = (percent: string): number => {
    const [, value, unit] = number(new RegExp(`${percent}%\\s+([\\d.]+)(us|ms|s)`))
    return Number(value) * (unit === 'us' ? 0.001 : unit === 's' ? 1000 : 1)
  }
  return {
    requests: Number(number(/(\d+) requests in/)[1]),
    perSecond: Number(number(/Requests\/sec:\s+([\d.]+)/)[1]),
    p50Ms: ms('50'),
    p99Ms: ms('99'),
  }
}

/** A gateway on the first core that knows `benchHost`, served by one pod on this port. */
export async function startGatewayProcess(
  folder: string,
  appPort: number,
  protocol: 'http1' | 'h2c' = 'http1',
) {
  const control = join(folder, 'control.sock')
  const child = pinned(0, process.execPath, [
    '--max-semi-space-size=4', // as the platform starts it
    fileURLToPath(new URL('main.ts', import.meta.url)),
    '--http',
    '127.0.0.1:0',
    '--local',
    '127.0.0.1:0',
    '--control',
    control,
  ])
  await firstLine(child)
  const messages: ToGateway[] = [
    { type: 'reset' },
    {
      type: 'ingress',
      ingress: {
        key: 'default/bench',
        hash: '1',
        rules: [
          {
            hosts: [host],
            visibility: 'ExternalIP',
            paths: [{ splits: [{ revision: 'default/bench-00001', percent: 100 }] }],
          },
        ],
      },
    },
    {
      type: 'revision',
      revision: {
        key: 'default/bench-00001',
        service: 'bench',
        configuration: 'bench',
        protocol,
        containerConcurrency: 0,
        timeoutMs: 300_000,
        responseStartTimeoutMs: 0,
        idleTimeoutMs: 0,
        backends: [{ host: '127.0.0.1', port: appPort, pod: 'bench' }],
      },
    },
    { type: 'sync', version: 1 },
  ]
  const port = await new Promise<number>((resolve, reject) => {
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
  return { child, port }
}

async function startHaproxy(folder: string, appPort: number) {
  const port = 20_000 + (process.pid % 20_000)
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
  option forwardfor
  http-reuse always
frontend front
  bind 127.0.0.1:${port}
  default_backend app
backend app
  server app 127.0.0.1:${appPort}
`,
  )
  const child = pinned(0, 'haproxy', ['-db', '-f', file])
  await listening(port)
  return { child, port }
}

/** Waits until something listens on this port of the loopback address. */
export async function listening(port: number): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
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

/** A child on one core, where the machine has two and `taskset`. */
export function pinned(core: number, command: string, args: readonly string[]): ChildProcess {
  const stdio: ['ignore', 'pipe', 'ignore'] = ['ignore', 'pipe', 'ignore']
  return installed('taskset')
    ? spawn('taskset', ['-c', String(core), command, ...args], { stdio })
    : spawn(command, args, { stdio })
}

export function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    child.stdout?.on('data', (bytes: Buffer) => {
      text += bytes.toString()
      if (text.includes('\n')) resolve(text.slice(0, text.indexOf('\n')))
    })
    child.on('exit', (code) => reject(new Error(`ended early with ${code}`)))
  })
}

export function output(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    child.stdout?.on('data', (bytes: Buffer) => (text += bytes.toString()))
    child.on('error', reject)
    child.on('close', () => resolve(text))
  })
}

/** User and system time of a process so far (`/proc`, ticks of 10 ms); NaN elsewhere. */
export function cpuMicros(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return (Number(fields[11]) + Number(fields[12])) * 10_000
  } catch {
    return Number.NaN
  }
}

const found = new Map<string, boolean>()

export function installed(command: string): boolean {
  let known = found.get(command)
  if (known === undefined) {
    try {
      execFileSync('which', [command], { stdio: 'ignore' })
      known = true
    } catch {
      known = false
    }
    found.set(command, known)
  }
  return known
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}
