/**
 * Hot path, security-critical. Reads header blocks (RFC 7541). Strings that come again and again are found by their bytes in a small
 * cache, so that a block mostly costs look-ups. A whole block is always read, wanted or not: it changes the table for all
 * that follow.
 */
import { ErrorCode, Http2Error } from '../error.ts'
import { huffmanDecode } from './huffman.ts'
import { isValue, Kind, kindOfName } from './kinds.ts'
import { staticCount, staticTable, type TableEntry } from './static-table.ts'

/** Gets the fields of a block, in order. */
export interface FieldTarget {
  /** `kind`: see `kinds.ts`. */
  field(name: string, value: string, kind: number): void
}

const fieldOverhead = 32
/** Strings up to here are cached by their bytes. */
const cachedBytes = 64
const cacheSize = 512

interface Cached {
  readonly bytes: Buffer
  readonly huffman: boolean
  readonly text: string
}

/** Of all connections: what is common on one is common on others. Slots are overwritten by who comes later. */
const cache: (Cached | undefined)[] = Array.from({ length: cacheSize }, () => undefined)
let scratch = Buffer.allocUnsafe(4096)

const bad = (message: string): Http2Error =>
  new Http2Error(ErrorCode.compressionError, `HPACK: ${message}`)

export class HpackDecoder {
  readonly #maxTableBytes: number
  #tableLimit: number
  #tableBytes = 0
  /** A ring; `#newest` is the slot of the entry added last. */
  #ring: (TableEntry | undefined)[] = Array.from({ length: 16 }, () => undefined)
  #newest = 0
  #count = 0
  #at = 0

  /** `maxTableBytes`: our SETTINGS_HEADER_TABLE_SIZE. */
  constructor(maxTableBytes: number) {
    this.#maxTableBytes = maxTableBytes
    this.#tableLimit = maxTableBytes
  }

  /** Bytes that the dynamic table stands for. */
  get tableBytes(): number {
    return this.#tableBytes
  }

  /** Reads the block from `start` to `end`. Throws Http2Error (COMPRESSION_ERROR): the connection is lost then. */
  decode(bytes: Buffer, start: number, end: number, target: FieldTarget): void {
    this.#at = start
    let updates = 0
    let fields = 0
    while (this.#at < end) {
      const first = bytes[this.#at]!
      if (first >= 128) {
        const index = this.#integer(bytes, end, 127)
        const entry = this.#entry(index)
        target.field(entry.name, entry.value, entry.kind)
        fields++
      } else if (first >= 64) {
        const entry = this.#literal(bytes, end, this.#integer(bytes, end, 63))
        this.#add(entry)
        target.field(entry.name, entry.value, entry.kind)
        fields++
      } else if (first >= 32) {
        const size = this.#integer(bytes, end, 31)
        if (fields > 0 || ++updates > 2) throw bad('a table size update inside a header block')
        if (size > this.#maxTableBytes)
          throw bad(`a table size of ${size}, at most ${this.#maxTableBytes} is allowed`)
        this.#tableLimit = size
        this.#evict(0)
      } else {
        const entry = this.#literal(bytes, end, this.#integer(bytes, end, 15))
        target.field(entry.name, entry.value, entry.kind)
        fields++
      }
    }
  }

  #entry(index: number): TableEntry {
    if (index <= staticCount) {
      if (index === 0) throw bad('index 0')
      return staticTable[index]!
    }
    const age = index - staticCount - 1
    if (age >= this.#count) throw bad(`index ${index} is beyond the table`)
    return this.#ring[(this.#newest - age) & (this.#ring.length - 1)]!
  }

  #literal(bytes: Buffer, end: number, nameIndex: number): TableEntry {
    let name: string
    let kind: number
    if (nameIndex === 0) {
      name = this.#string(bytes, end)
      kind = kindOfName(name)
    } else {
      const entry = this.#entry(nameIndex)
      name = entry.name
      // An entry may be malformed by its value alone.
      kind = entry.kind === Kind.malformed ? kindOfName(name) : entry.kind
    }
    const value = this.#string(bytes, end)
    if (!isValue(value)) kind = Kind.malformed
    return { name, value, kind }
  }

  /** RFC 7541 5.1. What is beyond 2^28 has no use here. */
  #integer(bytes: Buffer, end: number, mask: number): number {
    if (this.#at >= end) throw bad('a header block is cut off')
    let value = bytes[this.#at++]! & mask
    if (value < mask) return value
    for (let shift = 0; ; shift += 7) {
      if (this.#at >= end) throw bad('a header block is cut off')
      const byte = bytes[this.#at++]!
      if (shift > 21) throw bad('an integer is too large')
      value += (byte & 127) << shift
      if (byte < 128) return value
    }
  }

  #string(bytes: Buffer, end: number): string {
    const huffman = this.#at < end && bytes[this.#at]! >= 128
    const length = this.#integer(bytes, end, 127)
    const start = this.#at
    const stop = start + length
    if (stop > end) throw bad('a string is longer than its header block')
    this.#at = stop
    if (length === 0) return ''
    if (length > cachedBytes)
      return huffman ? huffmanText(bytes, start, stop) : bytes.toString('latin1', start, stop)
    let hash = length
    for (let i = start; i < stop; i++) hash = (Math.imul(hash, 31) + bytes[i]!) | 0
    const slot = (hash ^ (hash >>> 15)) & (cacheSize - 1)
    const known = cache[slot]
    if (known !== undefined && known.huffman === huffman && same(known.bytes, bytes, start, length))
      return known.text
    const text = huffman ? huffmanText(bytes, start, stop) : bytes.toString('latin1', start, stop)
    cache[slot] = { bytes: Buffer.from(bytes.subarray(start, stop)), huffman, text }
    return text
  }

  #add(entry: TableEntry): void {
    const size = entry.name.length + entry.value.length + fieldOverhead
    this.#evict(size)
    if (size > this.#tableLimit) return
    if (this.#count === this.#ring.length) this.#grow()
    this.#newest = (this.#newest + 1) & (this.#ring.length - 1)
    this.#ring[this.#newest] = entry
    this.#count++
    this.#tableBytes += size
  }

  /** Drops the oldest until `room` more bytes fit (or nothing is left). */
  #evict(room: number): void {
    const mask = this.#ring.length - 1
    while (this.#count > 0 && this.#tableBytes + room > this.#tableLimit) {
      const slot = (this.#newest - this.#count + 1) & mask
      const oldest = this.#ring[slot]!
      this.#tableBytes -= oldest.name.length + oldest.value.length + fieldOverhead
      this.#ring[slot] = undefined
      this.#count--
    }
  }

  #grow(): void {
    const old = this.#ring
    const ring: (TableEntry | undefined)[] = Array.from({ length: old.length * 2 }, () => undefined)
    for (let age = 0; age < this.#count; age++)
      ring[this.#count - 1 - age] = old[(this.#newest - age) & (old.length - 1)]
    this.#ring = ring
    this.#newest = this.#count - 1
  }
}

function huffmanText(bytes: Buffer, start: number, end: number): string {
  const most = Math.ceil(((end - start) * 8) / 5)
  if (scratch.length < most) scratch = Buffer.allocUnsafe(most)
  return scratch.toString('latin1', 0, huffmanDecode(bytes, start, end, scratch))
}

function same(known: Buffer, bytes: Buffer, start: number, length: number): boolean {
  if (known.length !== length) return false
  for (let i = 0; i < length; i++) if (known[i] !== bytes[start + i]) return false
  return true
}
