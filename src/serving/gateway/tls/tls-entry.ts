/**
 * TLS as the gateway sees it: the certificates and challenges that the feed brings, and the way of a connection from
 * the secure listener through its handshake.
 */
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Clock } from '../../../lib/clock.ts'
import type { Log } from '../../../lib/log.ts'
import { CertificateStore } from './certificate-store.ts'
import { Challenges } from './challenges.ts'
import type { Deadlines } from '../exchange/deadlines.ts'
import type { Certificate, FromGateway, ToGateway } from '../feed.ts'
import { TlsFront } from './tls-front.ts'

export interface TlsEntryOptions {
  readonly clock: Clock
  readonly log: Log
  readonly deadlines: Deadlines
  /** Takes a connection after its handshake. `alpnProtocol` is one of `protocols`, or false. */
  readonly serve: (socket: TLSSocket) => void
  /** True for a public host that some ingress routes: a certificate for it may be asked for. */
  readonly routed: (host: string) => boolean
  /** To the control plane; false when nobody listens. */
  readonly tell: (message: FromGateway) => boolean
  readonly protocols: readonly string[]
  readonly handshakeTimeoutMs: number
  readonly handshakes: number
  readonly ticketKeys?: Buffer
}

/** What of the feed this part takes. */
export type TlsMessage = Extract<
  ToGateway,
  {
    readonly type: 'certificate' | 'certificate-gone' | 'certificate-refused' | 'challenge'
  }
>

/** How long a handshake waits for a certificate that is being made. */
const wantedTimeoutMs = 5000

export class TlsEntry {
  readonly challenges = new Challenges()
  readonly #options: TlsEntryOptions
  readonly #certificates = new CertificateStore()
  readonly #front: TlsFront
  /** Certificates named since the last `reset`; undefined = no reset is under way. */
  #named: Set<string> | undefined
  /** Host -> handshakes that wait for its certificate. */
  readonly #wanted = new Map<string, Set<(there: boolean) => void>>()

  constructor(options: TlsEntryOptions) {
    this.#options = options
    this.#front = new TlsFront({
      clock: options.clock,
      log: options.log,
      deadlines: options.deadlines,
      certificates: this.#certificates,
      serve: options.serve,
      wanted: (host, answer) => this.#want(host, answer),
      protocols: options.protocols,
      handshakeTimeoutMs: options.handshakeTimeoutMs,
      handshakes: options.handshakes,
      ...(options.ticketKeys && { ticketKeys: options.ticketKeys }),
    })
  }

  /** Handshakes in progress. */
  get handshakes(): number {
    return this.#front.size
  }

  accept(socket: Socket): void {
    this.#front.accept(socket)
  }

  /** Counts at once, without waiting for `sync`. */
  receive(message: TlsMessage): void {
    switch (message.type) {
      case 'certificate':
        this.#set(message.certificate)
        return
      case 'certificate-gone':
        this.#certificates.delete(message.key)
        this.#front.changed()
        return
      case 'certificate-refused':
        this.#settle(message.host, false)
        return
      case 'challenge':
        this.challenges.set(message.host, message.token, message.response)
        return
      default:
        message satisfies never
    }
  }

  /** A snapshot begins: what it does not name is gone when it ends. */
  reset(): void {
    this.#named = new Set()
    this.challenges.clear()
  }

  synced(): void {
    const named = this.#named
    if (!named) return
    this.#named = undefined
    for (const key of this.#certificates.keys()) if (!named.has(key)) this.#certificates.delete(key)
    this.#front.changed()
  }

  stop(): void {
    this.#front.stop()
    for (const host of this.#wanted.keys()) this.#settle(host, false)
  }

  #set(certificate: Certificate): void {
    const { log, clock } = this.#options
    const { key, hosts } = certificate
    this.#named?.add(key)
    const complaint = this.#certificates.set(certificate)
    if (complaint !== undefined) {
      log.error('certificate refused', { key, hosts, complaint })
      return
    }
    this.#front.changed()
    for (const host of this.#wanted.keys())
      if (this.#certificates.has(host)) this.#settle(host, true)
    log.debug('certificate taken', { key, hosts, atMs: clock.now() })
  }

  /** Asks the control plane once a host, however many wait. */
  #want(host: string, answer: (there: boolean) => void): void {
    const name = host.toLowerCase()
    const { clock, tell, routed } = this.#options
    const waiting = this.#wanted.get(name)
    if (waiting) {
      waiting.add(answer)
      return
    }
    if (!routed(name) || !tell({ type: 'certificate-wanted', host: name })) {
      answer(false)
      return
    }
    const cancel = clock.after(wantedTimeoutMs, () => this.#settle(name, false))
    this.#wanted.set(name, new Set([cancel, answer]))
  }

  #settle(host: string, there: boolean): void {
    const waiting = this.#wanted.get(host)
    if (!waiting) return
    this.#wanted.delete(host)
    for (const answer of waiting) answer(there)
  }
}
