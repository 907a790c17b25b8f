/**
 * Hot path. The Huffman code of HPACK (RFC 7541 5.2, appendix B). The code is canonical, so the lengths alone define it. Decoding walks a
 * table by half bytes: no code is shorter than five bits, so a half byte ends at most one symbol.
 */
import { ErrorCode, Http2Error } from '../error.ts'

/** Bits of the code of each byte value; the last is the end-of-string symbol. */
const lengths = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
  28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5,
  6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
  7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6,
  7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23,
  23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22,
  22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22,
  23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27,
  27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25,
  24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
]
const endOfString = 256

export const codeLength = Uint8Array.from(lengths)
const codes = new Uint32Array(lengths.length)

{
  const order = lengths.map((_, symbol) => symbol)
  order.sort((a, b) => lengths[a]! - lengths[b]! || a - b)
  let code = 0
  let length = lengths[order[0]!]!
  for (const symbol of order) {
    code *= 2 ** (lengths[symbol]! - length)
    length = lengths[symbol]!
    codes[symbol] = code++
  }
}

/**
 * For state and half byte (16 a state): the next state in the low 9 bits, `emits` with the symbol above bit 16, `fails` for
 * the end-of-string symbol. States are the inner nodes of the code's tree.
 */
const emits = 1 << 9
const fails = 1 << 10
const table = new Uint32Array(256 * 16)
/** States in which a string may end: reached by at most seven 1 bits after a symbol. */
const mayEnd = new Uint8Array(256)

{
  const children: Int32Array[] = [Int32Array.of(0, 0)]
  for (const [symbol, length] of lengths.entries()) {
    let node = 0
    for (let bit = length - 1; bit > 0; bit--) {
      const side = (codes[symbol]! >>> bit) & 1
      let next = children[node]![side]!
      if (next === 0) {
        next = children.push(Int32Array.of(0, 0)) - 1
        children[node]![side] = next
      }
      node = next
    }
    children[node]![codes[symbol]! & 1] = -1 - symbol
  }
  for (let state = 0; state < children.length; state++)
    for (let half = 0; half < 16; half++) {
      let node = state
      let result = 0
      for (let bit = 3; bit >= 0; bit--) {
        const next = children[node]![(half >>> bit) & 1]!
        if (next >= 0) node = next
        else {
          const symbol = -1 - next
          result = symbol === endOfString ? fails : emits | (symbol << 16)
          node = 0
          if (symbol === endOfString) break
        }
      }
      table[state * 16 + half] = result | node
    }
  let node = 0
  for (let ones = 0; ones <= 7; ones++) {
    mayEnd[node] = 1
    node = children[node]![1]!
  }
}

const padding = (): Http2Error =>
  new Http2Error(
    ErrorCode.compressionError,
    'HPACK: a Huffman string is not padded with at most 7 ones',
  )

/** Decodes `bytes` from `start` to `end` into `into`, which has room for 8/5 of them. Returns the length. Throws Http2Error. */
export function huffmanDecode(bytes: Buffer, start: number, end: number, into: Uint8Array): number {
  let state = 0
  let length = 0
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!
    let entry = table[(state << 4) | (byte >>> 4)]!
    if (entry & (emits | fails)) {
      if (entry & fails) throw padding()
      into[length++] = entry >>> 16
    }
    entry = table[((entry & 511) << 4) | (byte & 15)]!
    if (entry & (emits | fails)) {
      if (entry & fails) throw padding()
      into[length++] = entry >>> 16
    }
    state = entry & 511
  }
  if (mayEnd[state] === 0) throw padding()
  return length
}

/** Bytes of `text` (codes below 256) when Huffman coded. */
export function huffmanLength(text: string): number {
  let bits = 0
  for (let i = 0; i < text.length; i++) bits += codeLength[text.charCodeAt(i) & 255]!
  return (bits + 7) >>> 3
}

/** Writes the code of `text` at `at`; returns the index behind it. */
export function huffmanEncode(text: string, into: Buffer, at: number): number {
  // At most 7 bits wait, so that 30 more may pass 32: the high part is kept apart.
  let waiting = 0
  let count = 0
  for (let i = 0; i < text.length; i++) {
    const symbol = text.charCodeAt(i) & 255
    const code = codes[symbol]!
    let left = codeLength[symbol]!
    while (left > 0) {
      const take = Math.min(left, 8 - count)
      waiting = (waiting << take) | ((code >>> (left - take)) & ((1 << take) - 1))
      count += take
      left -= take
      if (count === 8) {
        into[at++] = waiting
        waiting = 0
        count = 0
      }
    }
  }
  if (count > 0) into[at++] = (waiting << (8 - count)) | ((1 << (8 - count)) - 1)
  return at
}
