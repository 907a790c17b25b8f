/**
 * The event engine: Brokers and Channels with their logs on this machine, what comes in and what goes out. It is told
 * its whole configuration at a time and finds out itself what is new.
 */
import { join } from 'node:path'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { BufferedAnswer, BufferedRequest } from '../../lib/http1/buffered-server.ts'
import type { Guards } from './authorization/guard.ts'
import { Channel } from './channel.ts'
import type { ChannelConfig, EngineConfig, EngineWarning, SubscriptionStats } from './feed.ts'
import { hostOfUrl } from './hops.ts'
import { receive, type Inlet, type IngressWorld } from './ingress/ingress.ts'
import type { Journal } from './following/journal.ts'
import { metricsText } from './following/metrics.ts'
import { nanoTime } from './nano-time.ts'
import { machineDisk, type Disk } from '../log/disk.ts'
import { EventMemory } from './delivery/memory.ts'
import type { Sender } from './delivery/sender.ts'
import type { EventSpans } from './following/spans.ts'

export interface EngineOptions {
  /** A folder of its own. */
  readonly directory: string
  readonly clock: Clock
  readonly log: Log
  readonly sender: Sender
  readonly journal: Journal
  /** What is told of traces. Default: nothing. */
  readonly spans?: EventSpans
  /** Makes what stands before addresses that do not take events of everybody. */
  readonly guards?: Guards
  /** Of one file of a log. */
  readonly segmentBytes?: number
  /** Default: the machine's. */
  readonly disk?: Disk
  /** What events that are read ahead and under way may take of the memory. Default: 256 MiB. */
  readonly memory?: EventMemory
}

/** Logs that are opened at the same time: each mostly waits for the disk. */
const openedAtOnce = 8
/** How often old events are looked for. */
const retainEveryMs = 60_000

export class Engine implements AsyncDisposable {
  readonly #options: EngineOptions
  readonly #disk: Disk
  readonly #memory: EventMemory
  readonly #channels = new Map<string, Channel>()
  /** Stand for those whose log can't be opened, by uid. */
  readonly #broken = new Map<string, Inlet & { readonly problem: Error }>()
  #brokerHosts = new Set<string>()
  /** Uid by `namespace/name`. */
  #brokers = new Map<string, string>()
  #hosts = new Map<string, string>()
  #applying: Promise<unknown> = Promise.resolve()
  #first = true
  #draining = false
  #cancelRetain = () => {}
  readonly #world: IngressWorld

  constructor(options: EngineOptions) {
    this.#options = options
    this.#disk = options.disk ?? machineDisk
    this.#memory = options.memory ?? new EventMemory()
    this.#world = {
      isBrokerHost: (host) => this.#brokerHosts.has(host),
      broker: (key) => this.#inlet(this.#brokers.get(key)),
      channel: (host) => this.#inlet(this.#hosts.get(host)),
      now: () => nanoTime(options.clock),
      draining: () => this.#draining,
      metrics: () => metricsText(this.channels),
    }
    this.#retainLater()
  }

  /** The ingress. */
  handle(request: BufferedRequest): BufferedAnswer | Promise<BufferedAnswer> {
    return receive(request, this.#world)
  }

  #isInlet(host: string): boolean {
    return this.#brokerHosts.has(host) || this.#hosts.has(host)
  }

  #inlet(uid = ''): Inlet | undefined {
    return this.#channels.get(uid) ?? this.#broken.get(uid)
  }

  get channels(): readonly Channel[] {
    return [...this.#channels.values()]
  }

  channel(uid: string): Channel | undefined {
    return this.#channels.get(uid)
  }

  /** Why a channel that is wanted is not there. */
  problemOf(uid: string): Error | undefined {
    return this.#broken.get(uid)?.problem
  }

  get stats(): readonly SubscriptionStats[] {
    return this.channels.flatMap(({ stats }) => stats)
  }

  get warnings(): readonly EngineWarning[] {
    return this.channels.flatMap(({ warnings }) => warnings)
  }

  /**
   * Resolves when all of it holds; one configuration after another. Answers what could not be made to hold, by uid: a
   * channel whose files can't be opened refuses its events and leaves the others alone; it is tried again with the next.
   */
  apply(config: EngineConfig): Promise<Readonly<Record<string, string>>> {
    const applied = this.#applying.then(() => this.#apply(config))
    this.#applying = applied.catch(() => {})
    return applied
  }

  async #apply(config: EngineConfig): Promise<Readonly<Record<string, string>>> {
    const { brokerHosts, channels, tracing } = config
    this.#options.spans?.configure(tracing)
    const problems: Record<string, string> = {}
    const { log } = this.#options
    const wanted = new Set(channels.map(({ uid }) => uid))
    if (this.#first)
      await this.#forgetOthers(wanted).catch((error: unknown) => {
        log.error('logs of what was deleted could not be removed', { error })
      })
    this.#first = false
    for (const [uid, channel] of this.#channels)
      if (!wanted.has(uid)) {
        this.#channels.delete(uid)
        await channel.remove().catch((error: unknown) => {
          log.error('a log that is not wanted any more could not be removed', { uid, error })
        })
      }
    const waiting = channels.values()
    const bringing = async () => {
      for (const each of waiting) Object.assign(problems, await this.#bring(each))
    }
    await Promise.all(Array.from({ length: openedAtOnce }, bringing))
    for (const uid of this.#broken.keys()) if (!wanted.has(uid)) this.#broken.delete(uid)
    this.#brokerHosts = new Set(brokerHosts)
    const brokers = channels.filter(({ kind }) => kind === 'Broker')
    this.#brokers = new Map(brokers.map((each) => [`${each.namespace}/${each.name}`, each.uid]))
    this.#hosts = new Map(
      channels.flatMap(({ hosts = [], places = [], uid }) =>
        [...hosts, ...places].map((host) => [host, uid] as const),
      ),
    )
    return problems
  }

  /** Has a channel as it is wanted; answers what is in the way of it or of its subscriptions, by uid. */
  async #bring(each: ChannelConfig): Promise<Readonly<Record<string, string>>> {
    const { uid, namespace, name } = each
    try {
      const channel = await this.#open(each)
      channel.guarded(each.gate, this.#options.guards)
      await channel.update(each)
      this.#broken.delete(uid)
      return Object.fromEntries(
        channel.dispatchers.flatMap(({ config, problem }) =>
          problem === undefined ? [] : [[config.uid, problem] as const],
        ),
      )
    } catch (error) {
      const reason = error instanceof Error ? error.message : 'unknown'
      const problem = `the log of ${namespace}/${name} can not be used: ${reason}`
      this.#broken.set(uid, brokenInlet(each, new Error(problem, { cause: error })))
      this.#options.log.error('a log can not be used', { channel: `${namespace}/${name}`, error })
      return { [uid]: problem }
    }
  }

  async #open(each: ChannelConfig): Promise<Channel> {
    const { directory, clock, log, sender, journal, spans, segmentBytes } = this.#options
    let channel = this.#channels.get(each.uid)
    if (!channel) {
      const folder = join(directory, folderOf(each.uid))
      channel = await Channel.open(each, {
        directory: folder,
        disk: this.#disk,
        memory: this.#memory,
        clock,
        log,
        sender,
        journal,
        ...(spans && { spans }),
        isInlet: (url) => this.#isInlet(hostOfUrl(url)),
        ...(segmentBytes !== undefined && { segmentBytes }),
      })
      this.#channels.set(each.uid, channel)
    }
    return channel
  }

  /** Logs of Brokers and Channels that were deleted while this engine was not there. */
  async #forgetOthers(wanted: ReadonlySet<string>): Promise<void> {
    const folders = new Set([...wanted].map(folderOf))
    for (const name of await this.#disk.list(this.#options.directory).catch(() => []))
      if (!folders.has(name)) await this.#disk.remove(join(this.#options.directory, name))
  }

  #retainLater(): void {
    this.#cancelRetain = this.#options.clock.after(retainEveryMs, () => {
      const all = this.channels.map(({ events }) => events.retain())
      Promise.all(all)
        .catch((error: unknown) =>
          this.#options.log.error('old events could not be removed', { error }),
        )
        .finally(() => this.#draining || this.#retainLater())
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#draining = true
    this.#cancelRetain()
    await this.#applying.catch(() => {})
    await Promise.all(this.channels.map((each) => each[Symbol.asyncDispose]()))
  }
}

const brokenInlet = ({ kind }: ChannelConfig, problem: Error) => ({
  kind,
  problem,
  append: () => Promise.reject(problem),
})

/** Uids are UUIDs, unless somebody made up others. */
const folderOf = (uid: string): string => encodeURIComponent(uid).replaceAll('.', '%2E')
