/**
 * Answers of the gateway itself to gRPC calls: a response of trailers only with the gRPC status that the HTTP status
 * stands for, so that a gRPC client hears UNAVAILABLE instead of something it cannot read. The mapping is
 * gRPC's own (doc/http-grpc-status-mapping.md), as Envoy uses it, but for timeouts: those are DEADLINE_EXCEEDED.
 */
import type { RequestHead } from '../../../lib/http1/head.ts'
import { FieldList, type Answer } from './outgoing-head.ts'

/** True for `application/grpc` with any codec; not for gRPC-Web, which is plain HTTP. */
export function isGrpc({ names, values }: RequestHead): boolean {
  for (let i = 0; i < names.length; i++) {
    const name = names[i]!
    if (name.length !== 12 || name.toLowerCase() !== 'content-type') continue
    return grpcType.test(values[i]!)
  }
  return false
}

const grpcType = /^application\/grpc(?:[+;]|$)/i

const codes: Readonly<Record<number, number>> = {
  400: 13, // INTERNAL
  401: 16, // UNAUTHENTICATED
  403: 7, // PERMISSION_DENIED
  404: 12, // UNIMPLEMENTED
  408: 4, // DEADLINE_EXCEEDED
  429: 14, // UNAVAILABLE
  502: 14,
  503: 14,
  504: 4,
}

/** The gRPC status of an HTTP status. */
export const grpcStatus = (status: number): number => codes[status] ?? 2 // UNKNOWN

/** The fields of the answer; its HTTP status is 200. */
export function grpcAnswer({ status, body, lines = '' }: Answer): FieldList {
  const list = new FieldList()
  list.field('content-type', 'application/grpc')
  list.field('grpc-status', String(grpcStatus(status)))
  list.field('grpc-message', percentEncoded(body.trimEnd()))
  addLines(list, lines)
  return list
}

/** An answer's own header lines as fields. */
export function addLines(list: FieldList, lines: string): void {
  for (const line of lines.split('\r\n')) {
    const colon = line.indexOf(':')
    if (colon > 0) list.field(line.slice(0, colon), line.slice(colon + 1).trim())
  }
}

/** As gRPC wants messages in a header: UTF-8, percent-encoded beyond visible ASCII. */
const percentEncoded = (text: string): string => {
  let encoded = ''
  for (const byte of Buffer.from(text, 'utf8'))
    encoded +=
      byte < 32 || byte > 126 || byte === 37
        ? `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
        : String.fromCharCode(byte)
  return encoded
}
