/**
 * The control plane's own unix socket: whoever listens on it owns the data directory, and `ebb down` speaks to it.
 * The kernel closes it when the process dies, however it dies, so a left-over file never means "in use".
 */
import { mkdir, rm } from 'node:fs/promises'
import { createConnection, createServer, type Server, type Socket } from 'node:net'
import { dirname } from 'node:path'

/** Another process serves this data directory. */
export class InUse extends Error {
  override readonly name = 'InUse'
}

export interface ControlSocket extends AsyncDisposable {
  readonly path: string
}

type Request = { readonly command: 'status' } | { readonly command: 'stop' }

/**
 * Takes the data directory. `stop` is called on the first request to stop; the asker's connection is held until
 * this socket is disposed, which tells it that everything has ended. Throws InUse.
 */
export async function takeControl(path: string, stop: () => void): Promise<ControlSocket> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const held = new Set<Socket>()
  const server = createServer((socket) => {
    held.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => held.delete(socket))
    onLine(socket, (line) => {
      const request = parse(line)
      if (request?.command === 'status') socket.end(`${JSON.stringify({ pid: process.pid })}\n`)
      else if (request?.command === 'stop') {
        socket.write(`${JSON.stringify({ stopping: process.pid })}\n`)
        stop()
      } else socket.end(`${JSON.stringify({ error: 'expected {"command":"status"|"stop"}' })}\n`)
    })
  })
  await listen(server, path)
  server.unref()
  return {
    path,
    async [Symbol.asyncDispose]() {
      server.close()
      for (const socket of held) socket.destroy()
      await rm(path, { force: true })
    },
  }
}

async function listen(server: Server, path: string): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject)
        server.listen(path, () => {
          server.off('error', reject)
          resolve()
        })
      })
      return
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || attempt > 0) throw error
      const pid = await owner(path)
      if (pid !== undefined) throw new InUse(`process ${pid}`)
      await rm(path, { force: true })
    }
  }
}

/** The pid of the control plane that serves `path`, or undefined when nobody does. */
export async function owner(path: string): Promise<number | undefined> {
  const answer = await ask(path, { command: 'status' })
  return answer && typeof answer['pid'] === 'number' ? answer['pid'] : undefined
}

/** Asks the control plane at `path` to stop and waits until it has. Its pid, or undefined when nobody serves it. */
export async function requestStop(path: string): Promise<number | undefined> {
  const answer = await ask(path, { command: 'stop' }, 'until closed')
  return answer && typeof answer['stopping'] === 'number' ? answer['stopping'] : undefined
}

function ask(
  path: string,
  request: Request,
  wait: 'one answer' | 'until closed' = 'one answer',
): Promise<Readonly<Record<string, unknown>> | undefined> {
  return new Promise((resolve) => {
    let answer: Readonly<Record<string, unknown>> | undefined
    const socket = createConnection(path, () => socket.write(`${JSON.stringify(request)}\n`))
    socket.on('error', () => resolve(answer))
    socket.on('close', () => resolve(answer))
    onLine(socket, (line) => {
      answer = parse(line)
      if (wait === 'one answer') socket.destroy()
    })
  })
}

function onLine(socket: Socket, line: (text: string) => void): void {
  let text = ''
  socket.setEncoding('utf8')
  socket.on('data', (chunk: string) => {
    text += chunk
    const end = text.indexOf('\n')
    if (end >= 0) {
      line(text.slice(0, end))
      text = text.slice(end + 1)
    } else if (text.length > 10_000) socket.destroy()
  })
}

function parse(line: string): (Request & Readonly<Record<string, unknown>>) | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null
      ? (value as Request & Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}
