/**
 * How an event lies in a segment: length, CRC-32 of what follows, sequence, time, payload; numbers big endian. The CRC
 * covers sequence and time too, so that a stale record in a reused block is not taken for a new one.
 */
import { crc32 } from 'node:zlib'
import type { LoggedEvent } from './event-log.ts'

export const headBytes = 24
/** Payloads are at most this long: a length beyond it is damage, not a large event. */
export const maxPayloadBytes = 64 << 20

/** Writes the record of an event at `at`, `headBytes` longer than its payload; answers where it ends. */
export function writeRecord(
  bytes: Buffer,
  at: number,
  sequence: number,
  timeMs: number,
  payload: Uint8Array,
): number {
  const end = at + headBytes + payload.length
  bytes.writeUInt32BE(payload.length, at)
  writeWhole(bytes, sequence, at + 8)
  writeWhole(bytes, timeMs, at + 16)
  bytes.set(payload, at + headBytes)
  bytes.writeUInt32BE(crc32(bytes.subarray(at + 8, end)), at + 4)
  return end
}

/** So many events may be missing where a disk was damaged. */
const maxGap = 2 ** 31

export type Parsed =
  /** The record ends at `end`. */
  | { readonly event: LoggedEvent; readonly end: number }
  /** There may be a record, but the bytes end before it does. At least `needed` bytes from `at` on are wanted. */
  | { readonly needed: number }
  | 'damaged'

/**
 * The record at `at`, of sequence `expected` or later. Its payload is a view of `bytes`. What can't be a record is told
 * by its head alone, so that damage is passed over byte by byte without reading far.
 */
export function parseRecord(bytes: Buffer, at: number, expected: number): Parsed {
  if (bytes.length - at < headBytes) return { needed: headBytes }
  const length = bytes.readUInt32BE(at)
  if (length > maxPayloadBytes) return 'damaged'
  const sequence = readWhole(bytes, at + 8)
  if (sequence < expected || sequence - expected > maxGap) return 'damaged'
  const end = at + headBytes + length
  if (end > bytes.length) return { needed: headBytes + length }
  if (crc32(bytes.subarray(at + 8, end)) !== bytes.readUInt32BE(at + 4)) return 'damaged'
  const event = {
    sequence,
    timeMs: readWhole(bytes, at + 16),
    payload: bytes.subarray(at + headBytes, end),
  }
  return { event, end }
}

/** Whole numbers below 2^53 in 8 bytes. */
function writeWhole(buffer: Buffer, value: number, at: number): void {
  buffer.writeUInt32BE(Math.floor(value / 2 ** 32), at)
  buffer.writeUInt32BE(value % 2 ** 32, at + 4)
}

const readWhole = (buffer: Buffer, at: number): number =>
  buffer.readUInt32BE(at) * 2 ** 32 + buffer.readUInt32BE(at + 4)
