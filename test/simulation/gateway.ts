/**
 * The gateway as a process of its own that outlives control planes: the real route table, activator, limits, drains and
 * statistics, with simulated clients in front and simulated containers behind instead of sockets. It counts what
 * becomes of each request, and says when a request ends otherwise than it may.
 */
import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import type { Clock } from '../../src/lib/clock.ts'
import type { Random } from '../../src/lib/random.ts'
import type { RequestHead } from '../../src/lib/http1/head.ts'
import {
  Revision,
  type Claimant,
  type RevisionContext,
} from '../../src/serving/gateway/admission/activator.ts'
import { QueueBudget } from '../../src/serving/gateway/admission/breaker.ts'
import { Deadlines } from '../../src/serving/gateway/exchange/deadlines.ts'
import { Drains } from '../../src/serving/gateway/admission/drain.ts'
import type { FromGateway, ToGateway } from '../../src/serving/gateway/feed.ts'
import type { Change } from '../../src/serving/gateway/front.ts'
import { RevisionMetrics } from '../../src/serving/gateway/observability/metrics.ts'
import { addressOf, type Pod } from '../../src/serving/gateway/pod/pod.ts'
import { destinationOf, RouteTable } from '../../src/serving/gateway/routing/route-table.ts'
import { Stats } from '../../src/serving/gateway/admission/stats.ts'
import type { Containers, Process } from './containers.ts'

/** How a request ended. */
type Outcome =
  | 'served'
  /** The container crashed while it had the request. */
  | 'broken'
  /** Nobody has the host. */
  | 'unrouted'
  /** The revision went while the request waited. */
  | 'gone'

export interface Ended {
  readonly host: string
  /** `namespace/name`, if it got that far. */
  readonly revision: string | undefined
  readonly outcome: Outcome
  /** For `broken`: whether the container crashed by itself. */
  readonly excused: boolean
}

interface SimGatewayOptions {
  readonly clock: Clock
  readonly random: Random
  readonly containers: Containers
  readonly violation: (text: string) => void
}

const onThisMachine = { host: '127.0.0.1', port: 8080 }
const anyHead = { target: '/', names: [], values: [], ids: [] } as unknown as RequestHead

export class SimGateway {
  /** Acknowledgements come this much late. */
  ackDelayMs = 0
  /** Control planes are let in. */
  reachable = true
  readonly table = new RouteTable()
  readonly revisions = new Map<string, Revision>()
  /** Requests that have begun, and how many of them have ended in which way. */
  issued = 0
  readonly outcomes: Record<Outcome, number> = { served: 0, broken: 0, unrouted: 0, gone: 0 }
  readonly #options: SimGatewayOptions
  readonly #stats = new Stats()
  readonly #drains = new Drains()
  readonly #context: RevisionContext
  #wire: Wire | undefined
  #pending: Change[] = []
  #whole = false

  constructor(options: SimGatewayOptions) {
    const { clock, random } = options
    this.#options = options
    this.#context = {
      clock,
      random,
      deadlines: new Deadlines(clock),
      stats: this.#stats,
      budget: new QueueBudget(20_000),
      queueCapacity: 10_000,
      drains: this.#drains,
      metrics: (target) => new RevisionMetrics(target),
      wake: (revision) => this.#tell({ type: 'wake', revision }),
    }
    this.#report()
  }

  /** Requests that wait for a pod. */
  get held(): number {
    return this.#context.budget.used
  }

  get open(): number {
    const { served, broken, unrouted, gone } = this.outcomes
    return this.issued - served - broken - unrouted - gone
  }

  /** Opens a connection, as `connectGateway` wants it. */
  readonly dial = (): Socket => {
    const wire = new Wire(this.#options.clock, this)
    this.#options.clock.after(1, () => {
      if (!this.reachable) wire.destroy()
      else if (!wire.destroyed) this.#accept(wire)
    })
    return wire as unknown as Socket
  }

  /** Ends the connection from this side, if there is one. */
  disconnect(): void {
    this.#wire?.destroy()
  }

  /** The process at the other end was killed. */
  abandoned(): void {
    const wire = this.#wire
    if (!wire) return
    wire.removeAllListeners()
    wire.destroyed = true
    this.left(wire)
  }

  left(wire: Wire): void {
    if (this.#wire === wire) this.#wire = undefined
  }

  #accept(wire: Wire): void {
    this.#wire?.destroy()
    this.#wire = wire
    wire.emit('connect')
    wire.tell({ type: 'hello', pid: 1, http: onThisMachine, local: onThisMachine })
    for (const revision of this.revisions.values()) revision.wakeAgain()
  }

  #tell(message: FromGateway): void {
    this.#wire?.tell(message)
  }

  receive(message: ToGateway, wire: Wire): void {
    if (wire !== this.#wire) return
    switch (message.type) {
      case 'reset':
        this.#pending = []
        this.#whole = true
        return
      case 'sync': {
        const { version } = message
        this.#apply()
        this.#options.clock.after(this.ackDelayMs, () => wire.tell({ type: 'ack', version }))
        return
      }
      case 'drain': {
        const { id, host, port } = message
        this.#drains.drain(addressOf(host, port), () => wire.tell({ type: 'drained', id }))
        return
      }
      case 'certificate':
      case 'certificate-gone':
      case 'certificate-refused':
      case 'challenge':
      case 'settings':
      case 'handover':
      case 'stop':
        return
      default:
        this.#pending.push(message)
    }
  }

  /** As gateway/front.ts does it. */
  #apply(): void {
    const changes = this.#pending
    if (this.#whole) {
      const named = new Set(
        changes.flatMap((change) =>
          change.type === 'ingress'
            ? [change.ingress.key]
            : change.type === 'revision'
              ? [`revision ${change.revision.key}`]
              : [],
        ),
      )
      for (const key of this.table.keys()) if (!named.has(key)) this.table.delete(key)
      for (const key of this.revisions.keys())
        if (!named.has(`revision ${key}`)) this.#removeRevision(key)
    }
    for (const change of changes) {
      if (change.type === 'ingress') this.table.set(change.ingress)
      else if (change.type === 'ingress-gone') this.table.delete(change.key)
      else if (change.type === 'revision-gone') this.#removeRevision(change.key)
      else {
        const { revision } = change
        const known = this.revisions.get(revision.key)
        if (known) known.update(revision)
        else this.revisions.set(revision.key, new Revision(revision, this.#context))
      }
    }
    this.#pending = []
    this.#whole = false
  }

  #removeRevision(key: string): void {
    const revision = this.revisions.get(key)
    this.revisions.delete(key)
    revision?.remove()
  }

  #report(): void {
    const { clock } = this.#options
    clock.after(1000, () => {
      const stats = this.#stats.report(clock.monotonic())
      if (stats.length > 0) this.#tell({ type: 'stats', stats })
      this.#report()
    })
  }

  /** A request that keeps its pod busy for `busyMs`. `ended` is called once. */
  request(host: string, busyMs: number, ended: (result: Ended) => void): void {
    this.issued++
    const { clock, containers, violation } = this.#options
    let over = false
    let key: string | undefined
    const finish = (outcome: Outcome, excused = false) => {
      if (over) violation(`a request to ${host} ended twice, at last ${outcome}`)
      over = true
      this.outcomes[outcome]++
      ended({ host, revision: key, outcome, excused })
    }
    const route = this.table.host(host, true)
    const destination = route && destinationOf(route, anyHead)
    key = destination?.revision
    const revision = key === undefined ? undefined : this.revisions.get(key)
    if (!revision) return finish('unrouted')

    const granted = (pod: Pod): void => {
      const process = containers.listener(pod.host)
      if (process) return serve(process, pod)
      clock.after(1, () => revision.refused(claimant, pod))
    }
    const serve = (process: Process, pod: Pod): void => {
      process.inFlight++
      const { containerConcurrency } = revision.target
      if (containerConcurrency > 0 && process.inFlight > containerConcurrency)
        violation(
          `${process.inFlight} requests at once at a pod of ${revision.target.key}, which takes ${containerConcurrency}`,
        )
      const done = (): void => {
        if (process.stopped && process.running) return void clock.after(100, done)
        revision.meter.stop(clock.monotonic())
        const survived = process.running
        containers.finished(process)
        finish(survived ? 'served' : 'broken', process.crashed)
        revision.release(pod)
      }
      clock.after(busyMs, done)
    }
    const claimant: Claimant = {
      queue: undefined,
      ahead: undefined,
      behind: undefined,
      granted,
      revisionGone: () => {
        revision.meter.stop(clock.monotonic())
        finish('gone')
      },
    }
    revision.meter.start(clock.monotonic())
    const pod = revision.acquire(claimant)
    if (pod === 'full') violation('the queue of the gateway is full')
    else if (pod) granted(pod)
  }
}

/** A connection between a control plane and the gateway: what the feed client uses of a socket. */
class Wire extends EventEmitter {
  destroyed = false
  readonly writableLength = 0
  readonly #clock: Clock
  readonly #gateway: SimGateway
  /** Messages keep their order. */
  #lastMs = 0

  constructor(clock: Clock, gateway: SimGateway) {
    super()
    this.#clock = clock
    this.#gateway = gateway
  }

  write(text: string): boolean {
    const message = JSON.parse(text) as ToGateway
    this.#soon(() => this.#gateway.receive(message, this))
    return true
  }

  tell(message: FromGateway): void {
    const bytes = Buffer.from(`${JSON.stringify(message)}\n`)
    this.#soon(() => this.emit('data', bytes))
  }

  #soon(deliver: () => void): void {
    const now = this.#clock.monotonic()
    this.#lastMs = Math.max(this.#lastMs, now + 1)
    this.#clock.after(this.#lastMs - now, () => {
      if (!this.destroyed) deliver()
    })
  }

  destroy(): void {
    if (this.destroyed) return
    this.destroyed = true
    this.#gateway.left(this)
    queueMicrotask(() => this.emit('close'))
  }

  end(): void {
    this.destroy()
  }

  destroySoon(): void {
    this.destroy()
  }
}
