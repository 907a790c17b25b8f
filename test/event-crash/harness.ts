/**
 * Kills the event engine with -9 at random points while events come in and its subscribers misbehave, and counts: every
 * event that was acknowledged has been taken by its subscriber or by the dead-letter sink in the end. What happens is
 * drawn from a seed; when it happens is up to the machine. Files of the log are small, so that kills meet their change too;
 * now and then what a torn write leaves is put behind the last one.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { appendFile, mkdtemp, readdir, rm } from 'node:fs/promises'
import { Agent, createServer, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import type { EngineConfig, SubscriptionStats } from '../../src/eventing/broker/feed.ts'
import { strippedEntry } from '../../src/kube/kubelet/process/stripped-entry.ts'
import type { Random } from '../../src/lib/random.ts'
import { engineFlags } from '../../src/platform/events/event-engine-process.ts'

export interface Tally {
  readonly kills: number
  readonly sent: number
  readonly acknowledged: number
  readonly delivered: number
  readonly deadLettered: number
  /** Deliveries beyond the first of an event. */
  readonly duplicates: number
  /** Starts that found bytes of no event at the end of the log. */
  readonly torn: number
  /** Acknowledged, and neither delivered nor a dead letter. Must be empty. */
  readonly lost: readonly string[]
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
  const taken = new Map<string, number>()
  const buried = new Set<string>()
  let wellBehaved = false
  const subscriber = await listen((id, answer) => {
    const mood = wellBehaved ? 1 : random.next()
    if (mood < 0.05) return answer(500)
    if (mood < 0.08) return answer(400) // final: on to the dead-letter sink
    if (mood < 0.1) return answer('hang up')
    taken.set(id, (taken.get(id) ?? 0) + 1)
    return answer(mood < 0.15 ? 'hang up' : 200)
  })
  const sink = await listen((id, answer) => {
    if (!wellBehaved && random.next() < 0.2) return answer(503)
    buried.add(id)
    return answer(202)
  })
  const backoff = { policy: 'exponential', delayMs: 5 } as const
  const config: EngineConfig = {
    brokerHosts: ['127.0.0.1'],
    channels: [
      {
        uid: 'crash',
        kind: 'Broker',
        namespace: 'default',
        name: 'b',
        retention: { maxBytes: 4 * segmentBytes },
        subscriptions: [
          {
            uid: 'trigger',
            kind: 'Trigger',
            namespace: 'default',
            name: 't',
            subscriber: { url: urlOf(subscriber) },
            deadLetter: { url: urlOf(sink) },
            reply: 'channel',
            delivery: { retry: 8, backoff, timeoutMs: 2000 },
          },
        ],
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
    wellBehaved = true
    const deadline = performance.now() + drainMs
    while ((await backlog(engine, agent)) > 0 && performance.now() < deadline) await sleep(20)
    const parked = await deadLetters(engine, agent)
    const lost = [...acknowledged].filter(
      (id) => !taken.has(id) && !buried.has(id) && !parked.has(id),
    )
    return {
      kills,
      torn,
      sent,
      acknowledged: acknowledged.size,
      delivered: taken.size,
      deadLettered: buried.size + parked.size,
      duplicates: [...taken.values()].reduce((sum, times) => sum + times - 1, 0),
      lost,
    }
  } finally {
    engine.process.kill('SIGKILL')
    for (const server of [subscriber, sink]) {
      server.closeAllConnections()
      server.close()
    }
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
    if (child.exitCode !== null) throw new Error(`the engine ended: ${said}`)
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

async function deadLetters(engine: Running, agent: Agent): Promise<ReadonlySet<string>> {
  const text = await asked(engine, agent, 'GET', '/channels/crash/dead-letters')
  const lines = text.split('\n').filter((line) => line !== '')
  return new Set(lines.map((line) => (JSON.parse(line) as { event: { id: string } }).event.id))
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

function listen(
  handle: (id: string, answer: (status: number | 'hang up') => void) => void,
): Promise<Server> {
  const server = createServer((incoming, response) => {
    incoming.resume()
    incoming.on('end', () =>
      handle(String(incoming.headers['ce-id']), (status) => {
        if (status === 'hang up') incoming.socket.destroy()
        else response.writeHead(status).end()
      }),
    )
  })
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)))
}

const urlOf = (server: Server): string =>
  `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
