/**
 * One file of the log: a head that names its first sequence, then records. Only the last segment of a log grows; the
 * others are read and, one day, removed whole.
 */
import { join } from 'node:path'
import type { Disk, DiskFile } from './disk.ts'
import type { LoggedEvent } from './event-log.ts'
import { headBytes, parseRecord } from './record.ts'

const magic = Buffer.from('EBBLOG1\n')
const fileHeadBytes = 16
/** Read at a time. */
const pieceBytes = 1 << 20
/** Every so many bytes of a segment its index knows where a record begins. */
const strideBytes = 64 << 10

export const segmentName = (first: number): string => `${String(first).padStart(16, '0')}.log`

/** The first sequence in the file of this name; undefined for other files. */
export const firstOf = (name: string): number | undefined =>
  /^\d{16}\.log$/.test(name) ? Number(name.slice(0, 16)) : undefined

interface Mark {
  readonly sequence: number
  readonly offset: number
}

/** What stands in a segment that is not as it was written. */
export interface Damage {
  readonly file: string
  readonly fromByte: number
  /** Undefined = to the end of the file. */
  readonly toByte?: number
}

export class Segment {
  readonly path: string
  readonly first: number
  /** The last sequence in it; `first - 1` while it is empty. */
  last: number
  /** When its first event was appended, as far as it was read; Infinity = not known. */
  firstTimeMs = Infinity
  /** When its last event was appended. */
  lastTimeMs = 0
  /** Bytes that are whole records, with the head. */
  size: number
  readonly #file: DiskFile
  readonly #marks: Mark[] = []
  #scanned = false
  #onDamage: (damage: Damage) => void = () => {}
  #scanning: Promise<readonly Damage[]> | undefined

  private constructor(path: string, first: number, file: DiskFile, size: number) {
    this.path = path
    this.first = first
    this.last = first - 1
    this.size = size
    this.#file = file
  }

  /** An empty segment, on disk when this resolves, but for its folder's entry. */
  static async create(disk: Disk, directory: string, first: number): Promise<Segment> {
    const path = join(directory, segmentName(first))
    const file = await disk.open(path, 'new')
    const head = Buffer.alloc(fileHeadBytes)
    magic.copy(head)
    head.writeBigUInt64BE(BigInt(first), magic.length)
    try {
      for (let at = 0; at < fileHeadBytes;) at += file.write(head, at, fileHeadBytes - at, at)
      await file.datasync()
    } catch (error) {
      // A full disk; the next attempt has to find the name free.
      await file.close()
      await disk.remove(path)
      throw error
    }
    const segment = new Segment(path, first, file, fileHeadBytes)
    segment.#scanned = true
    return segment
  }

  /**
   * A segment that was written before; `onDamage` hears what is not as it was written, when it is read. `last` is known
   * from the one that follows it; else `scan` finds it.
   */
  static async open(
    disk: Disk,
    directory: string,
    first: number,
    last: number | undefined,
    onDamage: (damage: Damage) => void,
  ): Promise<Segment> {
    const path = join(directory, segmentName(first))
    const file = await disk.open(path, 'existing')
    const { size, mtimeMs } = await file.stat()
    const segment = new Segment(path, first, file, size)
    if (last !== undefined) segment.last = last
    segment.lastTimeMs = mtimeMs
    segment.#onDamage = onDamage
    return segment
  }

  /**
   * Appends records to the page cache, synchronously: measured faster than the thread pool, as only memory is copied.
   * Throws what the disk says; the segment is then as before, with bytes behind its records until `cut`.
   */
  append(records: Uint8Array, last: { sequence: number; timeMs: number }): void {
    for (let written = 0; written < records.length;)
      written += this.#file.write(records, written, records.length - written, this.size + written)
    const mark = this.#marks.at(-1)
    if (!mark || this.size - mark.offset >= strideBytes)
      this.#marks.push({ sequence: this.last + 1, offset: this.size })
    if (this.last < this.first) this.firstTimeMs = last.timeMs
    this.size += records.length
    this.last = last.sequence
    this.lastTimeMs = last.timeMs
  }

  /** What `append` wrote survives a crash of the machine. */
  sync(): Promise<void> {
    return this.#file.datasync()
  }

  /** As if nothing after `sequence` had been appended. The file still has it until `cut`. */
  forgetAfter(sequence: number, size: number): void {
    this.last = sequence
    this.size = size
    while ((this.#marks.at(-1)?.offset ?? 0) >= size) this.#marks.pop()
  }

  /** Takes away what lies behind the whole records: a write that failed half way. */
  async cut(): Promise<void> {
    await this.#file.truncate(this.size)
    await this.#file.datasync()
  }

  /**
   * Reads all of it once: finds the last whole record and where records begin. Bytes that are no record are passed
   * over up to the next one, so that one damaged block costs what is in it and no more; at the end of the file they
   * are a write that a crash cut short, which `cut` takes away before the segment grows.
   */
  scan(): Promise<readonly Damage[]> {
    return (this.#scanning ??= this.#scan().catch((error: unknown) => {
      // A disk that could not be read at the moment is asked again.
      this.#scanning = undefined
      this.#marks.length = 0
      throw error
    }))
  }

  async #scan(): Promise<readonly Damage[]> {
    if (this.#scanned) return []
    const { size } = await this.#file.stat()
    const damages: Damage[] = []
    const head = await this.#bytes(0, fileHeadBytes)
    const intact =
      head.length === fileHeadBytes &&
      head.subarray(0, magic.length).equals(magic) &&
      head.readBigUInt64BE(magic.length) === BigInt(this.first)
    if (!intact && size > 0) damages.push({ file: this.path, fromByte: 0, toByte: fileHeadBytes })
    let offset = fileHeadBytes
    let end = fileHeadBytes
    let expected = this.first
    let damagedFrom: number | undefined
    let window = await this.#bytes(offset, pieceBytes)
    let at = 0
    while (offset < size) {
      const parsed = parseRecord(window, at, expected)
      if (parsed !== 'damaged' && 'needed' in parsed && offset + parsed.needed <= size) {
        window = await this.#bytes(offset, Math.max(parsed.needed, pieceBytes))
        at = 0
        continue
      }
      if (parsed !== 'damaged' && 'event' in parsed) {
        if (damagedFrom !== undefined)
          damages.push({ file: this.path, fromByte: damagedFrom, toByte: offset })
        damagedFrom = undefined
        const { sequence, timeMs } = parsed.event
        const mark = this.#marks.at(-1)
        if (!mark || offset - mark.offset >= strideBytes || sequence !== expected)
          this.#marks.push({ sequence, offset })
        offset += parsed.end - at
        at = parsed.end
        end = offset
        expected = sequence + 1
        if (this.firstTimeMs === Infinity) this.firstTimeMs = timeMs
        this.lastTimeMs = timeMs
        continue
      }
      damagedFrom ??= offset
      offset++
      at++
    }
    if (damagedFrom !== undefined) damages.push({ file: this.path, fromByte: damagedFrom })
    this.size = end
    this.last = Math.max(this.last, expected - 1)
    this.#scanned = true
    for (const damage of damages) this.#onDamage(damage)
    return damages
  }

  /** Up to `maxBytes` of records from `sequence` on, at least one if there is one. Payloads share memory. */
  async read(sequence: number, maxBytes: number): Promise<readonly LoggedEvent[]> {
    await this.scan()
    let offset = this.#offsetBefore(sequence)
    const events: LoggedEvent[] = []
    // No more than is wanted, but what lies between two marks.
    const piece = Math.min(Math.max(maxBytes, strideBytes), pieceBytes)
    let bytes = 0
    while (offset < this.size) {
      let window = await this.#bytes(offset, Math.min(piece, this.size - offset))
      let at = 0
      for (;;) {
        const parsed = parseRecord(window, at, this.first)
        if (parsed === 'damaged') {
          at = this.#markAfter(offset + at) - offset
          break
        }
        if ('needed' in parsed) {
          if (offset + at + parsed.needed > this.size) return events
          if (parsed.needed <= piece) break
          offset += at
          at = 0
          window = await this.#bytes(offset, parsed.needed)
          continue
        }
        at = parsed.end
        if (parsed.event.sequence < sequence) continue
        events.push(parsed.event)
        bytes += parsed.event.payload.length + headBytes
        if (bytes >= maxBytes) return events
      }
      if (at === 0) return events
      offset += at
    }
    return events
  }

  close(): Promise<void> {
    return this.#file.close()
  }

  async #bytes(offset: number, length: number): Promise<Buffer> {
    const buffer = Buffer.allocUnsafeSlow(length)
    let read = 0
    while (read < length) {
      const bytesRead = await this.#file.read(buffer, read, length - read, offset + read)
      if (bytesRead === 0) break
      read += bytesRead
    }
    return buffer.subarray(0, read)
  }

  #offsetBefore(sequence: number): number {
    let low = 0
    let high = this.#marks.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#marks[middle]?.sequence ?? 0) <= sequence) low = middle + 1
      else high = middle
    }
    return this.#marks[low - 1]?.offset ?? fileHeadBytes
  }

  #markAfter(offset: number): number {
    return this.#marks.find((mark) => mark.offset > offset)?.offset ?? this.size
  }
}
