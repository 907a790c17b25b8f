/** What the benches of events run: an event engine as the platform starts it, told by hand, and a subscriber. */
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { EngineConfig, SubscriptionConfig } from '../../src/eventing/broker/feed.ts'
import { strippedEntry } from '../../src/kube/kubelet/process/stripped-entry.ts'
import { engineFlags } from '../../src/platform/events/event-engine-process.ts'

export interface Engine extends AsyncDisposable {
  readonly port: number
  readonly pid: number
  /** Says something to its back door; answers the parsed JSON. */
  ask(method: string, path: string, body?: unknown): Promise<unknown>
}

/** Host name of Brokers; the one there is lies at `brokerPath`. */
export const brokerHost = 'broker-ingress.knative-eventing.svc.cluster.local'
export const brokerPath = '/default/default'
export const eventType = 'dev.bench.event'

export const broker = (subscriptions: readonly SubscriptionConfig[]): EngineConfig => ({
  brokerHosts: [brokerHost],
  channels: [
    { uid: 'bench', kind: 'Broker', namespace: 'default', name: 'default', subscriptions },
  ],
})

/** A Trigger that wants events of one type. */
export const trigger = (name: string, url: string, type = eventType): SubscriptionConfig => ({
  uid: name,
  kind: 'Trigger',
  namespace: 'default',
  name,
  filter: { filters: [{ exact: { type } }] },
  subscriber: { url },
  reply: 'channel',
  delivery: { retry: 3 },
})

const main = pathToFileURL(
  join(import.meta.dirname, '..', '..', 'src', 'eventing', 'broker', 'main.ts'),
)

/** Starts an engine; one given no `directory` leaves nothing behind. */
export async function startEngine(config: EngineConfig, directory?: string): Promise<Engine> {
  const folder = directory ?? (await mkdtemp(join(tmpdir(), 'ebb-bench-events-')))
  const socketPath = join(folder, 'socket')
  const entry = strippedEntry(main, folder)
  const child = spawn(
    process.execPath,
    [...engineFlags, entry, '--socket', socketPath, '--directory', join(folder, 'events')],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  await said(child, child.stderr, /listens/)
  const ask = (method: string, path: string, body?: unknown): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const sending = httpRequest({ socketPath, method, path }, (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
        response.on('end', () => resolve(JSON.parse(text)))
      })
      sending.on('error', reject)
      sending.end(body === undefined ? undefined : JSON.stringify(body))
    })
  await ask('PUT', '/config', config)
  const { port } = (await ask('GET', '/')) as { readonly port: number }
  return {
    port,
    pid: child.pid ?? 0,
    ask,
    async [Symbol.asyncDispose]() {
      await ended(child)
      if (directory === undefined) await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Everything that a child wrote to `stream` by the time that it wrote `wanted`; rejects when it ends before. */
export function said(
  child: ChildProcess,
  stream: NodeJS.ReadableStream,
  wanted: RegExp,
): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    const hear = (chunk: Buffer) => {
      text += chunk
      if (!wanted.test(text)) return
      stream.off('data', hear).resume()
      resolve(text)
    }
    stream.on('data', hear)
    child.once('error', reject)
    child.once('exit', () => reject(new Error(`it ended: ${text}`)))
  })
}

/** Kills a child and waits until it is gone. */
export async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await gone
}

/** Answers 202 and tells of each event's id. */
export async function subscriber(
  taken: (id: string) => void,
): Promise<Disposable & { readonly url: string }> {
  const server = createServer((request, response) => {
    request.resume()
    request.on('end', () => {
      taken(String(request.headers['ce-id']))
      response.writeHead(202).end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    [Symbol.dispose]() {
      server.closeAllConnections()
      server.close()
    },
  }
}
