/**
 * Spans as OTLP says them: the protobuf message ExportTraceServiceRequest (opentelemetry-proto, trace/v1 and
 * collector/trace/v1), for HTTP and gRPC alike, and the same content as a JSON line for people.
 */
import { ProtobufWriter } from '../protobuf-writer.ts'
import type { Span, SpanResource } from './span.ts'

/** Spans of one resource. */
export interface SpanBatch {
  readonly resource: SpanResource
  readonly spans: readonly Span[]
}

const kinds = { internal: 1, server: 2, client: 3, producer: 4, consumer: 5 } as const
const statusError = 2

export function exportRequest(batches: readonly SpanBatch[]): Buffer {
  const request = new ProtobufWriter()
  for (const { resource, spans } of batches)
    request.message(1, (resourceSpans) => {
      resourceSpans.message(1, (into) => attributes(into, 1, resource.attributes))
      resourceSpans.message(2, (scopeSpans) => {
        scopeSpans.message(1, (scope) => scope.string(1, resource.scope))
        for (const span of spans) scopeSpans.message(2, (into) => writeSpan(into, span))
      })
    })
  return request.finish()
}

/** One span a line. */
export const spanLine = (resource: SpanResource, span: Span): string =>
  `${JSON.stringify({ span: { ...span, resource: resource.attributes } })}\n`

function writeSpan(into: ProtobufWriter, span: Span): void {
  into
    .bytes(1, Buffer.from(span.traceId, 'hex'))
    .bytes(2, Buffer.from(span.spanId, 'hex'))
    .bytes(4, Buffer.from(span.parentId, 'hex'))
    .string(5, span.name)
    .varint(6, kinds[span.kind])
    .fixed64(7, nanoseconds(span.startMs))
    .fixed64(8, nanoseconds(span.endMs))
  attributes(into, 9, span.attributes)
  const { error } = span
  if (error !== undefined)
    into.message(15, (status) => status.string(2, error).varint(3, statusError))
  // W3C flags: sampled, and that it is known whether the parent is remote.
  into.fixed32(16, span.kind === 'server' && span.parentId !== '' ? 0x301 : 0x101)
}

function attributes(
  into: ProtobufWriter,
  field: number,
  values: Readonly<Record<string, string | number | boolean>>,
): void {
  for (const [key, value] of Object.entries(values))
    into.message(field, (pair) =>
      pair.string(1, key).message(2, (any) => {
        if (typeof value === 'string') any.string(1, value)
        else if (typeof value === 'boolean') any.varint(2, value ? 1 : 0)
        else if (Number.isInteger(value)) any.varint(3, value)
        else any.double(4, value)
      }),
    )
}

/** Milliseconds to nanoseconds; a double holds them to about 0.2 µs. */
const nanoseconds = (ms: number): bigint =>
  BigInt(Math.floor(ms)) * 1_000_000n + BigInt(Math.round((ms % 1) * 1e6))
