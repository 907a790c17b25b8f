/**
 * DER, the encoding of certificates (X.690), as far as making them takes: values into bytes, and bytes into the parts of a
 * value. Certificates are made at the first start, and a library for all of X.509 is two hundred files to load.
 */

export type Bytes = Uint8Array

const tags = {
  boolean: 1,
  integer: 2,
  bitString: 3,
  octetString: 4,
  oid: 6,
  utf8String: 12,
  printableString: 19,
  utcTime: 23,
  generalizedTime: 24,
  sequence: 0x30,
  set: 0x31,
} as const

/** A value of any tag: its tag, its length, its content. */
export function tagged(tag: number, ...contents: readonly Bytes[]): Bytes {
  const length = contents.reduce((sum, { byteLength }) => sum + byteLength, 0)
  const size = length < 0x80 ? [length] : longLength(length)
  const bytes = new Uint8Array(1 + size.length + length)
  bytes.set([tag, ...size])
  let at = 1 + size.length
  for (const content of contents) {
    bytes.set(content, at)
    at += content.byteLength
  }
  return bytes
}

function longLength(length: number): number[] {
  const digits: number[] = []
  for (let left = length; left > 0; left = Math.floor(left / 256)) digits.unshift(left % 256)
  return [0x80 + digits.length, ...digits]
}

const text = (tag: number, value: string): Bytes => tagged(tag, new TextEncoder().encode(value))

export const sequence = (...parts: readonly Bytes[]): Bytes => tagged(tags.sequence, ...parts)
export const set = (...parts: readonly Bytes[]): Bytes => tagged(tags.set, ...parts)
export const octetString = (content: Bytes): Bytes => tagged(tags.octetString, content)
export const truth = (): Bytes => tagged(tags.boolean, Uint8Array.of(0xff))

/** A number that is not negative, its bytes in order of weight. */
export function integer(bytes: Bytes): Bytes {
  const first = bytes.findIndex((byte) => byte !== 0)
  const digits = first < 0 ? Uint8Array.of(0) : bytes.subarray(first)
  // A first bit that is set would make it negative.
  return (digits[0] ?? 0) >= 0x80
    ? tagged(tags.integer, Uint8Array.of(0), digits)
    : tagged(tags.integer, digits)
}

/** Bits in whole bytes, but for `unused` at the end. */
export const bitString = (content: Bytes, unused = 0): Bytes =>
  tagged(tags.bitString, Uint8Array.of(unused), content)

/** `2.5.4.3` */
export function oid(dotted: string): Bytes {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  const bytes = [first * 40 + second, ...rest].flatMap((part) => {
    const digits = [part % 128]
    for (let left = Math.floor(part / 128); left > 0; left = Math.floor(left / 128))
      digits.unshift(0x80 + (left % 128))
    return digits
  })
  return tagged(tags.oid, Uint8Array.from(bytes))
}

/** A text in the narrower of the two forms that names have. */
export const directoryString = (value: string): Bytes =>
  text(/^[A-Za-z0-9 '()+,\-./:=?]*$/.test(value) ? tags.printableString : tags.utf8String, value)

/** A moment to the second; the form of the century's first half ends with 2049 (RFC 5280 4.1.2.5). */
export function time(date: Date): Bytes {
  const digits = `${date.toISOString().slice(0, 19).replaceAll(/\D/g, '')}Z`
  return date.getUTCFullYear() < 2050
    ? text(tags.utcTime, digits.slice(2))
    : text(tags.generalizedTime, digits)
}

export interface Part {
  readonly tag: number
  readonly content: Bytes
  /** With tag and length. */
  readonly whole: Bytes
}

/** The values that follow each other in the content of one. Throws when a length goes beyond the end. */
export function partsOf(content: Bytes): readonly Part[] {
  const parts: Part[] = []
  for (let at = 0; at < content.byteLength;) {
    const tag = content[at] ?? 0
    const short = content[at + 1] ?? 0
    const digits = short < 0x80 ? 0 : short - 0x80
    const length =
      digits === 0
        ? short
        : content.subarray(at + 2, at + 2 + digits).reduce((sum, byte) => sum * 256 + byte, 0)
    const start = at + 2 + digits
    if (digits > 4 || start + length > content.byteLength)
      throw new Error(`DER: a value of ${length} bytes at ${at}, where ${content.byteLength} end`)
    const end = start + length
    parts.push({ tag, content: content.subarray(start, end), whole: content.subarray(at, end) })
    at = end
  }
  return parts
}
