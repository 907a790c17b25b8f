/**
 * The data plane as one value: ingress, activator and queue-proxy in one hop. Started
 * by `main.ts` as a process of its own, or by a test in its own process.
 */
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { Random } from '../../lib/random.ts'
import { randomUUID } from 'node:crypto'
import { createServer, type Server, type Socket } from 'node:net'
import { adminAnswer, type GatewayView } from './admin.ts'
import { QueueBudget } from './admission/breaker.ts'
import { acceptConnection, type Client } from './client/accept.ts'
import type { ClientContext } from './client/client-connection.ts'
import { Deadlines } from './exchange/deadlines.ts'
import { Drains } from './admission/drain.ts'
import { coldRequest } from './exchange/exchange.ts'
import type { FromGateway, GatewaySettings, RevisionStat, ToGateway } from './feed.ts'
import { type Change, Front } from './front.ts'
import { Lender, Loans, type Lent, type Loan } from './handover/lending.ts'
import { RevisionMetrics } from './observability/metrics.ts'
import { addressOf } from './pod/pod.ts'
import { Observer } from './observability/observer.ts'
import { Stats } from './admission/stats.ts'
import { TlsEntry } from './tls/tls-entry.ts'
import type { WorkerMemory } from './workers/worker-memory.ts'

export interface ListenAddress {
  readonly host: string
  /** 0 = any free one. */
  readonly port: number
  /** Sockets that are bound to it already, as file descriptors of this process: these are used instead of new ones. */
  readonly fds?: readonly number[]
  /** Other listeners that say so too share the address; the kernel spreads connections over them (Linux). */
  readonly reusePort?: boolean
}

export interface GatewayLimits {
  /** Open client connections; further ones are refused. */
  readonly connections: number
  /** Requests waiting for one revision; beyond: 503. */
  readonly queuePerRevision: number
  /** Requests waiting in all; beyond: 503. */
  readonly queueTotal: number
  readonly headBytes: number
  readonly headerCount: number
  /** From the first byte of a head (or the connection's start) to its end. */
  readonly headTimeoutMs: number
  /** Between requests of a connection. */
  readonly idleTimeoutMs: number
  /** From an accepted connection to the end of its TLS handshake. */
  readonly handshakeTimeoutMs: number
  /** TLS handshakes at one time; beyond, the oldest is cut. */
  readonly handshakes: number
}

export interface GatewayOptions {
  readonly clock: Clock
  readonly log: Log
  readonly random: Random
  /** The public listener. On a loopback address it serves cluster-local hosts too. */
  readonly http: ListenAddress
  /** The listener for cluster-local hosts. */
  readonly local: ListenAddress
  /** The public listener for TLS. Absent = none. */
  readonly https?: ListenAddress
  /** 48 bytes with which TLS sessions are resumed, for gateways that share a port. Default: random, new each day. */
  readonly ticketKeys?: Buffer
  /** Metrics and health, Prometheus text on `/metrics`. Absent = none. */
  readonly admin?: ListenAddress
  /** Takes lines of the request log; absent = they are thrown away. */
  readonly writeLine?: (line: string) => void
  /** Default `cluster.local`. */
  readonly clusterDomain?: string
  readonly limits?: Partial<GatewayLimits>
  /** Counts over several gateways that serve as one, each in a thread of its own (workers.ts). Absent = there is one. */
  readonly memory?: WorkerMemory
}

/** A running gateway. */
export interface Gateway {
  readonly http: ListenAddress
  readonly local: ListenAddress
  readonly https: ListenAddress | undefined
  readonly admin: ListenAddress | undefined
  /**
   * Takes one message of the feed. `reset` to `sync` replaces everything at once; changes route from their `sync` on.
   * Answers come through `listen`.
   */
  receive(message: ToGateway): void
  /** Messages to the control plane: wake at once, stats each second. One listener; undefined = nobody listens. */
  listen(listener: ((message: FromGateway) => void) | undefined): void
  /**
   * Another gateway takes over: slots of pods with a limit are borrowed from it by `say` from now on, and come by
   * `lent`. Resolves when it has been told what is held. Undefined: no more.
   */
  borrow(say: ((loan: Loan) => void) | undefined): Promise<void>
  lent(lent: Lent): void
  /** The other side: what the gateway before this one says; undefined = it is gone. Slots go to `answer`. */
  lend(loan: Loan | undefined, answer: (lent: Lent) => void): void
  /** Stops accepting, finishes what is in flight within `graceMs`, cuts the rest, closes. */
  stop(graceMs: number): Promise<void>
  /**
   * Another gateway has the listening sockets now: as `stop`, but clients that have a connection may still send
   * requests on it, each answered with `Connection: close`, until they pause for some seconds.
   */
  retire(graceMs: number): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** A gateway that is one of several workers: the main thread asks for what it adds up over all. */
export interface WorkerGateway extends Gateway {
  /** What happened since it was asked last. */
  report(): readonly RevisionStat[]
  /** For the metrics. Plain values. */
  view(): GatewayView
  /** Descriptors of listening sockets that it opened itself, by listener: a successor needs them too. */
  readonly ownSockets: Readonly<Record<string, number>>
}

export const defaultLimits: GatewayLimits = {
  connections: 32_768,
  queuePerRevision: 10_000,
  queueTotal: 20_000,
  headBytes: 65_536,
  headerCount: 200,
  headTimeoutMs: 60_000,
  idleTimeoutMs: 120_000,
  handshakeTimeoutMs: 10_000,
  handshakes: 1024,
}

const statsEveryMs = 1000
/** How long clients of a retired gateway may keep a connection on which they say nothing. */
const quietMs = 5000
/** Without a snapshot for this long, requests are answered all the same. */
const snapshotLimitMs = 10_000

/** Opens the listeners and serves. Rejects when an address cannot be had. */
export async function startGateway(options: GatewayOptions): Promise<WorkerGateway> {
  const { clock, log, random, memory } = options
  const limits = { ...defaultLimits, ...options.limits }
  const deadlines = new Deadlines(clock)
  const stats = new Stats()
  const budget = new QueueBudget(limits.queueTotal, memory)
  const drains = new Drains()
  const clients = new Set<Client>()
  /** Connections that came before the first snapshot: a gateway that was started again must not deny its services. */
  const early = new Map<Socket, ClientContext>()
  let informed = false
  let stopping = false
  let rejected = 0
  let settings: GatewaySettings = {}
  let listener: ((message: FromGateway) => void) | undefined
  let pending: Change[] = []
  let whole = false

  const observer = new Observer({
    clock,
    log,
    random,
    write: options.writeLine ?? (() => {}),
  })

  const front = new Front(
    {
      clock,
      deadlines,
      random,
      stats,
      budget,
      drains,
      memory,
      get loans() {
        return loans
      },
      queueCapacity: limits.queuePerRevision,
      metrics: (target) => new RevisionMetrics(target),
      wake: (revision) => listener?.({ type: 'wake', revision }),
      requestId: () => randomUUID(),
      rejected: () => rejected++,
      complain: (problem, ingress) =>
        log.error('a path of a route is left out: no request goes there', { ingress, problem }),
      coldAnswered: (record) =>
        listener?.({ type: 'cold', request: coldRequest(record, clock.now(), clock.monotonic()) }),
      get finished() {
        return observer.finished
      },
      get probed() {
        return observer.probed
      },
      get requestEdit() {
        return observer.requestEdit
      },
      get responseEdit() {
        return observer.responseEdit
      },
      get longLivedStreams() {
        return settings.longLivedStreams
      },
      get stopping() {
        return stopping
      },
    },
    options.clusterDomain ?? 'cluster.local',
  )

  let loans: Loans | undefined
  /** There before anything is asked of it: what is known by then counts (`informed`). */
  const lender = new Lender(clock, front.revisions)

  const contextFor = (
    local: boolean,
    route?: ClientContext['route'],
    secure = false,
  ): ClientContext => ({
    clock,
    deadlines,
    headBytes: limits.headBytes,
    headerCount: limits.headerCount,
    headTimeoutMs: limits.headTimeoutMs,
    idleTimeoutMs: limits.idleTimeoutMs,
    local,
    secure,
    get stopping() {
      return stopping
    },
    route:
      route ??
      ((client, head) =>
        (tls.challenges.size > 0 && tls.challenges.answer(head)) ||
        front.route(client, head, local)),
    closed: (client) => clients.delete(client),
  })

  const tls = new TlsEntry({
    clock,
    log,
    deadlines,
    protocols: ['h2', 'http/1.1'],
    serve: (socket) => serve(socket, secureContext, socket.alpnProtocol === 'h2' ? 'h2' : 'h1'),
    handshakeTimeoutMs: limits.handshakeTimeoutMs,
    handshakes: limits.handshakes,
    routed: (host) => front.routes(host),
    tell: (message) => {
      listener?.(message)
      return listener !== undefined
    },
    ...(options.ticketKeys && { ticketKeys: options.ticketKeys }),
  })
  const secureContext = contextFor(
    options.https !== undefined && isLoopback(options.https.host),
    undefined,
    true,
  )

  const open = (
    address: ListenAddress,
    context: ClientContext,
    fd: number | undefined,
  ): Promise<Server> => {
    const accept = (socket: Socket): void => {
      if (clients.size + early.size >= limits.connections) socket.destroy()
      else if (informed || context === adminContext) welcome(socket, context)
      else {
        early.set(socket, context)
        socket.on('error', () => {}) // 'close' follows
        socket.once('close', () => early.delete(socket))
      }
    }
    return listen(fd === undefined ? address : { fd }, accept)
  }
  const welcome = (socket: Socket, context: ClientContext): void => {
    if (context === secureContext) tls.accept(socket)
    else serve(socket, context)
  }
  const serve = (socket: Socket, context: ClientContext, protocol: 'h1' | 'h2' = 'h1'): void => {
    clients.add(acceptConnection(socket, protocol, context))
  }
  const serveEarly = (): void => {
    if (informed) return
    informed = true
    cancelEarly()
    const waiting = [...early]
    early.clear()
    for (const [socket, context] of waiting) if (!socket.destroyed) welcome(socket, context)
  }
  const cancelEarly = clock.after(snapshotLimitMs, serveEarly)
  const adminContext = contextFor(false, (_client, head) => adminAnswer(head, view))
  const view = (): GatewayView => ({
    gateway: { connections: clients.size, waiting: budget.used, rejected },
    revisions: [...front.revisions.values()].map(({ metrics, meter, queue }) =>
      metrics.snapshot(meter.inFlight, queue.size),
    ),
  })

  const servers: Server[] = []
  const ownSockets: Record<string, number> = {}
  const opened = async (
    name: string,
    address: ListenAddress,
    context: ClientContext,
  ): Promise<ListenAddress> => {
    let bound = address
    for (const fd of address.fds ?? [undefined]) {
      const server = await open(address, context, fd)
      servers.push(server)
      const own = fd === undefined ? descriptorOf(server) : undefined
      if (own !== undefined) ownSockets[name] = own
      bound = boundAddress(server, address)
    }
    return bound
  }
  let http: ListenAddress
  let local: ListenAddress
  let https: ListenAddress | undefined
  let admin: ListenAddress | undefined
  try {
    // Whoever reaches a loopback address is on this machine, and the machine is the cluster.
    http = await opened('http', options.http, contextFor(isLoopback(options.http.host)))
    local = await opened('local', options.local, contextFor(true))
    https = options.https && (await opened('https', options.https, secureContext))
    front.ports = { http: http.port, https: https?.port ?? 443 }
    admin = options.admin && (await opened('admin', options.admin, adminContext))
  } catch (error) {
    for (const server of servers) server.close()
    throw error
  }

  let cancelReport = (): void => {}
  const report = (): void => {
    cancelReport = clock.after(statsEveryMs, () => {
      const reports = stats.report(clock.monotonic())
      if (reports.length > 0) listener?.({ type: 'stats', stats: reports })
      report()
    })
  }
  if (memory === undefined) report()
  else memory.listen()

  let closed: Promise<void> | undefined
  const cutAll = (): void => {
    for (const client of clients) client.destroy()
  }
  const cutIdle = (): void => {
    for (const client of clients) if (client.idle) client.destroy()
  }
  const cancels: (() => void)[] = []
  /** Said again with less time, the shorter one counts. */
  const shutDown = (graceMs: number, idleMs: number): Promise<void> => {
    log.info('stopping', { connections: clients.size, graceMs })
    closed ??= close()
    if (idleMs <= 0) cutIdle()
    else cancels.push(clock.after(idleMs, cutIdle))
    if (graceMs <= 0) cutAll()
    else cancels.push(clock.after(graceMs, cutAll))
    return closed
  }
  const close = async (): Promise<void> => {
    stopping = true
    cancelEarly()
    tls.stop()
    for (const socket of early.keys()) socket.destroy()
    for (const client of clients) client.drain()
    await Promise.all(
      servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))),
    )
    for (const cancel of cancels) cancel()
    cancelReport()
    memory?.close()
    for (const revision of front.revisions.values()) revision.remove()
    deadlines.close()
  }

  return {
    http,
    local,
    https,
    admin,
    receive(message) {
      switch (message.type) {
        case 'reset':
          pending = []
          whole = true
          tls.reset()
          return
        case 'sync':
          front.apply(pending, whole)
          lender.informed()
          pending = []
          whole = false
          tls.synced()
          serveEarly()
          listener?.({ type: 'ack', version: message.version })
          return
        case 'drain':
          drains.drain(addressOf(message.host, message.port), () =>
            listener?.({ type: 'drained', id: message.id }),
          )
          return
        case 'handover':
          // Only a process can hand over (main.ts).
          return
        case 'stop':
          shutDown(message.graceMs, 0).catch((error: unknown) =>
            log.error('stop failed', { error }),
          )
          return
        case 'certificate':
        case 'certificate-gone':
        case 'certificate-refused':
        case 'challenge':
          tls.receive(message)
          return
        case 'settings':
          settings = message.settings
          observer.configure(settings)
          return
        default:
          pending.push(message)
      }
    },
    listen(next) {
      listener = next
      if (next) for (const revision of front.revisions.values()) revision.wakeAgain()
    },
    stop: (graceMs) => shutDown(graceMs, 0),
    retire: (graceMs) => shutDown(graceMs, Math.min(graceMs, quietMs)),
    borrow(say) {
      loans = say && new Loans(memory?.worker ?? 0, say)
      for (const revision of front.revisions.values()) revision.loansChanged()
      return Promise.resolve()
    },
    lent({ revision, address, pod }) {
      const known = front.revisions.get(revision)
      if (known) known.lent(address, pod)
      else loans?.gave(revision, address, pod)
    },
    lend(loan, answer) {
      if (loan) lender.receive(loan, answer)
      else lender.end()
    },
    report: () => stats.report(clock.monotonic()),
    view,
    ownSockets,
    [Symbol.asyncDispose]: () => shutDown(0, 0),
  }
}

/** Node keeps it on an undocumented member; undefined where it does not. */
function descriptorOf(server: Server): number | undefined {
  const { _handle: handle } = server as { _handle?: { readonly fd?: number } }
  return handle?.fd !== undefined && handle.fd >= 0 ? handle.fd : undefined
}

function listen(
  at: ListenAddress | { readonly fd: number },
  accept: (socket: Socket) => void,
): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, accept)
    server.once('error', reject)
    server.listen({ ...at, backlog: 4096 }, () => {
      server.off('error', reject)
      // Accepting can fail when descriptors run out; the next ones are accepted again.
      server.on('error', () => {})
      resolve(server)
    })
  })
}

function boundAddress(server: Server, asked: ListenAddress): ListenAddress {
  const bound = server.address()
  return bound !== null && typeof bound === 'object'
    ? { host: bound.address, port: bound.port }
    : asked
}

const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || host.startsWith('127.')
