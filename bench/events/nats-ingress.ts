/** What one would write without a Broker: an HTTP server that publishes each event to JetStream. `node nats-ingress.ts NATS-PORT` prints its port. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { natsConnection } from './nats.ts'

const connection = await natsConnection(Number(process.argv[2]))
const server = createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    connection.request('events', Buffer.concat(chunks)).then(
      (answer) => response.writeHead(answer.includes('"seq"') ? 202 : 500).end(),
      () => response.writeHead(500).end(),
    )
  })
})
server.listen(0, '127.0.0.1', () =>
  process.stdout.write(`${(server.address() as AddressInfo).port}\n`),
)
