/**
 * Senders that wait for each answer, a process of its own: `node load.ts JSON`. One program for HTTP and for NATS, so that
 * what the client costs is the same for both. Prints a Measured as JSON.
 */
import { connect, type Socket } from 'node:net'
import { percentile } from '../row.ts'
import { natsConnection } from './nats.ts'

export interface Load {
  readonly kind: 'http' | 'nats'
  readonly port: number
  readonly connections: number
  readonly seconds: number
  /** Of the data of one event. */
  readonly bytes: number
  /** Path of the Broker, subject of the stream. */
  readonly target: string
}

export interface Measured {
  readonly eventsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly failures: number
}

const load = JSON.parse(process.argv[2] ?? '{}') as Load
const latencies: number[] = []
let failures = 0
const data = Buffer.alloc(load.bytes, 'x')
const warmUpMs = 1000
const startMs = performance.now() + warmUpMs
const endMs = startMs + load.seconds * 1000

const note = (sentMs: number, ok: boolean): boolean => {
  const now = performance.now()
  if (!ok) failures++
  else if (sentMs >= startMs && now <= endMs) latencies.push(now - sentMs)
  return now < endMs
}

function http(): Promise<void> {
  const head = [
    `POST ${load.target} HTTP/1.1`,
    'Host: broker-ingress.knative-eventing.svc.cluster.local',
    'Content-Type: application/octet-stream',
    `Content-Length: ${data.length}`,
    'ce-specversion: 1.0',
    'ce-id: 3f2c7a51-58d4-4a02-9c11-d0c5a1c0b7ee',
    'ce-source: /bench/events',
    'ce-type: dev.bench.event',
  ].join('\r\n')
  const message = Buffer.concat([Buffer.from(`${head}\r\n\r\n`), data])
  return new Promise((resolve, reject) => {
    const socket: Socket = connect({ host: '127.0.0.1', port: load.port, noDelay: true })
    let sentMs = 0
    let text = ''
    const send = () => {
      sentMs = performance.now()
      socket.write(message)
    }
    socket.on('connect', send)
    socket.on('error', reject)
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      const end = text.indexOf('\r\n\r\n')
      if (end < 0) return
      const ok = text.startsWith('HTTP/1.1 202')
      text = ''
      if (note(sentMs, ok)) return send()
      socket.destroy()
      resolve()
    })
  })
}

async function nats(): Promise<void> {
  const connection = await natsConnection(load.port)
  for (;;) {
    const sentMs = performance.now()
    const answer = await connection.request(load.target, data)
    if (!note(sentMs, answer.includes('"seq"'))) break
  }
  connection.close()
}

await Promise.all(
  Array.from({ length: load.connections }, () => (load.kind === 'http' ? http() : nats())),
)
const measured: Measured = {
  eventsPerSecond: latencies.length / load.seconds,
  p50Ms: percentile(latencies, 50),
  p99Ms: percentile(latencies, 99),
  failures,
}
process.stdout.write(JSON.stringify(measured))
