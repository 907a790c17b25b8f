/** Whether an address can be listened on, asked before anything is started or stopped for its sake. */
import { createServer } from 'node:net'
import { addressText, type Address } from './config.ts'

export async function isFree(address: Address): Promise<boolean> {
  return (await problemOf(address)) === undefined
}

/** Throws an Error that names the flag and says what to do. */
export async function assertFree(
  address: Address,
  flag: 'api' | 'gateway' | 'gateway-tls' | 'metrics',
): Promise<void> {
  const code = await problemOf(address)
  if (code === undefined) return
  const why = reasons[code] ?? code
  throw new Error(`can't listen on ${addressText(address)}: ${why}. Choose another with --${flag}`)
}

const reasons: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the address is already in use by another program',
  EADDRNOTAVAIL: 'this machine does not have that address',
  EACCES: 'this user may not use that port',
  ENOTFOUND: 'there is no such host',
}

const problemOf = (address: Address): Promise<string | undefined> =>
  new Promise((resolve) => {
    const server = createServer()
    server.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    server.listen({ ...address, exclusive: true }, () => server.close(() => resolve(undefined)))
  })
