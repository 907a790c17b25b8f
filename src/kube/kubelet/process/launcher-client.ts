/**
 * The node agent's end of the launcher's socket: finds the launcher that is running or starts one, connects again when
 * it dies, and keeps the promise of every container's end across all that.
 */
import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync } from 'node:fs'
import { createConnection, type Socket } from 'node:net'
import { dirname, join } from 'node:path'
import { sleep, type Clock } from '../../../lib/clock.ts'
import type { Log } from '../../../lib/log.ts'
import {
  maxLineBytes,
  type ContainerRecord,
  type ExitRecord,
  type FromLauncher,
  type PodRecord,
  type Request,
  type RunResult,
  type RunSpec,
  type SandboxRecord,
  type StartSpec,
  type ToLauncher,
} from '../launcher/protocol.ts'
import { strippedEntry } from './stripped-entry.ts'

/** How long a new launcher may take until its socket answers. */
const startLimitMs = 10_000
/** An answer that takes longer never comes. */
const answerLimitMs = 30_000

export interface LauncherOptions {
  readonly dataDir: string
  readonly socketPath: string
  /** First 12 hex digits of container ids of this data directory. */
  readonly prefix: string
  readonly clock: Clock
  readonly log: Log
  /** Another launcher was started after the first had died; what was only in its memory is gone. */
  readonly onRestart?: () => void
}

export interface Launcher {
  readonly pid: number
  /** It was running before we came. */
  readonly found: boolean
  /** What there was when we first connected. */
  readonly pods: readonly PodRecord[]
  start(spec: StartSpec): Promise<ContainerRecord>
  signal(container: string, signal: string): Promise<void>
  run(run: RunSpec): Promise<RunResult>
  setSandbox(sandbox: SandboxRecord): Promise<void>
  /** The input of a container ends once nobody else has it open. */
  endInput(container: string): Promise<void>
  forget(podUid: string): Promise<void>
  /** Resolves when the container has ended, also across a restart of the launcher. */
  exited(podUid: string, container: ContainerRecord): Promise<ExitRecord>
  /** Keeps one more idle interpreter, which a start with `warm.place` takes (launcher/warm-pool.ts). */
  warm(place: string, argv: readonly string[]): Promise<void>
  /** Ends the idle interpreters of a place, or all. */
  cool(place?: string): Promise<void>
  /** How many idle interpreters are ready. */
  idle(): Promise<number>
  /** What the launcher runs last, also when it ends by itself. */
  atEnd(run: RunSpec): Promise<void>
  /** Ends every pod, then the launcher. */
  stop(graceMs: number): Promise<void>
  /** Closes the connection and leaves everything running. */
  detach(): void
}

interface Waiting {
  readonly resolve: (result: unknown) => void
  readonly reject: (error: Error) => void
  readonly cancel: () => void
}

interface End {
  readonly podUid: string
  readonly exited: Promise<ExitRecord>
  /** Does nothing while the container runs, and the second time. */
  settle(container: { readonly exit?: ExitRecord }): void
}

function newEnd(podUid: string): End {
  const { promise, resolve } = Promise.withResolvers<ExitRecord>()
  return { podUid, exited: promise, settle: ({ exit }) => exit && resolve(exit) }
}

/** Connects to the launcher of this data directory, starting one when nobody answers. */
export async function connectLauncher(options: LauncherOptions): Promise<Launcher> {
  const { clock, log } = options
  const waiting = new Map<number, Waiting>()
  const ends = new Map<string, End>()
  let nextId = 1
  let closed = false
  let pid = 0
  let last: RunSpec | undefined
  let current: Promise<Connection>

  const onMessage = (message: FromLauncher) => {
    if (message.type === 'exit')
      endOf(message.podUid, message.container.id).settle(message.container)
    if (message.type !== 'answer') return
    const call = waiting.get(message.id)
    if (!call) return
    waiting.delete(message.id)
    call.cancel()
    if (message.error === undefined) call.resolve(message.result)
    else call.reject(new Error(message.error))
  }

  /** The end of a container may be told before anybody asks for it: it is kept until its pod is forgotten. */
  const endOf = (podUid: string, id: string): End => {
    let end = ends.get(id)
    if (!end) ends.set(id, (end = newEnd(podUid)))
    return end
  }

  const onClose = () => {
    for (const call of waiting.values()) {
      call.cancel()
      call.reject(new Error('the launcher went away'))
    }
    waiting.clear()
    if (closed) return
    log.error('the launcher went away; starting another one')
    current = reconnect()
    // Whoever calls next learns of a failure; nobody else has to.
    current.catch((error: unknown) => log.error('no launcher could be started', { error }))
  }

  const reconnect = async (): Promise<Connection> => {
    const connection = await connectOrSpawn(options, onMessage, onClose)
    pid = connection.pid
    const known = new Map(
      connection.pods.flatMap((pod) => pod.containers.map((item) => [item.id, item] as const)),
    )
    for (const [id, end] of ends) end.settle(known.get(id) ?? { exit: lost(clock.now()) })
    if (last) {
      const request = { id: nextId++, op: 'at-end', run: last } satisfies ToLauncher
      connection.socket.write(`${JSON.stringify(request)}\n`)
    }
    options.onRestart?.()
    return connection
  }

  const call = async (request: Request, limitMs = answerLimitMs): Promise<unknown> => {
    const connection = await current
    if (connection.socket.destroyed) throw new Error('the launcher is not connected')
    return await new Promise((resolve, reject) => {
      const id = nextId++
      const cancel = clock.after(limitMs, () => {
        waiting.delete(id)
        reject(new Error(`the launcher did not answer "${request.op}" within ${limitMs / 1000} s`))
      })
      waiting.set(id, { resolve, reject, cancel })
      connection.socket.write(`${JSON.stringify({ id, ...request })}\n`)
    })
  }

  current = connectOrSpawn(options, onMessage, onClose)
  const first = await current
  pid = first.pid

  return {
    get pid() {
      return pid
    },
    found: first.found,
    pods: first.pods,
    start: async (spec) => (await call({ op: 'start', spec })) as ContainerRecord,
    async signal(container, signal) {
      await call({ op: 'signal', container, signal })
    },
    run: async (run) =>
      (await call({ op: 'run', run }, run.timeoutMs + answerLimitMs)) as RunResult,
    async setSandbox(sandbox) {
      await call({ op: 'sandbox', sandbox })
    },
    async endInput(container) {
      await call({ op: 'end-input', container })
    },
    async forget(podUid) {
      await call({ op: 'forget', podUid })
      for (const [id, end] of ends) {
        if (end.podUid !== podUid) continue
        end.settle({ exit: killed(clock.now()) })
        ends.delete(id)
      }
    },
    exited(podUid, container) {
      const end = endOf(podUid, container.id)
      end.settle(container)
      return end.exited
    },
    async warm(place, argv) {
      await call({ op: 'warm', place, argv })
    },
    async cool(place) {
      await call({ op: 'cool', ...(place !== undefined && { place }) })
    },
    idle: async () => (await call({ op: 'idle' })) as number,
    async atEnd(run) {
      last = run
      await call({ op: 'at-end', run })
    },
    async stop(graceMs) {
      closed = true
      const connection = await current.catch(() => undefined)
      if (!connection || connection.socket.destroyed) return
      const gone = new Promise<void>((resolve) => connection.socket.once('close', () => resolve()))
      await call({ op: 'stop', graceMs }, graceMs + answerLimitMs).catch(() => {})
      await gone
    },
    detach() {
      closed = true
      void current.then((connection) => connection.socket.destroy()).catch(() => {})
    },
  }
}

/** For what still ran when its pod was removed. */
const killed = (nowMs: number): ExitRecord => ({
  exitCode: 137,
  signal: 9,
  reason: 'Error',
  finishedAtMs: nowMs,
})

/** For a container that no launcher knows any more. */
const lost = (nowMs: number): ExitRecord => ({
  exitCode: 137,
  reason: 'Error',
  message: 'The container could not be found any more; its exit code is not known',
  finishedAtMs: nowMs,
})

interface Connection {
  readonly socket: Socket
  readonly pid: number
  readonly pods: readonly PodRecord[]
  readonly found: boolean
}

async function connectOrSpawn(
  options: LauncherOptions,
  onMessage: (message: FromLauncher) => void,
  onClose: () => void,
): Promise<Connection> {
  const { clock, socketPath } = options
  const found = await connect(socketPath, onMessage, onClose)
  if (found) return { ...found, found: true }
  const process = spawnLauncher(options)
  const deadline = clock.monotonic() + startLimitMs
  while (clock.monotonic() < deadline) {
    await sleep(clock, 5)
    const connection = await connect(socketPath, onMessage, onClose)
    if (connection) {
      process.unref() // until here it keeps this process alive, which the clock's alarms do not
      return { ...connection, found: false }
    }
    if (process.exitCode !== null)
      throw new Error(
        `the launcher ended with code ${process.exitCode}; ${launcherLog(options.dataDir)} may say why`,
      )
  }
  throw new Error(`the launcher does not answer at ${socketPath}`)
}

const launcherLog = (dataDir: string) => join(dataDir, 'log', 'launcher.log')

function spawnLauncher({ dataDir, socketPath, prefix }: LauncherOptions) {
  const run = join(dataDir, 'run')
  mkdirSync(dirname(socketPath), { recursive: true, mode: 0o700 })
  mkdirSync(join(dataDir, 'log'), { recursive: true, mode: 0o700 })
  const entry = strippedEntry(
    new URL(`../launcher/main${import.meta.url.slice(-3)}`, import.meta.url),
    join(run, 'bin'),
  )
  const log = openSync(launcherLog(dataDir), 'a', 0o600)
  try {
    const child = spawn(
      process.execPath,
      ['--max-semi-space-size=1', entry, socketPath, join(run, 'pods'), prefix],
      { detached: true, cwd: '/', env: {}, stdio: ['ignore', log, log] },
    )
    child.on('error', () => {})
    return child
  } finally {
    closeSync(log)
  }
}

/**
 * Resolves undefined when nobody listens, and once a launcher that was ending has ended. `onClose` is called only for a
 * connection that was answered.
 */
function connect(
  path: string,
  onMessage: (message: FromLauncher) => void,
  onClose: () => void,
): Promise<Omit<Connection, 'found'> | undefined> {
  return new Promise((resolve) => {
    const socket = createConnection(path)
    let rest: string[] = []
    let size = 0
    let greeted = false
    socket.setEncoding('utf8')
    socket.on('data', (text: string) => {
      const lines = text.split('\n')
      for (const [i, part] of lines.entries()) {
        rest.push(part)
        size += part.length
        if (i === lines.length - 1) break
        const line = rest.join('')
        rest = []
        size = 0
        const message = JSON.parse(line) as FromLauncher
        if (message.type === 'hello' && message.stopping) continue // its end closes the connection
        if (message.type === 'hello') {
          greeted = true
          resolve({ socket, pid: message.pid, pods: message.pods })
        } else onMessage(message)
      }
      if (size > maxLineBytes) socket.destroy()
    })
    socket.on('error', () => socket.destroy())
    socket.on('close', () => {
      if (greeted) onClose()
      else resolve(undefined)
    })
  })
}
