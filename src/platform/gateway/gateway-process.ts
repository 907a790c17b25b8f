/**
 * The gateway as a process: started when none answers on its socket, found again when one does, started again on the
 * same addresses when it died. It is detached: neither a crash nor the end of this process ends it.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { openSync, closeSync, mkdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { MessageChannel } from 'node:worker_threads'
import { strippedEntry } from '../../kube/kubelet/process/stripped-entry.ts'
import { sleep, type Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { GatewayLink, Hello } from '../../serving/controllers/ingress/feed-client.ts'
import type { ToGateway } from '../../serving/gateway/feed.ts'
import { socketsToPass } from '../../serving/gateway/handover/inherited-sockets.ts'
import { addressText, type Address, type WantedAddress } from '../config.ts'
import { assertFree, isFree } from '../free-address.ts'
import { bindSockets, type ListeningSockets } from './listening-sockets.ts'
import { firstWord, sayAndSeeOff } from '../unix-peer.ts'

export interface GatewayProcessOptions {
  readonly socketPath: string
  readonly logPath: string
  /** Where the process' program may be copied without types (stripped-entry.ts). */
  readonly programDir: string
  readonly http: Address
  /** Undefined = no TLS. */
  readonly https: WantedAddress | undefined
  /** Where metrics are told; undefined = nowhere. */
  readonly admin: WantedAddress | undefined
  /** Threads that serve. Default 1. */
  readonly workers?: number
  readonly clock: Clock
  readonly log: Log
}

/**
 * Starts a gateway unless one answers already. One that was started with other flags hands its sockets over to a new one;
 * one that listens elsewhere than wanted is stopped first. Returns once the process was forked, not when it listens; answers the process if so. Throws when the address can't be had, before anything
 * is stopped.
 */
export async function ensureGatewayProcess(
  options: GatewayProcessOptions,
): Promise<ChildProcess | undefined> {
  const running = await greet(options.socketPath)
  if (
    running &&
    serves(running.http, options.http) &&
    servesWanted(running.https, options.https) &&
    servesWanted(running.admin, options.admin)
  )
    if (await isAsWanted(running, options)) return undefined
  if (!running || !serves(running.http, options.http)) await assertFree(options.http, 'gateway')
  const https = await freeWanted('gateway-tls', options.https, running?.https)
  const admin = await freeWanted('metrics', options.admin, running?.admin)
  if (running) await stopGateway(options.socketPath, graceMs)
  return forkGateway({ ...options, https, admin }, { host: '127.0.0.1', port: 0 })
}

/** True when the gateway that runs has these flags, or has made room for one that has. */
async function isAsWanted(running: Hello, options: GatewayProcessOptions): Promise<boolean> {
  const wanted = flagsOf(
    { ...options, http: running.http, https: running.https, admin: running.admin },
    running.local,
  )
  if (running.command === wanted.join(' ')) return true
  if (!running.handover) return false
  options.log.info('the gateway has other flags than wanted: it hands over', {
    pid: running.pid,
    flags: running.command,
  })
  return await handOver(options, [...nodeFlags, entryOf(options), ...wanted])
}

/**
 * Has the gateway that runs replaced by one that is started with these arguments of Node, on the same listening sockets
 * and without a request lost. False when no other answers in time.
 */
async function handOver(
  { socketPath, clock }: GatewayProcessOptions,
  args: readonly string[],
): Promise<boolean> {
  const before = await greet(socketPath)
  if (!before) return false
  // Alarms of the clock do not keep a process alive in which nothing else has been started; a port does.
  const { port1, port2 } = new MessageChannel()
  port1.ref()
  try {
    // It hangs up when its successor has started, and not at all when that fails.
    const message: ToGateway = { type: 'handover', args, graceMs: handoverGraceMs }
    await Promise.race([
      sayAndSeeOff(socketPath, message),
      sleep(clock, handoverTries * handoverTryMs),
    ])
    for (let tries = 0; tries < handoverTries; tries++) {
      const now = await greet(socketPath)
      if (now && now.pid !== before.pid) return true
      await sleep(clock, handoverTryMs)
    }
    return false
  } finally {
    port2.close()
  }
}

/** Streams of a gateway that handed over may last so long. */
const handoverGraceMs = 300_000
const handoverTries = 200
const handoverTryMs = 50

/**
 * Sockets that this process has opened for gateways, by control socket: as long as it lives, no connection is refused
 * while a gateway that died is started again.
 */
const held = new Map<string, ReadonlyMap<string, ListeningSockets>>()

/** Opens the sockets of a gateway, or takes those that are open already. Undefined = it opens its own. */
async function socketsFor(
  options: GatewayProcessOptions,
  local: Address,
): Promise<ReadonlyMap<string, ListeningSockets> | undefined> {
  const { socketPath, http, https, admin, workers = 1 } = options
  const before = held.get(socketPath)
  const sockets = new Map<string, ListeningSockets>()
  for (const [name, address] of Object.entries({ http, local, https, admin })) {
    if (!address) continue
    const known = before?.get(name)
    const bound =
      known && serves(known.address, address)
        ? known
        : await bindSockets(address, name === 'admin' ? 1 : workers)
    // Whoever opens it says best what is wrong with it.
    if (bound) sockets.set(name, bound)
  }
  for (const [name, old] of before ?? []) if (sockets.get(name) !== old) old[Symbol.dispose]()
  held.set(socketPath, sockets)
  return sockets
}

/** What is to be listened on, now that the wanted port may be taken. A running gateway's own will be free. */
async function freeWanted(
  flag: 'gateway-tls' | 'metrics',
  wanted: WantedAddress | undefined,
  running: Address | undefined,
): Promise<WantedAddress | undefined> {
  if (!wanted || (running && servesWanted(running, { ...wanted, fallback: false }))) return wanted
  if (wanted.fallback) return (await isFree(wanted)) ? wanted : { ...wanted, port: 0 }
  await assertFree(wanted, flag)
  return wanted
}

/** How long a gateway that makes room for another may take to finish what is in flight. */
const graceMs = 5_000

const serves = (actual: Address, wanted: Address): boolean =>
  actual.host === wanted.host && (wanted.port === 0 || wanted.port === actual.port)

const servesWanted = (actual: Address | undefined, wanted: WantedAddress | undefined): boolean =>
  actual === undefined || wanted === undefined
    ? actual === wanted
    : serves(actual, wanted.fallback ? { ...wanted, port: 0 } : wanted)

/**
 * Keeps a gateway alive for `link`: whenever the connection is lost and nobody answers, starts another with the
 * addresses of the last one, so that URLs stay true.
 */
export function superviseGateway(link: GatewayLink, options: GatewayProcessOptions): Disposable {
  const ended = new AbortController()
  let last: Hello | undefined = link.hello
  const listener = link.onConnected((connected) => {
    last = link.hello ?? last
    if (connected || ended.signal.aborted) return
    void restart()
  })
  const restart = async () => {
    // One that lives is handing over to another, which will answer in a moment.
    for (let tries = 0; tries < handoverTries && last && isAlive(last.pid); tries++) {
      if (link.connected || ended.signal.aborted) return
      await sleep(options.clock, handoverTryMs, ended.signal)
    }
    while (!link.connected && !ended.signal.aborted) {
      if (!(await greet(options.socketPath))) {
        options.log.error('the gateway is gone; starting another', { pid: last?.pid })
        await forkGateway(
          {
            ...options,
            http: last?.http ?? options.http,
            https: last?.https ?? options.https,
            admin: last?.admin ?? options.admin,
          },
          last?.local ?? { host: '127.0.0.1', port: 0 },
        )
      }
      await sleep(options.clock, 1_000, ended.signal)
    }
  }
  return {
    [Symbol.dispose]() {
      ended.abort()
      listener[Symbol.dispose]()
    },
  }
}

async function forkGateway(options: GatewayProcessOptions, local: Address): Promise<ChildProcess> {
  mkdirSync(dirname(options.logPath), { recursive: true })
  mkdirSync(dirname(options.socketPath), { recursive: true, mode: 0o700 })
  const sockets = await socketsFor(options, local)
  const addressOf = (name: string, asked: Address): Address => sockets?.get(name)?.address ?? asked
  const flags = flagsOf(
    {
      ...options,
      http: addressOf('http', options.http),
      https: options.https && addressOf('https', options.https),
      admin: options.admin && addressOf('admin', options.admin),
    },
    addressOf('local', local),
  )
  const { text, stdio } = socketsToPass(
    new Map([...(sockets ?? [])].map(([name, { fds }]) => [name, fds])),
    options.workers ?? 1,
  )
  const output = openSync(options.logPath, 'a', 0o600)
  const child = spawn(
    process.execPath,
    [...nodeFlags, entryOf(options), ...flags, '--sockets', text],
    { detached: true, stdio: ['ignore', output, output, 'ignore', ...stdio], env: {} },
  )
  child.on('error', (error) => options.log.error('the gateway could not be started', { error }))
  child.unref()
  closeSync(output)
  return child
}

const nodeFlags = ['--max-semi-space-size=4']

const entryOf = (options: GatewayProcessOptions): string =>
  strippedEntry(
    new URL(`../../serving/gateway/main${extension}`, import.meta.url),
    options.programDir,
  )

/** The flags of a gateway process; equal flags, equal gateways. */
const flagsOf = (
  {
    http,
    https,
    admin,
    socketPath,
    workers = 1,
  }: {
    readonly http: Address
    readonly https: Address | undefined
    readonly admin: Address | undefined
    readonly socketPath: string
    readonly workers?: number
  },
  local: Address,
): readonly string[] => [
  '--http',
  addressText(http),
  ...(https ? ['--https', addressText(https)] : []),
  ...(admin ? ['--admin', addressText(admin)] : []),
  '--local',
  addressText(local),
  '--control',
  socketPath,
  '--workers',
  String(workers),
  '--build',
  version(),
]

/** A gateway of another version makes room for one of this. */
const version = (): string =>
  String(
    Object(JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')))
      .version,
  )

/** False for a process that has ended though its parent has not looked (Linux). */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'))
  } catch {
    return true
  }
}

/** The published package runs compiled files. */
const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js'

/** What the gateway on this socket says of itself; undefined when nobody answers. */
const greet = (path: string): Promise<Hello | undefined> => firstWord<Hello>(path)

/** Asks the gateway on this socket to finish and end, and waits until it has. False when nobody answers. */
export const stopGateway = (path: string, grace: number): Promise<boolean> =>
  sayAndSeeOff(path, { type: 'stop', graceMs: grace } satisfies ToGateway)
