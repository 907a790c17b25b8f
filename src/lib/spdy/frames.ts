/** Frames of SPDY/3.1 as bytes (draft-mbelshe-httpbis-spdy-00, 2.2): what is written, and the numbers in what is read. */

export const headBytes = 8

export const frameType = {
  synStream: 1,
  synReply: 2,
  rstStream: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  headers: 8,
  windowUpdate: 9,
} as const

export const resetStatus = {
  protocolError: 1,
  invalidStream: 2,
  refusedStream: 3,
  cancel: 5,
} as const

export const finFlag = 1

/** The first eight bytes of a frame. */
export type FrameHead =
  | {
      readonly kind: 'data'
      readonly streamId: number
      readonly fin: boolean
      readonly size: number
    }
  | {
      readonly kind: 'control'
      readonly version: number
      readonly type: number
      readonly fin: boolean
      readonly size: number
    }

export function readHead(bytes: Buffer): FrameHead {
  const first = bytes.readUInt32BE(0)
  const fin = ((bytes[4] ?? 0) & finFlag) !== 0
  const size = bytes.readUIntBE(5, 3)
  return first >= 0x8000_0000
    ? { kind: 'control', version: (first >>> 16) & 0x7fff, type: first & 0xffff, fin, size }
    : { kind: 'data', streamId: first, fin, size }
}

export function dataHead(streamId: number, size: number, fin: boolean): Buffer {
  const head = Buffer.allocUnsafe(headBytes)
  head.writeUInt32BE(streamId, 0)
  head[4] = fin ? finFlag : 0
  head.writeUIntBE(size, 5, 3)
  return head
}

function control(type: number, flags: number, ...parts: readonly Buffer[]): Buffer {
  const head = Buffer.allocUnsafe(headBytes)
  head.writeUInt16BE(0x8003, 0)
  head.writeUInt16BE(type, 2)
  head[4] = flags
  head.writeUIntBE(
    parts.reduce((size, part) => size + part.length, 0),
    5,
    3,
  )
  return Buffer.concat([head, ...parts])
}

function numbers(...values: readonly number[]): Buffer {
  const bytes = Buffer.allocUnsafe(values.length * 4)
  for (const [i, value] of values.entries()) bytes.writeUInt32BE(value, i * 4)
  return bytes
}

/** `block` is a compressed header block. Priority 0, no associated stream. */
export const synStream = (streamId: number, block: Buffer, fin = false): Buffer =>
  control(frameType.synStream, fin ? finFlag : 0, numbers(streamId, 0), Buffer.from([0, 0]), block)

export const synReply = (streamId: number, block: Buffer): Buffer =>
  control(frameType.synReply, 0, numbers(streamId), block)

export const rstStream = (streamId: number, status: number): Buffer =>
  control(frameType.rstStream, 0, numbers(streamId, status))

export const ping = (id: number): Buffer => control(frameType.ping, 0, numbers(id))

export const goAway = (lastStreamId: number): Buffer =>
  control(frameType.goAway, 0, numbers(lastStreamId, 0))
