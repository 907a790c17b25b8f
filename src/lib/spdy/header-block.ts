/**
 * Header blocks of SPDY/3.1 (draft-mbelshe-httpbis-spdy-00, 2.6.10): names and values with their lengths, compressed with
 * one zlib stream for all blocks of a direction, which begins with a dictionary both sides know. Blocks that come in are
 * inflated; blocks that go out are stored, not compressed: they are a handful of bytes, need no state and no waiting.
 */
import { constants, createInflate, type Inflate } from 'node:zlib'

/** Names in lower case; a name that came several times has its values joined by NUL, as on the wire. */
export type SpdyHeaders = ReadonlyMap<string, string>

const words =
  'options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow ' +
  'authorization cache-control connection content-base content-encoding content-language content-length ' +
  'content-location content-md5 content-range content-type date etag expect expires from host if-match ' +
  'if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma ' +
  'proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade ' +
  'user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie ' +
  'keep-alive origin'
const tail =
  '100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505' +
  '203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized' +
  '403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable' +
  'Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT' +
  'chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,' +
  'text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.'

/** What both sides of a connection have seen before the first block. */
export const dictionary: Buffer = Buffer.concat([
  ...words.split(' ').flatMap((word) => {
    const text = Buffer.from(word.replace('_', ' '))
    return [uint32(text.length), text]
  }),
  Buffer.from(tail),
])

/** More than this in one block, or more names than that, is no header block of anybody's. */
const maxBlockBytes = 64 << 10
const maxHeaders = 100

/** Throws when a block is not what it should be. */
export function parseHeaders(block: Buffer): SpdyHeaders {
  let at = 0
  const take = (size: number): Buffer => {
    if (size < 0 || at + size > block.length) throw new Error('a header block that is cut off')
    at += size
    return block.subarray(at - size, at)
  }
  const number = (): number => take(4).readUInt32BE()
  const count = number()
  if (count > maxHeaders) throw new Error(`${count} headers in a block; at most ${maxHeaders}`)
  const headers = new Map<string, string>()
  for (let i = 0; i < count; i++) {
    const name = take(number()).toString('latin1').toLowerCase()
    const value = take(number()).toString('utf8')
    if (name === '' || headers.has(name)) throw new Error('a header without a name, or twice')
    headers.set(name, value)
  }
  if (at !== block.length) throw new Error('a header block with something behind it')
  return headers
}

export function formatHeaders(headers: SpdyHeaders): Buffer {
  const parts: Buffer[] = [uint32(headers.size)]
  for (const [name, value] of headers)
    for (const text of [Buffer.from(name, 'latin1'), Buffer.from(value)])
      parts.push(uint32(text.length), text)
  return Buffer.concat(parts)
}

function uint32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/** Ends what was stored so far and aligns it, so that the other side can read all of it. */
const flush = Buffer.from([0x00, 0x00, 0x00, 0xff, 0xff])
const maxStored = 0xffff

/** The blocks of one direction, outgoing. */
export class HeaderWriter {
  #begun = false

  write(headers: SpdyHeaders): Buffer {
    const block = formatHeaders(headers)
    const parts: Buffer[] = this.#begun ? [] : [Buffer.from([0x78, 0x01])]
    this.#begun = true
    for (let at = 0; at < block.length; at += maxStored) {
      const part = block.subarray(at, at + maxStored)
      const head = Buffer.alloc(5)
      head.writeUInt16LE(part.length, 1)
      head.writeUInt16LE(~part.length & 0xffff, 3)
      parts.push(head, part)
    }
    parts.push(flush)
    return Buffer.concat(parts)
  }
}

/** The blocks of one direction, incoming; to be read one after the other. */
export class HeaderReader {
  readonly #inflate: Inflate = createInflate({ dictionary, finishFlush: constants.Z_SYNC_FLUSH })
  #parts: Buffer[] = []
  #size = 0
  #failed: Error | undefined

  constructor() {
    this.#inflate.on('data', (part: Buffer) => {
      this.#size += part.length
      if (this.#size <= maxBlockBytes) return void this.#parts.push(part)
      this.#failed ??= new Error(`a header block of more than ${maxBlockBytes} bytes`)
      this.#inflate.destroy(this.#failed)
    })
    this.#inflate.on('error', (error: Error) => (this.#failed ??= error))
  }

  /** Rejects for what can't be inflated or is too large; there is no going on after that. */
  async read(compressed: Buffer): Promise<SpdyHeaders> {
    await new Promise<void>((resolve, reject) => {
      if (this.#failed) return reject(this.#failed)
      const failed = (error: Error) => reject(error)
      this.#inflate.once('error', failed)
      this.#inflate.write(compressed)
      this.#inflate.flush(constants.Z_SYNC_FLUSH, () => {
        this.#inflate.off('error', failed)
        if (this.#failed) reject(this.#failed)
        else resolve()
      })
    })
    const block = Buffer.concat(this.#parts)
    this.#parts = []
    this.#size = 0
    return parseHeaders(block)
  }

  close(): void {
    this.#inflate.destroy()
  }
}
