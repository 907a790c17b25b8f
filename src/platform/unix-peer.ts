/** Short conversations with another process of the platform over its unix socket, JSON documents a line. */
import { createConnection } from 'node:net'
import { createInterface } from 'node:readline'

/** The first line that the process says on connecting; undefined when nobody listens. */
export function firstWord<T>(path: string): Promise<T | undefined> {
  return new Promise((resolve) => {
    const socket = createConnection(path)
    socket.on('error', () => resolve(undefined))
    socket.on('close', () => resolve(undefined))
    const lines = createInterface({ input: socket })
    lines.on('error', () => resolve(undefined))
    lines.once('line', (line) => {
      resolve(JSON.parse(line) as T)
      socket.destroy()
    })
  })
}

/** Says one thing and waits until the process has ended. False when nobody listens. */
export function sayAndSeeOff(path: string, message: object): Promise<boolean> {
  return new Promise((resolve) => {
    let reached = false
    const socket = createConnection(path, () => {
      reached = true
      socket.write(`${JSON.stringify(message)}\n`)
    })
    socket.resume()
    socket.on('error', () => resolve(reached))
    socket.on('close', () => resolve(reached))
  })
}
