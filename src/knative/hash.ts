/**
 * The small hashes that names and checksums are made with, in plain JavaScript because this folder runs in browsers
 * too. None of them is for security. Texts are hashed as UTF-8. (RFC 1321, RFC 1950, IEEE 802.3, FNV.)
 */

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)

/** FNV-1a, 32 bit. */
export function fnv32a(text: string): number {
  let hash = 0x811c9dc5
  for (const byte of bytesOf(text)) hash = Math.imul(hash ^ byte, 0x01000193)
  return hash >>> 0
}

export function adler32(text: string): number {
  let a = 1
  let b = 0
  for (const byte of bytesOf(text)) {
    a = (a + byte) % 65_521
    b = (b + a) % 65_521
  }
  return ((b << 16) | a) >>> 0
}

/** What each value of a byte does to a CRC-32: the long examples of ConfigMaps are summed at every start. */
const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
  return crc
})

/** CRC-32 (IEEE). */
export function crc32(text: string): number {
  let crc = 0xffffffff
  for (const byte of bytesOf(text)) crc = (crc >>> 8) ^ (crcTable[(crc ^ byte) & 0xff] ?? 0)
  return (crc ^ 0xffffffff) >>> 0
}

const shifts = [7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21]
const sines = Array.from({ length: 64 }, (_, i) => Math.floor(Math.abs(Math.sin(i + 1)) * 2 ** 32))

/** MD5 as 32 hexadecimal digits. */
export function md5(text: string): string {
  const bytes = bytesOf(text)
  const padded = new Uint8Array((((bytes.length + 8) >> 6) + 1) << 6)
  padded.set(bytes)
  padded[bytes.length] = 0x80
  const view = new DataView(padded.buffer)
  view.setUint32(padded.length - 8, bytes.length << 3, true)
  view.setUint32(padded.length - 4, bytes.length >>> 29, true)

  let [a0, b0, c0, d0] = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476]
  for (let block = 0; block < padded.length; block += 64) {
    let [a, b, c, d] = [a0, b0, c0, d0]
    for (let i = 0; i < 64; i++) {
      const round = i >> 4
      let mix: number
      let word: number
      if (round === 0) [mix, word] = [(b & c) | (~b & d), i]
      else if (round === 1) [mix, word] = [(d & b) | (~d & c), (5 * i + 1) & 15]
      else if (round === 2) [mix, word] = [b ^ c ^ d, (3 * i + 5) & 15]
      else [mix, word] = [c ^ (b | ~d), (7 * i) & 15]
      const sum = (a + mix + (sines[i] ?? 0) + view.getUint32(block + word * 4, true)) | 0
      const shift = shifts[round * 4 + (i & 3)] ?? 0
      ;[a, d, c] = [d, c, b]
      b = (b + ((sum << shift) | (sum >>> (32 - shift)))) | 0
    }
    a0 = (a0 + a) | 0
    b0 = (b0 + b) | 0
    c0 = (c0 + c) | 0
    d0 = (d0 + d) | 0
  }
  return [a0, b0, c0, d0].map(littleEndianHex).join('')
}

const littleEndianHex = (word: number): string =>
  [0, 8, 16, 24].map((shift) => ((word >>> shift) & 0xff).toString(16).padStart(2, '0')).join('')
