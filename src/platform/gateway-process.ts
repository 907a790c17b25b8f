/**
 * The gateway as a process: started when none answers on its socket, found again when one does, started again on the
 * same addresses when it died. It is detached: neither a crash nor the end of this process ends it.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { openSync, closeSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { strippedEntry } from '../kube/kubelet/stripped-entry.ts'
import { sleep, type Clock } from '../lib/clock.ts'
import type { Log } from '../lib/log.ts'
import type { GatewayLink, Hello } from '../serving/controllers/ingress/feed-client.ts'
import type { ToGateway } from '../serving/gateway/feed.ts'
import { addressText, type Address, type TlsAddress } from './config.ts'
import { assertFree, isFree } from './free-address.ts'
import { firstWord, sayAndSeeOff } from './unix-peer.ts'

export interface GatewayProcessOptions {
  readonly socketPath: string
  readonly logPath: string
  /** Where the process' program may be copied without types (stripped-entry.ts). */
  readonly programDir: string
  readonly http: Address
  /** Undefined = no TLS. */
  readonly https: TlsAddress | undefined
  readonly clock: Clock
  readonly log: Log
}

/**
 * Starts a gateway unless one answers already; one that listens elsewhere than wanted is stopped first. Returns once the
 * process was forked, not when it listens; answers the process if so. Throws when the address can't be had, before anything
 * is stopped.
 */
export async function ensureGatewayProcess(
  options: GatewayProcessOptions,
): Promise<ChildProcess | undefined> {
  const running = await greet(options.socketPath)
  if (running && serves(running.http, options.http) && servesTls(running.https, options.https))
    return undefined
  if (!running || !serves(running.http, options.http)) await assertFree(options.http, 'gateway')
  const https = await freeTls(options.https, running?.https)
  if (running) await stopGateway(options.socketPath, graceMs)
  return forkGateway({ ...options, https }, { host: '127.0.0.1', port: 0 })
}

/** What is to be listened on, now that the wanted port may be taken. A running gateway's own will be free. */
async function freeTls(
  wanted: TlsAddress | undefined,
  running: Address | undefined,
): Promise<TlsAddress | undefined> {
  if (!wanted || (running && servesTls(running, { ...wanted, fallback: false }))) return wanted
  if (wanted.fallback) return (await isFree(wanted)) ? wanted : { ...wanted, port: 0 }
  await assertFree(wanted, 'gateway-tls')
  return wanted
}

/** How long a gateway that makes room for another may take to finish what is in flight. */
const graceMs = 5_000

const serves = (actual: Address, wanted: Address): boolean =>
  actual.host === wanted.host && (wanted.port === 0 || wanted.port === actual.port)

const servesTls = (actual: Address | undefined, wanted: TlsAddress | undefined): boolean =>
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
    options.log.error('the gateway is gone; starting another', { pid: last?.pid })
    void restart()
  })
  const restart = async () => {
    while (!link.connected && !ended.signal.aborted) {
      if (!(await greet(options.socketPath)))
        forkGateway(
          { ...options, http: last?.http ?? options.http, https: last?.https ?? options.https },
          last?.local ?? { host: '127.0.0.1', port: 0 },
        )
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

function forkGateway(options: GatewayProcessOptions, local: Address): ChildProcess {
  const entry = strippedEntry(
    new URL(`../serving/gateway/main${extension}`, import.meta.url),
    options.programDir,
  )
  mkdirSync(dirname(options.logPath), { recursive: true })
  mkdirSync(dirname(options.socketPath), { recursive: true, mode: 0o700 })
  const output = openSync(options.logPath, 'a', 0o600)
  const child = spawn(
    process.execPath,
    [
      '--max-semi-space-size=4',
      entry,
      '--http',
      addressText(options.http),
      ...(options.https ? ['--https', addressText(options.https)] : []),
      '--local',
      addressText(local),
      '--control',
      options.socketPath,
    ],
    { detached: true, stdio: ['ignore', output, output], env: {} },
  )
  child.on('error', (error) => options.log.error('the gateway could not be started', { error }))
  child.unref()
  closeSync(output)
  return child
}

/** The published package runs compiled files. */
const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js'

/** What the gateway on this socket says of itself; undefined when nobody answers. */
const greet = (path: string): Promise<Hello | undefined> => firstWord<Hello>(path)

/** Asks the gateway on this socket to finish and end, and waits until it has. False when nobody answers. */
export const stopGateway = (path: string, grace: number): Promise<boolean> =>
  sayAndSeeOff(path, { type: 'stop', graceMs: grace } satisfies ToGateway)
