import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { createServer as createHttp2 } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { silent } from '../../../lib/log.ts'
import { SimClock } from '../../../testing/sim-clock.ts'
import { SpanExporter, type TracingSettings } from '../../../lib/otlp/span-exporter.ts'
import { resourceOf, spansOf, type TracedRequest } from './span.ts'

const traced: TracedRequest = {
  trace: {
    traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
    parentId: '00f067aa0ba902b7',
    sampled: true,
  },
  proxySpanId: 'aaaaaaaaaaaaaaaa',
  method: 'GET',
  path: '/hello',
  query: 'a=b',
  host: 'hello.default.example.com',
  scheme: 'http',
  version: '1.1',
  userAgent: 'curl/8',
  clientAddress: '192.0.2.1',
  status: 200,
  cold: true,
  arrivedMs: 1_700_000_000_000,
  grantedMs: 1_700_000_000_012.5,
  endedMs: 1_700_000_000_020,
  podAddress: '10.0.0.7',
  podPort: 8080,
}
const resource = resourceOf({
  namespace: 'default',
  service: 'hello',
  configuration: 'hello',
  revision: 'hello-00001',
  pod: 'hello-00001-deployment-x',
})

function exporter(settings: TracingSettings, write: (line: string) => void = () => {}) {
  return new SpanExporter({ settings, clock: new SimClock(), log: silent, write })
}

/** Fields of a message: number to values (numbers, or bytes). */
function fields(bytes: Buffer): Map<number, (bigint | Buffer)[]> {
  const found = new Map<number, (bigint | Buffer)[]>()
  let at = 0
  const varint = (): bigint => {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++]!
      value |= BigInt(byte & 127) << shift
      if (byte < 128) return value
    }
  }
  while (at < bytes.length) {
    const tag = Number(varint())
    const wire = tag & 7
    let value: bigint | Buffer
    if (wire === 0) value = varint()
    else if (wire === 1) value = bytes.readBigUInt64LE((at += 8) - 8)
    else if (wire === 5) value = BigInt(bytes.readUInt32LE((at += 4) - 4))
    else {
      const length = Number(varint())
      value = bytes.subarray(at, (at += length))
    }
    const list = found.get(tag >> 3)
    if (list) list.push(value)
    else found.set(tag >> 3, [value])
  }
  return found
}

function spansIn(body: Buffer) {
  const resourceSpans = fields(fields(body).get(1)![0] as Buffer)
  const scopeSpans = fields(resourceSpans.get(2)![0] as Buffer)
  return scopeSpans.get(2)!.map((span) => {
    const of = fields(span as Buffer)
    return {
      traceId: (of.get(1)![0] as Buffer).toString('hex'),
      spanId: (of.get(2)![0] as Buffer).toString('hex'),
      parentId: ((of.get(4)?.[0] as Buffer | undefined) ?? Buffer.alloc(0)).toString('hex'),
      name: (of.get(5)![0] as Buffer).toString(),
      kind: Number(of.get(6)![0]),
      start: of.get(7)![0],
      end: of.get(8)![0],
    }
  })
}

function assertSpans(body: Buffer): void {
  const spans = spansIn(body)
  const [server, wait, proxy] = spans
  assert.deepEqual(
    spans.map(({ name, kind }) => [name, kind]),
    [
      ['GET', 2],
      ['throttler_try', 1],
      ['activator_proxy', 3],
    ],
  )
  assert.equal(server?.traceId, traced.trace.traceId)
  assert.equal(server?.parentId, traced.trace.parentId)
  assert.equal(wait?.parentId, server?.spanId)
  assert.equal(proxy?.parentId, server?.spanId)
  assert.equal(proxy?.spanId, traced.proxySpanId)
  assert.equal(wait?.end, 1_700_000_000_012_500_000n)
  assert.equal(server?.end, 1_700_000_000_020_000_000n)
}

test('spans reach an OTLP collector over HTTP', async () => {
  let seen: { path: string; type: string; body: Buffer } | undefined
  const server = createServer((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      seen = {
        path: request.url ?? '',
        type: request.headers['content-type'] ?? '',
        body: Buffer.concat(parts),
      }
      response.end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await using sender = exporter({
    protocol: 'http/protobuf',
    endpoint: `http://127.0.0.1:${port}/v1/traces`,
    samplingRate: 1,
  })
  sender.add(resource, spansOf(traced))
  await sender.flush()
  assert.equal(seen?.path, '/v1/traces')
  assert.equal(seen?.type, 'application/x-protobuf')
  assertSpans(seen!.body)
  server.closeAllConnections()
  server.close()
})

test('spans reach an OTLP collector over gRPC', async () => {
  const bodies: Buffer[] = []
  const server = createHttp2()
  server.on('stream', (stream, headers) => {
    assert.equal(headers[':path'], '/opentelemetry.proto.collector.trace.v1.TraceService/Export')
    const parts: Buffer[] = []
    stream.on('data', (part: Buffer) => parts.push(part))
    stream.on('end', () => {
      bodies.push(Buffer.concat(parts))
      stream.respond({ 'content-type': 'application/grpc' }, { waitForTrailers: true })
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
      stream.end(Buffer.alloc(5))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await using sender = exporter({
    protocol: 'grpc',
    endpoint: `127.0.0.1:${port}`,
    samplingRate: 1,
  })
  sender.add(resource, spansOf(traced))
  await sender.flush()
  const [body] = bodies
  assert.equal(body?.readUInt32BE(1), body!.length - 5)
  assertSpans(body!.subarray(5))
  server.close()
})

test('stdout gets a line a span', () => {
  const lines: string[] = []
  const sender = exporter({ protocol: 'stdout', endpoint: '', samplingRate: 1 }, (line) =>
    lines.push(line),
  )
  sender.add(resource, spansOf({ ...traced, grantedMs: undefined, cold: false, status: 503 }))
  const spans = lines.map(
    (line) => (JSON.parse(line) as { span: { name: string; error?: string } }).span,
  )
  assert.deepEqual(
    spans.map(({ name, error }) => [name, error]),
    [
      ['GET', '503'],
      ['kn.queueproxy.wait', undefined],
    ],
  )
})

test('a collector that is gone costs a bounded number of spans', async () => {
  await using sender = exporter({
    protocol: 'http/protobuf',
    endpoint: 'http://127.0.0.1:1/v1/traces',
    samplingRate: 1,
  })
  for (let i = 0; i < 10_000; i++) sender.add(resource, spansOf(traced))
  await sender.flush()
})
