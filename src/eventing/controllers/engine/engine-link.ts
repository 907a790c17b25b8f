/**
 * The line to the event engine: tells it what is wanted, again after each change and each restart, and knows what it
 * has taken. Reconcilers ask whether their object is served, and are woken when that changes.
 */
import { request } from 'node:http'
import type { Clock } from '../../../lib/clock.ts'
import type { Log } from '../../../lib/log.ts'
import type {
  EngineConfig,
  EngineReport,
  SendingToken,
  ServerCertificate,
} from '../../broker/feed.ts'
import type { DialAddress } from '../destination/dial.ts'

export interface EngineLink extends AsyncDisposable {
  /** Where events come in; undefined until the engine was reached. */
  readonly address: DialAddress | undefined
  /** Where they come in over TLS; undefined = nowhere. */
  readonly secure?: DialAddress | undefined
  /** Has taken the configuration with this Broker, channel, Trigger, subscriber, ping, transform or RequestReply (by uid). */
  serves(uid: string): boolean
  /** Why the engine can't use what it has taken under this uid. */
  problemOf(uid: string): string | undefined
  /** What is wanted may have changed; told soon. */
  changed(): void
  /** Calls back when what is served, or the address, has changed. */
  onServed(listener: () => void): Disposable
}

export interface EngineLinkOptions {
  readonly socketPath: string
  /** Starts an engine; asked when there is something for it and nobody answers. */
  readonly startEngine: () => void
  /** Hears what an engine at this address has taken. */
  readonly onTold?: (
    config: EngineConfig,
    engine: DialAddress,
    secure: DialAddress | undefined,
  ) => void
  /** What is wanted now. */
  readonly wanted: () => EngineConfig
  /** What TLS is served with. */
  readonly certificates?: () => readonly ServerCertificate[]
  /** Tokens that a configuration's destinations ask for. */
  readonly tokensFor?: (config: EngineConfig) => Promise<readonly SendingToken[]>
  readonly clock: Clock
  readonly log: Log
}

/** Changes are gathered for so long, or for four times what the last telling took: many changes must not take all the time. */
const gatherMs = 5
const longestGatherMs = 1_000
/** One that was started gets so long before another is. */
const startMs = 5_000
/** The engine is asked whether it is still the same so often, and again so soon when it does not answer. */
const lookEveryMs = 2_000
const againMs = 200

const isEmpty = (config: EngineConfig): boolean =>
  config.channels.length === 0 && ownersOf(config).length === 0

/** What is there besides Brokers and channels. */
const ownersOf = ({ pings = [], transforms = [], requestReplies = [] }: EngineConfig) => [
  ...pings,
  ...transforms,
  ...requestReplies,
]

export function connectEngine({
  socketPath,
  startEngine,
  onTold,
  wanted,
  tokensFor,
  certificates,
  clock,
  log,
}: EngineLinkOptions): EngineLink {
  const listeners = new Set<() => void>()
  let address: DialAddress | undefined
  let pid: number | undefined
  let served: ReadonlySet<string> = new Set()
  let problems: ReadonlyMap<string, string> = new Map()
  let told = ''
  let tokensTold = '[]'
  let certificatesTold = '[]'
  let secure: DialAddress | undefined
  let dirty = true
  let running: Promise<void> | undefined
  let closed = false
  const stop = new AbortController()
  let pauseMs = gatherMs
  let startedMs = -Infinity
  let cancel = () => {}
  let dueMs = Infinity

  const later = (delayMs: number) => {
    cancel()
    dueMs = clock.monotonic() + delayMs
    if (closed) return
    cancel = clock.after(delayMs, () => {
      // Else a moment that is past keeps later changes from being told.
      dueMs = Infinity
      void run()
    })
  }
  const run = (): Promise<void> =>
    (running ??= talk()
      .then(
        () => later(dirty ? pauseMs : lookEveryMs),
        (error: unknown) => {
          dirty = true
          // Nobody misses it while there is nothing for it.
          if (closed || isEmpty(wanted())) return
          if (error instanceof EngineRefusal)
            log.error('the event engine can not do what it is told', { error })
          else log.debug('the event engine does not answer', { error })
          // One that answers is there, whatever it says; a second one would have its logs too.
          if (!(error instanceof EngineRefusal) && clock.monotonic() >= startedMs + startMs) {
            startedMs = clock.monotonic()
            startEngine()
          }
          later(againMs)
        },
      )
      .finally(() => (running = undefined)))

  const talk = async () => {
    const hello = (await ask('GET', '/')) as { pid: number; host: string; port: number }
    if (hello.pid !== pid) {
      told = ''
      tokensTold = '[]'
      certificatesTold = '[]'
      secure = undefined
    }
    let moved = address?.host !== hello.host || address.port !== hello.port
    pid = hello.pid
    address = { host: hello.host, port: hello.port }
    dirty = false
    const beganMs = clock.monotonic()
    const given = JSON.stringify(certificates?.() ?? [])
    if (given !== certificatesTold) {
      const { port } = (await ask('PUT', '/certificates', given)) as { port?: number }
      secure = port === undefined ? undefined : { host: hello.host, port }
      certificatesTold = given
      moved = true
    }
    const config = wanted()
    // Before what they are for: nothing is sent without.
    const tokens = JSON.stringify((await tokensFor?.(config)) ?? [])
    if (tokens !== tokensTold) await ask('PUT', '/tokens', tokens)
    tokensTold = tokens
    const text = JSON.stringify(config)
    if (text !== told || moved) {
      const report = (await ask('PUT', '/config', text)) as EngineReport
      problems = new Map(Object.entries(report.problems ?? {}))
      told = text
      const usable = config.channels.filter(({ uid }) => !problems.has(uid))
      // A disk that is full or gone may be there again: it is told the same once more.
      if (usable.length < config.channels.length) told = ''
      served = new Set([
        ...usable.flatMap(({ uid, subscriptions }) => [
          uid,
          ...subscriptions.map((each) => each.uid),
        ]),
        ...ownersOf(config).map(({ uid }) => uid),
      ])
      onTold?.(config, address, secure)
      const tookMs = clock.monotonic() - beganMs
      pauseMs = Math.min(Math.max(gatherMs, 4 * tookMs), longestGatherMs)
    } else return
    for (const listener of listeners) listener()
  }

  const ask = (method: string, path: string, body?: string): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const sending = request({ socketPath, method, path, signal: stop.signal }, (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
        response.on('error', reject)
        response.on('end', () =>
          response.statusCode === 200
            ? resolve(JSON.parse(text))
            : reject(new EngineRefusal(`${method} ${path}: ${response.statusCode} ${text}`)),
        )
      })
      sending.on('error', reject)
      sending.end(body)
    })

  void run()
  return {
    get address() {
      return address
    },
    get secure() {
      return secure
    },
    serves: (uid) => served.has(uid),
    problemOf: (uid) => problems.get(uid),
    changed() {
      dirty = true
      // Not put off by the next change: changes that don't end must not keep it waiting.
      if (!running && clock.monotonic() + pauseMs < dueMs) later(pauseMs)
    },
    onServed(listener) {
      listeners.add(listener)
      return { [Symbol.dispose]: () => listeners.delete(listener) }
    },
    async [Symbol.asyncDispose]() {
      closed = true
      cancel()
      // Also of an engine that hangs.
      stop.abort()
      await running
    },
  }
}

/** An answer, but a no. */
class EngineRefusal extends Error {}
