/**
 * Events a second and how long they take: durable ingest over HTTP beside NATS JetStream and an HTTP server in front of it,
 * from sender to subscriber at a steady rate, to a hundred Triggers, a thousand Triggers at rest, and how soon an engine
 * with a million stored events is back. RabbitMQ is not measured: a publisher for AMQP would have to be written first.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, request as httpRequest } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { encodeStored } from '../../src/eventing/broker/stored-event.ts'
import type { EngineConfig, SubscriptionStats } from '../../src/eventing/broker/feed.ts'
import { openSegmentLog } from '../../src/eventing/log/segment-log.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { engineFlags } from '../../src/platform/events/event-engine-process.ts'
import { installed } from '../gateway/peers.ts'
import { percentile, type Row } from '../row.ts'
import type { Load, Measured } from './load.ts'
import { natsConnection } from './nats.ts'

export interface EventsOptions {
  readonly connections?: number
  readonly seconds?: number
  readonly triggers?: number
  readonly idleTriggers?: number
  readonly stored?: number
  /** Compare with others that are installed. */
  readonly peers?: boolean
}

const source = (name: string) => join(import.meta.dirname, name)
const main = join(import.meta.dirname, '..', '..', 'src', 'eventing', 'broker', 'main.ts')

export async function rows({
  connections = 64,
  seconds = 8,
  triggers = 100,
  idleTriggers = 1000,
  stored = 1_000_000,
  peers = true,
}: EventsOptions = {}): Promise<readonly Row[]> {
  const load = { connections, seconds, bytes: 1024 }
  const own = await ingest(load)
  const others = peers ? await jetStream(load) : []
  const name = `${connections} connections, 1 KB`
  return [
    { name: `ingest on disk, ${name}`, value: own.eventsPerSecond, unit: 'events/s' },
    { name: `ingest on disk, ${name}: p50`, value: own.p50Ms, unit: 'ms' },
    { name: `ingest on disk, ${name}: p99`, value: own.p99Ms, unit: 'ms', goal: '<= 10 ms' },
    ...others.flatMap(({ what, measured, goal }): Row[] => [
      { name: `${what}, ${name}`, value: measured.eventsPerSecond, unit: 'events/s' },
      { name: `${what}: p99`, value: measured.p99Ms, unit: 'ms' },
      {
        name: `ingest of Ebb / ${what}`,
        value: own.eventsPerSecond / measured.eventsPerSecond,
        unit: 'x',
        goal,
      },
    ]),
    ...(await delivered(Math.min(seconds, 5))),
    ...(await fannedOut(triggers, Math.min(seconds, 5))),
    ...(await atRest(idleTriggers, Math.min(seconds, 5))),
    ...(await recovered(stored)),
  ]
}

interface Engine extends AsyncDisposable {
  readonly port: number
  readonly pid: number
  ask(method: string, path: string, body?: unknown): Promise<unknown>
}

const broker = (
  subscriptions: EngineConfig['channels'][number]['subscriptions'],
): EngineConfig => ({
  brokerHosts: ['broker-ingress.knative-eventing.svc.cluster.local'],
  channels: [
    { uid: 'bench', kind: 'Broker', namespace: 'default', name: 'default', subscriptions },
  ],
})

async function startEngine(config: EngineConfig, directory?: string): Promise<Engine> {
  const folder = directory ?? (await mkdtemp(join(tmpdir(), 'ebb-bench-events-')))
  const socketPath = join(folder, 'socket')
  const child = spawn(
    process.execPath,
    [...engineFlags, main, '--socket', socketPath, '--directory', join(folder, 'events')],
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
      child.kill('SIGKILL')
      await new Promise((resolve) => child.once('exit', resolve))
      if (directory === undefined) await rm(folder, { recursive: true, force: true })
    },
  }
}

function said(child: ChildProcess, stream: NodeJS.ReadableStream, wanted: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    stream.on('data', (chunk: Buffer) => {
      text += chunk
      if (wanted.test(text)) resolve(text)
    })
    child.once('exit', () => reject(new Error(`it ended: ${text}`)))
  })
}

function measure(load: Load): Promise<Measured> {
  const child = spawn(process.execPath, [source('load.ts'), JSON.stringify(load)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  return new Promise((resolve, reject) => {
    let text = ''
    child.stdout.on('data', (chunk: Buffer) => (text += chunk))
    child.once('close', () => {
      const measured = text === '' ? undefined : (JSON.parse(text) as Measured)
      if (!measured || measured.failures > 0) reject(new Error(`load: ${text}`))
      else resolve(measured)
    })
  })
}

async function ingest(load: Omit<Load, 'kind' | 'port' | 'target'>): Promise<Measured> {
  await using engine = await startEngine(broker([]))
  return await measure({ ...load, kind: 'http', port: engine.port, target: '/default/default' })
}

interface Peer {
  readonly what: string
  readonly measured: Measured
  readonly goal: string
}

async function jetStream(load: Omit<Load, 'kind' | 'port' | 'target'>): Promise<readonly Peer[]> {
  if (!installed('nats-server')) return []
  const directory = await mkdtemp(join(tmpdir(), 'ebb-bench-nats-'))
  const port = await freePort()
  const server = spawn(
    'nats-server',
    ['-js', '-sd', directory, '-a', '127.0.0.1', '-p', String(port)],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  try {
    await said(server, server.stderr, /Server is ready/)
    const admin = await natsConnection(port)
    const stream = { name: 'EVENTS', subjects: ['events'], storage: 'file' }
    await admin.request('$JS.API.STREAM.CREATE.EVENTS', Buffer.from(JSON.stringify(stream)))
    admin.close()
    const direct = await measure({ ...load, kind: 'nats', port, target: 'events' })
    const ingress = spawn(process.execPath, [source('nats-ingress.ts'), String(port)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const httpPort = Number(await said(ingress, ingress.stdout, /\d+\n/))
    const through = await measure({ ...load, kind: 'http', port: httpPort, target: '/' })
    ingress.kill('SIGKILL')
    return [
      { what: 'NATS JetStream (file, not synced)', measured: direct, goal: '>= 1.2 x' },
      { what: 'HTTP server before JetStream', measured: through, goal: '>= 3 x' },
    ]
  } finally {
    server.kill('SIGKILL')
    await rm(directory, { recursive: true, force: true, maxRetries: 5 })
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
}

/** Answers 202 and tells of each event's id. */
async function subscriber(taken: (id: string) => void) {
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

const trigger = (name: string, url: string, type = 'dev.bench.event') => ({
  uid: name,
  kind: 'Trigger' as const,
  namespace: 'default',
  name,
  filter: { filters: [{ exact: { type } }] },
  subscriber: { url },
  reply: 'channel' as const,
  delivery: { retry: 3 },
})

/** Sends without waiting for answers, on a connection of its own. */
async function sender(port: number) {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true })
  socket.resume()
  await new Promise((resolve) => socket.once('connect', resolve))
  const data = 'x'.repeat(1024)
  return {
    send: (id: string) =>
      socket.write(
        `POST /default/default HTTP/1.1\r\nHost: broker-ingress.knative-eventing.svc.cluster.local\r\n` +
          `Content-Length: ${data.length}\r\nce-specversion: 1.0\r\nce-id: ${id}\r\nce-source: /bench\r\n` +
          `ce-type: dev.bench.event\r\n\r\n${data}`,
      ),
    [Symbol.dispose]: () => void socket.destroy(),
  }
}

async function delivered(seconds: number): Promise<readonly Row[]> {
  const sentMs = new Map<string, number>()
  const latencies: number[] = []
  using sink = await subscriber((id) => latencies.push(performance.now() - (sentMs.get(id) ?? 0)))
  await using engine = await startEngine(broker([trigger('t', sink.url)]))
  using senders = await sender(engine.port)
  const rate = 1000
  const total = seconds * rate
  const start = performance.now()
  for (let n = 0; n < total;) {
    const due = Math.min(total, Math.floor(((performance.now() - start) / 1000) * rate))
    for (; n < due; n++) {
      sentMs.set(String(n), performance.now())
      senders.send(String(n))
    }
    await sleep(1)
  }
  while (latencies.length < total) await sleep(10)
  const settled = latencies.slice(rate)
  return [
    { name: '1,000 events/s to a subscriber: p50', value: percentile(settled, 50), unit: 'ms' },
    { name: '1,000 events/s to a subscriber: p99', value: percentile(settled, 99), unit: 'ms' },
  ]
}

async function fannedOut(triggers: number, seconds: number): Promise<readonly Row[]> {
  let taken = 0
  using sink = await subscriber(() => taken++)
  const all = Array.from({ length: triggers }, (_, i) => trigger(`t${i}`, sink.url))
  await using engine = await startEngine(broker(all))
  using senders = await sender(engine.port)
  const start = performance.now()
  let sent = 0
  while (performance.now() - start < seconds * 1000) {
    if (sent * triggers - taken < 20 * triggers) senders.send(String(sent++))
    else await sleep(1)
  }
  while (taken < sent * triggers) await sleep(5)
  const perSecond = taken / ((performance.now() - start) / 1000)
  return [{ name: `to ${triggers} Triggers: deliveries`, value: perSecond, unit: '1/s' }]
}

async function atRest(triggers: number, seconds: number): Promise<readonly Row[]> {
  const all = Array.from({ length: triggers }, (_, i) =>
    trigger(`t${i}`, 'http://127.0.0.1:9/', `type${i}`),
  )
  await using engine = await startEngine(broker(all))
  await sleep(1000)
  const before = usage(engine.pid)
  await sleep(seconds * 1000)
  const { cpuMs, residentMb } = usage(engine.pid)
  return [
    { name: `${triggers} Triggers at rest: memory`, value: residentMb, unit: 'MB' },
    {
      name: `${triggers} Triggers at rest: CPU`,
      value: (cpuMs - before.cpuMs) / seconds / 10,
      unit: '%',
    },
  ]
}

function usage(pid: number): { readonly cpuMs: number; readonly residentMb: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const kib = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1])
  return { cpuMs: (Number(stat[11]) + Number(stat[12])) * 10, residentMb: kib / 1024 }
}

async function recovered(stored: number): Promise<readonly Row[]> {
  const directory = await mkdtemp(join(tmpdir(), 'ebb-bench-recovery-'))
  try {
    const events = join(directory, 'events', 'channels', 'bench', 'events')
    const log = await openSegmentLog({ directory: events, clock: systemClock })
    const attributes = { specversion: '1.0', source: '/bench', type: 'dev.bench.event' }
    for (let n = 0; n < stored;) {
      const group: Promise<number>[] = []
      for (; n < stored && group.length < 10_000; n++)
        group.push(
          log.append(
            encodeStored({
              event: { attributes: { ...attributes, id: String(n) }, data: Buffer.alloc(200) },
              passed: [],
            }),
          ),
        )
      await Promise.all(group)
    }
    await log[Symbol.asyncDispose]()
    const start = performance.now()
    await using engine = await startEngine(broker([trigger('t', 'http://127.0.0.1:9/')]), directory)
    const tookMs = performance.now() - start
    const stats = (await engine.ask('GET', '/stats')) as readonly SubscriptionStats[]
    if (stats.length !== 1) throw new Error('the Trigger is not there')
    return [
      {
        name: `restart with ${stored.toLocaleString('en')} stored events`,
        value: tookMs,
        unit: 'ms',
      },
    ]
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}
