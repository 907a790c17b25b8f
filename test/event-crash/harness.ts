/**
 * Kills the event engine with -9 at random points while events come in and its subscribers misbehave, and counts: every
 * event that was acknowledged, and every answer of a subscriber, has been taken by each subscriber that wants it or is a
 * dead letter in the end, with the reason. What happens is drawn from a seed; when it happens is up to the machine. Files
 * of the log are small, so that kills meet their change too; now and then what a torn write leaves is put behind the last
 * one.
 */
import { spawn, type ChildProcess } from 'node:child_process'
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
import { answerTo, subscribers } from './subscribers.ts'

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
  /** Neither delivered nor a dead letter, by Trigger and event. Must be empty. */
  readonly lost: readonly string[]
  /** Dead letters without a reason. Must be empty. */
  readonly unexplained: readonly string[]
}

const root = join(import.meta.dirname, '..', '..')
const main = pathToFileURL(join(root, 'src', 'eventing', 'broker', 'main.ts'))
const clients = 8
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
  const config: EngineConfig = {
    brokerHosts: ['127.0.0.1'],
    channels: [
      {
        uid: 'crash',
        kind: 'Broker',
        namespace: 'default',
        name: 'b',
        retention: { maxBytes: 4 * segmentBytes },
        subscriptions: world.subscriptions,
      },
    ],
  }
  const acknowledged = new Set<string>()
  let sent = 0
  let torn = 0
  let engine = await start(entry, directory, config, agent)
  try {
    for (let kill = 0; kill < kills; kill++) {
      const stop = new AbortController()
      const before = acknowledged.size
      const senders = Array.from({ length: clients }, async () => {
        while (!stop.signal.aborted) {
          const id = `e${++sent}`
          const size = Math.floor(random.next() * 3000)
          if ((await post(engine, agent, id, size)) === 202) acknowledged.add(id)
        }
      })
      // Some die while they start, most at work, however slow the machine is.
      const deadline = performance.now() + firstMs
      if (random.next() > 0.2)
        while (acknowledged.size === before && performance.now() < deadline) await sleep(2)
      await sleep(random.next() * 140)
      engine.process.kill('SIGKILL')
      stop.abort()
      await Promise.all(senders)
      if (random.next() < 0.3) {
        await tear(directory, random)
        torn++
      }
      engine = await start(entry, directory, config, agent)
      progress(kill + 1, acknowledged.size)
    }
    world.behave()
    const deadline = performance.now() + drainMs
    while ((await backlog(engine, agent)) > 0 && performance.now() < deadline) await sleep(20)
    const parked = await deadLetters(engine, agent)
    const { taken, buried, answered } = world
    const wanted = [
      ...[...acknowledged].flatMap((id) => [`plain ${id}`, `ordered ${id}`]),
      ...[...answered].map((id) => `replies ${answerTo(id)}`),
    ]
    return {
      kills,
      torn,
      sent,
      acknowledged: acknowledged.size,
      answers: answered.size,
      delivered: taken.size,
      deadLettered: buried.size + parked.size,
      duplicates: [...taken.values()].reduce((sum, times) => sum + times - 1, 0),
      lost: wanted.filter((key) => !taken.has(key) && !buried.has(key) && !parked.has(key)),
      unexplained: [
        ...world.unexplained,
        ...[...parked].filter(([, hasReason]) => !hasReason).map(([key]) => key),
      ],
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

async function start(
  entry: string,
  directory: string,
  config: EngineConfig,
  agent: Agent,
): Promise<Running> {
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
  await ask(running, agent, 'PUT', '/config', config)
  const { port } = (await ask(running, agent, 'GET', '/')) as { port: number }
  return { ...running, port }
}

async function backlog(engine: Running, agent: Agent): Promise<number> {
  const stats = (await ask(engine, agent, 'GET', '/stats')) as readonly SubscriptionStats[]
  return stats.reduce((sum, each) => sum + each.backlog, 0)
}

/** Those that stayed with the engine: whether each has its reason, by Trigger and event. */
async function deadLetters(engine: Running, agent: Agent): Promise<ReadonlyMap<string, boolean>> {
  const text = await asked(engine, agent, 'GET', '/channels/crash/dead-letters')
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

/** The answer's status; undefined = none came. */
function post(
  { port }: Running,
  agent: Agent,
  id: string,
  size: number,
): Promise<number | undefined> {
  return new Promise((resolve) => {
    const sending = request(
      {
        host: '127.0.0.1',
        port,
        agent,
        method: 'POST',
        path: '/default/b',
        headers: {
          'ce-specversion': '1.0',
          'ce-id': id,
          'ce-source': '/crash',
          'ce-type': 'test',
          'ce-partitionkey': `k${id.at(-1)}`,
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
    sending.end('x'.repeat(size))
  })
}
