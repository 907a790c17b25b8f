/**
 * Several gateways that serve as one: threads of this process, each with listening sockets of its own on the same
 * addresses (`SO_REUSEPORT`; the kernel spreads connections over them), and counts in shared memory for what must hold
 * over all of them (worker-memory.ts). The main thread serves no requests: it passes the feed on to every worker,
 * adds up what they say, and starts one again that died.
 */
import { isMainThread, Worker, workerData } from 'node:worker_threads'
import type { GatewayView } from '../admin.ts'
import { FeedCopy } from './feed-copy.ts'
import type { FromGateway, ToGateway } from '../feed.ts'
import type { Gateway, GatewayLimits, ListenAddress } from '../gateway.ts'
import type { Lent, Loan } from '../handover/lending.ts'
import type { Clock } from '../../../lib/clock.ts'
import type { Log, LogLevel } from '../../../lib/log.ts'
import { defaultLimits } from '../gateway.ts'
import { ReportSum, sumOf } from './report-sum.ts'
import type { FromWorker, ToWorker, WorkerData } from './worker-protocol.ts'
import { createMemory, memorySize, WorkerMemory, type MemorySize } from './worker-memory.ts'

/** An address with the sockets that are bound to it: of each socket, the file descriptors that lead to it. */
export interface SharedAddress {
  readonly host: string
  readonly port: number
  /**
   * Absent: each worker opens a socket. Otherwise every socket needs one descriptor, and one more for each time that its
   * worker may be started again, since a worker that dies closes its own.
   */
  readonly sockets?: readonly (readonly number[])[]
}

export interface WorkersOptions {
  readonly clock: Clock
  readonly log: Log
  readonly logLevel: LogLevel
  /** 2 to 31. */
  readonly workers: number
  readonly http: SharedAddress
  readonly local: SharedAddress
  readonly https?: SharedAddress
  readonly admin?: ListenAddress
  readonly clusterDomain?: string
  readonly limits?: Partial<GatewayLimits>
  /** TLS sessions are resumed at any worker. */
  readonly ticketKeys?: Buffer
  /** A worker died too often for the descriptors that were given: it is not started again. */
  readonly exhausted?: () => void
  /** Starts a worker. Default: `threadFor`. */
  readonly thread?: (data: WorkerData) => Worker
}

/** A thread that runs this file. */
export const threadFor = (data: WorkerData): Worker =>
  new Worker(new URL(import.meta.url), {
    workerData: data,
    resourceLimits: { maxYoungGenerationSizeMb: youngMB },
  })

const statsEveryMs = 1000
const restartMs = { first: 10, longest: 5000 }
/** A worker that lived so long is started at once when it dies. */
const steadyMs = 60_000
/** As the process has it. */
const youngMB = 12

/** A gateway of several workers. */
export interface WorkerGroup extends Gateway {
  /** One descriptor of each listening socket, by listener; empty when the workers opened their own. */
  sockets(): ReadonlyMap<string, readonly number[]>
}

/** Starts the workers; resolves when all of them listen. */
export async function startWorkers(options: WorkersOptions): Promise<WorkerGroup> {
  const group = new Workers(options)
  try {
    await group.start()
  } catch (error) {
    await group.stop(0)
    throw error
  }
  return group
}

interface Member {
  readonly number: number
  thread: Worker | undefined
  /** The last sync that it routes by. */
  acknowledged: number
  startedMs: number
  /** Deaths in a row. */
  deaths: number
  /** Which of the descriptors of its sockets it has. */
  descriptor: number
  stopped: boolean
  /** Descriptors of listening sockets that were not inherited, by listener. */
  ownSockets: Readonly<Record<string, number>>
}

class Workers implements WorkerGroup {
  http: ListenAddress
  local: ListenAddress
  https: ListenAddress | undefined
  admin: ListenAddress | undefined
  readonly #options: WorkersOptions
  readonly #size: MemorySize
  readonly #buffer: SharedArrayBuffer
  readonly #members: Member[]
  readonly #copy = new FeedCopy()
  #listener: ((message: FromGateway) => void) | undefined
  /** Syncs are numbered anew, since every control plane counts from 1. */
  #syncs = 0
  /** Own number -> the control plane's, of those not acknowledged yet. */
  readonly #versions = new Map<number, number>()
  #drains = 0
  readonly #draining = new Map<number, { readonly id: number; readonly left: Set<number> }>()
  readonly #reports = new ReportSum((stats) => this.#listener?.({ type: 'stats', stats }))
  #views = 0
  readonly #viewing = new Map<number, (number: number, view: GatewayView | undefined) => void>()
  /** Hand-over: this side borrows. */
  #sayLoan: ((loan: Loan) => void) | undefined
  #borrowing = new Set<number>()
  #borrows = (): void => {}
  /** Hand-over: this side lends, through the first worker. */
  #answerLoan: ((lent: Lent) => void) | undefined
  #afterLender = (): void => {}
  #cancelReports = (): void => {}
  #closeAdmin = (): void => {}
  #stopping: { readonly graceMs: number; readonly retire: boolean } | undefined
  readonly #stopped = Promise.withResolvers<void>()

  constructor(options: WorkersOptions) {
    this.#options = options
    this.#size = memorySize(options.workers)
    this.#buffer = createMemory(this.#size)
    this.http = options.http
    this.local = options.local
    this.https = options.https
    this.#members = Array.from({ length: options.workers }, (_, number) => ({
      number,
      thread: undefined,
      acknowledged: 0,
      startedMs: 0,
      deaths: 0,
      descriptor: 0,
      stopped: false,
      ownSockets: {},
    }))
  }

  async start(): Promise<void> {
    // The first finds free ports where any will do; the others join it there.
    for (const member of this.#members) await this.#start(member)
    if (this.#options.admin) await this.#openAdmin(this.#options.admin)
    this.#reportLater()
  }

  receive(message: ToGateway): void {
    if (message.type === 'stop') {
      void this.stop(message.graceMs)
      return
    }
    if (message.type === 'handover') return
    this.#copy.add(message)
    if (message.type === 'sync') {
      const sync = ++this.#syncs
      this.#versions.set(sync, message.version)
      const [lender, ...others] = this.#members
      if (sync === 1 && this.#answerLoan !== undefined && lender) {
        // The worker that lends must know what is lent before another serves.
        this.#afterLender = () => {
          for (const other of others)
            this.#tell(other, { type: 'feed', message: { type: 'sync', version: sync } })
        }
        this.#tell(lender, { type: 'feed', message: { type: 'sync', version: sync } })
      } else this.#broadcast({ type: 'feed', message: { type: 'sync', version: sync } })
    } else if (message.type === 'drain') {
      const id = ++this.#drains
      const left = new Set(this.#living().map(({ number }) => number))
      this.#draining.set(id, { id: message.id, left })
      this.#broadcast({ type: 'feed', message: { ...message, id } })
      this.#drained(id, -1)
    } else this.#broadcast({ type: 'feed', message })
  }

  listen(listener: ((message: FromGateway) => void) | undefined): void {
    this.#listener = listener
    this.#broadcast({ type: 'listening', listening: listener !== undefined })
  }

  borrow(say: ((loan: Loan) => void) | undefined): Promise<void> {
    this.#sayLoan = say
    this.#borrowing = new Set(this.#living().map(({ number }) => number))
    this.#broadcast({ type: 'borrow', borrows: say !== undefined })
    return new Promise((resolve) => {
      this.#borrows = resolve
      if (this.#borrowing.size === 0) resolve()
    })
  }

  lent(lent: Lent): void {
    const member = this.#members[lent.by]
    if (member?.thread) this.#tell(member, { type: 'lent', lent })
    else this.#sayLoan?.({ ...lent, type: 'gave' })
  }

  lend(loan: Loan | undefined, answer: (lent: Lent) => void): void {
    this.#answerLoan = answer
    const [lender] = this.#members
    if (lender) this.#tell(lender, { type: 'lend', loan })
  }

  stop(graceMs: number): Promise<void> {
    return this.#end({ graceMs, retire: false })
  }

  retire(graceMs: number): Promise<void> {
    return this.#end({ graceMs, retire: true })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop(0)
  }

  #end(how: { readonly graceMs: number; readonly retire: boolean }): Promise<void> {
    // Said again, the shorter time counts.
    this.#stopping = how
    this.#cancelReports()
    this.#closeAdmin()
    this.#broadcast({ type: 'stop', ...how })
    this.#checkStopped()
    return this.#stopped.promise
  }

  #checkStopped(): void {
    if (this.#stopping && this.#living().length === 0) this.#stopped.resolve()
  }

  // -- threads ------------------------------------------------------------------------------------------------------

  #start(member: Member): Promise<void> {
    const { clock, log, limits } = this.#options
    const data: WorkerData = {
      gatewayWorker: member.number,
      memory: this.#buffer,
      size: this.#size,
      logLevel: this.#options.logLevel,
      http: this.#addressFor(member, this.#options.http, this.http),
      local: this.#addressFor(member, this.#options.local, this.local),
      ...(this.#options.https &&
        this.https && { https: this.#addressFor(member, this.#options.https, this.https) }),
      ...(this.#options.clusterDomain !== undefined && {
        clusterDomain: this.#options.clusterDomain,
      }),
      ...(this.#options.ticketKeys && { ticketKeys: this.#options.ticketKeys }),
      limits: {
        ...defaultLimits,
        ...limits,
        connections: Math.ceil(
          (limits?.connections ?? defaultLimits.connections) / this.#options.workers,
        ),
      },
    }
    const thread = (this.#options.thread ?? threadFor)(data)
    member.thread = thread
    member.startedMs = clock.monotonic()
    member.stopped = false
    member.descriptor++
    return new Promise<void>((resolve, reject) => {
      let failure: Error | undefined
      thread.on('message', (message: FromWorker) => {
        if (message.type === 'listening') {
          member.ownSockets = message.ownSockets
          this.http = { host: message.http.host, port: message.http.port }
          this.local = { host: message.local.host, port: message.local.port }
          if (message.https) this.https = { host: message.https.host, port: message.https.port }
          this.#inform(member)
          resolve()
        } else this.#receive(member, message)
      })
      thread.on('error', (error: Error) => (failure = error))
      thread.on('exit', () => {
        member.thread = undefined
        member.ownSockets = {}
        this.#left(member, failure)
        reject(failure ?? new Error(`gateway worker ${member.number} ended`))
      })
    }).catch((error: unknown) => {
      // Told at the start; later ones are started again.
      if (!this.#running) throw error
      log.error('a gateway worker could not be started', { worker: member.number, error })
    })
  }

  /** All of them were started once. */
  get #running(): boolean {
    return this.#members.every(({ descriptor }) => descriptor > 0)
  }

  #addressFor(member: Member, asked: SharedAddress, bound: ListenAddress): ListenAddress {
    const { host, port } = bound
    const { sockets } = asked
    if (!sockets) return { host, port, reusePort: true }
    const fds = sockets
      .filter((_, at) => at % this.#options.workers === member.number)
      .flatMap((descriptors) => descriptors[member.descriptor] ?? [])
    return { host, port, ...(fds.length > 0 ? { fds } : { reusePort: true }) }
  }

  /** A worker that comes later learns what the others know. */
  #inform(member: Member): void {
    this.#tell(member, { type: 'listening', listening: this.#listener !== undefined })
    for (const message of this.#copy.messages()) this.#tell(member, { type: 'feed', message })
    if (this.#copy.informed)
      this.#tell(member, { type: 'feed', message: { type: 'sync', version: this.#syncs } })
    if (this.#stopping) this.#tell(member, { type: 'stop', ...this.#stopping })
  }

  #left(member: Member, failure: Error | undefined): void {
    const { clock, log, exhausted } = this.#options
    new WorkerMemory(this.#buffer, this.#size, member.number).forget()
    member.acknowledged = 0
    for (const id of this.#draining.keys()) this.#drained(id, member.number)
    for (const viewed of this.#viewing.values()) viewed(member.number, undefined)
    this.#reports.add(member.number, [])
    if (this.#borrowing.delete(member.number) && this.#borrowing.size === 0) this.#borrows()
    if (this.#stopping) {
      this.#checkStopped()
      return
    }
    log.error('a gateway worker died', { worker: member.number, error: failure })
    if (this.#isExhausted(member)) {
      exhausted?.()
      return
    }
    const steady = clock.monotonic() - member.startedMs > steadyMs
    member.deaths = steady ? 0 : member.deaths + 1
    const waitMs = steady
      ? 0
      : Math.min(restartMs.first * 2 ** (member.deaths - 1), restartMs.longest)
    clock.after(waitMs, () => {
      if (!this.#stopping && this.#running) void this.#start(member)
    })
  }

  /** One descriptor of each listening socket, by listener; empty when the workers opened their own. */
  sockets(): ReadonlyMap<string, readonly number[]> {
    const { http, local, https } = this.#options
    const found = new Map<string, readonly number[]>()
    for (const [name, address] of Object.entries({ http, local, https })) {
      const fds = (address?.sockets ?? []).map((descriptors, at) => {
        const member = this.#members[at % this.#members.length]!
        // One whose worker is about to be started again has been closed; the next has not.
        return descriptors[member.thread ? member.descriptor - 1 : member.descriptor]
      })
      // A worker beyond those that were inherited opened its own: what waits there must not be lost either.
      if (fds.length > 0)
        found.set(
          name,
          [...fds, ...this.#members.map(({ ownSockets }) => ownSockets[name])].filter(
            (fd) => fd !== undefined,
          ),
        )
    }
    const [admin] = this.#options.admin?.fds ?? []
    if (admin !== undefined) found.set('admin', [admin])
    return found
  }

  #isExhausted(member: Member): boolean {
    const { http, local, https } = this.#options
    return [http, local, https].some((address) =>
      address?.sockets?.some(
        (descriptors, at) =>
          at % this.#options.workers === member.number &&
          descriptors[member.descriptor] === undefined,
      ),
    )
  }

  #living(): readonly Member[] {
    return this.#members.filter(({ thread, stopped }) => thread !== undefined && !stopped)
  }

  #tell(member: Member, message: ToWorker): void {
    member.thread?.postMessage(message)
  }

  #broadcast(message: ToWorker): void {
    for (const member of this.#members) this.#tell(member, message)
  }

  // -- what they say ------------------------------------------------------------------------------------------------

  #receive(member: Member, message: FromWorker): void {
    switch (message.type) {
      case 'feed':
        this.#fromGateway(member, message.message)
        return
      case 'report':
        this.#reports.add(member.number, message.stats)
        return
      case 'view':
        this.#viewing.get(message.id)?.(member.number, message.view)
        return
      case 'loan':
        this.#sayLoan?.(message.loan)
        return
      case 'borrows':
        this.#borrowing.delete(member.number)
        if (this.#borrowing.size === 0) this.#borrows()
        return
      case 'lent':
        this.#answerLoan?.(message.lent)
        return
      case 'stopped':
        member.stopped = true
        void member.thread?.terminate()
        return
      default:
        return
    }
  }

  #fromGateway(member: Member, message: FromGateway): void {
    if (message.type === 'ack') {
      member.acknowledged = message.version
      this.#afterLender()
      this.#afterLender = () => {}
      this.#acknowledge()
    } else if (message.type === 'drained') this.#drained(message.id, member.number)
    else this.#listener?.(message)
  }

  /** A sync counts when all that are up route by it. */
  #acknowledge(): void {
    const all = this.#living().map(({ acknowledged }) => acknowledged)
    const reached = Math.min(...all.filter((acknowledged) => acknowledged > 0))
    for (const [sync, version] of this.#versions) {
      if (sync > reached) return
      this.#versions.delete(sync)
      this.#listener?.({ type: 'ack', version })
    }
  }

  #drained(id: number, worker: number): void {
    const draining = this.#draining.get(id)
    if (!draining) return
    draining.left.delete(worker)
    if (draining.left.size > 0) return
    this.#draining.delete(id)
    this.#listener?.({ type: 'drained', id: draining.id })
  }

  #reportLater(): void {
    this.#cancelReports = this.#options.clock.after(statsEveryMs, () => {
      this.#reports.ask(this.#living().map(({ number }) => number))
      this.#broadcast({ type: 'report' })
      this.#reportLater()
    })
  }

  // -- metrics ------------------------------------------------------------------------------------------------------

  /** Metrics of all workers together. */
  view(): Promise<GatewayView> {
    const left = new Set(this.#living().map(({ number }) => number))
    const views: GatewayView[] = []
    const id = ++this.#views
    return new Promise((resolve) => {
      const done = (): void => {
        cancel()
        this.#viewing.delete(id)
        resolve(sumOf(views))
      }
      const cancel = this.#options.clock.after(statsEveryMs, done)
      this.#viewing.set(id, (worker, view) => {
        if (!left.delete(worker)) return
        if (view) views.push(view)
        if (left.size === 0) done()
      })
      this.#broadcast({ type: 'view', id })
      if (left.size === 0) done()
    })
  }

  async #openAdmin(address: ListenAddress): Promise<void> {
    const { startAdmin } = await import('./workers-admin.ts')
    const admin = await startAdmin(address, () => this.view())
    this.admin = admin.address
    this.#closeAdmin = () => admin.close()
  }
}

// This file is also what each thread runs.
if (!isMainThread && Object.hasOwn(Object(workerData), 'gatewayWorker')) {
  const { runWorker } = await import('./worker.ts')
  await runWorker(workerData as WorkerData)
}
