import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { createServer as createHttp2 } from 'node:http2'
import type { AddressInfo, Server } from 'node:net'
import { test } from 'node:test'
import { SimClock } from '../../testing/sim-clock.ts'
import { silent, type Log } from '../log.ts'
import { SpanExporter, type TracingSettings } from './span-exporter.ts'
import type { Span } from './span.ts'

const span: Span = {
  traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
  spanId: '00f067aa0ba902b7',
  parentId: '',
  name: 'POST',
  kind: 'client',
  startMs: 1,
  endMs: 2,
  attributes: {},
}
const resource = { scope: 'ebb/test', attributes: { 'service.name': 'x' } }

async function port(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

/** What is told of spans that were sent there. */
async function complaints(settings: Pick<TracingSettings, 'protocol' | 'endpoint'>) {
  const told: unknown[] = []
  const log: Log = { ...silent, error: (_text, fields) => void told.push(fields?.['dropped']) }
  const exporter = new SpanExporter({
    settings: { ...settings, samplingRate: 1 },
    clock: new SimClock(),
    log,
    write: () => {},
  })
  exporter.add(resource, [span, span])
  await exporter.flush()
  return told
}

test('spans that a collector does not take are counted', async () => {
  const server = createServer((_request, response) => response.writeHead(500).end())
  const endpoint = `http://127.0.0.1:${await port(server)}/v1/traces`
  assert.deepEqual(await complaints({ protocol: 'http/protobuf', endpoint }), [2])
  server.close()
})

test('a collector that gives up a call without a status does not keep the others waiting', async () => {
  const server = createHttp2()
  server.on('stream', (stream) => stream.close())
  const endpoint = `127.0.0.1:${await port(server)}`
  assert.deepEqual(await complaints({ protocol: 'grpc', endpoint }), [2])
  server.close()
})
