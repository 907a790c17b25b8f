/**
 * DNS messages (RFC 1035 section 4) as far as a server for names of a cluster needs them: one question in, addresses out.
 * Whatever is not asked as nearly everybody asks is left to the server upstream, bytes as they came.
 */
export const recordTypes = { a: 1, soa: 6, aaaa: 28, any: 255 } as const
export const responseCodes = { ok: 0, formatError: 1, serverFailure: 2, noSuchName: 3 } as const

export interface Question {
  readonly id: number
  /** Lower case, without the last dot. */
  readonly name: string
  readonly type: number
  /** Bytes of the question, as answers repeat it. */
  readonly bytes: Uint8Array
  readonly recursionDesired: boolean
}

const headerBytes = 12
const longestName = 255

/** Undefined for what is no plain query of one question of class IN. */
export function parseQuestion(message: Buffer): Question | undefined {
  if (message.length < headerBytes + 5) return undefined
  const flags = message.readUInt16BE(2)
  // A response, or another operation than a query.
  if ((flags & 0xf800) !== 0 || message.readUInt16BE(4) !== 1) return undefined
  const labels: string[] = []
  let at = headerBytes
  for (;;) {
    const length = message[at]
    if (length === undefined || length > 63) return undefined // cut off, or a pointer
    at++
    if (length === 0) break
    if (at + length > message.length || at - headerBytes > longestName) return undefined
    labels.push(message.toString('latin1', at, at + length).toLowerCase())
    at += length
  }
  if (at + 4 > message.length || message.readUInt16BE(at + 2) !== 1) return undefined
  return {
    id: message.readUInt16BE(0),
    name: labels.join('.'),
    type: message.readUInt16BE(at),
    bytes: message.subarray(headerBytes, at + 4),
    recursionDesired: (flags & 0x100) !== 0,
  }
}

export interface Answer {
  readonly code: number
  /** IPv4 addresses. */
  readonly addresses?: readonly string[]
  readonly ttlSeconds: number
}

/** The response to a question; names without addresses carry when to ask again (RFC 2308). */
export function response(
  { id, bytes, recursionDesired }: Question,
  { code, addresses = [], ttlSeconds }: Answer,
): Buffer {
  const header = Buffer.alloc(headerBytes)
  header.writeUInt16BE(id, 0)
  // A response, authoritative; recursion is available, and was desired or not.
  header.writeUInt16BE(0x8480 | (recursionDesired ? 0x100 : 0) | code, 2)
  header.writeUInt16BE(1, 4)
  header.writeUInt16BE(addresses.length, 6)
  header.writeUInt16BE(addresses.length === 0 ? 1 : 0, 8)
  const records = addresses.map((address) =>
    record(recordTypes.a, ttlSeconds, Buffer.from(address.split('.').map(Number))),
  )
  if (addresses.length === 0) {
    const numbers = Buffer.alloc(20)
    for (const [i, value] of [1, 7200, 1800, 86_400, ttlSeconds].entries())
      numbers.writeUInt32BE(value, i * 4)
    // The zone's server and its keeper, both by the name that was asked for.
    records.push(
      record(recordTypes.soa, ttlSeconds, Buffer.concat([toQuestion, toQuestion, numbers])),
    )
  }
  return Buffer.concat([header, bytes, ...records])
}

/** A pointer to the question's name. */
const toQuestion = Buffer.from([0xc0, headerBytes])

function record(type: number, ttlSeconds: number, data: Buffer): Buffer {
  const fields = Buffer.alloc(10)
  fields.writeUInt16BE(type, 0)
  fields.writeUInt16BE(1, 2)
  fields.writeUInt32BE(ttlSeconds, 4)
  fields.writeUInt16BE(data.length, 8)
  return Buffer.concat([toQuestion, fields, data])
}
