/**
 * Listening sockets that outlive the process that serves them: opened here, inherited by the gateway. While this process
 * holds them, connections that are made when no gateway runs wait in the kernel instead of being refused.
 *
 * Node has no public way to bind a socket without accepting on it; its cluster module does it by
 * `net._createServerHandle`, and so do we. Should a Node not have it, gateways open their sockets themselves.
 */
import * as net from 'node:net'
import { lookup } from 'node:dns/promises'
import type { Address } from '../config.ts'

/** One address; the gateway gets one socket for each of its workers. */
export interface ListeningSockets extends Disposable {
  readonly address: Address
  readonly fds: readonly number[]
}

interface Handle {
  readonly fd: number
  getsockname(into: { address?: string; port?: number }): number
  close(): void
}

type CreateHandle = (
  host: string,
  port: number,
  family: 4 | 6,
  fd: number,
  flags: number,
) => unknown

/** libuv's UV_TCP_REUSEPORT. */
const reusePort = 2

/**
 * Binds `count` sockets to one address; they do not listen yet. Undefined when that is not possible here. More than one
 * needs Linux.
 */
export async function bindSockets(
  { host, port }: Address,
  count: number,
): Promise<ListeningSockets | undefined> {
  const create = (net as { _createServerHandle?: CreateHandle })._createServerHandle
  if (!create) return undefined
  const { address, family } = await lookup(host)
  // Also for one: a later gateway may have more workers.
  const flags = process.platform === 'linux' ? reusePort : 0
  if (count > 1 && flags === 0) return undefined
  const handles: Handle[] = []
  const close = (): void => {
    for (const handle of handles) handle.close()
  }
  let bound = port
  for (let i = 0; i < count; i++) {
    const made = create(address, bound, family === 6 ? 6 : 4, -1, flags)
    if (!isHandle(made)) {
      close()
      return undefined
    }
    handles.push(made)
    const name: { port?: number } = {}
    made.getsockname(name)
    bound = name.port ?? bound
  }
  return {
    address: { host, port: bound },
    fds: handles.map(({ fd }) => fd),
    [Symbol.dispose]: close,
  }
}

/** Otherwise it is the number of an error. */
const isHandle = (value: unknown): value is Handle =>
  typeof value === 'object' && value !== null && 'fd' in value && typeof value.fd === 'number'
