/**
 * Publishes to NATS JetStream or RabbitMQ, a process of its own: `node publish.ts KIND PORT IN-FLIGHT`. For each line
 * with a number of seconds on its input it publishes for so long, so many at a time and each awaited, and prints a Look
 * as JSON; what it published is gone by then.
 */
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect as connectNats } from '@nats-io/transport-node'
import { connect as connectAmqp } from 'amqplib'
import { createInterface } from 'node:readline'
import { percentile } from '../row.ts'
import { dataBytes, type Look } from './look.ts'
import { natsConnection } from './nats.ts'

/** `minimal`: NATS by `nats.ts`, a connection for each publish in flight. */
export type PublisherKind = 'jetstream' | 'minimal' | 'rabbitmq'

interface Publisher {
  /** One for each in flight: publishes once and waits until it is acknowledged. */
  readonly publish: readonly (() => Promise<unknown>)[]
  purge(): Promise<unknown>
}

const data = Buffer.alloc(dataBytes, 'x')

const publishers: Readonly<Record<string, (port: number, inFlight: number) => Promise<Publisher>>> =
  {
    async jetstream(port, inFlight) {
      const connection = await connectNats({ servers: `127.0.0.1:${port}` })
      const stream = jetstream(connection)
      const manager = await jetstreamManager(connection)
      return {
        publish: Array.from({ length: inFlight }, () => () => stream.publish('events', data)),
        purge: () => manager.streams.purge('EVENTS'),
      }
    },
    async minimal(port, inFlight) {
      const connections = await Promise.all(
        Array.from({ length: inFlight }, () => natsConnection(port)),
      )
      return {
        publish: connections.map((connection) => async () => {
          const answer = await connection.request('events', data)
          if (!answer.includes('"seq"')) throw new Error(`NATS answered ${answer}`)
        }),
        purge: async () => connections[0]?.request('$JS.API.STREAM.PURGE.EVENTS', Buffer.alloc(0)),
      }
    },
    async rabbitmq(port, inFlight) {
      const connection = await connectAmqp(`amqp://guest:guest@127.0.0.1:${port}`, {
        noDelay: true,
      })
      const channel = await connection.createConfirmChannel()
      const queue = 'events'
      await channel.assertQueue(queue, {
        durable: true,
        arguments: { 'x-queue-type': 'quorum' },
      })
      const publish = () =>
        new Promise<void>((resolve, reject) => {
          channel.sendToQueue(queue, data, { persistent: true }, (error: unknown) =>
            error ? reject(new Error('RabbitMQ refused an event', { cause: error })) : resolve(),
          )
        })
      return {
        publish: Array.from({ length: inFlight }, () => publish),
        purge: () => channel.purgeQueue(queue),
      }
    },
  }

async function look({ publish }: Publisher, seconds: number): Promise<Look> {
  const latencies: number[] = []
  const startMs = performance.now()
  const endMs = startMs + seconds * 1000
  await Promise.all(
    publish.map(async (once) => {
      for (let sentMs = performance.now(); sentMs < endMs;) {
        await once()
        const nowMs = performance.now()
        latencies.push(nowMs - sentMs)
        sentMs = nowMs
      }
    }),
  )
  return {
    events: latencies.length,
    eventsPerSecond: (latencies.length / (performance.now() - startMs)) * 1000,
    p50Ms: percentile(latencies, 50),
    p99Ms: percentile(latencies, 99),
  }
}

const [kind = '', port, inFlight] = process.argv.slice(2)
const start = publishers[kind]
if (!start) throw new Error(`unknown kind ${kind}; there are ${Object.keys(publishers).join(', ')}`)
const publisher = await start(Number(port), Number(inFlight))
process.stdout.write('ready\n')
for await (const line of createInterface({ input: process.stdin })) {
  const seen = await look(publisher, Number(line))
  await publisher.purge()
  process.stdout.write(`${JSON.stringify(seen)}\n`)
}
process.exit(0)
