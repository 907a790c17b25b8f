/**
 * One engine for one directory: two that wrote the same log would write over each other's events. The lock is the name
 * of an abstract unix socket, which the kernel gives to one process and takes back when it ends, however it ends.
 */
import { createHash } from 'node:crypto'
import { realpath } from 'node:fs/promises'
import { createServer } from 'node:net'

/** Held until it is disposed or the process ends; undefined = another process has it. Throws what the system says. */
export async function lockDirectory(directory: string): Promise<AsyncDisposable | undefined> {
  // Nobody else has such names; there the engine's socket alone has to do.
  if (process.platform !== 'linux') return { async [Symbol.asyncDispose]() {} }
  const name = createHash('sha256')
    .update(await realpath(directory))
    .digest('hex')
    .slice(0, 40)
  const server = createServer((socket) => void socket.destroy())
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(`\0ebb-events-${name}`, resolve)
    })
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') return undefined
    throw error
  }
  server.unref()
  return {
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => void server.close(() => resolve())),
  }
}
