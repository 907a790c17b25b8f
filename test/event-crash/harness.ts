/**
 * Kills the event engine with -9 at random points while events come in and its subscribers misbehave, and counts: every
 * event that was acknowledged, and every answer of a subscriber, has been taken by each subscriber that wants it, as it was
 * sent and in the order that was asked for, or is a dead letter in the end, with the reason. What happens is drawn from a
 * seed; when it happens is up to the machine. Files of the log are small, so that kills meet their change too; now and
 * then what a torn write leaves is put behind the last one, the engine is stopped for a while, and its configuration is
 * changed: Triggers come and go, and more or less is kept.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, mkdtemp, readdir, rm } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import type { EngineConfig, SubscriptionStats } from '../../src/eventing/broker/feed.ts'
import { strippedEntry } from '../../src/kube/kubelet/process/stripped-entry.ts'
import type { Random } from '../../src/lib/random.ts'
import { engineFlags } from '../../src/platform/events/event-engine-process.ts'
import { answerTo, dataOf, subscribers } from './subscribers.ts'

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
const channelHost = 'c-kn-channel.default.svc.cluster.local'
/** Triggers that come and stay, at most. */
const mostLater = 3
/** An engine that takes nothing for so long is killed all the same. */
const firstMs = 5000
/** An engine that has nothing left to do has no backlog; one that can't get there in this time has a bug. */
const drainMs = 60_000

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
  const entry = strippedEntry(main, programs, programs)
  const agent = new Agent({ keepAlive: true })
  using world = await subscribers(random)
  /** Triggers that came meanwhile and stay, with the number of events sent before each held. */
  const later = new Map<string, number>()
  let passing = 0
  const retentions = [1, 4, 1000].map((files) => ({ maxBytes: files * segmentBytes }))
  let retention = retentions[1]
  const configFor = (
    { port }: { readonly port: number },
    more: readonly string[],
  ): EngineConfig => ({
    brokerHosts: ['127.0.0.1'],
    channels: [
      {
        uid: 'crash',
        kind: 'Broker',
        namespace: 'default',
        name: 'b',
        ...(retention && { retention }),
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
  })
  /** All or nothing of it holds: an engine that dies meanwhile is told again by the next. */
  const configure = async (running: Running, more: readonly string[] = []): Promise<void> => {
    await ask(running, agent, 'PUT', '/config', configFor(running, [...later.keys(), ...more]))
    changes++
    for (const [name, after] of later) if (after === Infinity) later.set(name, sent)
  }
  /** Of the Broker and of the Channel: how many were sent before. */
  const acknowledged = new Map<string, number>()
  const throughChannel = new Set<string>()
  const refused = new Set<string>()
  let sent = 0
  let torn = 0
  let changes = 0
  let stops = 0
  const begin = async () => {
    const running = await start(entry, directory, agent)
    await configure(running)
    return running
  }
  let engine = await begin()
  try {
    for (let kill = 0; kill < kills; kill++) {
      const stop = new AbortController()
      const before = acknowledged.size
      const senders = Array.from({ length: clients }, async (_, client) => {
        while (!stop.signal.aborted) {
          const number = ++sent
          const id = `e${number}`
          const size = Math.floor(random.next() * 3000)
          // A key of one sender, who waits for each answer: its events have an order.
          const to = random.next() < 0.3 ? 'channel' : 'broker'
          const status = await post(engine, agent, { id, size, key: `k${client}`, to })
          if (status === 202 && to === 'broker') acknowledged.set(id, number)
          else if (status === 202) throughChannel.add(id)
          else if (status !== undefined) refused.add(`${id} ${status}`)
        }
      })
      // Some die while they start, most at work, however slow the machine is.
      const deadline = performance.now() + firstMs
      if (random.next() > 0.2)
        while (acknowledged.size === before && performance.now() < deadline) await sleep(2)
      await sleep(random.next() * 100)
      if (random.next() < 0.4) {
        retention = retentions[Math.floor(random.next() * retentions.length)]
        if (later.size < mostLater && random.next() < 0.3) later.set(`later-${kill}`, Infinity)
        const some = random.next() < 0.5 ? [`passing-${passing++}`] : []
        const changing = configure(engine, some).catch(() => {})
        if (random.next() < 0.5) await changing
      }
      if (random.next() < 0.1) {
        stops++
        engine.process.kill('SIGSTOP')
        // Longer than an attempt may take, sometimes.
        await sleep(random.next() * 800)
        engine.process.kill('SIGCONT')
      }
      await sleep(random.next() * 40)
      const ended = once(engine.process, 'exit')
      engine.process.kill('SIGKILL')
      stop.abort()
      await Promise.all([...senders, ended])
      await world.forgetEngine()
      if (random.next() < 0.3) {
        await tear(directory, random)
        torn++
      }
      engine = await begin()
      progress(kill + 1, acknowledged.size + throughChannel.size)
    }
    world.behave()
    const deadline = performance.now() + drainMs
    while ((await backlog(engine, agent)) > 0 && performance.now() < deadline) await sleep(20)
    const parked = new Map([
      ...(await deadLetters(engine, agent, 'crash')),
      ...(await deadLetters(engine, agent, 'crash-channel')),
    ])
    const { taken, buried, answered } = world
    const isDone = (key: string) => taken.has(key) || buried.has(key) || parked.has(key)
    const lost = [
      ...[...acknowledged].flatMap(([id, number]) => [
        `plain ${id}`,
        `ordered ${id}`,
        ...[...later].flatMap(([name, after]) => (number > after ? [`${name} ${id}`] : [])),
      ]),
      ...[...throughChannel].map((id) => `sub ${id}`),
      // An answer that can't be brought on is told of with the event it answers.
      ...[...answered]
        .filter((key) => !buried.has(key) && !parked.has(key))
        .map((key) => `replies ${answerTo(key.split(' ')[1] ?? '')}`),
    ].filter((key) => !isDone(key))
    return {
      kills,
      torn,
      changes,
      stops,
      sent,
      acknowledged: acknowledged.size + throughChannel.size,
      answers: answered.size,
      delivered: taken.size,
      deadLettered: buried.size + parked.size,
      duplicates: [...taken.values()].reduce((sum, times) => sum + times - 1, 0),
      lost,
      unexplained: [
        ...world.unexplained,
        ...[...parked].filter(([, hasReason]) => !hasReason).map(([key]) => key),
      ],
      disordered: [...world.disordered],
      altered: [...world.altered],
      refused: [...refused],
    }
  } finally {
    engine.process.kill('SIGKILL')
    agent.destroy()
    await rm(directory, { recursive: true, force: true, maxRetries: 5 })
    await rm(programs, { recursive: true, force: true })
  }
}

/** A write that the machine did not finish: some bytes behind the last whole record, of which nobody was told. */
async function tear(directory: string, random: Random): Promise<void> {
  const folder = join(directory, 'events', 'channels', 'crash', 'events')
  const newest = (await readdir(folder))
    .filter((name) => name.endsWith('.log'))
    .toSorted()
    .at(-1)
  if (newest === undefined) return
  const bytes = Buffer.alloc(1 + Math.floor(random.next() * 200), Math.floor(random.next() * 256))
  await appendFile(join(folder, newest), bytes)
}

/** Of one file of the log: a few dozen events. */
const segmentBytes = 64 << 10

interface Running {
  readonly process: ChildProcess
  readonly socketPath: string
  readonly port: number
}

async function start(entry: string, directory: string, agent: Agent): Promise<Running> {
  const socketPath = join(directory, 'socket')
  const child = spawn(
    process.execPath,
    [
      ...engineFlags,
      entry,
      `--socket=${socketPath}`,
      `--directory=${join(directory, 'events')}`,
      `--segment-bytes=${segmentBytes}`,
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => (said += chunk))
  while (!said.includes('listens')) {
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`the engine ended with ${child.signalCode ?? child.exitCode}: ${said}`)
    await sleep(5)
  }
  const running = { process: child, socketPath, port: 0 }
  const { port } = (await ask(running, agent, 'GET', '/')) as { port: number }
  return { ...running, port }
}

async function backlog(engine: Running, agent: Agent): Promise<number> {
  const stats = (await ask(engine, agent, 'GET', '/stats')) as readonly SubscriptionStats[]
  return stats.reduce((sum, each) => sum + each.backlog, 0)
}

/** Those that stayed with the engine: whether each has its reason, by Trigger and event. */
async function deadLetters(
  engine: Running,
  agent: Agent,
  channel: string,
): Promise<ReadonlyMap<string, boolean>> {
  const text = await asked(engine, agent, 'GET', `/channels/${channel}/dead-letters`)
  const lines = text.split('\n').filter((line) => line !== '')
  return new Map(
    lines.map((line) => {
      const { subscription, event, reason } = JSON.parse(line) as {
        readonly subscription: string
        readonly event: { readonly id: string }
        readonly reason: Readonly<Record<string, string>>
      }
      return [`${subscription} ${event.id}`, reason['knativeerrordest'] !== undefined]
    }),
  )
}

const ask = async (
  engine: Running,
  agent: Agent,
  method: string,
  path: string,
  body?: unknown,
): Promise<unknown> => JSON.parse(await asked(engine, agent, method, path, body)) as unknown

function asked(
  { socketPath }: Running,
  agent: Agent,
  method: string,
  path: string,
  body?: unknown,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const sending = request({ socketPath, method, path, agent }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
      // It died in the middle.
      response.on('error', reject)
      response.on('end', () =>
        response.statusCode === 200 ? resolve(text) : reject(new Error(`${path}: ${text}`)),
      )
    })
    sending.on('error', reject)
    sending.end(body === undefined ? undefined : JSON.stringify(body))
  })
}

interface Sending {
  readonly id: string
  readonly size: number
  /** Of its order. */
  readonly key: string
  readonly to: 'broker' | 'channel'
}

/** The answer's status; undefined = none came. */
function post(
  { port }: Running,
  agent: Agent,
  { id, size, key, to }: Sending,
): Promise<number | undefined> {
  return new Promise((resolve) => {
    const sending = request(
      {
        host: '127.0.0.1',
        port,
        agent,
        method: 'POST',
        path: to === 'broker' ? '/default/b' : '/',
        headers: {
          ...(to === 'channel' && { host: channelHost }),
          'ce-specversion': '1.0',
          'ce-id': id,
          'ce-source': '/crash',
          'ce-type': 'test',
          'ce-partitionkey': key,
          'content-type': 'text/plain',
        },
      },
      (response) => {
        response.resume()
        response.on('end', () => resolve(response.statusCode))
        response.on('error', () => resolve(undefined))
      },
    )
    sending.on('error', () => resolve(undefined))
    sending.end(dataOf(id, size))
  })
}
