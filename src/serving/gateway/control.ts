/**
 * The gateway's end of the feed: a unix socket, a JSON document a line. A new control plane replaces the one before;
 * with none, the gateway goes on serving what it has.
 */
import { createServer, type Server, type Socket } from 'node:net'
import type { Log } from '../../lib/log.ts'
import type { FromGateway, ToGateway } from './feed.ts'
import type { Gateway } from './gateway.ts'
import { readLines } from './lines.ts'

/** Unread answers beyond this: the control plane hangs, and is cut off. */
const maxUnsentBytes = 16 * 1024 * 1024

export interface Control extends AsyncDisposable {
  /** A control plane is connected. */
  readonly connected: boolean
}

export interface ControlOptions {
  readonly gateway: Gateway
  readonly socketPath: string
  readonly log: Log
  readonly pid: number
  /** The flags of this process. */
  readonly command?: string
  /** It has the sockets to hand over. */
  readonly handover?: boolean
  /** Called whenever a control plane comes or goes. */
  readonly onConnected?: (connected: boolean) => void
}

/** Listens. Rejects when the path cannot be had. */
export async function startControl(options: ControlOptions): Promise<Control> {
  const { gateway, log } = options
  let current: Socket | undefined

  const accept = (socket: Socket): void => {
    current?.destroy()
    current = socket
    const send = (message: FromGateway): void => {
      if (socket.destroyed) return
      socket.write(`${JSON.stringify(message)}\n`)
      if (socket.writableLength > maxUnsentBytes) {
        log.error('control plane does not read: cut off')
        socket.destroy()
      }
    }
    log.info('control plane connected')
    readLines(
      socket,
      (line) => {
        if (current === socket) gateway.receive(JSON.parse(line) as ToGateway)
      },
      (error) => {
        log.error('bad message of the control plane', { error })
        socket.destroy()
      },
    )
    socket.on('error', () => {}) // 'close' follows
    socket.on('close', () => {
      if (current !== socket) return
      current = undefined
      gateway.listen(undefined)
      log.info('control plane disconnected')
      options.onConnected?.(false)
    })
    send({
      type: 'hello',
      pid: options.pid,
      http: gateway.http,
      local: gateway.local,
      ...(gateway.https && { https: gateway.https }),
      ...(gateway.admin && { admin: gateway.admin }),
      ...(options.command !== undefined && { command: options.command }),
      ...(options.handover && { handover: true }),
    })
    gateway.listen(send)
    options.onConnected?.(true)
  }

  const server = await new Promise<Server>((resolve, reject) => {
    const made = createServer(accept)
    made.once('error', reject)
    made.listen({ path: options.socketPath }, () => {
      made.off('error', reject)
      made.on('error', (error) => log.error('control socket', { error }))
      resolve(made)
    })
  })
  return {
    get connected() {
      return current !== undefined
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      current?.end()
      current?.destroySoon()
      await closed
    },
  }
}
