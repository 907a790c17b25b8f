/**
 * Hot path. Writes header blocks (RFC 7541). What is likely to come again goes into the dynamic table, Huffman coded since it is sent
 * once; the rest goes as plain bytes, which costs the receiver and us least.
 */
import { valueByte } from '../../http1/fields.ts'
import { huffmanEncode, huffmanLength } from './huffman.ts'
import { Coding, fieldName, type FieldName } from './names.ts'
import { staticCount, staticTable } from './static-table.ts'

const fieldOverhead = 32
/** How many values of one name are looked through. */
const maxChain = 8
const mark = 63 // '?'

interface Sent {
  readonly name: FieldName
  readonly value: string
  readonly size: number
  /** Counts all that were ever added. */
  readonly serial: number
  /** The entry of the same name before it, while it is in the table. */
  older: Sent | undefined
  younger: Sent | undefined
}

export class HpackEncoder {
  readonly #mostBytes: number
  #tableLimit: number
  #tableBytes = 0
  #ring: (Sent | undefined)[] = Array.from({ length: 16 }, () => undefined)
  /** Serial of the next entry, and of the oldest that is still there. */
  #next = 0
  #oldest = 0
  readonly #newest = new Map<FieldName, Sent>()
  /** A table size update is due at the start of the next block; the smallest size there was meanwhile. */
  #smallest = -1

  /** `mostBytes`: how large our table may become, whatever the peer allows. */
  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes
    this.#tableLimit = Math.min(mostBytes, 4096)
  }

  get tableBytes(): number {
    return this.#tableBytes
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. */
  resize(peerBytes: number): void {
    const limit = Math.min(peerBytes, this.#mostBytes)
    if (limit === this.#tableLimit) return
    this.#smallest = this.#smallest < 0 ? limit : Math.min(this.#smallest, limit)
    this.#tableLimit = limit
    this.#evict(0)
  }

  /** Writes what must stand at the start of a block, at most 12 bytes; returns the index behind it. */
  begin(into: Buffer, at: number): number {
    if (this.#smallest < 0) return at
    if (this.#smallest < this.#tableLimit) at = integer(into, at, 32, 31, this.#smallest)
    this.#smallest = -1
    return integer(into, at, 32, 31, this.#tableLimit)
  }

  /** Writes `:status`. */
  status(status: number, into: Buffer, at: number): number {
    for (let i = 8; i <= 14; i++)
      if (staticStatus[i] === status) {
        into[at] = 128 | i
        return at + 1
      }
    return this.write(statusName, String(status), into, at)
  }

  /** Writes the field; at most `name + value + 12` bytes. Fields of an HTTP/1.1 hop are left out. */
  field(spelling: string, value: string, into: Buffer, at: number): number {
    const name = fieldName(spelling)
    return name.coding === Coding.omitted ? at : this.write(name, value, into, at)
  }

  /** As `field`, of a name known before. */
  write(name: FieldName, value: string, into: Buffer, at: number): number {
    const { staticIndex } = name
    if (name.coding !== Coding.indexed) {
      if (staticIndex > 0 && staticTable[staticIndex]!.value === value && value !== '') {
        into[at] = 128 | staticIndex
        return at + 1
      }
      at = integer(into, at, name.coding === Coding.never ? 16 : 0, 15, staticIndex)
      if (staticIndex === 0) at = plain(name.text, into, at)
      return plain(value, into, at)
    }
    let known = this.#newest.get(name)
    for (let i = 0; known !== undefined && i < maxChain; i++) {
      if (known.value === value)
        return integer(into, at, 128, 127, staticCount + this.#next - known.serial)
      known = known.older
    }
    for (let i = staticIndex; i > 0 && i <= staticCount; i++) {
      const entry = staticTable[i]!
      if (entry.name !== name.text) break
      if (entry.value === value && value !== '') {
        into[at] = 128 | i
        return at + 1
      }
    }
    const size = name.text.length + value.length + fieldOverhead
    // One large value would drive out all others.
    if (size > this.#tableLimit >>> 2) {
      at = integer(into, at, 0, 15, staticIndex)
      if (staticIndex === 0) at = plain(name.text, into, at)
      return plain(value, into, at)
    }
    at = integer(into, at, 64, 63, staticIndex)
    if (staticIndex === 0) at = short(name.text, into, at)
    at = short(value, into, at)
    this.#add(name, value, size)
    return at
  }

  #add(name: FieldName, value: string, size: number): void {
    this.#evict(size)
    if (this.#next - this.#oldest === this.#ring.length) this.#grow()
    const older = this.#newest.get(name)
    const sent: Sent = { name, value, size, serial: this.#next, older, younger: undefined }
    if (older !== undefined) older.younger = sent
    this.#ring[this.#next & (this.#ring.length - 1)] = sent
    this.#newest.set(name, sent)
    this.#next++
    this.#tableBytes += size
  }

  #evict(room: number): void {
    const mask = this.#ring.length - 1
    while (this.#next > this.#oldest && this.#tableBytes + room > this.#tableLimit) {
      const slot = this.#oldest & mask
      const sent = this.#ring[slot]!
      this.#ring[slot] = undefined
      this.#tableBytes -= sent.size
      this.#oldest++
      if (sent.younger === undefined) this.#newest.delete(sent.name)
      else sent.younger.older = undefined
    }
  }

  #grow(): void {
    const old = this.#ring
    const ring: (Sent | undefined)[] = Array.from({ length: old.length * 2 }, () => undefined)
    for (let serial = this.#oldest; serial < this.#next; serial++)
      ring[serial & (ring.length - 1)] = old[serial & (old.length - 1)]
    this.#ring = ring
  }
}

const statusName = fieldName(':status')
const staticStatus = staticTable.map(({ name, value }) => (name === ':status' ? Number(value) : 0))

/** RFC 7541 5.1: `flags` are the bits above the prefix whose ones are `mask`. */
function integer(into: Buffer, at: number, flags: number, mask: number, value: number): number {
  if (value < mask) {
    into[at] = flags | value
    return at + 1
  }
  into[at++] = flags | mask
  value -= mask
  while (value >= 128) {
    into[at++] = (value & 127) | 128
    value >>>= 7
  }
  into[at++] = value
  return at
}

/** A string as it is. What cannot stand in a header (whoever let it pass) becomes a question mark. */
function plain(text: string, into: Buffer, at: number): number {
  at = integer(into, at, 0, 127, text.length)
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    into[at++] = valueByte[code] === 1 ? code : mark
  }
  return at
}

/** A string Huffman coded, if that is shorter. */
function short(text: string, into: Buffer, at: number): number {
  const length = huffmanLength(text)
  if (length >= text.length) return plain(text, into, at)
  for (let i = 0; i < text.length; i++)
    if (valueByte[text.charCodeAt(i)] !== 1) return plain(text, into, at)
  at = integer(into, at, 128, 127, length)
  return huffmanEncode(text, into, at)
}
