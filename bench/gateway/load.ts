/** What presses requests through the benches of the gateway: `wrk` for HTTP/1 (a small one of ours where it is missing), `h2load` for HTTP/2. */
import { benchHost, cores, installed, output, type Peers } from './peers.ts'
import { fileURLToPath } from 'node:url'

export interface Load {
  readonly requests: number
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

export interface LoadOptions {
  readonly port: number
  readonly connections: number
  readonly seconds: number
  /** On all cores instead of the second, with two threads. */
  readonly spread?: boolean
}

const program = fileURLToPath(new URL('programs.ts', import.meta.url))

/** One request at a time on each of so many kept-alive connections. */
export async function load(peers: Peers, options: LoadOptions): Promise<Load> {
  const { port, connections, seconds, spread = false } = options
  const core = spread ? undefined : cores.other
  if (!installed('wrk')) {
    const args = [program, 'load', ...[port, connections, seconds].map(String)]
    return JSON.parse(await output(peers.start(core, process.execPath, args))) as Load
  }
  return parseWrk(
    await output(
      peers.start(core, 'wrk', [
        `-t${spread ? 2 : 1}`,
        `-c${connections}`,
        `-d${seconds}s`,
        '--latency',
        '-H',
        `Host: ${benchHost}`,
        `http://127.0.0.1:${port}/`,
      ]),
    ),
  )
}

/** What `wrk --latency` printed. Throws when a request failed. */
export function parseWrk(text: string): Load {
  if (/Non-2xx|Socket errors/.test(text)) throw new Error(`wrk: ${text}`)
  const number = (pattern: RegExp): RegExpExecArray => {
    const match = pattern.exec(text)
    if (!match) throw new Error(`unexpected output of wrk: ${text}`)
    return match
  }
  const ms = (percent: string): number => {
    const [, value, unit] = number(new RegExp(`${percent}%\\s+([\\d.]+)(us|ms|s|m)`))
    const factors: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1000, m: 60_000 }
    return Number(value) * (factors[unit ?? ''] ?? Number.NaN)
  }
  return {
    requests: Number(number(/(\d+) requests in/)[1]),
    perSecond: Number(number(/Requests\/sec:\s+([\d.]+)/)[1]),
    p50Ms: ms('50'),
    p99Ms: ms('99'),
  }
}

export interface Http2Load {
  readonly port: number
  readonly connections: number
  /** Open at a time on each connection. */
  readonly streams: number
  readonly seconds: number
}

export async function loadHttp2(
  peers: Peers,
  { port, connections, streams, seconds }: Http2Load,
): Promise<{ readonly requests: number; readonly perSecond: number }> {
  return parseH2load(
    await output(
      peers.start(cores.other, 'h2load', [
        '-t1',
        `-c${connections}`,
        `-m${streams}`,
        `-D${seconds}`,
        '-H',
        `:authority: ${benchHost}`,
        `http://127.0.0.1:${port}/`,
      ]),
    ),
  )
}

/** What `h2load -D` printed. Throws when a request failed. */
export function parseH2load(text: string): {
  readonly requests: number
  readonly perSecond: number
} {
  const speed = /finished in [\d.]+(?:[mu]s|s), ([\d.]+) req\/s/.exec(text)
  const good = /(\d+) succeeded, 0 failed, 0 errored/.exec(text)
  const ok = /status codes: (\d+) 2xx/.exec(text)
  if (!speed || !good || ok?.[1] !== good[1]) throw new Error(`h2load: ${text}`)
  return { requests: Number(good[1]), perSecond: Number(speed[1]) }
}
