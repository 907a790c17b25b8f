/**
 * The launcher: a process of its own that forks containers. It is small, so forking is quick however large the control
 * plane grows, and it outlives the control plane: containers keep running, and the next control plane asks it what
 * there is. Imports are few on purpose: every module costs memory for as long as the platform runs.
 *
 * Arguments: socket path, folder of pod records, prefix of container ids, and (for tests) how many milliseconds without
 * a control plane are too many.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { chmodSync, rmSync } from 'node:fs'
import { systemClock } from '../../../lib/clock.ts'
import { Pods } from './pods.ts'
import { maxLineBytes, type FromLauncher, type RunSpec, type ToLauncher } from './protocol.ts'
import { runCommand } from './run-command.ts'
import { WarmPool } from './warm-pool.ts'

/** Without a control plane for this long the platform is taken to be gone for good. */
const defaultLonelyMs = 600_000
/** What pods get to end in when nobody says otherwise. */
const defaultGraceMs = 10_000

const [socketPath = '', directory = '', prefix = '', patience] = process.argv.slice(2)
const lonelyMs = Number(patience ?? defaultLonelyMs)
const clock = systemClock
const connections = new Set<Socket>()
const warm = new WarmPool({ prefix, clock })
const pods = new Pods({
  warm,
  directory,
  prefix,
  clock,
  onExit: (podUid, container) => {
    for (const socket of connections) send(socket, { type: 'exit', podUid, container })
  },
})
let stopping: Promise<void> | undefined
let atEnd: RunSpec | undefined
let cancelLonely = clock.after(lonelyMs, lonely)

const server: Server = createServer((socket) => {
  connections.add(socket)
  cancelLonely()
  send(socket, {
    type: 'hello',
    pid: process.pid,
    pods: pods.list(),
    stopping: stopping !== undefined,
  })
  let rest = ''
  socket.setEncoding('utf8')
  socket.on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) void answer(socket, line)
    if (rest.length > maxLineBytes) socket.destroy()
  })
  socket.on('error', () => socket.destroy())
  socket.on('close', () => {
    connections.delete(socket)
    if (connections.size > 0) return
    cancelLonely()
    cancelLonely = clock.after(lonelyMs, lonely)
  })
})
rmSync(socketPath, { force: true })
server.listen(socketPath, () => chmodSync(socketPath, 0o600))
server.on('error', (error) => {
  process.stderr.write(`launcher: ${error.message}\n`)
  process.exit(1)
})
for (const signal of ['SIGTERM', 'SIGINT'] as const)
  process.on(signal, () => void stop(defaultGraceMs))

async function answer(socket: Socket, line: string): Promise<void> {
  let request: ToLauncher
  try {
    request = JSON.parse(line) as ToLauncher
  } catch {
    return void socket.destroy()
  }
  const { id } = request
  try {
    send(socket, { type: 'answer', id, result: (await perform(request)) ?? null })
  } catch (error) {
    send(socket, {
      type: 'answer',
      id,
      error: error instanceof Error ? error.message : String(error),
    })
  }
}

function perform(request: ToLauncher): unknown {
  switch (request.op) {
    case 'start':
      if (stopping) throw new Error('the launcher is stopping')
      return pods.start(request.spec)
    case 'signal':
      return pods.signal(request.container, request.signal as NodeJS.Signals)
    case 'run':
      return runCommand(request.run, clock)
    case 'sandbox':
      return pods.setSandbox(request.sandbox)
    case 'end-input':
      return pods.endInput(request.container)
    case 'list':
      return pods.list()
    case 'warm':
      if (!stopping) warm.add(request.place, request.argv)
      return undefined
    case 'cool':
      return warm.remove(request.place)
    case 'idle':
      return warm.ready
    case 'forget':
      return pods.forget(request.podUid)
    case 'at-end':
      atEnd = request.run
      return undefined
    case 'stop':
      return stop(request.graceMs)
    default:
      throw new Error(`unknown operation ${JSON.stringify(request satisfies never)}`)
  }
}

function send(socket: Socket, message: FromLauncher): void {
  if (socket.writable) socket.write(`${JSON.stringify(message)}\n`)
}

function stop(graceMs: number): Promise<void> {
  stopping ??= end(graceMs)
  return stopping
}

async function end(graceMs: number): Promise<void> {
  warm.remove()
  await pods.stopAll(graceMs)
  if (atEnd) await runCommand(atEnd, clock)
  // After the answer has been written.
  clock.after(1, () => {
    server.close()
    for (const socket of connections) socket.end()
    rmSync(socketPath, { force: true })
    process.exit(0)
  })
}

function lonely(): void {
  if (connections.size === 0) void stop(defaultGraceMs)
}
