/**
 * The gateway as a process of its own: `main.ts --http HOST:PORT --local HOST:PORT --control SOCKET [--https HOST:PORT] [--admin HOST:PORT]
 * [--log-level LEVEL] [--orphaned-after MS]`. It outlives the control plane; after ten minutes without one it ends.
 * Imports stay few: this must start in a
 * moment and stay small.
 */
import { write } from 'node:fs'
import { unlink } from 'node:fs/promises'
import { connect } from 'node:net'
import { promisify } from 'node:util'
import { systemClock } from '../../lib/clock.ts'
import { LineFile } from '../../lib/line-file.ts'
import { jsonLog, type LogLevel } from '../../lib/log.ts'
import { systemRandom } from '../../lib/random.ts'
import { startControl } from './control.ts'
import { type ListenAddress, startGateway } from './gateway.ts'

const defaultOrphanedAfterMs = 600_000
const defaultGraceMs = 30_000

const flags = readFlags(process.argv.slice(2))
const log = jsonLog(
  (line) => process.stdout.write(line),
  logLevel(flags.get('log-level')),
  () => systemClock.now(),
)
const socketPath = need('control')
const adminFlag = flags.get('admin')
const httpsFlag = flags.get('https')
const orphanedAfterMs = Number(flags.get('orphaned-after') ?? defaultOrphanedAfterMs)

/** Past the stream of the process: that one writes to files synchronously. */
const requestLog = new LineFile({
  clock: systemClock,
  write: (bytes) => promisify(write)(process.stdout.fd, bytes).then(() => {}),
})

const gateway = await startGateway({
  writeLine: (line) => requestLog.add(line),
  clock: systemClock,
  log,
  random: systemRandom,
  http: address(need('http')),
  local: address(need('local')),
  ...(httpsFlag !== undefined && { https: address(httpsFlag) }),
  ...(adminFlag !== undefined && { admin: address(adminFlag) }),
})

let cancelOrphaned = orphaned()
let ending = false
await removeStale(socketPath)
const control = await startControl({
  gateway: {
    ...gateway,
    receive: (message) => {
      // The process ends with its gateway, not before.
      if (message.type === 'stop') end(message.graceMs)
      else gateway.receive(message)
    },
  },
  socketPath,
  log,
  pid: process.pid,
  onConnected: (connected) => {
    cancelOrphaned()
    if (!connected && !ending) cancelOrphaned = orphaned()
  },
})
log.info('gateway is listening', {
  http: gateway.http,
  local: gateway.local,
  https: gateway.https,
  admin: gateway.admin,
})

process.on('SIGTERM', () => end(defaultGraceMs))
process.on('SIGINT', () => end(defaultGraceMs))
process.on('SIGHUP', () => {})

function end(graceMs: number): void {
  if (ending) return
  ending = true
  cancelOrphaned()
  gateway
    .stop(graceMs)
    .then(() => control[Symbol.asyncDispose]())
    .then(
      () => process.exit(0),
      (error: unknown) => {
        log.error('stop failed', { error })
        process.exit(1)
      },
    )
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
    `gateway: ${complaint}\nusage: main.ts --http HOST:PORT --local HOST:PORT --control SOCKET [--https HOST:PORT] [--admin HOST:PORT] [--log-level debug|info|error] [--orphaned-after MS]\n`,
  )
  process.exit(2)
}

function address(text: string): ListenAddress {
  const match = /^(\[[^\]]+\]|[^:]*):(\d{1,5})$/.exec(text)
  if (!match) return usage(`expected HOST:PORT, found "${text}"`)
  return { host: match[1]!.replace(/^\[|\]$/g, '') || '127.0.0.1', port: Number(match[2]) }
}

function logLevel(text: string | undefined): LogLevel {
  return text === 'debug' || text === 'error' ? text : 'info'
}
