/**
 * The control plane's end of the gateway feed (gateway/feed.ts): connects to the gateway's socket, sends everything,
 * then only what changed. What a change costs does not depend on how many services there are.
 */
import { hash as hashOf } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { Endpoints } from '../../../kube/api/endpoints.ts'
import type { Kind } from '../../../kube/api/kind.ts'
import { keyOf, keyText, type KubeObject, type ObjectKey } from '../../../kube/api/meta.ts'
import type { Reader } from '../../../kube/controller/reconciler.ts'
import type { Clock } from '../../../lib/clock.ts'
import type { Log } from '../../../lib/log.ts'
import { Ingress } from '../../api/ingress.ts'
import { label } from '../../api/names.ts'
import { Revision } from '../../api/revision.ts'
import type {
  ColdRequest,
  FromGateway,
  IngressRoute,
  RevisionStat,
  ToGateway,
} from '../../gateway/feed.ts'
import { readLines } from '../../gateway/lines.ts'
import type { Fact, FeedPart } from './feed-part.ts'
import { ingressRoute, revisionTarget } from './snapshot.ts'

/** What the link reads: informer caches of Ingress, Revision and Endpoints, and word of each change in them. */
export interface FeedSource {
  readonly read: Reader
  /**
   * Resolves when the caches hold everything there is. The link says nothing before: a half-filled snapshot would take
   * routes from a gateway that is serving them.
   */
  synced(): Promise<void>
  /** Calls `listener` after an object of `kind` was added, changed or deleted in the cache. Answers the cancel. */
  onChange(kind: Kind, listener: (object: KubeObject) => void): () => void
}

/** The form in which Ingresses are told, where it depends on other objects too. */
export interface IngressView {
  /** `hash` and `key` must be those of `ingressRoute`. */
  route(ingress: Ingress): IngressRoute
  /** Calls `listener` for Ingresses that are to be told differently although they have not changed. */
  onChange(listener: (key: ObjectKey) => void): Disposable
}

export interface GatewayLinkOptions {
  readonly socketPath: string
  /** Opens the connection; default: a unix socket. Simulations bring a wire of their own. */
  readonly dial?: (path: string) => Socket
  readonly source: FeedSource
  /** How Ingresses are told; default: each as it is stored (`ingressRoute`). */
  readonly ingresses?: IngressView
  /** What else the gateway is told. */
  readonly parts?: readonly FeedPart[]
  readonly clock: Clock
  readonly log: Log
}

export type Hello = Extract<FromGateway, { type: 'hello' }>

/** A connection to the gateway that renews itself. Listeners are called synchronously as messages arrive. */
export interface GatewayLink extends AsyncDisposable {
  readonly connected: boolean
  /** Of the current or last connection. */
  readonly hello: Hello | undefined
  /** True once the gateway routes by the ingress `key` in exactly the form that has this hash. */
  acknowledged(key: ObjectKey, hash: string): boolean
  /** Ingresses whose acknowledgement changed. */
  onAcknowledged(listener: (key: ObjectKey) => void): Disposable
  /** Once a second while there is traffic, plus a last zero. */
  onStats(listener: (stats: readonly RevisionStat[]) => void): Disposable
  /** A request waits for a revision without a backend. The first listener also hears of those that came before it. */
  onWake(listener: (revision: ObjectKey) => void): Disposable
  /** A request that had waited for a pod has its first byte of an answer. */
  onCold(listener: (request: ColdRequest) => void): Disposable
  /** A TLS client named a host that the gateway has no certificate for. */
  onCertificateWanted(listener: (host: string) => void): Disposable
  onConnected(listener: (connected: boolean) => void): Disposable
  /** Resolves when no request is in flight to this backend any more, or when the gateway is gone. */
  drain(host: string, port: number): Promise<void>
  /** Asks the gateway to finish and end; resolves when its connection has closed. */
  stop(graceMs: number): Promise<void>
}

const firstRetryMs = 10
const longestRetryMs = 500
/** Wake-ups kept for the first listener; a gateway that is found tells them right after its greeting. */
const earlyCapacity = 10_000
/** A gateway that does not read: its connection is cut and the next one starts afresh. */
const maxUnsentBytes = 256 * 1024 * 1024

/** Connects, and keeps connecting until disposed. */
export function connectGateway(options: GatewayLinkOptions): GatewayLink {
  return new Link(options)
}

/** What the gateway was told of one ingress, and what it has confirmed. */
interface Told {
  /** Of all that was sent, which may change while the hash of the Ingress' spec stays. */
  digest: string
  acknowledged: string | undefined
}

/** An ingress in the form in which it was sent. */
interface Sent {
  readonly key: ObjectKey
  readonly hash: string
}

class Link implements GatewayLink {
  connected = false
  hello: Hello | undefined
  readonly #options: GatewayLinkOptions
  readonly #ingresses = new Map<string, Told>()
  /** Revision -> what was sent last, as text. */
  readonly #revisions = new Map<string, string>()
  /** Revision -> name of its private Endpoints. */
  readonly #endpoints = new Map<string, ObjectKey>()
  readonly #dirtyIngresses = new Map<string, ObjectKey>()
  readonly #dirtyRevisions = new Map<string, ObjectKey>()
  readonly #dirtyFacts: Fact[] = []
  /** Sent and not acknowledged, oldest first. */
  #unacknowledged: { readonly version: number; readonly sent: readonly Sent[] }[] = []
  #version = 0
  #synced = false
  #flushing = false
  #socket: Socket | undefined
  #retryMs = firstRetryMs
  #cancelRetry = (): void => {}
  #closing = false
  #drains = new Map<number, () => void>()
  #lastDrain = 0
  #closed: (() => void)[] = []
  readonly #cancels: (() => void)[]
  readonly #acknowledgedListeners = new Set<(key: ObjectKey) => void>()
  readonly #statsListeners = new Set<(stats: readonly RevisionStat[]) => void>()
  readonly #wakeListeners = new Set<(revision: ObjectKey) => void>()
  readonly #early = new Set<string>()
  readonly #coldListeners = new Set<(request: ColdRequest) => void>()
  readonly #wantedListeners = new Set<(host: string) => void>()
  readonly #connectedListeners = new Set<(connected: boolean) => void>()

  constructor(options: GatewayLinkOptions) {
    this.#options = options
    const { source } = options
    this.#cancels = [
      source.onChange(Ingress, (object) => this.#changed(this.#dirtyIngresses, keyOf(object))),
      source.onChange(Revision, (object) => this.#changed(this.#dirtyRevisions, keyOf(object))),
      source.onChange(Endpoints, (object) => this.#endpointsChanged(object)),
    ]
    const { ingresses, parts = [] } = options
    const listeners = new DisposableStack()
    if (ingresses)
      listeners.use(ingresses.onChange((key) => this.#changed(this.#dirtyIngresses, key)))
    for (const part of parts) listeners.use(part.onChange((fact) => this.#factChanged(fact)))
    this.#cancels.push(() => listeners.dispose())
    Promise.all([source.synced(), ...parts.map((part) => part.synced())]).then(
      () => {
        this.#synced = true
        if (this.connected) this.#sendEverything()
      },
      (error: unknown) => options.log.error('informers did not sync', { error }),
    )
    this.#connect()
  }

  acknowledged(key: ObjectKey, hash: string): boolean {
    return this.#ingresses.get(keyText(key))?.acknowledged === hash
  }

  onAcknowledged = (listener: (key: ObjectKey) => void): Disposable =>
    subscribe(this.#acknowledgedListeners, listener)
  onStats = (listener: (stats: readonly RevisionStat[]) => void): Disposable =>
    subscribe(this.#statsListeners, listener)
  onWake = (listener: (revision: ObjectKey) => void): Disposable => {
    for (const revision of this.#early) listener(objectKey(revision))
    this.#early.clear()
    return subscribe(this.#wakeListeners, listener)
  }
  onCold = (listener: (request: ColdRequest) => void): Disposable =>
    subscribe(this.#coldListeners, listener)
  onCertificateWanted = (listener: (host: string) => void): Disposable =>
    subscribe(this.#wantedListeners, listener)
  onConnected = (listener: (connected: boolean) => void): Disposable =>
    subscribe(this.#connectedListeners, listener)

  drain(host: string, port: number): Promise<void> {
    if (!this.connected) return Promise.resolve()
    const id = ++this.#lastDrain
    return new Promise((resolve) => {
      this.#drains.set(id, resolve)
      this.#send({ type: 'drain', id, host, port })
    })
  }

  stop(graceMs: number): Promise<void> {
    this.#closing = true
    this.#cancelRetry()
    if (!this.connected) {
      this.#socket?.destroy()
      return Promise.resolve()
    }
    return new Promise((resolve) => {
      // The gateway closes when it has ended; one that hangs is left behind.
      const cancel = this.#options.clock.after(graceMs + 2000, () => this.#socket?.destroy())
      this.#closed.push(() => {
        cancel()
        resolve()
      })
      this.#send({ type: 'stop', graceMs })
    })
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing = true
    this.#cancelRetry()
    for (const cancel of this.#cancels.splice(0)) cancel()
    const socket = this.#socket
    if (!socket || socket.destroyed) return Promise.resolve()
    return new Promise((resolve) => {
      socket.once('close', () => resolve())
      socket.end()
      socket.destroySoon()
    })
  }

  // -- connection ---------------------------------------------------------------------------------------------------

  #connect(): void {
    const { socketPath, log, clock } = this.#options
    const { dial = (path: string) => connect({ path }) } = this.#options
    const socket = dial(socketPath)
    this.#socket = socket
    socket.on('connect', () => {
      this.#retryMs = firstRetryMs
    })
    readLines(
      socket,
      (line) => this.#receive(JSON.parse(line) as FromGateway),
      (error) => {
        log.error('bad message of the gateway', { error })
        socket.destroy()
      },
    )
    socket.on('error', () => {}) // 'close' follows
    socket.on('close', () => {
      const was = this.connected
      this.connected = false
      this.#unacknowledged = []
      for (const drained of this.#drains.values()) drained()
      this.#drains.clear()
      for (const closed of this.#closed.splice(0)) closed()
      if (was) {
        log.info('gateway disconnected')
        for (const listener of this.#connectedListeners) listener(false)
      }
      if (this.#closing) return
      this.#cancelRetry = clock.after(this.#retryMs, () => this.#connect())
      this.#retryMs = Math.min(this.#retryMs * 1.3, longestRetryMs)
    })
  }

  #receive(message: FromGateway): void {
    switch (message.type) {
      case 'hello':
        this.hello = message
        this.connected = true
        this.#options.log.info('gateway connected', { pid: message.pid, http: message.http })
        if (this.#synced) this.#sendEverything()
        for (const listener of this.#connectedListeners) listener(true)
        return
      case 'ack':
        this.#acknowledge(message.version)
        return
      case 'wake': {
        const { revision } = message
        if (this.#wakeListeners.size === 0 && this.#early.size < earlyCapacity)
          this.#early.add(revision)
        for (const listener of this.#wakeListeners) listener(objectKey(revision))
        return
      }
      case 'cold':
        for (const listener of this.#coldListeners) listener(message.request)
        return
      case 'certificate-wanted':
        for (const listener of this.#wantedListeners) listener(message.host)
        return
      case 'stats':
        for (const listener of this.#statsListeners) listener(message.stats)
        return
      case 'drained':
        this.#drains.get(message.id)?.()
        this.#drains.delete(message.id)
        return
      default:
        message satisfies never
    }
  }

  #send(message: ToGateway): void {
    const socket = this.#socket
    if (!socket || socket.destroyed) return
    socket.write(`${JSON.stringify(message)}\n`)
    if (socket.writableLength > maxUnsentBytes) socket.destroy()
  }

  // -- what it is told ----------------------------------------------------------------------------------------------

  #endpointsChanged(object: KubeObject): void {
    const { labels } = object.metadata
    const name = labels?.[label.revision]
    if (!name || labels?.[label.serviceType] !== 'Private') return
    const endpoints = keyOf(object)
    const revision = { namespace: endpoints.namespace, name }
    this.#endpoints.set(keyText(revision), endpoints)
    this.#changed(this.#dirtyRevisions, revision)
  }

  /** Notes a change; all changes of one moment go out together, with one `sync`. */
  #changed(dirty: Map<string, ObjectKey>, key: ObjectKey): void {
    if (!this.#synced || !this.connected) return
    dirty.set(keyText(key), key)
    this.#flushSoon()
  }

  #factChanged(fact: Fact): void {
    if (!this.#synced || !this.connected) return
    this.#dirtyFacts.push(fact)
    this.#flushSoon()
  }

  #flushSoon(): void {
    if (this.#flushing) return
    this.#flushing = true
    queueMicrotask(() => {
      this.#flushing = false
      if (this.connected) this.#flush()
    })
  }

  #sendEverything(): void {
    const { source, parts = [] } = this.#options
    const { read } = source
    this.#dirtyIngresses.clear()
    this.#dirtyRevisions.clear()
    this.#dirtyFacts.length = 0
    this.#revisions.clear()
    const known = new Set(this.#ingresses.keys())
    this.#send({ type: 'reset' })
    for (const revision of read.list(Revision, '')) this.#tellRevision(keyOf(revision), false)
    const sent: Sent[] = []
    for (const ingress of read.list(Ingress, '')) {
      const key = keyOf(ingress)
      known.delete(keyText(key))
      this.#tellIngress(key, true, sent)
    }
    for (const part of parts)
      for (const fact of part.all()) {
        if (fact.type === 'ingress') known.delete(fact.ingress.key)
        this.#tellFact(fact, sent)
      }
    for (const gone of known) this.#ingresses.delete(gone)
    this.#sync(sent)
  }

  #flush(): void {
    let told = false
    for (const key of this.#dirtyRevisions.values()) told = this.#tellRevision(key, true) || told
    const sent: Sent[] = []
    for (const key of this.#dirtyIngresses.values())
      told = this.#tellIngress(key, false, sent) || told
    // Last, because looking at an Ingress may bring new ones.
    for (const fact of this.#dirtyFacts.splice(0)) {
      this.#tellFact(fact, sent)
      told = true
    }
    this.#dirtyRevisions.clear()
    this.#dirtyIngresses.clear()
    if (told) this.#sync(sent)
  }

  #sync(sent: readonly Sent[]): void {
    const version = ++this.#version
    this.#unacknowledged.push({ version, sent })
    this.#send({ type: 'sync', version })
  }

  /** True when there was something to say. */
  #tellRevision(key: ObjectKey, known: boolean): boolean {
    const { read } = this.#options.source
    const text = keyText(key)
    const revision = read.get(Revision, key)
    if (!revision) {
      this.#endpoints.delete(text)
      if (!this.#revisions.delete(text)) return false
      if (known) this.#send({ type: 'revision-gone', key: text })
      return known
    }
    const endpointsKey = this.#endpoints.get(text)
    const target = revisionTarget(revision, endpointsKey && read.get(Endpoints, endpointsKey))
    const now = JSON.stringify(target)
    if (this.#revisions.get(text) === now) return false
    this.#revisions.set(text, now)
    this.#send({ type: 'revision', revision: target })
    return true
  }

  /** True when there was something to say; what was sent is added to `sent`. `always`: also what it was told before. */
  #tellIngress(key: ObjectKey, always: boolean, sent: Sent[]): boolean {
    const text = keyText(key)
    const ingress = this.#options.source.read.get(Ingress, key)
    const told = this.#ingresses.get(text)
    if (!ingress) {
      if (!told) return false
      this.#ingresses.delete(text)
      this.#send({ type: 'ingress-gone', key: text })
      return true
    }
    const route = this.#options.ingresses?.route(ingress) ?? ingressRoute(ingress)
    const digest = digestOf(route)
    if (told?.digest === digest && !always) return false
    this.#sendIngress(route, digest, sent)
    return true
  }

  #sendIngress(route: IngressRoute, digest: string, sent: Sent[]): void {
    const told = this.#ingresses.get(route.key)
    if (told) told.digest = digest
    else this.#ingresses.set(route.key, { digest, acknowledged: undefined })
    this.#send({ type: 'ingress', ingress: route })
    sent.push({ key: objectKey(route.key), hash: route.hash })
  }

  #tellFact(fact: Fact, sent: Sent[]): void {
    if (fact.type === 'ingress') {
      this.#sendIngress(fact.ingress, digestOf(fact.ingress), sent)
      return
    }
    if (fact.type === 'ingress-gone') this.#ingresses.delete(fact.key)
    this.#send(fact)
  }

  #acknowledge(version: number): void {
    for (let next = this.#unacknowledged[0]; next && next.version <= version;) {
      this.#unacknowledged.shift()
      for (const { key, hash } of next.sent) {
        const told = this.#ingresses.get(keyText(key))
        if (!told || told.acknowledged === hash) continue
        told.acknowledged = hash
        for (const listener of this.#acknowledgedListeners) listener(key)
      }
      next = this.#unacknowledged[0]
    }
  }
}

const digestOf = (route: IngressRoute): string => hashOf('sha1', JSON.stringify(route), 'base64')

function subscribe<L>(listeners: Set<L>, listener: L): Disposable {
  listeners.add(listener)
  return { [Symbol.dispose]: () => void listeners.delete(listener) }
}

function objectKey(text: string): ObjectKey {
  const slash = text.indexOf('/')
  return { namespace: text.slice(0, slash), name: text.slice(slash + 1) }
}
