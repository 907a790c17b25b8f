/**
 * The engine's listener for TLS: opened with the first certificate, each connection by the certificate of the name it
 * asks for, and then like any other; connections for what others serve are passed on.
 */
import { connect, type AddressInfo, type Socket } from 'node:net'
import { createSecureContext, createServer, type SecureContext, type Server } from 'node:tls'
import type { ServerCertificate } from '../feed.ts'

export interface SecureIngressOptions {
  readonly host: string
  /** Takes a connection as if it had come in plainly. */
  readonly accept: (socket: Socket) => void
  /** Hears what can not be used. */
  readonly onProblem?: (hosts: readonly string[], reason: string) => void
}

/** Who does not say more by then is let go. */
const handshakeMs = 10_000

interface Served {
  readonly context: SecureContext
  readonly relay: ServerCertificate['relay']
}

export class SecureIngress implements Disposable {
  readonly #options: SecureIngressOptions
  #served = new Map<string, Served>()
  #server: Promise<Server> | undefined

  constructor(options: SecureIngressOptions) {
    this.#options = options
  }

  /** From now on exactly these; answers the port, unless there are none. */
  async apply(certificates: readonly ServerCertificate[]): Promise<number | undefined> {
    this.#served = new Map(
      certificates.flatMap(({ hosts, cert, key, relay }) => {
        try {
          const context = createSecureContext({ cert, key, minVersion: 'TLSv1.2' })
          return hosts.map((host) => [host, { context, relay }] as const)
        } catch (error) {
          this.#options.onProblem?.(hosts, error instanceof Error ? error.message : 'unknown')
          return []
        }
      }),
    )
    if (this.#served.size === 0 && !this.#server) return undefined
    // One that could not listen is tried again with the next.
    const server = await (this.#server ??= this.#listen().catch((error: unknown) => {
      this.#server = undefined
      throw error
    }))
    return this.#served.size === 0 ? undefined : (server.address() as AddressInfo).port
  }

  #listen(): Promise<Server> {
    const server = createServer(
      {
        minVersion: 'TLSv1.2',
        handshakeTimeout: handshakeMs,
        ALPNProtocols: ['http/1.1'],
        SNICallback: (name, answer) => {
          const found = this.#served.get(name.toLowerCase())
          if (found) answer(null, found.context)
          else answer(new Error(`there is no certificate for ${name}`))
        },
      },
      (socket) => {
        const name = typeof socket.servername === 'string' ? socket.servername : ''
        const found = this.#served.get(name.toLowerCase())
        if (!found) socket.destroy()
        else if (found.relay) pass(socket, found.relay)
        else this.#options.accept(socket)
      },
    )
    server.on('tlsClientError', (_error, socket) => socket.destroy())
    return new Promise((resolve, reject) => {
      server.once('error', reject)
      server.listen(0, this.#options.host, () => resolve(server))
    })
  }

  [Symbol.dispose](): void {
    this.#server?.then(
      (server) => server.close(),
      () => {},
    )
  }
}

function pass(client: Socket, to: { readonly host: string; readonly port: number }): void {
  const server = connect({ ...to, noDelay: true, allowHalfOpen: true })
  client.on('close', () => server.destroy())
  server.on('close', () => client.destroy())
  client.on('error', () => {})
  server.on('error', () => {})
  client.pipe(server)
  server.pipe(client)
}
