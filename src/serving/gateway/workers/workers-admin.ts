/** The admin listener over several workers: their metrics added up, asked for when somebody asks. */
import { createServer } from 'node:http'
import { adminAnswer, type GatewayView } from '../admin.ts'
import type { ListenAddress } from '../gateway.ts'

export interface Admin {
  readonly address: ListenAddress
  close(): void
}

export async function startAdmin(
  address: ListenAddress,
  view: () => Promise<GatewayView>,
): Promise<Admin> {
  const server = createServer((request, response) => {
    void view().then((found) => {
      const { method = 'GET', url: target = '/' } = request
      const { status, body } = adminAnswer({ method, target }, () => found)
      response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' })
      response.end(method === 'HEAD' ? undefined : body)
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    const [fd] = address.fds ?? []
    server.listen(fd === undefined ? { host: address.host, port: address.port } : { fd }, resolve)
  })
  const bound = server.address()
  return {
    address:
      bound !== null && typeof bound === 'object'
        ? { host: bound.address, port: bound.port }
        : address,
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}
