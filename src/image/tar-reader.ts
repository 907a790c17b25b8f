/**
 * Reads a tar archive entry by entry (POSIX pax interchange format; GNU's long names; the old V7 form), out of a stream
 * of any chunks. Ours rather than a library's, because archives are strangers': headers that describe other headers are
 * limited before they are read, and nothing but the present chunk is held.
 */

export type TarType =
  | 'file'
  | 'link'
  | 'symlink'
  | 'character-device'
  | 'block-device'
  | 'directory'
  | 'fifo'
  | 'unknown'

export interface TarEntry {
  readonly name: string
  readonly type: TarType
  /** Permission bits with setuid, setgid and sticky. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** When it was last changed, in seconds since 1970. */
  readonly mtime: number
  /** Of the content, in bytes. */
  readonly size: number
  /** Target of a link; '' otherwise. */
  readonly linkName: string
  /** Content, once. What is not read is skipped. */
  content(): AsyncIterable<Uint8Array>
}

/** The bytes are no tar archive, or end before it does. */
export class BadArchive extends Error {
  override readonly name = 'BadArchive'
}

const block = 512
/** Names, links and pax records: far above what any file system takes. */
const maxMetadataBytes = 1 << 20

const types: Readonly<Record<string, TarType>> = {
  '0': 'file',
  '\0': 'file',
  '7': 'file',
  '1': 'link',
  '2': 'symlink',
  '3': 'character-device',
  '4': 'block-device',
  '5': 'directory',
  '6': 'fifo',
}

/** Entries in order. The archive ends at its end mark or with the stream; what follows the mark is read and ignored. */
export async function* readTar(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<TarEntry> {
  const source = new Source(chunks)
  let pax: Readonly<Record<string, string>> = {}
  let globals: Readonly<Record<string, string>> = {}
  let longName: string | undefined
  let longLink: string | undefined
  for (;;) {
    const header = await source.take(block)
    if (!header || header.every((byte) => byte === 0)) break
    checkSum(header)
    const type = String.fromCodePoint(header[156] ?? 0)
    const { path, linkpath, size: paxSize } = { ...globals, ...pax }
    if (pax['GNU.sparse.major'] !== undefined || pax['GNU.sparse.map'] !== undefined)
      throw new BadArchive(
        `"${pax['GNU.sparse.name'] ?? path ?? ''}" is packed as a sparse file (tar --sparse); expected one packed whole`,
      )
    const isMetadata = type === 'x' || type === 'g' || type === 'L' || type === 'K'
    const size = !isMetadata && paxSize !== undefined ? decimal(paxSize) : number(header, 124, 12)
    if (isMetadata) {
      if (size > maxMetadataBytes)
        throw new BadArchive(
          `a header has ${size} bytes of names; at most ${maxMetadataBytes} are read`,
        )
      const bytes = await source.take(size)
      if (!bytes) throw new BadArchive('the archive ends within a header')
      const copy = Buffer.from(bytes)
      await source.skip(padding(size))
      if (type === 'x') pax = paxRecords(copy)
      else if (type === 'g') globals = { ...globals, ...paxRecords(copy) }
      else if (type === 'L') longName = untilNul(copy)
      else longLink = untilNul(copy)
      continue
    }
    const found = types[type] ?? 'unknown'
    // Links have no content, whatever their header says (as GNU tar and libarchive read them).
    const contentSize = found === 'file' || found === 'unknown' ? size : 0
    let left = contentSize
    const name = path ?? longName ?? nameOf(header)
    yield {
      name,
      type: found === 'file' && name.endsWith('/') ? 'directory' : found,
      mode: number(header, 100, 8) & 0o7777,
      uid: pax['uid'] === undefined ? number(header, 108, 8) : decimal(pax['uid']),
      gid: pax['gid'] === undefined ? number(header, 116, 8) : decimal(pax['gid']),
      mtime: pax['mtime'] === undefined ? time(header) : Number.parseFloat(pax['mtime']) || 0,
      size: contentSize,
      linkName: linkpath ?? longLink ?? text(header, 157, 100),
      async *content() {
        while (left > 0) {
          const chunk = await source.some(left)
          if (!chunk) throw new BadArchive(`the archive ends within "${name}"`)
          left -= chunk.length
          yield chunk
        }
      },
    }
    await source.skip(left + padding(contentSize))
    left = 0
    pax = {}
    longName = longLink = undefined
  }
  await source.drain()
}

const padding = (size: number): number => (block - (size % block)) % block

/** Bytes of a stream in pieces of the wanted size. */
class Source {
  readonly #chunks: AsyncIterator<Uint8Array>
  #chunk: Uint8Array = new Uint8Array(0)

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]()
  }

  /** At least one byte and at most `limit`; undefined at the end. Valid until the next call. */
  async some(limit: number): Promise<Uint8Array | undefined> {
    while (this.#chunk.length === 0) {
      const next = await this.#chunks.next()
      if (next.done) return undefined
      this.#chunk = next.value
    }
    const piece = this.#chunk.subarray(0, limit)
    this.#chunk = this.#chunk.subarray(piece.length)
    return piece
  }

  /** Just so many bytes; undefined when the stream has ended before the first of them. */
  async take(size: number): Promise<Uint8Array | undefined> {
    if (size === 0) return new Uint8Array(0)
    const first = await this.some(size)
    if (!first || first.length === size) return first
    const pieces = [Buffer.from(first)]
    for (let left = size - first.length; left > 0;) {
      const piece = await this.some(left)
      if (!piece) throw new BadArchive('the archive ends within a header')
      pieces.push(Buffer.from(piece))
      left -= piece.length
    }
    return Buffer.concat(pieces)
  }

  async skip(size: number): Promise<void> {
    for (let left = size; left > 0;) {
      const piece = await this.some(left)
      if (!piece) throw new BadArchive('the archive ends too early')
      left -= piece.length
    }
  }

  async drain(): Promise<void> {
    while (await this.some(Number.MAX_SAFE_INTEGER)) {
      // Whoever checks the digest has to see all of it.
    }
  }
}

function checkSum(header: Uint8Array): void {
  let sum = 8 * 32
  let signed = sum
  for (let i = 0; i < block; i++) {
    if (i >= 148 && i < 156) continue
    const byte = header[i] ?? 0
    sum += byte
    signed += byte > 127 ? byte - 256 : byte
  }
  const expected = number(header, 148, 8)
  if (expected !== sum && expected !== signed)
    throw new BadArchive('it is no tar archive: the checksum of a header is wrong')
}

/** Octal text, or GNU's base 256 for what does not fit. */
function number(header: Uint8Array, offset: number, length: number): number {
  const first = header[offset] ?? 0
  if (first & 0x80) {
    let value = first & 0x7f
    for (let i = 1; i < length; i++) value = value * 256 + (header[offset + i] ?? 0)
    if (first === 0xff || !Number.isSafeInteger(value))
      throw new BadArchive('a number of a header is out of range')
    return value
  }
  const digits = text(header, offset, length).trim()
  if (digits === '') return 0
  if (!/^[0-7]+$/.test(digits))
    throw new BadArchive('it is no tar archive: a number of a header is not octal')
  return Number.parseInt(digits, 8)
}

/** Nobody is refused for the hour: what is before 1970, or no number, is 1970. */
function time(header: Uint8Array): number {
  return (header[136] ?? 0) & 0x80 ? 0 : Number.parseInt(text(header, 136, 12).trim(), 8) || 0
}

function decimal(digits: string): number {
  const value = Number(digits)
  if (!/^\d+$/.test(digits) || !Number.isSafeInteger(value))
    throw new BadArchive(`"${digits.slice(0, 20)}" is no size`)
  return value
}

function nameOf(header: Uint8Array): string {
  const name = text(header, 0, 100)
  const isUstar = text(header, 257, 5) === 'ustar' && header[262] === 0
  const prefix = isUstar ? text(header, 345, 155) : ''
  return prefix === '' ? name : `${prefix}/${name}`
}

const text = (header: Uint8Array, offset: number, length: number): string =>
  untilNul(Buffer.from(header.buffer, header.byteOffset + offset, length))

function untilNul(bytes: Buffer): string {
  const end = bytes.indexOf(0)
  return bytes.toString('utf8', 0, end < 0 ? bytes.length : end)
}

/** `LENGTH KEY=VALUE\n`, repeated; the length counts itself. */
function paxRecords(bytes: Buffer): Readonly<Record<string, string>> {
  const records: Record<string, string> = {}
  for (let at = 0; at < bytes.length;) {
    const space = bytes.indexOf(32, at)
    const length = Number(bytes.toString('latin1', at, Math.max(space, at)))
    const end = at + length
    if (space < 0 || !Number.isInteger(length) || end <= space + 1 || end > bytes.length) {
      // Some archivers pad with zeros.
      if (bytes.subarray(at).every((byte) => byte === 0)) break
      throw new BadArchive('a pax header is damaged')
    }
    const record = bytes.toString('utf8', space + 1, end - 1)
    const equals = record.indexOf('=')
    if (equals > 0) records[record.slice(0, equals)] = record.slice(equals + 1)
    at = end
  }
  return records
}
