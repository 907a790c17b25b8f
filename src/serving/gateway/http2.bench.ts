/**
 * What one hop of HTTP/2 costs, client and pod both h2c: requests a second and CPU a request, as ratios to haproxy in front
 * of the same upstream (which is haproxy again: it answers from its configuration). Proxy on one core, upstream and
 * h2load on another.
 */
import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  benchHost,
  type BenchRow,
  cpuMicros,
  installed,
  listening,
  median,
  output,
  pinned,
  startGatewayProcess,
} from './gateway.bench.ts'

export interface Http2BenchOptions {
  /** Connections and streams open on each. */
  readonly loads: readonly (readonly [connections: number, streams: number])[]
  readonly seconds: number
  /** Each measured so often, in turn; the median counts. */
  readonly rounds: number
}

interface Measured {
  readonly perSecond: number
  readonly cpuMicros: number
}

/** All rows, none where h2load or haproxy is missing; about half a minute with the default options. */
export async function benchGatewayHttp2(
  options: Partial<Http2BenchOptions> = {},
): Promise<BenchRow[]> {
  const {
    loads = [
      [10, 10],
      [50, 1],
    ],
    seconds = 2,
    rounds = 3,
  } = options
  for (const [tool, debian] of [
    ['h2load', 'nghttp2-client'],
    ['haproxy', 'haproxy'],
  ] as const)
    if (!installed(tool)) {
      process.stderr.write(`${tool} is not installed (Debian: ${debian}): HTTP/2 is not measured\n`)
      return []
    }
  const folder = mkdtempSync(join(tmpdir(), 'ebb-bench-'))
  const running: ChildProcess[] = []
  try {
    const appPort = 40_000 + (process.pid % 10_000)
    const app = startHaproxy(folder, 'app', 1, frontend(appPort, answer))
    running.push(app)
    await listening(appPort)
    const gateway = await startGatewayProcess(folder, appPort, 'h2c')
    running.push(gateway.child)
    const haproxyPort = appPort + 10_000
    const haproxy = startHaproxy(folder, 'proxy', 0, frontend(haproxyPort, forwardTo(appPort)))
    running.push(haproxy)
    await listening(haproxyPort)
    const targets = [
      { name: 'gateway', port: gateway.port, pid: gateway.child.pid ?? 0 },
      { name: 'haproxy', port: haproxyPort, pid: haproxy.pid ?? 0 },
    ]
    const rows: BenchRow[] = []
    for (const [connections, streams] of loads) {
      const all = new Map<string, Measured[]>(targets.map(({ name }) => [name, []]))
      for (let round = 0; round < rounds; round++)
        for (const { name, port, pid } of targets)
          all.get(name)?.push(await measure(port, pid, connections, streams, seconds))
      rows.push(...compare(`gateway, h2c, ${connections} × ${streams} streams:`, all))
    }
    return rows
  } finally {
    for (const child of running) child.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
}

function compare(at: string, all: ReadonlyMap<string, readonly Measured[]>): BenchRow[] {
  const of = (name: string, field: keyof Measured): number =>
    median((all.get(name) ?? []).map((measured) => measured[field]))
  const ratio = (field: keyof Measured): number => of('gateway', field) / of('haproxy', field)
  return [
    { name: `${at} requests`, value: of('gateway', 'perSecond'), unit: '/s' },
    { name: `${at} CPU a request`, value: of('gateway', 'cpuMicros'), unit: 'µs' },
    { name: `${at} requests of haproxy`, value: ratio('perSecond'), unit: '×', goal: '>= 0.5' },
    { name: `${at} CPU a request of haproxy`, value: ratio('cpuMicros'), unit: '×' },
  ]
}

async function measure(
  port: number,
  pid: number,
  connections: number,
  streams: number,
  seconds: number,
): Promise<Measured> {
  const before = cpuMicros(pid)
  const text = await output(
    pinned(1, 'h2load', [
      '-t1',
      `-c${connections}`,
      `-m${streams}`,
      `-D${seconds}`,
      '-H',
      `:authority: ${benchHost}`,
      `http://127.0.0.1:${port}/`,
    ]),
  )
  const { requests, perSecond } = parseH2load(text)
  return { perSecond, cpuMicros: (cpuMicros(pid) - before) / requests }
}

/** What `h2load -D` printed. Throws when a request failed. */
export function parseH2load(text: string): {
  readonly requests: number
  readonly perSecond: number
} {
  const speed = /finished in [\d.]+s, ([\d.]+) req\/s/.exec(text)
  const good = /(\d+) succeeded, 0 failed, 0 errored/.exec(text)
  const ok = /status codes: (\d+) 2xx/.exec(text)
  if (!speed || !good || ok?.[1] !== good[1]) throw new Error(`h2load: ${text}`)
  return { requests: Number(good[1]), perSecond: Number(speed[1]) }
}

const answer = `  http-request return status 200 content-type text/plain string "Hello, world\\n"`
const forwardTo = (port: number): string => `  default_backend app
backend app
  http-reuse always
  server app 127.0.0.1:${port} proto h2`
const frontend = (port: number, rest: string): string => `frontend front
  bind 127.0.0.1:${port} proto h2
${rest}
`

function startHaproxy(folder: string, name: string, core: number, rest: string): ChildProcess {
  const file = join(folder, `${name}.cfg`)
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
${rest}`,
  )
  return pinned(core, 'haproxy', ['-db', '-f', file])
}
