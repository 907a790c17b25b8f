/**
 * The gateway as a process of its own: `main.ts --http HOST:PORT --local HOST:PORT --control SOCKET [--https HOST:PORT] [--admin HOST:PORT]
 * [--log-level LEVEL] [--orphaned-after MS]`. It outlives the control plane; after ten minutes without one it ends.
 * Imports stay few: this must start in a
 * moment and stay small.
 */
import { randomBytes } from 'node:crypto'
import { unlink } from 'node:fs/promises'
import { connect } from 'node:net'
import { systemClock } from '../../lib/clock.ts'
import { linesTo } from '../../lib/line-file.ts'
import { jsonLog, type LogLevel } from '../../lib/log.ts'
import { systemRandom } from '../../lib/random.ts'
import { startControl, type Control } from './control.ts'
import { type Gateway, type ListenAddress, startGateway } from './gateway.ts'
import { inheritedSockets, type InheritedSockets } from './handover/inherited-sockets.ts'
import type { SharedAddress, WorkerGroup } from './workers/workers.ts'

const defaultOrphanedAfterMs = 600_000
const defaultGraceMs = 30_000
/** How long streams may go on in a gateway that has handed over. */
const defaultHandoverMs = 300_000
/** Shared counts have a bit for each. */
const maxWorkers = 31

const flags = readFlags(process.argv.slice(2))
const level = logLevel(flags.get('log-level'))
const log = jsonLog(
  (line) => process.stdout.write(line),
  level,
  () => systemClock.now(),
)
const socketPath = need('control')
const adminFlag = flags.get('admin')
const httpsFlag = flags.get('https')
const orphanedAfterMs = Number(flags.get('orphaned-after') ?? defaultOrphanedAfterMs)
const workers = workerCount(flags.get('workers') ?? '1')
/** The link to the process that we follow. */
const predecessor = flags.get('predecessor')
const sockets = sentSockets(flags.get('sockets') ?? '')

/** Signals that come too early must not end the process. */
let ready = false
process.on('SIGUSR2', () => {
  if (ready) void handOverTo(ownCommand(), defaultHandoverMs)
})

// A second gateway must not take connections from the first.
if (predecessor === undefined) await removeStale(socketPath)

/** What opened its own sockets can't hand them over. */
const inheritedAll = ['http', 'local', 'https', 'admin'].every(
  (name) => !flags.has(name) || sockets.has(name),
)

const common = {
  clock: systemClock,
  log,
  http: address('http', need('http')),
  local: address('local', need('local')),
  ...(httpsFlag !== undefined && { https: address('https', httpsFlag) }),
  ...(adminFlag !== undefined && { admin: address('admin', adminFlag) }),
}
const group: WorkerGroup | undefined =
  workers > 1
    ? await (
        await import('./workers/workers.ts')
      ).startWorkers({
        ...common,
        workers,
        logLevel: level,
        ticketKeys: randomBytes(48),
        exhausted: () => void handOverTo(ownCommand(), defaultHandoverMs),
      })
    : undefined
const own = group ?? (await startOne())
const gateway =
  predecessor === undefined
    ? own
    : await (await import('./handover/handover.ts')).succeed(own, Number(predecessor))

let cancelOrphaned = orphaned()
let ending = false
let handingOver = false
let control = await openControl()
log.info('gateway is listening', {
  http: gateway.http,
  local: gateway.local,
  https: gateway.https,
  admin: gateway.admin,
  workers,
})

process.on('SIGTERM', () => end(defaultGraceMs))
process.on('SIGINT', () => end(defaultGraceMs))
process.on('SIGHUP', () => {})
ready = true

function startOne(): Promise<Gateway> {
  const requestLog = linesTo(process.stdout.fd, systemClock)
  return startGateway({
    ...common,
    random: systemRandom,
    writeLine: (line) => requestLog.add(line),
  })
}

function openControl(): Promise<Control> {
  return startControl({
    gateway: {
      ...viewOf(gateway),
      receive: (message) => {
        // The process ends with its gateway, not before.
        if (message.type === 'stop') end(message.graceMs)
        else if (message.type === 'handover') void handOverTo(message.args, message.graceMs)
        else gateway.receive(message)
      },
    },
    socketPath,
    log,
    pid: process.pid,
    command: commandText(process.argv.slice(2)),
    handover: inheritedAll,
    onConnected: (connected) => {
      cancelOrphaned()
      if (!connected && !ending && !handingOver) cancelOrphaned = orphaned()
    },
  })
}

/** A gateway's members are not all its own. */
function viewOf(of: Gateway): Gateway {
  return {
    http: of.http,
    local: of.local,
    https: of.https,
    admin: of.admin,
    receive: (message) => of.receive(message),
    listen: (listener) => of.listen(listener),
    borrow: (say) => of.borrow(say),
    lent: (lent) => of.lent(lent),
    lend: (loan, answer) => of.lend(loan, answer),
    stop: (graceMs) => of.stop(graceMs),
    retire: (graceMs) => of.retire(graceMs),
    [Symbol.asyncDispose]: () => of.stop(0),
  }
}

/** Starts Node with `args` on our sockets, and ends when it serves and our last request is done. */
async function handOverTo(args: readonly string[], graceMs: number): Promise<void> {
  if (ending || handingOver) return
  if (!inheritedAll) {
    log.error('this gateway has opened its sockets itself: it can not hand them over')
    return
  }
  handingOver = true
  cancelOrphaned()
  let released = false
  const { handOver } = await import('./handover/handover.ts')
  const serves = await handOver({
    args,
    workers: Number(flagOf(args, 'workers') ?? 1),
    sockets: group?.sockets() ?? new Map([...sockets].map(([name, all]) => [name, firsts(all)])),
    gateway,
    releaseControl: async () => {
      released = true
      await control[Symbol.asyncDispose]()
    },
    onStop: (stopMs) => void gateway.stop(stopMs),
    clock: systemClock,
    log,
  })
  handingOver = false
  if (!serves) {
    if (released) {
      // What the successor may have left.
      await unlink(socketPath).catch(() => {})
      control = await openControl()
    }
    return
  }
  ending = true
  log.info('handed over')
  exitAfter(gateway.retire(graceMs))
}

function end(graceMs: number): void {
  if (ending) return
  ending = true
  cancelOrphaned()
  exitAfter(gateway.stop(graceMs).then(() => control[Symbol.asyncDispose]()))
}

function exitAfter(done: Promise<void>): void {
  done.then(
    () => process.exit(0),
    (error: unknown) => {
      log.error('stop failed', { error })
      process.exit(1)
    },
  )
}

/** What started this process, for another one like it. */
function ownCommand(): readonly string[] {
  return [...process.execArgv, process.argv[1] ?? '', ...ownFlags(process.argv.slice(2))]
}

/** Without those that only mean something to this very process. */
function ownFlags(args: readonly string[]): readonly string[] {
  const passing = new Set(['--sockets', '--predecessor'])
  return args.filter((_, at) => !passing.has(args[at - (at % 2)] ?? ''))
}

function commandText(args: readonly string[]): string {
  return ownFlags(args).join(' ')
}

function flagOf(args: readonly string[], name: string): string | undefined {
  const at = args.indexOf(`--${name}`)
  return at < 0 ? undefined : args[at + 1]
}

function firsts(all: readonly (readonly number[])[]): readonly number[] {
  return all.flatMap(([first]) => (first === undefined ? [] : [first]))
}

function orphaned(): () => void {
  return systemClock.after(orphanedAfterMs, () => {
    log.info('no control plane for too long: ending', { orphanedAfterMs })
    end(defaultGraceMs)
  })
}

/** A socket file whose owner is dead is removed; a living owner keeps it, and we end. */
async function removeStale(path: string): Promise<void> {
  const alive = await new Promise<boolean>((resolve) => {
    const socket = connect({ path })
    socket.on('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })
  if (alive) {
    log.error('another gateway serves this control socket', { path })
    process.exit(1)
  }
  await unlink(path).catch(() => {})
}

function readFlags(args: readonly string[]): ReadonlyMap<string, string> {
  const found = new Map<string, string>()
  for (let i = 0; i < args.length; i += 2) {
    const name = args[i]
    const value = args[i + 1]
    if (!name?.startsWith('--') || value === undefined)
      usage(`expected --name value, found "${name}"`)
    else found.set(name.slice(2), value)
  }
  return found
}

function need(name: string): string {
  return flags.get(name) ?? usage(`--${name} is missing`)
}

function usage(complaint: string): never {
  process.stderr.write(
    `gateway: ${complaint}\nusage: main.ts --http HOST:PORT --local HOST:PORT --control SOCKET [--https HOST:PORT] [--admin HOST:PORT] [--workers N] [--log-level debug|info|error] [--orphaned-after MS] [--sockets NAME:FD,… [--predecessor FD]]\n`,
  )
  process.exit(2)
}

function address(name: string, text: string): ListenAddress & SharedAddress {
  const match = /^(\[[^\]]+\]|[^:]*):(\d{1,5})$/.exec(text)
  if (!match) return usage(`expected HOST:PORT, found "${text}"`)
  const inherited = sockets.get(name)
  return {
    host: match[1]!.replace(/^\[|\]$/g, '') || '127.0.0.1',
    port: Number(match[2]),
    ...(inherited && { sockets: inherited, fds: firsts(inherited) }),
  }
}

function sentSockets(text: string): InheritedSockets {
  try {
    return inheritedSockets(text)
  } catch (error) {
    return usage((error as Error).message)
  }
}

function workerCount(text: string): number {
  const count = Number(text)
  return Number.isInteger(count) && count >= 1 && count <= maxWorkers
    ? count
    : usage(`--workers: expected a number from 1 to ${maxWorkers}, found "${text}"`)
}

function logLevel(text: string | undefined): LogLevel {
  return text === 'debug' || text === 'error' ? text : 'info'
}
