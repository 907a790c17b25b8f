/**
 * Hot path. HTTP/2 connections to a pod (prior knowledge): requests share them, and there are as many as the pod's limit of streams asks
 * for. One that the pod is leaving (GOAWAY) gets no new requests; idle ones are closed after a while.
 */
import { connect, type Socket } from 'node:net'
import { Http2Connection } from '../../../lib/http2/connection.ts'
import { FlushBatch } from '../../../lib/http2/flush-batch.ts'
import { Deadline } from '../exchange/deadlines.ts'
import type { Pod, UpstreamContext } from './pod.ts'
import { connectTimeoutMs, maxResponseFields, maxResponseHeadBytes } from './pod-limits.ts'

/** Who wants to send a request: a stream of a connection that it shares. */
export interface SessionUser {
  /** No longer interested; skipped when its turn comes. */
  readonly ended: boolean
  /** `session.connection.canRequest` is true: send it now. `waited`: the connection was not at hand. */
  ready(session: PodSession, waited: boolean): void
  /** There will be no connection: nothing was sent. */
  connectFailed(error: Error): void
}

/** Connections to one pod at most; what is beyond waits for a stream. */
const maxSessions = 256
/** Connections being opened to one pod at once. */
const maxConnecting = 16
/** Requests that a connection is thought to take while none has said how many. */
const assumedStreams = 100
/** More than anybody sends at once, for pods without a limit. */
const mostStreams = 1_000_000
/** How long the first connection of a pod rests, and the others. */
const idleMs = { first: 60_000, other: 4000 }
const tickMs = 1000

/** All writes of one turn of the event loop, of all connections. */
export const flushes = new FlushBatch()
/** Reading is synchronous, so one buffer serves all connections. */
const readBuffer = Buffer.allocUnsafeSlow(65_536)

export class PodSession extends Deadline {
  readonly connection: Http2Connection
  /** It has served requests. */
  reused = false
  readonly #sessions: PodSessions
  readonly #socket: Socket
  readonly #context: UpstreamContext
  #state: 'connecting' | 'open' | 'closed' = 'connecting'
  #error: Error | undefined
  #idleSinceMs: number
  #closing = false
  /** Its SETTINGS have come: it is known how many streams it takes. */
  #heard = false

  constructor(sessions: PodSessions, pod: Pod, context: UpstreamContext) {
    super()
    this.#sessions = sessions
    this.#context = context
    this.#idleSinceMs = context.clock.monotonic()
    const socket = connect({
      host: pod.host,
      port: pod.port,
      noDelay: true,
      autoSelectFamily: false,
      onread: {
        buffer: readBuffer,
        callback: (count) => {
          this.connection.receive(readBuffer.subarray(0, count), context.clock.monotonic())
          if (!this.#heard) this.#hear()
          return true
        },
      },
    })
    this.#socket = socket
    this.connection = new Http2Connection({
      role: 'client',
      nowMs: this.#idleSinceMs,
      limits: { maxHeaderListBytes: maxResponseHeadBytes, maxFields: maxResponseFields },
      schedule: flushes.add,
      sink: {
        write: (bytes) => socket.write(bytes),
        close: () => socket.destroySoon(),
      },
      onGoAway: () => sessions.serve(),
      onCapacity: () => {
        if (this.connection.openStreams === 0) this.#idleSinceMs = context.clock.monotonic()
        sessions.serve()
      },
      onClosed: (error) => {
        this.#error ??= error
        sessions.closed(this)
      },
    })
    socket.on('connect', () => this.#connected(pod))
    socket.on('drain', () => this.connection.drained())
    socket.on('error', (error) => (this.#error = error))
    socket.on('end', () => socket.destroy())
    socket.on('close', () => this.#closed(pod))
    context.deadlines.set(this, this.#idleSinceMs + connectTimeoutMs)
  }

  get open(): boolean {
    return this.#state === 'open'
  }

  /** A request may be sent now. */
  get free(): boolean {
    const { connection } = this
    return (
      this.#state === 'open' &&
      connection.canRequest &&
      (this.#heard || connection.openStreams < this.#sessions.known)
    )
  }

  /** No requests any more; those under way go on. */
  leave(): void {
    this.#closing = true
    if (this.#state === 'connecting') this.#socket.destroy()
    else this.connection.goAway()
  }

  override expire(nowMs: number): void {
    if (this.#state === 'closed') return
    if (this.#state === 'connecting') {
      this.#error = new Error('connecting timed out')
      this.#socket.destroy()
      return
    }
    this.connection.tick(nowMs)
    const limitMs = this.#sessions.first(this) ? idleMs.first : idleMs.other
    if (this.connection.openStreams === 0 && nowMs - this.#idleSinceMs >= limitMs) this.leave()
    if (!this.connection.closed) this.#context.deadlines.set(this, nowMs + tickMs)
  }

  #hear(): void {
    this.#heard = true
    this.#sessions.heard(this.connection.maxConcurrent)
  }

  #connected(pod: Pod): void {
    this.#state = 'open'
    pod.refusals = 0
    this.#context.deadlines.set(this, this.#context.clock.monotonic() + tickMs)
    this.#sessions.opened()
  }

  #closed(pod: Pod): void {
    const wasConnecting = this.#state === 'connecting'
    this.#state = 'closed'
    this.#context.deadlines.cancel(this)
    const error = this.#error ?? new Error(`the pod closed the connection`)
    if (!this.connection.closed) this.connection.destroy(this.#closing ? undefined : error)
    if (wasConnecting)
      this.#sessions.notOpened(
        this.#error?.message === 'connecting timed out'
          ? new Error(`connect to ${pod.address} timed out`)
          : error,
      )
  }
}

/** All of one pod. */
export class PodSessions {
  readonly #pod: Pod
  readonly #context: UpstreamContext
  readonly #sessions: PodSession[] = []
  /** How many streams a connection took that has said so: so many are sent to a new one before it says. */
  known = 1
  #assumed = assumedStreams
  #connecting = 0
  #waiting: SessionUser[] = []
  #serving = false

  constructor(pod: Pod, context: UpstreamContext) {
    this.#pod = pod
    this.#context = context
  }

  /** Gives `user` a connection: at once when one has a stream free, else as soon as one has. */
  checkout(user: SessionUser): void {
    const session = this.#waiting.length === 0 ? this.#free() : undefined
    if (session) {
      user.ready(session, false)
      session.reused = true
      return
    }
    this.#waiting.push(user)
    this.#connectMore()
  }

  /** Resting connections are closed, the others when their requests are done. */
  leave(): void {
    for (const session of this.#sessions.toReversed()) if (session.open) session.leave()
  }

  /** The first connection stays longer than those that came for a burst. */
  first(session: PodSession): boolean {
    return this.#sessions[0] === session
  }

  /** A connection has said how many streams it takes. */
  heard(streams: number): void {
    this.known = this.#assumed = Math.min(Math.max(streams, 1), mostStreams)
    this.serve()
  }

  opened(): void {
    this.#connecting--
    this.serve()
    this.#connectMore()
  }

  notOpened(error: Error): void {
    this.#connecting--
    // Those who wait for this one hear of it; others' connections may come yet.
    if (this.#connecting === 0 && this.#free() === undefined) {
      const waiting = this.#waiting
      this.#waiting = []
      for (const user of waiting) if (!user.ended) user.connectFailed(error)
    }
    this.#connectMore()
  }

  closed(session: PodSession): void {
    const at = this.#sessions.indexOf(session)
    if (at >= 0) this.#sessions.splice(at, 1)
    this.serve()
  }

  /** Hands free streams to those who wait, in order. */
  serve(): void {
    // Sending a request can call back here.
    if (this.#serving || this.#waiting.length === 0) return
    this.#serving = true
    let used = 0
    for (; used < this.#waiting.length; used++) {
      const user = this.#waiting[used]!
      if (user.ended) continue
      const session = this.#free()
      if (!session) break
      user.ready(session, true)
      session.reused = true
    }
    this.#waiting.splice(0, used)
    this.#serving = false
    this.#connectMore()
  }

  #free(): PodSession | undefined {
    const sessions = this.#sessions
    for (let i = 0; i < sessions.length; i++) {
      const session = sessions[i]!
      if (session.free) return session
    }
    return undefined
  }

  #connectMore(): void {
    while (
      this.#waiting.length > this.#connecting * this.#assumed &&
      this.#connecting < maxConnecting &&
      this.#sessions.length < maxSessions
    ) {
      this.#connecting++
      this.#sessions.push(new PodSession(this, this.#pod, this.#context))
    }
  }
}
