/**
 * Kills the event engine with -9 at random points while events come in and its subscribers misbehave, and counts: every
 * event that was acknowledged, and every answer of a subscriber, has been taken by each subscriber that wants it, as it was
 * sent and in the order that was asked for, or is a dead letter in the end, with the reason. What happens is drawn from a
 * seed; when it happens is up to the machine. Files of the log are small, so that kills meet their change too; now and
 * then what a torn write leaves is put behind the last one, the engine is stopped for a while, and its configuration is
 * changed: Triggers come and go, and more or less is kept.
 */
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { Agent } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import type { EngineConfig } from '../../src/eventing/broker/feed.ts'
import { strippedEntry } from '../../src/kube/kubelet/process/stripped-entry.ts'
import type { Random } from '../../src/lib/random.ts'
import {
  ask,
  backlog,
  channelHost,
  deadLetters,
  post,
  segmentBytes,
  startEngine,
  tear,
  type Engine,
  type EnginePlace,
} from './engine.ts'
import { answerTo, subscribers, type Subscribers } from './subscribers.ts'

export interface Tally {
  readonly kills: number
  readonly sent: number
  readonly acknowledged: number
  /** Events that subscribers answered with, whose answer counted. */
  readonly answers: number
  /** To all Triggers. */
  readonly delivered: number
  readonly deadLettered: number
  /** Deliveries beyond the first of an event to a Trigger. */
  readonly duplicates: number
  /** Starts that found bytes of no event at the end of the log. */
  readonly torn: number
  /** Changes of the configuration that held, and times that the engine stood still for a while. */
  readonly changes: number
  readonly stops: number
  /** These must be empty. Neither delivered nor a dead letter, by Trigger and event. */
  readonly lost: readonly string[]
  /** Dead letters without a reason. */
  readonly unexplained: readonly string[]
  /** Sent after a later event of its key, where order was asked for. */
  readonly disordered: readonly string[]
  /** Came with other data than it was sent with. */
  readonly altered: readonly string[]
  /** Not taken in, by an engine that was well, and what it said. */
  readonly refused: readonly string[]
}

/** What must be empty. */
export const faultsOf = ({ lost, unexplained, disordered, altered, refused }: Tally) => ({
  lost,
  unexplained,
  disordered,
  altered,
  refused,
})

const root = join(import.meta.dirname, '..', '..')
const main = pathToFileURL(join(root, 'src', 'eventing', 'broker', 'main.ts'))
const clients = 8
/** Triggers that come and stay, at most. */
const mostLater = 3
/** An engine that takes nothing for so long is killed all the same. */
const firstMs = 5000
/** An engine that has nothing left to do has no backlog; one that can't get there in this time has a bug. */
const drainMs = 60_000
/** What is kept of settled events, from little to all. */
const retentions = [1, 4, 1000].map((files) => ({ maxBytes: files * segmentBytes }))

export async function crashEvents({
  kills,
  random,
  progress = () => {},
}: {
  readonly kills: number
  readonly random: Random
  /** Called after each kill, when the engine is back. */
  readonly progress?: (kills: number, acknowledged: number) => void
}): Promise<Tally> {
  const directory = await mkdtemp(join(tmpdir(), 'ebb-event-crash-'))
  // A copy without types starts in a fraction of the time, as the platform starts it too, and stays as it is however long
  // this runs. It lies beside the installed packages, which it finds there.
  const programs = await mkdtemp(join(root, 'node_modules', '.event-crash-'))
  const agent = new Agent({ keepAlive: true })
  try {
    const entry = strippedEntry(main, programs, programs)
    using world = await subscribers(random)
    using story = new Story(random, world, { entry, directory, agent })
    await story.begin()
    for (let kill = 0; kill < kills; kill++) {
      await story.live()
      progress(kill + 1, story.acknowledged)
    }
    return { kills, ...(await story.end()) }
  } finally {
    agent.destroy()
    await rm(directory, { recursive: true, force: true, maxRetries: 5 })
    await rm(programs, { recursive: true, force: true })
  }
}

/** What happens to the engine, and what is remembered of it. */
class Story implements Disposable {
  readonly #random: Random
  readonly #world: Subscribers
  readonly #place: EnginePlace
  #running: Engine | undefined
  /** Triggers that came meanwhile and stay, with the number of events sent before each held. */
  readonly #later = new Map<string, number>()
  #passing = 0
  #retention = retentions[1]
  #sent = 0
  /** By the Broker: the number of each event; and by the Channel. */
  readonly #byBroker = new Map<string, number>()
  readonly #byChannel = new Set<string>()
  readonly #refused = new Set<string>()
  #torn = 0
  #changes = 0
  #stops = 0

  constructor(random: Random, world: Subscribers, place: EnginePlace) {
    this.#random = random
    this.#world = world
    this.#place = place
  }

  get acknowledged(): number {
    return this.#byBroker.size + this.#byChannel.size
  }

  get #engine(): Engine {
    if (!this.#running) throw new Error('there is no engine yet: begin() starts it')
    return this.#running
  }

  #chance(share: number): boolean {
    return this.#random.next() < share
  }

  /** Starts an engine and tells it what holds. */
  async begin(): Promise<void> {
    this.#running = await startEngine(this.#place)
    await this.#configure()
  }

  /** All or nothing of it holds: an engine that dies meanwhile is told again by the next. */
  async #configure(passing: readonly string[] = []): Promise<void> {
    const engine = this.#engine
    const config = this.#configFor(engine, [...this.#later.keys(), ...passing])
    await ask(engine, 'PUT', '/config', config)
    this.#changes++
    for (const [name, after] of this.#later)
      if (after === Infinity) this.#later.set(name, this.#sent)
  }

  #configFor({ port }: Engine, more: readonly string[]): EngineConfig {
    const world = this.#world
    return {
      brokerHosts: ['127.0.0.1'],
      channels: [
        {
          uid: 'crash',
          kind: 'Broker',
          namespace: 'default',
          name: 'b',
          ...(this.#retention && { retention: this.#retention }),
          subscriptions: [...world.triggers, ...more.map((name) => world.more(name))],
        },
        {
          uid: 'crash-channel',
          kind: 'Channel',
          namespace: 'default',
          name: 'c',
          hosts: [channelHost],
          subscriptions: world.subscriptions(`http://127.0.0.1:${port}/default/b`),
        },
      ],
    }
  }

  /** From now until the engine is killed, and the next one is there. */
  async live(): Promise<void> {
    const stop = new AbortController()
    const senders = Array.from({ length: clients }, (_, client) => this.#send(client, stop.signal))
    await this.#untilAtWork()
    await sleep(this.#random.next() * 100)
    if (this.#chance(0.4)) await this.#change()
    if (this.#chance(0.1)) await this.#standStill()
    await sleep(this.#random.next() * 40)
    const { process } = this.#engine
    const ended = once(process, 'exit')
    process.kill('SIGKILL')
    stop.abort()
    await Promise.all([...senders, ended])
    await this.#world.forgetEngine()
    if (this.#chance(0.3)) {
      await tear(this.#place.directory, this.#random)
      this.#torn++
    }
    await this.begin()
  }

  /** One after another; a key of one sender, who waits for each answer, has its events in order. */
  async #send(client: number, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const number = ++this.#sent
      const id = `e${number}`
      const size = Math.floor(this.#random.next() * 3000)
      const to = this.#chance(0.3) ? 'channel' : 'broker'
      const status = await post(this.#engine, { id, size, key: `k${client}`, to })
      if (status === 202 && to === 'broker') this.#byBroker.set(id, number)
      else if (status === 202) this.#byChannel.add(id)
      else if (status !== undefined) this.#refused.add(`${id} ${status}`)
    }
  }

  /** Some die while they start, most at work, however slow the machine is. */
  async #untilAtWork(): Promise<void> {
    const before = this.#byBroker.size
    const deadline = performance.now() + firstMs
    if (this.#chance(0.2)) return
    while (this.#byBroker.size === before && performance.now() < deadline) await sleep(2)
  }

  /** More or less is kept, and Triggers come and go; the engine may die before it has heard of it. */
  async #change(): Promise<void> {
    this.#retention = retentions[Math.floor(this.#random.next() * retentions.length)]
    if (this.#later.size < mostLater && this.#chance(0.3))
      this.#later.set(`later-${this.#later.size}`, Infinity)
    const some = this.#chance(0.5) ? [`passing-${this.#passing++}`] : []
    const changing = this.#configure(some).catch(() => {})
    if (this.#chance(0.5)) await changing
  }

  /** Longer than an attempt may take, sometimes. */
  async #standStill(): Promise<void> {
    this.#stops++
    const { process } = this.#engine
    process.kill('SIGSTOP')
    await sleep(this.#random.next() * 800)
    process.kill('SIGCONT')
  }

  /** Everybody is well, and takes the rest. */
  async end(): Promise<Omit<Tally, 'kills'>> {
    this.#world.behave()
    const deadline = performance.now() + drainMs
    while ((await backlog(this.#engine)) > 0 && performance.now() < deadline) await sleep(20)
    const parked = new Map([
      ...(await deadLetters(this.#engine, 'crash')),
      ...(await deadLetters(this.#engine, 'crash-channel')),
    ])
    const { taken, buried, answered, unexplained, disordered, altered } = this.#world
    const isDone = (key: string) => taken.has(key) || buried.has(key) || parked.has(key)
    return {
      torn: this.#torn,
      changes: this.#changes,
      stops: this.#stops,
      sent: this.#sent,
      acknowledged: this.acknowledged,
      answers: answered.size,
      delivered: taken.size,
      deadLettered: buried.size + parked.size,
      duplicates: [...taken.values()].reduce((sum, times) => sum + times - 1, 0),
      lost: this.#wanted(parked).filter((key) => !isDone(key)),
      unexplained: [
        ...unexplained,
        ...[...parked].filter(([, hasReason]) => !hasReason).map(([key]) => key),
      ],
      disordered: [...disordered],
      altered: [...altered],
      refused: [...this.#refused],
    }
  }

  /** Who must have got what, by subscriber and event. */
  #wanted(parked: ReadonlyMap<string, boolean>): readonly string[] {
    const { buried, answered } = this.#world
    const ofBroker = [...this.#byBroker].flatMap(([id, number]) => [
      `plain ${id}`,
      `ordered ${id}`,
      ...[...this.#later].flatMap(([name, after]) => (number > after ? [`${name} ${id}`] : [])),
    ])
    // An answer that can't be brought on is told of with the event it answers.
    const answers = [...answered]
      .filter((key) => !buried.has(key) && !parked.has(key))
      .map((key) => `replies ${answerTo(key.split(' ')[1] ?? '')}`)
    return [...ofBroker, ...[...this.#byChannel].map((id) => `sub ${id}`), ...answers]
  }

  [Symbol.dispose](): void {
    this.#running?.process.kill('SIGKILL')
  }
}
