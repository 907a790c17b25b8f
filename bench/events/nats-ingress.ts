/**
 * What one would write without a Broker: an HTTP server that publishes each event to JetStream by NATS' own client, with
 * its attributes as headers (CloudEvents' NATS binding), and answers when JetStream has acknowledged it. `node
 * nats-ingress.ts NATS-PORT` prints its port; `DELETE` empties the stream.
 */
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect, headers } from '@nats-io/transport-node'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'

const connection = await connect({ servers: `127.0.0.1:${process.argv[2]}` })
const stream = jetstream(connection)
const manager = await jetstreamManager(connection)

function publish({ headers: given }: IncomingMessage, data: Buffer): Promise<unknown> {
  const attributes = headers()
  for (const [name, value] of Object.entries(given))
    if (typeof value === 'string' && (name.startsWith('ce-') || name === 'content-type'))
      attributes.set(name, value)
  return stream.publish('events', data, { headers: attributes })
}

const server = createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const done =
      request.method === 'DELETE'
        ? manager.streams.purge('EVENTS')
        : publish(request, Buffer.concat(chunks))
    done.then(
      () => response.writeHead(202).end(),
      () => response.writeHead(500).end(),
    )
  })
})
server.listen(0, '127.0.0.1', () =>
  process.stdout.write(`${(server.address() as AddressInfo).port}\n`),
)
