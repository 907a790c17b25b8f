/**
 * One gateway process after another, on the same listening sockets, without a request lost. The process that runs starts
 * its successor and hands it the descriptors of its sockets, so that the kernel never closes them:
 *
 * 1. The successor opens them too and says `started`. Connections that it accepts wait for its first snapshot.
 * 2. The predecessor leaves the control socket and says `go`; the successor takes the control socket, and the control
 *    plane connects to it.
 * 3. When the successor routes by the first snapshot it says `serving`; the predecessor accepts no more, and serves
 *    those that are connected to their end (`Gateway.retire`).
 *
 * Until then both are one gateway to the control plane: the successor passes the feed on to the predecessor, so that
 * its waiting requests find their pods, and what the predecessor says back to the control plane; a pod is drained when
 * neither has a request there. Should the successor fail before 3, the predecessor goes on as if nothing had happened.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Clock } from '../../../lib/clock.ts'
import type { Log } from '../../../lib/log.ts'
import type { FromGateway, ToGateway } from '../feed.ts'
import type { Gateway } from '../gateway.ts'
import type { Lent, Loan } from './lending.ts'
import { linkDescriptor, socketsToPass } from './inherited-sockets.ts'
import { readLines } from '../lines.ts'

type ToSuccessor =
  | { readonly type: 'go' }
  | { readonly type: 'loan'; readonly loan: Loan }
  | { readonly type: 'feed'; readonly message: FromGateway }
type ToPredecessor =
  | { readonly type: 'started' | 'serving' }
  | { readonly type: 'lent'; readonly lent: Lent }
  | { readonly type: 'feed'; readonly message: ToGateway }

/** How long a successor may take until it serves. */
const successorMs = 10_000
export interface HandOverOptions {
  /** Arguments of Node for the successor, without `--sockets` and `--predecessor`. */
  readonly args: readonly string[]
  readonly workers: number
  /** One descriptor of each listening socket. */
  readonly sockets: ReadonlyMap<string, readonly number[]>
  readonly gateway: Gateway
  /** Leaves the control socket: its path is free when this resolves. */
  readonly releaseControl: () => Promise<void>
  /** Asks for what `stop` does: the successor was told to end, and so are we. */
  readonly onStop: (graceMs: number) => void
  readonly clock: Clock
  readonly log: Log
}

/**
 * Starts a successor. Resolves true when it serves: `gateway` speaks through it from then on, retire it and end. False
 * when it failed; if the control socket was released it must be taken again.
 */
export function handOver(options: HandOverOptions): Promise<boolean> {
  const { gateway, clock, log } = options
  const { text, stdio } = socketsToPass(options.sockets, options.workers)
  const child: ChildProcess = spawn(
    process.execPath,
    [...options.args, '--sockets', text, '--predecessor', String(linkDescriptor)],
    { detached: true, stdio: ['ignore', 'inherit', 'inherit', 'pipe', ...stdio], env: {} },
  )
  child.unref()
  const link = new Link<ToSuccessor, ToPredecessor>(child.stdio[linkDescriptor] as Duplex)
  return new Promise((resolve) => {
    let over = false
    /** What the gateway says goes to the successor. */
    let listening = false
    const end = (serves: boolean, why?: unknown): void => {
      if (over) return
      over = true
      cancel()
      if (serves) {
        resolve(true)
        return
      }
      log.error('the successor does not serve', { why })
      const gone = (): void => resolve(false)
      if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) gone()
      else {
        child.once('exit', gone)
        child.kill('SIGKILL')
      }
    }
    const cancel = clock.after(successorMs, () => end(false, 'it took too long'))
    child.on('error', (error) => end(false, error))
    child.on('exit', (code) => end(false, `it ended with code ${code}`))
    link.listen(
      (message) => {
        switch (message.type) {
          case 'started':
            options
              .releaseControl()
              .then(() => gateway.borrow((loan) => link.send({ type: 'loan', loan })))
              .then(() => {
                listening = true
                gateway.listen((said) => link.send({ type: 'feed', message: said }))
                link.send({ type: 'go' })
              })
              .catch((error: unknown) => end(false, error))
            return
          case 'lent':
            gateway.lent(message.lent)
            return
          case 'serving':
            end(true)
            return
          case 'feed':
            if (message.message.type === 'stop') options.onStop(message.message.graceMs)
            else gateway.receive(message.message)
            return
          default:
            message satisfies never
        }
      },
      () => {
        // Before our control socket was released, it is the control plane that listens.
        if (listening) gateway.listen(undefined)
        void gateway.borrow(undefined)
        end(false, 'it hung up')
      },
    )
  })
}

/** This process as the successor of another: resolves when it is our turn to take the control socket. */
export async function succeed(gateway: Gateway, descriptor: number): Promise<Gateway> {
  const link = new Link<ToPredecessor, ToSuccessor>(new Socket({ fd: descriptor }))
  const go = Promise.withResolvers<void>()
  const follower = new Successor(gateway, link, () => go.resolve())
  link.send({ type: 'started' })
  await go.promise
  return follower
}

/** A gateway together with the one before it. */
class Successor implements Gateway {
  readonly #gateway: Gateway
  readonly #link: Link<ToPredecessor, ToSuccessor>
  #listener: ((message: FromGateway) => void) | undefined
  #serving = false
  /** Drains that one of the two has not answered. */
  readonly #drains = new Map<number, number>()
  readonly #gone: Promise<void>

  constructor(gateway: Gateway, link: Link<ToPredecessor, ToSuccessor>, go: () => void) {
    this.#gateway = gateway
    this.#link = link
    const gone = Promise.withResolvers<void>()
    this.#gone = gone.promise
    link.listen(
      (message) => {
        if (message.type === 'go') go()
        else if (message.type === 'loan')
          gateway.lend(message.loan, (lent) => link.send({ type: 'lent', lent }))
        else if (message.message.type === 'drained') this.#drained(message.message.id)
        else if (message.message.type !== 'ack') this.#listener?.(message.message)
      },
      () => {
        // It has ended, so it has no requests anywhere. If it died before our turn came, it is our turn.
        for (const id of this.#drains.keys()) this.#drained(id)
        gateway.lend(undefined, () => {})
        go()
        gone.resolve()
      },
    )
  }

  get http() {
    return this.#gateway.http
  }

  get local() {
    return this.#gateway.local
  }

  get https() {
    return this.#gateway.https
  }

  get admin() {
    return this.#gateway.admin
  }

  receive(message: ToGateway): void {
    if (message.type === 'drain' && !this.#link.closed) this.#drains.set(message.id, 2)
    // Drains of a control plane that is gone are nobody's.
    if (message.type === 'reset') this.#drains.clear()
    this.#link.send({ type: 'feed', message })
    this.#gateway.receive(message)
  }

  listen(listener: ((message: FromGateway) => void) | undefined): void {
    this.#listener = listener
    this.#gateway.listen(
      listener &&
        ((message) => {
          if (message.type === 'drained') this.#drained(message.id)
          else listener(message)
          if (message.type !== 'ack' || this.#serving) return
          this.#serving = true
          this.#link.send({ type: 'serving' })
        }),
    )
  }

  borrow(say: ((loan: Loan) => void) | undefined): Promise<void> {
    return this.#gateway.borrow(say)
  }

  lent(lent: Lent): void {
    this.#gateway.lent(lent)
  }

  lend(loan: Loan | undefined, answer: (lent: Lent) => void): void {
    this.#gateway.lend(loan, answer)
  }

  stop(graceMs: number): Promise<void> {
    this.#link.send({ type: 'feed', message: { type: 'stop', graceMs } })
    return Promise.all([this.#gateway.stop(graceMs), this.#gone]).then(() => {})
  }

  retire(graceMs: number): Promise<void> {
    this.#link.send({ type: 'feed', message: { type: 'stop', graceMs } })
    return Promise.all([this.#gateway.retire(graceMs), this.#gone]).then(() => {})
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop(0)
  }

  #drained(id: number): void {
    const left = (this.#drains.get(id) ?? 1) - 1
    if (left > 0 && !this.#link.closed) {
      this.#drains.set(id, left)
      return
    }
    this.#drains.delete(id)
    this.#listener?.({ type: 'drained', id })
  }
}

/** Lines of JSON over a pair of sockets. */
class Link<Out, In> {
  closed = false
  readonly #socket: Duplex

  constructor(socket: Duplex) {
    this.#socket = socket
    socket.on('error', () => {}) // 'close' follows
  }

  listen(received: (message: In) => void, closed: () => void): void {
    readLines(
      this.#socket,
      (line) => received(JSON.parse(line) as In),
      () => this.#socket.destroy(),
    )
    const end = (): void => {
      if (this.closed) return
      this.closed = true
      this.#socket.destroy()
      closed()
    }
    this.#socket.on('end', end)
    this.#socket.on('close', end)
  }

  send(message: Out): void {
    if (!this.closed) this.#socket.write(`${JSON.stringify(message)}\n`)
  }
}
