/**
 * Hot path. A backend with its kept-alive connections. Connections are opened a limited number at a time, so that thousands of
 * requests let go at once do not overrun a pod's listen queue; the others take the connections that come free.
 */
import { readSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import type { Clock } from '../../../lib/clock.ts'
import { Deadline, type Deadlines } from '../exchange/deadlines.ts'
import type { Backend } from '../feed.ts'
import { connectTimeoutMs } from './pod-limits.ts'
import { PodSessions } from './pod-session.ts'
import { bytesOf, ReadBuffer } from './read-buffer.ts'

/** Who uses a connection: one request at a time. */
export interface UpstreamUser {
  /** No longer interested; skipped when its turn comes. */
  readonly ended: boolean
  /** The connection is open and yours until you release or destroy it. `waited`: it did not rest, ready for you. */
  connected(upstream: Upstream, waited: boolean): void
  /** There will be no connection: nothing was sent. */
  connectFailed(error: Error): void
  /** Bytes from the pod. `bytes` is valid during this call only. */
  received(bytes: Buffer): void
  /** The pod has ended its side (`error` undefined) or the connection broke. */
  upstreamEnded(error: Error | undefined): void
  /** The pod takes bytes again after a `write` that answered false. */
  upstreamDrained(): void
}

/** What all connections share. */
export interface UpstreamContext {
  readonly clock: Clock
  readonly deadlines: Deadlines
}

/** Connections being opened to one pod at once. */
const maxConnecting = 64
const maxIdle = 256
/** Unless the pod names another time: below Node's 5 s, the shortest default of a common server. */
const defaultIdleMs = 4000

/** For the last bytes of a connection that broke. */
const readBuffer = Buffer.allocUnsafeSlow(65_536)

/** One connection to a pod. */
export class Upstream extends Deadline {
  readonly pod: Pod
  readonly socket: Socket
  readonly reader = new ReadBuffer()
  user: UpstreamUser | undefined
  /** It has served a request before, so the pod may be closing it right now. */
  reused = false
  idleMs = defaultIdleMs
  #idleSinceMs = 0
  #state: 'connecting' | 'open' | 'closed' = 'connecting'
  #error: Error | undefined
  readonly #context: UpstreamContext

  constructor(pod: Pod, user: UpstreamUser, context: UpstreamContext) {
    super()
    this.pod = pod
    this.user = user
    this.#context = context
    this.socket = connect({
      host: pod.host,
      port: pod.port,
      noDelay: true,
      allowHalfOpen: true,
      autoSelectFamily: false,
      onread: {
        buffer: this.reader.next,
        callback: (count, buffer) => {
          const bytes = bytesOf(buffer, count)
          // Bytes that nobody asked for: the pod is out of step.
          if (this.user) this.user.received(bytes)
          else this.socket.destroy()
          return true
        },
      },
    })
    const { socket } = this
    const destroy = socket._destroy.bind(socket)
    socket._destroy = (error, done) => {
      if (error && this.user && this.#state === 'open') this.#readLast(socket)
      destroy(error, done)
    }
    this.socket.on('connect', () => this.#connected())
    this.socket.on('error', (error) => (this.#error = error))
    this.socket.on('end', () => this.#ended())
    this.socket.on('close', () => this.#closed())
    this.socket.on('drain', () => this.user?.upstreamDrained())
    context.deadlines.set(this, context.clock.monotonic() + connectTimeoutMs)
  }

  get open(): boolean {
    return this.#state === 'open'
  }

  /** Puts the connection to rest. `nowMs`: if it is known, else -1. */
  idle(nowMs = -1): void {
    this.#idleSinceMs = nowMs < 0 ? this.#context.clock.monotonic() : nowMs
    if (this.slot < 0) this.#context.deadlines.set(this, this.#idleSinceMs + this.idleMs)
  }

  /** True when it has rested so long that the pod may be closing it. */
  stale(nowMs: number): boolean {
    return nowMs - this.#idleSinceMs > this.idleMs
  }

  destroy(): void {
    this.user = undefined
    this.socket.destroy()
  }

  override expire(nowMs: number): void {
    if (this.#state === 'connecting') {
      this.#error = new Error(`connect to ${this.pod.host}:${this.pod.port} timed out`)
      this.socket.destroy()
    } else if (!this.user && this.#state === 'open') {
      const dueMs = this.#idleSinceMs + this.idleMs
      if (dueMs <= nowMs) this.socket.destroy()
      else this.#context.deadlines.set(this, dueMs)
    }
  }

  #connected(): void {
    this.#state = 'open'
    this.#context.deadlines.cancel(this)
    this.pod.opened(this)
  }

  /**
   * The connection broke. A pod that answers before it has read the request (413 to an upload) and closes makes our next
   * write fail while its answer is still to be read: Node would throw that away.
   */
  #readLast(socket: Socket): void {
    this.#state = 'closed'
    const handle: unknown = Reflect.get(socket, '_handle')
    const fd: unknown =
      typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'fd') : undefined
    if (typeof fd !== 'number' || fd < 0) return
    try {
      for (;;) {
        const count = readSync(fd, readBuffer)
        if (count === 0 || this.user === undefined) return
        this.user.received(readBuffer.subarray(0, count))
      }
    } catch {
      // Nothing (more) is there.
    }
  }

  #ended(): void {
    const { user } = this
    if (user) user.upstreamEnded(undefined)
    else this.socket.destroy()
  }

  #closed(): void {
    const wasConnecting = this.#state === 'connecting'
    this.#state = 'closed'
    this.#context.deadlines.cancel(this)
    const { user } = this
    this.user = undefined
    if (wasConnecting) {
      this.pod.notOpened(user, this.#error ?? new Error('connection closed'))
    } else {
      this.pod.closed(this)
      user?.upstreamEnded(this.#error ?? new Error('connection closed'))
    }
  }
}

/** A backend as the path sees it. */
export class Pod {
  readonly host: string
  readonly port: number
  readonly name: string
  /** As Kubernetes calls it, for logs. */
  readonly podName: string
  /** Requests that hold a slot. */
  inFlight = 0
  /** Its place in the memory that workers share; -1 = its requests are counted here alone. */
  place = -1
  /** Gets no new requests: it is being drained, or is gone from the feed. */
  leaving = false
  /** It is to be stopped, so it does not come back, whatever the feed says. */
  draining = false
  /** It just refused a connection. */
  refusing = false
  /** Refusals in a row. */
  refusals = 0
  readonly #context: UpstreamContext
  readonly #idle: Upstream[] = []
  #connecting = 0
  #waiting: UpstreamUser[] = []
  #sessions: PodSessions | undefined

  constructor(backend: Backend, context: UpstreamContext) {
    this.host = backend.host
    this.port = backend.port
    this.name = backend.pod
    this.podName = backend.podName ?? ''
    this.#context = context
  }

  get usable(): boolean {
    return !this.leaving && !this.refusing
  }

  get address(): string {
    return addressOf(this.host, this.port)
  }

  /** Its connections of HTTP/2. */
  get sessions(): PodSessions {
    return (this.#sessions ??= new PodSessions(this, this.#context))
  }

  /** Gives `user` a connection: at once when one rests, else as soon as one is open. `fresh`: not one that rested. */
  checkout(user: UpstreamUser, fresh: boolean, nowMs = this.#context.clock.monotonic()): void {
    if (!fresh) {
      for (let upstream = this.#idle.pop(); upstream; upstream = this.#idle.pop()) {
        if (!upstream.open || upstream.stale(nowMs)) {
          upstream.destroy()
          continue
        }
        upstream.user = user
        user.connected(upstream, false)
        return
      }
    }
    if (this.#connecting < maxConnecting) this.#connect(user)
    else this.#waiting.push(user)
  }

  /** Takes back a connection whose request and response are complete. `nowMs`: if it is known, else -1. */
  release(upstream: Upstream, nowMs = -1): void {
    upstream.user = undefined
    upstream.reused = true
    upstream.reader.share()
    if (!upstream.open) return
    const next = this.#nextWaiting()
    if (next) {
      upstream.user = next
      next.connected(upstream, true)
    } else if (this.leaving || this.#idle.length >= maxIdle) upstream.destroy()
    else {
      upstream.idle(nowMs)
      this.#idle.push(upstream)
    }
  }

  /** No new requests from now on; resting connections are closed. */
  leave(): void {
    this.leaving = true
    for (const upstream of this.#idle.splice(0)) upstream.destroy()
    this.#sessions?.leave()
  }

  opened(upstream: Upstream): void {
    this.#connecting--
    this.refusals = 0
    const user = upstream.user
    if (user && !user.ended) user.connected(upstream, true)
    else this.release(upstream)
    this.#connectWaiting()
  }

  notOpened(user: UpstreamUser | undefined, error: Error): void {
    this.#connecting--
    if (user && !user.ended) user.connectFailed(error)
    this.#connectWaiting()
  }

  closed(upstream: Upstream): void {
    const at = this.#idle.lastIndexOf(upstream)
    if (at >= 0) this.#idle.splice(at, 1)
  }

  #connect(user: UpstreamUser): void {
    this.#connecting++
    // The socket may report nothing before the constructor has returned: connect is asynchronous.
    new Upstream(this, user, this.#context)
  }

  #connectWaiting(): void {
    while (this.#connecting < maxConnecting) {
      const user = this.#nextWaiting()
      if (!user) return
      this.#connect(user)
    }
  }

  #nextWaiting(): UpstreamUser | undefined {
    // Rarely more than a few hundred, once, at a wake-up; shift on such an array is a memmove.
    for (let user = this.#waiting.shift(); user; user = this.#waiting.shift())
      if (!user.ended) return user
    return undefined
  }
}

export const addressOf = (host: string, port: number): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
