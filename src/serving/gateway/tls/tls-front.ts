/**
 * TLS in front of client connections: takes raw sockets, does the handshake with the certificate of the name asked for
 * (SNI), and hands on sockets that speak plain text. `node:tls` is loaded when the first client says something, so a
 * listener that nobody uses costs a file descriptor. Sockets come from elsewhere, so it does not matter which process
 * accepted them.
 */
import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import type { SecureContext, SecureContextOptions, Server as TlsServer, TLSSocket } from 'node:tls'
import type { Clock } from '../../../lib/clock.ts'
import type { Log } from '../../../lib/log.ts'
import type { CertificateStore, MakeContext } from './certificate-store.ts'
import { Deadline, type Deadlines } from '../exchange/deadlines.ts'
import type { Certificate } from '../feed.ts'

export interface TlsFrontOptions {
  readonly clock: Clock
  readonly log: Log
  readonly deadlines: Deadlines
  readonly certificates: CertificateStore
  /** Takes a connection after its handshake. `alpnProtocol` is `h2`, `http/1.1` or false. */
  readonly serve: (socket: TLSSocket) => void
  /**
   * A name without a certificate, when one might be had: answer later whether there is one now. Absent: refuse.
   */
  readonly wanted?: (host: string, answer: (there: boolean) => void) => void
  /** Protocols offered, the best first. */
  readonly protocols: readonly string[]
  /** From the accepted connection to the end of the handshake. */
  readonly handshakeTimeoutMs: number
  /** Handshakes at one time; beyond, the oldest is cut. */
  readonly handshakes: number
  /** 48 bytes that all workers of one port share. Default: random, new each day. */
  readonly ticketKeys?: Buffer
}

/** Alert record, before any keys: fatal, unrecognized_name (RFC 8446 6.2). */
const unrecognizedName = Buffer.from([21, 3, 3, 0, 2, 2, 112])
const handshakeRecord = 22
const ticketKeysEveryMs = 86_400_000
/** Tickets are of use with any certificate of this listener. */
const sessionIdContext = 'ebb-gateway'

type Chosen = (error: Error | null, context?: SecureContext) => void

const plainAnswer =
  'HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\nContent-Length: 76\r\n\r\n' +
  'Client sent an HTTP request to an HTTPS server. Use an https:// URL instead.'

/** A connection on its way to being a TLS one. */
class Handshake extends Deadline {
  readonly socket: Socket

  constructor(socket: Socket) {
    super()
    this.socket = socket
  }

  override expire(): void {
    this.socket.destroy()
  }
}

export class TlsFront {
  readonly #options: TlsFrontOptions
  /** By the client's address, which is all that OpenSSL's callbacks and the raw socket have in common. */
  readonly #handshakes = new Map<string, Handshake>()
  #server: TlsServer | undefined
  #loading: Promise<void> | undefined
  #makeContext: MakeContext | undefined
  #ticketKeys: Buffer
  #cancelTicketKeys = (): void => {}
  /** Key of the certificate that clients without SNI get. */
  #fallback: string | undefined

  constructor(options: TlsFrontOptions) {
    this.#options = options
    this.#ticketKeys = options.ticketKeys ?? randomBytes(48)
  }

  /** Handshakes in progress. */
  get size(): number {
    return this.#handshakes.size
  }

  /** A connection that has just been accepted. */
  accept(socket: Socket): void {
    const { deadlines, clock, handshakeTimeoutMs } = this.#options
    const address = addressOf(socket)
    // Handshakes take milliseconds: the oldest is of somebody who dawdles.
    if (this.#handshakes.size >= this.#options.handshakes)
      for (const [oldest, handshake] of this.#handshakes) {
        this.#done(oldest, handshake)
        handshake.socket.destroy()
        break
      }
    const handshake = new Handshake(socket)
    this.#handshakes.set(address, handshake)
    deadlines.set(handshake, clock.monotonic() + handshakeTimeoutMs)
    socket.on('error', () => {}) // 'close' follows
    socket.once('close', () => this.#done(address, handshake))
    socket.once('end', () => {
      if (this.#handshakes.has(address)) socket.destroy()
    })
    socket.once('data', (bytes: Buffer) => {
      socket.pause()
      if (bytes[0] !== handshakeRecord) {
        socket.end(plainAnswer, () => socket.destroy())
        return
      }
      socket.unshift(bytes)
      // The TLS socket takes it over: who says no more during the handshake is gone.
      socket.allowHalfOpen = false
      if (this.#server) this.#server.emit('connection', socket)
      else this.#later(socket)
    })
  }

  /** Certificates have changed. */
  changed(): void {
    const server = this.#server
    if (!server) return
    const certificate = this.#options.certificates.local()
    const print = certificate && certificate.key + certificate.chain
    if (print === this.#fallback) return
    this.#fallback = print
    // Without certificate there is none for clients that name no host: they are told that there is nothing in common.
    server.setSecureContext({
      ...(certificate && pem(certificate)),
      ...common,
      ticketKeys: this.#ticketKeys,
    })
  }

  stop(): void {
    this.#cancelTicketKeys()
    for (const { socket } of this.#handshakes.values()) socket.destroy()
  }

  #done(address: string, handshake: Handshake): void {
    this.#options.deadlines.cancel(handshake)
    if (this.#handshakes.get(address) === handshake) this.#handshakes.delete(address)
  }

  #later(socket: Socket): void {
    this.#loading ??= this.#load()
    this.#loading.then(
      () => {
        if (!socket.destroyed) this.#server?.emit('connection', socket)
      },
      (error: unknown) => {
        this.#options.log.error('TLS could not be loaded', { error })
        socket.destroy()
      },
    )
  }

  async #load(): Promise<void> {
    const { createServer, createSecureContext, TLSSocket } = await import('node:tls')
    const { clock, protocols, ticketKeys, log } = this.#options
    this.#makeContext = (certificate) => createSecureContext({ ...pem(certificate), ...common })
    const choose = (socket: unknown, name: string, chosen: Chosen): void =>
      this.#choose(socket instanceof TLSSocket ? addressOf(socket) : '', name, chosen)
    const server = createServer({
      ...common,
      ALPNProtocols: [...protocols],
      ticketKeys: this.#ticketKeys,
      SNICallback(this: unknown, name, chosen) {
        choose(this, name, chosen)
      },
    })
    server.on('secureConnection', (socket) => this.#secure(socket))
    server.on('tlsClientError', (error, socket) =>
      log.debug('TLS handshake failed', { client: socket.remoteAddress, error: error.message }),
    )
    const renewTicketKeys = (): void => {
      this.#cancelTicketKeys = clock.after(ticketKeysEveryMs, () => {
        this.#ticketKeys = randomBytes(48)
        server.setTicketKeys(this.#ticketKeys)
        renewTicketKeys()
      })
    }
    if (!ticketKeys) renewTicketKeys()
    this.#server = server
    this.changed()
  }

  #choose(address: string, name: string, chosen: Chosen): void {
    const context = this.#context(name)
    if (context) {
      chosen(null, context)
      return
    }
    const refuse = (): void => {
      const error = new Error(`no certificate for ${name}`)
      const raw = this.#handshakes.get(address)?.socket
      // OpenSSL can't be made to send this alert from here, and has written nothing yet.
      if (raw) raw.end(unrecognizedName, () => chosen(error))
      else chosen(error)
    }
    const { wanted } = this.#options
    if (!wanted) refuse()
    else
      wanted(name, (there) => {
        const made = there ? this.#context(name) : undefined
        if (made) chosen(null, made)
        else refuse()
      })
  }

  #context(name: string): SecureContext | undefined {
    const { certificates, log } = this.#options
    try {
      return this.#makeContext && certificates.context(name, this.#makeContext)
    } catch (error) {
      log.error('a certificate cannot be used', { host: name, error })
      return undefined
    }
  }

  #secure(socket: TLSSocket): void {
    const address = addressOf(socket)
    const handshake = this.#handshakes.get(address)
    if (handshake) this.#done(address, handshake)
    socket.allowHalfOpen = true
    this.#options.serve(socket)
  }
}

const common: SecureContextOptions = {
  ca: [], // else every public authority is parsed, for clients that show no certificate
  minVersion: 'TLSv1.2',
  sessionIdContext,
}

const pem = ({ chain, privateKey }: Certificate) => ({ cert: chain, key: privateKey })

const addressOf = ({ remoteAddress, remotePort }: Socket): string =>
  `${remoteAddress}:${remotePort}`
