/** The engine that is killed: a process as the platform starts it, on files that outlive it, and what is said to it. */
import { spawn, type ChildProcess } from 'node:child_process'
import { appendFile, readdir } from 'node:fs/promises'
import { request, type Agent } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { SubscriptionStats } from '../../src/eventing/broker/feed.ts'
import type { Random } from '../../src/lib/random.ts'
import { engineFlags } from '../../src/platform/events/event-engine-process.ts'
import { dataOf } from './subscribers.ts'

/** Host of the Channel; the Broker is at `/default/b` of any other. */
export const channelHost = 'c-kn-channel.default.svc.cluster.local'

/** A write that the machine did not finish: some bytes behind the last whole record, of which nobody was told. */
export async function tear(directory: string, random: Random): Promise<void> {
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
export const segmentBytes = 64 << 10

export interface Engine {
  readonly process: ChildProcess
  readonly socketPath: string
  /** Of its ingress. */
  readonly port: number
  /** Of requests to it. */
  readonly agent: Agent
}

/** Where an engine runs: its program, and the folder of its files, which stay when it is killed. */
export interface EnginePlace {
  readonly entry: string
  readonly directory: string
  readonly agent: Agent
}

/** Resolves when it listens. Throws what it said when it ended instead. */
export async function startEngine({ entry, directory, agent }: EnginePlace): Promise<Engine> {
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
  const engine = { process: child, socketPath, port: 0, agent }
  const { port } = (await ask(engine, 'GET', '/')) as { port: number }
  return { ...engine, port }
}

/** Events that are still to be delivered, to everybody. */
export async function backlog(engine: Engine): Promise<number> {
  const stats = (await ask(engine, 'GET', '/stats')) as readonly SubscriptionStats[]
  return stats.reduce((sum, each) => sum + each.backlog, 0)
}

/** Those that stayed with the engine: whether each has its reason, by Trigger and event. */
export async function deadLetters(
  engine: Engine,
  channel: string,
): Promise<ReadonlyMap<string, boolean>> {
  const text = await asked(engine, 'GET', `/channels/${channel}/dead-letters`)
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

/** Says something to its back door; answers the parsed JSON. Rejects when it refuses, or dies meanwhile. */
export const ask = async (
  engine: Engine,
  method: string,
  path: string,
  body?: unknown,
): Promise<unknown> => JSON.parse(await asked(engine, method, path, body)) as unknown

function asked(
  { socketPath, agent }: Engine,
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

export interface Sending {
  readonly id: string
  readonly size: number
  /** Of its order. */
  readonly key: string
  readonly to: 'broker' | 'channel'
}

/** The answer's status; undefined = none came. */
export function post(
  { port, agent }: Engine,
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
